"""What can stand around every optimizer: clipping, decay, multipliers, averaging, accumulation.

None of it is part of an update rule. Each piece is a small frozen value, and `Surroundings` puts
them in their order: gradients are accumulated, clipped, weights decay, the optimizer takes its
step, of which some weights take a part only, and the averages follow. All slots they need are dicts
by variable path, beside those of the optimizer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.errors import InvalidArgumentError, explain, integer_at_least, number_in, require
from evenkeel.network import Array, copied
from evenkeel.optimizers.clipping import Clipping, clipping_for

Params = dict[str, Array]
Slots = Any
# (gradients, slots, params, updates taken) -> (params, slots)
Step = Callable[[Params, Slots, Params, Array], tuple[Params, Slots]]

AVERAGE, ACCUMULATOR = "average", "gradient_accumulator"


def filled_like(params: Params, value: float = 0.0) -> Params:
    """Returns an array full of a number for each parameter, the first value of a slot.

    `jnp.zeros_like` would compile a small program for each shape before the first step.
    """
    return copied(jax.tree.map(lambda p: np.full(p.shape, value, p.dtype), params))


class AroundWithoutDecay(TypedDict, total=False):
    """The arguments of `Around` for an optimizer that has a weight decay of its own.

    Attributes:
        clipnorm: The largest norm of each variable's gradient.
        clipvalue: The largest absolute value of each number of a gradient.
        global_clipnorm: The largest norm of all gradients together.
        use_ema: Whether to average the weights over the updates.
        ema_momentum: The fraction of an average that stays at each update.
        ema_overwrite_frequency: After how many updates weights become their averages.
        gradient_accumulation_steps: How many batches make one update.
        name: The name in messages and files.
    """

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    gradient_accumulation_steps: int | None
    name: str | None


class Around(AroundWithoutDecay, total=False):
    """The keywords that every named optimizer takes beside its own; `Optimizer` explains them.

    Attributes:
        weight_decay: The fraction, times the rate, by which weights shrink at each update.

    Example:
        >>> from evenkeel.optimizers import SGD
        >>> arguments: Around = {"clipnorm": 1.0, "weight_decay": 1e-4}
        >>> SGD(0.1, **arguments).clipnorm
        1.0
    """

    weight_decay: float | None


DEFAULTS: dict[str, Any] = {
    "weight_decay": None,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "gradient_accumulation_steps": None,
}


@dataclass(frozen=True)
class WeightDecay:
    """Shrinks weights before each update, apart from the gradients and what is made of them.

        θ ← θ - η w θ

    Args:
        rate: The w.
        excluded: Regular expressions; a variable with one of them in its path is left alone.

    Example:
        >>> decay = WeightDecay(0.5, ("bias",))
        >>> params = {"dense/kernel": jnp.ones(()), "dense/bias": jnp.ones(())}
        >>> {path: float(p) for path, p in decay(params, jnp.asarray(0.5)).items()}
        {'dense/kernel': 0.75, 'dense/bias': 1.0}
    """

    rate: float
    excluded: tuple[str, ...] = ()

    def __call__(self, params: Params, learning_rate: Array) -> Params:
        """Returns the parameters after they shrank."""
        part = learning_rate * self.rate
        return {
            path: value
            if any(re.search(pattern, path) for pattern in self.excluded)
            else jax.tree.map(lambda p: p - p * part.astype(p.dtype), value)
            for path, value in params.items()
        }


@dataclass(frozen=True)
class RateMultipliers:
    """Lets some weights take a part of every step only, decay included: a rate of their own.

        θ ← θ + c (θ' - θ)

    where θ' is where the whole step would have led. The optimizers' steps are proportional to
    their rate, so that this is the step at the rate c η.

    Args:
        factors: Pairs of a regular expression and its c, at least 0; of those that are found in a
            variable's path the first one holds. Other variables take the whole step.

    Example:
        >>> slower = RateMultipliers((("^dense/", 0.5),))
        >>> before = {"dense/bias": jnp.asarray(1.0), "dense_1/bias": jnp.asarray(1.0)}
        >>> after = {"dense/bias": jnp.asarray(3.0), "dense_1/bias": jnp.asarray(3.0)}
        >>> {path: float(value) for path, value in slower(before, after).items()}
        {'dense/bias': 2.0, 'dense_1/bias': 3.0}
    """

    factors: tuple[tuple[str, float], ...]

    def of(self, path: str) -> float:
        """Returns the factor of a variable.

        Args:
            path: Its path.
        """
        return next((c for pattern, c in self.factors if re.search(pattern, path)), 1.0)

    def __call__(self, before: Params, after: Params) -> Params:
        """Returns the parameters after the part of a step that each takes.

        Args:
            before: The parameters before the step.
            after: The parameters after the whole step.
        """

        def part(path: str, value: Any) -> Any:
            factor = self.of(path)
            if factor == 1.0:  # not even rounding comes between
                return value
            return jax.tree.map(lambda b, a: b + (a - b) * factor, before[path], value)

        return {path: part(path, value) for path, value in after.items()}


@dataclass(frozen=True)
class Averaging:
    """Exponential moving averages of the weights, which are often better than the last weights.

        a ← μ a + (1 - μ) θ,    a = θ after the first update

    Args:
        momentum: The μ.
        overwrite_frequency: After how many updates θ ← a; None is never during training.

    Example:
        >>> averaging = Averaging(0.5)
        >>> _, average = averaging({"w": jnp.asarray(3.0)}, {"w": jnp.asarray(1.0)}, jnp.asarray(7))
        >>> float(average["w"])
        2.0
    """

    momentum: float
    overwrite_frequency: int | None = None

    def __call__(self, params: Params, average: Params, updates: Array) -> tuple[Params, Params]:
        """Returns the parameters and the averages after an update.

        Args:
            params: The parameters after the update.
            average: The averages before it.
            updates: The number of updates before this one.
        """
        stays = jnp.where(updates == 0, 0.0, self.momentum)
        average = jax.tree.map(
            lambda a, p: stays.astype(p.dtype) * a + (1.0 - stays).astype(p.dtype) * p,
            average,
            params,
        )
        if self.overwrite_frequency is None:
            return params, average
        due = (updates + 1) % self.overwrite_frequency == 0
        return jax.tree.map(lambda p, a: jnp.where(due, a, p), params, average), average


@dataclass(frozen=True)
class Accumulation:
    """One update for every k batches, with the mean of their gradients: a batch k times as large.

    Args:
        steps: The k.

    Example:
        >>> def descend(gradients, slots, params, updates):
        ...     return {"w": params["w"] - gradients["w"]}, slots
        >>> params, total = {"w": jnp.asarray(1.0)}, {"w": jnp.asarray(0.5)}
        >>> gradients, third = {"w": jnp.asarray(1.5)}, jnp.asarray(3)
        >>> params, _, total = Accumulation(2)(descend, gradients, total, {}, params, third)
        >>> float(params["w"]), float(total["w"])
        (0.0, 0.0)
    """

    steps: int

    def __call__(
        self,
        take: Step,
        gradients: Params,
        total: Params,
        slots: Slots,
        params: Params,
        batches: Array,
    ) -> tuple[Params, Slots, Params]:
        """Takes an update if it is due.

        Args:
            take: One update of all that stands inside.
            gradients: The gradients of this batch.
            total: The sum of the gradients since the last update.
            slots: The slots of what stands inside.
            params: The parameters.
            batches: The number of batches before this one.

        Returns:
            The parameters, the slots, and the sum afterwards.
        """

        def update(total: Params, slots: Slots, params: Params) -> tuple[Params, Slots, Params]:
            mean = jax.tree.map(lambda g: g / self.steps, total)
            params, slots = take(mean, slots, params, batches // self.steps)
            return params, slots, jax.tree.map(jnp.zeros_like, total)

        def wait(total: Params, slots: Slots, params: Params) -> tuple[Params, Slots, Params]:
            return params, slots, total

        total = jax.tree.map(jnp.add, total, gradients)
        due = (batches + 1) % self.steps == 0
        return jax.lax.cond(due, update, wait, total, slots, params)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The pieces around one optimizer, in their order.

    Attributes:
        clipping: What shortens gradients.
        decay: What shrinks weights.
        multipliers: What lets some weights take a part of each step only.
        averaging: What averages weights.
        accumulation: What gathers gradients.
    """

    clipping: Clipping | None = None
    decay: WeightDecay | None = None
    multipliers: RateMultipliers | None = None
    averaging: Averaging | None = None
    accumulation: Accumulation | None = None

    @classmethod
    def of(
        cls,
        where: str,
        settings: dict[str, Any],
        excluded: tuple[str, ...],
        multipliers: tuple[tuple[str, float], ...] = (),
    ) -> Surroundings:
        """Returns the surroundings that an optimizer's arguments ask for.

        Args:
            where: The optimizer as a user knows it.
            settings: The arguments, by the names in `DEFAULTS`.
            excluded: The patterns of `exclude_from_weight_decay`.
            multipliers: The patterns and factors of `multiply_rates`.

        Raises:
            InvalidArgumentError: If an argument is out of range, or two exclude each other.
        """

        def number(name: str, **ends: bool) -> Any:
            value = settings[name]
            high = 1 if name == "ema_momentum" else math.inf
            return None if value is None else number_in(f"{where}({name})", value, 0, high, **ends)

        def count(name: str, smallest: int) -> Any:
            value = settings[name]
            return None if value is None else integer_at_least(smallest, f"{where}({name})", value)

        clips = (number(n, low_open=True) for n in ("clipnorm", "clipvalue", "global_clipnorm"))
        decay, momentum = number("weight_decay"), number("ema_momentum")
        frequency = count("ema_overwrite_frequency", 1)
        batches = count("gradient_accumulation_steps", 2)
        require(
            momentum is not None, f"{where}(ema_momentum): got None, expected a number in [0, 1]."
        )
        if frequency is not None and not settings["use_ema"]:
            raise InvalidArgumentError(
                explain(
                    f"{where}: ema_overwrite_frequency={frequency} without use_ema=True has no "
                    "effect.",
                    f"Type {where}(use_ema=True, ema_overwrite_frequency={frequency}).",
                )
            )
        return cls(
            clipping=clipping_for(where, *clips),
            decay=None if not decay else WeightDecay(decay, excluded),
            multipliers=RateMultipliers(multipliers) if multipliers else None,
            averaging=Averaging(momentum, frequency) if settings["use_ema"] else None,
            accumulation=None if batches is None else Accumulation(batches),
        )

    @property
    def is_elementwise(self) -> bool:
        """Whether no piece looks at more than one number at a time."""
        return self.clipping is None or self.clipping.is_elementwise

    @property
    def batches_per_update(self) -> int:
        """How many batches make one update."""
        return 1 if self.accumulation is None else self.accumulation.steps

    def start(self, slots: Slots, params: Params) -> Slots:
        """Returns an optimizer's slots before the first step, and those of the pieces."""
        more = {}
        if self.averaging is not None:
            # A copy: a compiled step takes over the memory of weights and slots alike.
            more[AVERAGE] = copied(params)
        if self.accumulation is not None:
            more[ACCUMULATOR] = filled_like(params)
        return slots | more if more else slots

    def advance(
        self,
        take: Callable[[Params, Slots, Params, Array], tuple[Params, Slots]],
        rate_at: Callable[[Array], Array],
        gradients: Params,
        slots: Slots,
        params: Params,
        batches: Array,
        stacked: frozenset[str] = frozenset(),
    ) -> tuple[Params, Slots]:
        """Goes through the pieces, with the optimizer's own step in the middle.

        Args:
            take: The optimizer's step.
            rate_at: The learning rate after a number of updates.
            gradients: The gradients of this batch.
            slots: The slots.
            params: The parameters.
            batches: The number of batches before this one.
            stacked: The paths of arrays that hold several variables, one upon another.

        Returns:
            The parameters and the slots afterwards.
        """

        def once(
            gradients: Params, slots: Slots, params: Params, updates: Array
        ) -> tuple[Params, Slots]:
            before = params
            if self.clipping is not None:
                gradients = self.clipping(gradients, stacked)
            if self.decay is not None:
                params = self.decay(params, rate_at(updates))
            own = slots
            if self.averaging is not None:
                own = {name: slot for name, slot in slots.items() if name != AVERAGE}
            params, own = take(gradients, own, params, updates)
            if self.multipliers is not None:
                params = self.multipliers(before, params)
            if self.averaging is None:
                return params, own
            params, average = self.averaging(params, slots[AVERAGE], updates)
            return params, own | {AVERAGE: average}

        if self.accumulation is None:
            return once(gradients, slots, params, batches)
        own = {name: slot for name, slot in slots.items() if name != ACCUMULATOR}
        params, own, total = self.accumulation(
            once, gradients, slots[ACCUMULATOR], own, params, batches
        )
        return params, own | {ACCUMULATOR: total}

    def finished(self, params: Params, slots: Slots) -> Params:
        """Returns what a run hands over at its end: the averages, if there are any."""
        if self.averaging is None:
            return params
        return copied(slots[AVERAGE])
