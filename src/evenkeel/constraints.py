"""Constraints: limits that a weight is put back into after each update.

A constraint is called with a weight and returns the nearest allowed one. Layers take them as
`kernel_constraint` and `bias_constraint`; strings work, too. They add nothing to the loss;
penalties that do are in `regularizers`. The first weights are left as their initializer drew them.

An `axis` says over which axes of a weight a norm is taken: 0 for a dense kernel (inputs, units),
so that each unit has its own; `[0, 1, 2]` for a convolution's (height, width, inputs, filters).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from evenkeel.errors import InvalidArgumentError, explain, nearest, number_in
from evenkeel.network import Array
from evenkeel.registry import Configurable, Registry
from evenkeel.registry import serialize as serialize

registry: Registry[Constraint] = Registry("constraint")

# Keras's fuzz factor: a norm of 0 divides by this instead.
EPSILON = 1e-7

Axis = int | Sequence[int]


class Constraint(Configurable):
    """The contract: `constraint(w)` returns the weight that takes w's place.

    Subclass it and write `__call__`; list the constructor's arguments in `_settings`.

    Example:
        >>> class AtMostOne(Constraint):
        ...     def __call__(self, w):
        ...         return jnp.minimum(w, 1.0)
        >>> AtMostOne()(jnp.array([0.5, 2.0])).tolist()
        [0.5, 1.0]
    """

    def __call__(self, w: Array) -> Array:
        """Returns the allowed weight."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(w).")


@registry.register()
class MaxNorm(Constraint):
    """Shortens weight vectors that are longer than a limit, and leaves the others alone.

        w ← w · min(‖w‖, max_value) / (‖w‖ + 1e-7)

    Max-norm regularization: it limits what any unit can do, which holds back overfitting, and
    keeps large learning rates from blowing weights up.

    Args:
        max_value: The largest norm r, at least 0; smaller regularizes more.
        axis: Over which axes the norm is taken; 0 gives each dense unit its own norm.

    Raises:
        InvalidArgumentError: If the limit is negative or the axis no integer.

    Example:
        >>> shorter = MaxNorm(1.0)(jnp.array([[3.0], [4.0]]))
        >>> [round(float(v), 4) for v in shorter[:, 0]]
        [0.6, 0.8]

    References:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting",
        JMLR 2014, section 5.1. https://jmlr.org/papers/v15/srivastava14a.html
    """

    _settings = ("max_value", "axis")

    def __init__(self, max_value: float = 2.0, axis: Axis = 0):
        self.max_value = number_in("MaxNorm(max_value)", max_value, 0, math.inf)
        self.axis = _checked_axis("MaxNorm", axis)

    def __call__(self, w: Array) -> Array:
        """Returns the weight with its long vectors shortened."""
        norms = _norms(w, self.axis)
        return w * (jnp.clip(norms, 0.0, self.max_value) / (EPSILON + norms))


@registry.register("non_negative")
class NonNeg(Constraint):
    """Replaces negative weights by 0.

    Example:
        >>> NonNeg()(jnp.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    def __call__(self, w: Array) -> Array:
        """Returns the weight without its negative part."""
        return jnp.maximum(w, 0.0)


@registry.register()
class UnitNorm(Constraint):
    """Gives every weight vector the norm 1.

        w ← w / (‖w‖ + 1e-7)

    Args:
        axis: Over which axes the norm is taken; 0 gives each dense unit its own norm.

    Raises:
        InvalidArgumentError: If the axis is no integer.

    Example:
        >>> unit = UnitNorm()(jnp.array([[3.0], [4.0]]))
        >>> [round(float(v), 4) for v in unit[:, 0]]
        [0.6, 0.8]
    """

    _settings = ("axis",)

    def __init__(self, axis: Axis = 0):
        self.axis = _checked_axis("UnitNorm", axis)

    def __call__(self, w: Array) -> Array:
        """Returns the weight with vectors of norm 1."""
        return w / (EPSILON + _norms(w, self.axis))


@registry.register()
class MinMaxNorm(Constraint):
    """Moves the norm of every weight vector towards an interval.

        w ← w · (rate · clip(‖w‖, min_value, max_value) + (1 - rate) · ‖w‖) / (‖w‖ + 1e-7)

    Args:
        min_value: The smallest norm, at least 0.
        max_value: The largest norm, at least `min_value`.
        rate: How much of the way to go in one step, in [0, 1]; 1 goes all of it.
        axis: Over which axes the norm is taken; 0 gives each dense unit its own norm.

    Raises:
        InvalidArgumentError: If the interval is empty or a setting out of range.

    Example:
        >>> longer = MinMaxNorm(min_value=1.0, max_value=2.0)(jnp.array([[0.3], [0.4]]))
        >>> [round(float(v), 4) for v in longer[:, 0]]
        [0.6, 0.8]
    """

    _settings = ("min_value", "max_value", "rate", "axis")

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axis = 0,
    ):
        self.min_value = number_in("MinMaxNorm(min_value)", min_value, 0, math.inf)
        self.max_value = number_in("MinMaxNorm(max_value)", max_value, self.min_value, math.inf)
        self.rate = number_in("MinMaxNorm(rate)", rate, 0, 1)
        self.axis = _checked_axis("MinMaxNorm", axis)

    def __call__(self, w: Array) -> Array:
        """Returns the weight with norms nearer to the interval."""
        norms = _norms(w, self.axis)
        inside = jnp.clip(norms, self.min_value, self.max_value)
        wanted = self.rate * inside + (1.0 - self.rate) * norms
        return w * (wanted / (EPSILON + norms))


def get(identifier: Any) -> Any:
    """Returns the constraint that a string, class, configuration or callable stands for.

    Raises:
        InvalidArgumentError: If it is none of these; the nearest valid name is offered.

    Example:
        >>> get("max_norm"), get(None)
        (MaxNorm(max_value=2.0, axis=0), None)
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        return registry.lookup(identifier)()
    if isinstance(identifier, dict):
        return registry.build(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Constraint):
        return identifier()
    if callable(identifier):
        return identifier
    raise InvalidArgumentError(
        explain(
            f"A constraint cannot be {identifier!r}.",
            "Type a name such as 'max_norm', or an instance such as ek.constraints.MaxNorm(2.0). "
            + nearest("", registry.names),
        )
    )


def _norms(w: Array, axis: int | list[int]) -> Array:
    axes = tuple(axis) if isinstance(axis, list) else (axis,)
    beyond = [a for a in axes if not -w.ndim <= a < w.ndim]
    if beyond:
        raise InvalidArgumentError(
            explain(
                f"A constraint with axis={axis} was given a weight of shape {tuple(w.shape)}, "
                f"which has no axis {beyond[0]}.",
                "Type axis=0 for a dense kernel, axis=[0, 1, 2] for a convolution's.",
            )
        )
    return jnp.sqrt(jnp.sum(jnp.square(w), axis=axes, keepdims=True))


def _checked_axis(name: str, axis: Any) -> int | list[int]:
    """Returns an axis as an int or a list of them, which is what JSON can hold."""
    several = list(axis) if isinstance(axis, list | tuple) else [axis]
    if not several or any(not isinstance(a, int) or isinstance(a, bool) for a in several):
        raise InvalidArgumentError(
            explain(
                f"{name}(axis): got {axis!r}, expected an integer or a list of integers.",
                "Type axis=0 for a dense kernel, axis=[0, 1, 2] for a convolution's.",
            )
        )
    return several if isinstance(axis, list | tuple) else several[0]


# Keras's word for `get` where a configuration is read.
deserialize = get

# The names under which Keras also knows them.
max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm
