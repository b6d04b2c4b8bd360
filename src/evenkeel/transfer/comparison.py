"""Scores of several networks over several seeds, and whether a difference is more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# How likely it may be, at most, that chance alone makes any candidate look better than scratch.
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to reuse a network, or not to.

    Attributes:
        name: What is done, in words.
        kept: How many of the source's lower layers are kept; 0 is training from scratch.
        replaced: Whether fresh layers stand in for the hidden ones that are not kept.
        scores: The best value of what was monitored, one for each seed; infinite, of the sign that
            is no good, where it never was finite.
        epochs: The epochs of training, one number for each seed.
        parameters: How many parameters the network has.

    Example:
        >>> candidate = Candidate(name="from scratch", kept=0, replaced=True, scores=(0.4, 0.6),
        ...     epochs=(10, 10), parameters=50)
        >>> round(candidate.mean, 2), round(candidate.spread, 2)
        (0.5, 0.14)
    """

    name: str
    kept: int
    replaced: bool
    scores: tuple[float, ...]
    epochs: tuple[int, ...]
    parameters: int

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.scores))

    @property
    def spread(self) -> float:
        """The standard deviation over the seeds; NaN with one seed, or where one broke off."""
        is_known = len(self.scores) > 1 and np.isfinite(self.scores).all()
        return float(np.std(self.scores, ddof=1)) if is_known else math.nan


def least_gain(gains: Sequence[float], validation_to_training: float, comparisons: int) -> float:
    """Returns by how much a candidate is better at the least, chance left aside.

    The lower end of a one-sided interval about the mean of paired gains d over n seeds:

        mean(d) - t · sd(d) · sqrt(1/n + r)

    t is the quantile of Student's distribution with n - 1 degrees of freedom at 0.05 divided by the
    number of comparisons. Where every seed has rows of its own for validation, r is their number
    over that of the training rows: the seeds share rows, so that their gains are not independent,
    and without r the spread would be taken for too small. With fixed validation rows r is 0, and
    the interval speaks of seeds only.

    Args:
        gains: By how much the candidate was better, for each seed; below 0 where it was worse.
        validation_to_training: The r.
        comparisons: How many candidates are compared.

    Returns:
        The lower end; minus infinity with fewer than two seeds, or if a gain is not finite.

    Example:
        >>> round(least_gain([0.1, 0.2, 0.3], 0.0, 1), 4)
        0.0314

    References:
        Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003.
    """
    if len(gains) < 2 or not np.isfinite(gains).all():
        return -math.inf
    from scipy.special import stdtrit

    n = len(gains)
    quantile = float(stdtrit(n - 1, 1 - LEVEL / comparisons))
    spread = float(np.std(gains, ddof=1))
    return float(np.mean(gains)) - quantile * spread * math.sqrt(1 / n + validation_to_training)


@dataclass(frozen=True, kw_only=True, eq=False)
class Search:
    """What came of a search: a table, a recommendation, and the model.

    Attributes:
        candidates: All candidates, training from scratch first.
        monitor: The name of the log that decided.
        wants_more: Whether more of it is better.
        validation_to_training: Validation rows over training rows where each seed had its own; 0
            where all had the same.
        models: For each candidate the trained model of its best seed.

    Example:
        >>> scratch = Candidate(name="from scratch", kept=0, replaced=True,
        ...     scores=(0.50, 0.52, 0.51), epochs=(9, 9, 9), parameters=50)
        >>> reuse = Candidate(name="keep 1", kept=1, replaced=False,
        ...     scores=(0.49, 0.53, 0.50), epochs=(9, 9, 9), parameters=50)
        >>> search = Search(candidates=(scratch, reuse), monitor="val_loss", wants_more=False,
        ...     validation_to_training=0.0, models=(None, None))
        >>> search.is_worth_it
        False
    """

    candidates: tuple[Candidate, ...]
    monitor: str
    wants_more: bool
    validation_to_training: float
    models: tuple[Any, ...]

    @property
    def scratch(self) -> Candidate:
        """Training from scratch."""
        return self.candidates[0]

    @property
    def best_reuse(self) -> Candidate:
        """The best candidate that reuses something, by its mean."""
        sign = 1 if self.wants_more else -1
        return max(self.candidates[1:], key=lambda c: sign * c.mean)

    @property
    def is_worth_it(self) -> bool:
        """Whether reusing beat training from scratch by more than chance explains."""
        return self.least_gain(self.best_reuse) > 0

    @property
    def recommended(self) -> Candidate:
        """The best reuse if it is worth it, or else training from scratch."""
        return self.best_reuse if self.is_worth_it else self.scratch

    @property
    def model(self) -> Any:
        """The trained model of the recommended candidate's best seed."""
        return self.models[self.candidates.index(self.recommended)]

    def gains(self, candidate: Candidate) -> list[float]:
        """Returns by how much a candidate beat training from scratch, for each seed."""
        sign = 1 if self.wants_more else -1
        pairs = zip(candidate.scores, self.scratch.scores, strict=True)
        return [sign * (score - scratch) for score, scratch in pairs]

    def least_gain(self, candidate: Candidate) -> float:
        """Returns by how much a candidate is better at the least, chance left aside."""
        return least_gain(
            self.gains(candidate), self.validation_to_training, len(self.candidates) - 1
        )

    @property
    def recommendation(self) -> str:
        """What to do, and by which numbers."""
        best, seeds = self.best_reuse, len(self.scratch.scores)
        gain, least = float(np.mean(self.gains(best))), self.least_gain(best)
        if seeds < 2:
            return f"Cannot tell: one seed shows no spread. Best reuse: {best.name}."
        found = (
            f"the best reuse, {best.name}, is better than training from scratch by {gain:.4f} in "
            f"{self.monitor} over {seeds} seeds"
        )
        if self.is_worth_it:
            return f"Worth it: {found}, and by {least:.4f} at the least."
        if gain <= 0:
            found = f"training from scratch is as good as the best reuse, {best.name}, or better"
            return f"Not worth it: {found}, over {seeds} seeds ({gain:+.4f} in {self.monitor})."
        return f"Not worth it: {found}, which is no more than chance explains ({least:+.4f})."

    def __str__(self) -> str:
        width = max(len(c.name) for c in self.candidates)
        lines = [
            f"{'':{width}}  {'parameters':>10}  {'epochs':>6}  {self.monitor:>17}  "
            f"{'gain':>8}  {'at least':>8}"
        ]
        for c in self.candidates:
            line = (
                f"{c.name:{width}}  {c.parameters:>10,}  {np.mean(c.epochs):>6.1f}  "
                f"{f'{c.mean:.4f} ± {c.spread:.4f}':>17}"
            )
            if c is not self.scratch:
                line += f"  {np.mean(self.gains(c)):>+8.4f}  {self.least_gain(c):>+8.4f}"
            lines.append(line)
        return "\n".join([*lines, self.recommendation])
