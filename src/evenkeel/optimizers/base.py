"""The optimizer: a pair of pure functions, `init` and `update`, and what stands around it.

`init(params)` returns the slots (momenta and the like); `update(gradients, slots, params, rate,
step)` returns what to add to the parameters, and the next slots. Parameters, gradients and
slots are dicts by variable path, so that a slot survives when other variables freeze. The
learning rate is an input of every step, not a constant in it: changing it recompiles nothing.

The engine calls `start`, `advance` and `finished`, which are the pair with its surroundings:
clipping, weight decay, multipliers of the rate, averaging and accumulation (`surroundings`), and
the rate of the step (`schedules`).
"""

from __future__ import annotations

import copy
import math
import re
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.errors import EvenkeelWarning, InvalidArgumentError, explain, number_in
from evenkeel.network import Array
from evenkeel.optimizers import schedules
from evenkeel.optimizers.surroundings import DEFAULTS, Params, Slots, Surroundings
from evenkeel.registry import Registry, serialize, snake_case

registry: Registry[Optimizer] = Registry("optimizer")


class Schedule(Protocol):
    """A learning rate that depends on the step: called with a traced step count from 0.

    `ek.optimizers.schedules` has the usual ones. A function is one, too.

    Example:
        >>> def halving(step):
        ...     return 0.1 * 0.5 ** (step / 1000)
        >>> from evenkeel.optimizers import SGD
        >>> optimizer = SGD(learning_rate=halving)
        >>> optimizer.iterations = 1000
        >>> round(optimizer.learning_rate, 6)
        0.05
    """

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate at a step."""
        ...


class LearningRate(float):
    """The current learning rate: a float that also answers to Keras's variable methods."""

    _assign: Callable[[float], None]

    def numpy(self) -> float:
        """Returns the rate as a plain float."""
        return float(self)

    def assign(self, value: float) -> None:
        """Sets the optimizer's learning rate."""
        self._assign(value)


class Same:
    """Equal to another `Same` only if both hold the very same object, which it keeps alive."""

    def __init__(self, thing: Any):
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other._thing is self._thing

    def __hash__(self) -> int:
        return id(self._thing)


