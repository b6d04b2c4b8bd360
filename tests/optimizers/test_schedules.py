"""Schedules: how they are put together, resolved for a run, followed and looked at."""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError
from evenkeel.optimizers import schedules
from evenkeel.optimizers.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    Joined,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
    PowerDecay,
    Warmup,
    epochs,
    fraction,
    join,
)


def at(schedule, *steps):
    return np.asarray(schedule(np.array(steps)))


class TestCurves:
    def test_the_exponential_of_the_notes_is_a_tenth_after_s_steps(self):
        """s = 20 · 10 000 // 32 steps, twenty epochs."""
        schedule = ExponentialDecay(0.01, decay_steps=20 * 10_000 // 32, decay_rate=0.1)
        np.testing.assert_allclose(at(schedule, 0, 6250, 12500), [0.01, 1e-3, 1e-4], rtol=1e-5)

    def test_power_scheduling_goes_to_a_half_a_third_a_quarter(self):
        schedule = PowerDecay(0.6, decay_steps=100)
        np.testing.assert_allclose(at(schedule, 100, 200, 300), [0.3, 0.2, 0.15], rtol=1e-6)

    def test_a_staircase_changes_every_s_steps(self):
        schedule = ExponentialDecay(0.8, 10, 0.5, staircase=True)
        np.testing.assert_allclose(at(schedule, 0, 9, 10, 19, 20), [0.8, 0.8, 0.4, 0.4, 0.2])

    def test_the_piecewise_constant_of_the_notes_keeps_its_rate_at_a_boundary(self):
        schedule = PiecewiseConstantDecay([50_000, 80_000], [0.01, 0.005, 0.001])
        found = at(schedule, 50_000, 50_001, 80_000, 80_001)
        np.testing.assert_allclose(found, [0.01, 0.005, 0.005, 0.001])

    def test_a_cycling_polynomial_returns_less_high_each_time(self):
        """At step 11 of cycles of 10, s is 20, at step 21 it is 30."""
        schedule = PolynomialDecay(1.0, 10, end_learning_rate=0.0, cycle=True)
        found = at(schedule, 0, 5, 10, 11, 20, 21)
        np.testing.assert_allclose(found, [1, 0.5, 0, 9 / 20, 0, 9 / 30], atol=1e-6)

    def test_a_cosine_has_kerass_warm_up(self):
        schedule = CosineDecay(0.1, 100, warmup_target=0.5, warmup_steps=50)
        np.testing.assert_allclose(at(schedule, 0, 25, 50, 100, 150), [0.1, 0.3, 0.5, 0.25, 0])

    def test_warm_up_steps_without_a_target_are_refused(self):
        with pytest.raises(InvalidArgumentError, match=r"warmup_target=0\.1"):
            CosineDecay(0.1, 100, warmup_steps=10)

    @pytest.mark.parametrize("t_mul", [1.0, 1.5, 2.0, 3.0])
    def test_a_restart_is_at_the_top_and_the_step_before_it_is_not(self, t_mul):
        """The waves begin at s(nⁱ - 1)/(n - 1), which a logarithm in float32 may miss."""
        schedule, start = CosineDecayRestarts(1.0, 32, t_mul=t_mul, m_mul=0.5), 0
        for wave in range(6):
            length = 32 * t_mul**wave
            if start == int(start):
                assert float(schedule(int(start))) == pytest.approx(0.5**wave, rel=1e-3)
                assert float(schedule(int(start + length) - 1)) < 0.05 * 0.5**wave
            start += length

    def test_the_book_s_cycle_is_half_up_half_down_then_far_down(self):
        """Of 100 steps: corners at 44 and 88, one and two below 45 and 90, and at the last, 99."""
        schedule = OneCycle.linear(0.1, total_steps=100)
        found = at(schedule, 0, 44, 88, 99)
        np.testing.assert_allclose(found, [0.01, 0.1, 0.01, 1e-5], rtol=1e-4)
        assert np.all(np.diff(at(schedule, *range(45))) > 0)
        assert np.all(np.diff(at(schedule, *range(44, 100))) < 0)
        np.testing.assert_allclose(schedule.momentum(0), 0.95)
        np.testing.assert_allclose(schedule.momentum(44), 0.85)
        np.testing.assert_allclose(schedule.momentum(np.array([88, 95, 99])), 0.95)

    @pytest.mark.parametrize(
        ("schedule", "rates", "momenta"),
        [
            (
                OneCycle.cosine(0.1, total_steps=100),
                [0.004, 0.029516394846, 0.094029800474, 0.017103395291, 4e-7],
                [0.95, 0.923420422035, 0.855970223407, 0.932896936297, 0.95],
            ),
            (
                OneCycle.linear(0.1, total_steps=100),
                [0.01, 0.030454545455, 0.091818181818, 0.026363636364, 1e-5],
                [0.95, 0.927272727273, 0.859090909091, 0.931818181818, 0.95],
            ),
        ],
        ids=["cosine", "linear"],
    )
    def test_the_cycle_is_that_of_pytorch(self, schedule, rates, momenta):
        """Recorded from `OneCycleLR` of PyTorch 2.13.0 at steps 0, 10, 40, 80 and 99 of 100.

        `max_lr=0.1`; the cosine as it comes by default, the linear form with `three_phase=True,
        pct_start=0.45, div_factor=10, final_div_factor=1000, anneal_strategy="linear"`.
        """
        steps = np.array([0, 10, 40, 80, 99])
        np.testing.assert_allclose(schedule(steps), rates, rtol=2e-6)
        np.testing.assert_allclose(schedule.momentum(steps), momenta, rtol=1e-6)

    @pytest.mark.parametrize("total", range(1, 8))
    @pytest.mark.parametrize("form", [OneCycle.linear, OneCycle.cosine])
    def test_a_cycle_of_a_few_steps_is_finite_and_below_its_top(self, form, total):
        rates = at(form(0.1, total_steps=total), *range(10))
        assert np.isfinite(rates).all()
        assert (rates <= 0.1 + 1e-7).all()

    def test_a_cycle_may_leave_the_momentum_alone(self):
        assert OneCycle(0.1, 100, cycle_momentum=False).momentum(5) is None


class TestComposition:
    def test_a_warm_up_leads_to_the_first_rate_of_what_follows(self):
        schedule = Warmup(ExponentialDecay(0.4, 10, 0.5), warmup_steps=20)
        np.testing.assert_allclose(at(schedule, 0, 10, 20, 30), [0, 0.2, 0.4, 0.2], atol=1e-8)

    def test_a_warm_up_of_no_steps_changes_nothing(self):
        inner = ExponentialDecay(0.4, 10, 0.5)
        np.testing.assert_allclose(at(Warmup(inner, 0), 0, 5, 10), at(inner, 0, 5, 10))

    def test_joined_pieces_count_their_own_steps(self):
        schedule = join(0.5, ExponentialDecay(0.4, 10, 0.5), 0.1, boundaries=[100, 120])
        found = at(schedule, 0, 99, 100, 110, 119, 120, 10_000)
        expected = [0.5, 0.5, 0.4, 0.2, 0.4 * 0.5**1.9, 0.1, 0.1]
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_the_momentum_goes_through(self):
        cycle = OneCycle(0.1, total_steps=100)
        assert float(Warmup(cycle, 10).momentum(0)) == pytest.approx(0.95)
        assert float(Warmup(cycle, 10).momentum(54)) == pytest.approx(0.85)
        both = join(cycle, OneCycle(0.01, total_steps=50), boundaries=[100])
        assert float(both.momentum(44)) == pytest.approx(0.85)
        assert both.cycles_momentum
        half = join(cycle, 0.01, boundaries=[100])
        assert half.momentum(44) is None
        assert not half.cycles_momentum

    def test_a_fraction_after_a_warm_up_is_of_the_time_that_is_left(self):
        """A run of 1000 steps with 100 of warm-up leaves 900, the whole of which is the cosine."""
        schedule = Warmup(CosineDecay(0.1, fraction(1)), epochs(2))
        assert schedule.resolve(steps_per_epoch=50, total_steps=1000) == Warmup(
            CosineDecay(0.1, 900), 100
        )

    def test_a_fraction_in_a_piece_is_of_the_piece_s_own_time(self):
        schedule = join(
            CosineDecay(0.1, fraction(1)), PolynomialDecay(0.01, fraction(0.5)), boundaries=[300]
        )
        assert schedule.resolve(total_steps=1000) == Joined(
            (CosineDecay(0.1, 300), PolynomialDecay(0.01, 350)), (300,)
        )

    @pytest.mark.parametrize(
        ("make", "problem"),
        [
            (lambda: PiecewiseConstantDecay([10], [0.1]), "one value more"),
            (lambda: PiecewiseConstantDecay([10, 5], [0.1, 0.2, 0.3]), "grow"),
            (lambda: PiecewiseConstantDecay([10], [0.1, -0.1]), "values"),
            (lambda: Joined([0.1, 0.2], []), "one schedule more"),
            (lambda: join(0.1, 0.2, 0.3, boundaries=[epochs(5), epochs(5)]), "grow"),
            (lambda: Warmup(lambda step: 0.1, 10), "LearningRateSchedule"),
            (lambda: OneCycle(0.1, 100, pct_start=0.6), "pct_start"),
            (lambda: OneCycle(0.1, 100, anneal_strategy="cubic"), "'cos'"),
            (lambda: fraction(1.5), "fraction"),
            (lambda: epochs(-1), "epochs"),
            (lambda: schedules.steps(2.5), "steps"),
            (lambda: schedules.get("one_cycle"), "OneCycle"),
            (lambda: schedules.get(OneCycle), "Valid"),
        ],
    )
    def test_what_cannot_work_is_refused_at_construction(self, make, problem):
        with pytest.raises(InvalidArgumentError, match=problem):
            make()

    def test_boundaries_of_two_units_that_cross_are_refused_once_they_are_known(self):
        schedule = join(0.1, 0.2, 0.3, boundaries=[epochs(5), fraction(0.1)])
        schedule.resolve(steps_per_epoch=10, total_steps=1000)
        with pytest.raises(InvalidArgumentError, match="grow"):
            schedule.resolve(steps_per_epoch=50, total_steps=1000)


def optimizer_in_run(schedule, iterations=0, steps=10, last=10, first=0, **more):
    optimizer = ek.optimizers.SGD(schedule, **more)
    optimizer.iterations = iterations
    optimizer.begin_run(steps_per_epoch=steps, epochs=last, initial_epoch=first)
    return optimizer


def rates(optimizer, *steps):
    one = jnp.asarray(1.0)
    return [float(optimizer.rate_at(jnp.asarray(step, jnp.int32), one)) for step in steps]


class TestRuns:
    def test_a_cycle_takes_its_length_from_the_run(self):
        optimizer = optimizer_in_run(OneCycle(0.1))
        expected = at(OneCycle(0.1, total_steps=100), 0, 44, 99)
        np.testing.assert_allclose(rates(optimizer, 0, 44, 99), expected, rtol=1e-6)

    def test_a_second_run_begins_the_cycle_anew(self):
        optimizer = optimizer_in_run(OneCycle(0.1), iterations=100, last=5)
        expected = at(OneCycle(0.1, total_steps=50), 0, 20, 49)
        np.testing.assert_allclose(rates(optimizer, 100, 120, 149), expected, rtol=1e-6)

    def test_a_run_that_goes_on_goes_on_in_its_cycle(self):
        optimizer = optimizer_in_run(OneCycle(0.1), iterations=40, first=4)
        expected = at(OneCycle(0.1, total_steps=100), 40, 44, 99)
        np.testing.assert_allclose(rates(optimizer, 40, 44, 99), expected, rtol=1e-6)

    def test_epochs_count_from_the_first_step_of_the_optimizer(self):
        optimizer = optimizer_in_run(ExponentialDecay(0.1, epochs(2), 0.5), iterations=100)
        np.testing.assert_allclose(rates(optimizer, 0, 20, 100), [0.1, 0.05, 0.1 / 32], rtol=1e-5)

    def test_lengths_are_in_updates_where_batches_are_accumulated(self):
        optimizer = optimizer_in_run(OneCycle(0.1), gradient_accumulation_steps=2)
        expected = at(OneCycle(0.1, total_steps=50), 0, 10, 10, 49)
        np.testing.assert_allclose(rates(optimizer, 0, 20, 21, 99), expected, rtol=1e-6)

    def test_the_schedule_as_declared_is_what_is_written_down_and_resolved_again(self):
        schedule = Warmup(OneCycle(0.1), epochs(1))
        optimizer = optimizer_in_run(schedule)
        assert optimizer.schedule is schedule
        copy = ek.optimizers.SGD.from_config(optimizer.get_config())
        assert copy.schedule == schedule
        optimizer.begin_run(steps_per_epoch=20, epochs=10, initial_epoch=0)
        assert rates(optimizer, 19)[0] < 0.1 / 10
        assert rates(optimizer, 20)[0] == pytest.approx(0.01)

    def test_a_new_length_is_a_new_program_and_the_same_length_is_not(self):
        first, second = optimizer_in_run(OneCycle(0.1)), optimizer_in_run(OneCycle(0.1))
        assert first.fingerprint == second.fingerprint
        assert hash(first.fingerprint) == hash(second.fingerprint)
        assert first.fingerprint != optimizer_in_run(OneCycle(0.1), last=11).fingerprint

    def test_before_any_run_the_rate_is_refused_with_what_to_do(self):
        optimizer = ek.optimizers.SGD(OneCycle(0.1))
        with pytest.raises(InvalidArgumentError, match=r"model\.fit.*resolve\("):
            _ = optimizer.learning_rate
        assert "OneCycle" in repr(optimizer)

    def test_a_stream_of_unknown_length_is_refused_with_what_to_give(self):
        optimizer = ek.optimizers.SGD(ExponentialDecay(0.1, epochs(5), 0.5))
        with pytest.raises(InvalidArgumentError, match=r"fit\(steps_per_epoch"):
            optimizer.begin_run(steps_per_epoch=None, epochs=3, initial_epoch=0)
        known = ek.optimizers.SGD(ExponentialDecay(0.1, 100, 0.5))
        known.begin_run(steps_per_epoch=None, epochs=3, initial_epoch=0)
        assert known.learning_rate == pytest.approx(0.1)

    def test_a_function_is_no_concern_of_the_run(self):
        optimizer = optimizer_in_run(lambda step: 0.25)
        assert optimizer.learning_rate == 0.25

    def test_the_rate_factor_scales_a_schedule(self):
        optimizer = optimizer_in_run(ExponentialDecay(0.4, 10, 0.5))
        optimizer.rate_factor = 0.5
        optimizer.iterations = 10
        assert optimizer.learning_rate == pytest.approx(0.1)
        with pytest.raises(InvalidArgumentError, match="rate_factor"):
            optimizer.learning_rate = 0.1

    def test_a_model_follows_it_and_is_saved_with_it(self, random, tmp_path):
        x = random.standard_normal((20, 3)).astype(np.float32)
        model = ek.Sequential([ek.layers.Dense(1, input_shape=[3])])
        model.compile(optimizer=ek.optimizers.SGD(OneCycle(0.1)), loss="mse")
        model.optimizer.begin_run(steps_per_epoch=10, epochs=2, initial_epoch=0)
        model.fit(x, x[:, :1], batch_size=2, epochs=2, verbose=0)
        assert model.optimizer.iterations == 20
        assert model.optimizer.learning_rate == pytest.approx(1e-5, rel=1e-4)
        model.save(tmp_path / "model.safetensors")
        copy = ek.models.load_model(tmp_path / "model.safetensors")
        assert copy.optimizer.schedule == OneCycle(0.1)
        assert copy.optimizer.slots["momentum"]["dense/kernel"].shape == (3, 1)


MOMENTA = (0.5, 0.9, 0.1, 0.7, 0.3)


class Cycling(schedules.LearningRateSchedule):
    """A constant rate and a momentum for each step, from a table."""

    cycles_momentum = True

    def rate(self, t):
        return jnp.full_like(t, 0.1)

    def momentum(self, step):
        return jnp.asarray(MOMENTA)[jnp.asarray(step, jnp.int32)]


def cycled(optimizer, gradients):
    """Returns the parameter after each step."""
    params, seen = {"w": jnp.asarray(0.0)}, []
    slots, advance = optimizer.start(params), jax.jit(optimizer.advance)
    for t, g in enumerate(gradients):
        now = {"w": jnp.asarray(g, jnp.float32)}
        params, slots = advance(now, slots, params, jnp.asarray(1.0), jnp.asarray(t))
        seen.append(float(params["w"]))
    return seen


class TestMomentumOfTheSchedule:
    G = (1.0, -2.0, 0.5, 3.0, 1.0)

    @pytest.mark.parametrize("momentum", [0.0, 0.99])
    @pytest.mark.parametrize("nesterov", [False, True])
    def test_descent_takes_it_whatever_its_own_is(self, momentum, nesterov):
        w, m, expected = 0.0, 0.0, []
        for beta, g in zip(MOMENTA, self.G, strict=True):
            m = beta * m - 0.1 * g
            w += beta * m - 0.1 * g if nesterov else m
            expected.append(w)
        optimizer = ek.optimizers.SGD(Cycling(), momentum=momentum, nesterov=nesterov)
        np.testing.assert_allclose(cycled(optimizer, self.G), expected, rtol=1e-5)

    def test_adam_takes_it_as_its_first_decay(self):
        w = m = v = 0.0
        expected = []
        for t, (b1, g) in enumerate(zip(MOMENTA, self.G, strict=True), start=1):
            m, v = b1 * m + (1 - b1) * g, 0.9 * v + 0.1 * g**2
            w -= 0.1 * np.sqrt(1 - 0.9**t) / (1 - b1**t) * m / (np.sqrt(v) + 1e-7)
            expected.append(w)
        for cls in (ek.optimizers.Adam, ek.optimizers.AdamW):
            optimizer = cls(Cycling(), beta_2=0.9)
            optimizer.weight_decay = None
            np.testing.assert_allclose(cycled(optimizer, self.G), expected, rtol=1e-4)

    def test_adamax_takes_it_as_its_first_decay(self):
        w = m = u = 0.0
        expected = []
        for t, (b1, g) in enumerate(zip(MOMENTA, self.G, strict=True), start=1):
            m, u = b1 * m + (1 - b1) * g, max(0.9 * u, abs(g))
            w -= 0.1 / (1 - b1**t) * m / (u + 1e-7)
            expected.append(w)
        optimizer = ek.optimizers.Adamax(Cycling(), beta_2=0.9)
        np.testing.assert_allclose(cycled(optimizer, self.G), expected, rtol=1e-4)

    def test_nadam_takes_it_as_its_first_decay(self):
        """Step t already uses the momentum of step t + 1."""
        w = m = v = 0.0
        product, expected = 1.0, []
        for t, (b1, g) in enumerate(zip(MOMENTA[:4], self.G[:4], strict=True), start=1):
            mu, after = b1 * (1 - 0.5 * 0.96**t), MOMENTA[t] * (1 - 0.5 * 0.96 ** (t + 1))
            product *= mu
            m, v = b1 * m + (1 - b1) * g, 0.9 * v + 0.1 * g**2
            hat = after * m / (1 - product * after) + (1 - mu) * g / (1 - product)
            w -= 0.1 * hat / (np.sqrt(v / (1 - 0.9**t)) + 1e-7)
            expected.append(w)
        optimizer = ek.optimizers.Nadam(Cycling(), beta_2=0.9)
        np.testing.assert_allclose(cycled(optimizer, self.G[:4]), expected, rtol=1e-4)

    def test_rmsprop_takes_it_only_if_it_has_momentum(self):
        for momentum in (0.0, 0.5):
            w = v = m = 0.0
            expected = []
            for beta, g in zip(MOMENTA, self.G, strict=True):
                v = 0.9 * v + 0.1 * g**2
                m = (beta if momentum else 0.0) * m + 0.1 * g / np.sqrt(v + 1e-7)
                w -= m
                expected.append(w)
            optimizer = ek.optimizers.RMSprop(Cycling(), momentum=momentum)
            np.testing.assert_allclose(cycled(optimizer, self.G), expected, rtol=1e-4)

    def test_it_counts_updates_where_batches_are_accumulated(self):
        twice = [g for g in self.G for _ in range(2)]
        plain = cycled(ek.optimizers.SGD(Cycling()), self.G)
        found = cycled(ek.optimizers.SGD(Cycling(), gradient_accumulation_steps=2), twice)
        np.testing.assert_allclose(found[1::2], plain, rtol=1e-6)


class Axes:
    """Stands in for matplotlib's axes and remembers what is drawn."""

    def __init__(self):
        self.lines, self.labels, self.twin = [], [], None

    def plot(self, x, y, **style):
        self.lines.append((np.asarray(x), np.asarray(y)))

    def set_xlabel(self, text):
        self.labels.append(text)

    set_ylabel = set_xlabel

    def twinx(self):
        self.twin = Axes()
        return self.twin


class TestToLookAt:
    def test_a_table_shows_epochs_and_momentum_where_there_are_some(self):
        table = OneCycle(0.1).table(points=3, steps_per_epoch=50, total_steps=200)
        lines = [line.split() for line in table.splitlines()]
        assert lines[0] == ["step", "epoch", "learning", "rate", "momentum"]
        assert lines[1] == ["0", "0.00", "0.01", "0.95"]
        assert [line[0] for line in lines[1:]] == ["0", "100", "200"]

    def test_a_table_of_unknown_length_is_refused_with_what_to_give(self):
        with pytest.raises(InvalidArgumentError, match="total_steps"):
            schedules.ConstantRate(0.1).table()

    def test_a_drawing_has_the_resolved_curve_and_the_momentum_beside_it(self):
        axes = Axes()
        schedule = OneCycle(0.1)
        assert schedule.plot(axes, points=5, steps_per_epoch=50, total_steps=200) is axes
        (x, y), steps = axes.lines[0], np.array([0, 50, 100, 150, 200])
        np.testing.assert_allclose(x, steps / 50)
        np.testing.assert_allclose(y, OneCycle(0.1, 200)(steps), rtol=1e-6)
        assert axes.labels == ["epoch", "learning rate"]
        np.testing.assert_allclose(axes.twin.lines[0][1], OneCycle(0.1, 200).momentum(steps))

    def test_without_matplotlib_it_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ImportError, match=r'pip install "evenkeel\[plot\]"'):
            PowerDecay(0.1, 100).plot()

    def test_matplotlib_draws_it(self):
        matplotlib = pytest.importorskip("matplotlib")
        matplotlib.use("Agg")
        axes = OneCycle(0.1, 100).plot()
        assert axes.get_ylabel() == "learning rate"


class TestOfYourOwn:
    def test_a_class_of_yours_works_and_is_written_if_it_says_how(self):
        @ek.saving.register
        class Halving(schedules.LearningRateSchedule):
            def __init__(self, start):
                self.start = start

            def rate(self, t):
                return self.start * 0.5**t

            def get_config(self):
                return {"start": self.start}

        optimizer = ek.optimizers.Adam(Halving(0.4))
        assert optimizer.learning_rate == pytest.approx(0.4)
        config = ek.optimizers.Adam.from_config(optimizer.get_config())
        config.iterations = 1
        assert config.learning_rate == pytest.approx(0.2)

    def test_a_class_without_a_configuration_is_refused_by_files_alone(self):
        optimizer = ek.optimizers.SGD(Cycling())
        assert optimizer.learning_rate == pytest.approx(0.1)
        with pytest.raises(InvalidArgumentError, match="get_config"):
            optimizer.get_config()
