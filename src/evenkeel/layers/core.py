"""The layers that most networks are made of: Dense, Flatten, Reshape, Activation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from evenkeel import activations, constraints, initializers, regularizers
from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    explain,
    positive_integer,
)
from evenkeel.layers.base import Layer, Shape, as_float, describe, registry
from evenkeel.layers.base import get as get_layer
from evenkeel.network import Array, times


@registry.register()
class Dense(Layer):
    """A fully connected layer: each unit sums all inputs, weighted, and applies an activation.

        y = activation(x · kernel + bias)

    Shapes:
        x: (batch, ..., inputs) → (batch, ..., units); kernel (inputs, units), bias (units,).

    Args:
        units: The number of units, at least 1.
        activation: A name, a function, or a layer such as `LeakyReLU(0.2)`; None is linear.
        use_bias: Whether to add a bias; leave it out before a batch normalization.
        kernel_initializer: The rule for the starting kernel; Glorot uniform by default, He for
            ReLU and its variants, LeCun normal for SELU.
        bias_initializer: The rule for the starting bias; zeros by default.
        kernel_regularizer: A penalty on the kernel that is added to the loss, such as `"l2"`.
        bias_regularizer: A penalty on the bias.
        kernel_constraint: A limit that the kernel is put back into after each update, such as
            `MaxNorm(2.0)`.
        bias_constraint: A limit on the bias.
        **kwargs: `name`, `trainable`, `activity_regularizer`, `input_shape`.

    Raises:
        InvalidArgumentError: If `units` is no positive integer or a name is unknown.

    Example:
        >>> layer = Dense(10, activation="relu", kernel_initializer="he_normal")
        >>> layer.kernel_initializer
        HeNormal()
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = positive_integer("Dense(units)", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel: Any = None
        self.bias: Any = None

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses inputs without features, and inputs of another width than it was built for."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, expected (batch, features).",
                    "A dense layer needs to know how many features a row has.",
                    "Reshape x to (rows, features), for example with x.reshape(-1, 1).",
                )
            )
        if self.built and input_shape[-1] != self.kernel.shape[0]:
            flat = math.prod(n or 0 for n in input_shape[1:])
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, expected "
                    f"(batch, {self.kernel.shape[0]}).",
                    "Put ek.layers.Flatten() before it."
                    if flat == self.kernel.shape[0]
                    else f"Give inputs with {self.kernel.shape[0]} features, or build a new "
                    "network for this input.",
                )
            )

    def build(self, input_shape: Shape) -> None:
        """Adds the kernel and the bias."""
        self.kernel = self.add_weight(
            (input_shape[-1], self.units),
            self.kernel_initializer,
            name="kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                name="bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, inputs: Array) -> Array:
        """Computes activation(x · kernel + bias)."""
        outputs = times(as_float(inputs), self.kernel)
        if self.use_bias:
            outputs = outputs + self.bias.value.reshape((1,) * (outputs.ndim - 1) + (-1,))
        return self.activation(outputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Replaces the last dimension by `units`."""
        self.check_input_shape(input_shape)
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": describe_activation(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": describe(self.kernel_initializer),
            "bias_initializer": describe(self.bias_initializer),
            "kernel_regularizer": describe(self.kernel_regularizer),
            "bias_regularizer": describe(self.bias_regularizer),
            "kernel_constraint": describe(self.kernel_constraint),
            "bias_constraint": describe(self.bias_constraint),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Rebuilds the layer from `get_config()`."""
        return cls(**{**config, "activation": activation_from(config["activation"])})


@registry.register()
class Flatten(Layer):
    """Lays every input out as one row of numbers.

    Shapes:
        x: (batch, *sizes) → (batch, product of sizes); (batch,) → (batch, 1).

    Args:
        **kwargs: `name`, `input_shape`.

    Example:
        >>> Flatten().compute_output_shape((None, 28, 28))
        (None, 784)
    """

    def call(self, inputs: Array) -> Array:
        """Reshapes to (batch, features)."""
        return inputs.reshape(inputs.shape[0], -1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns (batch, product of the other sizes)."""
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(n for n in rest if n))


@registry.register()
class Reshape(Layer):
    """Gives every input another shape with as many elements.

    Shapes:
        x: (batch, *sizes) → (batch, *target_shape).

    Args:
        target_shape: The new shape without the batch; one size may be -1, meaning the rest.
        **kwargs: `name`, `input_shape`.

    Example:
        >>> Reshape((28, 28, 1)).compute_output_shape((None, 784))
        (None, 28, 28, 1)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)
        sizes = [n for n in self.target_shape if n != -1]
        if self.target_shape.count(-1) > 1 or any(not isinstance(n, int) or n < 1 for n in sizes):
            raise InvalidArgumentError(
                explain(
                    f"Reshape(target_shape): got {self.target_shape}, expected positive "
                    "integers, of which one may be -1.",
                    "Type the shape without the batch, such as Reshape((28, 28, 1)).",
                )
            )

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses inputs with another number of elements."""
        if None not in input_shape[1:]:
            self._resolve(math.prod(n for n in input_shape[1:] if n is not None), input_shape)

    def call(self, inputs: Array) -> Array:
        """Reshapes every input."""
        return inputs.reshape(inputs.shape[0], *self.target_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns (batch, *target_shape) with -1 worked out."""
        size = math.prod(n for n in input_shape[1:] if n is not None)
        return (input_shape[0], *self._resolve(size, input_shape))

    def _resolve(self, size: int, input_shape: Shape) -> tuple[int, ...]:
        known = math.prod(n for n in self.target_shape if n != -1)
        fits = size % known == 0 if -1 in self.target_shape else size == known
        if not fits:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, {size} elements a row, "
                    f"which do not fit into {self.target_shape}.",
                    "Give a target_shape with as many elements.",
                )
            )
        return tuple(size // known if n == -1 else n for n in self.target_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "target_shape": list(self.target_shape)}


@registry.register()
class Activation(Layer):
    """An activation as a layer of its own, for example behind a batch normalization.

    Shapes:
        x: (batch, *features) → the same.

    Args:
        activation: A name or a function.
        **kwargs: `name`, `input_shape`.

    Example:
        >>> Activation("elu").activation.__name__
        'elu'
    """

    def __init__(self, activation: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Array) -> Array:
        """Applies the activation."""
        return self.activation(as_float(inputs))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "activation": describe_activation(self.activation)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Rebuilds the layer from `get_config()`."""
        return cls(**{**config, "activation": activation_from(config["activation"])})


def describe_activation(activation: Any) -> Any:
    """Writes an activation down: a name, a layer's configuration, or the user's own function."""
    return activations.name_of(activation) or describe(activation)


def activation_from(description: Any) -> Any:
    """Returns the activation that `describe_activation` wrote down."""
    if isinstance(description, dict):
        return get_layer(description)
    return activations.get(description)
