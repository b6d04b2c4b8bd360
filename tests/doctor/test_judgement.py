"""Numbers, rules and causes by themselves: on numbers written by hand, without any network."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from evenkeel import activations, initializers
from evenkeel.doctor import Finding, InputData, Number, Patient, TargetData, diagnose, moments
from evenkeel.doctor.causes import EXPLAINS, by_cause
from evenkeel.doctor.ordering import unseen_if_ordered
from evenkeel.doctor.outputs import RANGES, misfit
from evenkeel.doctor.remedies import REMEDIES
from evenkeel.doctor.rules.initialization import InitActivationMismatch
from evenkeel.doctor.rules.inputs import InputsNotStandardized
from evenkeel.doctor.rules.samples import TrainValidationShift
from evenkeel.doctor.rules.targets import ClassImbalance, TargetsNotScaled
from evenkeel.doctor.statistics import (
    STATISTICS,
    Depth,
    Missing,
    Numbers,
    sample_of,
)
from tests.doctor.patients import adam, chain, classifier, dense, normal, other, patient, regression

scales = some.floats(1e-4, 1e4)
seeds = some.integers(0, 10_000)
quickly = settings(max_examples=25, deadline=None)


# -- scale-free ----------------------------------------------------------------------------------


@quickly
@given(scale=scales, seed=seeds)
def test_a_scale_that_the_network_takes_out_again_changes_no_verdict(scale, seed):
    """x·s behind Rescaling(1/s) is judged as x is."""
    x = np.random.Generator(np.random.Philox(seed)).normal(size=(300, 5)) * [1, 2, 5, 0.5, 1]
    y = np.arange(300) * 7 % 3
    layers = chain(other("Rescaling", "scale", scale=1 / scale), dense("out", 5, 3, "softmax"))
    plain = chain(dense("out", 5, 3, "softmax"))
    scaled = diagnose(patient(x=x * scale, y=y, layers=layers))
    assert scaled.codes == diagnose(patient(x=x, y=y, layers=plain)).codes


@quickly
@given(scale=scales, offset=some.floats(-5, 5), shift=some.floats(0, 2), seed=seeds)
def test_a_shift_is_told_in_standard_deviations(scale, offset, shift, seed):
    """Training and validation rows scaled and moved alike: the same answer."""
    draw = np.random.Generator(np.random.Philox(seed))
    x, held = draw.normal(size=(400, 3)), draw.normal(size=(200, 3)) + shift
    rule = TrainValidationShift()

    def answer(factor):
        moved = patient(
            x=(x + offset) * factor,
            x_valid=(held + offset) * factor,
            y=np.arange(400) % 3,
            y_valid=np.arange(200) % 3,
        )
        return rule.judge(Numbers(moved)).answer

    assert answer(scale) == answer(1.0)


@quickly
@given(gains=some.lists(some.floats(0.5, 2.0), min_size=2, max_size=12))
def test_relu_factors_multiply(gains):
    """ReLU halves the mean square whatever its input's size: factors are gain²/2 a layer."""
    names = [f"d{n}" for n in range(len(gains))]
    hidden = [dense(name, 50, 50, "relu", gain) for name, gain in zip(names, gains, strict=True)]
    sick = patient(x=normal(400, 50), layers=chain(*hidden, dense("out", 50, 3, "softmax")))
    (depth,) = Numbers(sick)["depths"]
    expected = np.sqrt(np.prod([gain**2 / 2 for gain in gains[1:]]))
    assert depth.backward == pytest.approx(expected, rel=1e-2)
    assert depth.forward == pytest.approx(expected, rel=1e-2)


@quickly
@given(copies=some.integers(1, 5), names=some.permutations([0, 1, 2]))
def test_imbalance_is_of_shares_and_not_of_names(copies, names):
    labels = np.repeat([0, 1, 2], [900, 800, 20])
    renamed = np.array(names)[np.tile(labels, copies)]
    sick = patient(x=normal(len(renamed), 2), y=renamed)
    (finding,) = ClassImbalance().judge(Numbers(sick)).findings
    assert finding.evidence[0].value == pytest.approx(45)


@quickly
@given(seed=seeds)
def test_the_order_of_rows_matters_to_no_other_rule(seed):
    order = np.random.Generator(np.random.Philox(seed)).permutation(400)
    x, y = normal(400, 5) * 40, np.arange(400) * 11 % 3
    assert diagnose(patient(x=x[order], y=y[order])).codes == diagnose(patient(x=x, y=y)).codes


