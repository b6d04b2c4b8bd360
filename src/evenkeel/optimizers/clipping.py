"""Clipping: what becomes of gradients that are too large, before an optimizer sees them.

Each way is a frozen value, called with the gradients. `is_elementwise` says whether each number
is clipped by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.network import Array


@dataclass(frozen=True)
class ClipByValue:
    """Moves each number into [-c, c]; the gradient's direction may change.

        g ← min(max(g, -c), c)

    Example:
        >>> ClipByValue(1.0)({"w": jnp.asarray([0.9, 100.0])})["w"].tolist()
        [0.89999..., 1.0]
    """

    limit: float
    is_elementwise: ClassVar[bool] = True

    def __call__(self, gradients: Any, stacked: frozenset[str] = frozenset()) -> Any:
        """Returns the gradients, clipped."""
        return jax.tree.map(lambda g: jnp.clip(g, -self.limit, self.limit), gradients)


@dataclass(frozen=True)
class ClipByNorm:
    """Shortens each variable's gradient to the length c if it is longer, in its own direction.

        g ← g · c / max(|g|, c)

    Example:
        >>> clipped = ClipByNorm(1.0)({"w": jnp.asarray([0.9, 100.0])})["w"]
        >>> [round(float(g), 6) for g in clipped]
        [0.009, 0.999959]
    """

    limit: float
    is_elementwise: ClassVar[bool] = False

    def __call__(self, gradients: Any, stacked: frozenset[str] = frozenset()) -> Any:
        """Returns the gradients, clipped.

        Args:
            gradients: The gradients, in any tree; by variable path where some are stacked.
            stacked: The paths of arrays that hold several variables, one upon another.
        """
        c = self.limit

        def clipped(gradient: Array) -> Array:
            return gradient * c / jnp.maximum(_norm(gradient), c).astype(gradient.dtype)

        if not stacked:
            return jax.tree.map(clipped, gradients)
        return {
            path: (jax.vmap(clipped) if path in stacked else clipped)(gradient)
            for path, gradient in gradients.items()
        }


@dataclass(frozen=True)
class ClipByGlobalNorm:
    """Shortens all gradients by one factor, so that together they are not longer than c.

        g ← g · c / max(|all gradients|, c)

    Example:
        >>> clipped = ClipByGlobalNorm(5.0)({"a": jnp.asarray([6.0]), "b": jnp.asarray([8.0])})
        >>> clipped["a"].tolist(), clipped["b"].tolist()
        ([3.0], [4.0])
    """

    limit: float
    is_elementwise: ClassVar[bool] = False

    def __call__(self, gradients: Any, stacked: frozenset[str] = frozenset()) -> Any:
        """Returns the gradients, clipped."""
        norms = [_norm(g) for g in jax.tree.leaves(gradients)]
        norm = _norm(jnp.stack(norms)) if norms else jnp.zeros(())
        factor = self.limit / jnp.maximum(norm, self.limit)
        return jax.tree.map(lambda g: g * factor.astype(g.dtype), gradients)


Clipping = ClipByValue | ClipByNorm | ClipByGlobalNorm


def clipping_for(
    where: str,
    clipnorm: float | None,
    clipvalue: float | None,
    global_clipnorm: float | None,
) -> Clipping | None:
    """Returns the way of clipping that an optimizer's arguments ask for, or None.

    Args:
        where: The optimizer as a user knows it.
        clipnorm: The largest norm of each variable's gradient.
        clipvalue: The largest absolute value of each number.
        global_clipnorm: The largest norm of all gradients together.

    Raises:
        InvalidArgumentError: If more than one is given.

    Example:
        >>> clipping_for("SGD", None, 0.5, None)
        ClipByValue(limit=0.5)
    """
    asked = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) > 1:
        listed = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise InvalidArgumentError(
            explain(
                f"{where}: got {listed}, expected at most one of clipnorm, clipvalue and "
                "global_clipnorm.",
                "Each shortens gradients in its own way, and which one comes first would matter.",
                f"Type {where}(clipnorm=1.0), which keeps each gradient's direction.",
            )
        )
    if clipnorm is not None:
        return ClipByNorm(clipnorm)
    if clipvalue is not None:
        return ClipByValue(clipvalue)
    return None if global_clipnorm is None else ClipByGlobalNorm(global_clipnorm)


def _norm(array: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(array)))
