"""One pass through real networks: what is measured is so, sick ones are named, twins are not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel import layers
from evenkeel.description import describe
from evenkeel.measurement import measured
from evenkeel.measurement.signal import constant_loss
from evenkeel.models.reading import Reader
from evenkeel.randomness import seeds_given_out

SPARSE = "sparse_categorical_crossentropy"


@pytest.fixture(scope="module")
def digits():
    (x, y), _ = ek.datasets.digits.load_data()
    return (x[:400] / 16).astype(np.float32), y[:400]


def stack(*parts, loss=SPARSE, optimizer="adam"):
    model = ek.Sequential(list(parts))
    model.compile(optimizer, loss=loss)
    return model


def dense(activation="relu", initializer="he_normal", units=40, **more):
    return layers.Dense(units, activation=activation, kernel_initializer=initializer, **more)


def softmax(**more):
    return layers.Dense(10, activation="softmax", **more)


def codes(model, x, y, **more):
    return ek.checkup(model, x, y, depth="init", **more).codes


def signal_of(model, x, y):
    return measured(model, x, y, None, describe(model, x, y)).signal


# -- what is measured is so ----------------------------------------------------------------------


def test_numbers_of_a_pass_are_those_that_numpy_computes(random):
    """A network of two layers under squares, its gradient written out by hand."""
    x, y = random.normal(size=(50, 3)), random.normal(size=(50, 1))
    model = stack(dense("tanh", "glorot_uniform", 4), layers.Dense(1), loss="mse")
    model.build((None, 3))
    w, b, v, c = model.get_weights()
    sums = x @ w + b
    outputs = np.tanh(sums)
    error = outputs @ v + c - y
    last = 2 * error / 50
    first = (last @ v.T) * (1 - outputs**2)
    hidden, out = signal_of(model, x, y).layers
    assert hidden.sum_size == pytest.approx(np.sqrt(np.mean(sums**2)), rel=1e-4)
    assert hidden.output_mean == pytest.approx(outputs.mean(), rel=1e-3, abs=1e-5)
    assert hidden.output_deviation == pytest.approx(outputs.std(), rel=1e-4)
    assert hidden.output_spread == pytest.approx(np.sqrt(outputs.var(axis=0).mean()), rel=1e-4)
    assert hidden.gradient_norm == pytest.approx(np.linalg.norm(first) * np.sqrt(50), rel=1e-4)
    assert hidden.gradient_size == pytest.approx(np.sqrt(np.mean((first * 50) ** 2)), rel=1e-4)
    assert hidden.kernel_gradient == pytest.approx(np.linalg.norm(x.T @ first), rel=1e-4)
    assert hidden.kernel_norm == pytest.approx(np.linalg.norm(w), rel=1e-4)
    assert out.gradient_norm == pytest.approx(np.linalg.norm(last) * np.sqrt(50), rel=1e-4)
    np.testing.assert_allclose(hidden.slope, (1 - outputs**2).mean(axis=0), rtol=1e-3)
    assert out.slope is None


def test_gradients_far_below_the_smallest_square_are_told(random):
    """Norms of 1e-30, whose squares float32 does not have."""
    model = stack(dense("linear", "glorot_uniform", 4), layers.Dense(1), loss="mse")
    model.build((None, 3))
    w, b, v, c = model.get_weights()
    model.set_weights([w, b, v * np.float32(1e-30), c])
    hidden, out = signal_of(model, random.normal(size=(50, 3)), random.normal(size=(50, 1))).layers
    assert 1e-32 < hidden.gradient_norm / out.gradient_norm < 1e-28


def test_a_unit_that_is_on_in_one_row_lives(random):
    x = np.abs(random.normal(size=(100, 3)))
    x[0] *= -1
    model = stack(dense(units=3, use_bias=False), softmax())
    model.build((None, 3))
    weights = model.get_weights()
    weights[0] = -np.eye(3, dtype=np.float32)
    model.set_weights(weights)
    y = np.arange(100) % 10
    assert signal_of(model, x, y).layers[0].silent_fraction == 0
    assert signal_of(model, x[1:], y[1:]).layers[0].silent_fraction == 1


def test_activations_that_are_layers_are_heard(digits):
    model = stack(
        layers.Dense(20), layers.Activation("sigmoid"), layers.Dense(20), layers.LeakyReLU(0.1),
        layers.Dense(20, activation="prelu"), softmax(),
    )  # fmt: skip
    seen = signal_of(model, *digits)
    names = [layer.name for layer in seen.layers]
    assert names == [
        "dense", "activation", "dense_1", "leaky_re_lu", "dense_2", "dense_3",
    ]  # fmt: skip
    assert seen.layer("activation").slope.shape == (20,)
    assert all(np.isfinite(layer.gradient_norm) for layer in seen.layers)


@pytest.mark.parametrize(
    ("loss", "target", "expected"),
    [
        (ek.losses.SparseCategoricalCrossentropy(), np.arange(30) % 3, np.log(3)),
        (ek.losses.SparseCategoricalCrossentropy(from_logits=True), np.arange(30) % 3,
         np.log(3)),
        (ek.losses.CategoricalCrossentropy(), np.eye(4)[np.arange(40) % 4], np.log(4)),
        (ek.losses.BinaryCrossentropy(), (np.arange(40) % 4 == 0)[:, None] * 1.0,
         -0.25 * np.log(0.25) - 0.75 * np.log(0.75)),
        (ek.losses.BinaryCrossentropy(from_logits=True), (np.arange(40) % 2)[:, None] * 1.0,
         np.log(2)),
        (ek.losses.MeanSquaredError(), np.arange(4.0)[:, None], 1.25),
        (ek.losses.MeanAbsoluteError(), np.array([0.0, 0, 0, 8])[:, None], 2.0),
    ],
)  # fmt: skip
def test_the_best_constant_answer_costs_the_entropy_or_the_variance(loss, target, expected):
    assert constant_loss(loss, target) == pytest.approx(expected, rel=1e-4)


def test_changes_nothing(digits):
    """Weights, moving averages, slots, steps and random state: bit for bit as before."""
    x, y = digits
    model = stack(dense(), layers.BatchNormalization(), layers.Dropout(0.3), softmax())
    seeds = seeds_given_out()
    ek.checkup(model, x, y, depth="init")
    assert not model.built
    assert seeds_given_out() == seeds
    model.fit(x, y, epochs=1, verbose=0)
    before = [np.array(w) for w in model.get_weights()]
    slots = [np.array(s) for s in jax.tree.leaves(model.optimizer.slots)]
    activations = [layer.activation for layer in model.layers if hasattr(layer, "activation")]
    seeds = seeds_given_out()
    ek.checkup(model, x, y, depth="init")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(slots, jax.tree.leaves(model.optimizer.slots), strict=True):
        np.testing.assert_array_equal(old, new)
    assert seeds_given_out() == seeds
    assert [la.activation for la in model.layers if hasattr(la, "activation")] == activations


# -- sick networks, and their twins --------------------------------------------------------------


def test_a_deep_sigmoid_stack_vanishes_and_no_weights_help(digits):
    hidden = [dense("sigmoid", "glorot_uniform") for _ in range(12)]
    result = ek.checkup(stack(*hidden, softmax()), *digits, depth="init")
    (found,) = result.findings
    assert found.code == "init-activation-mismatch"
    assert "as measured" in found.sentence
    beneath = {symptom.code: symptom for symptom in found.symptoms}
    assert "vanishing-gradients" in beneath
    assert "re-initialize" not in beneath["vanishing-gradients"].remedies


def test_a_shallow_sigmoid_network_does_not(digits):
    hidden = [dense("sigmoid", "glorot_uniform") for _ in range(2)]
    assert not codes(stack(*hidden, softmax()), *digits)


def test_a_badly_scaled_stack_explodes_and_fitting_weights_help(digits):
    wide = ek.initializers.RandomNormal(stddev=1.0)
    result = ek.checkup(stack(*[dense("relu", wide) for _ in range(6)], softmax()), *digits,
                        depth="init")  # fmt: skip
    assert result.findings[0].code == "init-scale"
    exploding = [f for f in result.diagnosis.all_findings if f.code == "exploding-activations"]
    assert exploding
    assert exploding[0].remedies[0] == "re-initialize"
    assert "initial-loss-off" in result.codes
    assert not codes(stack(*[dense() for _ in range(6)], softmax()), *digits)


def test_softmax_on_one_unit_explains_that_no_gradient_comes(digits):
    x, y = digits
    model = stack(dense(), layers.Dense(1, activation="softmax"), loss="binary_crossentropy")
    (found,) = ek.checkup(model, x, y > 4, depth="init").findings
    assert found.code == "output-activation-mismatch"
    assert "vanishing-gradients" in {symptom.code for symptom in found.symptoms}
    twin = stack(dense(), layers.Dense(1, activation="sigmoid"), loss="binary_crossentropy")
    assert not codes(twin, x, y > 4)


def test_raw_pixels_are_the_cause_of_what_selu_does(digits):
    x, y = digits
    model = stack(*[dense("selu", "lecun_normal") for _ in range(3)], softmax())
    (found,) = ek.checkup(model, np.round(x * 255), y, depth="init").findings
    assert found.code == "inputs-not-standardized"
    assert "initial-loss-off" in {inner.code for inner in found.everything}
    twin = stack(*[dense("selu", "lecun_normal") for _ in range(3)], softmax())
    assert not codes(twin, x, y)


def test_a_dead_layer_is_found_and_sparse_units_are_not(digits):
    x, y = digits
    off = stack(dense(bias_initializer=ek.initializers.Constant(-50.0)), softmax())
    result = ek.checkup(off, x, y, depth="init")
    assert result.findings[0].code == "dead-units"
    sparse = stack(dense(bias_initializer=ek.initializers.Constant(-0.5)), softmax())
    zeros = [f for f in signal_of(sparse, x, y).layers if f.name == "dense"]
    assert zeros[0].silent_fraction < 0.5
    assert not codes(sparse, x, y)


def test_saturated_units_are_found(digits):
    x, y = digits
    wide = ek.initializers.RandomNormal(stddev=20.0)
    assert "saturated-units" in codes(stack(dense("tanh", wide), softmax()), x, y)


def test_branches_and_outputs_that_start_at_0_are_not_sick(digits):
    x, y = digits
    inputs = ek.Input(shape=(64,))
    body = dense()(inputs)
    for _ in range(3):
        branch = dense()(body)
        body = layers.Add()([body, layers.Dense(40, kernel_initializer="zeros")(branch)])
    model = ek.Model(inputs, softmax(kernel_initializer="zeros")(body))
    model.compile("adam", loss=SPARSE)
    assert not codes(model, x, y)
    assert signal_of(model, x, y).heads[0].loss == pytest.approx(np.log(10), rel=1e-5)


def test_frozen_layers_are_not_sick(digits):
    off = ek.initializers.Constant(-50.0)
    model = stack(dense(), dense(bias_initializer=off, trainable=False), softmax())
    assert "dead-units" not in codes(model, *digits)


def test_what_is_measured_overrules_what_theory_expects(digits):
    """Glorot's weights under ReLU, 40 deep, with biases that keep every unit on: linear layers."""
    x, y = digits
    glorot = [dense("relu", ek.initializers.Orthogonal()) for _ in range(40)]
    assert "init-activation-mismatch" in ek.checkup(stack(*glorot, softmax()), x, y).codes
    on = ek.initializers.Constant(2.0)
    kept = [dense("relu", ek.initializers.Orthogonal(), bias_initializer=on) for _ in range(40)]
    model = stack(*kept, softmax())
    assert "init-activation-mismatch" in ek.checkup(model, x, y).codes
    assert "init-activation-mismatch" not in codes(model, x, y)


