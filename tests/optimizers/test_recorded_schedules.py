"""Schedules at their landmarks against the recorded rates of Keras, PyTorch and Optax."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from tests.oracles import cases

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "schedules.npz")
STEPS = jnp.asarray(cases.SCHEDULE_STEPS, jnp.int32)
every_schedule = pytest.mark.parametrize("name", cases.SCHEDULES)
every_cycle = pytest.mark.parametrize("name", cases.ONE_CYCLES)
WITNESSES = [
    pytest.param(library, name, id=f"{library}-{name}")
    for name in cases.SCHEDULES
    for library in ("optax", "torch")
    if f"{library}/{name}/rate" in RECORDED
]


def built(name):
    return cases.schedule(cases.SCHEDULES[name], ek.optimizers.schedules)


def one_cycle(name):
    """Returns our 1cycle policy for a case, which is in the words of PyTorch."""
    arguments = dict(cases.ONE_CYCLES[name])
    top, total = arguments.pop("max_lr"), arguments.pop("total_steps")
    return ek.optimizers.schedules.OneCycle.cosine(top, total_steps=total, **arguments)


def assert_close(ours, recorded):
    """Compares to 1e-6, and near 0 to 2e-7 of the largest rate.

    There a cosine of nearly -1 is added to 1, which leaves the rounding of 1.
    """
    atol = 2e-7 * np.abs(recorded).max()
    np.testing.assert_allclose(np.asarray(ours, np.float64), recorded, rtol=1e-6, atol=atol)


@every_schedule
def test_rates_at_the_landmarks_are_those_of_keras(name):
    """Recorded step by step; ours for an array of steps at once."""
    assert_close(built(name)(STEPS), RECORDED[f"keras/{name}/rate"])


@every_schedule
def test_rates_inside_a_compiled_program_are_those_of_keras(name):
    """Recorded eagerly from Keras; the step is traced, as it is in training."""
    compiled = jax.jit(built(name))
    rates = [float(compiled(step)) for step in STEPS]
    assert_close(rates, RECORDED[f"keras/{name}/rate"])


@every_schedule
def test_rates_of_plain_integers_are_those_of_keras(name):
    schedule = built(name)
    rates = [float(schedule(step)) for step in cases.SCHEDULE_STEPS]
    assert_close(rates, RECORDED[f"keras/{name}/rate"])


@pytest.mark.parametrize(("library", "name"), WITNESSES)
def test_rates_at_the_landmarks_are_those_of_other_libraries(library, name):
    """Recorded from Optax and PyTorch; `record_schedules.py` says under which names."""
    assert_close(built(name)(STEPS), RECORDED[f"{library}/{name}/rate"])


@every_cycle
def test_the_1cycle_rates_are_those_of_pytorch(name):
    """`OneCycleLR` with cosines, at every step of the cycle."""
    recorded = RECORDED[f"torch/{name}/rate"]
    steps = jnp.arange(len(recorded), dtype=jnp.int32)
    assert_close(one_cycle(name)(steps), recorded)
    assert_close(jax.jit(one_cycle(name))(steps), recorded)


@every_cycle
def test_the_1cycle_momenta_are_those_of_pytorch(name):
    """`OneCycleLR` with `cycle_momentum`, at every step of the cycle."""
    recorded = RECORDED[f"torch/{name}/momentum"]
    steps = jnp.arange(len(recorded), dtype=jnp.int32)
    assert_close(one_cycle(name).momentum(steps), recorded)
    assert_close(jax.jit(one_cycle(name).momentum)(steps), recorded)
