"""What an epoch computes: every row once, weighted as told, and the same numbers as by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from jax import monitoring
from sklearn import metrics as sklearn_metrics

import evenkeel as ek
from evenkeel.engine.outcome import Outcome
from evenkeel.errors import EvenkeelWarning
from evenkeel.layers import Dense
from evenkeel.optimizers import SGD

ROWS, FEATURES = 22, 3


@pytest.fixture
def data(random):
    x = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
    y = (x @ np.array([1.0, -2.0, 0.5]) + 0.3).astype(np.float32)
    return x, y[:, None]


def linear(units=1, optimizer=None, loss="mse", **arguments):
    """The smallest network: x · kernel + bias."""
    model = ek.Sequential([Dense(units, input_shape=[FEATURES])])
    model.compile(optimizer or SGD(0.1), loss, **arguments)
    return model


def numpy_sgd(weights, x, y, *, rate=0.1, batch_size=8, epochs=1, weight=None):
    """Plain gradient descent on a linear model in float64, and each epoch's mean loss."""
    kernel, bias = (np.array(w, np.float64) for w in weights)
    weight = np.ones(len(x)) if weight is None else weight
    losses = []
    for _ in range(epochs):
        total = 0.0
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            w = weight[start : start + batch_size, None]
            error = xb @ kernel + bias - yb
            total += np.sum(w * error**2)
            gradient = 2 * w * error / len(xb)
            kernel, bias = kernel - rate * xb.T @ gradient, bias - rate * gradient.sum(0)
        losses.append(total / len(x))
    return [kernel, bias], losses


def close(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


class TestPartialBatch:
    def test_every_row_is_used_and_counts_the_same_in_the_loss(self, data):
        """22 rows in batches of 8: the last one holds 6. Reference: `numpy_sgd`."""
        model = linear()
        expected, losses = numpy_sgd(model.get_weights(), *data, epochs=3)
        history = model.fit(*data, batch_size=8, epochs=3, shuffle=False, verbose=0)
        close(model.get_weights(), expected)
        np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-5)
        assert model.optimizer.iterations == 9

    def test_a_batch_larger_than_the_data_is_the_whole_data(self, data):
        model = linear()
        expected, _ = numpy_sgd(model.get_weights(), *data, batch_size=ROWS)
        model.fit(*data, batch_size=1000, verbose=0)
        close(model.get_weights(), expected)

    def test_the_default_batch_has_32_rows(self, random):
        x = random.normal(size=(64, FEATURES)).astype(np.float32)
        model = linear()
        history = model.fit(x, x[:, 0], verbose=0)
        assert history.params["batch_size"] == 32
        assert model.optimizer.iterations == 2

    def test_shuffling_uses_every_row_once_an_epoch(self, data):
        """At rate 0 the loss of an epoch is the mean over its rows, in any order."""
        model = linear(optimizer=SGD(0.0))
        expected = np.mean((data[0] @ model.get_weights()[0] - data[1]) ** 2)
        history = model.fit(*data, batch_size=8, epochs=3, verbose=0)
        np.testing.assert_allclose(history.history["loss"], [expected] * 3, rtol=1e-5)


_compilations: list[str] = []


def _note(event, duration, **details):
    if event.endswith("backend_compile_duration"):
        _compilations.append(details.get("fun_name") or event)


monitoring.register_event_duration_secs_listener(_note)


