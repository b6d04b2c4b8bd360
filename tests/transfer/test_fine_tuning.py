"""`transfer.fine_tune`: stages, what stays frozen, what is kept, going on after a break."""

from __future__ import annotations

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.callbacks import Callback, CSVLogger
from evenkeel.errors import (
    FileRefusedError,
    InvalidArgumentError,
    InvalidDataError,
    NotCompiledError,
)
from evenkeel.layers import BatchNormalization, Dense, Dropout
from evenkeel.optimizers.schedules import ExponentialDecay, OneCycle
from evenkeel.transfer import fine_tune

ROWS = np.random.Generator(np.random.Philox(3)).normal(size=(40, 4)).astype(np.float32)
LABELS = (ROWS.sum(axis=1) > 0).astype(np.float32)
DATA = {"x": ROWS[:24], "y": LABELS[:24], "validation_data": (ROWS[24:], LABELS[24:])}
# What compiled programs depend on; the tests that share a network share these.
SETTINGS = {**DATA, "batch_size": 8, "layer_rate_decay": 0.5, "verbose": 0}


def network(optimizer=None):
    ek.set_random_seed(11)
    layers = [Dense(6, "relu", input_shape=[4]), BatchNormalization(), Dense(5, "relu")]
    model = ek.Sequential([*layers, Dropout(0.25), Dense(1, "sigmoid")])
    model.compile(optimizer or ek.optimizers.Adam(0.01), "binary_crossentropy", metrics=["mae"])
    return model


def small(optimizer="sgd"):
    model = ek.Sequential([Dense(3, "relu", input_shape=[4]), Dense(1, "sigmoid")])
    model.compile(optimizer, "binary_crossentropy")
    return model


@pytest.fixture(scope="module")
def compiled():
    """A network whose programs many tests use, and its first weights."""
    model = network()
    return model, model.get_weights()


@pytest.fixture
def model(compiled):
    """The same network as if it were new."""
    model, weights = compiled
    model.set_weights(weights)
    ek.set_random_seed(12)
    return model


class Watch(Callback):
    """Notes, after each epoch, the stage, the weights, and how the optimizer goes."""

    def __init__(self):
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        optimizer = self.model.optimizer
        self.seen.append(
            {
                "stage": logs["stage"],
                "epoch": epoch,
                "weights": self.model.get_weights(),
                "rate": float(optimizer.learning_rate),
                "multipliers": optimizer.rate_multipliers,
                "steps": optimizer.iterations,
            }
        )


@pytest.fixture(scope="module")
def run(compiled):
    """One run through all stages, which many tests look at, and the weights it ended with."""
    model, before = compiled
    model.set_weights(before)
    ek.set_random_seed(12)
    watch = Watch()
    tuning = fine_tune(model, **SETTINGS, epochs=(3, 2), callbacks=[watch])
    return model.get_weights(), before, watch.seen, tuning