class Optimizer:
    """The contract of every optimizer: settings, and the pure pair `init` and `update`.

    Subclass it, list the constructor's settings in `_settings`, and write the pair;
    `skeletons/optimizer.py` is a start. The other arguments are options of every optimizer, as in
    Keras. They surround the pair, in this order: gradients are accumulated, then clipped; weights
    decay; the update is made; averages follow.

    Args:
        learning_rate: The step size, at least 0, or a schedule: a callable of the step.
        name: The name in messages and files.
        weight_decay: The fraction w, times the rate, by which weights shrink at each update,
            θ ← θ - η w θ; at least 0. None is none.
        clipnorm: The largest norm of each variable's gradient, above 0. At most one of the three
            ways to clip can be given.
        clipvalue: The largest absolute value of each number of a gradient, above 0.
        global_clipnorm: The largest norm of all gradients together, above 0.
        use_ema: Whether to average the weights over the updates. The model has the averages when
            `fit` ends.
        ema_momentum: The fraction of an average that stays at each update, in [0, 1]; at 0 the
            average is the last weight, at 1 the first.
        ema_overwrite_frequency: After how many updates, at least 1, weights become their averages
            during training; None is never.
        gradient_accumulation_steps: How many batches make one update, at least 2, with the mean
            of their gradients; None is one. Schedules, bias corrections and averages count
            updates; `iterations` counts batches.

    Raises:
        InvalidArgumentError: If a setting is out of range, or two exclude each other.

    Example:
        >>> class SignDescent(Optimizer):
        ...     def init(self, params):
        ...         return {}
        ...     def update(self, gradients, slots, params, rate, step):
        ...         return jax.tree.map(lambda g: -rate * jnp.sign(g), gradients), slots
        >>> SignDescent(learning_rate=0.01, clipnorm=1.0)
        SignDescent(learning_rate=0.01, clipnorm=1.0)
    """

    _settings: ClassVar[tuple[str, ...]] = ()

    # Whether every element of a parameter is updated from its own gradient and slots alone, and
    # slots are dicts by variable path.
    updates_elementwise: ClassVar[bool] = False

    def __init__(
        self,
        learning_rate: float | Schedule,
        name: str | None = None,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        gradient_accumulation_steps: int | None = None,
    ):
        self.name = name or snake_case(type(self).__name__)
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = bool(use_ema)
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._excluded: tuple[str, ...] = ()
        self._multipliers: tuple[tuple[str, float], ...] = ()
        self._check_surroundings()
        self.schedule: Schedule | None = None  # as declared
        self._curve: Schedule | None = None  # the same, its horizons in steps once a run began
        self._rate = 1.0  # with a schedule, a factor on it
        self.held_slots: Any = None  # as the engine keeps them
        self._owner: weakref.ref[Any] | None = None
        self.iterations = 0
        self.learning_rate = learning_rate

    # -- the pair ----------------------------------------------------------------------------

    def init(self, params: Params) -> Slots:
        """Returns the slots before the first step."""
        raise NotImplementedError(f"{type(self).__name__} must define init(params).")

    def update(
        self, gradients: Params, slots: Slots, params: Params, rate: Array, step: Array
    ) -> tuple[Params, Slots]:
        """Returns what to add to the parameters, and the next slots.

        Args:
            gradients: The gradients, by variable path.
            slots: What `init` or the previous step returned.
            params: The parameters before the step.
            rate: The learning rate of this step, a scalar.
            step: The number of updates made before this one, an integer scalar.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update(...).")

    # -- the pair with its surroundings: what the engine calls -------------------------------

    def start(self, params: Params) -> Slots:
        """Returns all slots before the first step: the pair's, and those of what is around it."""
        return self.surroundings.start(self.init(params), params)

    def advance(
        self,
        gradients: Params,
        slots: Slots,
        params: Params,
        factor: Array,
        step: Array,
        stacked: frozenset[str] = frozenset(),
    ) -> tuple[Params, Slots]:
        """Takes one step with everything around it, as a pure function.

        Args:
            gradients: The gradients, by variable path.
            slots: What `start` or the previous step returned.
            params: The parameters before the step.
            factor: The learning rate, or the factor on its schedule, a scalar.
            step: The number of batches before this one, an integer scalar.
            stacked: The paths of arrays that hold several variables, one upon another.

        Returns:
            The parameters and the slots after the step.
        """

        def take(
            gradients: Params, slots: Slots, params: Params, updates: Array
        ) -> tuple[Params, Slots]:
            rate = self._rate_after(updates, factor)
            change, slots = self.update(gradients, slots, params, rate, updates)
            return jax.tree.map(jnp.add, params, change), slots

        def rate_after(updates: Array) -> Array:
            return self._rate_after(updates, factor)

        return self.surroundings.advance(take, rate_after, gradients, slots, params, step, stacked)

    def finished(self, params: Params, slots: Slots) -> Params:
        """Returns what a run hands over at its end: the averaged weights with `use_ema`.

        Args:
            params: The parameters after the last step.
            slots: The slots after the last step.
        """
        return self.surroundings.finished(params, slots)

    @property
    def is_elementwise(self) -> bool:
        """Whether no number depends on another: the engine may then hold a matrix in blocks."""
        return self.updates_elementwise and self.surroundings.is_elementwise

    @property
    def surroundings(self) -> Surroundings:
        """What stands around the pair, as the optimizer's attributes say now."""
        settings = {name: getattr(self, name) for name in DEFAULTS}
        where = type(self).__name__
        return Surroundings.of(where, settings, self._excluded, self._multipliers)

    def _check_surroundings(self) -> None:
        _ = self.surroundings

    def exclude_from_weight_decay(self, var_names: str | Iterable[str] | None = None) -> None:
        """Leaves variables alone whose path has one of these in it; takes effect at the next fit.

        Args:
            var_names: Words or regular expressions: "bias", "dense_1/", "gamma$". None excludes
                nothing any more.

        Raises:
            InvalidArgumentError: If one is no text or no regular expression.

        Example:
            >>> from evenkeel.optimizers import AdamW
            >>> optimizer = AdamW(weight_decay=0.01)
            >>> optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        """
        names = (var_names,) if isinstance(var_names, str) else tuple(var_names or ())
        where = f"{type(self).__name__}.exclude_from_weight_decay(var_names)"
        for name in names:
            _refuse_unless_pattern(where, name, "Type var_names=['bias'].")
        if names and not self.weight_decay:
            warnings.warn(
                f"{type(self).__name__}: there is no weight decay to exclude from. Type "
                f"{type(self).__name__}(weight_decay=1e-4).",
                EvenkeelWarning,
                2,
            )
        self._excluded = names

    def multiply_rates(self, factors: Mapping[str, float] | None = None) -> None:
        """Gives variables rates of their own, as multiples of the rate; from the next fit on.

        What reused layers learned is kept better if they learn more slowly than new ones.

        Args:
            factors: For words or regular expressions that stand in variables' paths ("^dense/",
                "kernel$") a factor on the rate, at least 0; at 0 the variables stay as they are.
                Of several that fit a path the first one holds. None or {} takes all of them back.

        Raises:
            InvalidArgumentError: If a factor is negative or no number, or a pattern is no text
                or no regular expression.

        Example:
            >>> from evenkeel.optimizers import SGD
            >>> optimizer = SGD(0.1)
            >>> optimizer.multiply_rates({"^dense/": 0.1, "^dense_1/": 0.3})
            >>> optimizer.rate_multipliers
            {'^dense/': 0.1, '^dense_1/': 0.3}

        References:
            Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification",
            ACL 2018, section 3.2 ("discriminative fine-tuning").
            https://arxiv.org/abs/1801.06146
        """
        where = f"{type(self).__name__}.multiply_rates(factors)"
        given = dict(factors or {})
        for pattern in given:
            _refuse_unless_pattern(where, pattern, "Type {'^dense/': 0.1}.")
        self._multipliers = tuple(
            (pattern, number_in(f"{where}: {pattern!r}", factor, 0, math.inf))
            for pattern, factor in given.items()
        )

    @property
    def rate_multipliers(self) -> dict[str, float]:
        """The factors of `multiply_rates` by their patterns."""
        return dict(self._multipliers)

    def without_schedule(self) -> Optimizer:
        """Returns a copy that took no step yet and whose rate is a number.

        Example:
            >>> from evenkeel.optimizers import SGD
            >>> SGD(lambda step: 0.1 / (1 + step), momentum=0.9).without_schedule()
            SGD(learning_rate=1.0, momentum=0.9, nesterov=False)
        """
        bare = copy.copy(self)
        bare.schedule = bare._curve = bare.slots = bare._owner = None
        bare.iterations = 0
        return bare

    @property
    def slots(self) -> Any:
        """What is remembered of each parameter, by variable path; None before the first step."""
        whole = getattr(self.held_slots, "whole", None)
        return self.held_slots if whole is None else whole()

    @slots.setter
    def slots(self, slots: Any) -> None:
        self.held_slots = slots

    @property
    def decays_not(self) -> tuple[str, ...]:
        """The patterns of `exclude_from_weight_decay`."""
        return self._excluded

    def claim(self, model: Any) -> None:
        """Ties the optimizer to a model, whose slots it keeps.

        Raises:
            InvalidArgumentError: If it holds what it gathered while training another model.
        """
        if self.held_slots is not None and (self._owner is None or self._owner() is not model):
            raise InvalidArgumentError(
                explain(
                    f"compile: this {type(self).__name__} has trained another model and holds its "
                    "momenta.",
                    f"Make a new one for each model: ek.optimizers.{type(self).__name__}(...).",
                )
            )
        self._owner = weakref.ref(model)

    # -- the learning rate -------------------------------------------------------------------

    @property
    def learning_rate(self) -> LearningRate:
        """The rate of the next step; can be set unless it is a schedule."""
        value = self._rate
        if self._curve is not None:
            updates = jnp.asarray(self.iterations // self._batches_per_update, jnp.int32)
            value *= float(np.asarray(self._curve(updates)))
        rate = LearningRate(value)
        rate._assign = self._assign_rate
        return rate

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule) -> None:
        if callable(value) and not hasattr(value, "__float__"):
            self.schedule, self._curve, self._rate = value, value, 1.0
            return
        self._assign_rate(value)

    lr = learning_rate

    def _assign_rate(self, value: Any) -> None:
        if self.schedule is not None:
            raise InvalidArgumentError(
                explain(
                    f"{type(self).__name__}: its learning rate follows a schedule and cannot be "
                    "set.",
                    "Set optimizer.rate_factor to scale the schedule, or give a number instead "
                    "of a schedule.",
                )
            )
        self._rate = number_in(f"{type(self).__name__}(learning_rate)", value, 0, math.inf)

    @property
    def rate_factor(self) -> float:
        """What multiplies the schedule, 1 at the start; without a schedule, the rate itself."""
        return self._rate

    @rate_factor.setter
    def rate_factor(self, value: float) -> None:
        self._rate = number_in(f"{type(self).__name__}.rate_factor", value, 0, math.inf)

    def begin_run(self, *, steps_per_epoch: int | None, epochs: int, initial_epoch: int) -> None:
        """Tells the schedule how long an epoch and the run are; to be called before a run.

        Args:
            steps_per_epoch: How many batches an epoch has; None if that is not known.
            epochs: The number of the run's last epoch, counted from 1.
            initial_epoch: The number of the first epoch, counted from 0. Epochs before it belong
                to the same run, which began that much earlier.

        Raises:
            InvalidArgumentError: If the schedule needs a length that is not known.
        """
        resolve = getattr(self.schedule, "resolve", None)
        if resolve is None:
            return
        k, start, total, length = self._batches_per_update, self.iterations, None, None
        if steps_per_epoch is not None:
            start -= initial_epoch * steps_per_epoch
            length, total = steps_per_epoch / k, max(epochs * steps_per_epoch // k, 1)
        self._curve = resolve(steps_per_epoch=length, total_steps=total, start=start // k)

    def rate_at(self, step: Array, factor: Array) -> Array:
        """Returns the learning rate of a step, inside a compiled program.

        Args:
            step: The number of batches before it.
            factor: The learning rate, or the factor on its schedule.
        """
        k = self._batches_per_update
        return self._rate_after(step if k == 1 else step // k, factor)

    def _rate_after(self, updates: Array, factor: Array) -> Array:
        if self._curve is None:
            return factor
        return jnp.asarray(self._curve(updates), jnp.float32) * factor

    def momentum_at(self, step: Array, otherwise: Any) -> Any:
        """Returns the momentum that the schedule sets at a step, or else the optimizer's own.

        For update rules: `beta = self.momentum_at(step, self.momentum)`.

        Args:
            step: The number of updates made before.
            otherwise: The optimizer's own momentum.
        """
        offered = getattr(self._curve, "momentum", None) if self.cycles_momentum else None
        value = None if offered is None else offered(step)
        return otherwise if value is None else jnp.asarray(value, jnp.float32)

    @property
    def cycles_momentum(self) -> bool:
        """Whether the schedule sets the momentum as well."""
        return bool(getattr(self.schedule, "cycles_momentum", False))

    @property
    def _batches_per_update(self) -> int:
        return self.gradient_accumulation_steps or 1

    # -- configuration -----------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data."""
        config = {"name": self.name, "learning_rate": self._written_rate()}
        config |= {name: getattr(self, name) for name in (*DEFAULTS, *self._settings)}
        if self._excluded:
            config["exclude_from_weight_decay"] = list(self._excluded)
        if self._multipliers:
            config["rate_multipliers"] = self.rate_multipliers
        return config

    def _written_rate(self) -> Any:
        if self.schedule is None:
            return float(self._rate)
        if hasattr(self.schedule, "get_config"):
            return serialize(self.schedule)
        raise InvalidArgumentError(
            explain(
                f"{type(self).__name__}: its learning rate is a function, and a file holds no "
                "code.",
                "Save without the optimizer, model.save(path, include_compile=False), and "
                "compile after loading.",
            )
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Rebuilds the optimizer, without slots, from `get_config()`."""
        # A class without the options of every optimizer is built without them, if all stand as
        # they do by default.
        given = {n: v for n, v in config.items() if n not in DEFAULTS or v != DEFAULTS[n]}
        excluded = given.pop("exclude_from_weight_decay", None)
        multipliers = given.pop("rate_multipliers", None)
        if isinstance(given.get("learning_rate"), dict):
            given["learning_rate"] = schedules.get(given["learning_rate"])
        optimizer = cls(**given)
        if excluded:
            optimizer.exclude_from_weight_decay(excluded)
        if multipliers:
            optimizer.multiply_rates(multipliers)
        return optimizer

    @property
    def fingerprint(self) -> Any:
        """What a compiled step depends on: every setting except the learning rate's value."""
        settings = tuple(getattr(self, name) for name in self._settings)
        return (type(self), settings, self.surroundings, _value_of(self._curve))

    def __repr__(self) -> str:
        chosen = [
            n for n in DEFAULTS if getattr(self, n) != DEFAULTS[n] and n not in self._settings
        ]
        settings = "".join(f", {n}={getattr(self, n)!r}" for n in (*self._settings, *chosen))
        rate = self.schedule if self.schedule is not None else float(self._rate)
        return f"{type(self).__name__}(learning_rate={rate!r}{settings})"


def _refuse_unless_pattern(where: str, pattern: Any, advice: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise InvalidArgumentError(
            explain(
                f"{where}: got {pattern!r}, expected a part of a variable's path ({error}).",
                advice,
            )
        ) from None


def _value_of(schedule: Any) -> Any:
    """Returns a schedule as something to compare: frozen dataclasses by value, others as such."""
    parameters = getattr(type(schedule), "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        return Same(schedule)
    try:
        hash(schedule)
    except TypeError:  # one of its fields is a list, for example
        return Same(schedule)
    return schedule
