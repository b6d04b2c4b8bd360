"""Activations as layers, and as parts of other layers."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError, InvalidDataError
from evenkeel.layers import Activation, Conv2D, Dense, LeakyReLU, PReLU, RReLU
from evenkeel.models import Sequential, clone_model, load_model

POINTS = jnp.array([[-2.0, -0.5, 0.0, 0.5, 3.0]])
takes_an_activation = pytest.mark.parametrize(
    "make",
    [
        partial(Dense, 4),
        Activation,
        partial(lambda activation: Conv2D(4, 1, activation=activation)),
    ],
    ids=["Dense", "Activation", "Conv2D"],
)


def rows_for(layer, random):
    shape = (6, 3, 3, 4) if isinstance(layer, Conv2D) else (6, 4)
    return jnp.asarray(random.standard_normal(shape), jnp.float32)


def test_the_notes_model_has_961_parameters():
    model = Sequential(
        [
            ek.layers.Input(shape=[8]),
            Dense(30, kernel_initializer="he_normal"),
            PReLU(),
            Dense(20, kernel_initializer="he_normal"),
            PReLU(),
            Dense(1),
        ]
    )
    assert [layer.count_params() for layer in model.layers] == [270, 30, 620, 20, 21]
    assert model.count_params() == 961
    assert [layer.name for layer in model.layers[1:4:2]] == ["p_re_lu", "p_re_lu_1"]


def test_prelu_starts_as_relu_and_each_unit_learns_its_own_slope(random):
    """Targets are leaky units with other slopes, which the slopes must find."""
    slopes = np.array([0.1, 0.5, 0.9], np.float32)
    x = random.standard_normal((400, 3)).astype(np.float32)
    layer = PReLU()
    model = Sequential([layer])
    np.testing.assert_array_equal(model(x), np.maximum(x, 0))
    model.compile(ek.optimizers.SGD(learning_rate=0.5), "mse")
    model.fit(x, np.where(x > 0, x, slopes * x), epochs=30, verbose=0)
    np.testing.assert_allclose(layer.alpha, slopes, atol=1e-3)


@pytest.mark.parametrize(
    ("shared", "shape"), [(None, (5, 6, 3)), ([1, 2], (1, 1, 3)), (3, (5, 6, 1))], ids=str
)
def test_shared_axes_are_counted_from_1(shared, shape):
    layer = PReLU(shared_axes=shared)
    layer.ensure_built((None, 5, 6, 3))
    assert layer.alpha.shape == shape


@pytest.mark.parametrize("axis", [0, -1, 1.5, "1"])
def test_an_impossible_shared_axis_is_refused(axis):
    with pytest.raises(InvalidArgumentError, match="shared_axes"):
        PReLU(shared_axes=[axis])


def test_a_shared_axis_that_the_input_lacks_is_refused():
    with pytest.raises(InvalidDataError, match="no axis 2"):
        PReLU(shared_axes=[1, 2])(POINTS)


@takes_an_activation
@pytest.mark.parametrize("identifier", ["prelu", "PReLU", "p_re_lu", PReLU, None], ids=str)
def test_prelu_inside_a_layer_has_weights_that_are_found_trained_and_cloned(
    make, identifier, random
):
    layer = make(activation=PReLU() if identifier is None else identifier)
    x = rows_for(layer, random)
    model = Sequential([layer, ek.layers.Flatten(), Dense(1)])
    model(x)
    (alpha,) = [weight for weight in layer.trainable_weights if weight.name == "alpha"]
    assert alpha.shape == layer.compute_output_shape(x.shape)[1:]
    model.compile("adam", "mse")
    model.fit(x, np.ones((6, 1)), epochs=3, verbose=0)
    assert np.abs(alpha).max() > 0
    copy = clone_model(model)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(x), model(x))
    assert copy.layers[0].activation is not layer.activation


def test_the_weights_of_an_inner_activation_come_back_from_a_file(tmp_path, random):
    x = random.standard_normal((6, 4)).astype(np.float32)
    model = Sequential([Dense(3, activation="prelu"), Dense(2, activation=LeakyReLU(0.2))])
    model(x)
    model.set_weights([w + 0.25 for w in model.get_weights()])
    model.save(tmp_path / "model.keras")
    copy = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(x), model(x))


def test_a_name_gives_each_layer_its_own_slopes_and_an_instance_says_why_it_cannot(random):
    x = random.standard_normal((6, 4)).astype(np.float32)
    make = partial(Dense, activation="prelu")
    model = Sequential([make(3), make(5)])
    model(x)
    assert [w.shape for w in model.weights if w.name == "alpha"] == [(3,), (5,)]
    shared = PReLU()
    with pytest.raises(InvalidDataError, match="activation='prelu'"):
        Sequential([Dense(3, activation=shared), Dense(5, activation=shared)])(x)


@takes_an_activation
@pytest.mark.parametrize(
    "name", ["leaky_relu", "swish", "hard_swish", "rrelu", "relu6", "selu", "gelu", "mish"]
)
def test_names_of_functions_are_taken_everywhere(make, name):
    layer = make(activation=name)
    assert layer.activation is ek.activations.get(name)
    assert type(layer).from_config(layer.get_config()).activation is layer.activation


def test_a_misspelt_activation_offers_prelu_too():
    with pytest.raises(InvalidArgumentError, match="'prelu'"):
        Dense(3, activation="prellu")


def test_leaky_relu_inside_a_layer_is_its_equation(random):
    x = random.standard_normal((5, 4)).astype(np.float32)
    layer, plain = Dense(3, activation=LeakyReLU(0.2)), Dense(3)
    layer(x), plain(x)
    plain.set_weights(layer.get_weights())
    sums = np.asarray(plain(x))
    np.testing.assert_allclose(layer(x), np.where(sums > 0, sums, 0.2 * sums), rtol=1e-6)


def test_rrelu_draws_slopes_uniformly_in_training_and_takes_their_mean_in_inference():
    """U(a, b) has mean (a + b)/2 and variance (b - a)²/12; five standard errors of n draws."""
    n, (low, high) = 100_000, (1 / 8, 1 / 3)
    x = -jnp.ones((1, n))
    slopes = -np.asarray(RReLU()(x, training=True), np.float64)
    variance = (high - low) ** 2 / 12
    assert low < slopes.min() < low + 0.01
    assert high - 0.01 < slopes.max() < high
    assert abs(slopes.mean() - (low + high) / 2) < 5 * np.sqrt(variance / n)
    assert abs(slopes.var() - variance) < 5 * variance * np.sqrt(0.8 / n)
    np.testing.assert_allclose(RReLU()(x), -11 / 48 * np.ones((1, n)), rtol=1e-6)


def test_rrelu_passes_what_is_positive_and_its_gradient_is_the_slope_drawn():
    layer = RReLU(lower=0.2, upper=0.4, seed=3)
    ek.set_random_seed(1)
    outputs = layer(POINTS, training=True)
    ek.set_random_seed(1)
    gradient = jax.grad(lambda x: jnp.sum(layer(x, training=True)))(POINTS)
    np.testing.assert_allclose(outputs, gradient * POINTS, rtol=1e-6)
    np.testing.assert_array_equal(gradient[0, 3:], 1)


def test_an_empty_interval_of_slopes_is_refused():
    with pytest.raises(InvalidArgumentError, match="upper"):
        RReLU(lower=0.5, upper=0.25)
