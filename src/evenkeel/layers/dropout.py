"""Layers that are random in training: Dropout and its kin, Gaussian noise.

All of them pass their inputs through in inference. The bits of masks and noise come from `bits.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from evenkeel.activations import SELU_ALPHA, SELU_SCALE
from evenkeel.bits import normals, octets
from evenkeel.errors import (
    InvalidDataError,
    explain,
    integer_at_least,
    number_in,
    require,
)
from evenkeel.layers.base import Layer, Shape, as_float, registry
from evenkeel.network import Array

# A mask compares one random byte with a threshold, so that keep probabilities come in steps of
# 1/256.
_STEPS = 256

# What SELU gives for very negative inputs: -λα ≈ -1.7581.
_SELU_LIMIT = -SELU_SCALE * SELU_ALPHA


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
    if steps == _STEPS:
        return jnp.ones(shape, bool), 1.0
    return octets(key, shape) < jnp.uint8(steps), steps / _STEPS


class _Random(Layer):
    """A layer with a seed that passes its inputs through in inference."""

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        where = f"{type(self).__name__}(seed)"
        self.seed = None if seed is None else integer_at_least(0, where, seed)

    def _seeded_key(self) -> Array:
        key = self.next_key()
        return key if self.seed is None else jax.random.fold_in(key, self.seed)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}


class _Masked(_Random):
    """A layer that drops what a random mask says, one draw for each element or shared."""

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        *,
        everything: bool = True,
        **kwargs: Any,
    ):
        super().__init__(seed, **kwargs)
        self.rate = number_in(f"{type(self).__name__}(rate)", rate, 0, 1, high_open=not everything)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        sizes = [n for n in self.noise_shape or () if n is not None]
        require(
            all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sizes),
            f"{type(self).__name__}(noise_shape): got {noise_shape!r}, expected positive integers "
            "or None for a size of the input.",
            "Type noise_shape=(None, 1, 8) to share the mask along axis 1 of (batch, steps, 8).",
        )

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses inputs that the shape of the mask does not fit."""
        mask = self.noise_shape
        if mask is None:
            return
        fits = len(mask) == len(input_shape) and all(
            n is None or size is None or n in (1, size)
            for n, size in zip(mask, input_shape, strict=True)
        )
        if not fits:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, and noise_shape is {mask}.",
                    "noise_shape has as many sizes as the input, the batch first; each is None, "
                    "1, or the input's own.",
                )
            )

    def _draw(self, inputs: Array) -> tuple[Array, float]:
        """Returns a mask of the input's shape, and the exact probability that it keeps."""
        shape = self._mask_shape(inputs)
        mask, keep = keep_mask(self._seeded_key(), 1 - self.rate, shape)
        return jnp.broadcast_to(mask, inputs.shape), keep

    def _mask_shape(self, inputs: Array) -> tuple[int, ...]:
        if self.noise_shape is None:
            return inputs.shape
        return tuple(
            own if shared is None else shared
            for own, shared in zip(inputs.shape, self.noise_shape, strict=True)
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "rate": self.rate,
            "noise_shape": None if self.noise_shape is None else list(self.noise_shape),
        }


@registry.register()
class Dropout(_Masked):
    """Sets a random fraction of its inputs to 0 while training, and scales the others up.

    Units cannot rely on particular others, which holds back overfitting:

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
        super().__init__(rate, noise_shape, seed, **kwargs)

    def call(self, inputs: Array, training: bool | None = None) -> Array:
        """Drops in training, passes inputs through otherwise."""
        inputs = as_float(inputs)
        if not training or self.rate == 0:
            return inputs
        if self.rate == 1:
            return jnp.zeros_like(inputs)
        mask, keep = self._draw(inputs)
        return jnp.where(mask, inputs / keep, 0.0)


@registry.register()
class SpatialDropout2D(_Masked):
    """Drops whole channels of images while training, and scales the others up.

    Neighboring pixels say almost the same, so dropping single ones hides little.

        y = mask · x / (1 - rate) in training, one draw for each image and channel

    Shapes:
        x: (batch, height, width, channels) → the same.

    Args:
        rate: The fraction of channels dropped, in [0, 1]. At 0 the layer does nothing.
        seed: With an integer, the masks depend on it as well.
        **kwargs: `name`, `input_shape`.

    Raises:
        InvalidArgumentError: If the rate is outside [0, 1].

    Example:
        >>> SpatialDropout2D(0.2).rate
        0.2

    References:
        Tompson et al., "Efficient Object Localization Using Convolutional Networks", CVPR 2015.
        https://arxiv.org/abs/1411.4280
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any):
        super().__init__(rate, (None, 1, 1, None), seed, **kwargs)

    call = Dropout.call

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        del config["noise_shape"]
        return config


