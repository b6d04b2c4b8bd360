"""What every exported initializer obeys."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import numpy as np
import pytest

import evenkeel as ek
from evenkeel import initializers
from evenkeel.errors import InvalidArgumentError
from evenkeel.registry import serialize, snake_case
from tests.laws import discovery

INITIALIZERS = discovery.initializers()
every_initializer = pytest.mark.parametrize("cls", discovery.each(INITIALIZERS))
random_ones = [cls for cls in INITIALIZERS if "seed" in cls().get_config()]
every_random_initializer = pytest.mark.parametrize("cls", discovery.each(random_ones))
SHAPES = ((400, 300), (3, 3, 40, 50), (2000,))
# An estimate is wrong by more than five standard errors once in 1.7 million draws.
STANDARD_ERRORS = 5


class Moments(NamedTuple):
    """Mean, variance and bounds of a distribution."""

    mean: float
    variance: float
    bound: float


def uniform(limit):
    return Moments(0.0, limit**2 / 3, limit)


def truncated(stddev):
    """Returns a normal cut at two standard deviations, its own standard deviation given."""
    return Moments(0.0, stddev**2, 2 * stddev / 0.87962566103423978)


def fan_in(shape):
    return math.prod(shape[:-1]) if len(shape) > 1 else shape[0]


def fan_average(shape):
    outputs = math.prod((*shape[:-2], shape[-1])) if len(shape) > 1 else shape[0]
    return (fan_in(shape) + outputs) / 2


# Of each initializer as it comes by default: Glorot and Bengio 2010, LeCun 1998, He et al. 2015.
CLOSED_FORMS: dict[str, Any] = {
    "Constant": lambda shape: Moments(0.0, 0.0, 0.0),
    "GlorotNormal": lambda shape: truncated(math.sqrt(1 / fan_average(shape))),
    "GlorotUniform": lambda shape: uniform(math.sqrt(3 / fan_average(shape))),
    "HeNormal": lambda shape: truncated(math.sqrt(2 / fan_in(shape))),
    "HeUniform": lambda shape: uniform(math.sqrt(6 / fan_in(shape))),
    "Identity": lambda shape: Moments(
        1 / max(shape), 1 / max(shape) - 1 / max(shape) ** 2, 1.0
    ),  # min(shape) ones among the elements
    "LecunNormal": lambda shape: truncated(math.sqrt(1 / fan_in(shape))),
    "LecunUniform": lambda shape: uniform(math.sqrt(3 / fan_in(shape))),
    "Ones": lambda shape: Moments(1.0, 0.0, 1.0),
    # Orthonormal columns of length max(rows, columns): the squares of each add up to 1.
    "Orthogonal": lambda shape: Moments(0.0, 1 / max(math.prod(shape[:-1]), shape[-1]), 1.0),
    "RandomNormal": lambda shape: Moments(0.0, 0.05**2, math.inf),
    "RandomUniform": lambda shape: uniform(0.05),
    "TruncatedNormal": lambda shape: truncated(0.05 * 0.87962566103423978),
    "VarianceScaling": lambda shape: truncated(math.sqrt(1 / fan_in(shape))),
    "Zeros": lambda shape: Moments(0.0, 0.0, 0.0),
}

# How many dimensions a shape must have for those that cannot fill every shape.
RANKS: dict[str, Any] = {
    "Identity": lambda rank: rank == 2,
    "Orthogonal": lambda rank: rank >= 2,
}


def fills(cls, shape):
    return RANKS.get(cls.__name__, lambda rank: True)(len(shape))


def each_with(shapes):
    """Returns every initializer with every shape that it can fill."""
    return pytest.mark.parametrize(
        ("cls", "shape"),
        [
            pytest.param(cls, shape, id=f"{cls.__name__}-{shape}")
            for cls in INITIALIZERS
            for shape in shapes
            if fills(cls, shape)
        ],
    )


def closed_form(cls, shape):
    if cls.__name__ not in CLOSED_FORMS:
        pytest.fail(f"{cls.__name__} is exported; add its moments to CLOSED_FORMS in this file.")
    return CLOSED_FORMS[cls.__name__](shape)


@each_with([*SHAPES, (), (0, 3)])
def test_gives_float32_of_the_shape_asked_for(cls, shape):
    values = cls()(shape)
    assert values.shape == shape
    assert values.dtype == np.float32


@each_with(SHAPES)
def test_mean_variance_and_bounds_are_those_of_the_closed_form(cls, shape):
    """Standard errors: sd/√n of a mean; of a variance at most sd²·√(2/n), the normal's."""
    values = cls()(shape).astype(np.float64)
    mean, variance, bound = closed_form(cls, shape)
    n = values.size
    assert abs(values.mean() - mean) <= STANDARD_ERRORS * math.sqrt(variance / n)
    assert abs(values.var() - variance) <= STANDARD_ERRORS * variance * math.sqrt(2 / n)
    assert np.abs(values).max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize(
    ("cls", "shape"),
    [
        pytest.param(cls, shape, id=f"{cls.__name__}-{shape}")
        for cls in INITIALIZERS
        for shape in [(), (5,), (2, 3, 4)]
        if not fills(cls, shape)
    ],
)
def test_a_shape_that_it_cannot_fill_is_refused_with_the_shape_and_another_name(cls, shape):
    with pytest.raises(InvalidArgumentError, match=f"{re.escape(str(shape))}(.|\n)*Type '"):
        cls()(shape)


