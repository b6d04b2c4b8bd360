"""Canaries of chance: masks drop as many units as they should, each by itself."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from evenkeel.canaries.base import canary
from evenkeel.engine import compilation
from evenkeel.layers.dropout import Dropout
from evenkeel.network import Scope, entered, random_key

_ROWS, _COLUMNS = 256, 256
# Four numbers, each of which exceeds this many standard deviations once in 10^9 honest draws.
_MOST_DEVIATIONS = 6.0


def _dropping(rate: float) -> Any:
    """Returns a compiled dropout layer: where it drops, for a key."""
    layer = Dropout(rate, name="canary")

    def drops(key: Any) -> Any:
        with entered(Scope(training=True, key=key)):
            return layer.call(jnp.ones((_ROWS, _COLUMNS)), training=True) == 0

    return compilation.compiled(drops)


def _deviations(hits: np.ndarray, expected: float) -> float:
    """How many standard deviations the mean of yes-or-no draws is off."""
    return abs(float(hits.mean()) - expected) / math.sqrt(expected * (1 - expected) / hits.size)


@canary(
    "standard deviations off, the most of four:",
    _MOST_DEVIATIONS,
    quick=True,
    if_it_fails="Dropout would drop too many units, too few, or always the same. Type "
    "pip install --upgrade jax jaxlib.",
)
def dropout_masks() -> float:
    """Of 65,536 units dropout drops a quarter.

    Neighbors in a row and in a column are dropped together as often as chance has it, and another
    key drops others.
    """
    rate = 0.25  # a multiple of 1/256, which masks realize exactly
    drops = _dropping(rate)
    mask, other = np.asarray(drops(random_key(1))), np.asarray(drops(random_key(2)))
    return max(
        _deviations(mask, rate),
        _deviations(mask[:, ::2] & mask[:, 1::2], rate**2),
        _deviations(mask[::2] & mask[1::2], rate**2),
        _deviations(mask & other, rate**2),
    )


@canary("relative difference", 1e-5, name="units that stay are scaled up")
def _scaled_up() -> float:
    """What dropout leaves is divided by the exact fraction that stays, so that the mean is kept."""
    layer = Dropout(0.25, name="canary")
    with entered(Scope(training=True, key=random_key(1))):
        out = np.asarray(layer.call(jnp.ones((64, 64)), training=True))
    return float(np.abs(out[out != 0] * 0.75 - 1).max())