class OverRows(layers.Layer):
    """Subtracts the mean of the batch, as a wrong axis does."""

    def call(self, inputs):
        return inputs - jnp.mean(inputs, axis=0, keepdims=True)


def test_rows_that_mix_are_found_and_batch_norm_is_left_aside(digits):
    assert codes(stack(dense(), OverRows(), softmax()), *digits) == {"samples-mixed"}
    assert not codes(stack(dense(), layers.BatchNormalization(momentum=0.9), softmax()), *digits)
    assert not codes(stack(dense(), layers.Dropout(0.5), softmax()), *digits)


# -- what cannot be run --------------------------------------------------------------------------


def test_what_cannot_be_run_is_judged_as_it_stands(digits):
    x, y = digits
    result = ek.checkup(stack(dense(), softmax()), np.where(x == x[3, 20], np.nan, x), y,
                        depth="init")  # fmt: skip
    assert "inputs-not-finite" in result.codes
    reasons = {verdict.code: verdict.reason for verdict in result.unknown}
    assert "cannot be run on this data" in reasons["dead-units"]
    bare = ek.checkup(ek.Sequential([dense(), softmax()]), x, y, depth="init")
    reasons = {verdict.code: verdict.reason for verdict in bare.unknown}
    assert "model.compile" in reasons["dead-units"]