@every_random_initializer
def test_the_same_seed_gives_the_same_values_at_each_call(cls):
    first = cls(seed=3)
    np.testing.assert_array_equal(first((5, 4)), first((5, 4)))
    np.testing.assert_array_equal(first((5, 4)), cls(seed=3)((5, 4)))
    assert not np.array_equal(first((5, 4)), cls(seed=4)((5, 4)))


@every_random_initializer
def test_without_a_seed_each_call_draws_on(cls):
    initializer = cls()
    assert not np.array_equal(initializer((5, 4)), initializer((5, 4)))


@every_random_initializer
def test_set_random_seed_reproduces_what_has_no_seed(cls):
    draws = []
    for _ in range(2):
        ek.set_random_seed(17)
        initializer = cls()
        draws.append((initializer((5, 4)), initializer((5, 4))))
    np.testing.assert_array_equal(draws[0], draws[1])


@every_random_initializer
@pytest.mark.parametrize("seed", [-1, 1.5, "seven", True])
def test_an_impossible_seed_is_refused_at_construction(cls, seed):
    with pytest.raises(InvalidArgumentError, match="seed"):
        cls(seed=seed)


@every_random_initializer
def test_a_numpy_integer_is_a_seed_that_can_be_written_down(cls):
    initializer = cls(seed=np.int64(3))
    assert discovery.through_json(initializer.get_config())["seed"] == 3
    np.testing.assert_array_equal(initializer((2, 3)), cls(seed=3)((2, 3)))


@every_initializer
def test_configuration_round_trip_gives_the_same_values(cls):
    initializer = cls(seed=5) if cls in random_ones else cls()
    written = discovery.through_json(serialize(initializer))
    copy = initializers.get(written)
    assert type(copy) is cls
    assert serialize(copy) == written
    np.testing.assert_array_equal(copy((3, 4)), initializer((3, 4)))


@every_initializer
def test_string_class_instance_and_configuration_are_accepted(cls):
    instance = cls()
    identifiers = (
        cls.__name__,
        snake_case(cls.__name__),
        getattr(initializers, snake_case(cls.__name__)),  # Keras's lower-case alias
        cls,
        instance,
        {"class_name": cls.__name__, "config": instance.get_config()},
    )
    for identifier in identifiers:
        layer = ek.layers.Dense(2, kernel_initializer=identifier)
        assert type(layer.kernel_initializer) is cls
    assert initializers.get(instance) is instance


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        pytest.param(cls, name, id=f"{cls.__name__}-{name}")
        for cls in INITIALIZERS
        for name in discovery.numeric_arguments(cls)
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "wide"])
def test_an_impossible_number_is_refused_at_construction(cls, name, value):
    with pytest.raises(InvalidArgumentError, match=name):
        cls(**{name: value})


def test_an_unknown_initializer_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidArgumentError, match="'he_normal'"):
        initializers.get("he_norml")
