"""Layers that make raw numbers fit for a network: Normalization, Rescaling.

They are part of the model, so that a saved model takes the raw numbers that it was trained on.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from evenkeel.errors import InvalidDataError, explain, number_in
from evenkeel.layers.base import Layer, Shape, as_float, registry
from evenkeel.network import Array


@registry.register()
class Normalization(Layer):
    """Standardizes each feature with a mean and variance learned from data before training.

        y = (x - mean) / sqrt(variance)

    A feature that never varied in the data is only shifted: dividing by almost nothing would
    turn the first row in which it differs into a huge number. (Keras divides by 1e-7.)

    Shapes:
        x: (batch, ..., features) → the same.

    Args:
        **kwargs: `name`, `input_shape`.

    Example:
        >>> layer = Normalization()
        >>> layer.adapt(np.array([[0.0], [2.0]]))
        >>> layer(np.array([[4.0]])).tolist()
        [[3.0]]
    """

    def build(self, input_shape: Shape) -> None:
        """Adds mean and variance, neither of them trainable."""
        features = (input_shape[-1],)
        self.mean = self.add_weight(features, "zeros", name="mean", trainable=False)
        self.variance = self.add_weight(features, "ones", name="variance", trainable=False)

    def adapt(self, data: Any) -> None:
        """Learns mean and variance from data, in double precision.

        Args:
            data: An array (rows, ..., features); all axes but the last are averaged over.

        Raises:
            InvalidDataError: If there are no rows.
        """
        values = np.asarray(data)
        if values.ndim < 2 or len(values) == 0:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: adapt got data of shape {values.shape}, expected "
                    "(rows, ..., features) with at least one row.",
                    "Give the training inputs: layer.adapt(x_train).",
                )
            )
        axes = tuple(range(values.ndim - 1))
        lowest, highest = values.min(axes), values.max(axes)
        if not (np.isfinite(lowest) & np.isfinite(highest)).all():
            raise InvalidDataError(
                explain(
                    f"{self._where()}: adapt got data with NaN or infinity in it.",
                    "Drop or fill those rows, for example with scikit-learn's SimpleImputer.",
                )
            )
        self.ensure_built((None, *values.shape[1:]))
        # What never varied has variance 0 exactly, whatever rounding makes of it.
        variance = np.where(lowest == highest, 0.0, values.var(axes, dtype=np.float64))
        self.mean.assign(values.mean(axes, dtype=np.float64).astype(np.float32))
        self.variance.assign(variance.astype(np.float32))

    def call(self, inputs: Array) -> Array:
        """Subtracts the mean and divides by the standard deviation."""
        shape = (1,) * (inputs.ndim - 1) + (-1,)
        variance = self.variance.value
        scale = jnp.where(variance > 0, jnp.sqrt(variance), 1.0)
        return (as_float(inputs) - self.mean.value.reshape(shape)) / scale.reshape(shape)


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
