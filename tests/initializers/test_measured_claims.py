"""What the rules promise, measured: nothing is trained, 50 real layers run forwards and backwards.

The expected numbers are those of mean-field theory (Poole et al. 2016, Schoenholz et al. 2017):
in a wide random stack each sum z is normal with a variance q that follows from the layer before,

    q[l+1] = g · E[φ(√q[l] ε)²],    gradients: d[l] = d[l+1] · g · E[φ'(√q[l] ε)²],    ε ~ N(0, 1)

with g = width · Var(weight): 2 for He, 1 for LeCun and Glorot, the width for a unit normal.
`Theory` integrates these numerically; it knows nothing of layers.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel import initializers
from evenkeel.layers import Dense
from evenkeel.network import Scope, entered

DEPTH, WIDTH, ROWS, SEEDS = 50, 200, 16, 8
STANDARD_ERRORS = 5
# A stack holds a variance if 50 layers change it by less than a factor of a thousand (a standard
# deviation by 32), either way: 15 % a layer. A rule that is off by a factor of two is off by
# 2^50 = 10^15. The rules at their best change it by 70 in theory (tanh, below); a width of 200
# adds a factor of e^±1 as the standard deviation of one seed.
HELD = math.log(1000)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def selu(z):
    return 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0)))


def selu_slope(z):
    return 1.0507009873554805 * np.where(z > 0, 1, 1.6732632423543772 * np.exp(np.minimum(z, 0)))


FUNCTIONS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "selu": (selu, selu_slope),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
}


class Stack(NamedTuple):
    """An activation, an initializer, and its g."""

    activation: str
    initializer: str
    gain: float


HE = Stack("relu", "he_normal", 2.0)
LECUN = Stack("selu", "lecun_normal", 1.0)
GLOROT = Stack("tanh", "glorot_normal", 1.0)
UNIT = Stack("sigmoid", "unit", WIDTH)
GLOROT_SIGMOID = Stack("sigmoid", "glorot_normal", 1.0)
EVERY = [HE, LECUN, GLOROT, UNIT, GLOROT_SIGMOID]
every_stack = pytest.mark.parametrize(
    "stack", EVERY, ids=lambda s: f"{s.activation}-{s.initializer}"
)
every_good_stack = pytest.mark.parametrize("stack", EVERY[:3], ids=lambda s: s.activation)


class Theory(NamedTuple):
    """What an infinitely wide stack does.

    Attributes:
        variance: The variance of each layer's activations, over units.
        slope: The mean of φ' in each layer.
        gradient: The variance of the gradient at each layer's sum, that at the top's output
            being 1.
        noise: The sum over layers of the variances of log E[φ²] and of log E[φ'²] when a mean
            over `WIDTH` units stands for the expectation.
    """

    variance: np.ndarray
    slope: np.ndarray
    gradient: np.ndarray
    noise: float


@cache
def theory(stack, start=1.0):
    z = np.linspace(-8, 8, 16_000)  # not through the kink at 0
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    function, derivative = FUNCTIONS[stack.activation]
    q, variance, slope, factor, noise = start, [], [], [], 0.0
    for _ in range(DEPTH):
        a, d = function(math.sqrt(q) * z), derivative(math.sqrt(q) * z)
        square, slope_square = density @ a**2, density @ d**2
        variance.append(square - (density @ a) ** 2)
        slope.append(density @ d)
        factor.append(slope_square)
        # A gradient is itself normal, ε with E[ε⁴] = 3, and independent of the slope.
        forwards = density @ a**4 / square**2 - 1
        backwards = 3 * (density @ d**4) / slope_square**2 - 1
        noise += max(forwards, backwards) / WIDTH
        q = stack.gain * square
    gradient = np.cumprod([factor[-1], *(stack.gain * f for f in factor[-2::-1])])[::-1]
    return Theory(np.array(variance), np.array(slope), gradient, noise)


class Measured(NamedTuple):
    """The same of real stacks: one row for each seed, one column for each layer."""

    variance: np.ndarray
    slope: np.ndarray
    gradient: np.ndarray
    saturated: np.ndarray


def network(stack):
    rule = stack.initializer
    if rule == "unit":
        rule = initializers.RandomNormal(stddev=1.0)
    layers = [
        Dense(WIDTH, activation=stack.activation, kernel_initializer=rule) for _ in range(DEPTH)
    ]
    return ek.Sequential([ek.Input(shape=(WIDTH,)), *layers], name="stack")


@cache
def measured(stack):
    """Runs stacks of several seeds.

    The gradient of what a row puts out, weighed at random, with respect to a layer's bias is its
    gradient with respect to that layer's sum; it is taken row by row.
    """
    pattern = network(stack)
    variables = pattern.variables
    derivative = jax.vmap(jax.vmap(jax.grad(pattern.layers[0].activation)))

    def outputs(values, x):
        with entered(Scope(variables, values, record=True)) as scope:
            pattern(x)
        assert scope.taps is not None
        return [scope.taps[f"stack/{layer.name}"] for layer in pattern.layers]

    @jax.jit
    def look(kernels, biases, x, direction):
        def values_with(biases):
            return [v for pair in zip(kernels, biases, strict=True) for v in pair]

        def weighed(biases, row, direction):
            return jnp.sum(outputs(values_with(biases), row[None])[-1] * direction[None])

        activations = outputs(values_with(biases), x)
        sums = [before @ w for before, w in zip([x, *activations], kernels, strict=False)]
        gradients = jax.vmap(jax.grad(weighed), in_axes=(None, 0, 0))(biases, x, direction)
        return activations, [derivative(z) for z in sums], gradients

    found = []
    for seed in range(SEEDS):
        ek.set_random_seed(seed)
        model = network(stack)
        random = np.random.Generator(np.random.Philox(seed))
        x = random.standard_normal((ROWS, WIDTH)) / math.sqrt(stack.gain)  # sums of variance 1
        direction = random.standard_normal((ROWS, WIDTH))
        values = [v.value for v in model.variables]
        a, slopes, gradients = (
            np.asarray(jax.device_get(part), np.float64)
            for part in look(values[::2], values[1::2], *map(np.float32, (x, direction)))
        )
        # Mean squares of gradients: their mean is 0 by symmetry.
        saturated = ((a < 0.01) | (a > 0.99)).mean(axis=(1, 2))
        found.append(
            (
                a.var(axis=(1, 2)),
                slopes.mean(axis=(1, 2)),
                (gradients**2).mean(axis=(1, 2)),
                saturated,
            )
        )
    return Measured(*(np.array(part) for part in zip(*found, strict=True)))


def change(variance):
    """Returns the logarithm of last layer over first, by seed."""
    return np.log(variance[..., -1] / variance[..., 0])


@every_stack
@pytest.mark.parametrize("what", ["variance", "gradient"])
def test_variances_are_those_of_the_theory_in_every_layer(stack, what):
    """The logarithm of a variance is a walk whose steps have the variance of log mean φ² over
    WIDTH units; after L steps it has a standard deviation s of at most √noise, and lies s²/2
    below the theory's on average, because its exponential does not. Contraction makes it less.
    The mean over seeds has a standard error of s/√SEEDS."""
    expected, got = theory(stack), measured(stack)
    distance = np.log(getattr(got, what)).mean(axis=0) - np.log(getattr(expected, what))
    tolerance = STANDARD_ERRORS * math.sqrt(expected.noise / SEEDS) + expected.noise / 2
    assert np.abs(distance).max() < tolerance


@every_good_stack
@pytest.mark.parametrize("what", ["variance", "gradient"])
def test_the_right_rule_holds_signals_and_gradients_through_fifty_layers(stack, what):
    """In theory ReLU with He holds both exactly, and SELU with LeCun the signals; its gradients
    grow by E[φ'²] = 1.0715 a layer, 30 in all. Tanh loses signals by 40 and gradients by 70 to
    its curvature, mostly in the first layers."""
    assert np.abs(change(getattr(measured(stack), what))).max() < HELD


def test_selu_pulls_the_variance_to_one_wherever_it_starts():
    """The fixed point of Klambauer et al. 2017. The sample variance of WIDTH units has a standard
    error of √(2/WIDTH) = 0.1 (activations are less heavy-tailed than a normal), of which each
    later layer keeps 0.78, the slope of the theory's map at 1: in all 0.1/√(1 - 0.78²) = 0.16.
    Where ReLU's walk goes on, this one is held."""
    for start in (0.25, 1.0, 4.0):
        assert theory(LECUN, start).variance[-1] == pytest.approx(1, abs=1e-3)
    assert np.abs(measured(LECUN).variance[:, -1] - 1).max() < STANDARD_ERRORS * 0.16
    assert change(measured(LECUN).variance).std() < change(measured(HE).variance).std() / 4


def test_tanh_settles_as_slowly_as_theory_says():
    """Near 0, tanh² z ≈ z² - 2z⁴/3, so that q[l+1] ≈ q - 2q²: the variance falls as 1/(2l), and
    from layer 25 to 50 by half, not by a power of the depth. Higher terms make it a bit slower."""
    variance = measured(GLOROT).variance
    ratio = np.exp(np.log(variance[:, -1] / variance[:, 24]).mean())
    assert 0.4 < ratio < 0.75
    expected = theory(GLOROT).variance
    assert expected[-1] / expected[24] == pytest.approx(0.5, abs=0.1)
    assert expected[-1] == pytest.approx(1 / (2 * DEPTH), rel=0.5)


def test_a_unit_normal_saturates_the_sigmoid():
    """q = WIDTH · E[φ²] ≈ 92: an activation lies within 0.01 of an end where |z| > 4.6, which is
    63 % of N(0, 92). The slope, 1/4 at best, is close to 1/√(2πq) on average."""
    got, expected = measured(UNIT), theory(UNIT)
    settled = slice(5, None)
    assert got.saturated[:, settled].mean() == pytest.approx(0.63, abs=0.02)
    np.testing.assert_allclose(got.slope.mean(axis=0)[settled], expected.slope[settled], rtol=0.1)
    q = WIDTH * (expected.variance[-1] + 0.25)
    assert expected.slope[-1] == pytest.approx(1 / math.sqrt(2 * math.pi * q), rel=0.05)
    assert got.slope[:, settled].max() < 0.25 / 4


def test_a_unit_normal_with_sigmoid_does_not_hold_gradients():
    """Few units let them pass, but with weights so large that they grow by WIDTH · E[φ'²] = 1.44
    a layer towards the first: 10^7 to 10^8 in all. At a width of 100 they hardly would; the sums
    saturate all the same."""
    got, expected = change(measured(UNIT).gradient), change(theory(UNIT).gradient)
    assert (got < -2 * HELD).all()
    assert expected / (DEPTH - 1) == pytest.approx(-math.log(1.44), abs=0.01)
    assert got.mean() == pytest.approx(expected, rel=0.1)


def test_sigmoid_loses_the_gradient_even_with_the_rule_of_glorot():
    """Its slope is at most 1/4: a factor of at least 16 a layer in the variance, 10^59 in all."""
    assert (change(measured(GLOROT_SIGMOID).gradient) > (DEPTH - 1) * math.log(16)).all()


def test_calibration_repairs_a_badly_scaled_stack(random):
    """Kernels of half He's standard deviation: the variance shrinks by 4 a layer, to 10^-30."""
    x = random.standard_normal((256, 100)).astype(np.float32)
    rule = initializers.VarianceScaling(scale=0.5)
    layers = [Dense(100, activation="relu", kernel_initializer=rule) for _ in range(DEPTH)]
    records = initializers.calibrate(ek.Sequential(layers), x)
    assert records[-1].variance_before < 1e-20
    a = x.astype(np.float64)
    for layer in layers:
        z = a @ layer.kernel.numpy().astype(np.float64)
        assert z.var() == pytest.approx(1, abs=0.1)
        a = np.maximum(z, 0)
    assert np.exp(np.mean(np.log([r.factor for r in records]))) == pytest.approx(2, rel=0.1)
