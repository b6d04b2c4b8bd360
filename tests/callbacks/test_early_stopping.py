"""`EarlyStopping`: when it ends a run, and with which weights."""

from __future__ import annotations

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.callbacks import Callback, EarlyStopping
from evenkeel.engine.outcome import Outcome
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError
from tests.callbacks.stubs import NAN, Stub, linear


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

    @pytest.mark.parametrize("monitor", ["loss", "val_loss", "val_mae", "rmse", "val_hinge"])
    def test_losses_and_errors_are_to_fall(self, monitor):
        callback, _ = judged([0.5, 0.3, 0.6, 0.6], monitor=monitor, patience=2)
        assert (callback.best, callback.best_epoch) == (0.3, 1)

    def test_a_name_that_tells_neither_is_warned_of_and_is_to_fall(self):
        with pytest.warns(EvenkeelWarning, match="mode='max'") as caught:
            callback, _ = judged([0.5, 0.3, 0.6, 0.6], monitor="my_number", patience=2)
        assert (callback.best, callback.best_epoch) == (0.3, 1)
        assert len(caught) == 1

    def test_the_mode_can_be_said(self):
        assert judged([1, 2, 0], mode="max", patience=5)[0].best == 2
        assert judged([1, 2, 0], monitor="accuracy", mode="min", patience=5)[0].best == 0

    def test_a_baseline_must_be_beaten(self):
        callback, _ = judged([0.9, 0.8, 0.7], baseline=0.5, patience=2)
        assert callback.stopped_epoch == 1
        callback, _ = judged([0.9, 0.4, 0.5, 0.6], baseline=0.5, patience=2)
        assert (callback.best, callback.stopped_epoch) == (0.4, 3)

    def test_the_best_weights_come_back_also_when_none_beat_the_baseline(self):
        """As Keras says of its own: restored regardless of the baseline."""
        callback, model = judged(
            [0.9, 0.7, 0.8], baseline=0.5, patience=3, restore_best_weights=True
        )
        assert (callback.best, callback.stopped_epoch) == (0.7, 2)
        assert model.weights[0] == 1

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

    def test_it_says_so_also_after_the_first_epoch(self, capsys):
        judged([NAN], patience=1, verbose=1)
        assert "Epoch 1" in capsys.readouterr().out

    def test_a_missing_monitor_warns_with_advice(self):
        callback = EarlyStopping()
        callback.set_model(Stub())
        with pytest.warns(EvenkeelWarning, match="validation_data"):
            callback.on_epoch_end(0, {"loss": 1.0})
        with pytest.warns(EvenkeelWarning, match="Did you mean 'val_loss'"):
            EarlyStopping(monitor="val_los").on_epoch_end(0, {"loss": 1.0, "val_loss": 1.0})

    def test_a_missing_monitor_is_said_once_a_run(self):
        callback = EarlyStopping()
        callback.set_model(Stub())
        for _ in range(2):
            callback.on_train_begin({})
            with pytest.warns(EvenkeelWarning, match="val_loss"):
                callback.on_epoch_end(0, {"loss": 1.0})
            callback.on_epoch_end(1, {"loss": 1.0})  # warnings are errors here

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
                callbacks=[EarlyStopping()], verbose=0, if_not_finite="stop",
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
            ({"baseline": NAN}, "baseline"),
            ({"monitor": ""}, "monitor"),
        ],
    )
    def test_impossible_settings_are_refused(self, arguments, word):
        with pytest.raises(InvalidArgumentError, match=word):
            EarlyStopping(**arguments)
