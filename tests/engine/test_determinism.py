"""One seed makes one run: nothing that only watches, and no clock, may change a bit of it."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.engine import epoch
from evenkeel.engine import fit as engine
from evenkeel.layers import Dense, Dropout


def rows(count=70):
    """Two noisy classes of four features; 70 rows make 4 full batches of 16 and one of 6."""
    random = np.random.Generator(np.random.Philox(7))
    x = random.normal(size=(count, 4)).astype(np.float32)
    return x, (x[:, 0] + 0.1 * random.normal(size=count) > 0).astype(np.int64)


X, Y = rows()


def network(telemetry="off"):
    """A network with dropout, compiled; its weights do not matter."""
    model = ek.Sequential(
        [Dense(6, activation="relu", input_shape=[4]), Dropout(0.4), Dense(2, activation="softmax")]
    )
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], telemetry=telemetry
    )
    return model


compiled_once = cache(network)


def run(model, *, seed=3, **arguments):
    """The weights' bytes and the history of a run from the start, whatever the model did before."""
    ek.set_random_seed(seed)
    start = np.random.Generator(np.random.Philox(seed))
    model.set_weights([start.normal(size=w.shape, scale=0.5) for w in model.weights])
    model.optimizer.slots, model.optimizer.iterations = None, 0
    settings = {"batch_size": 16, "epochs": 3, "verbose": 0} | arguments
    history = model.fit(X, Y, **settings)
    return [weight.tobytes() for weight in model.get_weights()], history


@pytest.fixture(scope="module")
def usual():
    return run(compiled_once())


def test_one_seed_makes_runs_identical_to_the_bit():
    """From the starting weights on, in two models that have nothing in common."""
    results = []
    for _ in range(2):
        ek.set_random_seed(11)
        model = network()
        history = model.fit(X, Y, batch_size=16, epochs=3, verbose=0)
        results.append(([w.tobytes() for w in model.get_weights()], history.history))
    assert results[0] == results[1]


def test_another_seed_makes_another_run(usual):
    assert run(compiled_once(), seed=4)[0] != usual[0]


def test_shuffling_is_part_of_the_run(usual):
    """The control for the claims below: the order of the rows does matter to the bits."""
    assert run(compiled_once(), shuffle=False)[0] != usual[0]


@pytest.mark.parametrize("level", ["economy", "full"])
def test_weights_are_the_same_at_every_level_of_telemetry(usual, level):
    weights, history = run(compiled_once(level))
    assert weights == usual[0]
    assert history.history == usual[1].history
    assert history.telemetry


@pytest.mark.parametrize("steps", [1, 2, 3, 1000])
def test_results_do_not_depend_on_where_stretches_are_cut(usual, monkeypatch, steps):
    def learn(self, taken, seconds):
        self.steps = steps

    monkeypatch.setattr(engine.Pace, "learn", learn)
    weights, history = run(compiled_once())
    assert weights == usual[0]
    assert history.history == usual[1].history


def test_results_do_not_depend_on_how_slow_the_machine_is(usual, monkeypatch):
    monkeypatch.setattr(engine, "_STRETCH_SECONDS", 1e-9)
    assert run(compiled_once())[0] == usual[0]


@pytest.mark.parametrize("size", [2, 4, 32])
def test_steps_in_blocks_are_the_same_steps(usual, monkeypatch, size):
    """On a GPU steps come in blocks, whose last ones may be in vain."""
    due = {2: [0, 2, 4], 4: [0, 4], 32: [0]}
    for module in (engine, epoch):
        monkeypatch.setattr(module, "steps_at_once", lambda: size)
    weights, history = run(network("economy"))
    for found, expected in zip(weights, usual[0], strict=True):
        np.testing.assert_allclose(
            np.frombuffer(found, np.float32),
            np.frombuffer(expected, np.float32),
            rtol=1e-5,
            atol=1e-7,
        )
    assert history.history["accuracy"] == usual[1].history["accuracy"]
    assert [s.step for s in history.telemetry] == due[size]


@pytest.mark.filterwarnings("ignore:fit.*listens to single batches")
def test_listening_to_batches_changes_no_bit(usual):
    class Listener(ek.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    weights, history = run(compiled_once(), callbacks=[Listener()])
    assert weights == usual[0]
    assert history.history == usual[1].history


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
def test_results_do_not_depend_on_what_is_displayed(usual, verbose):
    assert run(compiled_once(), verbose=verbose)[0] == usual[0]


def test_validation_changes_no_bit_of_the_weights(usual):
    assert run(compiled_once(), validation_data=(X, Y))[0] == usual[0]


def test_predicting_and_evaluating_in_between_changes_no_bit(usual):
    class Curious(ek.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.predict(X)
            self.model.evaluate(X, Y, verbose=0)

    assert run(compiled_once(), callbacks=[Curious()])[0] == usual[0]


def test_two_fits_are_one_longer_run_when_nothing_is_random():
    """Adam counts its steps and keeps its slots from one `fit` to the next."""
    model = ek.Sequential([Dense(1, input_shape=[4])])
    model.compile("adam", "mse")
    results = [run(model, epochs=4, batch_size=14, shuffle=False)[0]]
    run(model, epochs=1, batch_size=14, shuffle=False)
    model.fit(X, Y, epochs=3, batch_size=14, shuffle=False, verbose=0)
    results.append([weight.tobytes() for weight in model.get_weights()])
    assert results[0] == results[1]


def linear():
    model = ek.Sequential([Dense(1, input_shape=[4])])
    model.compile("sgd", "mse")
    return model


def test_a_weight_that_the_user_holds_stays_valid_after_fit():
    model = linear()
    held = [variable.value for variable in model.weights]
    before = model.get_weights()
    assert all(isinstance(array, jax.Array) for array in held)
    model.fit(X, Y, batch_size=14, epochs=2, verbose=0)
    for array, copy in zip(held, before, strict=True):
        np.testing.assert_array_equal(np.asarray(array), copy)
    assert not np.array_equal(model.get_weights()[0], before[0])


class Keeper(ek.callbacks.Callback):
    """Keeps the kernel as the array it is, beside a copy."""

    def __init__(self):
        self.kept = []

    def on_epoch_end(self, epoch, logs=None):
        array = self.model.weights[0].value
        self.kept.append((array, np.array(array)))


class BatchKeeper(Keeper):
    """The same after every step."""

    def on_train_batch_end(self, batch, logs=None):
        self.on_epoch_end(batch)


@pytest.mark.filterwarnings("ignore:fit.*listens to single batches")
@pytest.mark.parametrize("keeper", [Keeper, BatchKeeper])
def test_a_weight_that_a_callback_holds_stays_valid(keeper):
    keeper = keeper()
    linear().fit(X, Y, epochs=3, batch_size=14, verbose=0, callbacks=[keeper])
    assert len(keeper.kept) >= 3
    for array, copy in keeper.kept:
        np.testing.assert_array_equal(np.asarray(array), copy)