class TestCompilations:
    """Counted by JAX's own events. Small helper programs are compiled once for a process, so
    each count comes after a run of a twin, which leaves only the model's own programs.
    """

    def count(self, act):
        _compilations.clear()
        act()
        return len(_compilations)

    def model(self):
        return linear(optimizer=SGD(0.1, momentum=0.5), metrics=["mae"])

    def test_one_program_for_full_batches_and_one_for_the_partial_one(self, data):
        self.model().fit(*data, batch_size=8, epochs=2, verbose=0)
        model = self.model()
        assert self.count(lambda: model.fit(*data, batch_size=8, epochs=1, verbose=0)) == 2
        assert self.count(lambda: model.fit(*data, batch_size=8, epochs=3, verbose=0)) == 0

    def test_without_a_partial_batch_there_is_one_program(self, data):
        self.model().fit(*data, batch_size=11, verbose=0)
        model = self.model()
        assert self.count(lambda: model.fit(*data, batch_size=11, epochs=3, verbose=0)) == 1

    def test_validation_is_compiled_once(self, data):
        def fit(model, epochs):
            model.fit(*data, batch_size=11, epochs=epochs, validation_data=data, verbose=0)

        fit(self.model(), 1)
        model = self.model()
        assert self.count(lambda: fit(model, 2)) == 2
        assert self.count(lambda: fit(model, 2)) == 0

    def test_a_changed_learning_rate_compiles_nothing(self, data):
        model = self.model()
        model.fit(*data, batch_size=11, verbose=0)
        model.optimizer.learning_rate = 0.001
        assert self.count(lambda: model.fit(*data, batch_size=11, verbose=0)) == 0

    def test_freezing_back_and_forth_compiles_once_each(self, data):
        model = linear()
        layer = model.layers[0]

        def fit(trainable):
            layer.bias.trainable = trainable
            model.fit(*data, batch_size=11, verbose=0)

        fit(True)
        fit(False)
        assert self.count(lambda: (fit(True), fit(False), fit(True))) == 0

    def test_predicting_sizes_share_programs_up_to_a_power_of_two(self, data):
        model = linear()
        model.predict(data[0][:5])
        assert self.count(lambda: [model.predict(data[0][:n]) for n in (5, 6, 7, 8)]) == 0


class TestWeights:
    def test_sample_weights_scale_each_rows_gradient(self, data, random):
        """The loss is the weighted sum over the number of rows, as in Keras."""
        weight = random.uniform(0, 3, size=ROWS)
        model = linear()
        expected, losses = numpy_sgd(model.get_weights(), *data, epochs=2, weight=weight)
        history = model.fit(
            *data, batch_size=8, epochs=2, shuffle=False, sample_weight=weight, verbose=0
        )
        close(model.get_weights(), expected)
        np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-5)

    def test_weight_two_is_the_row_twice(self, data):
        """In one batch at half the rate: 2 g / n = 2 (g + g) / (2n)."""
        weight = np.full(ROWS, 2.0)
        one, two = linear(), linear(optimizer=SGD(0.2))
        two.set_weights(one.get_weights())
        one.fit(*data, batch_size=ROWS, sample_weight=weight, verbose=0)
        two.fit(*(np.repeat(d, 2, axis=0) for d in data), batch_size=2 * ROWS, verbose=0)
        close(one.get_weights(), two.get_weights())

    def test_weight_zero_takes_a_row_out_of_the_gradient(self, data):
        weight = np.ones(ROWS)
        weight[10:] = 0
        one, two = linear(), linear(optimizer=SGD(0.1 * 10 / ROWS))
        two.set_weights(one.get_weights())
        one.fit(*data, batch_size=ROWS, sample_weight=weight, verbose=0)
        two.fit(*(d[:10] for d in data), batch_size=ROWS, verbose=0)
        close(one.get_weights(), two.get_weights())

    def test_class_weights_are_sample_weights_by_class(self, data):
        labels = (data[1][:, 0] > 0).astype(np.int64)
        by_class = {0: 0.5, 1: 3.0}
        one, two = (
            linear(2, loss=ek.losses.SparseCategoricalCrossentropy(from_logits=True))
            for _ in range(2)
        )
        two.set_weights(one.get_weights())
        one.fit(data[0], labels, batch_size=11, shuffle=False, class_weight=by_class, verbose=0)
        weight = np.where(labels == 1, 3.0, 0.5)
        two.fit(data[0], labels, batch_size=11, shuffle=False, sample_weight=weight, verbose=0)
        close(one.get_weights(), two.get_weights())

    def test_class_weights_take_the_hand_computed_step(self, data):
        """Softmax regression: the gradient of a row's loss by its logits is p - onehot."""
        labels = (data[1][:, 0] > 0).astype(np.int64)
        model = linear(2, loss=ek.losses.SparseCategoricalCrossentropy(from_logits=True))
        kernel, bias = model.get_weights()
        logits = data[0] @ kernel + bias
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        gradient = np.where(labels == 1, 3.0, 1.0)[:, None] * (p - np.eye(2)[labels]) / ROWS
        model.fit(data[0], labels, batch_size=ROWS, class_weight={1: 3.0}, verbose=0)
        close(
            model.get_weights(),
            [kernel - 0.1 * data[0].T @ gradient, bias - 0.1 * gradient.sum(axis=0)],
        )

    def test_sample_and_class_weights_multiply(self, data):
        labels = (data[1][:, 0] > 0).astype(np.float32)
        weight = np.linspace(0.1, 2, ROWS)
        one, two = linear(), linear()
        two.set_weights(one.get_weights())
        one.fit(
            data[0], labels, batch_size=ROWS, sample_weight=weight, class_weight={0: 4.0}, verbose=0
        )
        product = weight * np.where(labels == 0, 4.0, 1.0)
        two.fit(data[0], labels, batch_size=ROWS, sample_weight=product, verbose=0)
        close(one.get_weights(), two.get_weights())

    def test_a_third_part_of_validation_data_weighs_its_rows(self, data, random):
        weight = random.uniform(0, 2, size=ROWS)
        model = linear(metrics=["mae"])
        history = model.fit(
            *data, batch_size=11, validation_data=(*data, weight), verbose=0
        ).history
        scores = model.evaluate(*data, sample_weight=weight, return_dict=True)
        assert scores == {"loss": history["val_loss"][0], "mae": history["val_mae"][0]}


