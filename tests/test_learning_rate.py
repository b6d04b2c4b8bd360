"""`find_learning_rate`: what it leaves alone, what it suggests, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError, InvalidDataError, NotCompiledError
from evenkeel.layers import Dense, Dropout
from evenkeel.randomness import next_seed


@pytest.fixture(scope="module")
def digits():
    (x, y), _ = ek.datasets.digits.load_data()
    return x / np.float32(16), y


def network(optimizer="sgd", built=True):
    first = [ek.Input(shape=[64])] if built else []
    model = ek.Sequential(
        [*first, Dense(32, activation="elu"), Dropout(0.2), Dense(10, activation="softmax")]
    )
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def state_of(model):
    slots = model.optimizer.slots
    return (
        [weight.tobytes() for weight in model.get_weights()],
        model.optimizer.iterations,
        float(model.optimizer.learning_rate),
        None if slots is None else {k: {p: np.asarray(a).tobytes() for p, a in s.items()}
                                    for k, s in slots.items()},
        model.built,
        model.history,
    )  # fmt: skip


@pytest.mark.parametrize("trained", [False, True], ids=["fresh", "trained"])
def test_model_optimizer_and_random_state_are_bit_identical_afterwards(digits, trained):
    model = network(ek.optimizers.SGD(0.01, momentum=0.9))
    if trained:
        model.fit(*digits, epochs=1, verbose=0)
    ek.set_random_seed(5)
    expected = next_seed()
    ek.set_random_seed(5)
    before = state_of(model)
    ek.find_learning_rate(model, *digits, steps=60)
    assert state_of(model) == before
    assert next_seed() == expected


def test_training_after_a_search_is_training_without_one(digits):
    weights = []
    for searches in (False, True):
        ek.set_random_seed(9)
        model = network("adam")
        if searches:
            ek.find_learning_rate(model, *digits, steps=40)
        model.fit(*digits, epochs=1, verbose=0)
        weights.append([w.tobytes() for w in model.get_weights()])
    assert weights[0] == weights[1]


def test_a_model_that_was_not_built_is_not_built_afterwards(digits):
    model = network(built=False)
    assert ek.find_learning_rate(model, *digits).suggestion is not None
    assert not model.built
    assert model.get_weights() == []


def test_the_same_seed_gives_the_same_search(digits):
    model = network()
    first, again = (ek.find_learning_rate(model, *digits, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.losses, again.losses)
    other = ek.find_learning_rate(model, *digits, seed=4)
    assert not np.array_equal(first.losses[:20], other.losses[:20])


def test_a_schedule_is_left_out_of_the_search_and_kept(digits):
    scheduled = network(ek.optimizers.SGD(lambda step: 1e-9))
    plain = network(ek.optimizers.SGD(0.5))
    plain.set_weights(scheduled.get_weights())
    one, two = (ek.find_learning_rate(m, *digits, steps=50) for m in (scheduled, plain))
    np.testing.assert_array_equal(one.losses, two.losses)
    assert scheduled.optimizer.schedule is not None


def test_on_a_parabola_the_turning_point_is_below_the_rate_of_divergence():
    """Descent on ½h·w² diverges from the rate 2/h on; here the loss is the mean of (w·x - y)²,
    whose curvature is h = 2·mean(x²) = 2, so that it diverges from 1 on. Noisy targets keep the
    weight from standing still at the bottom."""
    random = np.random.Generator(np.random.Philox(1))
    x = np.ones((256, 1), np.float32)
    y = 1 + 0.1 * random.normal(size=256).astype(np.float32)
    model = ek.Sequential([Dense(1, use_bias=False, kernel_initializer="zeros", input_shape=[1])])
    model.compile("sgd", loss="mse")
    search = ek.find_learning_rate(model, x, y, low=1e-4, high=100.0, steps=200)
    assert search.diverged
    assert 0.05 < search.lowest < 1.2
    assert 0.3 < search.turning_point < 3.0
    assert search.suggestion == search.lowest / 1.5
    assert search.suggestions["a tenth of the turning point"] == search.turning_point / 10
    assert search.steepest <= search.lowest


def test_a_network_that_cannot_learn_gets_no_suggestion():
    random = np.random.Generator(np.random.Philox(1))
    x = np.zeros((64, 3), np.float32)
    model = ek.Sequential([Dense(1, use_bias=False, input_shape=[3])])
    model.compile("sgd", loss="mse")
    search = ek.find_learning_rate(model, x, random.normal(size=64), steps=30)
    assert search.suggestion is None
    assert search.suggestions == {}
    assert "no learning rate will help" in search.sentence


def test_losses_end_where_the_loss_blows_up(digits):
    search = ek.find_learning_rate(network(), *digits, high=1e4)
    assert search.diverged
    assert len(search.losses) == len(search.rates) == len(search.smoothed) < 300
    assert np.isfinite(search.losses).all()
    full = ek.find_learning_rate(network(), *digits, high=0.1, steps=40)
    assert not full.diverged
    assert len(full.losses) == 40
    assert full.rates[-1] == pytest.approx(0.1)


@pytest.mark.slow
def test_the_suggestion_trains(digits):
    """Better than rates a hundred times lower and higher, on the training data."""
    accuracies = {}
    for factor in (0.01, 1.0, 100.0):
        ek.set_random_seed(2)
        model = network()
        rate = ek.find_learning_rate(model, *digits).suggestion
        model.optimizer.learning_rate = rate * factor
        model.fit(*digits, epochs=3, verbose=0)
        accuracies[factor] = model.evaluate(*digits, verbose=0)[1]
    assert max(accuracies, key=accuracies.get) == 1.0


def test_the_plot_shows_every_suggestion(digits):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    search = ek.find_learning_rate(network(), *digits)
    axes = search.plot()
    assert axes.get_xscale() == "log"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert all(any(name in label for label in labels) for name in search.suggestions)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"low": 0.0}, "low"),
        ({"low": 1.0, "high": 0.5}, "high"),
        ({"steps": 5}, "steps"),
        ({"divergence": 1.0}, "divergence"),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": -1}, "seed"),
    ],
)
def test_impossible_arguments_are_refused(digits, arguments, word):
    with pytest.raises(InvalidArgumentError, match=word):
        ek.find_learning_rate(network(), *digits, **arguments)


def test_a_model_without_a_loss_and_data_that_does_not_fit_are_refused(digits):
    with pytest.raises(NotCompiledError, match="compile"):
        ek.find_learning_rate(ek.Sequential([Dense(1)]), *digits)
    with pytest.raises(InvalidDataError, match="layer 0"):
        ek.find_learning_rate(network(), digits[0][:, :5], digits[1])
    with pytest.raises(InvalidArgumentError, match="y is missing"):
        ek.find_learning_rate(network(), digits[0])
