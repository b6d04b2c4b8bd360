"""Layers that are random in training: Dropout. The random bits of masks are drawn here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from evenkeel.errors import integer_at_least, number_in
from evenkeel.layers.base import Layer, as_float, registry
from evenkeel.network import Array

# A mask compares one random byte with a threshold, so that keep probabilities come in steps of
# 1/256 and one 32-bit word serves four elements.
_STEPS = 256


def keep_mask(key: Array, keep: float, shape: Sequence[int]) -> tuple[Array, float]:
    """Draws which elements to keep.

    Args:
        key: A random key, used once.
        keep: The wanted probability of keeping an element, in [0, 1].
        shape: The shape of the mask.

    Returns:
        The mask (True keeps), and the exact probability with which it keeps: the wanted one
        rounded to 1/256, never rounded to 0 or 1 unless it was 0 or 1.
    """
    steps = round(keep * _STEPS)
    if 0 < keep < 1:
        steps = min(max(steps, 1), _STEPS - 1)
    size = math.prod(shape)
    words = jax.random.bits(key, (-(-size // 4),), jnp.uint32)
    octets = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(-1)[:size].reshape(shape)
    if steps == _STEPS:
        return jnp.ones(shape, bool), 1.0
    return octets < jnp.uint8(steps), steps / _STEPS


@registry.register()
class Dropout(Layer):
    """Sets a random fraction of its inputs to 0 while training, and scales the others up.

        y = mask · x / (1 - rate) in training;  y = x in inference

    Shapes:
        x: (batch, *features) → the same.

    Args:
        rate: The fraction dropped, in [0, 1]. At 0 the layer does nothing, at 1 everything
            becomes 0. Masks realize it in steps of 1/256 and are scaled by the exact value.
        noise_shape: The shape of the mask where it is shared along axes, such as
            `(None, 1, features)`; None means one draw for each element.
        seed: With an integer, the masks depend on it as well.
        **kwargs: `name`, `input_shape`.

    Raises:
        InvalidArgumentError: If the rate is outside [0, 1].

    Example:
        >>> Dropout(0.2).rate
        0.2

    References:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting",
        JMLR 2014. https://jmlr.org/papers/v15/srivastava14a.html
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.rate = number_in(f"{type(self).__name__}(rate)", rate, 0, 1)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        where = f"{type(self).__name__}(seed)"
        self.seed = None if seed is None else integer_at_least(0, where, seed)

    def call(self, inputs: Array, training: bool | None = None) -> Array:
        """Drops in training, passes inputs through otherwise."""
        inputs = as_float(inputs)
        if not training or self.rate == 0:
            return inputs
        if self.rate == 1:
            return jnp.zeros_like(inputs)
        mask, keep = keep_mask(self._mask_key(), 1 - self.rate, self._mask_shape(inputs))
        return jnp.where(jnp.broadcast_to(mask, inputs.shape), inputs / keep, 0.0)

    def _mask_key(self) -> Array:
        key = self.next_key()
        return key if self.seed is None else jax.random.fold_in(key, self.seed)

    def _mask_shape(self, inputs: Array) -> tuple[int, ...]:
        if self.noise_shape is None:
            return inputs.shape
        return tuple(
            own if shared is None else shared
            for own, shared in zip(inputs.shape, self.noise_shape, strict=True)
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "rate": self.rate,
            "noise_shape": None if self.noise_shape is None else list(self.noise_shape),
            "seed": self.seed,
        }