def test_a_model_with_a_call_of_its_own_is_run(digits):
    class Own(ek.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = dense(), softmax()

        def call(self, inputs):
            return self.last(self.first(inputs))

    model = Own()
    model.compile("adam", loss=SPARSE)
    assert [layer.name for layer in signal_of(model, *digits).layers] == ["dense", "dense_1"]
    assert not codes(model, *digits)


def test_each_output_has_its_loss(random):
    x = random.normal(size=(60, 4)).astype(np.float32)
    inputs = ek.Input(shape=(4,))
    body = dense()(inputs)
    model = ek.Model(inputs, [layers.Dense(1, name="price")(body), softmax(name="kind")(body)])
    model.compile("adam", loss={"price": "mse", "kind": SPARSE})
    y = {"price": random.normal(size=60), "kind": np.arange(60) % 10}
    heads = signal_of(model, x, y).heads
    assert [head.name for head in heads] == ["price", "kind"]
    assert heads[1].constant_loss == pytest.approx(np.log(10), rel=1e-4)


def test_the_data_is_read_once_as_fit_reads_it(digits):
    """The reader accepts what fit accepts, and the pass takes its rows from that."""
    x, y = digits
    model = stack(dense(), softmax())
    assert Reader(model).batch(x.astype(np.float64), y).rows == 400
    assert signal_of(model, (x * 255).astype(np.uint8), y).rows == 400
