"""Layers that are random in training: their moments, and what follows from them."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError, InvalidDataError
from evenkeel.layers import (
    AlphaDropout,
    Dense,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout2D,
)
from evenkeel.models import Sequential

# A mean is off by more than five standard errors once in 1.7 million draws.
STANDARD_ERRORS = 5
ALPHA = -1.7580993408473766
RANDOM_LAYERS = [AlphaDropout(0.5), Dropout(0.5), GaussianDropout(0.5), GaussianNoise(0.5)]


def ones(n):
    return jnp.ones((1, n))


def draws(layer, inputs):
    return np.asarray(layer(inputs, training=True), np.float64)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_dropout_scales_what_it_keeps_by_the_exact_probability(rate):
    """Masks come in steps of 1/256; what is kept is divided by that very probability."""
    keep = round((1 - rate) * 256) / 256
    values = draws(Dropout(rate), ones(100_000))
    np.testing.assert_allclose(np.unique(values), [0, 1 / keep], rtol=1e-6)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_dropout_keeps_the_mean(rate):
    """Each output has variance p / (1 - p) around 1."""
    n = 200_000
    mean = draws(Dropout(rate), ones(n)).mean()
    assert abs(mean - 1) < STANDARD_ERRORS * math.sqrt(rate / (1 - rate) / n) * 1.02


def test_scaling_weights_after_training_equals_inverted_scaling_in_expectation(random):
    """The two forms of the notes, for one unit of 50 inputs.

    Inverted: E[w·(mask·x/q)] = w·x. Other form: units are dropped unscaled, E[w·(mask·x)] = q·w·x,
    which is what weights multiplied by the keep probability q give after training. The variance of
    one draw is q(1-q) Σ(w x)², and 1/q² of that for the inverted one.
    """
    n, rate = 20_000, 0.5
    keep = 1 - rate
    x, w = random.standard_normal((2, 50))
    rows = jnp.broadcast_to(jnp.asarray(x, jnp.float32)[None], (n, 50))
    inverted = draws(Dropout(rate), rows) @ w
    unscaled = keep * draws(Dropout(rate), rows) @ w
    spread = math.sqrt(keep * (1 - keep) * np.sum((w * x) ** 2) / n)
    assert abs(unscaled.mean() - x @ (keep * w)) < STANDARD_ERRORS * spread
    assert abs(inverted.mean() - x @ w) < STANDARD_ERRORS * spread / keep


@pytest.mark.parametrize(
    "layer", [Dropout(0), AlphaDropout(0), GaussianDropout(0), GaussianNoise(0)]
)
def test_at_rate_0_nothing_happens(layer, random):
    x = jnp.asarray(random.standard_normal((4, 5)), jnp.float32)
    np.testing.assert_array_equal(layer(x, training=True), x)


def test_dropout_at_rate_1_gives_zeros_and_finite_gradients():
    np.testing.assert_array_equal(Dropout(1.0)(ones(8), training=True), np.zeros((1, 8)))


@pytest.mark.parametrize("cls", [AlphaDropout, GaussianDropout])
def test_a_rate_of_1_is_refused_where_nothing_would_be_left(cls):
    with pytest.raises(InvalidArgumentError, match=r"rate.*\[0, 1\)"):
        cls(1.0)


@pytest.mark.parametrize("layer", RANDOM_LAYERS, ids=lambda layer: layer.name)
def test_in_inference_inputs_pass(layer, random):
    x = jnp.asarray(random.standard_normal((4, 5)), jnp.float32)
    np.testing.assert_array_equal(layer(x), x)


def test_a_shared_mask_is_the_same_along_the_axis():
    values = draws(Dropout(0.5, noise_shape=(None, 1, 8)), jnp.ones((20, 6, 8)))
    assert (values == values[:, :1]).all()
    assert len(np.unique(values)) == 2


@pytest.mark.parametrize("shape", [(None, 1), (None, 2, 8), (3.5, 1, 1)])
def test_a_mask_that_does_not_fit_is_refused(shape):
    with pytest.raises((InvalidDataError, InvalidArgumentError), match="noise_shape"):
        Dropout(0.5, noise_shape=shape)(jnp.ones((20, 6, 8)))


def test_spatial_dropout_drops_whole_channels():
    values = draws(SpatialDropout2D(0.5), jnp.ones((50, 3, 4, 6)))
    assert (values == values[:, :1, :1]).all()
    dropped = (values[:, 0, 0] == 0).mean()
    assert abs(dropped - 0.5) < STANDARD_ERRORS * 0.5 / math.sqrt(300)


def test_a_seed_changes_the_masks_and_a_random_seed_repeats_them():
    masks = []
    for seed in (1, 2, 1):
        ek.set_random_seed(4)
        masks.append(draws(Dropout(0.5, seed=seed), ones(64)))
    assert (masks[0] == masks[2]).all()
    assert (masks[0] != masks[1]).any()


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_alpha_dropout_keeps_mean_0_and_variance_1(rate, random):
    """Standard errors of a mean and a variance of n draws."""
    n = 400_000
    x = random.standard_normal((1, n))
    x = jnp.asarray((x - x.mean()) / x.std(), jnp.float32)
    values = draws(AlphaDropout(rate), x)
    fourth = ((values - values.mean()) ** 4).mean()
    assert abs(values.mean()) < STANDARD_ERRORS / math.sqrt(n)
    assert abs(values.var() - 1) < STANDARD_ERRORS * math.sqrt((fourth - 1) / n)


def test_alpha_dropout_is_its_equation(random):
    """a·(keep·x + (1 - keep)·α') + b with the exact probability: 128/256 at rate 0.5."""
    p = 0.5
    a = ((1 - p) * (1 + p * ALPHA**2)) ** -0.5
    b = -a * p * ALPHA
    x = random.standard_normal((1, 1000))
    values = draws(AlphaDropout(p), jnp.asarray(x, jnp.float32))
    kept = np.isclose(values, a * x + b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(values[~kept], a * ALPHA + b, rtol=1e-6)
    assert 0.4 < kept.mean() < 0.6


def moments_by_depth(dropout, random, depth=16):
    """Returns mean and variance at the top of a deep SELU stack in training."""
    stack = []
    for n in range(depth):
        kernel = ek.initializers.LecunNormal(seed=n)
        stack += [Dense(200, activation="selu", kernel_initializer=kernel), dropout(0.1)]
    x = jnp.asarray(random.standard_normal((500, 200)), jnp.float32)
    values = draws(Sequential(stack), x)
    return values.mean(), values.var()


def test_alpha_dropout_keeps_a_deep_selu_stack_normal_and_dropout_does_not(random):
    """Kernels of 200 inputs let mean and variance wander by about √(2/200) around the fixed point.

    Dropout at rate p multiplies second moments by 1/(1-p) at each layer, with nothing to bring
    them back to 1 but SELU's own pull.
    """
    mean, variance = moments_by_depth(AlphaDropout, random)
    assert abs(mean) < 0.1
    assert abs(variance - 1) < 0.15
    _, inflated = moments_by_depth(Dropout, random)
    assert inflated > 1.25


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_gaussian_dropout_has_the_moments_of_dropout(rate):
    """Mean 1 and variance p / (1 - p); of n normal draws the variance is known to √(2/n) of it."""
    n, variance = 200_000, rate / (1 - rate)
    values = draws(GaussianDropout(rate), ones(n))
    assert abs(values.mean() - 1) < STANDARD_ERRORS * math.sqrt(variance / n)
    assert abs(values.var() - variance) < STANDARD_ERRORS * variance * math.sqrt(2 / n)


def test_gaussian_noise_has_the_standard_deviation_asked_for():
    n, stddev = 200_000, 0.3
    noise = draws(GaussianNoise(stddev), ones(n)) - 1
    assert abs(noise.mean()) < STANDARD_ERRORS * stddev / math.sqrt(n)
    assert abs(noise.var() - stddev**2) < STANDARD_ERRORS * stddev**2 * math.sqrt(2 / n)


def test_a_stack_with_noise_trains(random):
    x = random.standard_normal((200, 4)).astype(np.float32)
    layers = [
        GaussianNoise(0.05),
        Dense(20, "selu"),
        AlphaDropout(0.05),
        GaussianDropout(0.05),
        Dense(1),
    ]
    model = Sequential(layers)
    model.compile("adam", "mse")
    losses = model.fit(x, x[:, :1], epochs=10, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
