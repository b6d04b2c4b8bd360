"""Permute, RepeatVector, Identity and Embedding."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evenkeel.errors import InvalidArgumentError, InvalidDataError
from evenkeel.layers import Dense, Embedding, Flatten, Identity, Permute, RepeatVector
from evenkeel.models import Sequential


def test_permute_is_a_transpose_that_leaves_the_batch(random):
    x = random.standard_normal((2, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(Permute((3, 1, 2))(x), x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("dims", [(0, 1), (1, 3), (1, 1), (), 2, "12"])
def test_what_is_no_order_of_axes_is_refused(dims):
    with pytest.raises(InvalidArgumentError, match="dims"):
        Permute(dims)


def test_permute_refuses_another_rank():
    with pytest.raises(InvalidDataError, match="dims"):
        Permute((2, 1))(np.ones((2, 3)))


def test_repeat_vector_repeats_rows(random):
    x = random.standard_normal((2, 3)).astype(np.float32)
    np.testing.assert_array_equal(RepeatVector(4)(x), np.repeat(x[:, None], 4, axis=1))
    with pytest.raises(InvalidDataError, match="Flatten"):
        RepeatVector(4)(np.ones((2, 3, 4)))


def test_identity_changes_nothing(random):
    x = random.standard_normal((2, 3)).astype(np.float32)
    np.testing.assert_array_equal(Identity()(x), x)


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.float32])
def test_an_embedding_gives_each_id_its_row_of_the_table(kind):
    layer = Embedding(5, 3)
    ids = np.array([[0, 4], [2, 2]], kind)
    np.testing.assert_array_equal(layer(ids), np.asarray(layer(ids))[:, :])
    table = layer.get_weights()[0]
    np.testing.assert_array_equal(layer(ids), table[ids.astype(int)])
    assert layer.compute_output_shape((None, 2)) == (None, 2, 3)
    assert table.shape == (5, 3)
    assert np.abs(table).max() <= 0.05


def test_only_the_rows_that_were_looked_up_get_a_gradient():
    layer = Embedding(4, 2)
    ids = jnp.array([[1, 1, 3]])
    layer(ids)

    def total(table):
        layer.embeddings.bind(table)
        return jnp.sum(layer(ids))

    gradient = jax.grad(total)(jnp.zeros((4, 2)))
    np.testing.assert_array_equal(gradient[:, 0], [0, 2, 0, 1])


@pytest.mark.parametrize("wrong", [5, -1, 1.5, np.nan])
def test_ids_outside_the_table_are_refused_with_row_and_value(wrong):
    ids = np.array([[0, 1], [2, wrong]])
    with pytest.raises(InvalidDataError, match=rf"row 1, column 1 holds {wrong}.*from 0 to 4"):
        Embedding(5, 3).check_values(ids)
    Embedding(5, 3).check_values(ids[:1])


def test_an_id_that_is_too_large_comes_with_the_size_to_type():
    with pytest.raises(InvalidDataError, match=r"input_dim=10"):
        Embedding(5, 3).check_values(np.array([1, 9, 7]))


@pytest.mark.parametrize("wrong", [5, -1])
def test_inside_a_network_an_id_outside_the_table_gives_nan_and_no_other_ids_vector(wrong):
    output = np.asarray(Embedding(5, 3)(np.array([[0, wrong]])))
    assert np.isfinite(output[0, 0]).all()
    assert np.isnan(output[0, 1]).all()


def test_mask_zero_is_refused():
    with pytest.raises(InvalidArgumentError, match="mask_zero"):
        Embedding(5, 3, mask_zero=True)
    assert Embedding(5, 3, mask_zero=False).input_dim == 5


def test_embeddings_learn_a_table_of_numbers(random):
    """Targets are a number for each id, which a table fits exactly."""
    ids = random.integers(0, 6, (300, 1))
    numbers = np.arange(6) - 2.5
    model = Sequential([Embedding(6, 4), Flatten(), Dense(1)])
    model.compile("adam", "mse")
    model.optimizer.learning_rate = 0.05
    losses = model.fit(ids, numbers[ids], epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.01
