"""Rules of what was measured, on numbers alone: they need nothing but what their names ask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evenkeel.doctor import OptimizerRecord, RunRecord, diagnose
from evenkeel.doctor.probe import OneBatch, Trial
from evenkeel.doctor.rules.relation import InputsIgnored, LabelsUnrelated
from evenkeel.doctor.rules.signal import ExplodingGradients, VanishingGradients
from evenkeel.doctor.rules.steps import (
    CannotFitOneBatch,
    LearningRateTooHigh,
    LearningRateTooLow,
    LossNotDecreasing,
)
from evenkeel.doctor.rules.units import DeadUnits, SaturatedUnits
from evenkeel.doctor.statistics import Flow, Numbers, Units
from tests.doctor.patients import (
    along,
    backwards,
    classifier,
    off,
    patient,
    ran,
    related,
    trial,
    tried,
)


def severities(rule, **numbers):
    verdict = rule.judge(numbers)
    return [finding.severity for finding in verdict.findings] or verdict.answer


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(0.5, "healthy"), (2e-3, "healthy"), (5e-4, ["note"]), (3e-5, ["warning"]), (0.0, ["fault"])],
)
def test_gradients_are_judged_by_what_he_et_al_saw(factor, expected):
    flow = Flow(factors={"a": factor, "b": 0.9}, rows=100)
    assert severities(VanishingGradients(), gradient_flow=flow, has_learned=False) == expected
    assert severities(VanishingGradients(), gradient_flow=flow, has_learned=True) == "healthy"
    if factor:
        flow = Flow(factors={"a": 1 / factor, "b": 0.9}, rows=100)
        assert severities(ExplodingGradients(), gradient_flow=flow) == expected


def test_a_network_without_depth_is_healthy():
    """A linear model has no hidden layer that anything could get lost in."""
    subject = ran(patient(layers=patient().layers[1:]))
    verdicts = {verdict.code: verdict.answer for verdict in diagnose(subject).verdicts}
    for code in ("vanishing-gradients", "exploding-activations", "dead-units", "saturated-units"):
        assert verdicts[code] == "healthy"


def test_new_weights_are_offered_where_they_would_help():
    def remedies(reference):
        flow = Flow(factors={"a": 1e-6}, reference={"a": reference}, rows=100)
        verdict = VanishingGradients().judge({"gradient_flow": flow, "has_learned": False})
        return verdict.findings[0].remedies

    assert remedies(0.7)[0] == "re-initialize"
    assert remedies(1e-6)[0] == "change-activation"


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_factors_do_not_depend_on_the_size_of_the_loss(scale):
    changes = backwards(6, "gradient_norm", 0.3)
    subject = ran(classifier(count=6), changes)
    layers = tuple(
        replace(layer, gradient_norm=layer.gradient_norm * scale) for layer in subject.signal.layers
    )
    scaled = replace(subject, signal=replace(subject.signal, layers=layers))
    before, after = (Numbers(p)["gradient_flow"].factors for p in (subject, scaled))
    assert after == pytest.approx(before)


@pytest.mark.parametrize(
    ("units", "dead", "expected"),
    [
        (100, 0, "healthy"),
        (100, 60, "healthy"),  # half by the toss of a coin, and what chance adds to it
        (100, 70, ["warning"]),
        (100, 95, ["fault"]),
        (10, 9, "healthy"),
        (10, 10, ["fault"]),
        (1, 1, ["fault"]),
    ],
)
def test_dead_units_are_counted_beyond_chance(units, dead, expected):
    seen = Units(layer="a", activation="relu", silent=np.arange(units) < dead, rows=1000)
    assert severities(DeadUnits(), units=(seen,)) == expected


@pytest.mark.parametrize(
    ("activation", "flat", "expected"),
    [
        ("tanh", 0, "healthy"),
        ("tanh", 25, "healthy"),
        ("tanh", 50, ["warning"]),
        ("sigmoid", 95, ["fault"]),
        ("relu", 100, "healthy"),  # those are dead, which is another finding
    ],
)
def test_saturated_units_are_those_that_are_flat_in_nearly_every_row(activation, flat, expected):
    seen = Units(
        layer="a",
        activation=activation,
        silent=np.zeros(100, bool),
        slope=np.where(np.arange(100) < flat, 0.01, 0.4),
        rows=1000,
    )
    assert severities(SaturatedUnits(), units=(seen,)) == expected


SGD = OptimizerRecord(kind="SGD", rate=1.0)


def high(ours, theirs, slowest=1.0, **more):
    declared = trial(1.0, 2.3, ours) if np.isfinite(ours) else Trial(
        rate=1.0, losses=np.array([2.3]), held_out=np.inf
    )  # fmt: skip
    probe = tried(
        declared=declared, others=(trial(0.1, 2.3, slowest), trial(0.3, 2.3, theirs)),
        constant_loss=2.3, **{"held_out_rows": 2000, **more},
    ).probe  # fmt: skip
    numbers = {"probe": probe, "optimizer": SGD, "learnable": 2.3, "has_learned": False}
    return severities(LearningRateTooHigh(), **numbers)


def test_a_rate_is_too_high_by_what_it_costs():
    assert high(0.60, 0.58) == "healthy"
    assert high(0.80, 0.57) == ["warning"]
    assert high(0.80, 0.57, held_out_rows=100) == "healthy"  # by chance, on so few rows
    assert high(2.3, 0.57) == ["fault"]
    assert high(np.inf, 0.57) == ["fault"]
    assert high(2.32, 2.29, 2.3) == "healthy"  # nothing is learned anywhere: not the rate's doing


def test_a_rate_is_too_low_by_the_way_that_the_run_goes():
    probe = tried(
        start=2.3, declared=trial(1e-4, 2.3, 2.0),
        others=(trial(1e-5, 2.3, 2.3), trial(0.1, 2.3, 0.5)),
    ).probe  # fmt: skip

    def answer(steps, taken=0):
        return severities(
            LearningRateTooLow(), probe=probe, optimizer=SGD, search=probe.search,
            run=RunRecord(steps_taken=taken), steps=steps,
        )  # fmt: skip

    assert answer(None) == ["warning"]  # a thousand times
    assert answer(1000) == ["warning"]
    assert answer(30_000) == "healthy"
    assert answer(1000, taken=500) == "healthy"  # fine-tuning


def test_a_loss_falls_by_more_than_its_noise():
    heads = patient().heads

    def answer(*losses):
        curve = Trial(rate=0.1, losses=np.array(losses), held_out=1.0)
        return severities(LossNotDecreasing(), declared_trial=curve, heads=heads, has_learned=False)

    assert answer(*np.linspace(2.3, 1.0, 30)) == "healthy"
    assert answer(*np.full(30, 2.3)) == ["fault"]
    wobbly = 2.3 + 0.2 * np.cos(np.pi * np.arange(30))
    assert answer(*(wobbly - np.linspace(0, 0.1, 30))) == ["fault"]
    assert answer(*(wobbly - np.linspace(0, 1.5, 30))) == "healthy"


def test_a_few_rows_that_nobody_tells_apart_are_no_evidence():
    stuck = OneBatch(rows=8, losses=np.full(30, 1.1), constant_loss=1.1, linear_loss=1.0)
    verdict = CannotFitOneBatch().judge({"one_batch": stuck, "heads": patient().heads})
    assert verdict.answer == "cannot tell"


def test_too_few_rows_tell_nothing_of_a_relation():
    assert LabelsUnrelated().judge({"relations": (related(1.0, 1.0, rows=40),)}).answer == (
        "cannot tell"
    )
    assert severities(LabelsUnrelated(), relations=(related(1.0, 1.0, rows=400),)) == ["warning"]


@pytest.mark.parametrize(("columns", "strength", "answer"), [
    (1, 2.5, ["warning"]), (1, 3.2, "healthy"), (10, 3.2, ["warning"]), (10, 3.6, "healthy"),
])  # fmt: skip
def test_the_strongest_of_many_columns_is_allowed_more(columns, strength, answer):
    """Of noise the strongest of n normal numbers is above the quantile 1 - 0.01/n once in 100."""
    relation = replace(related(strength, strength), columns=columns)
    assert severities(LabelsUnrelated(), relations=(relation,)) == answer


def test_blind_training_says_nothing_where_there_is_nothing_to_see():
    probe = tried(relations=(related(0.0, 1.0),), blind=trial(0.003, 1.1, 0.35)).probe
    numbers = {"probe": probe, "relations": probe.relations, "learnable": 1.1}
    assert severities(InputsIgnored(), **numbers) == "healthy"


def test_a_measured_factor_takes_the_place_of_the_computed_one():
    """Forty ReLU layers under Glorot, which theory condemns: what is measured decides."""
    subject = classifier(count=40, gain=1.0)
    assert "init-activation-mismatch" in diagnose(subject).codes
    assert "init-activation-mismatch" not in diagnose(ran(subject)).codes
    measured = ran(subject, along(40, "gradient_size", 3.0))
    (found,) = [f for f in diagnose(measured).findings if f.code == "init-activation-mismatch"]
    assert found.evidence[0].value == pytest.approx(3.0**-39)
    assert "as measured" in found.sentence


def test_what_was_measured_does_not_outlive_a_treatment():
    sick = ran(classifier(width=100), off(100, 90))
    (found,) = diagnose(sick).findings
    from evenkeel.doctor.remedies import REMEDIES

    treated = REMEDIES["change-activation"].apply(sick, found)
    assert treated.signal is None
    assert treated.layer("hidden_0").activation == "elu"
