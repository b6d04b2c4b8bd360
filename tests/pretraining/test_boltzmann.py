"""Restricted Boltzmann machines: scikit-learn's numbers, and sums over all states by hand."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neural_network import BernoulliRBM

import evenkeel as ek
from evenkeel.engine.feed import ArrayFeed
from evenkeel.engine.step import Batch
from evenkeel.errors import InvalidArgumentError, InvalidDataError, NotBuiltError, NotFiniteError
from evenkeel.network import random_key
from evenkeel.pretraining import RestrictedBoltzmannMachine
from evenkeel.pretraining.boltzmann import (
    KeyedChance,
    Machine,
    State,
    advanced,
    ascent,
    free_energy,
    pseudo_likelihood,
    sampled_visible,
)
from evenkeel.randomness import next_seed

UNITS, BATCH, ROWS = 16, 50, 200


class Recorded:
    """Chance that hands out the numbers of a NumPy generator, as scikit-learn draws them."""

    def __init__(self, random):
        self._random = random

    def uniform(self, shape):
        return jnp.asarray(self._random.uniform(size=shape), jnp.float32)

    def normal(self, shape):
        return jnp.asarray(self._random.normal(size=shape), jnp.float32)


@pytest.fixture(scope="module")
def digits():
    (x, _), _ = ek.datasets.digits.load_data()
    return (x[:ROWS] / 16).astype(np.float32)


@pytest.fixture(scope="module")
def theirs(digits):
    """scikit-learn's machine after two epochs of persistent chains."""
    return BernoulliRBM(
        n_components=UNITS, learning_rate=0.05, batch_size=BATCH, n_iter=2, random_state=4
    ).fit(digits.astype(np.float64))


def as_machine(rbm):
    weights = rbm.components_.T, rbm.intercept_visible_, rbm.intercept_hidden_
    return Machine(*(jnp.asarray(weight, jnp.float32) for weight in weights))


def small_machine(random, visible=5, hidden=3):
    shapes = (visible, hidden), (visible,), (hidden,)
    return Machine(*(jnp.asarray(random.normal(size=s), jnp.float32) for s in shapes))


def zeros_like(machine):
    return jax.tree.map(jnp.zeros_like, machine)


class TestAgainstScikitLearn:
    def test_persistent_chains_take_the_same_steps_from_the_same_start(self, digits, theirs):
        """Eight steps on digits, from the same generator: weights in float64 by scikit-learn."""
        random = np.random.RandomState(4)
        kernel = random.normal(0, 0.01, (UNITS, digits.shape[1])).T
        start = Machine(
            jnp.asarray(kernel, jnp.float32), jnp.zeros(digits.shape[1]), jnp.zeros(UNITS)
        )
        state = State(machine=start, velocity=zeros_like(start), chains=jnp.zeros((BATCH, UNITS)))
        chance = Recorded(random)
        rate, none = jnp.float32(0.05), jnp.float32(0)
        for rows in [*digits.reshape(-1, BATCH, digits.shape[1])] * 2:
            direction, chains = ascent(
                state.machine,
                state.chains,
                jnp.asarray(rows),
                chance,
                kind="bernoulli",
                steps=1,
                persistent=True,
            )
            state = advanced(state, direction, chains, rate, none, none)
        np.testing.assert_array_equal(state.chains, theirs.h_samples_)
        for ours, expected in zip(state.machine, as_machine(theirs), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=2e-6)

    def test_hidden_units_and_free_energies_are_the_same(self, digits, theirs):
        ours = RestrictedBoltzmannMachine(UNITS)
        ours.set_weights(as_machine(theirs))
        np.testing.assert_allclose(ours.hidden(digits), theirs.transform(digits), rtol=1e-5)
        expected = theirs._free_energy(digits.astype(np.float64))
        np.testing.assert_allclose(ours.free_energy(digits), expected, rtol=1e-5)

    def test_the_pseudo_likelihood_is_the_same_for_the_same_flips(self, digits, theirs):
        flips = np.random.RandomState(4).randint(0, digits.shape[1], ROWS)
        ours = pseudo_likelihood(as_machine(theirs), jnp.asarray(digits), jnp.asarray(flips))
        np.testing.assert_allclose(ours, theirs.score_samples(digits), rtol=1e-3, atol=1e-3)


