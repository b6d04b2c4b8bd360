"""Layers that make one array of several."""

from __future__ import annotations

import numpy as np
import pytest

from evenkeel import layers
from evenkeel.errors import InvalidArgumentError, InvalidDataError
from evenkeel.layers import Add, Concatenate, Subtract

ELEMENTWISE = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"]
FUNCTIONS = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "average": lambda a, b: (a + b) / 2,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "concatenate": lambda a, b: np.concatenate([a, b], axis=-1),
}


@pytest.fixture
def pair(random):
    return list(random.standard_normal((2, 4, 3)).astype(np.float32))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_layers_are_what_they_are_called(name, pair):
    expected = FUNCTIONS[name](*pair)
    np.testing.assert_allclose(getattr(layers, name)(pair), expected, rtol=1e-6)
    np.testing.assert_allclose(getattr(layers, name.capitalize())()(pair), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [*ELEMENTWISE, "Concatenate"])
def test_fewer_than_two_inputs_are_refused_with_what_to_type(kind, pair):
    for inputs in (pair[0], pair[:1], []):
        with pytest.raises(InvalidDataError, match=rf"{kind}\(\)\(\[a, b\]\)"):
            getattr(layers, kind)()(inputs)


@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_sizes_of_1_and_lower_ranks_are_repeated(kind, random):
    """Axes are added behind the batch, as in Keras: (4, 3) is (4, 1, 3) beside (4, 5, 3)."""
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in ((4, 3), (4, 5, 3)))
    layer = getattr(layers, kind)()
    expected = FUNCTIONS[kind.lower()](a[:, None], b)
    np.testing.assert_allclose(layer([a, b]), expected, rtol=1e-6)
    assert layer.compute_output_shape([(None, 3), (None, 5, 3)]) == (None, 5, 3)
    assert layer.compute_output_shape([(None, 1), (None, 7)]) == (None, 7)
    assert layer.compute_output_shape([(None, None, 3), (None, 5, 3)]) == (None, None, 3)


@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_shapes_that_do_not_fit_are_refused_naming_both(kind):
    with pytest.raises(InvalidDataError, match=r"\(None, 30\) and \(None, 20\)"):
        getattr(layers, kind)().compute_output_shape([(None, 30), (None, 20)])


@pytest.mark.parametrize(
    "shapes", [[(None, 3, 2), (None, 4, 2, 1)], [(None, 3, 2), (None, 4, 2)]], ids=str
)
def test_concatenate_refuses_sizes_that_differ_off_its_axis_naming_both(shapes):
    with pytest.raises(InvalidDataError, match=r"\(None, 3, 2\) and \(None, 4, 2"):
        Concatenate().compute_output_shape(shapes)


def test_concatenate_adds_up_sizes_along_its_axis():
    shapes = [(None, 3, 2), (None, 4, 2), (None, 5, 2)]
    assert Concatenate(axis=1).compute_output_shape(shapes) == (None, 12, 2)
    assert Concatenate(axis=-2).compute_output_shape([(None, None, 2), shapes[0]])[1] is None


def test_concatenate_along_the_batch_is_refused():
    with pytest.raises(InvalidArgumentError, match="batch"):
        Concatenate(axis=0)


def test_subtract_refuses_three_inputs(pair):
    with pytest.raises(InvalidDataError, match="expected two"):
        Subtract()([*pair, pair[0]])


def test_integers_are_added_as_floats():
    assert Add()([np.array([[1]]), np.array([[2]])]).dtype == np.float32
