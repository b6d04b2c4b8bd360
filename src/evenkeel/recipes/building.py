"""A recipe's choices turned into a compiled model.

Raw inputs come in and raw answers go out: the standardization of the inputs is the first layer, and
where numbers are to be predicted, the last layer puts their unit back. The loss is measured in
standard deviations of the targets, so that gradients are of size 1 whatever the unit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evenkeel import layers, losses, optimizers
from evenkeel.doctor.outputs import LOSS_NAMES
from evenkeel.doctor.rules.training import BatchnormHorizon
from evenkeel.models import Sequential
from evenkeel.optimizers.schedules import OneCycle
from evenkeel.recipes.profile import Profile
from evenkeel.regularizers import L1

if TYPE_CHECKING:
    from evenkeel.recipes.recipe import Recipe

RAW_UNITS = "raw_units"
MOMENTUM = 0.9
_USUAL_AVERAGE = 0.99


def built(recipe: Recipe) -> Sequential:
    """Returns a new compiled model."""
    profile = recipe.profile
    stack = [_standardized(profile)]
    if len(profile.shape) > 1:
        stack.append(layers.Flatten())
    for units in recipe["hidden"]:
        stack += _hidden(recipe, units)
    stack.append(layers.Dense(profile.outputs, activation=output_activation(profile)))
    if profile.kind == "numbers":
        mean, deviation = profile.target_mean, profile.target_deviation
        stack.append(
            layers.Normalization(mean=mean, variance=deviation**2, invert=True, name=RAW_UNITS)
        )
    model = Sequential(stack, name=recipe.name)
    model.compile(
        _optimizer(recipe),
        loss=_loss(profile),
        metrics=["rmse", "mae", "r2"] if profile.kind == "numbers" else ["accuracy"],
        precision=recipe["precision"],
    )
    return model


def output_activation(profile: Profile) -> str | None:
    """Returns the activation of the last layer: what the targets' loss expects."""
    if profile.kind == "numbers":
        return None
    return "sigmoid" if profile.kind in ("binary", "labels") else "softmax"


def loss_name(profile: Profile) -> str:
    """Returns the name of the loss that targets call for."""
    names = {**LOSS_NAMES, "labels": LOSS_NAMES["binary"]}
    return names.get(profile.kind, "mean_squared_error")


def _loss(profile: Profile) -> Any:
    if profile.kind == "numbers":
        return losses.MeanSquaredError(scale=profile.target_deviation)
    return loss_name(profile)


def _standardized(profile: Profile) -> layers.Layer:
    layer = layers.Normalization(axis=profile.axis, input_shape=profile.shape)
    layer.ensure_built((None, *profile.shape))
    layer.set_weights([profile.mean, profile.variance])
    return layer


def _hidden(recipe: Recipe, units: int) -> list[layers.Layer]:
    activation = recipe["activation"]
    settings: dict[str, Any] = {"kernel_initializer": recipe["kernel_initializer"]}
    if recipe["l1"]:
        settings["kernel_regularizer"] = L1(recipe["l1"])
    if recipe["normalization"] is None:
        stack: list[layers.Layer] = [layers.Dense(units, activation=activation, **settings)]
    else:
        # Without a bias: the normalization would take it away again.
        stack = [
            layers.Dense(units, use_bias=False, **settings),
            _normalization(recipe),
            layers.Activation(activation),
        ]
    if recipe["dropout"]:
        kind = layers.AlphaDropout if activation == "selu" else layers.Dropout
        stack.append(kind(recipe["dropout"]))
    return stack


def _normalization(recipe: Recipe) -> layers.Layer:
    if recipe["normalization"] == "layer":
        return layers.LayerNormalization()
    # An average with momentum m still has m^steps of its start at the end of the run.
    longest = BatchnormHorizon.left ** (2 / steps_of(recipe["epochs"], recipe))
    return layers.BatchNormalization(momentum=min(_USUAL_AVERAGE, longest))


def steps_of(epochs: int, recipe: Recipe) -> int:
    """Returns how many steps so many epochs have, a tenth of the rows being kept back."""
    return epochs * math.ceil(max(1, 0.9 * recipe.profile.rows) / recipe["batch_size"])


def _optimizer(recipe: Recipe) -> optimizers.Optimizer:
    rate: Any = recipe["learning_rate"]
    if recipe["schedule"] == "1cycle":
        rate = OneCycle.linear(rate)
    decay = recipe["weight_decay"] or None
    if recipe["optimizer"] == "nesterov":
        return optimizers.SGD(rate, momentum=MOMENTUM, nesterov=True, weight_decay=decay)
    kind: Any = type(optimizers.get(recipe["optimizer"]))
    return kind(rate, weight_decay=recipe["weight_decay"] if kind is optimizers.AdamW else decay)