def test_mild_faults_are_graded_by_what_they_do():
    """Inputs three times too large pass under ReLU, and not where units saturate."""
    x = normal(400, 5) * 4
    assert diagnose(patient(x=x)).codes == set()
    tanh = chain(dense("hidden", 5, 20, "tanh"), dense("out", 20, 3, "softmax"))
    assert diagnose(patient(x=x, layers=tanh)).codes == {"inputs-not-standardized"}


# -- what is computed is what is so --------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(moments.CURVES)))
def test_curves_are_those_of_the_activations(name):
    """The doctor's curves, which need no JAX, against the activations that train."""
    x = np.linspace(-6, 6, 101)
    expected = activations.get(name)(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(moments.CURVES[name](x), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", sorted(RANGES))
def test_ranges_are_those_of_the_activations(name):
    x = jnp.linspace(-30.0, 30.0, 301)[:, None] * jnp.asarray([[1.0, -1.0]])
    values = np.asarray(activations.get(name)(x))
    low, high = RANGES[name]
    assert values.min() >= low
    assert values.max() <= high
    if np.isfinite(low):
        assert values.min() == pytest.approx(low, abs=0.05)


@pytest.mark.parametrize("name", ["glorot_uniform", "he_normal", "lecun_normal"])
def test_rules_of_initializers_are_those_that_draw(name):
    """A statistical bound: an rms of 120,000 numbers scatters by 0.2 %."""
    drawn = initializers.get(name)((400, 300))
    assert moments.rms_of(name, (400, 300)) == pytest.approx(np.sqrt((drawn**2).mean()), rel=0.01)
    drawn = initializers.get(name)((3, 3, 40, 60))
    assert moments.rms_of(name, (3, 3, 40, 60)) == pytest.approx(
        np.sqrt((drawn**2).mean()), rel=0.02
    )


@pytest.mark.parametrize("activation", ["relu", "tanh", "selu", "silu", "sigmoid"])
def test_predicted_factors_are_measured_ones(activation):
    """Ten layers of 400, their signals and gradients measured by NumPy on random weights."""
    draw = np.random.Generator(np.random.Philox(1))
    kernels = [draw.normal(size=(400, 400)) / 20 for _ in range(10)]
    curve = moments.CURVES[activation]
    sums = [draw.normal(size=(200, 400)) @ kernels[0]]
    for kernel in kernels[1:]:
        sums.append(curve(sums[-1]) @ kernel)
    gradient = draw.normal(size=(200, 400))
    size = np.sqrt((gradient**2).mean())
    for z, kernel in zip(sums[-2::-1], kernels[:0:-1], strict=True):
        slope = (curve(z + 1e-4) - curve(z - 1e-4)) / 2e-4
        gradient = (gradient @ kernel.T) * slope
    layers = chain(
        *[dense(f"d{n}", 400, 400, activation) for n in range(10)], dense("out", 400, 3, "softmax")
    )
    (depth,) = Numbers(Patient(layers=layers))["depths"]
    measured = np.sqrt((sums[-1] ** 2).mean() / (sums[0] ** 2).mean())
    assert depth.forward == pytest.approx(measured, rel=0.15)
    assert depth.backward == pytest.approx(np.sqrt((gradient**2).mean()) / size, rel=0.25)


@pytest.mark.parametrize(
    ("factor", "answer", "severity"),
    [
        (1.0, "healthy", None),
        (2e-3, "healthy", None),
        (5e-4, "found", "note"),  # He et al. 2015: 22 layers converge, but later
        (3e-5, "found", "warning"),  # and 30 do not
        (1e-12, "found", "fault"),
        (1e6, "found", "warning"),
    ],
)
def test_depth_is_judged_by_what_he_et_al_saw(factor, answer, severity):
    layers = (dense("a", 5, 5, "relu"), dense("b", 5, 5, "relu"))
    depth = Depth(layers=layers, forward=1.0, backward=factor)
    numbers = {"depths": (depth,), "run": patient().run}
    verdict = InitActivationMismatch().judge(numbers)
    assert verdict.answer == answer
    assert [finding.severity for finding in verdict.findings] == [severity] * (severity is not None)


def test_the_sigmoid_remedy_is_not_another_draw():
    """No rule of starting weights keeps gradients up through twenty sigmoid layers."""
    (sigmoid,) = diagnose(classifier(count=20, gain=1.0, activation="sigmoid")).findings
    (relu,) = diagnose(classifier(count=40, gain=1.0)).findings
    assert sigmoid.remedies[0] == "change-activation"
    assert relu.remedies[0] == "re-initialize"


# -- numbers by name -----------------------------------------------------------------------------


def test_a_number_is_computed_once_and_only_if_asked(monkeypatch):
    calls = []
    monkeypatch.setitem(STATISTICS, "rows_seen", lambda inputs: calls.append(1) or len(inputs))
    numbers = Numbers(patient())
    assert not calls
    assert numbers["rows_seen"] == numbers["rows_seen"] == 1
    assert len(calls) == 1


def test_what_is_missing_says_why():
    numbers = Numbers(Patient(missing={"layers": "Nobody knows."}))
    with pytest.raises(Missing, match="Nobody knows"):
        numbers["arriving"] if numbers._patient.inputs else numbers["layers"]
    verdict = InputsNotStandardized().judge(
        Numbers(replace(patient(), layers=None, missing={"layers": "Nobody knows."}))
    )
    assert (verdict.answer, verdict.reason) == ("cannot tell", "Nobody knows.")


def test_large_data_is_read_by_a_sample_that_is_stated():
    x = np.zeros((50_000, 784), np.uint8)
    assert len(sample_of(x)) < 5000
    found = Numbers(Patient(inputs=(InputData(name="x", values=x),)))["input_moments"][0]
    assert found.rows == len(sample_of(x))


def test_a_constant_of_the_sample_alone_is_no_constant():
    x = np.ones((20_000, 200))
    x[:, 1:] = normal(20_000, 199)
    hidden_row = next(
        row for row in range(20_000) if row not in set(np.flatnonzero(sample_rows(20_000, 200)))
    )
    sick = patient(x=x, y=np.arange(20_000) % 3)
    assert "constant-feature" in diagnose(sick).codes
    x[hidden_row, 0] = 2.0
    assert "constant-feature" not in diagnose(patient(x=x, y=np.arange(20_000) % 3)).codes


def sample_rows(rows, width):
    """Which rows the sample has, as a mask."""
    mask = np.zeros(rows, bool)
    mask[sample_of(np.arange(rows)[:, None].repeat(width, 1))[:, 0].astype(int)] = True
    return mask


def test_one_bad_row_among_many_is_found():
    x = np.zeros((30_000, 100), np.float32)
    x[29_999, 7] = np.inf
    (finding,) = [
        f for f in diagnose(patient(x=x, y=np.arange(30_000) % 3)).all_findings
        if f.code == "inputs-not-finite"
    ]  # fmt: skip
    assert "column 7" in finding.sentence
    assert "row 29999" in finding.sentence


def test_order_by_class():
    assert unseen_if_ordered(np.array([0, 0, 1, 2]), 3) == [2]
    assert unseen_if_ordered(np.array([0, 0, 1, 1]), 3) == []
    assert unseen_if_ordered(np.array([1, 0, 0, 1]), 2) is None
    assert unseen_if_ordered(np.arange(500.0), 400) is None  # numbers, not classes


# -- causes --------------------------------------------------------------------------------------


def finding(code, severity="warning", explains=(), **more):
    return Finding(code=code, severity=severity, sentence="", explains=explains, **more)


def test_a_symptom_stands_beneath_its_cause_and_several_causes_hold():
    found = by_cause(
        [
            finding("dead-units", "fault"),
            finding("inputs-not-standardized", explains=("dead-units",)),
            finding("targets-not-scaled", "fault"),
        ]
    )
    assert [f.code for f in found] == ["targets-not-scaled", "inputs-not-standardized"]
    assert [f.code for f in found[1].symptoms] == ["dead-units"]


@pytest.mark.parametrize("code", ["dropout-too-high", "dropout-misplaced"])
def test_the_noise_of_dropout_is_the_cause_where_lower_rates_look_better(code):
    cause = finding(code, "warning", explains=EXPLAINS[code])
    found = by_cause([finding("learning-rate-too-high", "fault"), cause])
    assert [f.code for f in found] == [code]
    assert [f.code for f in found[0].symptoms] == ["learning-rate-too-high"]


def test_causes_of_one_another_do_not_hide_each_other():
    a = finding("init-scale", explains=("constant-init",))
    b = finding("constant-init", explains=("init-scale",))
    found = by_cause([a, b])
    assert len(found) == 1
    assert len(found[0].everything) == 2


def test_a_cause_at_one_output_explains_nothing_at_another():
    cause = finding("loss-mismatch", explains=("targets-out-of-range",), place=("a",))
    same = finding("targets-out-of-range", place=("a", "dense"))
    elsewhere = finding("targets-out-of-range", place=("b",))
    found = by_cause([cause, same, elsewhere])
    assert [f.code for f in found] == ["targets-out-of-range", "loss-mismatch"]
    assert found[0].place == ("b",)


def test_pixels_explain_what_selu_lacks():
    """The scale is named once: a SELU network on pixels has one cause for both findings."""
    layers = chain(dense("hidden", 100, 20, "selu"), dense("out", 20, 3, "softmax"))
    x = np.random.Generator(np.random.Philox(2)).integers(0, 256, (400, 100))
    codes = diagnose(patient(x=x, layers=layers)).codes
    assert codes == {"inputs-not-standardized", "selu-conditions"}


# -- remedies as functions -----------------------------------------------------------------------


def test_a_remedy_changes_a_copy():
    sick = regression(normal(400) * 1e6)
    (found,) = diagnose(sick).findings
    treated = REMEDIES[found.remedies[0]].apply(sick, found)
    assert diagnose(treated).codes == set()
    assert diagnose(sick).codes == {"targets-not-scaled"}


def test_scaled_targets_have_mean_0_and_deviation_1_by_training_rows():
    sick = regression(normal(400) * 50 + 1000)
    sick = replace(
        sick,
        inputs=(replace(sick.inputs[0], validation=normal(200, 5)),),
        targets=(TargetData(values=sick.targets[0].values, validation=np.full(200, 1000.0)),),
    )
    found = next(f for f in diagnose(sick).all_findings if f.code == "targets-not-scaled")
    treated = REMEDIES["scale-targets"].apply(sick, found).targets[0]
    assert treated.values.std() == pytest.approx(1)
    assert abs(treated.validation.mean()) < 0.1


def test_a_fixed_last_layer_scales_targets():
    """`evenkeel train` ends a regression with a frozen layer that puts the unit back."""
    layers = chain(
        dense("hidden", 5, 20, "relu", 1.414),
        dense("out", 20, 1),
        replace(dense("raw_units", 1, 1, gain=1e5), is_trainable=False),
    )
    assert not diagnose(regression(normal(400) * 1e5, layers=layers)).codes


def test_usual_settings_keep_what_was_well():
    sick = patient(optimizer=adam(0.01, epsilon=1.0, amsgrad=True))
    (found,) = diagnose(sick).findings
    treated = REMEDIES["usual-optimizer-settings"].apply(sick, found)
    assert treated.optimizer.settings["amsgrad"] is True
    assert treated.optimizer.settings["epsilon"] == 1e-7


def test_targets_rule_grades_by_size():
    def severity(size):
        found = TargetsNotScaled().judge(Numbers(regression(normal(400) * size))).findings
        return [f.severity for f in found]

    assert [severity(size) for size in (1, 30, 1e5)] == [[], ["warning"], ["fault"]]


# -- the rest ------------------------------------------------------------------------------------


def test_numbers_print_with_their_units():
    assert str(Number("rate", 0.5, "of units")) == "rate 0.5 of units"
    assert str(Number("rows", 60_000, "rows")) == "rows 60,000"
    assert json.dumps(Number("noise", float("inf")).to_dict())


@pytest.mark.parametrize("kind", ["binary", "one-hot", "classes"])
def test_what_is_advised_suits(kind):
    """Following the advice about an output leaves nothing to advise."""
    for activation in ("linear", "relu", "softmax", "sigmoid", "tanh"):
        for units in (1, 4):
            wrong = misfit(kind, activation, units, from_logits=False)
            if wrong is not None:
                new = {
                    "binary_crossentropy": "binary",
                    "categorical_crossentropy": "one-hot",
                    "sparse_categorical_crossentropy": "classes",
                }[wrong.loss]
                again = misfit(new, wrong.activation, units, from_logits=wrong.from_logits)
                assert again is None or units == 1


def test_judgement_needs_no_jax():
    code = (
        "import sys; import evenkeel.doctor as d; from evenkeel.report import diagnosis; "
        "d.diagnose(d.Patient()); assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
