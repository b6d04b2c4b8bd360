"""Numbers read off a run, and the rules on them at the edges: on hand-made courses alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from evenkeel.doctor import HeadRecord, TargetData, diagnose, remedy_named
from evenkeel.doctor.course import Course
from evenkeel.doctor.rules import RUN_RULES
from evenkeel.doctor.statistics import Missing, Numbers
from evenkeel.doctor.statistics.curves import SCATTER, Curve, swing
from tests.doctor.courses import EPOCHS, FALLING, JUMPS, broke, ran, straight
from tests.doctor.patients import classes, normal, one_hot, patient, regression

quickly = settings(max_examples=30, deadline=None)


def codes(whom):
    return set(diagnose(whom, RUN_RULES).codes)


class TestWhatAConstantScores:
    """Each against the loss of the best constant, written out."""

    def constant(self, whom):
        (value,) = Numbers(whom)["constants"].values()
        return value

    def test_of_classes_is_the_entropy_of_their_shares(self):
        y = np.repeat([0, 1, 2], [200, 150, 50])
        shares = np.array([0.5, 0.375, 0.125])
        expected = -(shares * np.log(shares)).sum()
        assert self.constant(patient(y=y)) == pytest.approx(expected)
        hot = patient(y=one_hot(y, 3), kind="one-hot", loss="categorical_crossentropy")
        assert self.constant(hot) == pytest.approx(expected)

    def test_of_two_classes_too(self):
        y = np.repeat([0, 1], [300, 100])
        found = self.constant(patient(y=y, units=1, kind="binary", loss="binary_crossentropy"))
        assert found == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))

    def test_of_numbers_is_their_variance_or_their_distance_from_the_median(self):
        y = normal(400) * 3 + 1
        assert self.constant(regression(y)) == pytest.approx(y.var())
        head = replace(regression(y).heads[0], loss="mean_absolute_error")
        found = self.constant(replace(regression(y), heads=(head,)))
        assert found == pytest.approx(np.abs(y - np.median(y)).mean())

    def test_is_not_known_for_a_loss_of_ones_own_or_with_weights(self):
        head = replace(regression().heads[0], loss="mine")
        assert self.constant(replace(regression(), heads=(head,))) is None
        whom = ran(np.full(20, 1.0985))
        assert "loss-not-decreasing" in codes(whom)
        weighted = replace(whom, course=replace(whom.course, is_weighted=True))
        assert "loss-not-decreasing" not in codes(weighted)


class TestSwing:
    @quickly
    @given(seed=some.integers(0, 1000), size=some.floats(0.01, 10))
    def test_of_noise_is_its_deviation(self, seed, size):
        """Of 400 normal numbers, the estimate scatters by about a tenth."""
        draw = np.random.Generator(np.random.Philox(seed))
        assert swing(size * draw.normal(size=400)) == pytest.approx(size, rel=0.4)

    @quickly
    @given(slope=some.floats(-5, 5), level=some.floats(-5, 5))
    def test_of_a_straight_line_is_none(self, slope, level):
        assert swing(level + slope * np.arange(20.0)) == pytest.approx(0, abs=1e-6)

    def test_of_one_outlier_is_next_to_none(self):
        values = np.ones(20)
        values[9] = 50.0
        assert swing(values) == 0


class TestSamplingNoise:
    @quickly
    @given(seed=some.integers(0, 10_000), rows=some.integers(50, 2000))
    def test_of_the_validation_is_no_finding(self, seed, rows):
        """Losses of rows scatter as squares of normal errors do: by 1.41 times their mean."""
        draw = np.random.Generator(np.random.Philox(seed))
        level = FALLING + 0.3
        noise = level * np.sqrt(2 / rows) * draw.normal(size=len(level))
        assert not codes(ran(FALLING, level + noise, m=rows))

    @quickly
    @given(epoch=some.integers(1, 19), height=some.floats(0.5, 20))
    def test_one_bad_epoch_is_no_finding(self, epoch, height):
        train, valid = FALLING.copy(), FALLING + 0.1
        train[epoch] += height
        valid[epoch] += height
        assert not codes(ran(train, valid))

    def test_the_same_rise_counts_with_many_rows_and_not_with_few(self):
        valid = np.r_[FALLING[:8], FALLING[7] + 0.004 * np.arange(12)]
        assert "overfitting" in codes(ran(FALLING, valid, m=100_000))
        assert "overfitting" not in codes(ran(FALLING, valid, m=200))

    def test_the_standard_error_falls_with_the_root_of_the_rows(self):
        curve = Curve(name="y", train=FALLING, rows=400, validation_rows=100)
        assert curve.error(1.0) == pytest.approx(SCATTER / 20)
        assert curve.error(1.0, True) == pytest.approx(SCATTER / 10)
        assert Curve(name="y", train=FALLING).error(1.0) == np.inf


class TestHealthyRuns:
    @pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
    def test_a_loss_of_any_scale(self, scale):
        y = normal(400) * np.sqrt(scale)
        whom = regression(y)
        course = FALLING / FALLING[0] * y.var()
        assert not codes(ran(course, course * 1.05, whom=whom))

    @pytest.mark.parametrize("power", [0.2, 0.5, 1.0])
    def test_a_loss_that_falls_as_a_power(self, power):
        train = 1.09 * (EPOCHS + 1.0) ** -power
        assert not codes(ran(train, train + 0.02))

    def test_a_run_that_goes_on_from_a_trained_network(self):
        whom = ran(np.full(20, 0.03) * (1 + 0.2 * JUMPS), travel={"hidden/kernel": 1e-3})
        assert not codes(whom)

    def test_a_short_run(self):
        assert not codes(ran([1.09, 1.08, 1.07], steps=9, travel={"hidden/kernel": 0.01}))

    def test_a_run_on_its_way_is_not_slow(self):
        whom = ran(1.09 - 0.01 * EPOCHS)
        assert "slow-convergence" in codes(whom)
        on_its_way = replace(whom, course=replace(whom.course, is_over=False))
        assert "slow-convergence" not in codes(on_its_way)
        stopped = replace(whom, course=replace(whom.course, is_stopped=True))
        assert "slow-convergence" not in codes(stopped)

    def test_weights_that_do_not_move_at_all_are_not_the_rates_doing(self):
        whom = ran(np.full(20, 1.0985), travel={"hidden/kernel": 0.0})
        assert codes(whom) == {"loss-not-decreasing"}


class TestCauses:
    def test_a_rate_explains_what_it_does(self):
        (finding,) = diagnose(ran(np.full(20, 1.3), travel={"k": 40.0}), RUN_RULES).findings
        assert finding.code == "learning-rate-too-high"
        assert [symptom.code for symptom in finding.symptoms] == ["loss-not-decreasing"]

    def test_a_batch_that_breaks_good_weights_is_not_blamed_on_the_rate(self):
        assert codes(broke(cause="batch", next_rate=None)) == {"non-finite-loss"}

    def test_the_rate_that_held_is_the_lower_one(self):
        sick = broke(next_rate=1e-4)
        sick = replace(sick, optimizer=replace(sick.optimizer, rate=10.0))
        (finding,) = diagnose(sick, RUN_RULES).findings
        lower = remedy_named("lower-learning-rate")
        assert lower.to_type(sick, finding).startswith("learning_rate=0.0001,")
        assert lower.apply(sick, finding).optimizer.rate == pytest.approx(1e-4)

    def test_a_rate_that_is_far_too_low_is_looked_for(self):
        sick = ran(np.linspace(1.386, 1.38, 20), travel={"k": 0.001})
        (finding,) = diagnose(sick, RUN_RULES).findings
        assert finding.code == "learning-rate-too-low"
        assert finding.remedies[0] == "rate-from-range-test"

    def test_inputs_explain_a_run_that_broke(self):
        """What was found before the run stands above what the run shows."""
        whom = replace(broke(), inputs=patient(x=normal(400, 5) * 500).inputs)
        (finding,) = diagnose(whom).findings
        assert finding.code == "inputs-not-standardized"
        below = {inner.code for inner in finding.everything}
        assert {"learning-rate-too-high", "non-finite-loss"} <= below


class TestWhatCannotBeTold:
    def test_without_a_run(self):
        with pytest.raises(Missing, match="fit judges this"):
            Numbers(patient())["run_course"]

    def test_without_validation(self):
        verdict = next(v for v in diagnose(ran()).verdicts if v.code == "overfitting")
        assert verdict.answer == "cannot tell"
        assert "validation_data" in verdict.reason

    def test_a_linear_model_needs_rows_and_is_not_asked_before_the_end(self):
        whom = replace(straight(), targets=(TargetData(values=normal(20)),))
        assert Numbers(whom)["linear_model"]() is None
        whom = ran(np.full(20, 0.6), whom=straight(), is_over=False)
        assert "underfitting" not in codes(whom)


def test_several_outputs_have_a_curve_each():
    logs = {
        "loss": [3.0, 2.0, 1.5],
        "a_loss": [1.0, 0.9, 0.8],
        "b_loss": [2.0, 1.1, 0.7],
        "val_a_loss": [1.0, np.nan, 0.9],
    }
    heads = (HeadRecord(name="a", loss="mine"), HeadRecord(name="b", loss="mine"))
    whom = replace(patient(), heads=heads, targets=(), course=Course(logs=logs, steps=30))
    first, second = Numbers(whom)["curves"]
    assert (first.name, first.train.tolist()) == ("a", [1.0, 0.9, 0.8])
    assert (first.valid.tolist(), first.valid_epochs.tolist()) == ([1.0, 0.9], [0, 2])
    assert (second.name, second.valid) == ("b", None)


def test_penalties_are_no_part_of_a_curve():
    whom = ran([2.0, 1.5, 1.2], logs={"penalty": [1.0, 0.6, 0.4], "val_penalty": [1.0, 0.6, 0.4]})
    (curve,) = Numbers(whom)["curves"]
    np.testing.assert_allclose(curve.train, [1.0, 0.9, 0.8])


def test_a_linear_model_is_told_by_rows_that_it_has_not_seen():
    """Random classes: half are right by chance, although 300 rows fit 200 columns well."""
    x, y = normal(600, 200), classes(600, 2)
    score = Numbers(patient(x=x, y=y))["linear_model"]()
    assert score.is_accuracy
    assert score.value == pytest.approx(0.5, abs=0.12)
