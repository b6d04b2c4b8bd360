"""The doctor during `fit`: what it finds, what it leaves alone, and what it costs."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel import watch
from evenkeel.engine.outcome import Outcome
from evenkeel.engine.step import Batch
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError
from evenkeel.layers import BatchNormalization, Dense
from evenkeel.models.watching import doctor_for, level_for
from evenkeel.optimizers import SGD, Adam

ROWS = 320


@pytest.fixture
def data(random):
    """Two classes that a line divides, standardized."""
    x = random.normal(size=(ROWS, 4)).astype(np.float32)
    return x, (x @ [1.0, -2.0, 0.5, 1.0] > 0).astype(np.int32)


def network(optimizer=None, **settings):
    model = ek.Sequential(
        [
            Dense(8, activation="relu", kernel_initializer="he_normal", input_shape=[4]),
            Dense(2, activation="softmax"),
        ],
        name="net",
    )
    model.compile(
        optimizer or Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **settings,
    )
    return model


def fit(model, data, **more):
    return model.fit(*data, **{"epochs": 6, "verbose": 0, **more})


def codes(history):
    return {inner.code for finding in history.findings for inner in finding.everything}


class TestItNeverDisturbs:
    @pytest.mark.parametrize("telemetry", [None, "economy"])
    def test_weights_are_the_same_bit_for_bit_with_it_and_without(self, data, telemetry):
        left = []
        for doctor in ("default", None):
            ek.set_random_seed(11)
            model = network(telemetry=telemetry)
            first = fit(model, data, doctor=doctor, validation_split=0.2)
            second = fit(model, data, doctor=doctor, epochs=2)
            left.append((model.get_weights(), first.history, second.history))
        for a, b in zip(left[0][0], left[1][0], strict=True):
            np.testing.assert_array_equal(a, b)
        assert left[0][1:] == left[1][1:]

    def test_programs_are_the_same(self, data):
        with_doctor = fit(network(), data).compilations
        without = fit(network(), data, doctor=None).compilations
        assert [c.program for c in with_doctor] == [c.program for c in without]

    def test_a_fault_of_its_own_is_a_warning_and_the_run_goes_on(self, data, monkeypatch):
        def broken(*arguments):
            raise ZeroDivisionError("by zero")

        monkeypatch.setattr(watch, "describe", broken)
        with pytest.warns(EvenkeelWarning, match="doctor=None") as caught:
            history = fit(network(), data)
        assert history.outcome is Outcome.COMPLETED
        assert len(history.epoch) == 6
        assert len(caught) == 1

    def test_the_data_can_be_freed_afterwards(self, data):
        x = data[0].copy()
        model = network()
        history = fit(model, (x, data[1]))
        kept = history.checkup.patient.inputs[0].values
        assert len(kept) < ROWS
        assert not np.shares_memory(kept, x)


class TestWhatItFinds:
    def test_nothing_in_a_healthy_run(self, data):
        history = fit(network(), data, epochs=12, validation_split=0.25)
        assert codes(history) <= {"too-little-data"}  # a note: 80 validation rows are few
        assert all(finding.severity == "note" for finding in history.findings)

    def test_before_the_first_step_what_a_checkup_finds(self, data):
        x = (data[0] * 60 + 128).astype(np.float32)
        history = fit(network(), (x, data[1]), epochs=1)
        model = network()
        expected = ek.checkup(model, x, data[1], epochs=1).codes
        assert "inputs-not-standardized" in expected
        assert codes(history) == expected

    def test_a_rate_that_is_too_low(self, data):
        history = fit(network(SGD(1e-6)), data, epochs=12)
        assert history.findings[0].code == "learning-rate-too-low"
        cannot_tell = {verdict.code for verdict in history.checkup.unknown}
        assert "learning-rate-too-low" not in cannot_tell  # though nothing was probed
        assert "loss-not-decreasing" in codes(history) or history.history["loss"][-1] < 0.69

    @pytest.mark.filterwarnings("ignore:Epoch.*infinite or not a number")
    def test_a_rate_at_which_the_run_breaks(self, random):
        x = random.normal(size=(ROWS, 4)).astype(np.float32)
        y = (x @ [1.0, -2.0, 0.5, 1.0]).astype(np.float32)
        model = ek.Sequential([Dense(8, activation="relu"), Dense(1)])
        model.compile(SGD(100.0), "mse")
        history = fit(model, (x, y))
        assert history.outcome is Outcome.COMPLETED
        first = next(f for f in history.findings if f.code == "learning-rate-too-high")
        assert "non-finite-loss" in {inner.code for inner in first.symptoms}
        assert first.evidence[0].value == pytest.approx(100)

    def test_a_training_set_learned_by_heart(self, random):
        x = random.normal(size=(200, 10)).astype(np.float32)
        y = random.integers(0, 2, 200)
        held = random.normal(size=(1000, 10)).astype(np.float32), random.integers(0, 2, 1000)
        model = ek.Sequential([Dense(100, activation="relu"), Dense(2, activation="softmax")])
        model.compile(Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, epochs=40, verbose=0, validation_data=held)
        assert "overfitting" in codes(history)

    def test_averages_of_batch_normalization_that_lag_behind(self, random):
        """Momentum 0.99 has 60 % of its start left after 50 steps; features lie far from 0."""
        x = random.normal(size=(ROWS, 4)).astype(np.float32)
        y = (x[:, 0] > 0).astype(np.int32)
        model = ek.Sequential(
            [
                Dense(16, bias_initializer=ek.initializers.Constant(5.0), input_shape=[4]),
                BatchNormalization(),
                Dense(2, activation="softmax"),
            ]
        )
        model.compile(Adam(0.02), "sparse_categorical_crossentropy")
        history = model.fit(x, y, epochs=5, verbose=0, validation_split=0.25)
        assert "batchnorm-gap" in codes(history)

    def test_of_batches_only_what_needs_no_data_as_a_whole(self, data):
        batches = [(data[0][i : i + 32] * 100, data[1][i : i + 32]) for i in range(0, ROWS, 32)]

        class Loader:
            def __iter__(self):
                return iter(batches)

        history = network().fit(Loader(), epochs=3, verbose=0)
        assert "inputs-not-standardized" not in codes(history)
        reasons = {verdict.reason for verdict in history.checkup.unknown}
        assert any("comes in batches" in reason for reason in reasons)


class TestWhereItSaysSo:
    def test_a_line_on_the_display_once_for_each_finding(self, data, capsys):
        x = (data[0] * 60 + 128).astype(np.float32)
        model = network()
        model.fit(x, data[1], epochs=2, verbose=2)
        model.fit(x, data[1], epochs=2, verbose=2)
        out = capsys.readouterr().out
        assert out.count("Doctor: inputs-not-standardized") == 1
        assert "ek.explain('inputs-not-standardized')" in out

    def test_not_what_fit_has_warned_of(self, data, capsys):
        model = ek.Sequential([Dense(2, input_shape=[4])])
        model.compile("adam", "sparse_categorical_crossentropy")
        with pytest.warns(EvenkeelWarning, match="softmax") as caught:
            history = model.fit(*data, epochs=1, verbose=2)
        assert "output-activation-mismatch" in codes(history)
        assert "output-activation-mismatch" not in capsys.readouterr().out
        assert len(caught) == 1

    def test_all_of_it_in_the_history(self, data, tmp_path):
        history = fit(network(), data, epochs=12)
        checkup = history.checkup
        assert checkup.depth == "run"
        assert checkup.findings == history.findings
        answered = {verdict.code for verdict in checkup.healthy}
        assert {"diverging", "loss-not-decreasing", "init-scale"} <= answered
        json.dumps(checkup.to_dict())
        checkup.to_html(tmp_path / "report.html")
        assert "Checkup of net" in (tmp_path / "report.html").read_text(encoding="utf-8")

    def test_nothing_without_a_doctor(self, data):
        history = fit(network(SGD(1e-6)), data, doctor=None)
        assert history.findings == ()
        assert history.checkup is None

    def test_also_where_an_error_ends_the_run(self, data):
        class Fail(ek.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 4:
                    raise RuntimeError("enough")

        model = network(SGD(1e-6))
        with pytest.raises(RuntimeError, match="enough"):
            fit(model, data, epochs=12, callbacks=[Fail()])
        assert model.history.checkup.depth == "run"

    def test_a_word_that_is_none_is_refused(self, data):
        with pytest.raises(InvalidArgumentError, match="doctor=None"):
            fit(network(), data, doctor="strange")

    def test_a_doctor_of_ones_own_can_watch(self, data):
        told = []

        class Own(ek.callbacks.Callback):
            def __init__(self, occasion):
                told.append(occasion.epochs)

            def look(self):
                told.append("before")

            def on_train_end(self, logs=None):
                told.append("after")

        fit(network(), data, doctor=Own)
        assert told == [6, "before", "after"]


class TestWhatItCosts:
    def test_a_second_fit_of_the_same_is_not_examined_again(self, data, monkeypatch):
        model = network()
        fit(model, data, epochs=1)
        monkeypatch.setattr(watch, "describe", None)
        assert fit(model, data, epochs=1).findings == model.history.findings

    def test_another_data_set_is(self, data):
        model = network()
        assert not codes(fit(model, data, epochs=1))
        x = (data[0] * 60 + 128).astype(np.float32)
        assert "inputs-not-standardized" in codes(fit(model, (x[:-1], data[1][:-1]), epochs=1))

    def test_other_rows_of_the_same_shape_are_another_data_set(self, data):
        model = network()
        assert not codes(fit(model, data, epochs=1))
        x = (data[0] * 60 + 128).astype(np.float32)
        assert "inputs-not-standardized" in codes(fit(model, (x, data[1]), epochs=1))

    def test_a_run_that_is_not_looked_at_is_judged_once(self, data, monkeypatch):
        looks = []
        judge = watch.diagnose
        monkeypatch.setattr(
            watch, "diagnose", lambda *given: looks.append(len(given[1])) or judge(*given)
        )
        fit(network(), data, epochs=30)
        assert len(looks) == 2  # once before, once behind

    def test_telemetry_is_left_to_long_runs(self):
        assert level_for(None, True, 1e9) == "off"
        assert level_for(None, True, 1e16) == "economy"
        assert level_for(None, False, 1e16) == "off"
        assert level_for("off", True, 1e16) == "off"

    def test_of_many_and_large_kernels_a_part_is_looked_at(self, monkeypatch):
        monkeypatch.setattr(watch, "_KERNELS", 3)
        monkeypatch.setattr(watch, "_NUMBERS", 10)
        model = ek.Sequential([Dense(20, input_shape=[20]) for _ in range(7)])
        model.compile("adam", "mse")
        plan = model._programs_for(Batch(x=jnp.zeros((2, 20)), y=jnp.zeros((2, 20)))).plan
        found = watch._kernels(plan.trained)
        assert len(found) == 3
        assert all(len(values) <= 20 for values in found.values())

    def test_none_needs_nothing_of_the_doctor(self):
        assert doctor_for(None) is None
