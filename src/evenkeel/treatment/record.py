"""What comes of a repair: before and after, what was tried and why it stayed or went."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenkeel.doctor.finding import Finding
from evenkeel.report import treatment as report
from evenkeel.report.forms import Shown


@dataclass(frozen=True, kw_only=True)
class Score:
    """How good a network is on held-out rows, under each seed.

    Attributes:
        metric: The name of the number.
        values: The number under each seed; NaN where the network gave no number.
        relative_losses: The loss under each seed in parts of a trivial predictor's, which says the
            mean or the most frequent class to everything.
        wants_more: Whether more of the number is better.

    Example:
        >>> score = Score(metric="accuracy", values=(0.9, 0.8), relative_losses=(0.1, 0.2))
        >>> round(score.mean, 3), round(score.spread, 3)
        (0.85, 0.071)
    """

    metric: str
    values: tuple[float, ...]
    relative_losses: tuple[float, ...]
    wants_more: bool = True

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def spread(self) -> float:
        """The standard deviation over the seeds."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Returns the score as plain data; what is not finite as None."""
        return {
            "metric": self.metric,
            "wants_more": self.wants_more,
            "mean": _finite(self.mean),
            "spread": _finite(self.spread),
            "values": [_finite(value) for value in self.values],
            "relative_losses": [_finite(value) for value in self.relative_losses],
        }


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One thing that was tried.

    Attributes:
        remedies: The names of the remedies; several where they were tried together.
        codes: The codes of the findings that called for them.
        place: Where.
        does: What they do, in words.
        types: What a user would type for them.
        verdict: "accepted", "rejected", or "not tried".
        reason: Why, in one sentence.
        seeds: The seeds under which it was trained.
        steps: How many steps that took.
        before: What it was compared with; None if it was not trained.
        after: What came of it; None if it was not trained.
        difference: By how much the loss fell, in parts of a trivial predictor's loss.
        noise: What that had to exceed.

    Example:
        >>> Attempt(remedies=("l2",), codes=("overfitting",), verdict="rejected").is_accepted
        False
    """

    remedies: tuple[str, ...]
    codes: tuple[str, ...]
    place: tuple[str, ...] = ()
    does: str = ""
    types: str = ""
    verdict: str = "not tried"
    reason: str = ""
    seeds: tuple[int, ...] = ()
    steps: int = 0
    before: Score | None = None
    after: Score | None = None
    difference: float | None = None
    noise: float | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether it stayed."""
        return self.verdict == "accepted"

    def to_dict(self) -> dict[str, Any]:
        """Returns the attempt as plain data that JSON can hold."""
        return {
            "remedies": list(self.remedies),
            "codes": list(self.codes),
            "place": list(self.place),
            "does": self.does,
            "type": self.types,
            "verdict": self.verdict,
            "reason": self.reason,
            "seeds": list(self.seeds),
            "steps": self.steps,
            "before": None if self.before is None else self.before.to_dict(),
            "after": None if self.after is None else self.after.to_dict(),
            "difference": _finite(self.difference),
            "noise": _finite(self.noise),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Treatment(Shown):
    """What a repair did. Printing it shows one screen; a notebook shows a page.

    Attributes:
        name: The name of the model.
        model: The repaired model: trained, compiled, takes raw inputs and gives raw answers. Where
            nothing was accepted, the network as it was, trained in the same way.
        before: The score of the network as it was.
        after: That of the repaired one; the same where nothing was accepted.
        attempts: Everything that was tried, in order.
        findings: What was found at first.
        left: What is found in the repaired network.
        code: What a user would type to get the repaired model.
        classes: The raw label of each class number, where classes were numbered anew; else None.
        steps: How many steps were taken in all.
        budget: How many were allowed.
        seeds: The seeds of each arm's runs.
        epochs: How many epochs each run had.
        rows: How many rows each run was trained on.
        held_out_rows: How many rows judged.

    Example:
        >>> score = Score(metric="accuracy", values=(0.9, 0.8), relative_losses=(0.1, 0.2))
        >>> Treatment(name="net", model=None, before=score, after=score).is_repaired
        False
    """

    wording = report

    name: str
    model: Any
    before: Score
    after: Score
    attempts: tuple[Attempt, ...] = ()
    findings: tuple[Finding, ...] = ()
    left: tuple[Finding, ...] = ()
    code: str = ""
    classes: np.ndarray | None = None
    steps: int = 0
    budget: int = 0
    seeds: tuple[int, ...] = ()
    epochs: int = 0
    rows: int = 0
    held_out_rows: int = 0

    @property
    def accepted(self) -> tuple[Attempt, ...]:
        """The chain of remedies that stayed, in order."""
        return tuple(attempt for attempt in self.attempts if attempt.is_accepted)

    @property
    def rejected(self) -> tuple[Attempt, ...]:
        """What was tried and rolled back, or could not be tried, each with the reason."""
        return tuple(attempt for attempt in self.attempts if not attempt.is_accepted)

    @property
    def is_repaired(self) -> bool:
        """Whether a remedy made the network better on held-out rows by more than noise."""
        return bool(self.accepted)

    def to_dict(self) -> dict[str, Any]:
        """Returns everything but the model as plain data for JSON; the keys are stable."""
        return {
            "model": self.name,
            "is_repaired": self.is_repaired,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "attempts": [attempt.to_dict() for attempt in self.attempts],
            "findings": [finding.to_dict() for finding in self.findings],
            "left": [finding.to_dict() for finding in self.left],
            "code": self.code,
            "classes": None if self.classes is None else self.classes.tolist(),
            "steps": self.steps,
            "budget": self.budget,
            "seeds": list(self.seeds),
            "epochs": self.epochs,
            "rows": self.rows,
            "held_out_rows": self.held_out_rows,
        }

    def __repr__(self) -> str:
        return f"<Treatment of {self.name!r}: {report.sentence_of(self.to_dict())}>"


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
