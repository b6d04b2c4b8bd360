"""Normalization: statistics learned from data, or given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evenkeel.errors import InvalidArgumentError, InvalidDataError
from evenkeel.layers import Dense, Normalization, preprocessing
from evenkeel.models import Sequential, clone_model


@pytest.fixture
def data(random):
    return (random.standard_normal((101, 4)) * [1, 50, 0.1, 3] + [5, -300, 0, 1e4]).astype(
        np.float32
    )


def statistics(layer):
    return np.asarray(layer.mean), np.asarray(layer.variance)


def assert_learned(layer, data):
    exact = data.astype(np.float64)
    mean, variance = statistics(layer)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(0), rtol=1e-6)


@pytest.mark.parametrize(
    "given",
    [
        lambda x: x,
        lambda x: x.tolist(),
        lambda x: pd.DataFrame(x),
        lambda x: [x[:30], x[30:31], x[31:]],
        lambda x: (batch for batch in (x[:64], x[64:])),
        lambda x: [(x[:64], None), (x[64:], None)],
    ],
    ids=["array", "list", "DataFrame", "batches", "generator", "batches with targets"],
)
def test_statistics_are_those_of_all_rows_however_they_come(given, data):
    layer = Normalization()
    layer.adapt(given(data))
    assert_learned(layer, data)


def test_large_data_is_taken_in_parts(data, monkeypatch):
    monkeypatch.setattr(preprocessing, "_PART", 40)
    layer = Normalization()
    layer.adapt(data)
    assert_learned(layer, data)


@pytest.mark.parametrize(
    ("axis", "over"), [(-1, (0, 1, 2)), ((1, 3), (0, 2)), (None, (0, 1, 2, 3))]
)
def test_each_place_along_the_axes_has_its_own_statistics(axis, over, random):
    x = random.standard_normal((6, 3, 4, 2)).astype(np.float32)
    layer = Normalization(axis=axis)
    layer.adapt(x)
    np.testing.assert_allclose(layer.mean, x.mean(over), atol=1e-6)
    expected = (x - x.mean(over, keepdims=True)) / x.std(over, keepdims=True)
    np.testing.assert_allclose(layer(x), expected, rtol=0, atol=1e-5)


def test_a_feature_that_never_varied_is_only_shifted():
    layer = Normalization()
    layer.adapt(np.array([[1.0, 0.1], [3.0, 0.1]]))
    np.testing.assert_allclose(layer(np.array([[2.0, 5.1]])), [[0, 5]], rtol=1e-6)


def test_the_opposite_direction_undoes_it(data):
    there, back = Normalization(), Normalization(invert=True)
    for layer in (there, back):
        layer.adapt(data)
    np.testing.assert_allclose(back(there(data)), data, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("mean", "variance"), [(3.0, 4.0), ([3.0] * 4, [4.0] * 4)])
def test_given_statistics_are_used_and_written_down(mean, variance, data):
    layer = Normalization(mean=mean, variance=variance)
    np.testing.assert_allclose(layer(data), (data - 3) / 2, rtol=1e-6)
    assert layer.weights == []
    copy = Normalization.from_config(layer.get_config())
    np.testing.assert_array_equal(copy(data), layer(data))


def test_it_learns_nothing_in_training_and_is_cloned_with_its_weights(data):
    layer = Normalization()
    layer.adapt(data)
    model = Sequential([layer, Dense(1)])
    model.compile("adam", "mse")
    model.fit(data, data[:, :1], epochs=1, verbose=0)
    assert_learned(layer, data)
    copy = clone_model(model)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(data), model(data))


@pytest.mark.parametrize(
    "arguments",
    [
        {"mean": 1.0},
        {"variance": 1.0},
        {"mean": 1.0, "variance": -1.0},
        {"mean": np.nan, "variance": 1.0},
        {"mean": "many", "variance": 1.0},
        {"axis": 0},
        {"axis": "last"},
    ],
    ids=str,
)
def test_impossible_arguments_are_refused_at_construction(arguments):
    with pytest.raises(InvalidArgumentError, match="Normalization"):
        Normalization(**arguments)


@pytest.mark.parametrize(
    "bad",
    [
        np.ones((0, 3)),
        np.ones(3),
        [],
        [np.ones((2, 3)), np.ones((2, 4))],
        [np.ones((2, 3)), np.full((2, 3), np.inf)],
        np.array([[1.0, np.nan]]),
    ],
    ids=["no rows", "no features", "no batches", "other features", "infinity", "nan"],
)
def test_bad_data_is_refused_and_leaves_the_layer_as_it_was(bad):
    layer = Normalization()
    with pytest.raises(InvalidDataError, match="adapt"):
        layer.adapt(bad)
    assert not layer.built


def test_adapting_what_was_given_is_refused(data):
    with pytest.raises(InvalidArgumentError, match="adapt"):
        Normalization(mean=1.0, variance=1.0).adapt(data)


def test_statistics_that_fit_no_input_are_refused(data):
    with pytest.raises(InvalidDataError, match="mean"):
        Normalization(mean=[1.0, 2.0], variance=[1.0, 1.0])(data)


def test_other_features_than_it_learned_from_are_refused(data):
    layer = Normalization()
    layer.adapt(data)
    with pytest.raises(InvalidDataError, match="axis"):
        layer(data[:, :2])
