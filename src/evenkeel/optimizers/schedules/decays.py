"""Schedules that begin high and go down: constants, powers, exponentials, steps, cosines.

`one_cycle` has the one that goes up first, `composition` joins schedules to longer ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import jax.numpy as jnp

from evenkeel.errors import InvalidArgumentError, explain, number_in, require
from evenkeel.network import Array
from evenkeel.optimizers.schedules.base import LearningRateSchedule, registry
from evenkeel.optimizers.schedules.horizons import Horizon


@registry.register()
@dataclass(frozen=True)
class ConstantRate(LearningRateSchedule):
    """The same learning rate at every step: a piece to join with others.

        η(t) = η

    Args:
        learning_rate: The rate η, at least 0.

    Example:
        >>> float(ConstantRate(0.5)(1000))
        0.5
    """

    learning_rate: float

    def __post_init__(self) -> None:
        self._check_rates("learning_rate")

    def rate(self, t: Array) -> Array:
        """Returns the rate, in the shape of the steps."""
        return jnp.full_like(t, self.learning_rate)


@registry.register()
@dataclass(frozen=True)
class PowerDecay(LearningRateSchedule):
    """Power scheduling: fast at first, then slower and slower.

        η(t) = η₀ / (1 + t/s)^c

    With c = 1 the rate is down to η₀/2 after s steps, to η₀/3 after s more, then to η₀/4.

    Args:
        initial_learning_rate: The rate η₀ at step 0, at least 0.
        decay_steps: The s: a number of steps, `epochs(n)` or `fraction(p)`.
        power: The c, at least 0; at 0 the rate stays.
        name: A name to keep with it.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> float(PowerDecay(0.5, decay_steps=1000)(1000))
        0.25
    """

    initial_learning_rate: float
    decay_steps: Horizon
    power: float = 1.0
    name: str | None = field(default=None, compare=False, repr=False)

    _horizons = ("decay_steps",)

    def __post_init__(self) -> None:
        self._check_rates("initial_learning_rate")
        self._check_horizons()
        self._check_number("power", 0, math.inf)

    def rate(self, t: Array) -> Array:
        """Returns the rate at step t."""
        return self.initial_learning_rate / (1.0 + t / self._steps("decay_steps")) ** self.power


@registry.register()
@dataclass(frozen=True)
class InverseTimeDecay(LearningRateSchedule):
    """The initial rate divided by a number that grows evenly: a power decay with c = 1.

        η(t) = η₀ / (1 + k t/s)

    `SGD(decay=k)` of earlier Keras is this with s = 1.

    Args:
        initial_learning_rate: The rate η₀ at step 0, at least 0.
        decay_steps: The s: a number of steps, `epochs(n)` or `fraction(p)`.
        decay_rate: The k, at least 0; at 0 the rate stays.
        staircase: Whether t/s is rounded down, so that the rate changes every s steps.
        name: A name to keep with it.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> float(InverseTimeDecay(0.5, decay_steps=10_000, decay_rate=1.0)(10_000))
        0.25
    """

    initial_learning_rate: float
    decay_steps: Horizon
    decay_rate: float
    staircase: bool = False
    name: str | None = field(default=None, compare=False, repr=False)

    _horizons = ("decay_steps",)

    def __post_init__(self) -> None:
        self._check_rates("initial_learning_rate")
        self._check_horizons()
        self._check_number("decay_rate", 0, math.inf)
        self._set(staircase=bool(self.staircase))

    def rate(self, t: Array) -> Array:
        """Returns the rate at step t."""
        p = t / self._steps("decay_steps")
        p = jnp.floor(p) if self.staircase else p
        return self.initial_learning_rate / (1.0 + self.decay_rate * p)


@registry.register()
@dataclass(frozen=True)
class ExponentialDecay(LearningRateSchedule):
    """Exponential scheduling: the rate falls by the same factor every s steps.

        η(t) = η₀ · k^(t/s)

    With k = 0.1 it falls by a factor of 10 every s steps.

    Args:
        initial_learning_rate: The rate η₀ at step 0, at least 0.
        decay_steps: The s: a number of steps, `epochs(n)` or `fraction(p)`.
        decay_rate: The factor k, above 0; at 1 the rate stays, above 1 it grows.
        staircase: Whether t/s is rounded down, so that the rate changes every s steps.
        name: A name to keep with it.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> round(float(ExponentialDecay(0.01, decay_steps=6250, decay_rate=0.1)(6250)), 6)
        0.001
    """

    initial_learning_rate: float
    decay_steps: Horizon
    decay_rate: float
    staircase: bool = False
    name: str | None = field(default=None, compare=False, repr=False)

    _horizons = ("decay_steps",)

    def __post_init__(self) -> None:
        self._check_rates("initial_learning_rate")
        self._check_horizons()
        self._check_number("decay_rate", 0, math.inf, low_open=True)
        self._set(staircase=bool(self.staircase))

    def rate(self, t: Array) -> Array:
        """Returns the rate at step t."""
        p = t / self._steps("decay_steps")
        p = jnp.floor(p) if self.staircase else p
        return self.initial_learning_rate * self.decay_rate**p


@registry.register()
@dataclass(frozen=True)
class PiecewiseConstantDecay(LearningRateSchedule):
    """Piecewise constant scheduling: one rate up to a boundary, another up to the next.

        η(t) = values[i],    boundaries[i-1] < t ≤ boundaries[i]

    As in Keras, the step of a boundary still has the rate before it.

    Args:
        boundaries: The last steps of the pieces, growing: numbers of steps, `epochs(n)` or
            `fraction(p)`.
        values: The rates, each at least 0, one more than boundaries.
        name: A name to keep with it.

    Raises:
        InvalidArgumentError: If the numbers do not fit together or are out of range.

    Example:
        >>> schedule = PiecewiseConstantDecay([50_000, 80_000], [0.5, 0.25, 0.125])
        >>> [float(schedule(t)) for t in (50_000, 50_001, 80_001)]
        [0.5, 0.25, 0.125]
    """

    boundaries: tuple[Horizon, ...]
    values: tuple[float, ...]
    name: str | None = field(default=None, compare=False, repr=False)

    _horizons = ("boundaries",)
    _may_be_zero = ("boundaries",)

    def __post_init__(self) -> None:
        self._set(boundaries=tuple(self.boundaries), values=tuple(self.values))
        self._check_horizons()
        where = self._where("values")
        self._set(values=tuple(number_in(where, value, 0, math.inf) for value in self.values))
        require(
            len(self.values) == len(self.boundaries) + 1,
            f"PiecewiseConstantDecay: got {len(self.values)} values and {len(self.boundaries)} "
            "boundaries, expected one value more than boundaries.",
            "Type PiecewiseConstantDecay(boundaries=[50_000, 80_000], values=[0.01, 0.005, "
            "0.001]).",
        )
        require_growing("PiecewiseConstantDecay(boundaries)", self.boundaries)

    def rate(self, t: Array) -> Array:
        """Returns the rate of the piece that step t lies in."""
        result = jnp.full_like(t, self.values[-1])
        for boundary, value in reversed(list(zip(self.boundaries, self.values[:-1], strict=True))):
            result = jnp.where(t <= self._known("boundaries", boundary), value, result)
        return result


@registry.register()
@dataclass(frozen=True)
class PolynomialDecay(LearningRateSchedule):
    """From one rate to another along a polynomial; along a line with power 1.

        η(t) = (η₀ - η₁) · (1 - min(t, s)/s)^p + η₁

    Args:
        initial_learning_rate: The rate η₀ at step 0, at least 0.
        decay_steps: The s, after which η₁ stays: a number of steps, `epochs(n)` or `fraction(p)`.
        end_learning_rate: The rate η₁ at the end, at least 0.
        power: The p, above 0.
        cycle: Whether to begin anew instead of staying at η₁: s becomes the next multiple of
            `decay_steps` that is not below t, so that each return is less high.
        name: A name to keep with it.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> round(float(PolynomialDecay(0.5, 1000, end_learning_rate=0.1)(500)), 6)
        0.3
    """

    initial_learning_rate: float
    decay_steps: Horizon
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str | None = field(default=None, compare=False, repr=False)

    _horizons = ("decay_steps",)

    def __post_init__(self) -> None:
        self._check_rates("initial_learning_rate", "end_learning_rate")
        self._check_horizons()
        self._check_number("power", 0, math.inf, low_open=True)
        self._set(cycle=bool(self.cycle))

    def rate(self, t: Array) -> Array:
        """Returns the rate at step t."""
        s = float(self._steps("decay_steps"))
        whole = s * jnp.maximum(jnp.ceil(t / s), 1.0) if self.cycle else s
        # Not 1 - t/s, which is exactly 0 at the end only if the compiler does not round t·(1/s).
        rest = (whole - jnp.minimum(t, whole)) / whole
        start, end = self.initial_learning_rate, self.end_learning_rate
        return (start - end) * rest**self.power + end


@registry.register()
@dataclass(frozen=True)
class CosineDecay(LearningRateSchedule):
    """Half a cosine wave from one rate down to a fraction of it, after a linear warm-up if wanted.

        warm-up:  η(t) = η₀ + (η₁ - η₀) · t/w,                       t < w
        decay:    η(t) = η₁ · ((1 - α) · ½(1 + cos(π u/s)) + α),     u = min(t - w, s)

    Without a warm-up w = 0 and η₁ = η₀.

    Args:
        initial_learning_rate: The rate η₀ at step 0, at least 0.
        decay_steps: The s, without the warm-up: a number of steps, `epochs(n)` or `fraction(p)`.
        alpha: The fraction α that stays at the end, in [0, 1]; at 1 nothing decays.
        name: A name to keep with it.
        warmup_target: The rate η₁ that the warm-up leads to, at least 0; None without warm-up.
        warmup_steps: The w: a number of steps, `epochs(n)` or `fraction(p)`.

    Raises:
        InvalidArgumentError: If a setting is out of range, or warm-up steps have no target.

    Example:
        >>> round(float(CosineDecay(0.5, 1000)(500)), 6)
        0.25

    References:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.
        https://arxiv.org/abs/1608.03983
    """

    initial_learning_rate: float
    decay_steps: Horizon
    alpha: float = 0.0
    name: str | None = field(default=None, compare=False, repr=False)
    warmup_target: float | None = None
    warmup_steps: Horizon = 0

    _horizons = ("decay_steps", "warmup_steps")
    _may_be_zero = ("warmup_steps",)

    def __post_init__(self) -> None:
        self._check_rates("initial_learning_rate")
        self._check_horizons()
        self._check_number("alpha", 0, 1)
        if self.warmup_target is not None:
            self._check_rates("warmup_target")
        elif self.warmup_steps != 0:
            raise InvalidArgumentError(
                explain(
                    f"CosineDecay: warmup_steps={self.warmup_steps!r} without warmup_target has no "
                    "effect.",
                    "The warm-up goes from initial_learning_rate to warmup_target.",
                    f"Type CosineDecay(0.0, ..., warmup_target={self.initial_learning_rate:g}, "
                    f"warmup_steps={self.warmup_steps!r}).",
                )
            )

    def rate(self, t: Array) -> Array:
        """Returns the rate at step t."""
        s, w = self._steps("decay_steps"), self._steps("warmup_steps")
        start = self.initial_learning_rate
        top = start if self.warmup_target is None else self.warmup_target
        wave = 0.5 * (1.0 + jnp.cos(math.pi * jnp.clip(t - w, 0.0, float(s)) / s))
        decayed = top * ((1.0 - self.alpha) * wave + self.alpha)
        return jnp.where(t < w, start + (top - start) * t / max(w, 1), decayed)

    @property
    def length(self) -> int | None:
        """The steps of the warm-up and of the decay."""
        return self._steps("decay_steps") + self._steps("warmup_steps")


@registry.register()
@dataclass(frozen=True)
class CosineDecayRestarts(LearningRateSchedule):
    """Half cosine waves, one after another: each restart longer, and less high if wanted.

        η(t) = η₀ · ((1 - α) · m^i · ½(1 + cos(π f)) + α)

    where i counts the restarts so far, f is the part of the present wave that is over, and wave
    i has s · n^i steps.

    Args:
        initial_learning_rate: The rate η₀ at step 0, at least 0.
        first_decay_steps: The s, the length of the first wave: a number of steps, `epochs(n)` or
            `fraction(p)`.
        t_mul: The n, by which each wave is longer than the one before, at least 1.
        m_mul: The m, by which each wave is higher than the one before, above 0.
        alpha: The fraction α below which the rate does not go, in [0, 1].
        name: A name to keep with it.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> schedule = CosineDecayRestarts(0.5, first_decay_steps=100)
        >>> [round(float(schedule(t)), 3) for t in (0, 50, 100, 200)]
        [0.5, 0.25, 0.5, 0.25]

    References:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.
        https://arxiv.org/abs/1608.03983
    """

    initial_learning_rate: float
    first_decay_steps: Horizon
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str | None = field(default=None, compare=False, repr=False)

    _horizons = ("first_decay_steps",)

    def __post_init__(self) -> None:
        self._check_rates("initial_learning_rate")
        self._check_horizons()
        self._check_number("t_mul", 1, math.inf)
        self._check_number("m_mul", 0, math.inf, low_open=True)
        self._check_number("alpha", 0, 1)

    def rate(self, t: Array) -> Array:
        """Returns the rate at step t."""
        i, f = self._wave(t / self._steps("first_decay_steps"))
        wave = self.m_mul**i * 0.5 * (1.0 + jnp.cos(math.pi * f))
        return self.initial_learning_rate * ((1.0 - self.alpha) * wave + self.alpha)

    def _wave(self, x: Array) -> tuple[Array, Array]:
        """Returns which wave x lies in, in lengths of the first one, and the part that is over."""
        n = self.t_mul
        if n == 1:
            return jnp.floor(x), x - jnp.floor(x)

        def begin(i: Array) -> Array:
            return (n**i - 1.0) / (n - 1.0)

        i = jnp.floor(jnp.log1p(x * (n - 1.0)) / math.log(n))
        # A logarithm is off by a rounding, which at a restart is a whole wave.
        i = jnp.where(x >= begin(i + 1.0), i + 1.0, jnp.where(x < begin(i), i - 1.0, i))
        return i, (x - begin(i)) / n**i


def require_growing(where: str, boundaries: tuple[Horizon, ...]) -> None:
    """Refuses boundaries of one unit that do not grow.

    Raises:
        InvalidArgumentError: If one is not above the one before it.
    """
    for before, after in pairwise(boundaries):
        if type(before) is type(after):
            first, second = (getattr(h, "n", getattr(h, "p", h)) for h in (before, after))
            require(
                first < second,
                f"{where}: {after!r} comes after {before!r}, expected boundaries that grow.",
                "Sort the boundaries, and the values with them.",
            )
