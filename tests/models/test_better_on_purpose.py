"""Where evenkeel behaves better than its peers, on purpose: one class for each behaviour.

The numbers are those of the list that the design keeps; details of each are tested where the code
is, for example in `tests/callbacks/` and `tests/models/test_bad_input.py`.
"""

from __future__ import annotations

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.callbacks import Callback, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError, InvalidDataError
from evenkeel.layers import Dense

FEATURES, ROWS = 4, 24


@pytest.fixture
def rows(random):
    x = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
    return x, np.arange(ROWS) % 3


def classifier(units=3, activation="softmax", loss="sparse_categorical_crossentropy", **settings):
    model = ek.Sequential(
        [ek.Input(shape=[FEATURES]), Dense(5, activation="relu"), Dense(units, activation)]
    )
    model.compile(settings.pop("optimizer", "sgd"), loss=loss, **settings)
    return model


class NaNAtFirst(Callback):
    """Makes the monitored number of the first epoch NaN, and later ones worse and worse."""

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = float("nan") if epoch == 0 else 1.0 + epoch


class Test1ANaNIsNeverTheBest:
    def test_early_stopping(self, rows):
        model = classifier()
        stopping = EarlyStopping(patience=2, restore_best_weights=True)
        model.fit(*rows, epochs=9, validation_data=rows, callbacks=[NaNAtFirst(), stopping])
        assert (stopping.best, stopping.best_epoch) == (2.0, 1)

    def test_checkpoints(self, rows, tmp_path):
        model = classifier()
        keeper = ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True)
        model.fit(*rows, epochs=4, validation_data=rows, callbacks=[NaNAtFirst(), keeper])
        assert [path.name for path in tmp_path.iterdir()] == ["2.keras"]


class Test2FreezingTakesEffectAtTheNextFit:
    def test_after_compile_and_between_fits(self, rows):
        model = classifier(optimizer=ek.optimizers.SGD(0.1, momentum=0.9))
        model.fit(*rows, verbose=0)
        first, top = model.layers
        for frozen in (True, False, True):
            first.trainable = not frozen
            before = [w.copy() for w in (first.get_weights()[0], top.get_weights()[0])]
            model.fit(*rows, verbose=0)
            assert np.array_equal(before[0], first.get_weights()[0]) == frozen
            assert not np.array_equal(before[1], top.get_weights()[0])

    def test_momenta_of_what_is_still_trained_survive(self, rows):
        model = classifier(optimizer=ek.optimizers.SGD(0.1, momentum=0.9))
        model.fit(*rows, verbose=0)
        kept = np.asarray(model.optimizer.slots["momentum"]["dense_1/kernel"])
        model.layers[0].trainable = False
        from evenkeel.engine.plan import surviving_slots
        from evenkeel.network import named_variables

        trained = named_variables(model, wanted={"trainable": True})
        slots = surviving_slots(model.optimizer, {p: v.value for p, v in trained.items()})
        assert set(slots["momentum"]) == {"dense_1/kernel", "dense_1/bias"}
        np.testing.assert_array_equal(slots["momentum"]["dense_1/kernel"], kept)


class Test3LabelsThatDoNotFitAreNamed:
    def test_a_label_outside_the_units(self, rows):
        x, y = rows
        y = y.copy()
        y[7] = 5
        with pytest.raises(InvalidDataError, match=r"row 7 is 5.*3 units(.|\n)*Dense\(6"):
            classifier().fit(x, y)

    def test_class_numbers_into_one_sigmoid_unit(self, rows):
        model = classifier(1, "sigmoid", "binary_crossentropy")
        with pytest.raises(InvalidDataError, match="sparse_categorical_crossentropy"):
            model.fit(*rows)

    def test_one_hot_into_a_sparse_loss(self, rows):
        x, y = rows
        with pytest.raises(InvalidDataError, match="loss='categorical_crossentropy'"):
            classifier().fit(x, ek.utils.to_categorical(y))


