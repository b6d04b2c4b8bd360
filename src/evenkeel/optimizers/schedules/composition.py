"""Schedules made of schedules: a warm-up in front of one, several joined, one that begins later."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from evenkeel.errors import InvalidArgumentError, explain, number_in, require
from evenkeel.network import Array
from evenkeel.optimizers.schedules.base import LearningRateSchedule, get, registry
from evenkeel.optimizers.schedules.decays import ConstantRate, require_growing
from evenkeel.optimizers.schedules.horizons import Horizon, in_steps


def as_schedule(where: str, value: Any) -> LearningRateSchedule:
    """Returns a schedule as it is, a configuration rebuilt, and a number as a constant.

    Raises:
        InvalidArgumentError: If it is none of these.

    Example:
        >>> as_schedule("Warmup(schedule)", 0.1)
        ConstantRate(learning_rate=0.1)
    """
    if isinstance(value, dict):
        value = get(value)
    if isinstance(value, LearningRateSchedule):
        return value
    if callable(value):
        raise InvalidArgumentError(
            explain(
                f"{where}: got the function {value!r}, expected a schedule or a number.",
                "Subclass ek.optimizers.schedules.LearningRateSchedule and write rate(t).",
            )
        )
    return ConstantRate(number_in(where, value, 0, math.inf))


@registry.register()
@dataclass(frozen=True)
class Delayed(LearningRateSchedule):
    """A schedule that begins at a later step: what resolving makes of one that is of the run.

        η(t) = schedule(t - start)

    Args:
        schedule: The schedule, or a number.
        start: The step at which it is at its step 0.

    Example:
        >>> from evenkeel.optimizers.schedules import PolynomialDecay
        >>> Delayed(PolynomialDecay(0.5, 100), start=1000)(1000) == 0.5
        Array(True, dtype=bool)
    """

    schedule: LearningRateSchedule
    start: int

    def __post_init__(self) -> None:
        self._set(schedule=as_schedule("Delayed(schedule)", self.schedule))
        require(
            hasattr(self.start, "__index__"),
            f"Delayed(start): got {self.start!r}, expected the number of a step.",
            "Type an integer; a negative one is a schedule that began before step 0.",
        )

    def rate(self, t: Array) -> Array:
        """Returns the rate at step t."""
        return self.schedule(t - self.start)

    @property
    def cycles_momentum(self) -> bool:
        """Whether the schedule inside says what the momentum is."""
        return self.schedule.cycles_momentum

    def momentum(self, step: Any) -> Array | None:
        """Returns the momentum of the schedule inside."""
        return self.schedule.momentum(jnp.asarray(step) - self.start)

    @property
    def length(self) -> int | None:
        """The length of the schedule inside, and what comes before it."""
        return None if self.schedule.length is None else self.start + self.schedule.length

    def _inner(self) -> tuple[LearningRateSchedule, ...]:
        return (self.schedule,)

    def _within(self, steps_per_epoch: float | None, total_steps: float | None) -> Any:
        return Delayed(self.schedule._within(steps_per_epoch, total_steps), self.start)


@registry.register()
@dataclass(frozen=True)
class Warmup(LearningRateSchedule):
    """A linear way up in front of a schedule or of a constant rate.

        η(t) = η₀ + (schedule(0) - η₀) · t/w,    t < w
        η(t) = schedule(t - w),                  t ≥ w

    Early steps are the most dangerous ones: nothing is known yet about the size of gradients,
    and adaptive optimizers divide by estimates made from a handful of batches.

    Args:
        schedule: What follows, or a number for a constant rate. A `fraction` in it is of the
            time that the warm-up leaves.
        warmup_steps: The w: a number of steps, `epochs(n)` or `fraction(p)`; 0 is no warm-up.
        start_learning_rate: The rate η₀ at step 0, at least 0.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> schedule = Warmup(0.5, warmup_steps=100)
        >>> [float(schedule(t)) for t in (0, 50, 100, 1000)]
        [0.0, 0.25, 0.5, 0.5]

    References:
        Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017.
        https://arxiv.org/abs/1706.02677
    """

    schedule: LearningRateSchedule
    warmup_steps: Horizon
    start_learning_rate: float = 0.0

    _horizons = ("warmup_steps",)
    _may_be_zero = ("warmup_steps",)

    def __post_init__(self) -> None:
        self._set(schedule=as_schedule("Warmup(schedule)", self.schedule))
        self._check_horizons()
        self._check_rates("start_learning_rate")

    def rate(self, t: Array) -> Array:
        """Returns the rate at step t."""
        w, start = self._steps("warmup_steps"), self.start_learning_rate
        top = self.schedule(jnp.zeros_like(t))
        return jnp.where(
            t < w,
            start + (top - start) * t / max(w, 1),
            self.schedule(jnp.maximum(t - w, 0.0)),
        )

    @property
    def cycles_momentum(self) -> bool:
        """Whether the schedule that follows says what the momentum is."""
        return self.schedule.cycles_momentum

    def momentum(self, step: Any) -> Array | None:
        """Returns the momentum of the schedule that follows: its first one during the warm-up."""
        t = jnp.asarray(step, jnp.float32)
        return self.schedule.momentum(jnp.maximum(t - self._steps("warmup_steps"), 0.0))

    @property
    def length(self) -> int | None:
        """The steps of the warm-up and of what follows."""
        return self._steps("warmup_steps") + (self.schedule.length or 0) or None

    def _inner(self) -> tuple[LearningRateSchedule, ...]:
        return (self.schedule,)

    def _within(self, steps_per_epoch: float | None, total_steps: float | None) -> Any:
        w = in_steps(self._where("warmup_steps"), self.warmup_steps, steps_per_epoch, total_steps)
        left = None if total_steps is None else max(total_steps - w, 1)
        inner = self.schedule._within(steps_per_epoch, left)
        return Warmup(inner, w, self.start_learning_rate)


@registry.register()
@dataclass(frozen=True)
class Joined(LearningRateSchedule):
    """One schedule after another, each counting its steps from the boundary where it begins.

        η(t) = schedules[i](t - boundaries[i-1]),    boundaries[i-1] ≤ t < boundaries[i]

    Args:
        schedules: The pieces; a number is a constant rate. A `fraction` in a piece is of the
            piece's own time: up to the next boundary, or for the last one to the end of the run.
        boundaries: The first steps of all pieces but the first, growing: numbers of steps,
            `epochs(n)` or `fraction(p)`.

    Raises:
        InvalidArgumentError: If the numbers do not fit together or are out of range.

    Example:
        >>> from evenkeel.optimizers.schedules import ExponentialDecay
        >>> schedule = Joined([0.5, ExponentialDecay(0.5, 100, 0.5)], boundaries=[1000])
        >>> [float(schedule(t)) for t in (0, 1000, 1100)]
        [0.5, 0.5, 0.25]
    """

    schedules: tuple[LearningRateSchedule, ...]
    boundaries: tuple[Horizon, ...]

    _horizons = ("boundaries",)

    def __post_init__(self) -> None:
        pieces = tuple(as_schedule("Joined(schedules)", piece) for piece in self.schedules)
        self._set(schedules=pieces, boundaries=tuple(self.boundaries))
        self._check_horizons()
        require(
            len(pieces) == len(self.boundaries) + 1,
            f"Joined: got {len(pieces)} schedules and {len(self.boundaries)} boundaries, expected "
            "one schedule more than boundaries.",
            "Type schedules.join(0.01, 0.001, boundaries=[1000]).",
        )
        require_growing("Joined(boundaries)", self.boundaries)

    def rate(self, t: Array) -> Array:
        """Returns the rate at step t."""
        return self._choose(t, [piece(s) for piece, s in self._pieces(t)])

    @property
    def cycles_momentum(self) -> bool:
        """Whether every piece says what the momentum is."""
        return all(piece.cycles_momentum for piece in self.schedules)

    def momentum(self, step: Any) -> Array | None:
        """Returns the momentum at a step, if every piece has one."""
        t = jnp.asarray(step, jnp.float32)
        found = [piece.momentum(s) for piece, s in self._pieces(t)]
        known = [value for value in found if value is not None]
        return self._choose(t, known) if len(known) == len(found) else None

    def _pieces(self, t: Array) -> list[tuple[LearningRateSchedule, Array]]:
        begins = (0, *(self._known("boundaries", b) for b in self.boundaries))
        return [
            (piece, jnp.maximum(t - begin, 0.0))
            for piece, begin in zip(self.schedules, begins, strict=True)
        ]

    def _choose(self, t: Array, values: list[Array]) -> Array:
        result = values[-1]
        for boundary, value in reversed(list(zip(self.boundaries, values[:-1], strict=True))):
            result = jnp.where(t < self._known("boundaries", boundary), value, result)
        return result

    @property
    def length(self) -> int | None:
        """The last boundary, and the steps of the last piece."""
        last = self._known("boundaries", self.boundaries[-1]) if self.boundaries else 0
        return last + (self.schedules[-1].length or 0) or None

    def _inner(self) -> tuple[LearningRateSchedule, ...]:
        return self.schedules

    def _within(self, steps_per_epoch: float | None, total_steps: float | None) -> Any:
        where = self._where("boundaries")
        ends = [in_steps(where, b, steps_per_epoch, total_steps) for b in self.boundaries]
        require_growing(where, tuple(ends))
        begins, stops = [0, *ends], [*ends, total_steps]
        pieces = [
            piece._within(steps_per_epoch, None if stop is None else max(stop - begin, 1))
            for piece, begin, stop in zip(self.schedules, begins, stops, strict=True)
        ]
        return Joined(tuple(pieces), tuple(ends))


def join(*schedules: Any, boundaries: Sequence[Horizon]) -> Joined:
    """Joins schedules, and numbers for constant rates, one after another.

    Args:
        *schedules: The pieces, in order.
        boundaries: The first steps of all pieces but the first.

    Example:
        >>> from evenkeel.optimizers.schedules import CosineDecay, epochs, fraction
        >>> join(0.1, CosineDecay(0.1, fraction(1)), boundaries=[epochs(5)]).boundaries
        (epochs(5),)
    """
    return Joined(tuple(schedules), tuple(boundaries))
