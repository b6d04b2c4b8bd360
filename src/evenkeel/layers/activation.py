"""Activations with a parameter, as layers: LeakyReLU, PReLU, RReLU, ELU, ReLU, Softmax.

Each can also stand in another layer: `Dense(30, activation=LeakyReLU(0.2))`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from evenkeel import activations, constraints, initializers, regularizers
from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    explain,
    integer_at_least,
    number_in,
    require,
)
from evenkeel.layers.base import Layer, Shape, as_float, describe, registry
from evenkeel.network import Array


class _Elementwise(Layer):
    """A layer whose output has its input's shape."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape."""
        return input_shape


@registry.register()
class LeakyReLU(_Elementwise):
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
class PReLU(_Elementwise):
    """x above 0, α·x below, with a slope α that each unit learns.

    Where data is plenty it fits better than a fixed slope; on small data it can overfit.

        y = max(0, x) + α · min(0, x)

    Shapes:
        x: (batch, *features) → the same; alpha (*features), with size 1 along shared axes.

    Args:
        alpha_initializer: The rule for the starting slopes; zeros by default, a ReLU.
        alpha_regularizer: A penalty on the slopes that is added to the loss.
        alpha_constraint: A limit that the slopes are put back into after each update.
        shared_axes: The axes along which all units share one slope, counted from 1, the first
            behind the batch: `[1, 2]` gives each channel of an image one slope.
        **kwargs: `name`, `trainable`, `activity_regularizer`, `input_shape`.

    Raises:
        InvalidArgumentError: If a shared axis is no integer of at least 1.

    Example:
        >>> layer = PReLU(alpha_initializer=initializers.Constant(0.5))
        >>> layer(jnp.array([[-2.0, 2.0]])).tolist()
        [[-1.0, 2.0]]

    References:
        He et al., "Delving Deep into Rectifiers", ICCV 2015. https://arxiv.org/abs/1502.01852
    """

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Sequence[int] | int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        axes = shared_axes if isinstance(shared_axes, list | tuple) else [shared_axes]
        self.shared_axes = (
            None
            if shared_axes is None
            else [integer_at_least(1, "PReLU(shared_axes)", axis) for axis in axes]
        )

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses inputs that the slopes do not fit, and shared axes that are not there."""
        beyond = [axis for axis in self.shared_axes or [] if axis >= len(input_shape)]
        if beyond:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, and shared_axes is "
                    f"{self.shared_axes}; there is no axis {beyond[0]}.",
                    "Axes are counted from 1, the first behind the batch.",
                )
            )
        if self.built and self._slopes(input_shape) != self.alpha.shape:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, but the learned slopes have "
                    f"the shape {self.alpha.shape}.",
                    "Each unit has its own slope, so that one PReLU serves inputs of one size.",
                    "Make one for each place: PReLU(), or activation='prelu'.",
                )
            )

    def _slopes(self, input_shape: Shape) -> tuple[int | None, ...]:
        shared = self.shared_axes or []
        return tuple(1 if d in shared else n for d, n in enumerate(input_shape) if d > 0)

    def build(self, input_shape: Shape) -> None:
        """Adds the slopes."""
        self.alpha = self.add_weight(
            self._slopes(input_shape),
            self.alpha_initializer,
            name="alpha",
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )

    def call(self, inputs: Array) -> Array:
        """Applies the learned slopes below 0."""
        x = as_float(inputs)
        return jnp.where(x > 0, x, self.alpha.value[None] * x)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "alpha_initializer": describe(self.alpha_initializer),
            "alpha_regularizer": describe(self.alpha_regularizer),
            "alpha_constraint": describe(self.alpha_constraint),
            "shared_axes": self.shared_axes,
        }


@registry.register()
class RReLU(_Elementwise):
    """x above 0, a·x below, with a slope a drawn anew for each element while training.

    The noise holds back overfitting, as dropout's does:

        a ~ U(lower, upper) in training;  a = (lower + upper) / 2 in inference

    Shapes:
        x: (batch, *features) → the same.

    Args:
        lower: The smallest slope below 0, at least 0; 1/8 by default. Slopes are the midpoints of
            256 equal parts of the interval.
        upper: The largest slope below 0, at least `lower`; 1/3 by default. Where both are equal
            it is a LeakyReLU.
        seed: With an integer, the slopes depend on it as well.
        **kwargs: `name`, `input_shape`.

    Raises:
        InvalidArgumentError: If the interval is empty or has a negative end.

    Example:
        >>> RReLU(lower=0.2, upper=0.3)(jnp.array([[-1.0, 2.0]])).tolist()
        [[-0.25, 2.0]]

    References:
        Xu et al., "Empirical Evaluation of Rectified Activations in Convolutional Network", 2015.
        https://arxiv.org/abs/1505.00853
    """

    def __init__(
        self,
        lower: float = 1 / 8,
        upper: float = 1 / 3,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.lower = number_in("RReLU(lower)", lower, 0, math.inf)
        self.upper = number_in("RReLU(upper)", upper, self.lower, math.inf)
        self.seed = None if seed is None else integer_at_least(0, "RReLU(seed)", seed)

    def call(self, inputs: Array, training: bool | None = None) -> Array:
        """Applies random slopes in training, the mean slope otherwise."""
        key = self.next_key() if training else None
        if key is not None and self.seed is not None:
            key = jax.random.fold_in(key, self.seed)
        return activations.rrelu_with(key, as_float(inputs), self.lower, self.upper)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "lower": self.lower,
            "upper": self.upper,
            "seed": self.seed,
        }


@registry.register()
class ReLU(_Elementwise):
    """max(0, x), optionally capped, with a slope below, or starting at a threshold.

        y = min(x, max_value) above the threshold;  negative_slope · (x - threshold) up to it

    Shapes:
        x: (batch, *features) → the same.

    Args:
        max_value: The largest output, at least 0; None for no cap.
        negative_slope: The slope up to the threshold, at least 0.
        threshold: Where the unit starts to pass its input on, at least 0.
        **kwargs: `name`, `input_shape`.

    Raises:
        InvalidArgumentError: If a number is negative or not finite.

    Example:
        >>> ReLU(max_value=6.0)(jnp.array([[-1.0, 9.0]])).tolist()
        [[0.0, 6.0]]
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.max_value = (
            None if max_value is None else number_in("ReLU(max_value)", max_value, 0, math.inf)
        )
        self.negative_slope = number_in("ReLU(negative_slope)", negative_slope, 0, math.inf)
        self.threshold = number_in("ReLU(threshold)", threshold, 0, math.inf)

    def call(self, inputs: Array) -> Array:
        """Applies the function."""
        return activations.relu(
            as_float(inputs), self.negative_slope, self.max_value, self.threshold
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


@registry.register()
class ELU(_Elementwise):
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
class Softmax(_Elementwise):
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
