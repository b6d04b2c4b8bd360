"""Layers that make raw numbers fit for a network: Normalization, Rescaling.

They are part of the model, so that a saved model takes the raw numbers that it was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    explain,
    number_in,
    require,
)
from evenkeel.layers.base import Layer, Shape, as_float, registry
from evenkeel.layers.normalization import feature_axes, positive_axes
from evenkeel.network import Array, Variable

# Rows are taken in parts of about so many elements, so that double precision needs little memory.
_PART = 2**22


@registry.register()
class Normalization(Layer):
    """Standardizes each feature with a mean and variance learned from data before training.

        y = (x - mean) / sqrt(variance)

    A feature that never varied in the data is only shifted: dividing by almost nothing would
    turn the first row in which it differs into a huge number. (Keras divides by 1e-7.)

    Shapes:
        x: (batch, ..., features) → the same.

    Args:
        axis: The axis, or axes, whose places have a mean and a variance each; -1 for tables and
            images with the channels last. None for one mean and one variance of everything.
        mean: The means, where they are known already; a number, or one for each feature.
        variance: The variances, at least 0; given if and only if `mean` is.
        invert: Whether to do the opposite, y = mean + x · sqrt(variance): what brings a
            standardized prediction back to its unit.
        **kwargs: `name`, `input_shape`.

    Raises:
        InvalidArgumentError: If only one of `mean` and `variance` is given, or a variance is
            negative, or the axis is the batch's.

    Example:
        >>> layer = Normalization()
        >>> layer.adapt(np.array([[0.0], [2.0]]))
        >>> layer(np.array([[4.0]])).tolist()
        [[3.0]]
        >>> Normalization(mean=1.0, variance=4.0)(np.array([[5.0]])).tolist()
        [[2.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.axis = None if axis is None else feature_axes("Normalization", axis)
        self.invert = bool(invert)
        require(
            (mean is None) == (variance is None),
            "Normalization: got only one of mean and variance, expected both or neither.",
            "Type Normalization(mean=..., variance=...), or leave both out and call adapt(x).",
        )
        self.input_mean = _known("mean", mean, -math.inf)
        self.input_variance = _known("variance", variance, 0)

    @property
    def _has_statistics(self) -> bool:
        return self.input_mean is not None

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses inputs without the axes, or with other sizes along them."""
        sizes = tuple(input_shape[a] for a in self._kept(input_shape))
        if self.built and not self._has_statistics and sizes != self.mean.shape:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, expected "
                    f"{self.mean.shape} along axis {self.axis}, as in the data that it learned "
                    "from.",
                    "Give inputs with the same features, or make a new layer and adapt it.",
                )
            )

    def _kept(self, shape: Shape) -> tuple[int, ...]:
        return () if self.axis is None else positive_axes(self, self.axis, shape)

    def build(self, input_shape: Shape) -> None:
        """Adds mean and variance, neither of them trainable, unless they were given."""
        self.mean: Variable | np.ndarray
        self.variance: Variable | np.ndarray
        sizes = tuple(input_shape[a] for a in self._kept(input_shape))
        if self._has_statistics:
            self.mean = self._spread("mean", self.input_mean, sizes)
            self.variance = self._spread("variance", self.input_variance, sizes)
            return
        self.mean = self.add_weight(sizes, "zeros", name="mean", trainable=False)
        self.variance = self.add_weight(sizes, "ones", name="variance", trainable=False)

    def _spread(self, name: str, given: Any, sizes: tuple[int | None, ...]) -> np.ndarray:
        known = tuple(1 if n is None else n for n in sizes)
        try:
            return np.broadcast_to(np.asarray(given, np.float32), known)
        except ValueError:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: {name} has the shape {np.shape(given)}, and inputs have "
                    f"the sizes {sizes} along axis {self.axis}.",
                    f"Give one {name} for each feature, or one for all.",
                )
            ) from None

    def adapt(self, data: Any) -> None:
        """Learns mean and variance from data, in double precision.

        Args:
            data: An array or a DataFrame (rows, ..., features), or an iterable of batches of
                them, such as a PyTorch DataLoader; of a batch (x, y) the x counts. All axes are
                averaged over but those of `axis`.

        Raises:
            InvalidDataError: If there are no rows, or a value is NaN or infinite; the layer stays
                as it was.
        """
        if self._has_statistics:
            raise InvalidArgumentError(
                explain(
                    f"{self._where()}: adapt was called, but mean and variance were given already.",
                    "Leave them out of the constructor to learn them from data.",
                )
            )
        total: _Moments | None = None
        shape: Shape = ()
        for values in _batches(data):
            part = self._checked_moments(values)
            if total is not None and total.mean.shape != part.mean.shape:
                raise InvalidDataError(
                    explain(
                        f"{self._where()}: adapt got batches with {total.mean.shape} and "
                        f"{part.mean.shape} along axis {self.axis}.",
                        "Give batches with the same features.",
                    )
                )
            total = part if total is None else total.joined(part)
            shape = (None, *values.shape[1:])
        if total is None:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: adapt got no batches.",
                    "Give the training inputs: layer.adapt(x_train).",
                )
            )
        self.ensure_built(shape)
        # What never varied has variance 0 exactly, whatever rounding makes of it.
        variance = np.where(total.lowest == total.highest, 0.0, total.squares / total.rows)
        assert isinstance(self.mean, Variable)
        assert isinstance(self.variance, Variable)
        self.mean.assign(total.mean.astype(np.float32))
        self.variance.assign(variance.astype(np.float32))

    def _checked_moments(self, values: np.ndarray) -> _Moments:
        if values.ndim < 2 or len(values) == 0:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: adapt got data of shape {values.shape}, expected "
                    "(rows, ..., features) with at least one row.",
                    "Give the training inputs: layer.adapt(x_train).",
                )
            )
        self.check_input_shape((None, *values.shape[1:]))
        kept = self._kept(values.shape)
        moments = _moments(values, tuple(d for d in range(values.ndim) if d not in kept))
        if not (np.isfinite(moments.lowest) & np.isfinite(moments.highest)).all():
            raise InvalidDataError(
                explain(
                    f"{self._where()}: adapt got data with NaN or infinity in it.",
                    "Drop or fill those rows, for example with scikit-learn's SimpleImputer.",
                )
            )
        return moments

    def call(self, inputs: Array) -> Array:
        """Subtracts the mean and divides by the standard deviation, or the other way round."""
        x = as_float(inputs)
        kept = self._kept(x.shape)
        shape = tuple(n if d in kept else 1 for d, n in enumerate(x.shape))
        mean, variance = (
            jnp.asarray(value) if isinstance(value, np.ndarray) else value.value
            for value in (self.mean, self.variance)
        )
        scale = jnp.where(variance > 0, jnp.sqrt(variance), 1.0)
        if scale.size == 1:  # one mean for all features, whatever their number
            shape = (1,) * x.ndim
        mean, scale = mean.reshape(shape), scale.reshape(shape)
        return mean + x * scale if self.invert else (x - mean) / scale

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the input's shape."""
        self.check_input_shape(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "axis": None if self.axis is None else list(self.axis),
            "mean": self.input_mean,
            "variance": self.input_variance,
            "invert": self.invert,
        }


class _Moments(NamedTuple):
    """What part of the data amounts to: enough to join it with another part."""

    rows: int
    mean: np.ndarray
    squares: np.ndarray  # the sum of squared deviations from the mean
    lowest: np.ndarray
    highest: np.ndarray

    def joined(self, other: _Moments) -> _Moments:
        """Returns what both parts amount to (Chan et al. 1983, equation 2.1)."""
        rows = self.rows + other.rows
        apart = other.mean - self.mean
        return _Moments(
            rows,
            self.mean + apart * (other.rows / rows),
            self.squares + other.squares + apart**2 * (self.rows * other.rows / rows),
            np.minimum(self.lowest, other.lowest),
            np.maximum(self.highest, other.highest),
        )


def _moments(values: np.ndarray, axes: tuple[int, ...]) -> _Moments:
    rows = max(1, _PART // max(1, math.prod(values.shape[1:])))
    parts = (values[start : start + rows] for start in range(0, len(values), rows))
    with np.errstate(invalid="ignore"):  # infinite values are refused by whoever asked
        return reduce(_Moments.joined, (_moments_of_part(part, axes) for part in parts))


def _moments_of_part(part: np.ndarray, axes: tuple[int, ...]) -> _Moments:
    mean = part.mean(axes, dtype=np.float64)
    squares = np.square(part - np.expand_dims(mean, axes)).sum(axes)
    count = math.prod(part.shape[d] for d in axes)
    return _Moments(count, mean, squares, part.min(axes), part.max(axes))


def _batches(data: Any) -> Iterator[np.ndarray]:
    """Yields arrays: the data itself, or the inputs of each batch of an iterable."""
    first = data
    while isinstance(first, list | tuple) and first:
        first = first[0]
    if hasattr(data, "__array__") or isinstance(first, int | float):
        yield np.asarray(data)
        return
    for batch in data:
        inputs = batch[0] if isinstance(batch, list | tuple) else batch
        yield np.asarray(inputs)


def _known(name: str, value: Any, low: float) -> Any:
    """Checks given statistics and returns them as plain numbers, which JSON can hold."""
    if value is None:
        return None
    given = np.asarray(value)
    is_number = given.dtype.kind in "iuf"
    require(
        is_number and bool(np.isfinite(given).all()) and bool((given >= low).all()),
        f"Normalization({name}): got {value!r}, expected finite numbers"
        + ("." if math.isinf(low) else f" of at least {low:g}."),
        f"Give one {name} for each feature, or one for all.",
    )
    return given.tolist()


@registry.register()
class Rescaling(Layer):
    """Multiplies by a scale and adds an offset, the same for all inputs.

        y = scale · x + offset

    Shapes:
        x: (batch, *features) → the same.

    Args:
        scale: The factor; `1 / 255` for pixels.
        offset: What is added afterwards.
        **kwargs: `name`, `input_shape`.

    Example:
        >>> Rescaling(1 / 255)(np.array([[255]])).tolist()
        [[1.0]]
    """

    def __init__(self, scale: float, offset: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = number_in("Rescaling(scale)", scale, -math.inf, math.inf)
        self.offset = number_in("Rescaling(offset)", offset, -math.inf, math.inf)

    def call(self, inputs: Array) -> Array:
        """Computes scale · x + offset."""
        return as_float(inputs) * self.scale + self.offset

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}