class TestByHand:
    @pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
    def test_the_free_energy_sums_over_all_hidden_states(self, random, kind):
        """F(v) = -log Σ_h exp(-E(v, h)), over the eight states of three hidden units."""
        machine = small_machine(random)
        w, a, b = (np.asarray(part, np.float64) for part in machine)
        v = random.uniform(size=(4, 5))
        own = -v @ a if kind == "bernoulli" else 0.5 * ((v - a) ** 2).sum(axis=1)
        total = sum(
            np.exp(-(own - v @ w @ np.array(h) - b @ np.array(h)))
            for h in itertools.product([0, 1], repeat=3)
        )
        ours = free_energy(machine, jnp.asarray(v, jnp.float32), kind)
        np.testing.assert_allclose(ours, -np.log(total), rtol=1e-5)

    @pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
    @pytest.mark.parametrize("steps", [1, 3])
    def test_the_direction_is_the_slope_of_the_free_energies(self, random, kind, steps):
        """Δ = d/dθ of F(fantasies) - F(rows), by automatic differentiation."""
        machine = small_machine(random)
        v = jnp.asarray(random.uniform(size=(6, 5)), jnp.float32)
        start = jnp.asarray(random.integers(0, 2, (6, 3)), jnp.float32)

        def toward(h, chance, steps):
            return ascent(machine, h, v, chance, kind=kind, steps=steps, persistent=True)

        chance = Recorded(np.random.RandomState(1))
        h = toward(start, chance, steps - 1)[1]
        fantasy = sampled_visible(machine, h, kind, chance)
        slope = jax.grad(
            lambda m: free_energy(m, fantasy, kind).mean() - free_energy(m, v, kind).mean()
        )(machine)
        direction, _ = toward(start, Recorded(np.random.RandomState(1)), steps)
        for ours, expected in zip(direction, slope, strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)

    def test_momentum_and_decay_follow_their_equation(self, random):
        machine, direction = small_machine(random), small_machine(random)
        state = State(machine=machine, velocity=direction, chains=jnp.zeros((1, 3)))
        after = advanced(
            state, direction, state.chains, jnp.float32(0.1), jnp.float32(0.9), jnp.float32(0.01)
        )
        w, d = np.asarray(machine.kernel), np.asarray(direction.kernel)
        np.testing.assert_allclose(
            after.machine.kernel, w + 0.9 * d + 0.1 * (d - 0.01 * w), rtol=1e-5
        )
        b, d = np.asarray(machine.hidden_bias), np.asarray(direction.hidden_bias)
        np.testing.assert_allclose(after.machine.hidden_bias, b + 0.9 * d + 0.1 * d, rtol=1e-5)


