"""Callbacks: when each hook is called, with what, and what `EarlyStopping` decides."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.callbacks import Callback, EarlyStopping
from evenkeel.engine.outcome import Outcome
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError
from evenkeel.layers import Dense

NAN = float("nan")


class Stub:
    """Stands for a model in hand-made runs: weights are the number of the last epoch."""

    def __init__(self):
        self.stop_training = False
        self.weights = [np.array(-1)]

    def get_weights(self):
        return [w.copy() for w in self.weights]

    def set_weights(self, weights):
        self.weights = weights


def judged(values, monitor="val_loss", **settings):
    """Feeds one value an epoch until the callback stops; returns it and its model."""
    callback, model = EarlyStopping(monitor=monitor, **settings), Stub()
    callback.set_model(model)
    callback.on_train_begin({})
    for epoch, value in enumerate(values):
        model.weights = [np.array(epoch)]
        callback.on_epoch_end(epoch, {monitor: value})
        if model.stop_training:
            break
    callback.on_train_end({})
    return callback, model


class TestEarlyStopping:
    """The expected epochs follow from Keras's definition: `wait` counts epochs that do not
    beat the best by more than `min_delta`, and `wait >= patience` ends the run.
    """

    @pytest.mark.parametrize(("patience", "stopped"), [(0, 2), (1, 2), (2, 3), (3, 4)])
    def test_patience_counts_epochs_without_improvement(self, patience, stopped):
        callback, model = judged([3, 2, 2.5, 2.4, 2.3, 2.2], patience=patience)
        assert model.stop_training
        assert callback.stopped_epoch == stopped
        assert callback.best == 2
        assert callback.best_epoch == 1

    def test_an_improvement_starts_the_count_again(self):
        callback, model = judged([5, 6, 4, 5, 3, 4, 2], patience=2)
        assert not model.stop_training
        assert callback.best == 2
        assert callback.stopped_epoch == 0

    def test_equal_is_no_improvement(self):
        callback, _ = judged([1, 1, 1, 1], patience=2)
        assert callback.stopped_epoch == 2

    @pytest.mark.parametrize("min_delta", [0.5, -0.5])
    def test_min_delta_must_be_exceeded(self, min_delta):
        callback, _ = judged([3, 2.75, 2.5, 2.25, 2], patience=3, min_delta=min_delta)
        assert callback.best == 2.25
        assert callback.best_epoch == 3

    @pytest.mark.parametrize(
        "monitor",
        ["accuracy", "val_accuracy", "acc", "binary_accuracy", "val_auc", "precision", "val_recall",
         "val_f1_score", "r2"],
    )  # fmt: skip
    def test_scores_are_to_rise(self, monitor):
        callback, _ = judged([0.5, 0.7, 0.6, 0.6], monitor=monitor, patience=2)
        assert (callback.best, callback.best_epoch) == (0.7, 1)

    @pytest.mark.parametrize("monitor", ["loss", "val_loss", "val_mae", "rmse", "my_number"])
    def test_everything_else_is_to_fall(self, monitor):
        callback, _ = judged([0.5, 0.3, 0.6, 0.6], monitor=monitor, patience=2)
        assert (callback.best, callback.best_epoch) == (0.3, 1)

    def test_the_mode_can_be_said(self):
        assert judged([1, 2, 0], mode="max", patience=5)[0].best == 2
        assert judged([1, 2, 0], monitor="accuracy", mode="min", patience=5)[0].best == 0

    def test_a_baseline_must_be_beaten(self):
        callback, _ = judged([0.9, 0.8, 0.7], baseline=0.5, patience=2)
        assert callback.stopped_epoch == 1
        callback, _ = judged([0.9, 0.4, 0.5, 0.6], baseline=0.5, patience=2)
        assert (callback.best, callback.stopped_epoch) == (0.4, 3)

    def test_epochs_before_the_start_are_not_judged(self):
        callback, _ = judged([0.1, 9, 9, 5, 6, 7], start_from_epoch=3, patience=2)
        assert callback.best == 5
        assert callback.stopped_epoch == 5

    def test_the_best_weights_come_back(self):
        assert judged([3, 1, 2, 2], patience=2, restore_best_weights=True)[1].weights[0] == 1
        assert judged([3, 1, 2, 2], patience=2)[1].weights[0] == 3

    def test_the_best_weights_come_back_also_when_all_epochs_were_run(self):
        _, model = judged([3, 1, 2], patience=9, restore_best_weights=True)
        assert not model.stop_training
        assert model.weights[0] == 1

    def test_nan_is_never_the_best(self):
        """NaN compares as False with everything, so a NaN that got in would stay."""
        callback, model = judged([NAN, 3, 2, NAN, 4], patience=2, restore_best_weights=True)
        assert (callback.best, callback.best_epoch, callback.stopped_epoch) == (2, 2, 4)
        assert model.weights[0] == 2

    def test_nan_alone_runs_out_of_patience(self):
        callback, model = judged([NAN] * 5, patience=3, restore_best_weights=True)
        assert callback.stopped_epoch == 2
        assert callback.best is None
        assert model.weights[0] == 2

    def test_infinity_is_no_best_either_when_more_is_better(self):
        callback, _ = judged([0.5, 0.6, NAN], monitor="accuracy", patience=5)
        assert callback.best == 0.6

    def test_it_forgets_the_last_run(self):
        callback, _ = judged([1, 2], patience=1)
        callback.on_train_begin({})
        assert (callback.best, callback.wait, callback.stopped_epoch) == (None, 0, 0)

    def test_it_says_so_when_asked(self, capsys):
        judged([1, 2, 3], patience=2, verbose=1)
        out = capsys.readouterr().out
        assert "Epoch 3" in out
        assert "val_loss" in out

    def test_a_missing_monitor_warns_with_advice(self):
        callback = EarlyStopping()
        callback.set_model(Stub())
        with pytest.warns(EvenkeelWarning, match="validation_data"):
            callback.on_epoch_end(0, {"loss": 1.0})
        with pytest.warns(EvenkeelWarning, match="Did you mean 'val_loss'"):
            EarlyStopping(monitor="val_los").on_epoch_end(0, {"loss": 1.0, "val_loss": 1.0})

    def test_it_is_silent_and_does_not_stop_where_validation_is_skipped(self):
        """With validation_freq=2 every other epoch has no val_loss."""
        x = np.ones((8, 2), np.float32)
        model = linear(ek.optimizers.SGD(0.01))
        history = model.fit(
            x, x[:, 0], epochs=4, validation_data=(x, x[:, 0]), validation_freq=2,
            callbacks=[EarlyStopping(patience=3)], verbose=0,
        )  # fmt: skip
        assert len(history.epoch) == 4

    def test_a_run_that_breaks_is_not_blamed_on_missing_validation(self):
        x = np.ones((8, 2), np.float32)
        with pytest.warns(EvenkeelWarning) as caught:
            linear(ek.optimizers.SGD(1e25)).fit(
                x, x[:, 0], batch_size=2, validation_data=(x, x[:, 0]),
                callbacks=[EarlyStopping()], verbose=0,
            )  # fmt: skip
        assert len(caught) == 1
        assert "learning rate" in str(caught[0].message)

    def test_in_a_run_it_restores_the_weights_of_the_best_epoch(self):
        """On four equal rows the rate 0.9 is beyond 2 / 6, where plain descent diverges."""
        x = np.ones((4, 2), np.float32)

        class Worse(Callback):
            def on_epoch_end(self, epoch, logs=None):
                self.model.optimizer.learning_rate = 0.0 if epoch == 0 else 0.9
                self.seen = {**getattr(self, "seen", {}), epoch: self.model.get_weights()}

        model = linear(ek.optimizers.SGD(0.1))
        worse = Worse()
        stopping = EarlyStopping(monitor="loss", patience=2, restore_best_weights=True)
        history = model.fit(
            x, np.ones(4), epochs=50, batch_size=4, callbacks=[worse, stopping], verbose=0
        )
        assert history.outcome is Outcome.STOPPED
        best = int(np.argmin(history.history["loss"]))
        assert stopping.best_epoch == best
        for a, b in zip(model.get_weights(), worse.seen[best], strict=True):
            np.testing.assert_array_equal(a, b)
        assert len(history.epoch) == best + 3

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            ({"mode": "biggest"}, "mode"),
            ({"patience": -1}, "patience"),
            ({"patience": 1.5}, "patience"),
            ({"min_delta": NAN}, "min_delta"),
            ({"start_from_epoch": -2}, "start_from_epoch"),
        ],
    )
    def test_impossible_settings_are_refused(self, arguments, word):
        with pytest.raises(InvalidArgumentError, match=word):
            EarlyStopping(**arguments)


def linear(optimizer="sgd", **arguments):
    model = ek.Sequential([Dense(1, input_shape=[2])])
    model.compile(optimizer, "mse", **arguments)
    return model


X = np.linspace(-1, 1, 20, dtype=np.float32).reshape(10, 2)
Y = X[:, 0]
slow = pytest.mark.filterwarnings("ignore:fit.*listens to single batches")


class Recorder(Callback):
    """Writes down every call."""

    def __init__(self):
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append(("train_begin", logs))

    def on_train_end(self, logs=None):
        self.calls.append(("train_end", logs))

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append((f"epoch_begin {epoch}", logs))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append((f"epoch_end {epoch}", logs))

    def on_test_begin(self, logs=None):
        self.calls.append(("test_begin", logs))

    def on_test_end(self, logs=None):
        self.calls.append(("test_end", logs))

    def on_predict_begin(self, logs=None):
        self.calls.append(("predict_begin", logs))

    def on_predict_end(self, logs=None):
        self.calls.append(("predict_end", logs))

    @property
    def names(self):
        return [name for name, _ in self.calls]


class BatchRecorder(Recorder):
    """Batches as well."""

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append((f"batch_begin {batch}", logs))

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append((f"batch_end {batch}", logs))


class TestHooks:
    def test_epochs_are_reported_in_keras_order(self):
        recorder = Recorder()
        linear().fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[recorder])
        assert recorder.names == [
            "train_begin",
            "epoch_begin 0",
            "epoch_end 0",
            "epoch_begin 1",
            "epoch_end 1",
            "train_end",
        ]

    def test_validation_within_fit_is_reported_as_a_test(self):
        recorder = Recorder()
        linear().fit(X, Y, batch_size=5, validation_data=(X, Y), verbose=0, callbacks=[recorder])
        assert recorder.names == [
            "train_begin",
            "epoch_begin 0",
            "test_begin",
            "test_end",
            "epoch_end 0",
            "train_end",
        ]

    def test_initial_epoch_is_where_counting_starts(self):
        recorder = Recorder()
        linear().fit(X, Y, batch_size=5, epochs=4, initial_epoch=3, verbose=0, callbacks=[recorder])
        assert "epoch_begin 3" in recorder.names
        assert "epoch_begin 0" not in recorder.names

    @slow
    def test_batch_hooks_get_every_batch_in_order(self):
        """10 rows in batches of 4: the last one is the partial batch."""
        recorder = BatchRecorder()
        linear().fit(X, Y, batch_size=4, verbose=0, callbacks=[recorder])
        assert recorder.names == [
            "train_begin",
            "epoch_begin 0",
            *(f"batch_{moment} {b}" for b in range(3) for moment in ("begin", "end")),
            "epoch_end 0",
            "train_end",
        ]

    @slow
    def test_batch_logs_are_the_epochs_so_far(self):
        recorder = BatchRecorder()
        model = linear(ek.optimizers.SGD(0.0), metrics=["mae"])
        errors = np.abs(model.predict(X)[:, 0] - Y)
        model.fit(X, Y, batch_size=5, shuffle=False, verbose=0, callbacks=[recorder])
        logs = [logs for name, logs in recorder.calls if name.startswith("batch_end")]
        assert logs[0]["mae"] == pytest.approx(errors[:5].mean(), rel=1e-5)
        assert logs[1]["mae"] == pytest.approx(errors.mean(), rel=1e-5)

    def test_batch_hooks_are_said_to_be_slower(self):
        with pytest.warns(EvenkeelWarning, match="on_epoch_end") as caught:
            linear().fit(X, Y, batch_size=5, verbose=0, callbacks=[BatchRecorder()])
        assert "BatchRecorder" in str(caught[0].message)

    def test_epoch_hooks_are_not(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            linear().fit(
                X, Y, batch_size=5, verbose=0, callbacks=[Recorder(), EarlyStopping("loss")]
            )

    @slow
    def test_the_old_names_of_the_batch_hooks_work(self):
        class Old(Callback):
            seen = ()

            def on_batch_begin(self, batch, logs=None):
                self.seen = (*self.seen, -batch)

            def on_batch_end(self, batch, logs=None):
                self.seen = (*self.seen, batch)

        old = Old()
        linear().fit(X, Y, batch_size=5, verbose=0, callbacks=[old])
        assert old.seen == (0, 0, -1, 1)

    def test_logs_are_plain_floats_in_order(self):
        recorder = Recorder()
        linear(metrics=["mae"]).fit(
            X, Y, batch_size=5, validation_data=(X, Y), verbose=0, callbacks=[recorder]
        )
        logs = dict(recorder.calls)["epoch_end 0"]
        assert list(logs) == ["loss", "mae", "val_loss", "val_mae"]
        assert all(type(value) is float for value in logs.values())

    def test_what_a_callback_adds_to_the_logs_is_in_the_history(self):
        class Rate(Callback):
            def on_epoch_end(self, epoch, logs=None):
                logs["learning_rate"] = float(self.model.optimizer.learning_rate)

        history = linear(ek.optimizers.SGD(0.5)).fit(
            X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[Rate()]
        )
        assert history.history["learning_rate"] == [0.5, 0.5]

    def test_evaluate_and_predict_call_theirs(self):
        recorder, model = Recorder(), linear()
        model.evaluate(X, Y, verbose=0, callbacks=[recorder])
        model.predict(X, callbacks=[recorder])
        assert recorder.names == ["test_begin", "test_end", "predict_begin", "predict_end"]
        assert list(dict(recorder.calls)["test_end"]) == ["loss"]


class TestContract:
    def test_a_subclass_need_not_call_super_init(self):
        class Careless(Callback):
            def __init__(self, note):
                self.note = note

            def on_train_begin(self, logs=None):
                self.seen = (self.model, self.params["epochs"])

        careless, model = Careless("x"), linear()
        model.fit(X, Y, batch_size=5, epochs=3, verbose=0, callbacks=[careless])
        assert careless.seen == (model, 3)

    def test_any_object_with_some_of_the_methods_will_do(self):
        class Plain:
            epochs = ()

            def on_epoch_end(self, epoch, logs):
                self.epochs = (*self.epochs, epoch)

        plain = Plain()
        linear().fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[plain])
        assert plain.epochs == (0, 1)

    @slow
    def test_a_plain_object_can_listen_to_batches(self):
        class Plain:
            batches = 0

            def on_train_batch_end(self, batch, logs):
                self.batches += 1

        plain = Plain()
        linear().fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[plain])
        assert plain.batches == 4

    def test_one_callback_needs_no_list(self):
        recorder = Recorder()
        linear().fit(X, Y, batch_size=5, verbose=0, callbacks=recorder)
        assert recorder.names[-1] == "train_end"

    def test_params_say_what_is_run(self):
        recorder = Recorder()
        linear().fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[recorder])
        assert recorder.params["epochs"] == 2
        assert recorder.params["steps"] == 3
        assert recorder.params["verbose"] == 0

    def test_stop_training_ends_the_run_after_the_epoch(self):
        class Stop(Callback):
            def on_epoch_end(self, epoch, logs=None):
                self.model.stop_training = epoch == 1

        model = linear()
        history = model.fit(X, Y, batch_size=5, epochs=9, verbose=0, callbacks=[Stop()])
        assert history.epoch == [0, 1]
        assert history.outcome is Outcome.STOPPED
        assert history.outcome.is_well

    def test_the_next_run_starts_unstopped(self):
        model = linear()
        model.stop_training = True
        assert len(model.fit(X, Y, batch_size=5, epochs=2, verbose=0).epoch) == 2

    @slow
    def test_stop_training_from_a_batch_ends_the_epoch(self):
        class Stop(Callback):
            def on_train_batch_end(self, batch, logs=None):
                self.model.stop_training = batch == 1

        model = linear()
        history = model.fit(X, Y, batch_size=2, epochs=9, verbose=0, callbacks=[Stop()])
        assert history.epoch == [0]
        assert model.optimizer.iterations == 2

    def test_weights_that_a_callback_sets_are_trained_on(self):
        class Reset(Callback):
            def on_epoch_end(self, epoch, logs=None):
                self.model.set_weights([np.zeros((2, 1)), np.zeros(1)])

        history = linear().fit(
            X, Y, batch_size=5, epochs=3, shuffle=False, verbose=0, callbacks=[Reset()]
        )
        assert history.history["loss"][1] == history.history["loss"][2]

    @slow
    def test_weights_that_a_batch_callback_sets_are_trained_on(self):
        class Reset(Callback):
            def on_train_batch_end(self, batch, logs=None):
                self.model.set_weights([np.full((2, 1), 3.0), np.zeros(1)])

        model = linear(ek.optimizers.SGD(0.0))
        model.fit(X, Y, batch_size=5, verbose=0, callbacks=[Reset()])
        np.testing.assert_array_equal(model.get_weights()[0], np.full((2, 1), 3.0))

    def test_a_learning_rate_that_a_callback_sets_is_used_next(self):
        """y = w·x from w = 0 on one row x = 1, y = 1: the step is 2·rate."""

        class Halve(Callback):
            def on_epoch_end(self, epoch, logs=None):
                self.model.optimizer.learning_rate = 0.25

        model = ek.Sequential(
            [Dense(1, use_bias=False, kernel_initializer="zeros", input_shape=[1])]
        )
        model.compile(ek.optimizers.SGD(0.0), "mse")
        one = np.ones((1, 1), np.float32)
        model.fit(one, one, epochs=2, verbose=0, callbacks=[Halve()])
        assert float(model.get_weights()[0][0, 0]) == pytest.approx(0.5)

    def test_close_is_called_however_the_run_ended(self):
        class Broken(Callback):
            closed = 0

            def on_epoch_end(self, epoch, logs=None):
                raise RuntimeError("mine")

            def close(self):
                self.closed += 1

        broken = Broken()
        with pytest.raises(RuntimeError, match="mine"):
            linear().fit(X, Y, batch_size=5, verbose=0, callbacks=[broken])
        assert broken.closed == 1


class TestDisplays:
    def test_two_prints_one_line_an_epoch(self, capsys):
        linear(metrics=["mae"]).fit(X, Y, batch_size=5, epochs=3, validation_data=(X, Y), verbose=2)
        lines = capsys.readouterr().out.strip().splitlines()
        assert len(lines) == 3
        assert lines[0].startswith("Epoch 1/3")
        for word in ("loss", "mae", "val_loss", "val_mae", "steps/s"):
            assert word in lines[2]

    @pytest.mark.parametrize("verbose", [0, "auto"])
    def test_zero_and_auto_outside_a_terminal_are_silent(self, capsys, verbose):
        model = linear()
        model.fit(X, Y, batch_size=5, verbose=verbose)
        model.evaluate(X, Y, verbose=verbose)
        captured = capsys.readouterr()
        assert captured.out == captured.err == ""

    def test_evaluate_prints_its_numbers_when_asked(self, capsys):
        linear(metrics=["mae"]).evaluate(X, Y, verbose=2)
        out = capsys.readouterr().out
        assert "loss" in out
        assert "mae" in out
