"""Penalties against the recorded ones of Keras."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from tests.oracles import cases, recipe

RECORDED = np.load(Path(__file__).parent / "oracles" / "weights.npz")
WEIGHTS = recipe.constrained_weights()
every_case = pytest.mark.parametrize("name", cases.REGULARIZERS)
every_weight = pytest.mark.parametrize("weight", WEIGHTS)


def built(name):
    case = cases.REGULARIZERS[name]
    return getattr(ek.regularizers, case.kind)(**case.arguments)


def test_the_recipe_still_gives_the_recorded_weights():
    found = recipe.fingerprint(list(WEIGHTS.values()))
    np.testing.assert_allclose(found, RECORDED["fingerprint"], rtol=1e-12)


@every_case
@every_weight
def test_penalties_are_those_of_keras(name, weight):
    """The regularizer of the same name and arguments; float32 sums in another order."""
    ours = built(name)(jnp.asarray(WEIGHTS[weight]))
    np.testing.assert_allclose(ours, RECORDED[f"keras/{name}/penalty/{weight}"], rtol=1e-6)


@every_case
@every_weight
def test_gradients_of_penalties_are_those_of_keras(name, weight):
    """By Keras's own differentiation; the kernel has a column of zeros, where |w| has a kink."""
    ours = jax.jit(jax.grad(built(name)))(jnp.asarray(WEIGHTS[weight]))
    recorded = RECORDED[f"keras/{name}/gradient/{weight}"]
    np.testing.assert_allclose(ours, recorded, rtol=1e-6, atol=1e-9)