class Test4OutputsThatDoNotSuitTheLossAreWarnedAbout:
    @pytest.mark.parametrize(
        ("units", "activation", "loss", "words"),
        [
            (3, None, "sparse_categorical_crossentropy", "'linear'.*\n.*activation='softmax'"),
            (3, "exponential", "categorical_crossentropy", "'exponential'.*\n.*from_logits=True"),
            (1, None, "binary_crossentropy", "'linear'.*\n.*activation='sigmoid'"),
            (1, "softmax", "binary_crossentropy", r"always 1.*\n.*Dense\(1, activation='sigmoid'"),
            (3, "sigmoid", "sparse_categorical_crossentropy", "'sigmoid'.*\n.*'softmax'"),
            (3, "softmax", ek.losses.SparseCategoricalCrossentropy(from_logits=True), "twice"),
            (3, "softmax", "binary_crossentropy", "each unit on its own.*\n.*'categorical"),
        ],
    )
    def test_before_the_first_step_naming_the_line(self, rows, units, activation, loss, words):
        x, y = rows
        name = getattr(loss, "name", loss)
        if name.startswith("sparse"):
            targets = y
        else:
            targets = ek.utils.to_categorical(y) if units == 3 else y % 2
        model = classifier(units, activation, loss, optimizer=ek.optimizers.SGD(1e-6))
        # Positive outputs, which a loss of probabilities can be computed from.
        model.set_weights([np.abs(w) + 0.1 for w in model.get_weights()])
        x = np.abs(x)
        with pytest.warns(EvenkeelWarning, match=rf"'dense_1'(.|\n)*{words}"):
            model.fit(x, targets, verbose=0)
        model.fit(x, targets, verbose=0)  # said once

    @pytest.mark.parametrize(
        ("units", "activation", "loss"),
        [
            (3, None, ek.losses.SparseCategoricalCrossentropy(from_logits=True)),
            (3, "softmax", "sparse_categorical_crossentropy"),
            (1, None, "mse"),
        ],
    )
    def test_what_suits_is_not(self, rows, units, activation, loss):
        classifier(units, activation, loss).fit(*rows, verbose=0)

    def test_a_softmax_layer_on_top_counts(self, rows):
        model = ek.Sequential([ek.Input(shape=[FEATURES]), Dense(3), ek.layers.Softmax()])
        model.compile("sgd", loss="sparse_categorical_crossentropy")
        model.fit(*rows, verbose=0)

    def test_outputs_of_a_functional_model(self, rows):
        x, y = rows
        first = ek.Input(shape=[FEATURES])
        model = ek.Model(first, [Dense(3, name="logits")(first), Dense(1, name="number")(first)])
        model.compile("sgd", loss=["sparse_categorical_crossentropy", "mse"])
        with pytest.warns(EvenkeelWarning, match="'logits'"):
            model.fit(x, [y, y], verbose=0)


class Test5WhatIsNotFiniteIsFoundBeforeTraining:
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_column_and_rows_are_named(self, rows, value):
        x, y = rows
        x = x.copy()
        x[[3, 9], 2] = value
        model = classifier()
        before = model.get_weights()
        with pytest.raises(InvalidDataError, match=r"column 2, rows 3, 9 \(2 rows"):
            model.fit(x, y)
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


class Test6ReduceLROnPlateauWorksWithASchedule:
    def test_it_scales_the_schedule(self, rows):
        schedule = ek.optimizers.schedules.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.9)
        model = classifier(optimizer=ek.optimizers.SGD(schedule))
        reducer = ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=1e9)
        history = model.fit(*rows, epochs=3, batch_size=ROWS, callbacks=[reducer], verbose=0)
        assert model.optimizer.rate_factor == 0.25
        assert float(model.optimizer.learning_rate) == pytest.approx(0.25 * 0.1 * 0.9**0.3)
        expected = [0.1 * 0.9**0.1, 0.1 * 0.9**0.2, 0.5 * 0.1 * 0.9**0.3]  # while it ran
        assert history.history["learning_rate"] == pytest.approx(expected)