class TestEvaluation:
    def test_validation_logs_are_what_evaluate_returns(self, data):
        model = linear(metrics=["mae", "r2"])
        history = model.fit(*data, batch_size=11, validation_data=data, verbose=0).history
        scores = model.evaluate(*data, return_dict=True)
        assert scores == {name: history[f"val_{name}"][-1] for name in ("loss", "mae", "r2")}

    def test_validation_split_keeps_the_last_rows_back(self, data):
        """A quarter of 22 rows is 5.5: 6 rows, rounded up as in Keras, are validated on."""
        model = linear()
        expected, _ = numpy_sgd(model.get_weights(), data[0][:16], data[1][:16])
        history = model.fit(
            *data, batch_size=8, validation_split=0.25, shuffle=False, verbose=0
        ).history
        close(model.get_weights(), expected)
        assert model.evaluate(data[0][16:], data[1][16:]) == history["val_loss"][0]

    def test_validation_freq_skips_epochs(self, data):
        history = linear().fit(
            *data, batch_size=11, epochs=5, validation_data=data, validation_freq=2, verbose=0
        )
        assert len(history.history["loss"]) == 5
        assert len(history.history["val_loss"]) == 2

    def test_evaluate_and_predict_do_not_depend_on_the_batch_size(self, data):
        model = linear(metrics=["mae"])
        whole, outputs = model.evaluate(*data), model.predict(data[0])
        for size in (1, 7, ROWS, 100):
            np.testing.assert_allclose(model.evaluate(*data, batch_size=size), whole, rtol=1e-6)
            np.testing.assert_allclose(
                model.predict(data[0], batch_size=size), outputs, rtol=1e-6, atol=1e-7
            )

    def test_evaluate_returns_a_number_a_list_or_a_dict(self, data):
        plain, measured = linear(), linear(metrics=["mae"])
        assert isinstance(plain.evaluate(*data), float)
        assert list(measured.evaluate(*data, return_dict=True)) == ["loss", "mae"]
        assert measured.evaluate(*data) == list(measured.evaluate(*data, return_dict=True).values())

    def test_evaluating_changes_nothing(self, data):
        model = linear(optimizer="adam")
        before = model.get_weights()
        model.evaluate(*data)
        model.predict(data[0])
        assert all((a == b).all() for a, b in zip(model.get_weights(), before, strict=True))
        assert model.optimizer.iterations == 0

    def test_classification_metrics_are_scikit_learns(self, random):
        x = random.normal(size=(50, FEATURES)).astype(np.float32)
        y = (x[:, 0] + random.normal(size=50) > 0).astype(np.int64)
        model = ek.Sequential([Dense(1, activation="sigmoid", input_shape=[FEATURES])])
        model.compile("sgd", "binary_crossentropy", metrics=["accuracy", "precision", "recall"])
        scores = model.evaluate(x, y, batch_size=16, return_dict=True)
        p = model.predict(x)[:, 0].astype(np.float64)
        assert scores == pytest.approx(
            {
                "loss": sklearn_metrics.log_loss(y, p),
                "accuracy": sklearn_metrics.accuracy_score(y, p > 0.5),
                "precision": sklearn_metrics.precision_score(y, p > 0.5),
                "recall": sklearn_metrics.recall_score(y, p > 0.5),
            },
            rel=1e-5,
        )

    def test_regression_metrics_over_batches_are_scikit_learns(self, data):
        model = linear(metrics=["mae", "rmse", "r2"])
        scores = model.evaluate(*data, batch_size=8, return_dict=True)
        p = model.predict(data[0])
        squared = sklearn_metrics.mean_squared_error(data[1], p)
        assert scores == pytest.approx(
            {
                "loss": squared,
                "mae": sklearn_metrics.mean_absolute_error(data[1], p),
                "rmse": np.sqrt(squared),
                "r2": sklearn_metrics.r2_score(data[1], p),
            },
            rel=1e-4,
        )


