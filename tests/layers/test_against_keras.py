"""Layers, their gradients and their updates against the recorded ones of Keras and PyTorch."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.network import Scope, entered
from tests.oracles import cases, recipe

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "layers.npz")
KEY = jax.random.key(0)


def recorded(library, quantity):
    """Returns pytest parameters: every (library, case, mode) with a quantity of that name."""
    names = [key.split("/") for key in RECORDED if key.startswith(f"{library}/")]
    found = dict.fromkeys((name, mode) for _, name, mode, what in names if what == quantity)
    return [pytest.param(name, mode, id=f"{name}-{mode}") for name, mode in found]


def given(case, inputs):
    """Returns the inputs as the layer takes them: several as a list."""
    return inputs if case.more_shapes else inputs[0]


def built(case):
    """Returns our layer with the recipe's weights."""
    layer = getattr(ek.layers, case.kind)(**case.arguments)
    layer(given(case, recipe.layer_inputs(case)))
    layer.set_weights(recipe.layer_weights([weight.shape for weight in layer.get_weights()]))
    return layer


@cache
def computed(name, mode):
    """Returns what our layer gives in a mode, by quantity, compiled."""
    case = cases.LAYERS[name]
    layer, inputs = built(case), [jnp.asarray(array) for array in recipe.layer_inputs(case)]
    trained, others = layer.trainable_weights, layer.non_trainable_weights
    floats = inputs if inputs[0].dtype == jnp.float32 else []

    def total(values, floats):
        everything = [*values, *(variable.value for variable in others)]
        scope = Scope([*trained, *others], everything, training=mode == "training", key=KEY)
        with entered(scope):
            output = layer(given(case, floats or inputs))
            updated = scope.updates(others)
        return jnp.sum(output * recipe.cotangent(output.shape)), (output, updated)

    gradient = jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))
    values = [variable.value for variable in trained]
    (weight_gradients, input_gradients), (output, updated) = gradient(values, floats)
    families = {
        "weight_gradient": weight_gradients,
        "input_gradient": input_gradients,
        "updated": updated,
    }
    numbered = {
        f"{family}_{n}": a for family, these in families.items() for n, a in enumerate(these)
    }
    return {"output": output} | numbered


def assert_close(ours, expected, what):
    """Compares to 2e-6 of the largest value, as close as the libraries are to each other.

    Outputs and gradients are sums of up to 90 products, in an order of each library's own.
    """
    atol = 2e-6 * max(np.abs(expected).max(), 1e-3)
    np.testing.assert_allclose(np.asarray(ours), expected, rtol=1e-6, atol=atol, err_msg=what)


def compare(library, name, mode, quantity):
    """Compares all recorded quantities whose names begin in one way."""
    prefix = f"{library}/{name}/{mode}/"
    found = computed(name, mode)
    keys = [key for key in RECORDED if key.startswith(prefix + quantity)]
    for key in keys:
        assert_close(found[key.removeprefix(prefix)], RECORDED[key], key)
    return keys


def test_the_recipe_still_gives_the_recorded_inputs():
    found = recipe.fingerprint(
        [a for case in cases.LAYERS.values() for a in recipe.layer_inputs(case)]
    )
    np.testing.assert_allclose(found, RECORDED["fingerprint"], rtol=1e-12)


@pytest.mark.parametrize(("name", "mode"), recorded("keras", "output"))
def test_outputs_are_those_of_keras(name, mode):
    """The layer of the same name with the same arguments and weights."""
    compare("keras", name, mode, "output")


@pytest.mark.parametrize(("name", "mode"), recorded("torch", "output"))
def test_outputs_are_those_of_pytorch(name, mode):
    """The function that `record_layers.py` names, in double precision."""
    compare("torch", name, mode, "output")


@pytest.mark.parametrize(("name", "mode"), recorded("keras", "output"))
def test_gradients_are_those_of_keras(name, mode):
    """Of a weighted sum of the outputs, to the inputs and to every trainable weight."""
    keys = compare("keras", name, mode, "weight_gradient")
    assert len(keys) == len(built(cases.LAYERS[name]).trainable_weights)
    compare("keras", name, mode, "input_gradient")


@pytest.mark.parametrize(("name", "mode"), recorded("torch", "output"))
def test_gradients_are_those_of_pytorch(name, mode):
    """Of the same weighted sum, by PyTorch's differentiation in double precision."""
    compare("torch", name, mode, "weight_gradient")
    compare("torch", name, mode, "input_gradient")


@pytest.mark.parametrize("library", ["keras", "torch"])
@pytest.mark.parametrize(("name", "mode"), recorded("keras", "updated_0"))
def test_moving_statistics_after_a_batch_are_the_recorded_ones(name, mode, library):
    """From Keras; and from PyTorch, whose variance is recorded as if it were the biased one."""
    keys = compare(library, name, mode, "updated")
    assert len(keys) == 2


@pytest.mark.parametrize(("name", "mode"), recorded("keras", "output"))
def test_only_training_moves_the_statistics(name, mode):
    """In inference no variable is updated, in training none but the moving statistics."""
    layer = built(cases.LAYERS[name])
    before = [variable.value for variable in layer.non_trainable_weights]
    for n, value in enumerate(before):
        moved = not np.array_equal(computed(name, mode)[f"updated_{n}"], value)
        assert moved == (mode == "training")
