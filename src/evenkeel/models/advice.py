"""What is probably not meant, said before the first step: outputs that do not suit their loss.

Each is legal, so each is a warning, and each names the line to change.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import jax

from evenkeel import activations
from evenkeel.engine.objective import Head
from evenkeel.errors import EvenkeelWarning, explain
from evenkeel.network import is_shape

_PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid")
_NAMES = {
    "binary": "binary_crossentropy",
    "one-hot": "categorical_crossentropy",
    "classes": "sparse_categorical_crossentropy",
}


def warn_about_outputs(model: Any, heads: Sequence[Head]) -> None:
    """Warns about each output whose activation does not suit its loss.

    Args:
        model: A built model; one whose last layers are not known is left alone.
        heads: What is asked of its outputs.
    """
    shapes = jax.tree.leaves(model.output_shape, is_leaf=is_shape)
    for head, layer, shape in zip(heads, model.last_layers(), shapes, strict=False):
        kind = None if head.loss is None else head.loss.target_kind
        activation = activation_of(layer)
        if kind in _NAMES and activation is not None:
            from_logits = bool(getattr(head.loss, "from_logits", False))
            advice = _advice(kind, activation, shape[-1], from_logits)
            if advice is not None:
                where = f"The output layer {layer.name!r} ({type(layer).__name__})"
                warnings.warn(
                    explain(f"{where} {advice[0]}", advice[1]), EvenkeelWarning, stacklevel=4
                )


def activation_of(layer: Any) -> str | None:
    """Returns the name of the activation that a layer ends with, if that is known.

    Example:
        >>> from evenkeel.layers import Dense
        >>> activation_of(Dense(3, activation="softmax"))
        'softmax'
    """
    if type(layer).__name__ == "Softmax":
        return "softmax"
    if not hasattr(layer, "activation"):
        return None
    return activations.name_of(layer.activation)


def _advice(
    kind: str, activation: str, units: int | None, from_logits: bool
) -> tuple[str, str] | None:
    """Returns what is wrong and what to type, or None."""
    loss = _NAMES[kind]
    is_probability = activation in _PROBABILITIES
    if from_logits and is_probability:
        return (
            f"already applies {activation!r}, and the loss has from_logits=True, so that it is "
            "applied twice.",
            f"Type loss={loss!r}, or leave the activation out.",
        )
    if from_logits:
        return None
    if activation == "softmax" and units == 1:
        return (
            "applies softmax to one unit, whose output is then always 1.",
            "Type Dense(1, activation='sigmoid') with loss='binary_crossentropy', or one unit for "
            "each class.",
        )
    if not is_probability:
        fitting = "sigmoid" if kind == "binary" else "softmax"
        return (
            f"ends with the activation {activation!r}, but the loss {loss!r} expects "
            "probabilities.",
            f"Type activation={fitting!r} in that layer, or "
            f"loss=ek.losses.{_class_name(kind)}(from_logits=True).",
        )
    if kind != "binary" and activation != "softmax":
        return (
            f"ends with {activation!r}, whose outputs do not add up to 1, but the loss {loss!r} "
            "expects one probability a class.",
            "Type activation='softmax', or loss='binary_crossentropy' if a row can belong to "
            "several classes.",
        )
    if kind == "binary" and activation == "softmax":
        return (
            "ends with 'softmax', but the loss 'binary_crossentropy' judges each unit on its own.",
            "Type loss='categorical_crossentropy', or activation='sigmoid' if a row can belong to "
            "several classes.",
        )
    return None


def _class_name(kind: str) -> str:
    return "".join(word.capitalize() for word in _NAMES[kind].split("_"))
