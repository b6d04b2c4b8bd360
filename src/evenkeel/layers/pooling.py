"""Layers that make images smaller: maxima and averages of windows, or of the whole image.

They are computed from strided slices, whose derivatives are cheap: on a CPU a training step of
2 x 2 maxima is several times faster than by windowed reductions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import jax.numpy as jnp
import numpy as np

from evenkeel.layers.base import Layer, Shape, as_float, registry
from evenkeel.layers.convolution import (
    Window,
    channels_last,
    check_images,
    checked_padding,
    new_sizes,
    pair,
)
from evenkeel.network import Array


class _Pooling(Layer):
    """Windows that move over images, each channel on its own."""

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        name = type(self).__name__
        self.pool_size = pair(f"{name}(pool_size)", pool_size)
        given = pool_size if strides is None else strides
        self.strides = pair(f"{name}(strides)", given)
        self.padding = checked_padding(name, padding)
        self.data_format = channels_last(name, data_format)

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses what is no image, or smaller than the window."""
        check_images(self, type(self).__name__, input_shape, "pooling needs")
        new_sizes(self, self._windows(), input_shape)

    def _windows(self) -> tuple[Window, Window]:
        (rows, columns), (down, right) = self.pool_size, self.strides
        return Window(rows, down, 1, self.padding), Window(columns, right, 1, self.padding)

    def _pooled(self, x: Array, fill: float, join: Callable[[Array, Array], Array]) -> Array:
        """Joins what each window sees, first along columns of pixels, then along rows."""
        for axis, window in enumerate(self._windows(), start=1):
            pads = [window.pads(n) if d == axis else (0, 0) for d, n in enumerate(x.shape)]
            if any(map(any, pads)):
                x = jnp.pad(x, pads, constant_values=fill)
            x = reduce(join, window.slices(x, axis))
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns (batch, new height, new width, channels)."""
        self.check_input_shape(input_shape)
        sizes = new_sizes(self, self._windows(), input_shape)
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
        }


@registry.register()
class MaxPooling2D(_Pooling):
    """The largest value in each window of an image, channel by channel.

    The image gets smaller, and small shifts of a pattern matter less. Where several pixels are
    largest, they share the gradient.

    Shapes:
        x: (batch, height, width, channels) → (batch, new height, new width, channels).

    Args:
        pool_size: Height and width of the window, or one number for both.
        strides: How far it moves; as far as its size when None.
        padding: `"valid"` keeps inside the image, and may leave its last pixels out; `"same"`
            sees all of them.
        data_format: Only `"channels_last"`.
        **kwargs: `name`, `input_shape`.

    Raises:
        InvalidArgumentError: If a size is no positive integer or the padding unknown.

    Example:
        >>> MaxPooling2D(2).compute_output_shape((None, 28, 28, 32))
        (None, 14, 14, 32)
    """

    def call(self, inputs: Array) -> Array:
        """Takes the maxima."""
        return self._pooled(as_float(inputs), -jnp.inf, jnp.maximum)


@registry.register()
class AveragePooling2D(_Pooling):
    """The mean of each window of an image, channel by channel.

    Padding does not count: at the border the mean is that of the real pixels.

    Shapes:
        x: (batch, height, width, channels) → (batch, new height, new width, channels).

    Args:
        pool_size: Height and width of the window, or one number for both.
        strides: How far it moves; as far as its size when None.
        padding: `"valid"` keeps inside the image, and may leave its last pixels out; `"same"`
            sees all of them.
        data_format: Only `"channels_last"`.
        **kwargs: `name`, `input_shape`.

    Raises:
        InvalidArgumentError: If a size is no positive integer or the padding unknown.

    Example:
        >>> AveragePooling2D(2)(jnp.arange(4.0).reshape(1, 2, 2, 1)).item()
        1.5
    """

    def call(self, inputs: Array) -> Array:
        """Takes the means."""
        x = as_float(inputs)
        sums = self._pooled(x, 0.0, jnp.add)
        counts = [_real(window, n) for window, n in zip(self._windows(), x.shape[1:3], strict=True)]
        return sums * (1.0 / np.outer(*counts)).astype(np.float32)[None, :, :, None]


def _real(window: Window, n: int) -> np.ndarray:
    """Returns how many of the n elements of an axis each place of a window sees."""
    starts = np.arange(window.count(n)) * window.stride - window.pads(n)[0]
    return np.minimum(starts + window.size, n) - np.maximum(starts, 0)


class _GlobalPooling(Layer):
    """One number for each channel of an image."""

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = channels_last(type(self).__name__, data_format)
        self.keepdims = bool(keepdims)

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses what is no image."""
        check_images(self, type(self).__name__, input_shape, "pooling needs")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns (batch, channels), or (batch, 1, 1, channels)."""
        self.check_input_shape(input_shape)
        batch, _, _, channels = input_shape
        return (batch, 1, 1, channels) if self.keepdims else (batch, channels)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "keepdims": self.keepdims,
        }


@registry.register()
class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of each channel over the whole image.

    Instead of a Flatten it ends the convolutions without weights, and for images of any size.

    Shapes:
        x: (batch, height, width, channels) → (batch, channels).

    Args:
        data_format: Only `"channels_last"`.
        keepdims: Whether height and width stay, with size 1.
        **kwargs: `name`, `input_shape`.

    Example:
        >>> GlobalAveragePooling2D().compute_output_shape((None, 7, 7, 64))
        (None, 64)

    References:
        Lin et al., "Network In Network", ICLR 2014. https://arxiv.org/abs/1312.4400
    """

    def call(self, inputs: Array) -> Array:
        """Takes the means."""
        return jnp.mean(as_float(inputs), (1, 2), keepdims=self.keepdims)


@registry.register()
class GlobalMaxPooling2D(_GlobalPooling):
    """The largest value of each channel in the whole image.

    It says whether a pattern is there at all, wherever that is.

    Shapes:
        x: (batch, height, width, channels) → (batch, channels).

    Args:
        data_format: Only `"channels_last"`.
        keepdims: Whether height and width stay, with size 1.
        **kwargs: `name`, `input_shape`.

    Example:
        >>> GlobalMaxPooling2D(keepdims=True).compute_output_shape((None, 7, 7, 64))
        (None, 1, 1, 64)
    """

    def call(self, inputs: Array) -> Array:
        """Takes the maxima."""
        return jnp.max(as_float(inputs), (1, 2), keepdims=self.keepdims)
