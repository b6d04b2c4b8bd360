"""Optimizers against the recorded steps of other libraries, and against closed forms."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError
from tests.laws import discovery
from tests.oracles import cases, recipe

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "optimizers.npz")
NAMES = ("kernel", "bias")
# Where the other libraries take the same steps; elsewhere epsilon stands in another place, or, in
# `*_matched`, has been changed at each step to make up for that: tests/oracles/README.md.
SAME = {"torch": {"SGD", "Nadam"}, "optax": {"SGD", "RMSprop", "Adagrad"}}
# PyTorch takes 1 - β^t in double precision, Keras and we in float32, where at β = 0.999 it has
# lost four digits in the first steps.
TOLERANCE = {"torch_matched": 1e-5}


def agrees(library, case):
    """Whether a library takes Keras's steps: its equation is the same, or epsilon is no matter."""
    negligible = case.arguments.get("epsilon") == 1e-16
    return negligible or library.endswith("matched") or case.kind in SAME[library]


WITNESSES = [
    pytest.param(library, name, id=f"{library}-{name}")
    for name, case in cases.OPTIMIZERS.items()
    for library in ("torch", "torch_matched", "optax", "optax_matched")
    if f"{library}/{name}/kernel" in RECORDED and agrees(library, case)
]
AVERAGING = [name for name, case in cases.OPTIMIZERS.items() if "use_ema" in case.arguments]


def problem():
    """Returns start parameters and fifty gradients for each, by name."""
    parameters, gradients = recipe.optimizer_problem()
    return (
        dict(zip(NAMES, map(jnp.asarray, parameters), strict=True)),
        dict(zip(NAMES, map(jnp.asarray, gradients), strict=True)),
    )


def run(optimizer):
    """Returns the parameters after each of the fifty steps, by name, (50, ...)."""
    return run_to_the_end(optimizer)[0]


def run_to_the_end(optimizer):
    """Returns the parameters after each step, and those that the optimizer leaves at the end."""
    start, gradients = problem()
    steps = jnp.arange(50, dtype=jnp.int32)
    factor = jnp.float32(optimizer.rate_factor)

    def one(carry, this):
        (params, slots), (g, step) = carry, this
        params, slots = optimizer.advance(g, slots, params, factor, step)
        return (params, slots), params

    def everything():
        carry = start, optimizer.start(start)
        (params, slots), after = jax.lax.scan(one, carry, (gradients, steps))
        return after, optimizer.finished(params, slots)

    return jax.jit(everything)()


def built(name):
    return cases.optimizer(cases.OPTIMIZERS[name], ek.optimizers)


def assert_recorded(after, library, name):
    """Compares to 1e-6 of the largest parameter at every recorded step.

    One rounding of a parameter of size 3 is 2e-7; fifty of them, in any order, stay below this.
    """
    tolerance = TOLERANCE.get(library, 1e-6)
    for parameter in NAMES:
        recorded = RECORDED[f"{library}/{name}/{parameter}"]
        for step, expected in zip(cases.OPTIMIZER_STEPS, recorded, strict=True):
            np.testing.assert_allclose(
                after[parameter][step - 1],
                expected,
                rtol=tolerance,
                atol=tolerance * np.abs(expected).max(),
                err_msg=f"{library}/{name}/{parameter} after {step} steps",
            )


def test_the_recipe_still_gives_the_recorded_problem():
    parameters, gradients = recipe.optimizer_problem()
    found = recipe.fingerprint([*parameters, *gradients])
    np.testing.assert_allclose(found, RECORDED["fingerprint"], rtol=1e-12)


def test_every_exported_optimizer_has_recorded_steps():
    own = {cls.__name__ for cls in discovery.optimizers()} - {"OptaxOptimizer"}
    assert own == {case.kind for case in cases.OPTIMIZERS.values()}


@pytest.mark.parametrize("name", cases.OPTIMIZERS)
def test_fifty_steps_are_those_of_keras(name):
    """The recorded steps of Keras; with averages written over the weights, those too."""
    assert_recorded(run(built(name)), "keras", name)


@pytest.mark.parametrize(("library", "name"), WITNESSES)
def test_fifty_steps_are_those_of_other_libraries(library, name):
    """Recorded from PyTorch and Optax, wherever their equation is Keras's or can be made so."""
    assert_recorded(run(built(name)), library, name)


@pytest.mark.parametrize("name", AVERAGING)
def test_averages_are_handed_over_at_the_end_as_in_keras(name):
    """What Keras's `finalize_variable_values` writes over the weights after the last step."""
    _, left = run_to_the_end(built(name))
    for parameter in NAMES:
        average = RECORDED[f"keras/{name}/average/{parameter}"]
        atol = 1e-6 * np.abs(average).max()
        np.testing.assert_allclose(left[parameter], average, rtol=1e-6, atol=atol)


def test_averages_are_those_of_pytorch():
    """PyTorch's `AveragedModel`, which starts from the first step's parameters as Keras does."""
    _, left = run_to_the_end(built("sgd_ema"))
    for parameter in NAMES:
        average = RECORDED[f"torch/sgd_ema/average/{parameter}"]
        atol = 1e-6 * np.abs(average).max()
        np.testing.assert_allclose(left[parameter], average, rtol=1e-6, atol=atol)


