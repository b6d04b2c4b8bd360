"""What a canary is: a measurement, a limit, and what to do where it is exceeded."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np


@dataclass(frozen=True, kw_only=True)
class Canary:
    """One thing that must hold on this machine.

    Attributes:
        name: A few words, under which reports list it.
        checks: What is checked, a sentence.
        if_it_fails: What it means if that does not hold, and what to type.
        unit: What the number that `measure` returns is.
        limit: The largest number that is well; None where the number is only shown.
        measure: Runs the canary and returns the number.
        quick: Whether it also runs by itself, beside the first `fit`.
    """

    name: str
    checks: str
    if_it_fails: str
    unit: str
    limit: float | None
    measure: Callable[[], float]
    quick: bool

    def run(self) -> Finding:
        """Runs the canary; an error is a failure, too."""
        try:
            # Graphics processors multiply with fewer digits unless they are told not to.
            with jax.default_matmul_precision("highest"):
                value = float(self.measure())
        except Exception as error:  # whatever a broken build throws
            reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
            return Finding(canary=self, value=math.nan, is_well=False, error=reason)
        is_well = self.limit is None or value <= self.limit
        return Finding(canary=self, value=value, is_well=is_well)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a canary found.

    Attributes:
        canary: The canary.
        value: The number measured; NaN where an error came instead.
        is_well: Whether it is within the limit; never so for NaN.
        error: The error, if there was one.
    """

    canary: Canary
    value: float
    is_well: bool
    error: str | None = None

    @property
    def reading(self) -> str:
        """The number and its limit in words."""
        if self.error is not None:
            return self.error
        limit = "" if self.canary.limit is None else f", at most {self.canary.limit:.3g}"
        return f"{self.canary.unit} {self.value:.3g}{limit}"


CANARIES: dict[str, Canary] = {}

_COMPILER = (
    "Results of this build cannot be relied on. Type pip install --upgrade jax jaxlib, and "
    "evenkeel selftest again; if it still fails, report it with these lines."
)


def canary(
    unit: str,
    limit: float | None,
    *,
    name: str = "",
    if_it_fails: str = _COMPILER,
    quick: bool = False,
) -> Callable[[Callable[[], float]], Callable[[], float]]:
    """Enrols a measurement as a canary; its docstring is what it checks.

    Args:
        unit: What the number is.
        limit: The largest number that is well; None where it is only shown.
        name: The canary's name; the function's when empty.
        if_it_fails: What a larger number means, and what to type.
        quick: Whether it also runs by itself, beside the first `fit`: then it must take no more
            than some 50 milliseconds, and draw no seed and name no layer of the process.
    """

    def enrol(measure: Callable[[], float]) -> Callable[[], float]:
        title = name or measure.__name__.replace("_", " ")
        CANARIES[title] = Canary(
            name=title,
            checks=re.sub(r"\s+", " ", (measure.__doc__ or "").strip()),
            if_it_fails=if_it_fails,
            unit=unit,
            limit=limit,
            measure=measure,
            quick=quick,
        )
        return measure

    return enrol


def difference(found: Any, expected: Any) -> float:
    """Returns the largest difference of two arrays, in units of the largest number expected.

    NaN and infinity count as infinitely far from anything else.
    """
    found, expected = (np.atleast_1d(np.asarray(a, np.float64)) for a in (found, expected))
    apart = np.abs(found - expected)
    apart[~np.isfinite(apart)] = np.inf
    return float(apart.max() / max(float(np.abs(expected).max()), 1e-30))


def draws(*seed: int) -> np.random.Generator:
    """Returns a generator that takes nothing from the process's source of seeds."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
