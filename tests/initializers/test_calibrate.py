"""Calibration by data: the variance before every activation becomes 1, and nothing else changes."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest

import evenkeel as ek
from evenkeel import initializers
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError, InvalidDataError
from evenkeel.layers import Activation, Dense, Dropout, Flatten, LeakyReLU
from evenkeel.network import Scope, entered

calibrate = initializers.calibrate
# Float32 sums: five digits of a variance are certain.
DIGITS = 1e-5


@pytest.fixture
def x(random):
    return (3.0 + 2.0 * random.standard_normal((200, 12))).astype(np.float32)


def stack(depth=3, units=20, name="mlp", activation="relu", **settings):
    layers = [Dense(units, activation=activation, **settings) for _ in range(depth)]
    return ek.Sequential(layers, name=name)


def hidden_sums(model, x):
    """Returns z = a·W + b of every Dense layer of a stack of ReLU layers, in NumPy."""
    sums, a = [], x.astype(np.float64)
    for layer in model.layers:
        kernel, bias = (w.astype(np.float64) for w in layer.get_weights())
        sums.append(a @ kernel + bias)
        a = np.maximum(sums[-1], 0)
    return sums


def test_the_variance_before_each_activation_becomes_one(x):
    """Measured by a NumPy version of the network."""
    model = stack(kernel_initializer=initializers.RandomNormal(stddev=3.0))
    records = calibrate(model, x)
    variances = [z.var() for z in hidden_sums(model, x)]
    np.testing.assert_allclose(variances, 1.0, rtol=DIGITS)
    np.testing.assert_allclose([r.variance_after for r in records], variances, rtol=DIGITS)
    assert [(r.path, r.status, r.iterations) for r in records] == [
        ("mlp/dense", "calibrated", 1),
        ("mlp/dense_1", "calibrated", 1),
        ("mlp/dense_2", "calibrated", 1),
    ]


def test_kernels_keep_their_directions_and_the_record_tells_the_factor(x):
    model = stack()
    model.build((None, 12))
    before = model.get_weights()
    variances = [z.var() for z in hidden_sums(model, x)]
    records = calibrate(model, x)
    for layer, record, old in zip(model.layers, records, before[::2], strict=True):
        np.testing.assert_allclose(layer.kernel.numpy(), record.factor * old, rtol=1e-6)
    np.testing.assert_allclose([r.variance_before for r in records], variances, rtol=DIGITS)


def test_a_layer_within_the_tolerance_is_not_touched(x):
    model = stack()
    calibrate(model, x)
    before = model.get_weights()
    again = calibrate(model, x)
    assert all(r.factor == 1 and r.iterations == 0 and r.status == "calibrated" for r in again)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_many_rows_are_measured_in_batches_with_the_same_result(x):
    """The variance of all numbers is not the mean of the batches' variances."""
    x = np.sort(x, axis=0)  # so that the batches have different means
    one, several = stack(), stack()
    one.build((None, 12))
    several.build((None, 12))
    several.set_weights(one.get_weights())
    factors = [
        [r.factor for r in calibrate(m, x, batch_size=n)] for m, n in [(one, 1024), (several, 33)]
    ]
    np.testing.assert_allclose(*factors, rtol=DIGITS)


def test_orthogonal_starts_from_orthonormal_kernels(x):
    """Algorithm 1 of the paper: afterwards Wᵀ W is a multiple of the identity."""
    model = stack(units=8)
    records = calibrate(model, x, orthogonal=True, seed=3)
    for layer, record in zip(model.layers, records, strict=True):
        w = layer.kernel.numpy()
        np.testing.assert_allclose(w.T @ w, record.factor**2 * np.eye(8), atol=1e-5)
    assert not np.allclose(*(layer.kernel.numpy() for layer in model.layers[1:]))
    other = stack(units=8)
    calibrate(other, x, orthogonal=True, seed=3)
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_a_stack_whose_numbers_overflow_or_vanish_is_repaired(x, scale):
    """Six such layers reach 10^±72, far beyond float32."""
    model = stack(6, kernel_initializer=initializers.VarianceScaling(scale**2))
    records = calibrate(model, x)
    np.testing.assert_allclose([z.var() for z in hidden_sums(model, x)], 1.0, rtol=DIGITS)
    assert records[-1].variance_before == (math.inf if scale > 1 else 0.0)


def test_frozen_layers_are_left_alone_and_those_behind_them_are_not(x):
    model = stack(kernel_initializer=initializers.RandomNormal(stddev=3.0))
    model.build((None, 12))
    model.layers[1].trainable = False
    before = model.layers[1].kernel.numpy()
    records = calibrate(model, x)
    np.testing.assert_array_equal(model.layers[1].kernel.numpy(), before)
    assert [r.status for r in records] == ["calibrated", "frozen", "calibrated"]
    assert records[1].variance_after > 2
    assert hidden_sums(model, x)[2].var() == pytest.approx(1, rel=DIGITS)


