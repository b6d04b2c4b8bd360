"""Autoencoders, whole and layer by layer: PCA, NumPy, and what noise and penalties must do."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import rel_entr

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError, InvalidDataError
from evenkeel.layers import Conv2D, Dense, Dropout, Flatten, GaussianNoise, Rescaling, Reshape
from evenkeel.pretraining.autoencoder import divergence


@pytest.fixture
def x(random):
    """Five features of standard deviation 3, 2, 1, 0.3, 0.3, turned by a random rotation."""
    turn, _ = np.linalg.qr(random.normal(size=(5, 5)))
    return (random.normal(size=(200, 5)) * [3, 2, 1, 0.3, 0.3] @ turn).astype(np.float32)


@pytest.fixture
def fractions(random):
    return random.uniform(size=(60, 6)).astype(np.float32)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_a_linear_autoencoder_reaches_the_error_of_pca(x):
    """Baldi and Hornik 1989: its best is the projection on the first components.

    With centred data, PCA's error is the sum of the other singular values squared.
    """
    x = x - x.mean(axis=0)
    pca = (np.linalg.svd(x, compute_uv=False)[2:] ** 2).sum() / x.size
    pretrained = ek.pretraining.autoencoder(
        [Dense(2)], x, optimizer=ek.optimizers.Adam(0.01), epochs=100, batch_size=50
    )
    found = np.square(pretrained.networks["autoencoder"].predict(x) - x).mean()
    assert pca < found * (1 + 1e-4)
    assert found < 1.05 * pca


def test_a_tied_decoder_uses_the_transposed_kernels(fractions):
    """The whole by NumPy: σ(relu(relu(x·W + b)·V + c)·Vᵀ + c')·Wᵀ + a'."""
    layers = [Dense(4, activation="relu"), Dense(3, activation="relu")]
    pretrained = ek.pretraining.autoencoder(layers, fractions, tied=True, epochs=2)
    network = pretrained.networks["autoencoder"]
    w, b, v, c, c_back, a_back = (weight.astype(np.float64) for weight in network.get_weights())
    h = np.maximum(np.maximum(fractions @ w + b, 0) @ v + c, 0)
    expected = sigmoid(np.maximum(h @ v.T + c_back, 0) @ w.T + a_back)
    np.testing.assert_allclose(network.predict(fractions), expected, atol=1e-5)
    assert network.count_params() == (6 * 4 + 4) + (4 * 3 + 3) + 4 + 6


def test_inputs_from_0_to_1_are_compared_as_probabilities(fractions):
    """The loss after training by NumPy: binary cross-entropy behind a sigmoid."""
    pretrained = ek.pretraining.autoencoder(
        [Rescaling(1 / 255), Dense(3, activation="tanh")], 255 * fractions, epochs=1
    )
    network = pretrained.networks["autoencoder"]
    again = network.predict(fractions).astype(np.float64)
    expected = -(fractions * np.log(again) + (1 - fractions) * np.log1p(-again)).mean()
    found = network.evaluate(fractions, fractions, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_noise_is_on_the_input_and_not_on_the_target(random):
    """Under noise of deviation 5, nothing better can be said than the mean: an error of 1.

    A target with the noise on it would have an error of 26.
    """
    x = random.normal(size=(200, 3)).astype(np.float32)
    pretrained = ek.pretraining.autoencoder(
        [Dense(3, activation="tanh")],
        x,
        noise=GaussianNoise(5.0),
        optimizer=ek.optimizers.Adam(0.02),
        epochs=30,
        batch_size=50,
    )
    assert 0.5 < pretrained.history["loss"][-1] < 1.5


def test_a_fraction_as_noise_is_dropout_that_is_not_handed_over(fractions):
    pretrained = ek.pretraining.autoencoder([Dense(3)], fractions, noise=0.25, epochs=1)
    first = pretrained.networks["autoencoder"].layers[0]
    assert isinstance(first, Dropout)
    assert first.rate == 0.25
    assert [type(layer) for layer in pretrained.layers] == [Dense]


def test_the_divergence_is_that_of_two_coins():
    """By scipy: the relative entropy of (ρ, 1 - ρ) and (m, 1 - m)."""
    m = np.array([0.01, 0.2, 0.9])
    expected = rel_entr(0.05, m) + rel_entr(0.95, 1 - m)
    np.testing.assert_allclose(divergence(0.05, jnp.asarray(m, jnp.float32)), expected, rtol=1e-4)


def test_a_wanted_activity_is_approached(fractions):
    layers = [Dense(8, activation="sigmoid")]
    settings = {"optimizer": ek.optimizers.Adam(0.02), "epochs": 40, "batch_size": 20}

    def activity(**sparsity):
        ek.set_random_seed(1)
        pretrained = ek.pretraining.autoencoder(layers, fractions, **settings, **sparsity)
        return ek.Sequential(pretrained.layers).predict(fractions).mean()

    assert abs(activity(sparsity=0.1, sparsity_weight=10.0) - 0.1) < 0.03


def test_a_regularizer_holds_the_outputs_down(fractions):
    """A large L1 on the outputs of ReLU leaves nothing but zeros."""
    pretrained = ek.pretraining.autoencoder(
        [Dense(4, activation="relu")],
        fractions,
        sparsity=ek.regularizers.L1(10.0),
        optimizer=ek.optimizers.Adam(0.05),
        epochs=20,
        batch_size=20,
    )
    assert ek.Sequential(pretrained.layers).predict(fractions).mean() < 1e-3


def test_images_have_a_decoder_of_ones_own(random):
    images = random.uniform(size=(8, 4, 4, 1)).astype(np.float32)
    encoder = [Conv2D(2, 3, activation="relu"), Flatten(), Dense(3)]
    decoder = [Dense(16, activation="sigmoid"), Reshape((4, 4, 1))]
    pretrained = ek.pretraining.autoencoder(encoder, images, decoder=decoder, epochs=1)
    assert pretrained.networks["autoencoder"].output_shape == (None, 4, 4, 1)
    assert not decoder[0].built
    with pytest.raises(InvalidArgumentError, match=r"Conv2D(.|\n)*decoder="):
        ek.pretraining.autoencoder(encoder, images)


class TestRefusals:
    def test_a_decoder_of_another_shape(self, fractions):
        with pytest.raises(InvalidDataError, match=r"\(5,\), expected \(6,\)(.|\n)*Dense\(6\)"):
            ek.pretraining.autoencoder([Dense(3)], fractions, decoder=[Dense(5)])

    def test_rows_that_do_not_fit_the_layers(self, fractions):
        with pytest.raises(InvalidDataError, match="shape"):
            ek.pretraining.autoencoder([Dense(3, input_shape=(7,))], fractions)

    def test_layers_that_have_nothing_to_train(self, fractions):
        with pytest.raises(InvalidArgumentError, match="has weights to train"):
            ek.pretraining.autoencoder([Rescaling(2.0), Flatten()], fractions)
        with pytest.raises(InvalidArgumentError, match="has weights to train"):
            ek.pretraining.autoencoder([Dense(3, trainable=False)], fractions)

    @pytest.mark.parametrize("layers", [[], None, ["dense"], Dense(3)])
    def test_what_is_no_list_of_layers(self, fractions, layers):
        with pytest.raises(InvalidArgumentError, match="expected layers in a list"):
            ek.pretraining.autoencoder(layers, fractions)

    def test_a_wanted_activity_of_units_without_one(self, fractions):
        with pytest.raises(InvalidArgumentError, match=r"relu, expected sigmoid(.|\n)*L1"):
            ek.pretraining.autoencoder([Dense(3, activation="relu")], fractions, sparsity=0.1)

    def test_a_tied_decoder_and_another(self, fractions):
        with pytest.raises(InvalidArgumentError, match="Leave one of them out"):
            ek.pretraining.autoencoder([Dense(3)], fractions, decoder=[Dense(6)], tied=True)

    def test_an_impossible_fraction_of_noise(self, fractions):
        with pytest.raises(InvalidArgumentError, match=r"noise\): got 1.5"):
            ek.pretraining.autoencoder([Dense(3)], fractions, noise=1.5)


class TestGreedy:
    def test_each_layer_is_trained_as_if_alone_on_what_the_others_put_out(self, fractions):
        """The first as an autoencoder of one layer; the second leaves it as it is."""
        layers = [Dense(4, activation="tanh"), Dense(3, activation="tanh")]
        ek.Sequential(layers).build((None, 6))
        settings = {"epochs": 2, "batch_size": 20}
        ek.set_random_seed(8)
        both = ek.pretraining.greedy(layers, fractions, **settings)
        ek.set_random_seed(8)
        ek.pretraining.parts.Trunk("", layers, fractions)  # draws as many seeds
        first = ek.pretraining.autoencoder(layers[:1], fractions, **settings)
        for a, b in zip(both.layers[0].get_weights(), first.layers[0].get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        assert [stage.name for stage in both.stages] == ["dense", "dense_1"]
        rows = np.tanh(
            fractions @ both.layers[0].get_weights()[0] + both.layers[0].get_weights()[1]
        )
        second = both.networks["autoencoder"][1]
        found = second.evaluate(rows, rows, verbose=0)
        expected = np.square(second.predict(rows) - rows).mean()
        np.testing.assert_allclose(found, expected, rtol=1e-4)

    @pytest.mark.parametrize(
        "optimizer", [ek.optimizers.Adam(0.01), optax.sgd(0.01, momentum=0.9), "sgd"]
    )
    def test_one_optimizer_serves_every_layer_anew(self, fractions, optimizer):
        layers = [Dense(4, activation="tanh"), Dense(3, activation="tanh")]
        pretrained = ek.pretraining.greedy(layers, fractions, optimizer=optimizer, epochs=1)
        assert len(pretrained.stages) == 2
        assert getattr(optimizer, "iterations", 0) == 0

    def test_machines_hand_over_kernels_and_hidden_biases(self, fractions):
        layers = [Dense(4, activation="sigmoid"), Dropout(0.2), Dense(3, activation="sigmoid")]
        pretrained = ek.pretraining.greedy(layers, fractions, "rbm", epochs=2, batch_size=20)
        machines = pretrained.networks["rbm"]
        hidden = machines[1].hidden(machines[0].hidden(fractions))
        np.testing.assert_allclose(
            ek.Sequential(pretrained.layers).predict(fractions), hidden, atol=1e-6
        )
        assert [machine.visible for machine in machines] == ["bernoulli", "bernoulli"]
        assert set(pretrained.history) == {"reconstruction_error", "pseudo_likelihood"}

    def test_only_the_first_machine_has_gaussian_units(self, x):
        layers = [Dense(3, activation="sigmoid"), Dense(2, activation="sigmoid")]
        settings = {"visible": "gaussian", "steps": 2, "persistent": True}
        pretrained = ek.pretraining.greedy(layers, x / 3, "rbm", epochs=1, **settings)
        machines = pretrained.networks["rbm"]
        assert [m.visible for m in machines] == ["gaussian", "bernoulli"]
        assert [(m.steps, m.persistent) for m in machines] == [(2, True)] * 2

    def test_negative_inputs_of_bernoulli_units(self, x):
        with pytest.raises(InvalidDataError, match="visible='gaussian'"):
            ek.pretraining.greedy([Dense(3, activation="sigmoid")], x, "rbm")

    @pytest.mark.parametrize(
        ("layers", "found"),
        [
            ([Dense(3, activation="relu")], "has the activation relu"),
            ([Dense(3, activation="sigmoid", use_bias=False)], "has no bias"),
            (
                [Dense(3, activation="sigmoid"), ek.layers.BatchNormalization()],
                "is followed by BatchNormalization",
            ),
        ],
    )
    def test_hidden_units_that_are_not_logistic(self, fractions, layers, found):
        with pytest.raises(InvalidArgumentError, match=found):
            ek.pretraining.greedy(layers, fractions, "rbm")

    def test_unknown_methods_and_settings(self, fractions):
        layers = [Dense(3, activation="sigmoid")]
        with pytest.raises(InvalidArgumentError, match="Did you mean 'rbm'"):
            ek.pretraining.greedy(layers, fractions, "rbn")
        with pytest.raises(InvalidArgumentError, match="Did you mean 'persistent'"):
            ek.pretraining.greedy(layers, fractions, "rbm", persistant=True)
        with pytest.raises(InvalidArgumentError, match="decoder"):
            ek.pretraining.greedy(layers, fractions, decoder=[Dense(6)])
