"""What is probably not meant, said before the first step: outputs that do not suit their loss.

Each is legal, so each is a warning, and each names the line to change. What suits what is knowledge
of `doctor.outputs`, which the doctor's rules judge by as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import jax

from evenkeel import activations
from evenkeel.doctor.outputs import LOSS_NAMES, misfit
from evenkeel.engine.objective import Head
from evenkeel.errors import EvenkeelWarning, explain
from evenkeel.network import is_shape

# Activations that are layers, by their class; a fresh PReLU has slopes of 0 and is a ReLU.
_ACTIVATION_LAYERS = {
    "Softmax": "softmax",
    "ReLU": "relu",
    "PReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "RReLU": "rrelu",
    "ELU": "elu",
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
        if kind in LOSS_NAMES and activation is not None:
            from_logits = bool(getattr(head.loss, "from_logits", False))
            wrong = misfit(kind, activation, shape[-1], from_logits=from_logits)
            if wrong is not None:
                where = f"The output layer {layer.name!r} ({type(layer).__name__})"
                warnings.warn(
                    explain(f"{where} {wrong.found}", wrong.fix), EvenkeelWarning, stacklevel=4
                )


def activation_of(layer: Any) -> str | None:
    """Returns the name of the activation that a layer ends with, if that is known.

    Example:
        >>> from evenkeel.layers import Dense, LeakyReLU
        >>> activation_of(Dense(3, activation="softmax")), activation_of(LeakyReLU())
        ('softmax', 'leaky_relu')
    """
    kind = next((c.__name__ for c in type(layer).__mro__ if c.__name__ in _ACTIVATION_LAYERS), None)
    if kind is not None:
        return _ACTIVATION_LAYERS[kind]
    activation = getattr(layer, "activation", None)
    if activation is None:
        return None
    return activations.name_of(activation) or activation_of(activation)