@registry.register()
class AlphaDropout(_Masked):
    """Dropout that leaves the mean and variance of SELU activations as they were.

    A dropped unit takes SELU's lower limit α' = -λα ≈ -1.7581; the result is then rescaled so
    that mean 0 and variance 1 in give mean 0 and variance 1 out:

        y = a·(mask·x + (1 - mask)·α') + b in training;  y = x in inference
        a = ((1 - p)·(1 + p·α'²))^(-1/2),    b = -a·p·α'

    Shapes:
        x: (batch, *features) → the same.

    Args:
        rate: The fraction p of units dropped, in [0, 1). At 0 the layer does nothing; at 1
            nothing would be left to rescale. Masks realize it in steps of 1/256, and a and b are
            those of the exact value.
        noise_shape: The shape of the mask where it is shared along axes; None means one draw for
            each element.
        seed: With an integer, the masks depend on it as well.
        **kwargs: `name`, `input_shape`.

    Raises:
        InvalidArgumentError: If the rate is outside [0, 1).

    Example:
        >>> AlphaDropout(rate=0.1)(jnp.array([[1.0, -1.0]])).tolist()
        [[1.0, -1.0]]

    References:
        Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017.
        https://arxiv.org/abs/1706.02515
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(rate, noise_shape, seed, everything=False, **kwargs)

    def call(self, inputs: Array, training: bool | None = None) -> Array:
        """Drops in training, passes inputs through otherwise."""
        inputs = as_float(inputs)
        if not training or self.rate == 0:
            return inputs
        mask, keep = self._draw(inputs)
        p = 1 - keep
        a = ((1 - p) * (1 + p * _SELU_LIMIT**2)) ** -0.5
        b = -a * p * _SELU_LIMIT
        return jnp.where(mask, a * inputs + b, a * _SELU_LIMIT + b)


@registry.register()
class GaussianDropout(_Random):
    """Multiplies its inputs by random numbers around 1 while training.

    Mean and variance are those of ordinary dropout at the same rate, without anything being lost:

        y = x · N(1, rate / (1 - rate)) in training;  y = x in inference

    Shapes:
        x: (batch, *features) → the same.

    Args:
        rate: The rate of the dropout that it resembles, in [0, 1). At 0 the layer does nothing;
            towards 1 the noise grows without bound.
        seed: With an integer, the noise depends on it as well.
        **kwargs: `name`, `input_shape`.

    Raises:
        InvalidArgumentError: If the rate is outside [0, 1).

    Example:
        >>> GaussianDropout(0.2).rate
        0.2

    References:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting",
        JMLR 2014, section 10. https://jmlr.org/papers/v15/srivastava14a.html
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any):
        super().__init__(seed, **kwargs)
        self.rate = number_in("GaussianDropout(rate)", rate, 0, 1, high_open=True)

    def call(self, inputs: Array, training: bool | None = None) -> Array:
        """Multiplies by noise in training, passes inputs through otherwise."""
        inputs = as_float(inputs)
        if not training or self.rate == 0:
            return inputs
        stddev = math.sqrt(self.rate / (1 - self.rate))
        return inputs * (1.0 + stddev * normals(self._seeded_key(), inputs.shape))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}


@registry.register()
class GaussianNoise(_Random):
    """Adds normal noise to its inputs while training.

    A network that sees each input a little differently every time overfits less; before an
    autoencoder it makes a denoising one.

        y = x + N(0, stddev²) in training;  y = x in inference

    Shapes:
        x: (batch, *features) → the same.

    Args:
        stddev: The standard deviation of the noise, at least 0, in the unit of the inputs. At 0
            the layer does nothing.
        seed: With an integer, the noise depends on it as well.
        **kwargs: `name`, `input_shape`.

    Raises:
        InvalidArgumentError: If the standard deviation is negative.

    Example:
        >>> GaussianNoise(0.1).stddev
        0.1

    References:
        Bishop, "Training with Noise is Equivalent to Tikhonov Regularization", 1995.
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any):
        super().__init__(seed, **kwargs)
        self.stddev = number_in("GaussianNoise(stddev)", stddev, 0, math.inf)

    def call(self, inputs: Array, training: bool | None = None) -> Array:
        """Adds noise in training, passes inputs through otherwise."""
        inputs = as_float(inputs)
        if not training or self.stddev == 0:
            return inputs
        return inputs + self.stddev * normals(self._seeded_key(), inputs.shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "stddev": self.stddev}
