"""What short trainings of copies showed, as plain records.

Who has a network runs them (`evenkeel.measurement`); tests write these by hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """A short training of a copy.

    Attributes:
        rate: The learning rate, the highest of a schedule.
        losses: The mean training loss of each stretch of steps, in order; where it ended early,
            because the loss was no longer finite, there are fewer.
        held_out: The loss of the held-out rows afterwards; infinite where it is not finite.

    Example:
        >>> Trial(rate=0.1, losses=np.array([2.0, 1.0]), held_out=1.1).end
        1.0
    """

    rate: float
    losses: np.ndarray
    held_out: float

    @property
    def start(self) -> float:
        """The training loss of the first stretch."""
        return float(self.losses[0]) if len(self.losses) else math.inf

    @property
    def end(self) -> float:
        """The training loss of the last fifth."""
        last = self.losses[-max(1, len(self.losses) // 5) :]
        return float(np.mean(last)) if len(last) else math.inf

    @property
    def noise(self) -> float:
        """The standard deviation of a stretch's loss around its trend."""
        if len(self.losses) < 3:
            return 0.0
        return float(np.sqrt(np.mean(np.square(np.diff(self.losses))) / 2))

    @property
    def blew_up(self) -> bool:
        """Whether the loss stopped being finite."""
        return not math.isfinite(self.held_out)


@dataclass(frozen=True, kw_only=True)
class Witness:
    """How well something that learned on the training rows does on held-out ones.

    Attributes:
        name: What learned: `"network"`, `"linear model"`, `"trees"`.
        score: Its accuracy, or the part of the variance that it explains.
        strength: How far its answers are from having nothing to do with the targets: the
            correlation of ranks, in standard deviations of what chance gives.

    Example:
        >>> Witness(name="trees", score=0.8, strength=20.0).score
        0.8
    """

    name: str
    score: float
    strength: float


@dataclass(frozen=True, kw_only=True)
class Relation:
    """What the targets of one output have to do with the inputs, as far as others can learn it.

    Attributes:
        name: The output.
        rows: How many held-out rows were judged by.
        constant_score: The score of the best answer that is the same for all rows.
        witnesses: What learned, the network first where it did.
        columns: How many columns of targets there are, one for each class; the strongest of them
            counts.

    Example:
        >>> Relation(name="y", rows=500, constant_score=0.1, witnesses=()).strength("network")
        0.0
    """

    name: str
    rows: int
    constant_score: float
    witnesses: tuple[Witness, ...]
    columns: int = 1

    def strength(self, *names: str) -> float:
        """Returns the greatest strength among the witnesses of these names."""
        found = [w.strength for w in self.witnesses if w.name in names]
        return max(found, default=0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class OneBatch:
    """A copy trained on a few rows, again and again.

    Attributes:
        rows: How many.
        losses: The mean loss of each stretch of steps.
        constant_loss: The loss of the best answer that is the same for all of them.
        linear_loss: That of a linear model fitted to them.

    Example:
        >>> OneBatch(rows=8, losses=np.array([2.0, 0.1]), constant_loss=2.0, linear_loss=0.0).end
        0.1
    """

    rows: int
    losses: np.ndarray
    constant_loss: float
    linear_loss: float

    @property
    def end(self) -> float:
        """The loss of the last fifth."""
        last = self.losses[-max(1, len(self.losses) // 5) :]
        return float(np.mean(last)) if len(last) else math.inf


@dataclass(frozen=True, kw_only=True)
class RateSearch:
    """What a sweep over learning rates suggests, as `find_learning_rate` does.

    Attributes:
        suggestion: The rate to try; None if the loss fell at none.
        lowest: Where the loss was lowest.
        turning_point: From where it rises.
        lowest_rate: The first rate of the sweep.
        highest_rate: The last.

    Example:
        >>> RateSearch(suggestion=0.1, lowest=0.15, turning_point=0.4).suggestion
        0.1
    """

    suggestion: float | None
    lowest: float | None = None
    turning_point: float | None = None
    lowest_rate: float = 1e-6
    highest_rate: float = 10.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """Short trainings of copies: what the network can learn, and at which rate.

    Attributes:
        steps: How many steps each took.
        batch_size: Rows a step.
        rows: How many training rows they used.
        held_out_rows: How many rows they were judged by.
        start: The held-out loss before.
        constant_loss: The held-out loss of the best constant answer; None where it is not known.
        declared: The training as it is declared, in short.
        others: The same at other rates.
        blind: The same with all inputs 0, at the better of the rates; None if not done.
        one_batch: A copy trained on a few rows; None if not done.
        search: A sweep over rates; None if not done.
        relations: For each output, what others can learn of it.
        update_ratios: By kernel, how much a step changes it, as a part of its size, in the middle
            of the declared training.

    Example:
        >>> trial = Trial(rate=0.1, losses=np.array([2.0, 1.0]), held_out=1.0)
        >>> Probe(steps=300, batch_size=32, rows=5000, held_out_rows=1000, start=2.3,
        ...       declared=trial).best.rate
        0.1
    """

    steps: int
    batch_size: int
    rows: int
    held_out_rows: int
    start: float
    declared: Trial
    constant_loss: float | None = None
    others: tuple[Trial, ...] = ()
    blind: Trial | None = None
    one_batch: OneBatch | None = None
    search: RateSearch | None = None
    relations: tuple[Relation, ...] = ()
    update_ratios: Mapping[str, float] = field(default_factory=dict)

    @property
    def best(self) -> Trial:
        """The training with the lowest held-out loss."""
        return min((self.declared, *self.others), key=lambda trial: trial.held_out)
