"""`ModelCheckpoint`: what is saved when, under which name, and what never is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.callbacks import ModelCheckpoint
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError
from evenkeel.models import load_model
from tests.callbacks.stubs import NAN, Stub, X, Y, linear, slow


class Saving(Stub):
    """Writes the number that its weights are, and of which kind the file is."""

    def save(self, path, overwrite):
        Path(path).write_text(json.dumps(["model", float(self.weights[0])]))

    def save_weights(self, path, overwrite):
        Path(path).write_text(json.dumps(["weights", float(self.weights[0])]))


def watched(values, filepath, model=None, monitor="val_loss", **settings):
    """Feeds one value an epoch, which the weights then are the number of; returns both."""
    callback, model = ModelCheckpoint(filepath, monitor=monitor, **settings), model or Saving()
    go(callback, model, values, monitor)
    return callback, model


def go(callback, model, values, monitor="val_loss"):
    callback.set_model(model)
    callback.on_train_begin({})
    for epoch, value in enumerate(values):
        model.weights = [np.array(float(epoch))]
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, {"loss": 1.0, monitor: value})


def content(path):
    return json.loads(path.read_text())


class TestBest:
    def test_only_the_best_is_kept(self, tmp_path):
        watched([3, 1, 2], tmp_path / "best", save_best_only=True)
        assert content(tmp_path / "best") == ["model", 1]

    def test_without_it_the_last_is_kept(self, tmp_path):
        watched([3, 1, 2], tmp_path / "last")
        assert content(tmp_path / "last") == ["model", 2]

    def test_scores_are_to_rise(self, tmp_path):
        watched([0.5, 0.9, 0.7], tmp_path / "b", monitor="val_accuracy", save_best_only=True)
        assert content(tmp_path / "b") == ["model", 1]

    def test_a_nan_in_the_first_epoch_is_not_the_best(self, tmp_path):
        callback, _ = watched([NAN, 3, 4], tmp_path / "best", save_best_only=True)
        assert content(tmp_path / "best") == ["model", 1]
        assert callback.best == 3

    def test_a_threshold_must_be_beaten(self, tmp_path):
        path = tmp_path / "best"
        watched([3, 2], path, save_best_only=True, initial_value_threshold=1.0)
        assert not path.exists()
        watched([3, 0.5], path, save_best_only=True, initial_value_threshold=1.0)
        assert content(path) == ["model", 1]

    def test_a_second_run_of_the_same_model_must_beat_the_first(self, tmp_path):
        callback, model = watched([3, 1], tmp_path / "best", save_best_only=True)
        go(callback, model, [2.5, 2, 1.5, 1.25])
        assert content(tmp_path / "best") == ["model", 1]
        go(callback, model, [0.5])
        assert content(tmp_path / "best") == ["model", 0]

    def test_another_model_starts_afresh(self, tmp_path):
        callback, _ = watched([1], tmp_path / "best", save_best_only=True)
        go(callback, Saving(), [9, 8, 7])
        assert content(tmp_path / "best") == ["model", 2]

    def test_a_missing_monitor_is_said_once_and_the_latest_is_saved(self, tmp_path):
        callback, model = ModelCheckpoint(tmp_path / "m", save_best_only=True), Saving()
        callback.set_model(model)
        callback.on_train_begin({})
        with pytest.warns(EvenkeelWarning, match="validation_data"):
            callback.on_epoch_end(0, {"loss": 1.0})
        model.weights = [np.array(7.0)]
        callback.on_epoch_end(1, {"loss": 1.0})  # warnings are errors here
        assert content(tmp_path / "m") == ["model", 7]

    def test_an_epoch_without_validation_is_not_judged(self, tmp_path):
        callback = ModelCheckpoint(tmp_path / "{epoch}-{val_loss:.1f}", save_best_only=True)
        callback.set_params({"validation_freq": 2})
        callback.set_model(Saving())
        callback.on_train_begin({})
        callback.on_epoch_end(0, {"loss": 1.0})
        callback.on_epoch_end(1, {"loss": 1.0, "val_loss": 0.5})
        assert [p.name for p in tmp_path.iterdir()] == ["2-0.5"]


class TestNames:
    def test_epochs_count_from_one_and_logs_fill_in(self, tmp_path):
        watched([0.5, 0.25], tmp_path / "a" / "{epoch:02d}-{val_loss:.2f}-{loss}.x")
        names = sorted(p.name for p in (tmp_path / "a").iterdir())
        assert names == ["01-0.50-1.0.x", "02-0.25-1.0.x"]

    def test_an_unknown_log_is_refused_in_the_first_epoch_even_if_none_is_due(self, tmp_path):
        callback = ModelCheckpoint(
            tmp_path / "{val_los:.2f}", save_best_only=True, initial_value_threshold=-9.0
        )
        with pytest.raises(InvalidArgumentError, match="Did you mean 'val_loss'"):
            go(callback, Saving(), [1.0])

    def test_an_unknown_log_is_refused_after_the_first_batch(self, tmp_path):
        callback = ModelCheckpoint(tmp_path / "{los:.2f}", save_freq=1000)
        callback.set_model(Saving())
        callback.on_train_begin({})
        with pytest.raises(InvalidArgumentError, match="Did you mean 'loss'"):
            callback.on_train_batch_end(0, {"loss": 1.0})

    @pytest.mark.parametrize(
        "pattern", ["{}", "{0}", "{epoch", "{loss:02d}", "{epoch:.2q}", "{loss.a}", "", "a/"]
    )
    def test_a_pattern_that_nothing_can_fill_is_refused(self, pattern):
        with pytest.raises(InvalidArgumentError, match="filepath"):
            ModelCheckpoint(pattern)

    def test_a_folder_is_refused(self, tmp_path):
        with pytest.raises(InvalidArgumentError, match="name of a file"):
            ModelCheckpoint(tmp_path)

    def test_braces_can_be_written(self, tmp_path):
        watched([1], str(tmp_path) + "/{{{epoch}}}")
        assert [p.name for p in tmp_path.iterdir()] == ["{1}"]


class TestNotFinite:
    def test_a_loss_that_is_not_finite_is_not_saved(self, tmp_path):
        callback, _ = watched([1], tmp_path / "last", monitor="loss")
        with pytest.warns(EvenkeelWarning, match="epoch 2 was not saved"):
            callback.on_epoch_end(1, {"loss": NAN})
        assert content(tmp_path / "last") == ["model", 0]

    def test_weights_that_are_not_finite_are_not_saved(self, tmp_path):
        callback, model = watched([1], tmp_path / "last")
        model.weights = [np.array([1.0, np.inf])]
        with pytest.warns(EvenkeelWarning, match="not finite"):
            callback.on_epoch_end(1, {"loss": 1.0, "val_loss": 0.5})
        callback.on_epoch_end(2, {"loss": 1.0, "val_loss": 0.5})  # said once
        assert content(tmp_path / "last") == ["model", 0]

    @pytest.mark.filterwarnings("ignore::evenkeel.errors.EvenkeelWarning")
    @pytest.mark.parametrize("best_only", [False, True])
    def test_a_run_that_breaks_leaves_the_file_of_the_last_good_epoch(self, tmp_path, best_only):
        """The first epoch is harmless; the second has a rate that overflows."""
        model = linear(ek.optimizers.SGD(0.01))
        path = tmp_path / "m.safetensors"
        rate = ek.callbacks.LearningRateScheduler(lambda epoch: [0.01, 1e30][epoch])
        checkpoint = ModelCheckpoint(path, monitor="loss", save_best_only=best_only)
        model.fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[rate, checkpoint])
        for saved, rolled_back in zip(
            load_model(path).get_weights(), model.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(saved, rolled_back)


class TestKinds:
    def test_weights_alone_can_be_saved(self, tmp_path):
        watched([1], tmp_path / "w", save_weights_only=True)
        assert content(tmp_path / "w") == ["weights", 0]

    def test_in_a_run_the_file_holds_the_weights_of_the_best_epoch(self, tmp_path):
        seen = {}

        def remember(epoch, logs):
            seen[epoch] = model.get_weights()

        model = linear(ek.optimizers.SGD(0.1))
        checkpoint = ModelCheckpoint(tmp_path / "new" / "best.keras", save_best_only=True)
        # The rate is beyond what descent bears from the third epoch on.
        rate = ek.callbacks.LearningRateScheduler(lambda epoch: 0.1 if epoch < 2 else 2.5)
        history = model.fit(
            X, Y, batch_size=10, epochs=5, validation_data=(X, Y), verbose=0,
            callbacks=[rate, checkpoint, ek.callbacks.LambdaCallback(on_epoch_end=remember)],
        )  # fmt: skip
        best = int(np.argmin(history.history["val_loss"]))
        assert best < 4
        loaded = load_model(tmp_path / "new" / "best.keras")
        for a, b in zip(loaded.get_weights(), seen[best], strict=True):
            np.testing.assert_array_equal(a, b)

    @pytest.mark.parametrize("save_best_only", [False, True])
    def test_it_says_what_it_does_when_asked(self, tmp_path, capsys, save_best_only):
        watched([2, 3], tmp_path / "m", save_best_only=save_best_only, verbose=1)
        first, second = capsys.readouterr().out.splitlines()
        assert first.startswith("Epoch 1")
        assert str(tmp_path / "m") in first
        assert ("no improvement on 2" in second) == save_best_only


class TestBatches:
    @slow
    def test_every_so_many_batches_of_the_run_are_saved(self, tmp_path):
        """Three batches an epoch: the 2nd, 4th and 6th are epoch 1's 2nd, and 2's 1st and 3rd."""
        checkpoint = ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=2)
        model = linear()
        model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[checkpoint])
        assert sorted(p.name for p in tmp_path.iterdir()) == ["1-2", "2-1", "2-3"]
        loaded = load_model(tmp_path / "2-3")
        for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_epochs_alone_do_not_slow_the_run(self, tmp_path):
        linear().fit(
            X, Y, batch_size=5, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "m")]
        )  # warnings are errors here

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            ({"save_freq": 0}, "save_freq"),
            ({"save_freq": "batch"}, "save_freq"),
            ({"mode": "most"}, "mode"),
            ({"initial_value_threshold": NAN, "save_best_only": True}, "initial_value_threshold"),
            ({"initial_value_threshold": 1.0}, "save_best_only=True"),
            ({"save_freq": 5, "save_best_only": True}, "monitor='loss'"),
            ({"filepath": "{val_loss}", "save_freq": 5}, "save_freq='epoch'"),
            ({"filepath": "{batch}"}, "save_freq=100"),
        ],
    )
    def test_impossible_settings_are_refused(self, arguments, word):
        with pytest.raises(InvalidArgumentError, match=word):
            ModelCheckpoint(**{"filepath": "m", **arguments})
