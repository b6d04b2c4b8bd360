"""Layers with fixed weights against the recorded numbers of Keras."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evenkeel import layers
from evenkeel.network import Scope, entered
from tests.oracles import cases, recipe

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "layers.npz")
every_case = pytest.mark.parametrize("name", cases.LAYERS)
DEEP = [name for name, (kind, *_) in cases.LAYERS.items() if kind == "BatchNormalization"]


def recorded(name, quantity):
    return RECORDED[f"keras/{name}/{quantity}"]


def assert_close(ours, theirs):
    """Compares to 3e-6 of the largest value: sums of up to 54 products, in another order."""
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-6 * max(1, np.abs(theirs).max()))


def of_case(name):
    """Returns the layer of a case with its weights, and its inputs."""
    kind, arguments, shapes = cases.LAYERS[name]
    inputs = jax.tree.map(jnp.asarray, recipe.layer_inputs(shapes))
    layer = getattr(layers, kind)(**arguments)
    layer(inputs)
    layer.set_weights(recipe.layer_weights([weight.shape for weight in layer.weights]))
    return layer, inputs


def in_training(layer, inputs):
    """Returns the output in training and the weights after it."""
    variables = layer.variables
    values = [variable.value for variable in variables]
    with entered(Scope(variables, values, training=True)) as scope:
        return layer(inputs), scope.updates(variables)


def test_the_recipe_still_gives_the_recorded_inputs():
    inputs = [recipe.layer_inputs(shapes) for *_, shapes in cases.LAYERS.values()]
    found = recipe.fingerprint(jax.tree.leaves(inputs))
    np.testing.assert_allclose(found, RECORDED["fingerprint"], rtol=1e-12)


@every_case
def test_outputs_in_inference_are_the_recorded_ones(name):
    layer, inputs = of_case(name)
    assert_close(layer(inputs), recorded(name, "output"))


@every_case
def test_slopes_in_the_inputs_are_the_recorded_ones(name):
    layer, inputs = of_case(name)
    direction = jnp.asarray(recipe.layer_direction(recorded(name, "output").shape))

    def objective(batch):
        return jnp.sum(in_training(layer, batch)[0] * direction)

    for n, slope in enumerate(jax.tree.leaves(jax.grad(objective)(inputs))):
        assert_close(slope, recorded(name, f"slope_{n}"))


@pytest.mark.parametrize("name", DEEP)
def test_outputs_and_moving_averages_in_training_are_the_recorded_ones(name):
    layer, inputs = of_case(name)
    output, after = in_training(layer, inputs)
    assert_close(output, recorded(name, "training_output"))
    for n, value in enumerate(after[-2:]):
        assert_close(value, recorded(name, f"moved_{n}"))
