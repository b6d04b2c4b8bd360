"""What every exported learning rate schedule obeys."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError
from evenkeel.optimizers import schedules
from evenkeel.registry import serialize
from tests.laws import discovery

SCHEDULES = discovery.schedules()
every_schedule = pytest.mark.parametrize("cls", discovery.each(SCHEDULES))
# Of the highest rate in the table, 0.2, in float32: what a difference of rates may be off by.
ROUNDING = 2e-8
STEPS = np.array([0, 1, 7, 50, 99, 100, 101, 150, 199, 300, 1000])


def landmarks(cls):
    """Returns the rates at some steps of each schedule, as the table in `discovery` makes it."""
    half = math.cos(math.pi / 4) / 2 + 0.5  # half a cosine wave, after a quarter of it
    points = {
        "ConstantRate": {0: 0.1, 1000: 0.1},
        "CosineDecay": {0: 0.1, 25: 0.025 + 0.075 * half, 50: 0.0625, 100: 0.025, 1000: 0.025},
        # The second wave is twice as long, the third four times: they begin at 100 and 300.
        "CosineDecayRestarts": {0: 0.1, 25: 0.1 * half, 50: 0.05, 100: 0.1, 200: 0.05, 300: 0.1},
        "Delayed": {0: 0.1, 1000: 0.1},
        "ExponentialDecay": {0: 0.1, 50: 0.1 * math.sqrt(0.5), 100: 0.05, 300: 0.0125},
        "InverseTimeDecay": {0: 0.1, 50: 0.05, 100: 0.1 / 3, 200: 0.02},
        "Joined": {0: 0.1, 99: 0.1, 100: 0.2, 1000: 0.2},
        # Up for 45 steps, down for as many, the corners one and two steps earlier; a last tenth.
        "OneCycle": {0: 0.01, 22: 0.055, 44: 0.1, 66: 0.055, 88: 0.01, 99: 1e-5, 1000: 1e-5},
        "PiecewiseConstantDecay": {0: 0.1, 100: 0.1, 101: 0.2, 1000: 0.2},
        "PolynomialDecay": {0: 0.1, 50: 0.05005, 100: 0.0001, 1000: 0.0001},
        "PowerDecay": {0: 0.1, 100: 0.1 / 4, 200: 0.1 / 9, 300: 0.1 / 16},
        "Warmup": {0: 0.0, 25: 0.025, 50: 0.05, 100: 0.1, 1000: 0.1},
    }
    if cls.__name__ not in points:
        pytest.fail(f"{cls.__name__} is exported; add its landmarks to this file.")
    return points[cls.__name__]


def horizons_of(cls):
    """Returns the names of the arguments that are lengths of time, not in tuples."""
    given = discovery.ARGUMENTS[cls.__name__]
    return [name for name in cls._horizons if isinstance(given.get(name), int)]


timed = pytest.mark.parametrize("cls", discovery.each(c for c in SCHEDULES if horizons_of(c)))


@every_schedule
def test_the_landmarks_are_those_of_the_closed_form(cls):
    schedule = discovery.construct(cls)
    for step, rate in landmarks(cls).items():
        assert float(schedule(step)) == pytest.approx(rate, rel=2e-6, abs=1e-9), step


@every_schedule
def test_an_array_of_steps_gives_an_array_of_rates(cls):
    schedule = discovery.construct(cls)
    rates = schedule(STEPS)
    assert rates.shape == STEPS.shape
    assert rates.dtype == jnp.float32
    one_by_one = [float(schedule(step)) for step in STEPS]
    np.testing.assert_allclose(rates, one_by_one, rtol=1e-6, atol=ROUNDING)
    np.testing.assert_array_equal(schedule(STEPS.reshape(1, -1))[0], rates)


@every_schedule
def test_compiled_equals_eager(cls):
    schedule = discovery.construct(cls)
    compiled = jax.jit(schedule)(jnp.asarray(STEPS, jnp.int32))
    np.testing.assert_allclose(compiled, schedule(STEPS), rtol=2e-6, atol=ROUNDING)
    looped = jax.lax.map(schedule, jnp.asarray(STEPS, jnp.int32))
    np.testing.assert_allclose(looped, schedule(STEPS), rtol=2e-6, atol=ROUNDING)


@every_schedule
def test_rates_are_finite_and_not_negative_at_every_step(cls):
    rates = np.asarray(discovery.construct(cls)(np.arange(2000)))
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()


@every_schedule
def test_configuration_round_trip_gives_an_equal_schedule(cls):
    schedule = discovery.construct(cls)
    copy = schedules.get(discovery.through_json(serialize(schedule)))
    assert copy == schedule
    assert hash(copy) == hash(schedule)
    np.testing.assert_array_equal(copy(STEPS), schedule(STEPS))


@every_schedule
def test_it_is_frozen(cls):
    schedule = discovery.construct(cls)
    field = dataclasses.fields(schedule)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(schedule, field, 1)


@every_schedule
def test_an_optimizer_with_it_is_rebuilt_from_its_configuration(cls):
    schedule = discovery.construct(cls)
    optimizer = ek.optimizers.SGD(learning_rate=schedule)
    config = discovery.through_json(optimizer.get_config())
    copy = ek.optimizers.get({"class_name": "SGD", "config": config})
    assert copy.schedule == schedule
    assert copy.fingerprint == optimizer.fingerprint
    assert float(copy.learning_rate) == pytest.approx(float(schedule(0)))


@every_schedule
def test_the_table_shows_the_rate_at_its_ends(cls):
    schedule = discovery.construct(cls)
    lines = schedule.table(points=3, total_steps=1000, steps_per_epoch=100).splitlines()
    assert lines[0].split()[:3] == ["step", "epoch", "learning"]
    for line, step in zip(lines[1:], (0, 500, 1000), strict=True):
        shown = line.split()
        assert shown[:2] == [str(step), f"{step / 100:.2f}"]
        assert float(shown[2]) == pytest.approx(float(schedule(step)), rel=1e-3)


@timed
def test_epochs_and_fractions_of_the_run_are_the_steps_they_come_to(cls):
    """Two epochs of 50 steps, and a tenth of a run of 1000, are the table's 100 steps."""
    plain = discovery.construct(cls)
    for name in horizons_of(cls):
        for unit in (schedules.epochs(2), schedules.fraction(0.1), schedules.steps(100)):
            typed = discovery.construct(cls, **{name: unit})
            assert typed.resolve(steps_per_epoch=50, total_steps=1000) == plain
            assert schedules.get(discovery.through_json(serialize(typed))) == typed


