"""Regularizers: penalties on the size of weights or outputs, added to the loss.

A regularizer is called with an array and returns one number. Layers take them as
`kernel_regularizer`, `bias_regularizer` and `activity_regularizer`; strings work, too. What the
penalties of a network amount to is a part of `loss`, never of a metric, and is shown on its own in
the history as `penalty`. Limits on weights that need no loss are in `constraints`.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp

from evenkeel.errors import InvalidArgumentError, explain, nearest, number_in
from evenkeel.network import Array
from evenkeel.registry import Configurable, Registry
from evenkeel.registry import serialize as serialize

registry: Registry[Regularizer] = Registry("regularizer")


class Regularizer(Configurable):
    """The contract: `regularizer(x)` returns the penalty of an array, a scalar.

    Subclass it and write `__call__`; list the constructor's arguments in `_settings`.

    Example:
        >>> class Centered(Regularizer):
        ...     def __call__(self, x):
        ...         return 0.1 * jnp.square(jnp.mean(x))
        >>> round(float(Centered()(jnp.array([1.0, 3.0]))), 4)
        0.4
    """

    def __call__(self, x: Array) -> Array:
        """Returns the penalty of an array."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(x).")


@registry.register("l1_l2")
class L1L2(Regularizer):
    """The l1 and the l2 penalty together, also known as elastic net.

        penalty = l1 Σ|w| + l2 Σw²

    Args:
        l1: The factor on the absolute values, at least 0; at 0 that part is absent.
        l2: The factor on the squares, at least 0; at 0 that part is absent.

    Raises:
        InvalidArgumentError: If a factor is negative or not finite.

    Example:
        >>> round(float(L1L2(l1=0.1, l2=0.01)(jnp.array([1.0, -2.0]))), 4)
        0.35

    References:
        Zou and Hastie, "Regularization and Variable Selection via the Elastic Net", 2005.
    """

    _settings = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        self.l1 = number_in("L1L2(l1)", l1, 0, math.inf)
        self.l2 = number_in("L1L2(l2)", l2, 0, math.inf)

    def __call__(self, x: Array) -> Array:
        """Returns the penalty of an array."""
        absolute = self.l1 * jnp.sum(jnp.abs(x)) if self.l1 else 0.0
        squared = self.l2 * jnp.sum(jnp.square(x)) if self.l2 else 0.0
        return jnp.asarray(absolute + squared, x.dtype)


@registry.register("lasso")
class L1(Regularizer):
    """A penalty on absolute values: many weights become exactly 0 (lasso).

        penalty = l1 Σ|w|

    Args:
        l1: The factor, at least 0; at 0 there is no penalty. 0.01 as in Keras.

    Raises:
        InvalidArgumentError: If the factor is negative or not finite.

    Example:
        >>> round(float(L1(0.1)(jnp.array([1.0, -2.0]))), 4)
        0.3

    References:
        Tibshirani, "Regression Shrinkage and Selection via the Lasso", 1996.
    """

    _settings = ("l1",)

    def __init__(self, l1: float = 0.01):
        self.l1 = number_in("L1(l1)", l1, 0, math.inf)

    def __call__(self, x: Array) -> Array:
        """Returns the penalty of an array."""
        return self.l1 * jnp.sum(jnp.abs(x))


@registry.register("ridge")
class L2(Regularizer):
    """A penalty on squares: weights stay small (ridge). There is no ½ in it.

        penalty = l2 Σw²

    Under plain gradient descent it shrinks every weight by 2·l2·η a step. Under an adaptive
    optimizer it does not, because the penalty's gradient is rescaled with the rest; there take
    `weight_decay`, or `AdamW`.

    Args:
        l2: The factor, at least 0; at 0 there is no penalty. 0.01 as in Keras.

    Raises:
        InvalidArgumentError: If the factor is negative or not finite.

    Example:
        >>> round(float(L2(0.1)(jnp.array([1.0, -2.0]))), 4)
        0.5

    References:
        Hoerl and Kennard, "Ridge Regression", 1970; Loshchilov and Hutter, "Decoupled Weight
        Decay Regularization", ICLR 2019. https://arxiv.org/abs/1711.05101
    """

    _settings = ("l2",)

    def __init__(self, l2: float = 0.01):
        self.l2 = number_in("L2(l2)", l2, 0, math.inf)

    def __call__(self, x: Array) -> Array:
        """Returns the penalty of an array."""
        return self.l2 * jnp.sum(jnp.square(x))


def get(identifier: Any) -> Any:
    """Returns the regularizer that a string, class, configuration or callable stands for.

    A string means the default factor of 0.01, for `"l1_l2"` on both parts.

    Raises:
        InvalidArgumentError: If it is none of these; the nearest valid name is offered.

    Example:
        >>> get("l2"), get(None)
        (L2(l2=0.01), None)
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        cls = registry.lookup(identifier)
        return L1L2(0.01, 0.01) if cls is L1L2 else cls()
    if isinstance(identifier, dict):
        return registry.build(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Regularizer):
        return identifier()
    if callable(identifier):
        return identifier
    raise InvalidArgumentError(
        explain(
            f"A regularizer cannot be {identifier!r}.",
            "Type a name such as 'l2', or an instance such as ek.regularizers.L2(0.01). "
            + nearest("", registry.names),
        )
    )


# Keras's word for `get` where a configuration is read.
deserialize = get

# The names under which Keras also knows them.
l1, l2, l1_l2 = L1, L2, L1L2
