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
from tests.oracles import cases, recipe

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "optimizers.npz")
NAMES = ("kernel", "bias")
SGD_CASES = [name for name, case in cases.OPTIMIZERS.items() if case.kind == "SGD"]
ADAM_CASES = [name for name, case in cases.OPTIMIZERS.items() if case.kind == "Adam"]


def problem():
    """Returns start parameters and fifty gradients for each, by name."""
    parameters, gradients = recipe.optimizer_problem()
    return (
        dict(zip(NAMES, map(jnp.asarray, parameters), strict=True)),
        dict(zip(NAMES, map(jnp.asarray, gradients), strict=True)),
    )


def run(optimizer):
    """Returns the parameters after each of the fifty steps, by name, (50, ...)."""
    start, gradients = problem()
    steps = jnp.arange(50, dtype=jnp.int32)

    def one(carry, this):
        (params, slots), (g, step) = carry, this
        rate = optimizer.rate_at(step, jnp.asarray(optimizer.rate_factor, jnp.float32))
        updates, slots = optimizer.update(g, slots, params, rate, step)
        params = jax.tree.map(jnp.add, params, updates)
        return (params, slots), params

    _, after = jax.jit(
        lambda: jax.lax.scan(one, (start, optimizer.init(start)), (gradients, steps))
    )()
    return after


def built(name):
    case = cases.OPTIMIZERS[name]
    return getattr(ek.optimizers, case.kind)(**case.arguments)


def assert_recorded(after, library, name):
    """Compares to 1e-6 of the largest parameter at every recorded step.

    One rounding of a parameter of size 3 is 2e-7; fifty of them, in any order, stay below this.
    """
    for step in cases.OPTIMIZER_STEPS:
        for parameter in NAMES:
            recorded = RECORDED[f"{library}/{name}/step_{step}/{parameter}"]
            np.testing.assert_allclose(
                after[parameter][step - 1],
                recorded,
                rtol=1e-6,
                atol=1e-6 * np.abs(recorded).max(),
                err_msg=f"{library}/{name}/step_{step}/{parameter}",
            )


def test_the_recipe_still_gives_the_recorded_problem():
    parameters, gradients = recipe.optimizer_problem()
    found = recipe.fingerprint([*parameters, *gradients])
    np.testing.assert_allclose(found, RECORDED["fingerprint"], rtol=1e-12)


@pytest.mark.parametrize("name", cases.OPTIMIZERS)
def test_fifty_steps_are_those_of_keras(name):
    assert_recorded(run(built(name)), "keras", name)


@pytest.mark.parametrize("library", ["torch", "optax"])
@pytest.mark.parametrize("name", SGD_CASES)
def test_fifty_steps_of_descent_are_those_of_every_library(name, library):
    """At a constant rate the equations of momentum and Nesterov's are the same everywhere."""
    assert_recorded(run(built(name)), library, name)


@pytest.mark.parametrize("name", ADAM_CASES)
def test_fifty_steps_of_adam_are_those_of_optax_with_the_same_epsilon(name):
    """Optax adds epsilon to the corrected root; `optax_matched` rescales it at each step."""
    assert_recorded(run(built(name)), "optax_matched", name)


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


def optax_transformation(name):
    """Returns optax's transformation with the settings of a case."""
    case = cases.OPTIMIZERS[name]
    settings = case.arguments
    rate = settings["learning_rate"]
    if case.kind == "SGD":
        return optax.sgd(rate, settings.get("momentum"), settings.get("nesterov", False))
    return optax.adam(rate, b1=settings["beta_1"], b2=settings["beta_2"], eps=settings["epsilon"])


@pytest.mark.parametrize("name", cases.OPTIMIZERS)
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
