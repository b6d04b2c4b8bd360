"""Normalizing layers: what they compute, what they keep, and what they are claimed to do."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError, InvalidDataError
from evenkeel.layers import (
    Activation,
    BatchNormalization,
    Dense,
    LayerNormalization,
    RMSNormalization,
)
from evenkeel.layers.normalization import normalized
from evenkeel.models import Sequential
from evenkeel.network import Scope, entered

EPSILON = 1e-3


def in_training(layer, inputs):
    """Returns the output in training and the weights after it."""
    variables = layer.variables
    values = [variable.value for variable in variables]
    with entered(Scope(variables, values, training=True)) as scope:
        return layer(inputs), scope.updates(variables)


def compiled(layers, **arguments):
    model = Sequential(layers)
    model.compile(**{"optimizer": "sgd", "loss": "mse", **arguments})
    return model


@pytest.fixture
def raw(random):
    """Rows whose features have other means and scales by orders of magnitude."""
    return (random.standard_normal((400, 3)) * [1, 50, 0.1] + [5, -300, 0]).astype(np.float32)


# -- what it computes ----------------------------------------------------------------------------


def test_variance_is_the_biased_one_and_epsilon_is_inside_the_root(raw):
    """The definition, in double precision."""
    x = raw.astype(np.float64)
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + EPSILON)
    output, _ = in_training(built(BatchNormalization(), raw), jnp.asarray(raw))
    np.testing.assert_allclose(output, expected, rtol=0, atol=2e-5)


def built(layer, inputs):
    layer.ensure_built((None, *inputs.shape[1:]))
    return layer


@pytest.mark.parametrize("mean", [1e3, 1e4])
def test_a_large_mean_costs_few_digits(mean, random):
    """E[x²] - E[x]² in float32 would be wrong by more than the variance itself, which is 1.

    What remains is the rounding of the mean: half a unit of the last place, mean·2^-24, a few
    times.
    """
    x = (mean + random.standard_normal((512, 2))).astype(np.float32)
    exact = x.astype(np.float64)
    expected = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + EPSILON)
    layer = built(BatchNormalization(momentum=0.0), x)
    output, after = in_training(layer, jnp.asarray(x))
    bound = 8 * mean * 2.0**-24
    np.testing.assert_allclose(output, expected, rtol=0, atol=bound)
    layer.set_weights(after)
    np.testing.assert_allclose(layer(x), expected, rtol=0, atol=bound)


def test_its_own_derivative_is_that_of_the_definition(random):
    """Autodiff of the definition; forwards, backwards, and of second order."""

    def definition(x, gamma, beta):
        mean, variance = jnp.mean(x, 0, keepdims=True), jnp.var(x, 0, keepdims=True)
        return (x - mean) * gamma / jnp.sqrt(variance + EPSILON) + beta, mean, variance

    def ours(x, gamma, beta):
        return normalized(x, gamma, beta, (0,), EPSILON)

    draws = [
        [
            jnp.asarray(random.standard_normal(shape), jnp.float32)
            for shape in ((6, 3), (1, 3), (1, 3))
        ]
        for _ in range(2)
    ]
    point, direction = map(tuple, draws)
    weights = jnp.asarray(random.standard_normal((6, 3)), jnp.float32)

    def scalar(function):
        def objective(*arguments):
            y, mean, variance = function(*arguments)
            return jnp.sum(jnp.sin(y) * weights) + jnp.sum(mean * variance)

        return objective

    for transform in (
        lambda f: jax.jvp(f, point, direction),
        lambda f: jax.grad(scalar(f), argnums=(0, 1, 2))(*point),
        lambda f: jax.hessian(scalar(f), argnums=0)(*point),
        lambda f: jax.grad(lambda x: jnp.sum(jax.grad(scalar(f))(x, *point[1:]) ** 2))(point[0]),
    ):
        for mine, theirs in zip(
            jax.tree.leaves(transform(ours)), jax.tree.leaves(transform(definition)), strict=True
        ):
            scale = max(1.0, float(jnp.abs(theirs).max()))
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=2e-5 * scale)


def test_without_gamma_and_beta_there_are_only_moving_averages():
    layer = BatchNormalization(center=False, scale=False, input_shape=[3])
    layer.ensure_built((None, 3))
    assert [weight.name for weight in layer.weights] == ["moving_mean", "moving_variance"]


def test_weights_have_the_names_and_order_of_keras():
    layer = BatchNormalization()
    layer.ensure_built((None, 3))
    names = [(weight.name, weight.trainable) for weight in layer.weights]
    expected = ["gamma", "beta", "moving_mean", "moving_variance"]
    assert names == list(zip(expected, [True, True, False, False], strict=True))


def test_the_notes_model_has_2368_non_trainable_parameters():
    """(3136 + 1200 + 400) / 2, as the notes compute it."""
    model = Sequential(
        [
            ek.layers.Flatten(input_shape=[28, 28]),
            BatchNormalization(),
            Dense(300, activation="elu", kernel_initializer="he_normal"),
            BatchNormalization(),
            Dense(100, activation="elu", kernel_initializer="he_normal"),
            BatchNormalization(),
            Dense(10, activation="softmax"),
        ]
    )
    assert sum(weight.size for weight in model.non_trainable_weights) == 2368
    assert model.layers[1].count_params() == 3136


def test_layer_normalization_makes_each_row_standard_and_rms_only_its_size(random):
    x = jnp.asarray(3 + 2 * random.standard_normal((5, 40)), jnp.float32)
    rows = np.asarray(LayerNormalization(epsilon=0.0)(x))
    np.testing.assert_allclose(rows.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(rows.var(1), 1, rtol=1e-5)
    rows = np.asarray(RMSNormalization(epsilon=0.0)(x))
    np.testing.assert_allclose((rows**2).mean(1), 1, rtol=1e-5)


# -- what moves, and when ------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.5, 0.9, 0.0])
def test_moving_averages_follow_the_momentum(momentum, raw):
    """After k equal batches: 0·m^k + mean·(1 - m^k), and 1·m^k + variance·(1 - m^k)."""
    layer = BatchNormalization(momentum=momentum)
    model = compiled([layer, Dense(1)])
    model.fit(raw, np.zeros((400, 1)), batch_size=400, epochs=3, verbose=0)
    kept = momentum**3
    exact = raw.astype(np.float64)
    np.testing.assert_allclose(layer.moving_mean, exact.mean(0) * (1 - kept), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, kept + exact.var(0) * (1 - kept), rtol=1e-5)


@pytest.mark.parametrize("outer", [False, True], ids=["layer", "model around it"])
def test_a_frozen_one_uses_and_keeps_its_moving_averages_in_training(outer, raw):
    layer = BatchNormalization()
    inner = Sequential([ek.Input([3]), layer])
    (inner if outer else layer).trainable = False
    model = compiled([inner, Dense(1)], optimizer="adam")
    before = layer.get_weights()
    model.fit(raw, np.zeros((400, 1)), epochs=1, verbose=0)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    x = jnp.asarray(raw)
    np.testing.assert_array_equal(model(x, training=True), model(x))


def test_calling_and_evaluating_move_nothing(raw):
    layer = BatchNormalization()
    model = compiled([layer, Dense(1)])
    model(raw)
    before = layer.get_weights()
    model(raw, training=True)
    layer(raw, training=True)
    model.evaluate(raw, np.zeros((400, 1)), verbose=0)
    model.predict(raw, verbose=0)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


# -- what it is claimed to do --------------------------------------------------------------------


def last_activations(normalize, activation, stddev, random, depth=30):
    """Returns the activations at the top of a deep stack in training, from standard inputs."""
    stack = []
    for n in range(depth):
        kernel = ek.initializers.RandomNormal(stddev=stddev, seed=n)
        stack += [Dense(50, kernel_initializer=kernel, use_bias=not normalize)]
        stack += [BatchNormalization(epsilon=1e-6)] if normalize else []
        stack += [Activation(activation)]
    x = jnp.asarray(random.standard_normal((300, 50)), jnp.float32)
    return np.asarray(Sequential(stack)(x, training=True))


@pytest.mark.parametrize(("activation", "variance"), [("sigmoid", 0.04340), ("tanh", 0.39430)])
@pytest.mark.parametrize("stddev", [0.01, 1.0], ids=["small kernels", "large kernels"])
def test_the_variance_of_activations_is_held_through_30_badly_scaled_layers(
    activation, variance, stddev, random
):
    """The variances are those of sigmoid(z) and tanh(z) for z ~ N(0, 1), by quadrature."""
    with_it = last_activations(True, activation, stddev, random).var(axis=0).mean()
    without = last_activations(False, activation, stddev, random).var(axis=0).mean()
    assert with_it == pytest.approx(variance, rel=0.1)
    assert without / variance < 1e-4 or without / variance > 1.5


def test_as_a_first_layer_it_standardizes_raw_inputs_approximately(raw):
    """Means of batches of 32 rows differ from the whole by σ/√32."""
    layer = BatchNormalization(momentum=0.9)
    model = compiled([layer, Dense(1, kernel_initializer="zeros", bias_initializer="zeros")])
    layer.ensure_built((None, 3))
    model.fit(raw, np.zeros((400, 1)), epochs=10, verbose=0)
    output = np.asarray(layer(raw))
    # Moving averages of momentum m weigh (1 + m) / (1 - m) = 19 batches: σ / √(32·19) = 0.04.
    np.testing.assert_allclose(output.mean(0), 0, atol=5 * 0.041)
    np.testing.assert_allclose(output.var(0), [1, 1, 0.01 / 0.011], rtol=0.3)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_it_trains_before_and_after_the_activation(before, activation, raw):
    standard = (raw - raw.mean(0)) / raw.std(0)
    y = np.sin(standard[:, :1]) + standard[:, 1:2]
    hidden = []
    for _ in range(3):
        pair = [BatchNormalization(), Activation(activation)]
        hidden += [Dense(30), *(pair if before else pair[::-1])]
    model = compiled([BatchNormalization(), *hidden, Dense(1)], optimizer="adam")
    losses = model.fit(raw, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_a_bias_before_it_has_no_effect(raw):
    """The mean takes any constant away: the two functions differ by rounding alone."""
    with_bias, without = Dense(4), Dense(4, use_bias=False)
    models = [Sequential([dense, BatchNormalization()]) for dense in (with_bias, without)]
    for model in models:
        model(raw)
    without.set_weights(with_bias.get_weights()[:1])
    with_bias.bias.assign(np.array([1.0, -2.0, 3.0, 0.5], np.float32))
    outputs = [np.asarray(model(raw, training=True)) for model in models]
    np.testing.assert_allclose(*outputs, rtol=0, atol=1e-4)


# -- what it refuses -----------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [BatchNormalization, LayerNormalization, RMSNormalization])
@pytest.mark.parametrize("axis", [0, "last", 1.5, True, []])
def test_an_impossible_axis_is_refused_at_construction(cls, axis):
    with pytest.raises(InvalidArgumentError, match="axis=-1"):
        cls(axis=axis)


@pytest.mark.parametrize("cls", [BatchNormalization, LayerNormalization, RMSNormalization])
@pytest.mark.parametrize("axis", [2, -2, -3])
def test_an_axis_that_the_input_lacks_is_refused(cls, axis):
    with pytest.raises(InvalidDataError, match="axis"):
        cls(axis=axis)(np.ones((2, 3)))


@pytest.mark.parametrize(("name", "value"), [("momentum", 1.5), ("epsilon", -1.0)])
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(InvalidArgumentError, match=name):
        BatchNormalization(**{name: value})


def test_other_features_than_it_was_built_for_are_refused(raw):
    layer = BatchNormalization()
    layer(raw)
    with pytest.raises(InvalidDataError, match="3 features"):
        layer(raw[:, :2])