@timed
def test_what_is_not_resolved_refuses_to_be_called_and_says_what_to_do(cls):
    for name in horizons_of(cls):
        for unit in (schedules.epochs(2), schedules.fraction(0.1)):
            typed = discovery.construct(cls, **{name: unit})
            with pytest.raises(InvalidArgumentError, match=r"resolve\(") as refusal:
                typed(0)
            assert name in str(refusal.value)


@timed
def test_what_needs_an_unknown_length_refuses_to_be_resolved_and_says_what_to_give(cls):
    for name in horizons_of(cls):
        with pytest.raises(InvalidArgumentError, match="steps_per_epoch"):
            discovery.construct(cls, **{name: schedules.epochs(2)}).resolve()
        with pytest.raises(InvalidArgumentError, match="total_steps"):
            discovery.construct(cls, **{name: schedules.fraction(0.5)}).resolve()


@timed
def test_a_fraction_begins_with_the_run_and_epochs_with_the_first_step(cls):
    plain = discovery.construct(cls)
    for name in horizons_of(cls):
        known = {"steps_per_epoch": 50, "total_steps": 1000, "start": 300}
        of_the_run = discovery.construct(cls, **{name: schedules.fraction(0.1)}).resolve(**known)
        np.testing.assert_allclose(of_the_run(STEPS + 300), plain(STEPS), 1e-6, ROUNDING)
        from_step_0 = discovery.construct(cls, **{name: schedules.epochs(2)}).resolve(**known)
        np.testing.assert_array_equal(from_step_0(STEPS), plain(STEPS))


@timed
@pytest.mark.parametrize("value", [-1, -0.5, 1.5, float("nan"), float("inf"), "long", None, True])
def test_an_impossible_length_of_time_is_refused_at_construction(cls, value):
    for name in horizons_of(cls):
        with pytest.raises(InvalidArgumentError, match=name):
            discovery.construct(cls, **{name: value})


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        pytest.param(cls, name, id=f"{cls.__name__}-{name}")
        for cls in SCHEDULES
        for name in discovery.numeric_arguments(cls)
        if name != "schedule"  # a number there is a constant rate
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "much"])
def test_an_impossible_setting_is_refused_at_construction(cls, name, value):
    with pytest.raises(InvalidArgumentError, match=name):
        discovery.construct(cls, **{name: value})


def test_an_unknown_schedule_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidArgumentError, match="'exponential_decay'"):
        schedules.get({"class_name": "exponential_deca", "config": {}})