class TestFreezing:
    def two_layers(self, optimizer="adam"):
        model = ek.Sequential([Dense(3, input_shape=[FEATURES]), Dense(1)])
        model.compile(optimizer, "mse")
        return model

    def test_freezing_after_compile_takes_effect_at_the_next_fit(self, data):
        model = self.two_layers()
        first, second = model.layers
        model.fit(*data, batch_size=11, verbose=0)
        first.trainable = False
        frozen, free = first.get_weights(), second.get_weights()
        model.fit(*data, batch_size=11, epochs=2, verbose=0)
        assert all(
            a.tobytes() == b.tobytes() for a, b in zip(first.get_weights(), frozen, strict=True)
        )
        assert not np.array_equal(second.get_weights()[0], free[0])
        first.trainable = True
        model.fit(*data, batch_size=11, verbose=0)
        assert not np.array_equal(first.get_weights()[0], frozen[0])

    def test_the_slots_of_what_is_still_trained_survive(self, data):
        """One Adam step with surviving slots, by hand, from the slots before it."""
        model = self.two_layers()
        model.fit(*data, batch_size=11, epochs=3, verbose=0)
        name = next(n for n in model.optimizer.slots["momentum"] if n.endswith("dense_1/kernel"))
        before = np.array(model.optimizer.slots["momentum"][name])
        model.layers[0].trainable = False
        model.optimizer.learning_rate = 0.0
        model.fit(*data, batch_size=ROWS, verbose=0)
        hidden = data[0] @ model.layers[0].kernel.numpy() + model.layers[0].bias.numpy()
        error = model.predict(data[0]) - data[1]
        gradient = 2 * hidden.T @ error / ROWS
        np.testing.assert_allclose(
            np.array(model.optimizer.slots["momentum"][name]),
            0.9 * before + 0.1 * gradient,
            rtol=1e-4,
            atol=1e-6,
        )
        assert model.optimizer.iterations == 7

    def test_a_frozen_model_inside_another_is_frozen_whole(self, data):
        inner = ek.Sequential([Dense(3, input_shape=[FEATURES]), Dense(2)])
        model = ek.Sequential([inner, Dense(1)])
        inner.trainable = False
        model.compile("sgd", "mse")
        before = inner.get_weights()
        model.fit(*data, batch_size=11, verbose=0)
        assert all((a == b).all() for a, b in zip(inner.get_weights(), before, strict=True))
        assert [v.shape for v in model.trainable_weights] == [(2, 1), (1,)]

    def test_training_one_of_two_models_that_share_layers_changes_both(self, data):
        shared = Dense(3, input_shape=[FEATURES])
        one = ek.Sequential([shared, Dense(1)])
        two = ek.Sequential([shared, Dense(1)])
        two.compile("sgd", "mse")
        before, top = one.predict(data[0]), one.layers[1].get_weights()
        two.fit(*data, batch_size=11, verbose=0)
        assert not np.allclose(one.predict(data[0]), before)
        assert all((a == b).all() for a, b in zip(one.layers[1].get_weights(), top, strict=True))


