"""The layers that most networks are made of: Dense, Activation, Identity."""

from __future__ import annotations

import math
from typing import Any

from evenkeel import activations, constraints, initializers, regularizers
from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    explain,
    nearest,
    positive_integer,
)
from evenkeel.layers.activation import PReLU
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
            `"prelu"` gives the layer slopes of its own that it learns.
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
        self.activation = activation_from(activation)
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
        build_activation(self.activation, (*input_shape[:-1], self.units))

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


@registry.register()
class Activation(Layer):
    """An activation as a layer of its own, for example behind a batch normalization.

    Shapes:
        x: (batch, *features) → the same.

    Args:
        activation: A name, a function, or a layer; `"prelu"` makes a new one.
        **kwargs: `name`, `input_shape`.

    Example:
        >>> Activation("elu").activation.__name__
        'elu'
    """

    def __init__(self, activation: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.activation = activation_from(activation)

    def build(self, input_shape: Shape) -> None:
        """Builds the activation, if it is a layer."""
        build_activation(self.activation, input_shape)

    def call(self, inputs: Array) -> Array:
        """Applies the activation."""
        return self.activation(as_float(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "activation": describe_activation(self.activation)}


@registry.register()
class Identity(Layer):
    """Passes its input on as it is: a place to look at, or one to fill in later.

    Shapes:
        x: (batch, *features) → the same.

    Args:
        **kwargs: `name`, `input_shape`.

    Example:
        >>> Identity()([[1.0, 2.0]]).tolist()
        [[1.0, 2.0]]
    """

    def call(self, inputs: Any) -> Any:
        """Returns the input."""
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape."""
        return input_shape


def describe_activation(activation: Any) -> Any:
    """Writes an activation down: a name, a layer's configuration, or the user's own function."""
    return activations.name_of(activation) or describe(activation)


# Activations with weights of their own: their name stands for a new layer, each time it is used.
_LEARNED = {"prelu": PReLU}


def activation_from(identifier: Any) -> Any:
    """Returns the activation that a name, configuration, function or layer stands for.

    Args:
        identifier: Whatever `activations.get` takes, a layer's configuration as
            `describe_activation` wrote it down, or `"prelu"`, which gives a new layer.

    Raises:
        InvalidArgumentError: If there is no such activation; the nearest name is offered.
    """
    if isinstance(identifier, dict):
        return get_layer(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Layer):
        return identifier()
    if not isinstance(identifier, str):
        return activations.get(identifier)
    learned = _LEARNED.get(identifier.lower().replace("_", ""))
    if learned is not None:
        return learned()
    try:
        return activations.get(identifier)
    except InvalidArgumentError:
        known = [*activations.registry.names, *_LEARNED]
        raise InvalidArgumentError(
            explain(f"Unknown activation {identifier!r}.", nearest(identifier, known))
        ) from None


def build_activation(activation: Any, shape: Shape) -> None:
    """Builds an activation that is a layer, for what will come in."""
    if isinstance(activation, Layer):
        activation.ensure_built(shape)
