"""Activations with a parameter, as layers: LeakyReLU, ELU, ReLU, Softmax."""

from __future__ import annotations

import math
from typing import Any

from evenkeel import activations
from evenkeel.errors import InvalidArgumentError, explain, number_in, require
from evenkeel.layers.base import Layer, as_float, registry
from evenkeel.network import Array


@registry.register()
class LeakyReLU(Layer):
    """x above 0, `negative_slope`·x below: units that cannot die.

    Shapes:
        x: (batch, *features) → the same.

    Args:
        negative_slope: The slope below 0, at least 0; 0.3 as in Keras, where the function
            `activations.leaky_relu` has 0.2.
        alpha: The older name of `negative_slope`; give one of the two.
        **kwargs: `name`, `input_shape`.

    Example:
        >>> LeakyReLU(alpha=0.2).negative_slope
        0.2

    References:
        Maas et al., "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.
    """

    def __init__(
        self, negative_slope: float | None = None, *, alpha: float | None = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        if negative_slope is not None and alpha is not None:
            raise InvalidArgumentError(
                explain(
                    "LeakyReLU got both negative_slope and alpha, which are one thing.",
                    "Type LeakyReLU(negative_slope=0.2).",
                )
            )
        slope = 0.3 if negative_slope is None and alpha is None else (negative_slope or alpha or 0)
        self.negative_slope = number_in("LeakyReLU(negative_slope)", slope, 0, math.inf)

    def call(self, inputs: Array) -> Array:
        """Applies the slope below 0."""
        return activations.leaky_relu(as_float(inputs), self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "negative_slope": self.negative_slope}


@registry.register()
class ReLU(Layer):
    """max(0, x), optionally capped.

    Shapes:
        x: (batch, *features) → the same.

    Args:
        max_value: The largest output, above 0; None for no cap.
        **kwargs: `name`, `input_shape`.

    Example:
        >>> ReLU(max_value=6.0).max_value
        6.0
    """

    def __init__(self, max_value: float | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.max_value = (
            None
            if max_value is None
            else number_in("ReLU(max_value)", max_value, 0, math.inf, low_open=True)
        )

    def call(self, inputs: Array) -> Array:
        """Cuts below 0 and above the cap."""
        return as_float(inputs).clip(0, self.max_value)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "max_value": self.max_value}


@registry.register()
class ELU(Layer):
    """x above 0, α(e^x - 1) below.

    Shapes:
        x: (batch, *features) → the same.

    Args:
        alpha: The α that very negative inputs approach, as -α; at least 0.
        **kwargs: `name`, `input_shape`.

    Example:
        >>> ELU().alpha
        1.0

    References:
        Clevert et al., ICLR 2016. https://arxiv.org/abs/1511.07289
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.alpha = number_in("ELU(alpha)", alpha, 0, math.inf)

    def call(self, inputs: Array) -> Array:
        """Applies the function."""
        return activations.elu(as_float(inputs), self.alpha)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "alpha": self.alpha}


@registry.register()
class Softmax(Layer):
    """Probabilities over classes.

    Shapes:
        x: (batch, ..., classes) → the same.

    Args:
        axis: The axis of the classes.
        **kwargs: `name`, `input_shape`.

    Example:
        >>> Softmax().axis
        -1
    """

    def __init__(self, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        require(
            isinstance(axis, int) and not isinstance(axis, bool),
            f"Softmax(axis): got {axis!r}, expected an integer.",
            "Type axis=-1 for the last axis.",
        )
        self.axis = axis

    def call(self, inputs: Array) -> Array:
        """Applies softmax."""
        return activations.softmax(as_float(inputs), self.axis)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "axis": self.axis}
