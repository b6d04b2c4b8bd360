"""Initializers against the recorded statistics of other libraries, and against closed forms."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from evenkeel import initializers
from evenkeel.errors import InvalidArgumentError
from tests.oracles import cases

RECORDED = json.loads((Path(__file__).parent / "oracles" / "initializers.json").read_text())
SHAPES = [",".join(map(str, shape)) for shape in cases.INITIALIZER_SHAPES]
BOUNDED = [n for n in cases.INITIALIZERS if n not in cases.UNBOUNDED_INITIALIZERS]
every_shape = pytest.mark.parametrize("shape", SHAPES)
# A difference beyond five standard errors happens once in 1.7 million draws.
STANDARD_ERRORS = 5


def drawn(name, shape, seed=0):
    """Returns one array of ours, in double precision."""
    case = cases.INITIALIZERS[name]
    initializer = getattr(initializers, case.kind)(seed=seed, **case.arguments)
    return initializer(tuple(map(int, shape.split(",")))).astype(np.float64)


@pytest.mark.parametrize(
    ("library", "name"),
    [(library, name) for library in ("keras", "torch") for name in RECORDED[library]],
)
@every_shape
def test_mean_and_variance_are_the_recorded_ones(name, shape, library):
    """Both sides are estimates: sd·√(1/n + 1/m) for means, and at most sd²·√(2/n + 2/m)."""
    values, record = drawn(name, shape), RECORDED[library][name][shape]
    samples = 1 / values.size + 1 / record["draws"]
    variance = record["variance"]
    assert abs(values.var() - variance) < STANDARD_ERRORS * variance * math.sqrt(2 * samples)
    assert abs(values.mean() - record["mean"]) < STANDARD_ERRORS * math.sqrt(variance * samples)


@pytest.mark.parametrize("name", BOUNDED)
@every_shape
def test_extremes_are_those_of_keras(name, shape):
    """Uniform and truncated draws end at a bound, where their density f is 0.0498 or more in
    units of a standard deviation (the truncated normal's). None of n draws lies within k/(n f) of
    it with a chance of e^-k. An untruncated normal has no bound."""
    values, record = drawn(name, shape), RECORDED["keras"][name][shape]
    k, n = 14, min(values.size, record["draws"])
    tolerance = k / n / 0.0498 * math.sqrt(record["variance"])
    assert abs(values.max() - record["maximum"]) < tolerance
    assert abs(values.min() - record["minimum"]) < tolerance


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((7,), (7, 7)), ((5, 3), (5, 3)), ((3, 4, 6, 8), (72, 96))],
)
def test_fans_follow_keras(shape, expected):
    """Window size times channels; a vector of n counts n both ways."""
    assert initializers.fans(shape) == expected


@pytest.mark.parametrize("distribution", ["uniform", "truncated_normal", "untruncated_normal"])
@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 200), ("fan_out", 600), ("fan_avg", 400)])
def test_variance_is_scale_over_fan(mode, fan, distribution):
    """The definition; the tolerance is five standard errors of a variance, n = 120 000."""
    initializer = initializers.VarianceScaling(3.0, mode, distribution, seed=1)
    values = initializer((200, 600)).astype(np.float64)
    tolerance = STANDARD_ERRORS * math.sqrt(2 / values.size)
    assert values.var() * fan / 3.0 == pytest.approx(1, abs=tolerance)


def test_truncated_normal_ends_at_two_standard_deviations():
    values = initializers.TruncatedNormal(mean=1.0, stddev=0.5, seed=2)((100_000,))
    assert 1.99 < values.max() <= 2.0
    assert 0.0 <= values.min() < 0.01


def test_shapes_drawn_with_one_seed_differ_only_in_shape():
    """Counter-based draws: the stream depends on the seed alone, not on what was drawn before."""
    initializer = initializers.RandomUniform(seed=4)
    initializer((1000,))
    np.testing.assert_array_equal(initializer((2, 3)).ravel(), initializer((6,)))


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (initializers.VarianceScaling, {"scale": 0.0}),
        (initializers.VarianceScaling, {"mode": "fan"}),
        (initializers.VarianceScaling, {"distribution": "cauchy"}),
        (initializers.RandomNormal, {"stddev": -1.0}),
        (initializers.RandomUniform, {"minval": 1.0, "maxval": 0.0}),
    ],
)
def test_an_impossible_setting_is_refused(cls, arguments):
    with pytest.raises(InvalidArgumentError, match=[*arguments][-1]):
        cls(**arguments)


def test_any_function_of_a_shape_is_accepted():
    def sevens(shape, dtype=None):
        return np.full(shape, 7.0, dtype)

    assert initializers.get(sevens) is sevens
