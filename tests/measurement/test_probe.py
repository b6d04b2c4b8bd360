"""Short trainings of real networks: sick ones are named, healthy ones are left in peace."""

from __future__ import annotations

import random as python_random

import jax
import numpy as np
import pytest

import evenkeel as ek
from evenkeel import layers
from evenkeel.description import describe
from evenkeel.doctor import RunRecord
from evenkeel.engine.step import Batch
from evenkeel.measurement import baselines
from evenkeel.measurement.probe import STEPS, _rates_of, _split
from evenkeel.randomness import seeds_given_out

SPARSE = "sparse_categorical_crossentropy"
SGD = ek.optimizers.SGD


@pytest.fixture(scope="module")
def digits():
    (x, y), _ = ek.datasets.digits.load_data()
    return (x / 16).astype(np.float32), y


def network(*parts, optimizer="adam", loss=SPARSE, outputs=10, activation="softmax"):
    hidden = layers.Dense(40, activation="relu", kernel_initializer="he_normal")
    model = ek.Sequential([*parts, hidden, layers.Dense(outputs, activation=activation)])
    model.compile(optimizer, loss=loss)
    return model


def probed(model, x, y, **more):
    return ek.checkup(model, x, y, depth="probe", **more)


# -- healthy, and untouched ----------------------------------------------------------------------


def test_a_healthy_network_has_no_finding_and_keeps_everything(digits):
    """Weights, slots, steps, and three sources of random numbers: bit for bit as before."""
    x, y = digits
    model = network()
    model.fit(x, y, epochs=1, verbose=0)
    before = [np.array(w) for w in model.get_weights()]
    slots = [np.array(s) for s in jax.tree.leaves(model.optimizer.slots)]
    state = seeds_given_out(), model.optimizer.iterations, python_random.getstate()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002  # the one that must not move
    result = probed(model, x, y, epochs=20)
    assert not result.findings, str(result)
    assert not result.unknown[1:], str(result)  # validation rows were not given
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(slots, jax.tree.leaves(model.optimizer.slots), strict=True):
        np.testing.assert_array_equal(old, new)
    assert (seeds_given_out(), model.optimizer.iterations, python_random.getstate()) == state
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_a_healthy_regression_has_no_finding(random):
    x = random.normal(size=(1500, 6))
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * random.normal(size=1500)
    held_out = x[1200:], y[1200:]
    model = network(loss="mse", outputs=1, activation=None)
    result = probed(model, x[:1200], y[:1200], validation_data=held_out, epochs=20)
    assert not result.findings, str(result)
    probe = result.patient.probe
    assert probe.held_out_rows == 300
    assert probe.constant_loss == pytest.approx(held_out[1].var(), rel=0.05)
    assert probe.best.held_out < 0.5 * probe.constant_loss


# -- rates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [3, 1000])
def test_a_rate_that_is_too_high_is_named_first_with_a_better_one(times, digits):
    """This network learns the digits best, of rates a factor of three apart, at 0.3."""
    first = layers.Dense(60, activation="relu", kernel_initializer="he_normal")
    result = probed(network(first, optimizer=SGD(0.33 * times)), *digits)
    assert result.findings[0].code == "learning-rate-too-high", str(result)
    assert result.patient.probe.best.rate < 0.6
    assert "learning_rate = " in result.to_dict()["findings"][0]["remedies"][0]["type"]


def test_rates_that_do_are_left_in_peace(digits):
    first = layers.Dense(60, activation="relu", kernel_initializer="he_normal")
    result = probed(network(first, optimizer=SGD(0.3)), *digits)
    assert not result.findings, str(result)


def test_a_rate_that_is_too_low_is_named(digits):
    result = probed(network(optimizer=SGD(3e-5)), *digits)
    assert "learning-rate-too-low" in result.codes, str(result)
    assert {finding.code for finding in result.findings} == {"learning-rate-too-low"}


def test_a_schedule_is_followed_in_short(digits):
    """1cycle: from a 25th up to the peak, and down; the probe's steps pass through all of it."""
    optimizer = SGD(ek.optimizers.schedules.OneCycle(0.5), momentum=0.9)
    patient = describe(network(optimizer=optimizer), *digits, None, RunRecord(epochs=50))
    rates = _rates_of(patient)
    assert len(rates) == STEPS
    assert rates[0] < 0.1
    assert rates.max() == pytest.approx(0.5, rel=0.02)
    assert rates[-1] < 0.01


# -- data and networks ---------------------------------------------------------------------------


def test_labels_that_were_shuffled_are_told(digits, random):
    x, y = digits
    result = probed(network(), x, random.permutation(y))
    assert "labels-unrelated" in result.codes, str(result)
    assert not result.faults


