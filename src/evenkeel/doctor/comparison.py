"""Whether one arm of an experiment is better than another by more than chance makes it.

The same seeds train both arms and the same rows judge both, so differences are paired. With d(s, i)
the difference of losses under seed s at row i, its mean must exceed both

    T(S - 1) · sqrt(A)       with A = var_s(mean_i d) / S,
    T(n) · sqrt(A + B)       with B = var_i(mean_s d) / N.

A is the noise of seeds (starting weights, order of rows, dropout), B that of the rows that happen
to be kept back. The first is the paired t-test over seeds. In the second, A + B is at least the
variance of the mean where seeds and rows both vary (Owen, "The pigeonhole bootstrap", Annals of
Applied Statistics 2007). T is a high percentile of Student's t, and n the degrees of freedom of
Satterthwaite (Biometrics 1946): (A + B)² / (A² / (S - 1) + B² / (N - 1)). Why the noise of seeds is
not all: Bouthillier et al., "Accounting for Variance in Machine Learning Benchmarks", MLSys 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# The probability of taking an arm for better that is no better: where further seeds are worth it,
# and where it is believed. Of several remedies that do nothing one passes the first soon.
AT_FIRST, CONFIRMED = 0.05, 0.01
# A difference below a hundredth of the trivial loss is not worth a change.
WORTH = 0.01


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How an arm compares with another on held-out rows.

    Attributes:
        difference: By how much its loss is lower, in parts of the trivial predictor's loss.
        noise: What the difference must exceed to count.
        seeds: How many seeds.
        rows: How many rows.

    Example:
        >>> Comparison(difference=0.3, noise=0.1, seeds=3, rows=200).is_better
        True
    """

    difference: float
    noise: float
    seeds: int
    rows: int

    @property
    def is_better(self) -> bool:
        """Whether it is better by more than noise."""
        return self.difference > self.noise


def compare(before: np.ndarray, after: np.ndarray, mistakes: float = AT_FIRST) -> Comparison:
    """Compares the losses of two arms.

    Args:
        before: The losses of one, (seeds, rows), with at least two seeds.
        after: Those of the other, under the same seeds and on the same rows.
        mistakes: The probability of taking an arm for better that is no better.

    Example:
        >>> noise = np.random.default_rng(0).normal(size=(2, 3, 200)) * 0.1
        >>> compare(1 + noise[0], 0.5 + noise[1]).is_better
        True
        >>> compare(1 + noise[0], 1 + noise[1]).is_better
        False
    """
    differences = before - after
    seeds, rows = differences.shape
    a = float(differences.mean(axis=1).var(ddof=1) / seeds)
    b = float(differences.mean(axis=0).var(ddof=1) / rows) if rows > 1 else 0.0
    noise = student_limit(seeds - 1.0, mistakes) * math.sqrt(a)
    if b > 0:
        degrees = (a + b) ** 2 / (a**2 / (seeds - 1) + b**2 / (rows - 1))
        noise = max(noise, student_limit(degrees, mistakes) * math.sqrt(a + b))
    return Comparison(
        difference=float(differences.mean()), noise=max(noise, WORTH), seeds=seeds, rows=rows
    )


def is_hopeless(differences: Sequence[float], seeds: int) -> bool:
    """Whether an arm can no longer be found better, whatever the seeds that are left bring.

    The seeds that are left are given every value that could help. What is given up so would have
    been rejected, so that it saves steps and changes no verdict.

    Args:
        differences: By how much the loss was lower under each seed so far.
        seeds: How many seeds there will be.

    Example:
        >>> is_hopeless([-0.1], 3), is_hopeless([0.2], 3)
        (True, False)
    """
    known = np.asarray(differences, np.float64)
    left = seeds - len(known)
    if left <= 0:
        return False
    size = float(np.abs(known).max()) or 1.0
    for value in np.concatenate([[0.0], np.geomspace(1e-3, 1e4, 141)]) * size:
        every = np.concatenate([known, np.full(left, value)])
        mean, spread = every.mean(), every.std(ddof=1) / math.sqrt(seeds)
        if mean > student_limit(seeds - 1.0) * spread and mean > WORTH:
            return False
    return True


@lru_cache(maxsize=256)
def student_limit(degrees: float, mistakes: float = AT_FIRST) -> float:
    """Returns what Student's t exceeds with a small probability.

    With t = sqrt(n) tan φ the density is that of cos(φ)^(n - 1), which is summed up numerically.

    Args:
        degrees: The degrees of freedom n, at least 1, whole or not.
        mistakes: The probability.

    Example:
        >>> round(student_limit(2.0), 3), round(student_limit(10.0, 0.025), 3)
        (2.92, 2.228)
    """
    # A grid that is finest at the far end, where one degree of freedom has its tail.
    angles = np.pi / 2 * (1 - np.linspace(1, 0, 4_001) ** 3)
    density = np.cos(angles[:-1]) ** (max(degrees, 1.0) - 1)
    density = np.append(density, 1.0 if degrees <= 1 else 0.0)
    parts = (density[1:] + density[:-1]) / 2 * np.diff(angles)
    above = np.concatenate([np.cumsum(parts[::-1])[::-1], [0.0]]) / (2 * parts.sum())
    angle = np.interp(-mistakes, -above, angles)
    return float(math.sqrt(max(degrees, 1.0)) * math.tan(angle))