class TestFit:
    def test_an_epoch_is_its_steps_one_after_another(self, digits, random):
        """Three batches, the last of them partial, by the equations without compilation."""
        rows = digits[:50]
        settings = {"momentum": 0.5, "weight_decay": 0.01, "learning_rate": 0.1}
        machine = small_machine(random, rows.shape[1], 4)
        ours = RestrictedBoltzmannMachine(4, persistent=True, **settings)
        ours.set_weights(machine)
        ek.set_random_seed(5)
        ours.fit(rows, epochs=1, batch_size=20)

        ek.set_random_seed(5)
        feed, key = ArrayFeed(Batch(x=rows), 20, next_seed()), random_key(next_seed())
        state = State(machine=machine, velocity=zeros_like(machine), chains=jnp.zeros((20, 4)))
        for part, segment in enumerate(feed.epoch(0)):
            for i, order in enumerate(segment.order):
                chance = KeyedChance(jax.random.fold_in(jax.random.fold_in(key, part), i))
                v = jnp.asarray(rows[np.asarray(order)])
                direction, chains = ascent(
                    *state[::2], v, chance, kind="bernoulli", steps=1, persistent=True
                )
                speed = map(jnp.float32, (0.1, 0.5, 0.01))
                state = advanced(state, direction, chains, *speed)
        for found, expected in zip(ours.get_weights(), state.machine, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("persistent", [False, True])
    def test_the_rows_become_likelier_than_independent_units_can_make_them(self, persistent):
        """Exact likelihoods, by summing exp(-F) over all 64 rows of six units.

        Rows are 111000 or 000111, half of them each. Independent units make a row 2⁻⁶; the best is
        a half.
        """
        rows = np.repeat([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], 50, axis=0).astype(np.float32)
        machine = RestrictedBoltzmannMachine(
            2, persistent=persistent, learning_rate=0.1, weight_decay=0.0
        )
        history = machine.fit(rows, epochs=100, batch_size=20)
        everything = np.array([*itertools.product([0, 1], repeat=6)], np.float32)
        log_z = np.logaddexp.reduce(-machine.free_energy(everything).astype(np.float64))
        likelihood = np.mean(-machine.free_energy(rows) - log_z)
        assert likelihood > 6 * np.log(0.5) + 1.5
        assert history["reconstruction_error"][-1] < history["reconstruction_error"][0]
        assert history["pseudo_likelihood"][-1] > history["pseudo_likelihood"][0]

    def test_gaussian_units_learn_standardized_rows(self, random):
        """Two clusters at ±1 in four features: what one hidden unit can tell halves the error."""
        sides = np.sign(random.normal(size=(200, 1)))
        rows = (0.98 * sides + 0.2 * random.normal(size=(200, 4))).astype(np.float32)
        machine = RestrictedBoltzmannMachine(2, "gaussian", learning_rate=0.02)
        history = machine.fit(rows, epochs=60, batch_size=20)
        assert set(history) == {"reconstruction_error"}
        assert history["reconstruction_error"][-1] < 0.5 * rows.var()

    def test_training_goes_on_where_it_ended(self, digits):
        machine = RestrictedBoltzmannMachine(4)
        machine.fit(digits, epochs=1)
        before = machine.get_weights()
        machine.fit(digits, epochs=1)
        change = np.abs(machine.get_weights()[0] - before[0]).max()
        assert 0 < change < np.abs(before[0]).max()

    def test_what_blows_up_is_an_error_and_leaves_the_machine_as_it_was(self, random):
        rows = 100 * random.normal(size=(50, 4)).astype(np.float32)
        machine = RestrictedBoltzmannMachine(3, "gaussian", learning_rate=10.0)
        with pytest.raises(NotFiniteError, match=r"standardized rows(.|\n)*learning_rate=1"):
            machine.fit(rows, epochs=20)
        with pytest.raises(NotBuiltError, match=r"Call fit"):
            machine.get_weights()


class TestRefusals:
    def test_negative_rows_for_bernoulli_units(self):
        with pytest.raises(InvalidDataError, match=r"row 1, column 0 is -0\.5(.|\n)*gaussian"):
            RestrictedBoltzmannMachine(2).fit([[0.5, 1.0], [-0.5, 1.0]])

    def test_raw_pixels_for_bernoulli_units(self):
        with pytest.raises(InvalidDataError, match=r"Rescaling\(1 / 255\)"):
            RestrictedBoltzmannMachine(2).fit([[0.0, 255.0]])

    def test_rows_of_another_width(self, digits):
        machine = RestrictedBoltzmannMachine(2)
        machine.set_weights([np.zeros((5, 2)), np.zeros(5), np.zeros(2)])
        with pytest.raises(InvalidDataError, match=r"shape \(200, 64\), expected \(rows, 5\)"):
            machine.hidden(digits)

    def test_weights_that_do_not_fit_each_other(self):
        with pytest.raises(InvalidDataError, match=r"expected \[\(5, 2\), \(5,\), \(2,\)\]"):
            RestrictedBoltzmannMachine(2).set_weights([np.zeros((5, 3)), np.zeros(5), np.zeros(3)])

    @pytest.mark.parametrize(
        "settings",
        [{"visible": "binary"}, {"steps": 0}, {"learning_rate": 0}, {"momentum": 1.0}],
    )
    def test_impossible_settings(self, settings):
        with pytest.raises(InvalidArgumentError, match=next(iter(settings))):
            RestrictedBoltzmannMachine(2, **settings)