def test_a_dead_layer_is_reported_and_the_layers_behind_it_too(x):
    model = ek.Sequential([Dense(5), Dense(5, kernel_initializer="zeros"), Dense(5)], name="m")
    with pytest.warns(EvenkeelWarning, match="Dead.*'m/dense_1', 'm/dense_2'"):
        records = calibrate(model, x)
    assert [r.status for r in records] == ["calibrated", "dead", "dead"]
    assert [r.factor for r in records[1:]] == [1.0, 1.0]
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_the_rounding_of_a_constant_is_no_variance(x):
    """Every row is alike and there is one unit: nothing to scale, whatever the sums round to."""
    rows = np.repeat(x[:1], 300, axis=0)
    with pytest.warns(EvenkeelWarning, match="Dead"):
        (record,) = calibrate(ek.Sequential([Dense(1)]), rows)
    assert record.status == "dead"


def test_biases_stay_and_what_they_put_out_of_reach_is_reported(x):
    """Biases of variance 9 alone exceed what any kernel could add to."""
    model = ek.Sequential([Dense(50, bias_initializer=initializers.RandomNormal(stddev=3.0))])
    model.build((None, 12))
    before = model.get_weights()
    with pytest.warns(EvenkeelWarning, match=r"(?s)Not brought.*biases"):
        (record,) = calibrate(model, x)
    assert (record.status, record.factor) == ("out of reach", 1.0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_small_biases_need_more_than_one_iteration(x):
    model = ek.Sequential([Dense(50, bias_initializer=initializers.RandomNormal(stddev=0.5))])
    (record,) = calibrate(model, x, tolerance=0.001, max_iterations=30)
    assert record.status == "calibrated"
    assert record.iterations > 1
    (z,) = hidden_sums(model, x)
    assert abs(z.var() - 1) <= 0.001 + DIGITS


class Forked(ek.Model):
    """Uses its layers in another order than it declares them, one of them twice."""

    def __init__(self):
        super().__init__(name="forked")
        self.last = Dense(2)
        self.twice = Dense(12, activation=LeakyReLU(0.2))
        self.first = Dense(12, activation="tanh")
        self.never = Dense(3)

    def call(self, inputs):
        a = self.first(inputs)
        return self.last(self.twice(a) + self.twice(inputs))


def test_a_subclassed_model_is_taken_in_the_order_of_its_forward_pass(x):
    """A layer that is used twice has one kernel: the variance is that of both uses together."""
    model = Forked()
    records = calibrate(model, x)
    assert [r.path for r in records] == ["forked/dense_2", "forked/dense_1", "forked/dense"]
    first, twice, last = (
        (layer.kernel.numpy().astype(np.float64), layer.activation)
        for layer in (model.first, model.twice, model.last)
    )
    sums = [np.tanh(x @ first[0]) @ twice[0], x @ twice[0]]
    assert np.var(sums) == pytest.approx(1, rel=DIGITS)
    a = sum(np.where(z > 0, z, 0.2 * z) for z in sums)
    assert (a @ last[0]).var() == pytest.approx(1, rel=DIGITS)
    assert isinstance(model.twice.activation, LeakyReLU)


class Convolved(ek.layers.Layer):
    """A layer of one's own without an activation: four columns at a time, shared weights."""

    def build(self, input_shape):
        self.kernel = self.add_weight((1, 4, 3), "he_normal", name="kernel")

    def call(self, inputs):
        parts = inputs.reshape(inputs.shape[0], -1, 4)
        return parts @ self.kernel.value.reshape(4, 3)


class Before(ek.layers.Layer):
    """An activation that stands before the kernel."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.activation = ek.activations.relu

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 5), "he_normal", name="kernel")

    def call(self, inputs):
        return self.activation(inputs) @ self.kernel.value


def test_layers_of_ones_own_are_measured_at_their_output(x):
    convolved, before = Convolved(), Before()
    inner = ek.Sequential([Flatten(), Dropout(0.5), before], name="inner")
    model = ek.Sequential([convolved, inner, Activation("tanh")], name="outer")
    records = calibrate(model, x)
    assert [r.path for r in records] == ["outer/convolved", "outer/inner/before"]
    z = x.reshape(-1, 3, 4).astype(np.float64) @ convolved.kernel.numpy()[0]
    assert z.var() == pytest.approx(1, rel=DIGITS)
    y = np.maximum(z.reshape(-1, 9), 0) @ before.kernel.numpy()
    assert y.var() == pytest.approx(1, rel=DIGITS)


class Looping(ek.layers.Layer):
    """Applies its activation inside a loop that is traced."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.activation = ek.activations.tanh

    def build(self, input_shape):
        self.kernel = self.add_weight((12, 12), "glorot_uniform", name="kernel")

    def call(self, inputs):
        kernel = self.kernel.value
        step = lambda _, state: self.activation(state @ kernel)  # noqa: E731
        return 2.0 * jax.lax.fori_loop(0, 3, step, inputs)


def test_a_layer_whose_activation_runs_in_a_loop_is_measured_at_its_output(x):
    layer = Looping()
    (record,) = calibrate(ek.Sequential([layer]), x, max_iterations=50)
    a = x.astype(np.float64)
    for _ in range(3):
        a = np.tanh(a @ layer.kernel.numpy())
    assert record.status == "calibrated"
    assert (2 * a).var() == pytest.approx(record.variance_after, rel=1e-3)


def test_nothing_but_kernels_changes(x):
    model = ek.Sequential([Dense(8, activation="elu"), Dropout(0.5), Dense(3)])
    model.build((None, 12))
    model.compile("sgd", "mse")
    activations = [layer.activation for layer in (model.layers[0], model.layers[2])]
    ek.set_random_seed(5)
    calibrate(model, x)
    drawn = initializers.HeNormal()((4,))
    ek.set_random_seed(5)
    np.testing.assert_array_equal(initializers.HeNormal()((4,)), drawn)
    assert [layer.activation for layer in (model.layers[0], model.layers[2])] == activations
    assert not model.layers[0].bias.numpy().any()
    with entered(Scope(record=True)) as scope:
        model(x)
    np.testing.assert_allclose(
        scope.taps[f"{model.name}/{model.layers[2].name}"].var(), 1, rtol=1e-3
    )
    model.fit(x, x[:, :3], epochs=1, verbose=0)


class Failing(ek.layers.Layer):
    """Refuses from its fourth call on."""

    calls = 0

    def call(self, inputs):
        type(self).calls += 1
        if type(self).calls > 3:
            raise KeyboardInterrupt
        return inputs


def test_an_interrupted_calibration_leaves_everything_as_it_was(x):
    layers = [Dense(4, activation="tanh"), Dense(4, activation="relu")]
    model = ek.Sequential([*layers, Failing()])
    for layer, width in zip(layers, (12, 4), strict=True):
        layer.build((None, width))
        layer.built = True
    before = [layer.kernel.numpy() for layer in layers]
    activations = [layer.activation for layer in layers]
    with pytest.raises(KeyboardInterrupt):
        calibrate(model, x)
    assert [layer.activation for layer in layers] == activations
    for layer, kernel in zip(layers, before, strict=True):
        np.testing.assert_array_equal(layer.kernel.numpy(), kernel)
    assert not model.built


def test_inputs_that_do_not_fit_are_refused_and_build_nothing(x):
    model = ek.Sequential([Dense(4), ek.layers.Reshape((3, 3))])
    with pytest.raises(InvalidDataError, match="Reshape"):
        calibrate(model, x)
    assert not any(layer.built for layer in (model, *model.layers))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([[1.0], [math.nan]]), "row 1 holds NaN"),
        (np.array([["a"], ["b"]]), "expected numbers"),
        (np.zeros((0, 3)), "at least one row"),
        (None, "at least one row"),
        (3.0, "at least one row"),
        ([np.zeros((2, 3)), np.zeros((4, 3))], r"\[2, 4\] rows"),
    ],
)
def test_data_that_cannot_be_measured_is_refused(rows, message):
    with pytest.raises(InvalidDataError, match=message):
        calibrate(stack(), rows)


def test_a_list_of_lists_is_one_table():
    (record,) = calibrate(stack(1), [[1.0, 2.0], [3.0, -4.0], [0.5, 0.25]])
    assert record.variance_after == pytest.approx(1, rel=DIGITS)


@pytest.mark.parametrize(
    "setting",
    [
        {"tolerance": 0.0},
        {"tolerance": 1.0},
        {"max_iterations": 0},
        {"batch_size": 0},
        {"seed": -1},
    ],
    ids=str,
)
def test_an_impossible_setting_is_refused(x, setting):
    with pytest.raises(InvalidArgumentError, match=next(iter(setting))):
        calibrate(stack(), x, **setting)


@pytest.mark.parametrize("model", [None, "model", ek.Sequential([Flatten()])], ids=str)
def test_what_has_no_kernels_is_refused(x, model):
    with pytest.raises(InvalidArgumentError, match="calibrate"):
        calibrate(model, x)
