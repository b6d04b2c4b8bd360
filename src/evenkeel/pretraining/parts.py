"""The plumbing of pretraining: copies of layers, and what comes before the first trained one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenkeel.engine import intake
from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.layers import InputLayer, Layer
from evenkeel.layers.symbolic import SymbolicTensor
from evenkeel.models import Model, Sequential


def copied_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Returns layers of the same settings and weights, which share nothing with the originals.

    Example:
        >>> from evenkeel.layers import Dense
        >>> layer = Dense(2)
        >>> layer.build_shape is None and copied_layers([layer])[0] is not layer
        True
    """
    return [_copied(layer) for layer in layers]


def _copied(layer: Layer) -> Layer:
    config = layer.get_config()
    if layer._auto_named and not isinstance(layer, Model):
        config.pop("name", None)  # so that the copy finds a free name wherever it is used
    copy = type(layer).from_config(config)
    copy.declared_shape = layer.declared_shape
    if layer.built and layer.build_shape is not None:
        copy.ensure_built(layer.build_shape)
        copy.set_weights(layer.get_weights())
    return copy


def layers_of(where: str, layers: Any) -> list[Layer]:
    """Returns the layers that a caller gave, as a list or a `Sequential`, checked.

    Args:
        where: What the user called, for messages.
        layers: A list of layers, which an `Input` may lead, or a `Sequential`.

    Raises:
        InvalidArgumentError: If it is neither, or holds something that is no layer.
    """
    if isinstance(layers, Sequential):
        return layers.layers
    given = list(layers) if isinstance(layers, list | tuple) else None
    if given and _is_input(given[0]):
        given = given[1:]
    wrong = [layer for layer in given or [] if not isinstance(layer, Layer)]
    if not given or wrong:
        found = repr(wrong[0]) if wrong else "none" if given == [] else repr(layers)
        raise InvalidArgumentError(
            explain(
                f"{where}(layers): got {found}, expected layers in a list, or a Sequential.",
                "Type [ek.layers.Dense(100, activation='relu')], or model.layers[:-1].",
            )
        )
    return given


def _is_input(layer: Any) -> bool:
    return isinstance(layer, SymbolicTensor | InputLayer)


class Trunk:
    """Copies of the layers that are pretrained, built for the data.

    Layers before the first one with weights to train (`Flatten`, `Rescaling`, `Normalization`) stay
    as they are. What they put out, the trunk's `inputs`, is computed once, and is what a network
    that is trained without labels is about.

    Args:
        where: What the user called, for messages.
        layers: The user's layers, which are left as they are.
        x: The rows without labels.

    Raises:
        InvalidArgumentError: If something is no layer, or there is nothing to train.
        InvalidDataError: If the rows do not fit the layers.
    """

    def __init__(self, where: str, layers: Any, x: Any):
        self.where = where
        rows = intake.inputs(x)
        self.layers = copied_layers(layers_of(where, layers))
        whole = Sequential(self.layers)
        intake.check_inputs(whole, rows)
        whole.ensure_built((None, *rows.shape[1:]))
        self.output_shape: tuple[int, ...] = tuple(whole.output_shape[1:])
        first = next(
            (n for n, layer in enumerate(self.layers) if layer.trainable_weights), len(self.layers)
        )
        if first == len(self.layers):
            raise InvalidArgumentError(
                explain(
                    f"{where}(layers): none of the {first} layers has weights to train.",
                    "Give layers such as ek.layers.Dense(100, activation='relu'), and leave "
                    "trainable=True.",
                )
            )
        self.before, self.trained = self.layers[:first], self.layers[first:]
        self.inputs = self._inputs(rows)

    def _inputs(self, rows: np.ndarray) -> np.ndarray:
        if self.before:
            return np.asarray(Sequential(self.before).predict(rows), np.float32)
        return rows.astype(np.float32, copy=False)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row of `inputs`."""
        return self.inputs.shape[1:]

    @property
    def inputs_are_fractions(self) -> bool:
        """Whether all inputs lie between 0 and 1, so that they can be read as probabilities."""
        return bool(self.inputs.min() >= 0 and self.inputs.max() <= 1)


def numbers_of(history: Any) -> dict[str, list[float]]:
    """Returns a run's numbers, one float an epoch."""
    return {name: list(values) for name, values in history.history.items()}