@pytest.mark.parametrize("name", ["nesterov", "adam", "adam_accumulation"])
def test_without_averages_the_last_parameters_are_the_end(name):
    after, left = run_to_the_end(built(name))
    for parameter in NAMES:
        np.testing.assert_array_equal(left[parameter], after[parameter][-1])


@pytest.mark.parametrize("epsilon", [1e-7, 1e-3])
def test_adam_follows_its_equation_in_double_precision(epsilon):
    """Ten lines of NumPy: epsilon outside the root and not corrected for bias."""
    start, gradients = problem()
    expected = {}
    for name in NAMES:
        w, m, v = np.asarray(start[name], np.float64), 0.0, 0.0
        for t, g in enumerate(np.asarray(gradients[name], np.float64), start=1):
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            w = w - 1e-3 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + epsilon)
        expected[name] = w
    after = run(ek.optimizers.Adam(epsilon=epsilon))
    for name in NAMES:
        np.testing.assert_allclose(after[name][-1], expected[name], rtol=1e-6, atol=3e-6)


@pytest.mark.parametrize("nesterov", [False, True], ids=["momentum", "nesterov"])
@pytest.mark.parametrize("momentum", [0.9, 0.5])
def test_momentum_reaches_its_terminal_velocity(momentum, nesterov):
    """A geometric series: under a constant gradient g the step tends to η g / (1 - β)."""
    optimizer = ek.optimizers.SGD(learning_rate=0.01, momentum=momentum, nesterov=nesterov)
    params = {"w": jnp.zeros(())}
    gradients, slots = {"w": jnp.asarray(2.0)}, optimizer.init(params)
    rate = jnp.asarray(0.01)
    for step in range(200):
        updates, slots = optimizer.update(gradients, slots, params, rate, jnp.asarray(step))
    assert float(updates["w"]) == pytest.approx(-0.01 * 2.0 / (1 - momentum), rel=1e-5)


def test_plain_descent_keeps_no_slots():
    assert jax.tree.leaves(ek.optimizers.SGD().init(problem()[0])) == []


@pytest.mark.parametrize("step", [0, 1, 10])
def test_the_first_steps_of_adam_are_as_long_as_its_rate(step):
    """Under a constant gradient m / sqrt(v) is corrected to exactly ±1, up to epsilon."""
    optimizer = ek.optimizers.Adam()
    params = {"w": jnp.zeros(3)}
    gradients, slots = {"w": jnp.asarray([5.0, -0.1, 20.0])}, optimizer.init(params)
    for t in range(step + 1):
        updates, slots = optimizer.update(
            gradients, slots, params, jnp.asarray(1e-3), jnp.asarray(t)
        )
    np.testing.assert_allclose(updates["w"], [-1e-3, 1e-3, -1e-3], rtol=1e-4)


# -- optax -----------------------------------------------------------------------------------

OPTAX_ALIASES = [*cases.TRAJECTORY_OPTIMIZERS, "momentum_0.99", "adam_betas", "adam_epsilon"]


def optax_transformation(name):
    """Returns optax's transformation with the settings of a case."""
    case = cases.OPTIMIZERS[name]
    settings = case.arguments
    rate = settings["learning_rate"]
    if case.kind == "SGD":
        return optax.sgd(rate, settings.get("momentum"), settings.get("nesterov", False))
    return optax.adam(rate, b1=settings["beta_1"], b2=settings["beta_2"], eps=settings["epsilon"])


@pytest.mark.parametrize("name", OPTAX_ALIASES)
def test_optax_transformations_are_accepted_and_take_their_own_steps(name):
    optimizer = ek.optimizers.get(optax_transformation(name))
    assert isinstance(optimizer, ek.optimizers.OptaxOptimizer)
    with jax.numpy_dtype_promotion("standard"):  # optax raises floats to the power of integers
        assert_recorded(run(optimizer), "optax", name)


def test_an_optax_chain_trains_a_model():
    """Clipping to norm 1e-3 and then a rate of 1 moves the weights by 1e-3 in all."""
    model = ek.Sequential([ek.layers.Dense(1, input_shape=[2])])
    chain = optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(1.0))
    model.compile(optimizer=chain, loss="mse")
    before = model.get_weights()
    model.train_on_batch(np.eye(2, dtype=np.float32), np.array([10.0, -10.0]))
    moved = [a - b for a, b in zip(model.get_weights(), before, strict=True)]
    assert np.sqrt(sum((m**2).sum() for m in moved)) == pytest.approx(1e-3, rel=1e-3)


def test_the_learning_rate_of_an_optax_optimizer_is_a_factor_on_its_updates():
    half = ek.optimizers.get(optax.sgd(0.01))
    half.learning_rate = 0.5
    scaled = run(half)
    whole = run(ek.optimizers.get(optax.sgd(0.005)))
    for name in NAMES:
        np.testing.assert_allclose(scaled[name], whole[name], rtol=1e-6, atol=1e-6)


def test_nesterov_without_momentum_is_refused_with_what_to_type():
    with pytest.raises(InvalidArgumentError, match=r"momentum=0\.9, nesterov=True"):
        ek.optimizers.SGD(nesterov=True)
