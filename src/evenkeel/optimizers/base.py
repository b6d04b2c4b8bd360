"""The optimizer: a pair of pure functions, `init` and `update`, and the settings around it.

`init(params)` returns the slots (momenta and the like); `update(gradients, slots, params, rate,
step)` returns what to add to the parameters, and the next slots. Parameters, gradients and
slots are dicts by variable path, so that a slot survives when other variables freeze. The
learning rate is an input of every step, not a constant in it: changing it recompiles nothing.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.errors import InvalidArgumentError, explain, nearest, number_in
from evenkeel.network import Array
from evenkeel.registry import Registry, snake_case

registry: Registry[Optimizer] = Registry("optimizer")
Params = dict[str, Array]
Slots = Any


class Schedule(Protocol):
    """A learning rate that depends on the step: called with a traced step count from 0.

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
    `skeletons/optimizer.py` is a start.

    Args:
        learning_rate: The step size, above 0, or a schedule: a callable of the step.
        name: The name in messages and files.

    Example:
        >>> class SignDescent(Optimizer):
        ...     def init(self, params):
        ...         return {}
        ...     def update(self, gradients, slots, params, rate, step):
        ...         return jax.tree.map(lambda g: -rate * jnp.sign(g), gradients), slots
        >>> SignDescent(learning_rate=0.01)
        SignDescent(learning_rate=0.01)
    """

    _settings: ClassVar[tuple[str, ...]] = ()

    # Whether every element of a parameter is updated from its own gradient and slots alone, and
    # slots are dicts by variable path. The engine may then hold a parameter in blocks.
    is_elementwise: ClassVar[bool] = False

    def __init__(self, learning_rate: float | Schedule, name: str | None = None):
        self.name = name or snake_case(type(self).__name__)
        self.schedule: Schedule | None = None
        self._rate = 1.0  # with a schedule, a factor on it
        self.slots: Slots | None = None
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
            step: The number of steps taken before this one, an integer scalar.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update(...).")

    def claim(self, model: Any) -> None:
        """Ties the optimizer to a model, whose slots it keeps.

        Raises:
            InvalidArgumentError: If it holds what it gathered while training another model.
        """
        if self.slots is not None and (self._owner is None or self._owner() is not model):
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
        if self.schedule is not None:
            value *= float(np.asarray(self.schedule(jnp.asarray(self.iterations, jnp.int32))))
        rate = LearningRate(value)
        rate._assign = self._assign_rate
        return rate

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule) -> None:
        if callable(value) and not hasattr(value, "__float__"):
            self.schedule, self._rate = value, 1.0
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

    def rate_at(self, step: Array, factor: Array) -> Array:
        """Returns the learning rate of a step, inside a compiled program."""
        if self.schedule is None:
            return factor
        return jnp.asarray(self.schedule(step), jnp.float32) * factor

    # -- configuration -----------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data."""
        if self.schedule is not None:
            raise InvalidArgumentError(
                explain(
                    f"{type(self).__name__}: its learning rate is a function, and a file holds no "
                    "code.",
                    "Save without the optimizer, model.save(path, include_compile=False), and "
                    "compile after loading.",
                )
            )
        settings = {name: getattr(self, name) for name in self._settings}
        return {"name": self.name, "learning_rate": float(self._rate), **settings}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """Rebuilds the optimizer, without slots, from `get_config()`."""
        return cls(**config)

    @property
    def fingerprint(self) -> Any:
        """What a compiled step depends on: every setting except the learning rate's value."""
        settings = tuple(getattr(self, name) for name in self._settings)
        return (type(self), settings, Same(self.schedule))

    def __repr__(self) -> str:
        settings = "".join(f", {name}={getattr(self, name)!r}" for name in self._settings)
        rate = self.schedule if self.schedule is not None else float(self._rate)
        return f"{type(self).__name__}(learning_rate={rate!r}{settings})"


class OptaxOptimizer(Optimizer):
    """Any optax gradient transformation as an optimizer.

    The transformation brings its own learning rate; the one here is a factor on its updates.

    Args:
        transformation: What `optax.adam(1e-3)` and the like return: anything with `init` and
            `update`.
        name: The name in messages.

    Example:
        >>> import optax
        >>> OptaxOptimizer(optax.sgd(0.1)).learning_rate
        1.0
    """

    def __init__(self, transformation: Any, name: str | None = None):
        super().__init__(1.0, name or "optax")
        self.transformation = transformation

    def init(self, params: Params) -> Slots:
        """Returns the transformation's state."""
        return self.transformation.init(params)

    def update(
        self, gradients: Params, slots: Slots, params: Params, rate: Array, step: Array
    ) -> tuple[Params, Slots]:
        """Returns the transformation's updates, times the factor."""
        updates, slots = self.transformation.update(gradients, slots, params)
        return jax.tree.map(lambda update: update * rate, updates), slots

    @property
    def fingerprint(self) -> Any:
        """The transformation's identity."""
        return (type(self), Same(self.transformation))

    def get_config(self) -> dict[str, Any]:
        """Refuses: a file holds no code."""
        raise InvalidArgumentError(
            explain(
                "An optax transformation cannot be written to a file: files hold no code.",
                "Save without it, model.save(path, include_compile=False), and compile after "
                "loading.",
            )
        )


def get(identifier: Any) -> Optimizer:
    """Returns the optimizer that a string, class, instance or optax transformation stands for.

    Raises:
        InvalidArgumentError: If there is no such optimizer; the nearest name is offered.

    Example:
        >>> get("adam").learning_rate
        0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        return registry.lookup(identifier)()
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()  # pyright: ignore[reportCallIssue]  # named optimizers have a default rate
    if isinstance(identifier, dict):
        return registry.build(identifier)
    if callable(getattr(identifier, "init", None)) and callable(
        getattr(identifier, "update", None)
    ):
        return OptaxOptimizer(identifier)
    raise InvalidArgumentError(
        explain(
            f"An optimizer cannot be {identifier!r}.",
            "Type a name such as 'adam', an instance such as ek.optimizers.Adam(1e-3), or an "
            "optax transformation. " + nearest("", registry.names),
        )
    )