class Stream:
    """An iterable of batches that is no list, and can be iterated many times."""

    def __init__(self, batches):
        self._batches = batches

    def __iter__(self):
        return iter(self._batches)


class TestStreams:
    """Batches from elsewhere train like the arrays they were cut from."""

    def batches(self, data, size=8):
        return [
            (data[0][i : i + size], data[1][i : i + size]) for i in range(0, len(data[0]), size)
        ]

    def expected(self, data, model, epochs=2):
        weights, losses = numpy_sgd(model.get_weights(), *data, epochs=epochs)
        return weights, {"loss": pytest.approx(losses, rel=1e-5)}

    def test_a_list_of_batches(self, data):
        model = linear()
        weights, history = self.expected(data, model)
        assert model.fit(self.batches(data), epochs=2, verbose=0).history == history
        close(model.get_weights(), weights)

    def test_an_endless_generator_with_steps_per_epoch(self, data):
        def endless():
            while True:
                yield from self.batches(data)

        model = linear()
        weights, history = self.expected(data, model)
        fitted = model.fit(endless(), epochs=2, steps_per_epoch=3, verbose=0)
        assert fitted.history == history
        close(model.get_weights(), weights)

    def test_a_generator_is_asked_for_no_more_than_is_used(self, data):
        taken = []

        def counted():
            for batch in self.batches(data) * 4:
                taken.append(len(taken))
                yield batch

        linear().fit(counted(), epochs=2, steps_per_epoch=3, verbose=0)
        assert len(taken) == 6

    def test_a_used_up_generator_says_so(self, data):
        with pytest.raises(ek.errors.InvalidDataError, match="steps_per_epoch"):
            linear().fit(iter(self.batches(data)), epochs=2, verbose=0)

    def test_a_third_part_weighs_the_rows(self, data, random):
        weight = random.uniform(0, 2, size=ROWS).astype(np.float32)
        parts = [(*b, weight[8 * i : 8 * i + 8]) for i, b in enumerate(self.batches(data))]
        model = linear()
        expected, _ = numpy_sgd(model.get_weights(), *data, weight=weight)
        model.fit(parts, verbose=0)
        close(model.get_weights(), expected)

    def test_class_weights_apply_also_to_batches_that_lack_a_class(self, data):
        labels = np.repeat([0.0, 1.0], 11).astype(np.float32)
        model, twin = linear(), linear()
        twin.set_weights(model.get_weights())
        parts = self.batches((data[0], labels), size=11)
        model.fit(parts, class_weight={0: 0.5, 1: 2.0}, verbose=0)
        weight = np.where(labels == 1, 2.0, 0.5)
        twin.fit(data[0], labels, batch_size=11, shuffle=False, sample_weight=weight, verbose=0)
        close(model.get_weights(), twin.get_weights())

    def test_validation_and_evaluation_take_batches_too(self, data):
        stream = Stream(self.batches(data))
        model = linear()
        history = model.fit(*data, batch_size=11, validation_data=stream, verbose=0).history
        assert history["val_loss"][0] == pytest.approx(model.evaluate(stream), rel=1e-6)
        assert model.evaluate(stream) == pytest.approx(model.evaluate(*data), rel=1e-5)

    def test_a_torch_data_loader(self, data):
        torch = pytest.importorskip("torch")
        dataset = torch.utils.data.TensorDataset(*(torch.from_numpy(part) for part in data))
        model = linear()
        weights, history = self.expected(data, model)
        loader = torch.utils.data.DataLoader(dataset, batch_size=8)
        assert model.fit(loader, epochs=2, verbose=0).history == history
        close(model.get_weights(), weights)

    def test_a_data_frame_and_a_memory_map_train_like_arrays(self, data, tmp_path):
        pandas = pytest.importorskip("pandas")
        np.save(tmp_path / "x.npy", data[0])
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        frame = pandas.DataFrame(data[0], columns=["a", "b", "c"])
        results = []
        model = linear()
        start = model.get_weights()
        for x, y in ((data[0], data[1]), (mapped, data[1]), (frame, pandas.Series(data[1][:, 0]))):
            model.set_weights(start)
            model.fit(x, y, batch_size=11, shuffle=False, verbose=0)
            results.append(model.get_weights())
        for other in results[1:]:
            assert all((a == b).all() for a, b in zip(other, results[0], strict=True))