class Blindfold(layers.Layer):
    """Passes nothing on, as a wrong mask does."""

    def call(self, inputs):
        return inputs * 0.0


def test_inputs_that_do_not_get_through_are_told(digits):
    result = probed(network(Blindfold()), *digits)
    assert {"inputs-ignored", "cannot-fit-one-batch"} <= result.codes, str(result)
    assert "labels-unrelated" not in result.codes


def test_softmax_on_one_unit_explains_what_cannot_be_learned(digits):
    x, y = digits
    model = network(outputs=1, loss="binary_crossentropy")
    result = probed(model, x, y > 4)
    assert result.findings[0].code == "output-activation-mismatch"
    beneath = {inner.code for inner in result.findings[0].everything}
    assert {"vanishing-gradients", "cannot-fit-one-batch", "loss-not-decreasing"} <= beneath


# -- what little can do --------------------------------------------------------------------------


def test_a_few_rows_show_every_class_in_turn():
    target = np.repeat([3, 1, 2], [50, 30, 2])[:, None]
    rows = baselines.few_rows(target, 8, "classes")
    assert sorted(target[rows, 0].tolist()) == [1, 1, 1, 2, 2, 3, 3, 3]
    numbers = baselines.few_rows(np.arange(100.0)[::-1, None], 5, "numbers")
    assert sorted(99 - numbers) == [0, 24, 49, 74, 99]


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (ek.losses.SparseCategoricalCrossentropy(), np.arange(8)[:, None] % 3),
        (ek.losses.SparseCategoricalCrossentropy(from_logits=True), np.arange(8)[:, None] % 3),
        (ek.losses.CategoricalCrossentropy(), np.eye(4)[np.arange(8) % 4]),
        (ek.losses.BinaryCrossentropy(), (np.arange(8)[:, None] % 2).astype(float)),
        (ek.losses.BinaryCrossentropy(from_logits=True), (np.arange(8)[:, None] % 2).astype(float)),
        (ek.losses.MeanSquaredError(), np.arange(8.0)[:, None]),
    ],
)
def test_a_linear_model_fits_eight_rows_of_twenty_features(loss, target, random):
    x = random.normal(size=(8, 20)).astype(np.float32)
    found = baselines.linear_loss(loss, x, target)
    assert 0 <= found < 0.1 * baselines.constant_loss(loss, target)


def test_strength_is_in_deviations_of_chance(random):
    """Of unrelated columns a rank correlation has the deviation 1/sqrt(rows - 1)."""
    found = [
        baselines.strength_of(random.normal(size=(200, 1)), random.normal(size=(200, 1)))
        for _ in range(400)
    ]
    assert np.std(found) == pytest.approx(1, abs=0.11)  # three deviations of it
    assert max(found) < 4
    line = np.arange(200.0)[:, None]
    assert baselines.strength_of(line, line**3) == pytest.approx(np.sqrt(199))


def test_relations_are_found_by_others_in_each_kind_of_target(random):
    x = random.normal(size=(900, 5)).astype(np.float32)
    y = x[:, :1] - x[:, 1:2]
    kinds = {
        "mse": y,
        "binary_crossentropy": (y > 0).astype(np.float32),
        SPARSE: np.digitize(y, [-1, 1]),
        "categorical_crossentropy": np.eye(3)[np.digitize(y[:, 0], [-1, 1])],
    }
    for name, target in kinds.items():
        units = 3 if "categorical" in name else 1
        model = network(outputs=units, activation=None, loss=ek.losses.get(name))
        model.build((None, 5))
        train, held = Batch(x=x[:600], y=target[:600]), Batch(x=x[600:], y=target[600:])
        answers = [random.normal(size=(300, units))]
        (found,) = baselines.relations(model.heads(), train, held, answers)
        assert found.strength("linear model") > 8, name
        assert found.strength("trees") > 8, name
        assert found.strength("network") < 4, name
        others = [w.score for w in found.witnesses if w.name != "network"]
        assert min(others) > found.constant_score + 0.1, name


@pytest.mark.parametrize("rows", [1, 5, 40, 5000])
def test_training_rows_are_whole_batches_and_others_are_held_out(rows):
    data = Batch(x=np.arange(rows, dtype=np.float32)[:, None], y=np.zeros((rows, 1)))
    train, held = _split(data, None, RunRecord(batch_size=8), seed=0)
    assert train.rows >= 1
    assert held.rows >= 1
    assert train.rows % min(8, train.rows) == 0
    if rows > 1:
        assert not set(train.x[:, 0]) & set(held.x[:, 0])
