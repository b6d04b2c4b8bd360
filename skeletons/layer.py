"""A layer to start from. `python -m doctest skeletons/layer.py` runs the example; silence is well.

CONTRIBUTING.md, "Add a layer", says where the class goes.
"""

from __future__ import annotations

from typing import Any

from evenkeel import initializers
from evenkeel.layers.base import Layer, Shape, as_float, describe, registry
from evenkeel.network import Array


@registry.register()
class Scale(Layer):
    """Multiplies each feature by a factor of its own that is learned.

    A network can so weigh its inputs without mixing them:

        y = γ · x

    Shapes:
        x: (batch, ..., features) → the same; factor (features,).

    Args:
        factor_initializer: The rule for the starting γ; ones by default, which change nothing.
        **kwargs: `name`, `trainable`, `input_shape`.

    Raises:
        InvalidArgumentError: If there is no such initializer.

    Example:
        >>> import numpy as np
        >>> layer = Scale(factor_initializer=initializers.Constant(2.0))
        >>> layer(np.array([[1.0, 3.0]])).tolist()
        [[2.0, 6.0]]

    References:
        Say here where the equation stands: authors, title, venue, year, address.
    """

    def __init__(self, factor_initializer: Any = "ones", **kwargs: Any):
        # Stores hyper-parameters and nothing else; refuses what cannot work, here and not later.
        super().__init__(**kwargs)
        self.factor_initializer = initializers.get(factor_initializer)

    def build(self, input_shape: Shape) -> None:
        """Adds the factor."""
        self.factor = self.add_weight(input_shape[-1:], self.factor_initializer, name="factor")

    def call(self, inputs: Array) -> Array:
        """Computes γ · x."""
        # Integers arrive as they are, and arrays of different rank do not broadcast unasked.
        # A layer that is random, or acts differently in training, takes `training=None` as well
        # and draws from `self.next_key()`: see layers/dropout.py.
        factor = self.factor.value.reshape((1,) * (inputs.ndim - 1) + (-1,))
        return as_float(inputs) * factor

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "factor_initializer": describe(self.factor_initializer)}
