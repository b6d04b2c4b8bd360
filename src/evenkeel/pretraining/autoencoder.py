"""Pretraining as an autoencoder: a network that puts out what came in, through a narrow middle.

The encoder is what a supervised network will begin with. Three things keep it from learning to copy
without understanding: a middle narrower than the input, noise on the input that the output has not,
and a penalty on units that are active often.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp

from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    explain,
    number_in,
    require,
)
from evenkeel.layers import Dropout, Layer
from evenkeel.layers.base import registry
from evenkeel.models import Sequential
from evenkeel.models.advice import activation_of
from evenkeel.network import Array
from evenkeel.pretraining.decoding import mirrored
from evenkeel.pretraining.parts import Trunk, copied_layers, layers_of, numbers_of
from evenkeel.pretraining.result import Pretrained, Stage

_WHERE = "pretraining.autoencoder"
# A mean activity of 0 or 1 would make the divergence infinite.
_LEAST_ACTIVITY = 1e-6


def autoencoder(
    layers: Any,
    x: Any,
    *,
    decoder: Any = None,
    noise: Any = None,
    tied: bool = False,
    sparsity: Any = None,
    sparsity_weight: float = 0.1,
    loss: Any = None,
    optimizer: Any = "adam",
    epochs: int = 10,
    batch_size: int = 128,
    **settings: Any,
) -> Pretrained:
    """Trains layers to keep what matters of their input: as the encoder of an autoencoder.

        h = encoder(x + noise),    x' = decoder(h),    the loss compares x' with x

    Layers in front that have nothing to train (`Flatten`, `Rescaling`, `Normalization`) stay as
    they are, and what they put out is what is reconstructed. The layers given are copied, weights
    and all, and left untouched.

    Args:
        layers: The encoder: a list of layers, or a `Sequential`.
        x: The rows, without labels.
        decoder: The layers that lead back; the mirror image of dense layers when None.
        noise: What spoils the input in training, for a denoising autoencoder: a layer such as
            `GaussianNoise(0.2)`, or the fraction of the inputs, in (0, 1), that is set to zero
            (the others are scaled up, as in `Dropout`). None adds none.
        tied: Whether the decoder's kernels are the transposes of the encoder's, which halves the
            weights.
        sparsity: For a sparse autoencoder, what holds the encoder's outputs down: the wanted mean
            activity ρ of each unit, in (0, 1), if the encoder ends with a sigmoid; or a regularizer
            on the outputs such as `L1(1e-4)`. None lets them be.
        sparsity_weight: The factor on the penalty of a wanted activity, at least 0.
        loss: How x' is compared with x. When None, binary cross-entropy behind a sigmoid if all
            inputs lie between 0 and 1, and the mean squared error behind a linear output if not.
        optimizer: A name, an optimizer, or an optax transformation.
        epochs: How often each row is used.
        batch_size: Rows a step.
        **settings: Whatever else `fit` takes: `callbacks`, `validation_split`, `verbose`.

    Returns:
        The encoder's layers, ready for `.then(...)`; the whole is `.networks["autoencoder"]`.

    Raises:
        InvalidArgumentError: If an argument is impossible, or there is no mirror image.
        InvalidDataError: If rows, encoder and decoder do not fit each other.

    Example:
        >>> import evenkeel as ek
        >>> (x, y), _ = ek.datasets.digits.load_data()
        >>> layers = [ek.layers.Rescaling(1 / 16), ek.layers.Dense(30, activation="relu")]
        >>> pretrained = ek.pretraining.autoencoder(layers, x, noise=0.3, epochs=2)
        >>> first, last = pretrained.history["loss"]
        >>> last < first
        True
        >>> model = pretrained.then(ek.layers.Dense(10, activation="softmax"))

    References:
        Vincent et al., "Extracting and Composing Robust Features with Denoising Autoencoders",
        ICML 2008. https://doi.org/10.1145/1390156.1390294
    """
    trunk = Trunk(_WHERE, layers, x)
    before, behind = _noise(noise), _sparsity(sparsity, sparsity_weight, trunk.trained)
    back = _decoder(decoder, trunk, loss, tied)
    network = Sequential([*before, *trunk.trained, *behind, *back])
    network.ensure_built((None, *trunk.input_shape))
    _require_equal_shapes(network, trunk)
    fitting = "binary_crossentropy" if trunk.inputs_are_fractions else "mse"
    network.compile(optimizer, loss=fitting if loss is None else loss)
    settings = {"verbose": 0, **settings}
    history = network.fit(
        trunk.inputs, trunk.inputs, epochs=epochs, batch_size=batch_size, **settings
    )
    return Pretrained(
        method="an autoencoder",
        layers=trunk.layers,
        stages=(Stage(name="autoencoder", history=numbers_of(history)),),
        networks={"autoencoder": network},
    )


def _decoder(decoder: Any, trunk: Trunk, loss: Any, tied: bool) -> list[Layer]:
    if decoder is not None:
        require(
            not tied,
            f"{_WHERE}: got a decoder and tied=True, which ties the mirror image of the encoder.",
            "Leave one of them out.",
        )
        return copied_layers(layers_of(f"{_WHERE}, decoder", decoder))
    name = getattr(loss, "target_kind", loss)
    is_binary = trunk.inputs_are_fractions if loss is None else "binary" in str(name)
    return mirrored(_WHERE, trunk.trained, "sigmoid" if is_binary else None, tied)


def _require_equal_shapes(network: Sequential, trunk: Trunk) -> None:
    found, expected = tuple(network.output_shape[1:]), trunk.input_shape
    if found != expected:
        reshape = "." if len(expected) == 1 else f" and Reshape({expected})."
        raise InvalidDataError(
            explain(
                f"{_WHERE}: the decoder puts out rows of shape {found}, expected {expected}, the "
                "shape of what comes in.",
                "An autoencoder is judged by comparing the two.",
                f"End the decoder with Dense({math.prod(expected)}){reshape}",
            )
        )


# -- noise and sparsity --------------------------------------------------------------------------


def _noise(noise: Any) -> list[Layer]:
    if noise is None:
        return []
    if isinstance(noise, Layer):
        return copied_layers([noise])
    return [Dropout(number_in(f"{_WHERE}(noise)", noise, 0, 1, low_open=True, high_open=True))]


def _sparsity(sparsity: Any, weight: float, encoder: list[Layer]) -> list[Layer]:
    if sparsity is None:
        return []
    if not isinstance(sparsity, int | float):
        return [ActivityPenalty(activity_regularizer=sparsity)]
    target = number_in(f"{_WHERE}(sparsity)", sparsity, 0, 1, low_open=True, high_open=True)
    ending = activation_of(encoder[-1])
    if ending != "sigmoid":
        raise InvalidArgumentError(
            explain(
                f"{_WHERE}(sparsity): got {sparsity!r}, a mean activity, and the encoder ends with "
                f"{ending or type(encoder[-1]).__name__}, expected sigmoid.",
                "The mean of such a unit is not a probability.",
                "Type sparsity=ek.regularizers.L1(1e-4), or end with activation='sigmoid'.",
            )
        )
    return [ActivityPenalty(target, weight)]


@registry.register()
class ActivityPenalty(Layer):
    """Passes its input on and penalizes units whose mean over the batch is far from a target.

        penalty = weight · Σⱼ KL(ρ ‖ mⱼ),    KL(ρ ‖ m) = ρ·log(ρ/m) + (1 - ρ)·log((1 - ρ)/(1 - m))

    Shapes:
        x: (batch, units) → the same, with values from 0 to 1.

    Args:
        target: The wanted mean ρ of each unit, in (0, 1); None sets no target.
        weight: The factor on the penalty, at least 0.
        **kwargs: `name`, `activity_regularizer`.

    Example:
        >>> ActivityPenalty(target=0.05).target
        0.05

    References:
        Ng, "Sparse Autoencoder", CS294A lecture notes, Stanford 2011.
    """

    def __init__(self, target: float | None = None, weight: float = 0.1, **kwargs: Any):
        super().__init__(**kwargs)
        self.target = target
        self.weight = number_in(f"{_WHERE}(sparsity_weight)", weight, 0, math.inf)

    def call(self, inputs: Array, training: bool | None = None) -> Array:
        """Returns the input."""
        if self.target is not None and training:
            self.add_loss(self.weight * jnp.sum(divergence(self.target, jnp.mean(inputs, axis=0))))
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "target": self.target, "weight": self.weight}


def divergence(target: float, activity: Array) -> Array:
    """Returns KL(ρ ‖ m) of two coins, in nats, for a wanted ρ and measured means m.

    Example:
        >>> float(divergence(0.5, jnp.array(0.5)))
        0.0
    """
    m = jnp.clip(activity, _LEAST_ACTIVITY, 1 - _LEAST_ACTIVITY)
    rest = 1 - target
    return target * jnp.log(target / m) + rest * jnp.log(rest / (1 - m))
