"""From what the doctor said of each case to rates with their intervals."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PARTS = ("tuning", "unseen")
# 97.5th percentile of the normal distribution: intervals of 95 %.
_Z = 1.959964


def part_of(name: str) -> str:
    """Returns the part that a program belongs to, by its name alone: 3 in 5 are for tuning.

    Example:
        >>> part_of("digits: rate 10x"), part_of("digits: rate 10x")
        ('tuning', 'tuning')
    """
    return PARTS[draw_of(name) % 5 >= 3]


def draw_of(name: str) -> int:
    """Returns a number that a name alone decides, as good as drawn."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Returns Wilson's interval of a share, which holds also near 0 and 1.

    Args:
        successes: How many; a fraction where a program succeeded under some of its seeds.
        n: Of how many independent programs.

    Example:
        >>> low, high = wilson(0, 100)
        >>> round(low, 3), round(high, 3)
        (0.0, 0.037)

    References:
        Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
    """
    if n == 0:
        return 0.0, 1.0
    share, extra = successes / n, _Z**2 / n
    middle = (share + extra / 2) / (1 + extra)
    half = _Z * math.sqrt(share * (1 - share) / n + extra / (4 * n)) / (1 + extra)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of programs.

    Attributes:
        successes: The sum over programs of the share of their runs that succeeded.
        n: The number of programs.
        runs: The number of runs.
    """

    successes: float
    n: int
    runs: int

    @property
    def share(self) -> float:
        """The share; NaN of nothing."""
        return self.successes / self.n if self.n else math.nan

    def __str__(self) -> str:
        if not self.n:
            return "none"
        low, high = wilson(self.successes, self.n)
        return f"{100 * self.share:.1f} % ({100 * low:.1f}-{100 * high:.1f})"


def rate(answers: Iterable[Sequence[bool]]) -> Rate:
    """Returns the rate of runs, given by program.

    The runs of a program under several seeds are not independent, so a program counts once.

    Example:
        >>> rate([[True, True], [True, False]]).share
        0.75
    """
    every = [list(runs) for runs in answers if len(list(runs))]
    return Rate(
        successes=sum(sum(runs) / len(runs) for runs in every),
        n=len(every),
        runs=sum(map(len, every)),
    )


GOALS: dict[str, str] = {
    "faulty runs detected": ">= 95 %",
    "false alarms on healthy runs": "<= 5 %",
    "the right cause first": ">= 75 %",
    "the right cause named": ">= 90 %",
    "the right fix among the first finding's": ">= 80 %",
    "the right fix first": "",
    "balanced accuracy": "falls by <= 5 points",
}


def rates(cases: Sequence[Mapping[str, Any]]) -> dict[str, Rate | float]:
    """Returns the rates of cases that passed their verification, by name."""
    sick = [case for case in cases if case["is_verified"] and case["is_faulty"]]
    well = [case for case in cases if case["is_verified"] and not case["is_faulty"]]

    def share(group: Sequence[Mapping[str, Any]], key: str) -> Rate:
        return rate([run[key] for run in case["runs"]] for case in group)

    detected, alarms = share(sick, "is_flagged"), share(well, "is_flagged")
    names = list(GOALS)
    return {
        names[0]: detected,
        names[1]: alarms,
        names[2]: share(sick, "is_cause_first"),
        names[3]: share(sick, "is_cause_named"),
        names[4]: share(sick, "is_fix_named"),
        names[5]: share(sick, "is_fix_first"),
        names[6]: (detected.share + 1 - alarms.share) / 2,
    }
