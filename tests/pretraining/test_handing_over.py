"""What every way of pretraining obeys: originals untouched, a seed decides, layers go on."""

from __future__ import annotations

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError
from evenkeel.layers import Dense, Flatten, Rescaling

p = ek.pretraining


def pairs(layers, x):
    return p.auxiliary(layers, *p.pairs_from_labels(x, np.arange(len(x)) % 3, count=60), epochs=1)


WAYS = {
    "autoencoder": lambda layers, x: p.autoencoder(layers, x, noise=0.2, tied=True, epochs=1),
    "greedy autoencoder": lambda layers, x: p.greedy(layers, x, epochs=1),
    "greedy rbm": lambda layers, x: p.greedy(layers, x, "rbm", epochs=1),
    "gan": lambda layers, x: p.gan(layers, x, epochs=1),
    "auxiliary": lambda layers, x: p.auxiliary(layers, x, np.arange(len(x)) % 3, epochs=1),
    "pairs": pairs,
}
every_way = pytest.mark.parametrize(
    "way", [pytest.param(way, id=name) for name, way in WAYS.items()]
)


@pytest.fixture
def images(random):
    return random.integers(0, 256, (30, 2, 3)).astype(np.uint8)


@pytest.fixture
def source(images):
    """A built model of another task, whose lower layers are to be pretrained."""
    layers = [Flatten(), Rescaling(1 / 255), Dense(4, activation="sigmoid"), Dense(2)]
    model = ek.Sequential(layers, name="source")
    model.build((None, 2, 3))
    return model


@every_way
def test_originals_stay_as_they_are_and_a_seed_decides(way, source, images):
    before = source.get_weights()
    names = [layer.name for layer in source.layers]
    ek.set_random_seed(3)
    first = way(source.layers[:-1], images)
    ek.set_random_seed(3)
    second = way(source.layers[:-1], images)

    for a, b in zip(before, source.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [layer.name for layer in source.layers] == names
    assert not any(layer.is_shared for layer in source.layers)

    trained = first.layers[2].get_weights()
    assert np.abs(trained[0] - before[0]).max() > 1e-4
    for a, b in zip(trained, second.layers[2].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.history == second.history
    assert [len(values) for values in first.history.values()] == [1] * len(first.history)

    model = first.then(Dense(3, activation="softmax"))
    for a, b in zip(trained, model.layers[2].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class TestThen:
    @pytest.fixture
    def pretrained(self):
        dense = Dense(4, activation="relu", input_shape=(6,))
        layers = ek.Sequential([dense]).layers
        return p.Pretrained(
            method="hand",
            layers=layers,
            stages=(p.Stage(name="hand", history={"loss": [2.0, 1.0]}),),
        )

    def test_networks_made_from_one_pretraining_share_nothing(self, pretrained, random):
        x, y = random.normal(size=(12, 6)).astype(np.float32), np.arange(12) % 2
        before = pretrained.layers[0].get_weights()[0]
        model, other = (pretrained.then(Dense(2, activation="softmax")) for _ in range(2))
        model.compile("sgd", loss="sparse_categorical_crossentropy")
        model.fit(x, y, verbose=0)
        assert (model.layers[0].get_weights()[0] != before).any()
        for layer in (pretrained.layers[0], other.layers[0]):
            np.testing.assert_array_equal(layer.get_weights()[0], before)

    def test_frozen_layers_are_trained_once_they_may(self, pretrained):
        model = pretrained.then(Dense(2), freeze=True)
        assert [layer.trainable for layer in model.layers] == [False, True]
        assert pretrained.layers[0].trainable

    def test_nothing_on_top_is_refused(self, pretrained):
        with pytest.raises(InvalidArgumentError, match=r"then\(ek\.layers\.Dense"):
            pretrained.then()

    def test_it_says_what_was_measured_and_how_to_go_on(self, pretrained):
        assert "hand: 2 epochs, loss 2 to 1" in repr(pretrained)
        assert "pretrained.then(" in pretrained.sentence


def test_a_sequential_and_a_leading_input_are_taken_as_layers(random):
    x = random.normal(size=(10, 3)).astype(np.float32)
    layers = [ek.Input(shape=(3,)), Dense(2)]
    assert len(p.autoencoder(layers, x, epochs=1).layers) == 1
    assert len(p.autoencoder(ek.Sequential(layers), x, epochs=1).layers) == 1
