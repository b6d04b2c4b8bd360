"""Constraints against the recorded weights of Keras and PyTorch."""

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
APPLICATIONS = [
    pytest.param(name, weight, id=f"{name}-{weight}")
    for name in cases.CONSTRAINTS
    for weight in cases.constrained(name)
]


def built(name):
    case = cases.CONSTRAINTS[name]
    return getattr(ek.constraints, case.kind)(**case.arguments)


@pytest.mark.parametrize(("name", "weight"), APPLICATIONS)
def test_constrained_weights_are_those_of_keras(name, weight):
    """The constraint of the same name and arguments; the kernel's last column is zero."""
    recorded = RECORDED[f"keras/{name}/value/{weight}"]
    for constraint in (built(name), jax.jit(built(name))):
        ours = constraint(jnp.asarray(WEIGHTS[weight]))
        np.testing.assert_allclose(ours, recorded, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["max_norm", "max_norm_rows"])
def test_max_norm_is_the_renorm_of_pytorch(name):
    """`torch.renorm` in double precision; Keras and we also divide by 1 + 1e-7/norm."""
    ours = built(name)(jnp.asarray(WEIGHTS["kernel"]))
    recorded = RECORDED[f"torch/{name}/value/kernel"]
    np.testing.assert_allclose(ours, recorded, rtol=2e-6, atol=1e-9)
