"""Side tasks, and pairs of rows: counted, and compared with NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidDataError
from evenkeel.layers import Dense
from evenkeel.pretraining import auxiliary, pairs_from_labels


@pytest.fixture
def x(random):
    return random.normal(size=(40, 4)).astype(np.float32)


class TestPairs:
    def test_pairs_are_what_they_are_said_to_be(self):
        """The rows are their own numbers, so that labels can be looked up."""
        y = np.array([0] * 5 + [1] * 3 + [2] * 2 + [7])
        (first, second), same = pairs_from_labels(np.arange(11), y, count=4000, seed=1)
        np.testing.assert_array_equal(y[first] == y[second], same == 1)
        assert same.mean() == 0.5
        assert same.dtype == np.float32
        assert (first != second).all()

    def test_every_row_and_every_partner_is_equally_likely(self):
        """Within a multinomial's five standard deviations.

        Of the pairs that differ, the first row is one of 11; for a first row of label 2 the second
        is one of the 9 others. Of the same label, the first row is one of the 10 that have company;
        row 0's partner is one of four.
        """
        y = np.array([0] * 5 + [1] * 3 + [2] * 2 + [7])

        def even(counts, expected):
            bound = 5 * np.sqrt(expected)
            assert (np.abs(counts[counts > 0] - expected) < bound).all()

        (first, second), same = pairs_from_labels(np.arange(11), y, count=40_000, seed=2)
        differ, agree = same == 0, same == 1
        even(np.bincount(first[differ]), 20_000 / 11)
        partners = np.bincount(second[differ & (y[first] == 2)], minlength=11)
        assert (partners > 0).sum() == 9
        even(partners, partners.sum() / 9)
        even(np.bincount(first[agree]), 20_000 / 10)
        partners = np.bincount(second[agree & (first == 0)], minlength=11)
        assert set(np.flatnonzero(partners)) == {1, 2, 3, 4}
        even(partners, partners.sum() / 4)

    def test_images_keep_their_type_and_shape(self, random):
        images = random.integers(0, 256, (6, 3, 3)).astype(np.uint8)
        (first, second), _ = pairs_from_labels(images, [0, 0, 1, 1, 2, 2], count=10)
        assert first.dtype == second.dtype == np.uint8
        assert first.shape == second.shape == (10, 3, 3)

    def test_all_pairs_can_be_of_one_kind(self):
        y = [0, 0, 1, 2]
        assert pairs_from_labels(np.arange(4), y, count=9, same_fraction=1)[1].all()
        assert not pairs_from_labels(np.arange(4), y, count=9, same_fraction=0)[1].any()

    def test_too_few_labels_are_refused(self):
        with pytest.raises(InvalidDataError, match="expected at least two for pairs that differ"):
            pairs_from_labels(np.arange(4), [3, 3, 3, 3])
        with pytest.raises(InvalidDataError, match="no two of the 4 rows"):
            pairs_from_labels(np.arange(4), [0, 1, 2, 3])
        with pytest.raises(InvalidDataError, match="x has 4 rows and y has 3"):
            pairs_from_labels(np.arange(4), [0, 1, 2])


class TestSideTasks:
    def test_one_trunk_sees_both_members_of_a_pair(self, x):
        """σ(concat(|a - b|, a·b)·W + c) of a = tanh(x₁·V + d), b = tanh(x₂·V + d), by NumPy."""
        pairs, same = pairs_from_labels(x, x[:, 0] > 0, count=50)
        pretrained = auxiliary([Dense(3, activation="tanh")], pairs, same, epochs=2)
        task = pretrained.networks["task"]
        v, d, w, c = (weight.astype(np.float64) for weight in task.get_weights())
        a, b = (np.tanh(part @ v + d) for part in pairs)
        sums = np.concatenate([np.abs(a - b), a * b], axis=1) @ w + c
        np.testing.assert_allclose(task.predict(list(pairs)), 1 / (1 + np.exp(-sums)), atol=1e-5)
        np.testing.assert_array_equal(pretrained.layers[0].get_weights()[0], v.astype(np.float32))

    def test_the_trunk_learns_what_the_pairs_are_about(self, random):
        """Rows are the same if their first feature has one sign; the others are noise."""
        x = random.normal(size=(200, 4)).astype(np.float32)
        pairs, same = pairs_from_labels(x, x[:, 0] > 0, count=2000)
        optimizer = ek.optimizers.Adam(0.02)
        layers = [Dense(4, activation="tanh")]
        pretrained = auxiliary(layers, pairs, same, optimizer=optimizer, epochs=15)
        assert pretrained.history["accuracy"][-1] > 0.9

    @pytest.mark.parametrize(
        ("y", "units", "activation", "loss"),
        [
            (np.arange(40) % 3, 3, "softmax", "SparseCategoricalCrossentropy"),
            (np.arange(40) / 7, 1, "linear", "MeanSquaredError"),
            (np.ones((40, 2)) / 7, 2, "linear", "MeanSquaredError"),
        ],
    )
    def test_labels_say_what_is_on_top(self, x, y, units, activation, loss):
        pretrained = auxiliary([Dense(3, activation="relu")], x, y, epochs=1)
        task = pretrained.networks["task"]
        top = task.layers[-1]
        assert (top.units, top.activation.__name__) == (units, activation)
        assert type(ek.losses.get(task.loss)).__name__ == loss
        assert len(pretrained.layers) == 1

    def test_a_head_of_ones_own_is_used_and_left_untouched(self, x):
        head = [Dense(5, activation="relu"), Dense(1)]
        pretrained = auxiliary([Dense(3)], x, x[:, 0], head=head, loss="mae", epochs=1)
        assert [layer.units for layer in pretrained.networks["task"].layers] == [3, 5, 1]
        assert not head[0].built

    def test_what_cannot_be_learned_is_refused(self, x):
        layers = [Dense(3)]
        with pytest.raises(InvalidDataError, match=r"got None(.|\n)*autoencoder"):
            auxiliary(layers, x, None)
        with pytest.raises(InvalidDataError, match="expected at least two classes"):
            auxiliary(layers, x, np.zeros(40, int))
        with pytest.raises(InvalidDataError, match="expected at least two classes"):
            auxiliary(layers, (x, x), np.ones(40))
        with pytest.raises(InvalidDataError, match=r"\(40, 3\)\], expected two of one shape"):
            auxiliary(layers, (x, x[:, :3]), np.arange(40) % 2)
