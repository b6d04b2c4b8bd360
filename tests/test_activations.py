"""Activations against the recorded numbers of other libraries, and against closed forms."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel import activations
from evenkeel.errors import InvalidArgumentError
from evenkeel.layers import Activation, Dense
from evenkeel.models import Sequential
from evenkeel.network import Scope, entered
from tests.laws import discovery
from tests.oracles import cases, recipe

RECORDED = np.load(Path(__file__).parent / "oracles" / "functions.npz")
GRID = jnp.asarray(recipe.activation_grid())
ROWS = jnp.asarray(recipe.activation_rows())
LIBRARIES = pytest.mark.parametrize("library", ["keras", "torch"])
every_activation = pytest.mark.parametrize("function", discovery.each(discovery.activations()))


def assert_close(ours, recorded, tolerance=2e-6):
    """Compares to 2e-6 of the largest value, as close as the libraries are to each other."""
    atol = tolerance * np.abs(recorded).max()
    np.testing.assert_allclose(np.asarray(ours, np.float64), recorded, rtol=0, atol=atol)


def slopes(function, points):
    """Returns the derivative at each point."""
    return jax.vmap(jax.grad(function))(points)


def test_the_recipe_still_gives_the_recorded_inputs():
    inputs = [*recipe.loss_inputs().values(), *recipe.metric_inputs().values()]
    found = recipe.fingerprint([recipe.activation_grid(), recipe.activation_rows(), *inputs])
    np.testing.assert_allclose(found, RECORDED["fingerprint"], rtol=1e-12)


def test_every_exported_activation_has_recorded_numbers():
    names = {function.__name__ for function in discovery.activations()}
    assert names == {
        *cases.ELEMENTWISE_ACTIVATIONS,
        *cases.ROW_ACTIVATIONS,
        *cases.TORCH_ACTIVATIONS,
    }


NAMES = (*cases.ELEMENTWISE_ACTIVATIONS, *cases.ACTIVATION_OPTIONS, *cases.TORCH_ACTIVATIONS)
every_recorded_function = pytest.mark.parametrize(
    ("library", "name"),
    [
        pytest.param(library, name, id=f"{library}-{name}")
        for name in NAMES
        for library in ("keras", "torch")
        if f"{library}/{name}/value" in RECORDED
    ],
)


def function_of(name):
    """Returns our function for a recorded name, with the options of its case if it has some."""
    case = cases.ACTIVATION_OPTIONS.get(name)
    if case is None:
        return activations.get(name)
    return partial(getattr(activations, case.kind), **case.arguments)


@every_recorded_function
def test_values_are_the_recorded_ones(name, library):
    assert_close(function_of(name)(GRID), RECORDED[f"{library}/{name}/value"])


# Where the conventions for a slope at a kink differ: tests/oracles/README.md. The slope of
# several pieces at a threshold is nobody's convention.
KINKS = {
    ("torch", "leaky_relu"): (0.0,),
    ("torch", "leaky_relu_slope"): (0.0,),
    ("torch", "rrelu"): (0.0,),
    ("torch", "hard_tanh"): (-1.0, 1.0),
    ("keras", "relu_everything"): (1.5, 2.5),
}
# 1 + tanh(x) near -1 keeps few digits in float32, in Keras's as in ours.
SLOPE_TOLERANCE = {("torch", "gelu_approximate"): 4e-6}


@every_recorded_function
def test_slopes_are_the_recorded_ones(name, library):
    """Kinks included, where the libraries agree on them; if not, we follow Keras."""
    ours = np.array(slopes(function_of(name), GRID))
    recorded = RECORDED[f"{library}/{name}/gradient"]
    agreed = ~np.isin(GRID, KINKS.get((library, name), ()))
    tolerance = SLOPE_TOLERANCE.get((library, name), 2e-6)
    assert_close(ours[agreed], recorded[agreed], tolerance)


LAYERS = cases.ACTIVATION_LAYERS | cases.TORCH_ACTIVATION_LAYERS
every_recorded_layer = pytest.mark.parametrize(
    ("library", "name"),
    [
        pytest.param(library, name, id=f"{library}-{name}")
        for name in LAYERS
        for library in ("keras", "torch")
        if f"{library}/{name}/value" in RECORDED
    ],
)


def on_the_grid(name):
    """Returns a recorded layer as a function of one number."""
    case = LAYERS[name]
    layer = getattr(ek.layers, case.kind)(**case.arguments)
    return lambda point: layer(point[None, None])[0, 0]


@every_recorded_layer
def test_values_of_layers_are_the_recorded_ones(library, name):
    """Recorded from Keras's layers, and from PyTorch's functions with the same arguments."""
    assert_close(jax.vmap(on_the_grid(name))(GRID), RECORDED[f"{library}/{name}/value"])


@every_recorded_layer
def test_slopes_of_layers_are_the_recorded_ones(library, name):
    """Except where a function has a kink or a jump: any slope is as good there."""
    arguments = LAYERS[name].arguments
    kinks = [0.0, *(arguments[k] for k in ("threshold", "max_value") if k in arguments)]
    smooth = ~np.isin(GRID, kinks)
    ours = np.array(slopes(on_the_grid(name), GRID))
    assert np.isfinite(ours).all()
    assert_close(ours[smooth], RECORDED[f"{library}/{name}/gradient"][smooth])


@LIBRARIES
@pytest.mark.parametrize("name", cases.ROW_ACTIVATIONS)
def test_row_values_and_jacobians_are_the_recorded_ones(name, library):
    function = activations.get(name)
    assert_close(function(ROWS), RECORDED[f"{library}/{name}/value"])
    assert_close(jax.vmap(jax.jacrev(function))(ROWS), RECORDED[f"{library}/{name}/gradient"])


@every_activation
def test_compiled_equals_eager(function):
    """A compiler may fuse operations, which moves the last bit or two of a float32."""
    eager, compiled = function(ROWS), jax.jit(function)(ROWS)
    np.testing.assert_allclose(compiled, eager, rtol=1e-6, atol=1e-6)


@every_activation
def test_far_inputs_give_finite_slopes(function):
    """Sums of 80 occur in networks without normalization; exp(80) is a float32."""
    far = jnp.asarray([[-80.0, -30.0, 0.0, 30.0, 80.0]])
    gradient = jax.grad(lambda x: jnp.sum(function(x) * jnp.arange(5.0)[None]))(far)
    assert np.isfinite(function(far)).all()
    assert np.isfinite(gradient).all()


@every_activation
def test_name_and_function_lead_to_each_other(function):
    name = activations.name_of(function)
    assert activations.get(name) is function
    layer = Dense(2, activation=name)
    assert layer.activation is function
    assert Dense.from_config(layer.get_config()).activation is function
    assert Activation.from_config(Activation(function).get_config()).activation is function


@pytest.mark.parametrize(
    ("alias", "name"),
    [("swish", "silu"), ("hard_swish", "hard_silu"), ("logistic", "sigmoid"), ("SELU", "selu")],
)
def test_other_names_are_the_same_function(alias, name):
    assert activations.get(alias) is activations.get(name)


def test_rrelu_outside_of_training_has_the_mean_slope():
    """(1/8 + 1/3) / 2 = 11/48."""
    expected = np.where(np.asarray(GRID) > 0, GRID, 11 / 48 * np.asarray(GRID, np.float64))
    np.testing.assert_allclose(activations.rrelu(GRID), expected, rtol=1e-6)
    with entered(Scope(training=False)):
        np.testing.assert_allclose(activations.rrelu(GRID), expected, rtol=1e-6)


def test_rrelu_by_name_draws_new_slopes_for_each_layer_and_element_in_training():
    layers = [Dense(4, "rrelu", kernel_initializer="ones") for _ in range(2)]
    model = Sequential(layers[:1])
    x = -jnp.ones((3, 1))
    slopes = -np.asarray(model(x, training=True))
    assert len(np.unique(slopes)) > 1
    assert slopes.min() >= 1 / 8
    assert slopes.max() <= 1 / 3
    np.testing.assert_allclose(model(x), -11 / 48 * np.ones((3, 4)), rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [0, 0, 0, 0.5, 3]),
        ({"max_value": 1.0}, [0, 0, 0, 0.5, 1]),
        ({"negative_slope": 0.1}, [-0.2, -0.05, 0, 0.5, 3]),
        ({"negative_slope": 0.1, "threshold": 1.0}, [-0.3, -0.15, -0.1, -0.05, 3]),
        ({"threshold": 0.5}, [0, 0, 0, 0, 3]),
    ],
    ids=str,
)
def test_the_settings_of_relu_are_what_its_definition_says(arguments, expected):
    """slope·(x - threshold) up to the threshold, x above, cut at the maximum; by hand."""
    points = jnp.array([-2.0, -0.5, 0.0, 0.5, 3.0])
    np.testing.assert_allclose(activations.relu(points, **arguments), expected, rtol=1e-6)


def test_celu_is_elu_without_a_jump_of_the_slope():
    """Its slope at 0 is 1 from both sides, whatever α is; Barron 2017."""
    near = jnp.array([-1e-6, 1e-6])
    slopes_there = slopes(lambda x: activations.celu(x, 3.0), near)
    np.testing.assert_allclose(slopes_there, 1, rtol=1e-5)


@pytest.mark.parametrize(("name", "alpha"), [("elu", 0.5), ("leaky_relu", 0.01)])
def test_the_parameter_scales_what_is_below_zero(name, alpha):
    """α·f₁(x) below 0 and x above, from the definitions."""
    unit = {"elu": np.expm1, "leaky_relu": lambda x: x}[name]
    points = np.asarray(GRID, np.float64)
    expected = np.where(points > 0, points, alpha * unit(np.minimum(points, 0)))
    np.testing.assert_allclose(activations.get(name)(GRID, alpha), expected, rtol=1e-6, atol=1e-7)


def test_elu_keeps_its_digits_near_zero():
    """expm1 in double precision; e^x - 1 in float32 would have no digit left at 1e-8."""
    points = -(10.0 ** np.arange(-12, 1, dtype=np.float64))
    ours = activations.elu(jnp.asarray(points, jnp.float32))
    np.testing.assert_allclose(ours, np.expm1(points.astype(np.float32)), rtol=5e-7)


def test_selu_keeps_mean_0_and_variance_1(random):
    """Its fixed point; standard errors of a mean and a variance of n draws, five of them."""
    n = 1_000_000
    draws = activations.selu(jnp.asarray(random.standard_normal(n), jnp.float32))
    values = np.asarray(draws, np.float64)
    fourth = np.mean((values - values.mean()) ** 4)
    assert abs(values.mean()) < 5 / np.sqrt(n)
    assert abs(values.var() - 1) < 5 * np.sqrt((fourth - 1) / n)


def test_softmax_along_another_axis_sums_to_one_there():
    np.testing.assert_allclose(activations.softmax(ROWS, axis=0).sum(axis=0), 1, rtol=1e-6)


def test_an_unknown_activation_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidArgumentError, match="'relu'"):
        activations.get("rellu")
