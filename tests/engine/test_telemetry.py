"""What a run tells about its inside, against the same numbers by hand."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.engine.telemetry import next_sample
from evenkeel.layers import Dense
from evenkeel.optimizers import SGD


@pytest.fixture
def data(random):
    return random.normal(size=(40, 3)).astype(np.float32), random.normal(size=(40, 1))


def network(telemetry, units=5, optimizer=None):
    model = ek.Sequential(
        [Dense(units, activation="relu", input_shape=[3]), Dense(1)], name="small"
    )
    model.compile(optimizer or SGD(0.1), "mse", telemetry=telemetry)
    return model


def by_hand(weights, x, y):
    """The loss, the gradients and the hidden layer's output of the network, in float64."""
    k1, b1, k2, b2 = (np.array(w, np.float64) for w in weights)
    hidden = np.maximum(x @ k1 + b1, 0)
    output = hidden @ k2 + b2
    error = 2 * (output - y) / len(x)
    below = (error @ k2.T) * (hidden > 0)
    gradients = [x.T @ below, below.sum(0), hidden.T @ error, error.sum(0)]
    return np.mean((output - y) ** 2), gradients, hidden, output


def norms(arrays):
    return [float(np.linalg.norm(a)) for a in arrays]


def named(names, values):
    return pytest.approx(dict(zip(names, values, strict=True)), rel=1e-5)


def test_off_leaves_nothing(data):
    assert network("off").fit(*data, verbose=0).telemetry == []


def test_economy_has_the_norms_of_gradients_weights_and_updates(data):
    """The first sample is taken before the first step, so every number follows from the start."""
    model = network("economy")
    weights = model.get_weights()
    history = model.fit(*data, batch_size=40, shuffle=False, verbose=0)
    (sample,) = history.telemetry
    loss, gradients, _, _ = by_hand(weights, *data)
    names = ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]
    assert sample.loss == pytest.approx(loss, rel=1e-5)
    assert sample.learning_rate == pytest.approx(0.1)
    assert sample.gradient_norm == named(names, norms(gradients))
    assert sample.weight_norm == named(names, norms(weights))
    updates = [0.1 * g for g in gradients]
    assert sample.update_norm == named(names, norms(updates))
    assert (sample.epoch, sample.step) == (0, 0)
    assert sample.activation_mean == sample.activation_std == sample.zero_fraction == {}


def test_full_has_activations_by_layer_path(data):
    model = network("full")
    weights = model.get_weights()
    (sample,) = model.fit(*data, batch_size=40, shuffle=False, verbose=0).telemetry
    _, _, hidden, output = by_hand(weights, *data)
    expected = {"small/dense": hidden, "small/dense_1": output, "small": output}
    found = {path: sample.activation_mean[path] for path in expected}
    assert set(sample.activation_mean) <= set(expected)
    assert found == pytest.approx({p: a.mean() for p, a in expected.items()}, abs=1e-5)
    assert sample.activation_std["small/dense"] == pytest.approx(hidden.std(), rel=1e-4)
    assert sample.zero_fraction["small/dense"] == pytest.approx(np.mean(hidden == 0))
    assert sample.zero_fraction["small/dense_1"] == pytest.approx(np.mean(output == 0))


def test_a_dead_layer_shows_as_all_zeros(data):
    model = network("full")
    model.layers[0].set_weights([np.zeros((3, 5)), np.full(5, -1.0)])
    (sample,) = model.fit(*data, batch_size=40, verbose=0).telemetry
    assert sample.zero_fraction["small/dense"] == 1
    assert sample.gradient_norm["dense/kernel"] == 0


def due(steps, grain=1):
    return [step for step in range(steps) if next_sample(step, grain) == step]


@pytest.mark.parametrize("batch_size", [1, 10, 40])
def test_samples_are_dense_at_the_start_of_a_run(data, batch_size):
    """Before the steps 0, 1, 4, 16 and so on of the run, whatever its epochs."""
    model = network("economy", units=1)
    history = model.fit(*data, batch_size=batch_size, epochs=2, verbose=0)
    steps = 40 // batch_size
    expected = [(s // steps, s) for s in (0, 1, 4, 16, 64) if s < 2 * steps]
    assert [(sample.epoch, sample.step) for sample in history.telemetry] == expected


def test_a_second_run_is_sampled_from_its_own_start(data):
    model = network("economy", units=1)
    model.fit(*data, batch_size=10, epochs=5, verbose=0)
    samples = model.fit(*data, batch_size=10, verbose=0).telemetry
    assert [sample.step for sample in samples] == [20, 21]


def test_a_long_run_has_a_sample_every_256_steps():
    assert due(1200) == [0, 1, 4, 16, 64, 256, 512, 768, 1024]


def test_a_very_long_run_has_512_samples_in_each_doubling():
    """So their number grows with the logarithm of the length; they never come closer again."""
    for power in (17, 20, 24):
        start, count, step = 1 << power, 0, 1 << power
        while step < 2 * start:
            count, step = count + 1, next_sample(step + 1)
        assert (count, step) == (512, 2 * start)


def test_where_steps_come_in_blocks_no_sample_cuts_one():
    assert due(600, grain=32) == [0, 32, 64, 256, 512]


def test_frozen_weights_are_not_reported(data):
    model = network("economy")
    model.layers[0].trainable = False
    (sample,) = model.fit(*data, batch_size=40, verbose=0).telemetry
    assert set(sample.weight_norm) == {"dense_1/kernel", "dense_1/bias"}


def test_the_rate_of_a_schedule_is_reported_step_by_step(data):
    def halved(step):
        return 0.1 * 0.5 ** step.astype(jnp.float32)

    model = network("economy", optimizer=SGD(halved))
    samples = model.fit(*data, batch_size=10, verbose=0).telemetry
    assert [s.learning_rate for s in samples] == pytest.approx([0.1, 0.05])


def test_an_unknown_level_is_refused_with_the_nearest():
    with pytest.raises(ek.errors.InvalidArgumentError, match="economy"):
        network("economical")