class TestBookkeeping:
    def test_initial_epoch_goes_on_counting(self, data):
        model = linear()
        expected, losses = numpy_sgd(model.get_weights(), *data, batch_size=11, epochs=2)
        history = model.fit(
            *data, batch_size=11, epochs=5, initial_epoch=3, shuffle=False, verbose=0
        )
        assert history.epoch == [3, 4]
        assert history.history["loss"] == pytest.approx(losses, rel=1e-5)
        close(model.get_weights(), expected)

    def test_history_says_what_was_run(self, data):
        model = linear(metrics=["mae"])
        history = model.fit(*data, batch_size=11, epochs=2, verbose=0)
        assert list(history.history) == ["loss", "mae"]
        assert history.epoch == [0, 1]
        assert history.outcome is Outcome.COMPLETED
        assert history.params["epochs"] == 2
        assert history.params["steps"] == 2
        assert history.model is model
        assert model.history is history
        assert all(type(v) is float for values in history.history.values() for v in values)

    def test_train_on_batch_takes_one_step_and_returns_the_loss_before_it(self, data):
        model = linear(metrics=["mae"])
        before = model.evaluate(*data)
        expected, _ = numpy_sgd(model.get_weights(), *data, batch_size=ROWS)
        logs = model.train_on_batch(*data)
        close(model.get_weights(), expected)
        assert logs == pytest.approx(before, rel=1e-5)
        assert model.optimizer.iterations == 1
        assert list(model.train_on_batch(*data, return_dict=True)) == ["loss", "mae"]

    def test_a_hand_written_loop_over_batches_is_fit(self, data):
        model, twin = linear(), linear()
        twin.set_weights(model.get_weights())
        twin.fit(*data, batch_size=11, shuffle=False, verbose=0)
        for start in (0, 11):
            model.train_on_batch(data[0][start : start + 11], data[1][start : start + 11])
        close(model.get_weights(), twin.get_weights())

    def test_test_on_batch_is_evaluate(self, data):
        model = linear()
        assert model.test_on_batch(*data) == model.evaluate(*data)


