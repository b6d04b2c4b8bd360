"""The generator of masks and noise: known answers, and what independent draws look like.

Every statistical test also runs on a generator with a fault, which it has to find. Keys are fixed,
so that no test fails by chance; bounds are five standard errors.
"""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from evenkeel import bits
from evenkeel.layers import Dropout
from evenkeel.layers.dropout import keep_mask
from evenkeel.network import Scope, entered

STANDARD_ERRORS = 5
ROWS, COLUMNS = 256, 784


def pair(first, second):
    return jnp.uint32(first), jnp.uint32(second)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0), (0, 0), (0x9D1C5EC6, 0x8BD50731)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0xFD36D048, 0x2D17272C)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xBA3E4725, 0xF27D669E)),
    ],
)
def test_thirteen_rounds_give_the_known_answers(counter, key, answer):
    """The vectors of Random123 (kat_vectors, threefry2x32 13)."""
    found = bits.threefry(pair(*key), pair(*counter))
    assert tuple(map(int, found)) == answer


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_twenty_rounds_give_the_known_answers(counter, key, answer):
    """The vectors of Random123 (kat_vectors, threefry2x32 20)."""
    found = bits.threefry(pair(*key), pair(*counter), rounds=20)
    assert tuple(map(int, found)) == answer


@pytest.mark.parametrize("count", [0, 1, 2, 5, 1000])
def test_a_word_is_what_threefry_makes_of_its_position(key, count):
    first, second = jax.random.key_data(key)
    position = jnp.arange(count, dtype=jnp.uint32)
    expected, _ = bits.threefry((first, second), (position, jnp.zeros_like(position)))
    assert bits.words(key, count).shape == (count,)
    np.testing.assert_array_equal(bits.words(key, count), expected)


@pytest.mark.parametrize("draw", [bits.octets, bits.normals, bits.uniforms])
def test_compiled_mapped_and_scanned_draws_are_the_plain_ones(key, draw):
    """For normals within float tolerance: compilers round erf⁻¹ differently."""
    shape, keys = (5, 7), jax.random.split(key, 3)
    plain = np.stack([draw(k, shape) for k in keys])

    def scanned(keys):
        return jax.lax.scan(lambda carry, k: (carry, draw(k, shape)), 0, keys)[1]

    mapped = jax.vmap(lambda k: draw(k, shape))
    for other in (mapped, jax.jit(mapped), scanned, jax.jit(scanned)):
        np.testing.assert_allclose(other(keys), plain, rtol=1e-5, atol=1e-6)
    assert len({p.tobytes() for p in plain}) == 3


def test_an_address_may_be_traced(key):
    """Layers that are scanned give theirs as an integer that is not known when compiling."""
    draw = jax.jit(lambda number: bits.octets(jax.random.fold_in(key, number), (9,)))
    for number in (0, 1, 7):
        expected = bits.octets(jax.random.fold_in(key, number), (9,))
        np.testing.assert_array_equal(draw(jnp.uint32(number)), expected)


@pytest.mark.parametrize("implementation", ["rbg", "unsafe_rbg"])
def test_keys_of_other_generators_work(implementation):
    first, second = (bits.octets(jax.random.key(n, impl=implementation), (64,)) for n in (1, 2))
    assert (first != second).any()


def test_raw_keys_are_the_typed_ones():
    raw, typed = jax.random.PRNGKey(3), jax.random.key(3)
    np.testing.assert_array_equal(bits.octets(raw, (8,)), bits.octets(typed, (8,)))


# What is measured: each returns how many standard errors the draws are off.


def chi_square(drawn):
    """Values of bytes: a chi-square with 255 degrees of freedom."""
    expected = drawn.size / 256
    total = ((np.bincount(drawn.ravel(), minlength=256) - expected) ** 2 / expected).sum()
    return abs(total - 255) / math.sqrt(2 * 255)


def balance(drawn):
    """Each bit of a byte, at each of the four places of a word, is set half of the time."""
    planes = np.unpackbits(drawn.ravel()[:, None], axis=1).reshape(-1, 32)
    return (np.abs(planes.mean(axis=0) - 0.5) * 2 * math.sqrt(len(planes))).max()


def serial(drawn, axis, lag):
    """The correlation of bytes that are `lag` apart along an axis."""
    values = (drawn - 127.5) / math.sqrt((256**2 - 1) / 12)
    near = np.take(values, range(values.shape[axis] - lag), axis)
    far = np.take(values, range(lag, values.shape[axis]), axis)
    return abs((near * far).mean()) * math.sqrt(near.size)


def correlations(drawn):
    """The worst along both axes: neighbors, the four bytes of a word, and a row further on."""
    lags = itertools.product((-1, -2), (1, 2, 3, 4, 7, 8))
    return max(serial(drawn, axis, lag) for axis, lag in lags)


def between(drawn):
    """The worst correlation of two masks of (masks, rows, columns), which keep every other unit."""
    values = 2.0 * drawn.reshape(len(drawn), -1) - 1.0
    products = np.abs(values @ values.T) / math.sqrt(values.shape[1])
    return products[np.triu_indices(len(values), 1)].max()


def octets_of(number):
    return np.asarray(bits.octets(jax.random.key(number), (ROWS, COLUMNS)))


def biased(drawn):
    """One value in 256 is half as frequent: in every other byte 0 becomes 1."""
    faulty = drawn.copy()
    faulty.ravel()[::2][faulty.ravel()[::2] == 0] = 1
    return faulty


def stuck(drawn):
    """The lowest bit of every fourth byte is set."""
    faulty = drawn.copy()
    faulty.ravel()[3::4] |= 1
    return faulty


def echoed(drawn):
    """One byte in twenty repeats its neighbor."""
    faulty = drawn.copy()
    faulty[:, 1::20] = faulty[:, 0:-1:20]
    return faulty


