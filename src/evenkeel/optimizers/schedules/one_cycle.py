"""The 1cycle policy: up, down, and far down, with the momentum going the other way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp

from evenkeel.errors import require
from evenkeel.network import Array
from evenkeel.optimizers.schedules.base import LearningRateSchedule, registry
from evenkeel.optimizers.schedules.horizons import Horizon, fraction

_WHOLE_RUN = fraction(1)


@registry.register()
@dataclass(frozen=True)
class OneCycle(LearningRateSchedule):
    """The 1cycle policy: the rate goes up, comes down, and ends far below where it began.

    A high rate in the middle regularizes and crosses plateaus; the far descent settles. While
    the rate is high the momentum is low. Often a few epochs then do what many did before.

        three phases:  η₀ → η_max → η₀ → η₀/d₁,    momentum high → low → high → high
        two phases:    η₀ → η_max → η₀/d₁,         momentum high → low → high
        η₀ = η_max / d₀

    As it stands this is the linear form with three phases; `OneCycle.cosine` is the form of fastai
    and PyTorch. With PyTorch's arguments it has PyTorch's numbers. The last value stays after the
    last step. The optimizer's momentum (`momentum`, or `beta_1` of the Adam family) follows.

    Args:
        max_learning_rate: The rate η_max at the top, at least 0.
        total_steps: The length of the cycle: by default the run of `fit`, or a number of steps,
            `epochs(n)` or `fraction(p)`.
        pct_start: The fraction of the steps on the way up, in (0, 1); with three phases the way
            down is as long, so at most 0.5.
        div_factor: The d₀, by which the first rate is below the top, at least 1.
        final_div_factor: The d₁, by which the last rate is below the first, at least 1.
        anneal_strategy: The form of the ways up and down: "linear" or "cos".
        three_phase: Whether the way down stops at the first rate, before the far descent.
        cycle_momentum: Whether the momentum goes the other way, too.
        base_momentum: The momentum where the rate is highest, in [0, 1).
        max_momentum: The momentum at both ends, in [0, 1).

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> schedule = OneCycle(0.5, total_steps=101)
        >>> [round(float(schedule(t)), 5) for t in (0, 100)]
        [0.05, 5e-05]

    References:
        Smith, "A disciplined approach to neural network hyper-parameters: Part 1", 2018.
        https://arxiv.org/abs/1803.09820
    """

    max_learning_rate: float
    total_steps: Horizon = _WHOLE_RUN
    pct_start: float = 0.45
    div_factor: float = 10.0
    final_div_factor: float = 1000.0
    anneal_strategy: Literal["linear", "cos"] = "linear"
    three_phase: bool = True
    cycle_momentum: bool = True
    base_momentum: float = 0.85
    max_momentum: float = 0.95

    _horizons = ("total_steps",)

    def __post_init__(self) -> None:
        self._check_rates("max_learning_rate")
        self._check_horizons()
        self._check_number("pct_start", 0, 0.5 if self.three_phase else 1, low_open=True)
        self._check_number("div_factor", 1, math.inf)
        self._check_number("final_div_factor", 1, math.inf)
        require(
            self.anneal_strategy in ("linear", "cos"),
            f"OneCycle(anneal_strategy): got {self.anneal_strategy!r}.",
            "Type 'linear' or 'cos'.",
        )
        self._check_number("base_momentum", 0, 1, high_open=True)
        self._check_number("max_momentum", 0, 1, high_open=True)

    @classmethod
    def linear(
        cls, max_learning_rate: float, total_steps: Horizon = _WHOLE_RUN, **more: Any
    ) -> OneCycle:
        """Returns the textbook form: along lines, half up, half down, then a last tenth far down.

        Args:
            max_learning_rate: The rate at the top.
            total_steps: The length of the cycle, by default the run.
            **more: Other arguments of `OneCycle`.

        Example:
            >>> OneCycle.linear(0.1) == OneCycle(0.1)
            True
        """
        return cls(max_learning_rate, total_steps, **more)

    @classmethod
    def cosine(
        cls, max_learning_rate: float, total_steps: Horizon = _WHOLE_RUN, **more: Any
    ) -> OneCycle:
        """Returns the form of fastai and PyTorch: along cosines, three tenths up, the rest down.

        Args:
            max_learning_rate: The rate at the top.
            total_steps: The length of the cycle, by default the run.
            **more: Other arguments of `OneCycle`.

        Example:
            >>> round(float(OneCycle.cosine(0.1, total_steps=100)(0)), 6)
            0.004
        """
        form = {
            "pct_start": 0.3,
            "div_factor": 25.0,
            "final_div_factor": 1e4,
            "anneal_strategy": "cos",
            "three_phase": False,
        }
        return cls(max_learning_rate, total_steps, **(form | more))

    def rate(self, t: Array) -> Array:
        """Returns the rate at step t."""
        top = self.max_learning_rate
        first = top / self.div_factor
        last = first / self.final_div_factor
        return self._along(t, (first, top, first, last) if self.three_phase else (first, top, last))

    @property
    def cycles_momentum(self) -> bool:
        """Whether the momentum goes the other way."""
        return self.cycle_momentum

    def momentum(self, step: Any) -> Array | None:
        """Returns the momentum at a step, or None if it does not cycle."""
        if not self.cycle_momentum:
            return None
        high, low = self.max_momentum, self.base_momentum
        values = (high, low, high, high) if self.three_phase else (high, low, high)
        return self._along(jnp.asarray(step, jnp.float32), values)

    def _along(self, t: Array, values: tuple[float, ...]) -> Array:
        """Returns the curve through values at the corners of the cycle."""
        corners = self._corners()
        result = jnp.full_like(t, values[-1])
        for i in reversed(range(len(corners) - 1)):
            begin, end = corners[i], corners[i + 1]
            # What is left of the phase, not what is over: exactly 0 at its end, where the value
            # may be a thousand times smaller than at its beginning.
            left = jnp.clip((end - t) / max(end - begin, 1e-6), 0.0, 1.0)
            if self.anneal_strategy == "cos":
                left = 0.5 * (1.0 - jnp.cos(math.pi * left))
            piece = values[i + 1] + (values[i] - values[i + 1]) * left
            result = jnp.where(t <= end, piece, result)
        return result

    def _corners(self) -> tuple[float, ...]:
        """Returns at which steps the phases begin and end; the last step is a phase's end."""
        steps = self._steps("total_steps")
        up = self.pct_start * steps
        ends = (up - 1, 2 * up - 2, steps - 1) if self.three_phase else (up - 1, steps - 1)
        return (0.0, *(max(end, 0.0) for end in ends))