class TestEndings:
    def explosive(self):
        """A linear model at rate 1e25: its loss overflows float32 within a few steps."""
        return linear(optimizer=SGD(1e25))

    def fit(self, model, data, **arguments):
        with pytest.warns(EvenkeelWarning) as caught:
            history = model.fit(*data, batch_size=11, verbose=0, **arguments)
        return history, " ".join(str(warning.message) for warning in caught)

    def test_a_loss_that_is_not_finite_ends_the_run_with_advice(self, data):
        history, message = self.fit(self.explosive(), data, epochs=5)
        assert history.outcome is Outcome.NOT_FINITE
        assert not history.outcome.is_well
        assert len(history.epoch) < 5
        assert "learning rate" in message
        assert "Epoch" in message

    def test_the_weights_are_those_of_the_last_good_epoch(self, data):
        """The first epoch is well at a small rate; the second starts with a huge one."""

        class Spoil(ek.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 0:
                    self.good = self.model.get_weights()
                    self.slots = np.array(self.model.optimizer.slots["momentum"]["dense/kernel"])
                    self.model.optimizer.learning_rate = 1e25

        model = linear(optimizer=SGD(0.1, momentum=0.5))
        spoil = Spoil()
        history, _ = self.fit(model, data, epochs=5, callbacks=[spoil])
        assert history.outcome is Outcome.NOT_FINITE
        assert history.epoch == [0, 1]
        assert np.isfinite(history.history["loss"][0])
        assert not np.isfinite(history.history["loss"][1])
        assert all((a == b).all() for a, b in zip(model.get_weights(), spoil.good, strict=True))
        assert (np.array(model.optimizer.slots["momentum"]["dense/kernel"]) == spoil.slots).all()
        assert model.optimizer.iterations == 2

    def test_one_can_train_on_after_a_run_that_was_not_finite(self, data):
        model = self.explosive()
        self.fit(model, data, epochs=2)
        model.optimizer.learning_rate = 0.1
        history = model.fit(*data, batch_size=11, epochs=2, verbose=0)
        assert history.outcome is Outcome.COMPLETED
        assert np.isfinite(history.history["loss"]).all()

    def test_weights_that_overflow_at_the_last_step_of_an_epoch_are_rolled_back(self, data):
        """One step an epoch: the loss is taken before the step and is finite, the weights not."""
        model = linear(optimizer=SGD(3e38))
        start = model.get_weights()
        with pytest.warns(EvenkeelWarning):
            history = model.fit(*data, batch_size=ROWS, epochs=1, verbose=0, if_not_finite="stop")
        assert history.outcome is Outcome.NOT_FINITE
        assert all((a == b).all() for a, b in zip(model.get_weights(), start, strict=True))

    def test_an_interrupt_from_a_callback_keeps_the_weights(self, data):
        class Interrupt(ek.callbacks.Callback):
            closed = False

            def on_epoch_end(self, epoch, logs=None):
                if epoch == 1:
                    raise KeyboardInterrupt

            def close(self):
                self.closed = True

        model, interrupt = linear(), Interrupt()
        expected, _ = numpy_sgd(model.get_weights(), *data, batch_size=11, epochs=2)
        with pytest.raises(KeyboardInterrupt):
            model.fit(
                *data, batch_size=11, epochs=9, shuffle=False, verbose=0, callbacks=[interrupt]
            )
        close(model.get_weights(), expected)
        assert model.history.outcome is Outcome.INTERRUPTED
        assert model.optimizer.iterations == 4
        assert interrupt.closed

    @pytest.mark.filterwarnings("ignore:fit.*listens to single batches")
    def test_an_interrupt_within_an_epoch_keeps_the_finished_steps(self, data):
        class Interrupt(ek.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                raise KeyboardInterrupt

        model = linear()
        expected, _ = numpy_sgd(
            model.get_weights(), data[0][:11], data[1][:11], batch_size=11, epochs=1
        )
        with pytest.raises(KeyboardInterrupt):
            model.fit(*data, batch_size=11, shuffle=False, verbose=0, callbacks=[Interrupt()])
        close(model.get_weights(), expected)
        assert model.optimizer.iterations == 1

    def test_an_error_in_a_callback_reaches_the_caller_and_leaves_a_usable_model(self, data):
        class Broken(ek.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                raise RuntimeError("mine")

        model = linear()
        with pytest.raises(RuntimeError, match="mine"):
            model.fit(*data, batch_size=11, verbose=0, callbacks=[Broken()])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isfinite(model.evaluate(*data))
