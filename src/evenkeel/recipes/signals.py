"""What a stack yet to be built would do to gradients, asked of the doctor's theory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from evenkeel.doctor import moments
from evenkeel.doctor.patient import Kernel, LayerRecord, Patient
from evenkeel.doctor.statistics import Numbers

# From this factor on the ends of a stack learn at rates too unlike for one rate to suit both.
UNEVEN = 1.5
_WIDTH = 100


def gradient_factor(activation: str, units: Sequence[int], features: int = _WIDTH) -> float:
    """Returns by what factor gradients change from the last hidden layer back to the first.

    The weights are those of the initializer that the activation calls for, with no normalization
    between the layers.

    Args:
        activation: The hidden layers' activation.
        units: The units of each.
        features: How many numbers go in.

    Example:
        >>> [round(gradient_factor(name, [100] * 20), 2) for name in ("relu", "elu", "sigmoid")]
        [0.99, 4.15, 0.0]
    """
    initializer = moments.initializer_for(activation)
    layers = []
    for number, shape in enumerate(pairwise([features, *units, 1])):
        kernel = Kernel(shape=shape, rms=moments.rms_of(initializer, shape))
        layers.append(
            LayerRecord(
                name=str(number),
                kinds=("Dense",),
                sources=(str(number - 1),) if number else (),
                activation=activation,
                kernel=kernel,
            )
        )
    stretches = Numbers(Patient(layers=tuple(layers)))["depths"]
    return stretches[0].backward if stretches else 1.0


def change_through(hidden_layers: int) -> float:
    """Returns by what factor gradients grow through so many layers of ELU with He weights.

    Example:
        >>> round(change_through(2), 2), round(change_through(20), 2)
        (1.12, 4.15)
    """
    return gradient_factor("elu", [_WIDTH] * hidden_layers)


def is_deep(hidden_layers: int) -> bool:
    """Whether so many layers need a normalization between them, or one of their own.

    Example:
        >>> is_deep(4), is_deep(5)
        (False, True)
    """
    return change_through(hidden_layers) > UNEVEN
