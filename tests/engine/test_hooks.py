"""When each hook of a callback is called, with what, and what it may do."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.callbacks import Callback, EarlyStopping
from evenkeel.engine.hooks import CallbackList
from evenkeel.engine.outcome import Outcome
from evenkeel.errors import EvenkeelWarning
from evenkeel.layers import Dense
from tests.callbacks.stubs import X, Y, linear, slow


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

    @slow
    def test_a_hook_that_is_set_on_the_callback_itself_counts(self):
        batches, callback = [], Callback()
        callback.on_train_batch_end = lambda batch, logs: batches.append(batch)
        linear().fit(X, Y, batch_size=5, verbose=0, callbacks=[callback])
        assert batches == [0, 1]

    @pytest.mark.parametrize("nothing", [None, Callback().on_train_batch_end])
    def test_a_hook_that_is_set_to_nothing_does_not_count(self, nothing):
        callback = Callback()
        callback.on_train_batch_end = nothing
        assert CallbackList([callback], None, {}).wants_batches == []

    def test_setting_a_hook_leaves_other_callbacks_alone(self):
        one, other = Callback(), Callback()
        one.on_train_batch_end = print
        assert CallbackList([one, other], None, {}).wants_batches == ["Callback"]

    @pytest.mark.filterwarnings("ignore:fit.*listens to single batches")
    def test_the_order_is_the_one_that_is_documented(self):
        """Reads the order out of the docstring, and runs one epoch of one batch."""
        names = []

        class Everything:
            def __getattr__(self, name):
                if not name.startswith(("on_", "set_", "close")):
                    raise AttributeError(name)
                return lambda *arguments: names.append(name)

        linear().fit(
            X,
            Y,
            batch_size=10,
            validation_data=(X, Y),
            verbose=0,
            doctor=None,
            callbacks=[Everything()],
        )
        lines = Callback.__doc__.partition("set_params, set_model")[2].partition("`logs`")[0]
        documented = ["set_params", "set_model"]
        documented += re.findall(r"(?:on_[a-z_]+|^ *close)", lines, flags=re.MULTILINE)
        assert names == [name.strip() for name in documented]

    def test_one_callback_needs_no_list(self):
        recorder = Recorder()
        linear().fit(X, Y, batch_size=5, verbose=0, callbacks=recorder)
        assert recorder.names[-1] == "train_end"

    def test_params_say_what_is_run(self):
        recorder = Recorder()
        linear().fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[recorder])
        assert recorder.params["epochs"] == 2
        assert recorder.params["steps"] == 3
        assert recorder.params["batch_size"] == 4
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