@pytest.mark.parametrize(
    ("measure", "fault"), [(chi_square, biased), (balance, stuck), (correlations, echoed)]
)
def test_bytes_look_independent_and_uniform(measure, fault):
    assert measure(octets_of(5)) < STANDARD_ERRORS
    assert measure(fault(octets_of(5))) > STANDARD_ERRORS


def flips(scramble):
    """How far from one half, at worst, an output bit flips when an input bit does.

    Inputs are the counter's and the key's 64 bits each; the counters are small numbers and the
    keys neighbors, as they are in use.
    """
    n = 4096
    count = np.arange(n, dtype=np.uint32)
    base = [np.full(n, 7, np.uint32), count // 64, count, np.zeros(n, np.uint32)]
    before = np.stack(scramble(*base))
    worst = 0.0
    for word, place in itertools.product(range(4), range(32)):
        changed = list(base)
        changed[word] = base[word] ^ np.uint32(1 << place)
        flipped = (before ^ np.stack(scramble(*changed))).T.copy().view(np.uint8)
        share = np.unpackbits(flipped, axis=1).mean(axis=0)
        worst = max(worst, np.abs(share - 0.5).max() * 2 * math.sqrt(n))
    return worst


def scrambler(rounds):
    draw = jax.jit(lambda a, b, c, d: bits.threefry((a, b), (c, d), rounds=rounds))
    return lambda *given: tuple(np.asarray(word) for word in draw(*given))


def test_neighboring_counters_and_keys_have_nothing_in_common():
    """The worst of 8,192 shares is more than 6 standard errors off once in 60,000 times."""
    assert flips(scrambler(bits._ROUNDS)) < STANDARD_ERRORS + 1
    assert flips(scrambler(6)) > STANDARD_ERRORS + 1


def masks_of_steps_and_layers(key, fold=jax.random.fold_in):
    """Masks of three layers in each of eight steps, as a run draws them."""
    found = []
    for step in range(8):
        with entered(Scope(training=True, key=fold(key, step))):
            for name in "abc":
                out = Dropout(0.5, name=name)(jnp.ones((32, 100)), training=True)
                found.append(np.asarray(out) != 0)
    return np.stack(found)


@pytest.mark.slow
def test_masks_of_steps_and_layers_are_independent(key):
    """A generator that forgets the step repeats every mask."""
    drawn = masks_of_steps_and_layers(key)
    assert len({mask.tobytes() for mask in drawn}) == len(drawn)
    assert between(drawn) < STANDARD_ERRORS
    forgetful = masks_of_steps_and_layers(key, lambda key, step: key)
    assert len({mask.tobytes() for mask in forgetful}) == 3
    assert between(forgetful) > STANDARD_ERRORS


@pytest.mark.parametrize("keep", [1 / 256, 0.5, 0.8, 255 / 256])
def test_masks_keep_with_the_exact_probability(keep):
    """Mean and variance of yes-or-no draws; a mask of the wanted 0.8 keeps 205 in 256."""
    n = 2_000_000
    mask, exact = keep_mask(jax.random.key(1), keep, (n,))
    error = math.sqrt(exact * (1 - exact) / n)
    share = float(np.asarray(mask).mean())
    assert abs(share - exact) < STANDARD_ERRORS * error
    assert abs(share - (exact + 1 / 256)) > STANDARD_ERRORS * error


def test_uniforms_are_uniform():
    """By Kolmogorov and Smirnov; a million draws, so that steps of 2⁻²⁴ do not show."""
    u = np.asarray(bits.uniforms(jax.random.key(6), (1_000_000,)), np.float64)
    assert stats.kstest(u, "uniform").pvalue > 1e-6
    assert stats.kstest(u**1.02, "uniform").pvalue < 1e-6
    assert u.min() >= 0
    assert u.max() < 1


def test_uniforms_are_the_top_bits_of_words(monkeypatch):
    """The largest word gives 1 - 2⁻²⁴, the largest float32 below 1."""
    ends = jnp.array([0, 2**32 - 1], jnp.uint32)
    monkeypatch.setattr(bits, "words", lambda key, count: ends)
    found = np.asarray(bits.uniforms(jax.random.key(0), (2,)))
    assert found.tolist() == [0, 1 - 2.0**-24]
    assert found[1] == np.nextafter(np.float32(1), np.float32(0))


def test_normals_are_normal():
    """Kolmogorov-Smirnov, the moments, and the tails; a sum of 12 bytes has no tails."""
    n = 1_000_000
    z = np.asarray(bits.normals(jax.random.key(6), (n,)), np.float64)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < STANDARD_ERRORS * math.sqrt(variance / n)
    summed = np.asarray(bits.octets(jax.random.key(6), (n, 12)), np.float64).sum(axis=1)
    summed = (summed - 12 * 127.5) / math.sqrt(12 * (256**2 - 1) / 12)
    assert stats.kstest(summed, "norm").pvalue < 1e-3
    expected = 2 * n * stats.norm.sf(4)
    assert abs((np.abs(z) > 4).sum() - expected) < STANDARD_ERRORS * math.sqrt(expected)


def test_normals_are_finite_at_the_ends_of_the_grid(monkeypatch):
    """Words of all zeros and all ones: the quantile of 2⁻²⁴, 5.2947 in size."""
    ends = jnp.asarray([0, 2**32 - 1], jnp.uint32)
    monkeypatch.setattr(bits, "words", lambda key, count: ends)
    z = np.asarray(bits.normals(jax.random.key(0), (2,)))
    np.testing.assert_allclose(z, [-stats.norm.isf(2**-24), stats.norm.isf(2**-24)], rtol=1e-4)
