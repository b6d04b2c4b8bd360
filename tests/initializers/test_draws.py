"""Initializers against the recorded statistics of other libraries, and against closed forms."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel import initializers
from evenkeel.errors import InvalidArgumentError, InvalidDataError
from tests.oracles import cases

RECORDED = json.loads((Path(__file__).parents[1] / "oracles" / "initializers.json").read_text())
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


@pytest.mark.parametrize("given", [np.eye(3), jnp.eye(3)], ids=["numpy", "jax"])
def test_an_array_is_the_very_kernel_to_start_from(given):
    layer = ek.layers.Dense(3, kernel_initializer=given)
    layer(np.ones((2, 3)))
    np.testing.assert_array_equal(layer.kernel.numpy(), np.eye(3))
    assert layer.kernel.dtype == np.float32
    with pytest.raises(InvalidDataError, match=r"\(3, 3\).*\(4, 3\)"):
        ek.layers.Dense(3, kernel_initializer=given)(np.ones((2, 4)))


def test_a_class_that_is_no_initializer_of_ours_is_made_an_instance():
    class Sevens:
        def __call__(self, shape, dtype=None):
            return np.full(shape, 7.0, dtype)

    assert type(initializers.get(Sevens)) is Sevens


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("zero", "Zeros"),
        ("one", "Ones"),
        ("normal", "RandomNormal"),
        ("uniform", "RandomUniform"),
        ("IdentityInitializer", "Identity"),
        ("OrthogonalInitializer", "Orthogonal"),
        ("LeCunNormal", "LecunNormal"),
        ("lecun_normal", "LecunNormal"),
        ("HeNormal", "HeNormal"),
    ],
)
def test_keras_other_names_are_known(name, kind):
    """The table of names in Keras 3.15's `initializers`, and LeCun as he is written."""
    assert type(initializers.get(name)).__name__ == kind


ORTHOGONAL_SHAPES = [(30, 30), (40, 7), (7, 40), (3, 3, 4, 6), (1, 2, 2, 9), (1, 1)]


@pytest.mark.parametrize("shape", ORTHOGONAL_SHAPES, ids=str)
@pytest.mark.parametrize("gain", [1.0, math.sqrt(2), -0.5, 0.0])
def test_orthogonal_kernels_have_equal_singular_values(shape, gain):
    """The definition, on the matrix that Keras flattens a kernel to: all but the last axis."""
    w = initializers.Orthogonal(gain, seed=1)(shape).astype(np.float64).reshape(-1, shape[-1])
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(gram, gain**2 * np.eye(min(w.shape)), atol=1e-6)


def test_orthogonal_matrices_are_drawn_evenly():
    """Of Haar's measure on n x n matrices the trace has mean 0 and variance 1 (Diaconis and
    Shahshahani 1994), half the determinants are -1, and each element has variance 1/n. A QR
    without the fix of the signs has R's signs in Q: its trace has another mean."""
    n, draws = 4, 2000
    rule = initializers.Orthogonal()
    matrices = np.array([rule((n, n)) for _ in range(draws)], np.float64)
    traces = np.trace(matrices, axis1=1, axis2=2)
    error = STANDARD_ERRORS / math.sqrt(draws)
    assert abs(traces.mean()) < error
    assert abs(traces.var() - 1) < error * math.sqrt(2)
    assert abs((np.linalg.det(matrices) < 0).mean() - 0.5) < error / 2
    assert np.abs(matrices.mean(axis=0)).max() < error / math.sqrt(n)
    # Squares of a coordinate on the sphere have variance 2(n - 1)/(n²(n + 2)) < 2/n².
    assert np.abs((matrices**2).mean(axis=0) - 1 / n).max() < error * math.sqrt(2) / n


def test_identity_passes_inputs_on():
    layer = ek.layers.Dense(3, kernel_initializer=initializers.Identity(gain=2.0))
    np.testing.assert_array_equal(layer(np.eye(2)), [[2, 0, 0], [0, 2, 0]])
    with pytest.raises(InvalidArgumentError, match="two dimensions"):
        initializers.Identity()((3, 3, 1, 1))


def test_a_layer_shows_its_initializer():
    layer = ek.layers.Dense(3, kernel_initializer="orthogonal", bias_initializer=initializers.Ones)
    assert repr(layer.kernel_initializer) == "Orthogonal(gain=1.0)"
    assert repr(layer.bias_initializer) == "Ones()"
    assert initializers.HeNormal().get_config() == {"seed": None}