class TestStages:
    def test_the_first_stage_trains_the_head_and_leaves_the_rest_to_the_bit(self, run):
        """Moving averages of the frozen batch normalization included: they are weights 4 and 5."""
        _, before, seen, _ = run
        for epoch in (e for e in seen if e["stage"] == 1):
            for number, weight in enumerate(epoch["weights"]):
                is_same = weight.tobytes() == before[number].tobytes()
                assert is_same == (number < 8), number

    def test_the_next_stage_unfreezes_the_top_reused_layer(self, run):
        _, before, seen, _ = run
        for epoch in (e for e in seen if e["stage"] == 2):
            for number, weight in enumerate(epoch["weights"]):
                is_same = weight.tobytes() == before[number].tobytes()
                assert is_same == (number < 6), number

    def test_the_last_one_unfreezes_all_and_the_batch_normalization_learns_again(self, run):
        _, before, seen, _ = run
        last = seen[-1]
        assert last["stage"] == 3
        for number, weight in enumerate(last["weights"]):
            assert weight.tobytes() != before[number].tobytes(), number

    def test_every_stage_is_reported(self, run):
        _, _, seen, tuning = run
        titles = [stage.title for stage in tuning.stages]
        assert titles == [
            "reused layers frozen",
            "dense_1 unfrozen",
            "dense, dense_1 unfrozen",
        ]
        assert [stage.epochs for stage in tuning.stages] == [3, 2, 2]
        assert [stage.parameters for stage in tuning.stages] == [6, 41, 83]
        assert all(title in str(tuning) for title in titles)
        assert tuning.best == min(stage.best for stage in tuning.stages)
        assert len(seen) == 7

    def test_rates_fall_from_stage_to_stage_and_from_layer_to_layer(self, run):
        """0.01 and a tenth of it; half from the head to dense_1, half again to dense."""
        _, _, seen, tuning = run
        assert [e["rate"] for e in seen] == pytest.approx([0.01] * 3 + [0.001] * 4)
        assert [stage.rate for stage in tuning.stages] == pytest.approx([0.01, 0.001, 0.001])
        assert seen[0]["multipliers"] == {}
        assert seen[-1]["multipliers"] == {
            **{f"^dense_1/{name}$": 0.5 for name in ("kernel", "bias")},
            **{f"^dense/{name}$": 0.25 for name in ("kernel", "bias")},
            **{
                f"^batch_normalization/{name}$": 0.25
                for name in ("gamma", "beta", "moving_mean", "moving_variance")
            },
        }

    def test_each_stage_begins_from_the_best_weights_with_a_fresh_optimizer(self, run):
        _, _, seen, _ = run
        assert [e["steps"] for e in seen] == [3, 6, 9, 3, 6, 3, 6]

    def test_all_epochs_are_in_one_history_with_their_stage(self, run):
        *_, seen, tuning = run
        history = tuning.history
        assert history.epoch == list(range(7)) == [e["epoch"] for e in seen]
        assert history.history["stage"] == [1, 1, 1, 2, 2, 3, 3]
        assert len(history.history["val_mae"]) == 7

    def test_the_model_has_the_best_weights_of_all_stages(self, run):
        weights, _, seen, tuning = run
        values = tuning.history.history["val_loss"]
        best = seen[int(np.argmin(values))]
        for weight, expected in zip(weights, best["weights"], strict=True):
            np.testing.assert_array_equal(weight, expected)
        assert tuning.best == min(values)
        assert tuning.best_stage.best_epoch == int(np.argmin(values))

    def test_afterwards_flags_and_rate_are_what_they_were(self, run):
        model = run[-1].model
        assert all(layer.trainable for layer in model.layers)
        assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
        assert model.optimizer.rate_multipliers == {}


