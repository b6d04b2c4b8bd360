"""How exactly products are carried out: the precision policy.

Matrix products and convolutions are most of a network's arithmetic, and the part for which
processors have faster units with shorter numbers. A policy speaks of these alone. Variables,
optimizer state, means and variances, activations, losses and all sums are float32 under each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, cast, get_args

import jax
import jax.numpy as jnp

from evenkeel.errors import InvalidArgumentError, explain, nearest

Precision = Literal["float32", "tensorfloat32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# JAX's own default takes TF32 on NVIDIA's GPUs, so that "float32" has to be said in full.
_OF_JAX = {"float32": jax.lax.Precision.HIGHEST, "tensorfloat32": jax.lax.Precision.HIGH}
_ALIASES = {"mixed_bfloat16": "bfloat16"}


def checked(where: str, precision: Any) -> Precision:
    """Returns a policy's name, or refuses what is none.

    Raises:
        InvalidArgumentError: If there is no such policy; the nearest is named.

    Example:
        >>> checked("compile(precision)", "bfloat16")
        'bfloat16'
    """
    if precision not in PRECISIONS:
        known = ", ".join(map(repr, PRECISIONS))
        near = _ALIASES.get(str(precision))
        raise InvalidArgumentError(
            explain(
                f"{where}: got {precision!r}, expected one of {known}.",
                f"Type {near!r}." if near else nearest(str(precision), PRECISIONS),
            )
        )
    return cast(Precision, precision)


def product(left: jax.Array, right: jax.Array, precision: Precision) -> jax.Array:
    """Multiplies (..., n) by (n, m) in a precision; the result, and its gradients, are float32.

    Under `"bfloat16"` both factors are rounded to 8 significant bits, forward and backward, and
    their products added up in float32.

    Example:
        >>> product(jnp.full((1, 1), 1.001), jnp.ones((1, 1)), "bfloat16").item()
        1.0
    """
    if precision == "bfloat16":
        return _product_of_rounded(left, right)
    return jnp.matmul(left, right, precision=_OF_JAX[precision])


def convolution(
    images: jax.Array, kernel: jax.Array, precision: Precision, **settings: Any
) -> jax.Array:
    """Carries out `jax.lax.conv_general_dilated` in a precision; the result is float32.

    Args:
        images: What is convolved.
        kernel: What with.
        precision: The policy. Under `"bfloat16"` the gradients are rounded too, once, after they
            were added up in float32.
        **settings: Strides, padding and so on.
    """
    operation = partial(jax.lax.conv_general_dilated, **settings)
    if precision == "bfloat16":
        return _convolution_of_rounded(operation, images, kernel)
    return operation(images, kernel, precision=_OF_JAX[precision])


def _rounded(array: jax.Array) -> jax.Array:
    return array.astype(jnp.bfloat16)


# JAX would differentiate a product of rounded factors into products of a rounded and an unrounded
# one, which no unit is made for; so the backward passes are written out.


@jax.custom_vjp
def _product_of_rounded(left: jax.Array, right: jax.Array) -> jax.Array:
    return _summed_in_float32(_rounded(left), _rounded(right), [left.ndim - 1], [0])


def _product_forward(left: jax.Array, right: jax.Array) -> tuple[jax.Array, Any]:
    factors = _rounded(left), _rounded(right)
    return _summed_in_float32(*factors, [left.ndim - 1], [0]), factors


def _product_backward(factors: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    (left, right), gradient = factors, _rounded(gradient)
    rows = range(left.ndim - 1)
    return (
        _summed_in_float32(gradient, right, [gradient.ndim - 1], [1]),
        _summed_in_float32(left, gradient, rows, rows),
    )


_product_of_rounded.defvjp(_product_forward, _product_backward)


def _summed_in_float32(
    left: jax.Array, right: jax.Array, over: Sequence[int], over_right: Sequence[int]
) -> jax.Array:
    axes = ((tuple(over), tuple(over_right)), ((), ()))
    return jax.lax.dot_general(left, right, axes, preferred_element_type=jnp.float32)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolution_of_rounded(
    operation: Callable[..., jax.Array], images: jax.Array, kernel: jax.Array
) -> jax.Array:
    return operation(_rounded(images), _rounded(kernel), preferred_element_type=jnp.float32)


def _convolution_forward(
    operation: Callable[..., jax.Array], images: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, Any]:
    factors = _rounded(images), _rounded(kernel)
    return operation(*factors, preferred_element_type=jnp.float32), factors


def _convolution_backward(
    operation: Callable[..., jax.Array], factors: Any, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    _, transposed = jax.vjp(operation, *factors)
    images, kernel = transposed(_rounded(gradient))
    return images.astype(jnp.float32), kernel.astype(jnp.float32)


_convolution_of_rounded.defvjp(_convolution_forward, _convolution_backward)
