"""The adversarial pair: gradients written out, and rows that come to look like the real ones."""

from __future__ import annotations

from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidDataError
from evenkeel.layers import Dense
from evenkeel.network import Scope, entered

module = import_module("evenkeel.pretraining.gan")  # not the function of that name


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_each_network_follows_its_own_loss(random, monkeypatch, key):
    """For x' = z·A and D(x) = x·w, with s = D(x) of the rows and f = D(x') of those made up:

    dL_D/dw = mean(-σ(-s)·x) + mean(σ(f)·x') + γ·w,    dL_G/dA = mean(-σ(-f)·z·wᵀ).
    """
    z, x = random.normal(size=(6, 2)), random.normal(size=(6, 3))
    monkeypatch.setattr(
        module, "normals", lambda key, shape: jnp.asarray(z[: shape[0]], jnp.float32)
    )
    maker = ek.Sequential([Dense(3, use_bias=False, input_shape=(2,))])
    judge = ek.Sequential([Dense(1, use_bias=False, input_shape=(3,))])
    pair = module.AdversarialPair(maker, judge, 2, 0.7)
    rows = jnp.asarray(x, jnp.float32)
    pair.ensure_built((None, 3))

    def loss(values):
        with entered(Scope(pair.variables, values, training=True, key=key, complete=True)):
            output = pair(rows)
        return jnp.mean(module._both_losses(None, output))

    found = jax.grad(loss)([variable.value for variable in pair.variables])
    a, w = (np.asarray(variable.value, np.float64) for variable in pair.variables)
    s, f = x @ w, z @ a @ w
    expected_a = z.T @ (-sigmoid(-f) * w.T) / 6
    expected_w = (x.T @ -sigmoid(-s) + (z @ a).T @ sigmoid(f)) / 6 + 0.7 * w
    np.testing.assert_allclose(found[0], expected_a, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[1], expected_w, rtol=1e-4, atol=1e-6)


def test_made_up_rows_come_to_look_like_the_real_ones(random):
    """Rows around (2, -1) with deviation 0.5: the mean of made-up ones begins near 0."""
    x = ([2, -1] + 0.5 * random.normal(size=(400, 2))).astype(np.float32)
    pretrained = ek.pretraining.gan(
        [Dense(16, activation="leaky_relu")],
        x,
        generator=[Dense(16, activation="relu"), Dense(2)],
        latent_size=4,
        gradient_penalty=1.0,
        optimizer=ek.optimizers.Adam(0.005, beta_1=0.5),
        epochs=100,
        batch_size=100,
    )
    z = random.normal(size=(1000, 4)).astype(np.float32)
    made_up = pretrained.networks["generator"].predict(z)
    np.testing.assert_allclose(made_up.mean(axis=0), [2, -1], atol=0.4)
    assert set(pretrained.history) == {"loss", *module._COLUMNS}
    judged = pretrained.networks["discriminator"].layers
    assert judged[0] is pretrained.layers[0]


def test_images_are_made_up_in_their_shape(random):
    images = random.uniform(size=(8, 4, 4, 1)).astype(np.float32)
    layers = [ek.layers.Conv2D(2, 3, activation="leaky_relu"), ek.layers.Dropout(0.3)]
    pretrained = ek.pretraining.gan(layers, images, latent_size=3, epochs=1)
    assert pretrained.networks["generator"].output_shape == (None, 4, 4, 1)
    assert [type(layer).__name__ for layer in pretrained.layers] == ["Conv2D", "Dropout"]


@pytest.mark.parametrize("generator", [[Dense(5)], [Dense(4, input_shape=(9,))]])
def test_a_generator_of_other_shapes_is_refused(random, generator):
    x = random.normal(size=(8, 4)).astype(np.float32)
    with pytest.raises(InvalidDataError):
        ek.pretraining.gan([Dense(3)], x, generator=generator, latent_size=3)