class Test7CallingMovesNothing:
    def test_batch_statistics_move_in_fit_alone(self, rows):
        x, y = rows
        model = ek.Sequential(
            [ek.Input(shape=[FEATURES]), ek.layers.BatchNormalization(), ek.layers.Dropout(0.5),
             Dense(3, activation="softmax")]
        )  # fmt: skip
        model.compile("sgd", loss="sparse_categorical_crossentropy")
        start = model.get_weights()
        samples = [np.asarray(model(x, training=True)) for _ in range(3)]
        assert not np.array_equal(samples[0], samples[1])
        for act in (lambda: model.predict(x), lambda: model.evaluate(x, y, verbose=0)):
            act()
        for old, new in zip(start, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
        model.fit(x, y, verbose=0)
        assert not np.array_equal(start[2], model.get_weights()[2])


class Test10DroppingEverything:
    def test_gives_zeros(self):
        output = np.asarray(ek.layers.Dropout(1.0)(np.ones((3, 8)), training=True))
        np.testing.assert_array_equal(output, np.zeros((3, 8)))

    def test_is_refused_where_nothing_could_be_rescaled(self):
        with pytest.raises(InvalidArgumentError, match=r"AlphaDropout\(rate\): got 1.0"):
            ek.layers.AlphaDropout(1.0)


class Test12RowsSortedByLabelUnderAValidationSplit:
    def test_are_warned_about(self, rows):
        x, y = rows
        with pytest.warns(EvenkeelWarning, match=r"ordered by class(.|\n)*[Ss]huffle"):
            classifier().fit(x, np.sort(y), validation_split=0.25, verbose=0)


class Test13ImpossibleArgumentsFailAtConstruction:
    @pytest.mark.parametrize(
        ("act", "words"),
        [
            (lambda: ek.layers.Conv2D(0, 3), "filters"),
            (lambda: ek.layers.BatchNormalization(momentum=1.5), "momentum"),
            (lambda: ek.regularizers.L2(-0.1), "l2"),
            (lambda: ek.constraints.MaxNorm("two"), "max_value"),
            (lambda: ek.optimizers.Adam(clipnorm=1.0, clipvalue=1.0), "clipnorm"),
            (lambda: ek.callbacks.ReduceLROnPlateau(factor=2.0), "factor"),
            (lambda: ek.optimizers.schedules.ExponentialDecay(0.1, 0, 0.9), "decay_steps"),
        ],
        ids=["filters", "momentum", "l2", "max norm", "clipping", "factor", "decay steps"],
    )
    def test_with_the_allowed_values(self, act, words):
        with pytest.raises(InvalidArgumentError, match=words):
            act()


class TestBesideTheList:
    """What else differs from Keras on purpose, without a number in the list."""

    def test_metrics_come_in_the_order_in_which_they_were_asked_for(self, rows):
        """Keras sorts all but the first by name, so that positions depend on names."""
        model = classifier(1, None, "mse", metrics=["mse", "mae"])
        assert model.metrics_names == ["loss", "mse", "mae"]
        loss, mse, mae = model.evaluate(rows[0], rows[1], verbose=0)
        assert loss == pytest.approx(mse)
        assert mae != mse

    def test_schedules_count_updates_where_several_batches_make_one(self, rows):
        """Keras's schedules count batches there, and end several times too early."""
        schedule = ek.optimizers.schedules.PiecewiseConstantDecay([1], [0.0, 1.0])
        optimizer = ek.optimizers.SGD(schedule, gradient_accumulation_steps=2)
        model = classifier(optimizer=optimizer)
        start = model.get_weights()
        for updates in (1, 2, 3):
            for _ in range(2):
                model.train_on_batch(*rows)
            moved = not np.array_equal(start[0], model.get_weights()[0])
            assert moved == (updates == 3)

    def test_what_regularizers_add_is_a_number_of_its_own(self, rows):
        x = ek.Input(shape=[FEATURES])
        model = ek.Model(x, Dense(1, kernel_regularizer=ek.regularizers.L2(0.5))(x))
        model.compile("sgd", loss="mse")
        kernel = model.get_weights()[0]
        logs = model.evaluate(*rows, verbose=0, return_dict=True)
        assert logs["penalty"] == pytest.approx(0.5 * np.sum(kernel**2), rel=1e-5)
        assert isinstance(model.evaluate(*rows, verbose=0), float)


class Test16OneSeedMakesOneRun:
    def test_bit_for_bit(self, rows):
        runs = []
        for _ in range(2):
            ek.set_random_seed(8)
            layers = [
                ek.Input(shape=[FEATURES]),
                Dense(6, activation="selu"),
                ek.layers.AlphaDropout(0.3),
                ek.layers.BatchNormalization(),
                ek.layers.GaussianNoise(0.1),
                Dense(3, activation="softmax"),
            ]
            model = ek.Sequential(layers)
            model.compile("nadam", loss="sparse_categorical_crossentropy")
            history = model.fit(*rows, epochs=3, batch_size=5, verbose=0)
            runs.append(([w.tobytes() for w in model.get_weights()], history.history))
        assert runs[0] == runs[1]
