"""Decoders: the mirror image of an encoder, with weights of its own or with the encoder's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.layers import (
    ELU,
    Activation,
    AlphaDropout,
    BatchNormalization,
    Dense,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    Layer,
    LeakyReLU,
    PReLU,
    ReLU,
)
from evenkeel.layers.base import describe, registry
from evenkeel.layers.core import activation_from, describe_activation
from evenkeel.network import Array, Shape, current_precision
from evenkeel.precision import product
from evenkeel.pretraining.parts import copied_layers

_ACTIVATIONS = (Activation, ELU, LeakyReLU, PReLU, ReLU)
# Layers of an encoder that have no counterpart in its mirror image.
_WITHOUT_MIRROR = (AlphaDropout, BatchNormalization, Dropout, GaussianDropout, GaussianNoise)


@registry.register()
class TransposedDense(Layer):
    """A dense layer whose kernel is the transpose of another's: y = activation(x · Wᵀ + bias).

    Both kernels are one variable, trained by what either is used for. The bias is the layer's own.

    Shapes:
        x: (batch, ..., units of the other) → (batch, ..., inputs of the other).

    Args:
        of: The name of the dense layer whose kernel it is.
        activation: A name, a function, or a layer; None is linear.
        dense: The built layer itself; without it the layer cannot be built.
        **kwargs: `name`, `trainable`.

    Example:
        >>> import numpy as np
        >>> dense = Dense(2, input_shape=(3,))
        >>> _ = dense(np.ones((1, 3)))
        >>> TransposedDense("dense", dense=dense)(np.ones((1, 2))).shape
        (1, 3)
    """

    def __init__(self, of: str, activation: Any = None, dense: Dense | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.of = of
        self.activation = activation_from(activation)
        # The variable alone: with the layer as an attribute, it would stand in the network twice.
        self._kernel = None if dense is None else dense.kernel

    def build(self, input_shape: Shape) -> None:
        """Adds the bias."""
        if self._kernel is None:
            raise InvalidArgumentError(
                explain(
                    f"{self._where()}: the layer {self.of!r}, whose kernel it uses, is not known.",
                    "A tied decoder cannot be rebuilt from its settings; save and load the "
                    "encoder's layers, or pretrain with tied=False.",
                )
            )
        self.bias = self.add_weight((self._kernel.shape[0],), "zeros", name="bias")

    def call(self, inputs: Array) -> Array:
        """Computes activation(x · Wᵀ + bias)."""
        assert self._kernel is not None
        outputs = product(inputs, self._kernel.value.T, current_precision())
        return self.activation(outputs + self.bias.value.reshape((1,) * (outputs.ndim - 1) + (-1,)))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments that can be written down."""
        config = {"of": self.of, "activation": describe_activation(self.activation)}
        return {**super().get_config(), **config}


def mirrored(
    where: str,
    encoder: Sequence[Layer],
    output_activation: Any,
    tied: bool,
) -> list[Layer]:
    """Returns the mirror image of a built encoder: the widths of its layers, backwards.

    Each layer of the decoder has the activation of the encoder's layer of the same width; the last
    has `output_activation`. Noise, dropout and batch normalization have no counterpart.

    Args:
        where: What the user called, for messages.
        encoder: The layers, dense ones with activations, noise and the like between them.
        output_activation: The activation of the last layer.
        tied: Whether kernels are the transposes of the encoder's.

    Raises:
        InvalidArgumentError: If a layer has no mirror image.
    """
    groups = dense_groups(where, encoder)
    decoder: list[Layer] = []
    for number in range(len(groups) - 1, -1, -1):
        dense, below = groups[number][0], groups[number - 1] if number else []
        activation = describe_activation(below[0].activation) if below else output_activation
        decoder.append(
            TransposedDense(dense.name, activation, dense)
            if tied
            else Dense(
                dense.kernel.shape[0],
                activation,
                kernel_initializer=describe(dense.kernel_initializer),
            )
        )
        decoder += copied_layers([layer for layer in below[1:] if isinstance(layer, _ACTIVATIONS)])
    return decoder


def dense_groups(where: str, layers: Sequence[Layer]) -> list[list[Any]]:
    """Returns dense layers, each with the activations, noise and normalization that follow it.

    Raises:
        InvalidArgumentError: If another kind of layer is among them, or the first is not dense.
    """
    groups: list[list[Any]] = []
    for layer in layers:
        if isinstance(layer, Dense):
            groups.append([layer])
        elif groups and isinstance(layer, _ACTIVATIONS + _WITHOUT_MIRROR):
            groups[-1].append(layer)
        else:
            raise InvalidArgumentError(
                explain(
                    f"{where}(layers): the layer {layer.name!r} ({type(layer).__name__}) has no "
                    "mirror image; expected Dense layers, with activations, dropout or batch "
                    "normalization behind them.",
                    "Give a decoder to ek.pretraining.autoencoder: decoder=[...], whose output has "
                    "the shape of the input.",
                )
            )
    return groups
