"""repair: what is sick gets better on held-out rows, and nothing else changes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

import evenkeel as ek
from evenkeel import layers as L  # noqa: N812  # short, since most lines name layers
from evenkeel.doctor import Finding, Remedy, diagnose
from evenkeel.doctor.patient import RunRecord
from evenkeel.doctor.remedies import REMEDIES
from evenkeel.errors import InvalidArgumentError, InvalidDataError, NotCompiledError
from evenkeel.randomness import seeds_given_out
from evenkeel.treatment.repairing import _parted
from evenkeel.treatment.subject import Subject
from evenkeel.treatment.training import rate_before_breaks

SPARSE = "sparse_categorical_crossentropy"


def drawn():
    return np.random.Generator(np.random.Philox(11))


def prices(rows=300):
    random = drawn()
    x = random.normal(size=(rows, 4))
    return x, 250_000 + 80_000 * x[:, 0] - 30_000 * x[:, 1]


def pixels(rows=400):
    random = drawn()
    x = random.integers(0, 256, (rows, 36))
    return x, ((x - 127.5) @ random.normal(size=36) > 0).astype(int)


def digits(rows=600):
    (x, y), held_out = ek.datasets.digits.load_data()
    return x[:rows], y[:rows], held_out


def compiled(*parts, loss=SPARSE, optimizer="adam", **more):
    model = ek.Sequential(list(parts))
    model.compile(optimizer, loss=loss, **more)
    return model


def linear():
    return compiled(L.Dense(1), loss="mse", metrics=["mae"], optimizer=ek.optimizers.Adam(0.01))


@cache
def of_prices():
    model = linear()
    x, y = prices()
    return model, ek.repair(model, x, y, budget=3600)


@cache
def of_pixels():
    hidden = L.Dense(8, activation="selu", kernel_initializer="lecun_normal")
    model = compiled(hidden, L.Dense(2, activation="softmax"), metrics=["accuracy"])
    x, y = pixels()
    return model, ek.repair(model, x, y, budget=4000)


def finding(*remedies, code="slow-convergence", place=("y",)):
    return Finding(code=code, severity="warning", sentence="Found.", place=place, remedies=remedies)


# -- what is sick ----------------------------------------------------------------------------------


def test_targets_in_hundreds_of_thousands_are_scaled_and_answered_raw():
    model, treatment = of_prices()
    assert [a.remedies for a in treatment.accepted] == [("scale-targets",)]
    assert treatment.before.metric == "rmse"
    assert treatment.before.mean > 200_000
    assert treatment.after.mean < treatment.before.mean / 2
    x, y = prices()
    assert abs(treatment.model.predict(x).mean() - y.mean()) < 50_000
    assert treatment.model.evaluate(x, y, return_dict=True)["mae"] > 100  # in the units of y
    assert not model.built


def test_raw_pixels_are_standardized_inside_the_network():
    _, treatment = of_pixels()
    assert [a.remedies for a in treatment.accepted] == [("standardize-inputs",)]
    assert treatment.after.mean > treatment.before.mean
    x, y = pixels()
    assert treatment.model.evaluate(x, y, return_dict=True)["accuracy"] > 0.85
    assert {found.code for found in treatment.left} == {"too-little-data"}  # 80 to judge by


def test_a_deep_sigmoid_stack_learns():
    x, y, held_out = digits()
    hidden = [L.Dense(12, activation="sigmoid") for _ in range(8)]
    model = compiled(L.Rescaling(1 / 16), *hidden, L.Dense(10, activation="softmax"))
    treatment = ek.repair(model, x, y, held_out, budget=4800)
    assert treatment.is_repaired
    assert treatment.before.mean < 0.3
    assert treatment.after.mean > 0.5
    assert treatment.held_out_rows == len(held_out[1])


@pytest.mark.slow
def test_faults_that_each_stop_learning_are_treated_together():
    x, y, _ = digits(300)
    model = compiled(
        L.Dense(12, activation="relu", kernel_initializer="zeros"),
        L.Dense(1, activation="softmax"),
        loss="binary_crossentropy",
    )
    treatment = ek.repair(model, x / 16, (y > 4).astype(int), budget=2400)
    (accepted,) = treatment.accepted
    assert len(accepted.remedies) == 2
    alone = [a for a in treatment.rejected if a.verdict == "rejected"]
    assert {a.remedies[0] for a in alone} >= set(accepted.remedies)


def test_what_cannot_be_trained_at_all_counts_as_trivial():
    x, y, held_out = digits(200)
    x = x / 16
    x[7, 3] = np.nan
    held_out = (held_out[0] / 16, held_out[1])
    model = compiled(L.Dense(10, activation="softmax"))
    treatment = ek.repair(model, x, y, held_out, budget=1500)
    assert np.isnan(treatment.before.mean)
    assert treatment.before.relative_losses == pytest.approx((1, 1, 1))
    assert [a.remedies for a in treatment.accepted] == [("drop-rows-not-finite",)]


def test_a_rate_is_found_on_the_treated_network():
    x, y, held_out = digits()
    model = compiled(
        L.Rescaling(1 / 16), L.Dense(10, activation="softmax"), optimizer=ek.optimizers.SGD(1e-5)
    )
    slow = finding(code="learning-rate-too-low", place=("SGD",))
    treatment = ek.repair(model, x, y, held_out, findings=[slow], budget=4000)
    (accepted,) = treatment.accepted
    assert accepted.remedies == ("rate-from-range-test",)
    assert treatment.model.optimizer.learning_rate > 0.01
    assert "found: " in accepted.types
    assert sum(a.steps for a in treatment.attempts) < treatment.steps <= 4000


# -- what is not sick, and what does not help ------------------------------------------------------


@pytest.fixture
def healthy():
    x, y, held_out = digits()
    hidden = L.Dense(16, activation="relu", kernel_initializer="he_normal")
    return compiled(L.Rescaling(1 / 16), hidden, L.Dense(10, activation="softmax")), x, y, held_out


def slower(patient, _):
    return replace(patient, optimizer=replace(patient.optimizer, rate=1e-9))


def much_the_same(patient, _):
    return replace(patient, optimizer=replace(patient.optimizer, rate=0.00101))


def nothing(patient, _):
    return replace(patient)


def test_a_healthy_network_is_left_alone(healthy):
    treatment = ek.repair(*healthy, budget=3000)
    assert not treatment.attempts
    assert not treatment.is_repaired
    assert treatment.before == treatment.after
    assert treatment.before.mean > 0.5
    assert "nothing was found" in str(treatment)


def test_what_does_not_help_is_rejected_with_the_reason(healthy, monkeypatch):
    for name, change in (("numb", slower), ("same", much_the_same), ("none", nothing)):
        remedy = Remedy(
            name=name, does="do it", safety="none", change=change, wording=lambda *_: "do()"
        )
        monkeypatch.setitem(REMEDIES, name, remedy)
    found = [finding("numb", "same", "none", "gather-data", code="underfitting")]
    treatment = ek.repair(*healthy, findings=found, budget=2400)
    reasons = {a.remedies[0]: (a.verdict, a.reason, len(a.seeds)) for a in treatment.attempts}
    assert not treatment.is_repaired
    assert reasons["numb"][0] == "rejected"
    assert reasons["numb"][2] == 1  # it is given up after a seed
    assert reasons["same"][0] == "rejected"
    assert reasons["none"] == ("not tried", "It changes nothing here.", 0)
    assert reasons["gather-data"][0] == "not tried"
    assert treatment.after == treatment.before
    assert treatment.left == tuple(found)


# -- budget, seeds, what stays ---------------------------------------------------------------------


def test_the_whole_treatment_stays_within_its_steps():
    for (_, treatment), budget in ((of_prices(), 3600), (of_pixels(), 4000)):
        runs = [a for a in treatment.attempts if a.steps]
        assert treatment.steps <= treatment.budget == budget
        of_a_run = treatment.epochs * -(-treatment.rows // 32)
        assert treatment.steps == 3 * of_a_run + sum(a.steps for a in runs)


def test_little_budget_uses_a_part_of_the_rows():
    x, y = prices()
    treatment = ek.repair(linear(), x, y, budget=24)
    assert (treatment.rows, treatment.epochs) == (64, 1)
    assert treatment.steps <= 24


def test_a_budget_that_does_not_do_is_refused():
    x, y = prices()
    with pytest.raises(InvalidArgumentError, match="budget=480 at least"):
        ek.repair(linear(), x, y, budget=400, epochs=10)
    with pytest.raises(InvalidArgumentError, match="do not do"):
        ek.repair(linear(), x, y, budget=4)


def test_seconds_end_a_treatment():
    x, y = prices()
    with pytest.raises(InvalidArgumentError, match="more seconds"):
        ek.repair(linear(), x, y, seconds=1e-6)


def test_the_same_seed_gives_the_same_treatment_and_disturbs_nothing():
    x, y = prices()
    before = seeds_given_out(), np.random.get_state()[1].tolist()  # noqa: NPY002  # the global one
    results = [ek.repair(linear(), x, y, budget=300, seed=seed) for seed in (4, 4, 5)]
    assert (seeds_given_out(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    first, again, other = (treatment.to_dict() for treatment in results)
    assert first == again
    assert first["seeds"] == [4, 5, 6]
    assert first["before"]["values"] != other["before"]["values"]
    for one, two in zip(
        results[0].model.get_weights(), results[1].model.get_weights(), strict=True
    ):
        assert np.array_equal(one, two)


def test_a_trained_model_keeps_weights_and_momenta():
    x, y = prices()
    model = linear()
    model.fit(x, y, verbose=0)
    weights, steps = model.get_weights(), model.optimizer.iterations
    ek.repair(model, x, y, budget=60)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert model.optimizer.iterations == steps
    assert model.history.epoch == [0]


def test_held_out_rows_are_drawn_from_each_class():
    """Ten rows of a hundred are of the second class, and so are two of the twenty held out."""
    x, y = drawn().normal(size=(100, 3)), np.arange(100) % 10 == 0
    model = compiled(L.Dense(2, activation="softmax"))
    parts = _parted(model, x, y.astype(int), None, 0.2, 0)
    assert [part.sum() for part in (parts[1], parts[2][1])] == [8, 2]
    assert [len(part) for part in (parts[0], parts[2][0])] == [80, 20]


# -- what it leaves --------------------------------------------------------------------------------


@pytest.mark.parametrize(("result", "data"), [(of_prices, prices), (of_pixels, pixels)])
def test_the_code_gives_a_model_as_good_as_the_repaired_one(result, data):
    """It trains on all rows and draws other numbers, so that scores agree only roughly."""
    _, treatment = result()
    x, y = data()
    names = {"x": x, "y": y}
    exec(treatment.code, names)
    typed = names["model"].evaluate(x, y, return_dict=True)
    given = treatment.model.evaluate(x, y, return_dict=True)
    assert set(typed) == set(given)
    for scores in (typed, given):
        assert scores.get("mae", 0) < 0.2 * y.std()
        assert scores.get("accuracy", 1) > 0.85


def test_text_page_and_data_say_the_same(tmp_path):
    _, treatment = of_prices()
    said = json.loads(json.dumps(treatment.to_dict(), allow_nan=False))
    assert said["is_repaired"]
    assert said["attempts"][0]["verdict"] == "accepted"
    page = treatment.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    for text in (page, str(treatment)):
        assert "scale-targets" in text
        assert "rmse" in text
    assert "ek.layers.Normalization(mean=y_mean" in page
    assert "repaired" in repr(treatment)
    assert "<style>" in treatment._repr_html_()
    assert len(str(treatment).splitlines()) < 30


# -- misuse ----------------------------------------------------------------------------------------


def test_what_cannot_be_repaired_is_refused_with_what_to_type():
    x, y = prices()
    with pytest.raises(NotCompiledError, match=r"model\.compile"):
        ek.repair(ek.Sequential([L.Dense(1)]), x, y)
    with pytest.raises(InvalidArgumentError, match="expected targets"):
        ek.repair(linear(), x, None)
    with pytest.raises(InvalidArgumentError, match="Did you mean 'static'"):
        ek.repair(linear(), x, y, depth="statics")
    with pytest.raises(InvalidArgumentError, match="at least 3"):
        ek.repair(linear(), x, y, seeds=2)
    with pytest.raises(InvalidArgumentError, match="or findings"):
        ek.repair(linear(), x, y, findings=["targets-not-scaled"])
    with pytest.raises(InvalidDataError, match="no held-out row is finite"):
        ek.repair(linear(), x, y, (np.full((3, 4), np.nan), np.zeros(3)))


# -- what was trained before -----------------------------------------------------------------------


def test_a_trained_network_is_judged_as_the_fresh_one_that_takes_its_place():
    hidden = [L.Dense(4, activation="sigmoid") for _ in range(16)]
    model = compiled(*hidden, L.Dense(2, activation="softmax"))
    random = drawn()
    x, y = random.normal(size=(64, 3)), random.integers(0, 2, 64)
    model.fit(x, y, epochs=1, verbose=0, doctor=None)
    subject = Subject.of(model, x, y, (x, y), RunRecord())
    assert "init-activation-mismatch" in diagnose(subject.patient).codes


@pytest.mark.filterwarnings("ignore::evenkeel.errors.EvenkeelWarning")  # it breaks, as it must
def test_a_rate_that_breaks_lowered_is_again_the_one_that_was_asked_for():
    hidden = [L.Dense(8, activation="relu") for _ in range(2)]
    model = compiled(*hidden, L.Dense(1), loss="mse", optimizer=ek.optimizers.SGD(1.0))
    x, y = prices(640)
    model.fit(x, y, batch_size=4, epochs=1, verbose=0, doctor=None)
    assert model.optimizer.learning_rate < 1.0
    found = finding("standardize-inputs", code="inputs-not-standardized", place=("x",))
    treatment = ek.repair(model, x * 9, y, findings=[found], budget=4000, batch_size=4, epochs=1)
    assert treatment.model.optimizer.learning_rate == 1.0
    assert "learning_rate=1.0)" in treatment.code
    assert [attempt.verdict for attempt in treatment.attempts] == ["rejected"]
    sick = Subject.of(model, x, y, (x, y), RunRecord())
    assert sick.patient.optimizer.rate == 1.0


def test_a_rate_that_was_set_after_a_break_stays():
    model = compiled(L.Dense(1), loss="mse", optimizer=ek.optimizers.SGD(0.01))
    broken = SimpleNamespace(rate=1.0, next_rate=np.float32(0.01))
    model.history = SimpleNamespace(breaks=[broken])
    assert rate_before_breaks(model) == 1.0
    model.optimizer.learning_rate = 0.5
    assert rate_before_breaks(model) == 0.5