class TestEndings:
    def test_a_stage_ends_when_patience_is_over_and_the_first_without_gain_is_the_last(self, model):
        """No value beats the first one by 1e9."""
        tuning = fine_tune(model, **SETTINGS, epochs=9, min_delta=1e9, patience=1)
        assert [stage.epochs for stage in tuning.stages] == [2, 2]
        assert [stage.gained for stage in tuning.stages] == [True, False]
        assert tuning.best_stage is tuning.stages[0]
        assert tuning.best_stage.best_epoch == 0
        assert "Stage 2 (dense_1 unfrozen) gained nothing" in tuning.ending

    def test_the_epochs_of_all_stages_together_can_be_limited(self, model):
        tuning = fine_tune(model, **SETTINGS, epochs=2, total_epochs=3)
        assert [stage.epochs for stage in tuning.stages] == [2, 1]
        assert "3 epochs were used up" in tuning.ending

    def test_a_run_that_breaks_keeps_the_best_finite_weights(self, model):
        class Poison(Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 2:
                    self.model.set_weights([w * np.nan for w in self.model.get_weights()])

        with pytest.warns(ek.errors.EvenkeelWarning, match="infinite or not a number"):
            tuning = fine_tune(model, **SETTINGS, epochs=2, callbacks=[Poison()])
        assert tuning.stages[-1].outcome == "NOT_FINITE"
        assert tuning.stages[-1].best is None
        assert tuning.best_stage is tuning.stages[0]
        assert all(np.isfinite(weight).all() for weight in model.get_weights())
        assert "not finite" in str(tuning)


class Break(Callback):
    """Ends a run the hard way, once, at the end of an epoch or within it."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.epoch = None
            raise KeyboardInterrupt


class TestGoingOn:
    @pytest.mark.parametrize("epoch", [1, 3, 4], ids=["in stage 1", "between", "in stage 2"])
    def test_a_run_that_broke_off_ends_with_the_same_bits(self, model, run, tmp_path, epoch):
        weights, _, _, expected = run
        backup = tmp_path / "folder" / "backup"
        arguments = {**SETTINGS, "epochs": (3, 2), "backup": backup}
        with pytest.raises(KeyboardInterrupt):
            fine_tune(model, **arguments, callbacks=[Break(epoch)])
        assert all(layer.trainable for layer in model.layers)
        # Neither what the network holds by then nor what else was drawn matters.
        model.set_weights([weight * 0 for weight in weights])
        model.optimizer.slots = None
        ek.set_random_seed(99)
        tuning = fine_tune(model, **arguments)
        assert tuning.stages == expected.stages
        assert tuning.history.history == expected.history.history
        for weight, same in zip(model.get_weights(), weights, strict=True):
            assert weight.tobytes() == same.tobytes()
        assert not backup.exists()

    def test_the_backup_of_another_run_is_refused_by_what_differs(self, model, tmp_path):
        backup = tmp_path / "backup"
        with pytest.raises(KeyboardInterrupt):
            fine_tune(model, **SETTINGS, backup=backup, callbacks=Break(1))
        with pytest.raises(FileRefusedError, match=r"its patience was 5, and this call has 4"):
            fine_tune(model, **SETTINGS, backup=backup, patience=4)

    def test_another_file_in_its_place_is_refused_and_left_alone(self, model, tmp_path):
        model.save(tmp_path / "model")
        content = (tmp_path / "model").read_bytes()
        with pytest.raises(FileRefusedError, match="no backup"):
            fine_tune(model, **SETTINGS, backup=tmp_path / "model")
        assert (tmp_path / "model").read_bytes() == content


class TestWhatIsShown:
    def test_every_line_names_the_stage_and_a_csv_file_has_it(self, model, capsys, tmp_path):
        logger = CSVLogger(tmp_path / "log.csv", append=True)
        arguments = {**SETTINGS, "verbose": 2}
        fine_tune(model, **arguments, epochs=1, total_epochs=2, callbacks=logger)
        lines = [line for line in capsys.readouterr().out.splitlines() if "Epoch" in line]
        assert [line.split("  ")[0] for line in lines] == [
            "Stage 1/3 (reused layers frozen)",
            "Stage 2/3 (dense_1 unfrozen)",
        ]
        header, *rows = (tmp_path / "log.csv").read_text().splitlines()
        assert "stage" in header
        assert len(rows) == 2


class TestWhoIsTouched:
    def test_layers_inside_a_frozen_network_are_unfrozen_one_by_one(self):
        ek.set_random_seed(1)
        base = ek.Sequential([Dense(2, "relu", input_shape=[4]), Dense(2, "relu")], name="base")
        model = ek.Sequential([base, Dense(1, "sigmoid")])
        base.trainable = False
        model.compile("sgd", "binary_crossentropy")
        watch = Watch()
        fine_tune(model, **DATA, epochs=1, total_epochs=2, callbacks=watch, verbose=0)
        first, second = (epoch["weights"] for epoch in watch.seen)
        same = [a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True)]
        assert same == [True, True, False, False, False, False]
        assert not base.trainable

    def test_layers_frozen_beforehand_that_are_not_reused_stay_frozen(self):
        model = network()
        model.layers[2].trainable = False
        before = model.layers[2].get_weights()
        fine_tune(model, **DATA, reused=1, epochs=1, total_epochs=1, verbose=0)
        for weight, same in zip(model.layers[2].get_weights(), before, strict=True):
            assert weight.tobytes() == same.tobytes()
        assert not model.layers[2].trainable


class TestRefusals:
    def test_a_model_that_was_not_compiled(self):
        model = ek.Sequential([Dense(2, input_shape=[4]), Dense(1)])
        with pytest.raises(NotCompiledError, match="compile"):
            fine_tune(model, **DATA)

    def test_no_validation_data(self):
        with pytest.raises(InvalidArgumentError, match=r"validation_split=0\.25"):
            fine_tune(network(), ROWS, LABELS)

    def test_a_network_of_one_layer(self):
        model = ek.Sequential([Dense(1, input_shape=[4])])
        model.compile("sgd", "mse")
        with pytest.raises(InvalidArgumentError, match=r"transfer\.reuse"):
            fine_tune(model, **DATA)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"reused": 3}, "integer from 1 to 2"),
            ({"reused": ["dense_9"]}, "Did you mean 'dense_2'"),
            ({"reused": ["dense", "dense_1", "dense_2"]}, "one that is new"),
            ({"unfreeze": 0}, "unfreeze"),
            ({"epochs": ()}, "one value a stage"),
            ({"epochs": (3, 0)}, "epochs"),
            ({"rate_factors": (1, 0)}, "rate_factors"),
            ({"layer_rate_decay": 1.5}, "layer_rate_decay"),
            ({"patience": 0}, "patience"),
            ({"total_epochs": 0}, "total_epochs"),
            ({"mode": "up"}, "mode"),
            ({"verbose": 7}, "verbose"),
            ({"bach_size": 3}, "Did you mean 'batch_size'"),
        ],
        ids=str,
    )
    def test_impossible_arguments_before_anything_is_trained(self, arguments, message):
        model = network()
        before = model.get_weights()
        with pytest.raises(InvalidArgumentError, match=message):
            fine_tune(model, **DATA, **arguments)
        for weight, same in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(weight, same)

    def test_a_head_that_is_frozen_itself(self):
        model = network()
        model.layers[-1].trainable = False
        with pytest.raises(InvalidArgumentError, match=r"get_layer\('dense_2'\).trainable = True"):
            fine_tune(model, **DATA)

    def test_a_schedule_as_long_as_the_run(self):
        with pytest.raises(InvalidArgumentError, match="a schedule in steps"):
            fine_tune(network(ek.optimizers.SGD(OneCycle.linear(0.1))), **DATA)

    def test_labels_that_the_head_has_no_unit_for(self):
        """And the flags are put back all the same."""
        layers = [Dense(4, input_shape=[4]), Dense(2, "softmax")]
        model = ek.Sequential(layers)
        model.compile("sgd", "sparse_categorical_crossentropy")
        three = np.arange(24) % 3
        with pytest.raises(InvalidDataError, match=r"from 0 to 1.*\n.*Dense\(3"):
            fine_tune(model, ROWS[:24], three, validation_data=(ROWS[:24], three))
        assert all(layer.trainable for layer in model.layers)


def test_a_schedule_in_steps_begins_anew_with_each_stage_scaled_by_its_factor():
    """0.1 · 0.5^t after t = 1, 2 steps; a tenth of it in the second stage."""
    watch = Watch()
    model = small(ek.optimizers.SGD(ExponentialDecay(0.1, 1, 0.5)))
    fine_tune(model, **DATA, epochs=2, callbacks=watch, verbose=0)
    assert [e["rate"] for e in watch.seen] == pytest.approx([0.05, 0.025, 0.005, 0.0025])
    assert model.optimizer.rate_factor == 1.0
