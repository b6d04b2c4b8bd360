"""Faults that were found once: each test holds one of them down."""

from __future__ import annotations

import signal

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import evenkeel as ek
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError
from evenkeel.layers import Dense
from evenkeel.randomness import next_seed

X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
Y = X.sum(axis=1)


def small(units: int = 1, loss: object = "mse", optimizer: object = "sgd") -> ek.Sequential:
    model = ek.Sequential([ek.layers.Dense(units, input_shape=[3])])
    model.compile(optimizer, loss)
    return model


def test_an_interrupt_at_any_moment_leaves_weights():
    def interrupt(*_):
        raise KeyboardInterrupt

    model = ek.Sequential([ek.layers.Dense(4, input_shape=[3]), ek.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=2, verbose=0)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for delay in (0.051, 0.067, 0.083, 0.101, 0.143, 0.157):
            signal.setitimer(signal.ITIMER_REAL, delay)
            with pytest.raises(KeyboardInterrupt):
                model.fit(X, Y, batch_size=2, epochs=100_000, verbose=0)
            assert all(np.isfinite(weight).all() for weight in model.get_weights())
            assert model.history.outcome.name == "INTERRUPTED"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_layers_appended_to_a_list_are_trained():
    class Stack(ek.Model):
        def __init__(self):
            super().__init__()
            self.blocks = []
            for _ in range(2):
                self.blocks.append(ek.layers.Dense(4))
            self.head = ek.layers.Dense(1)

        def call(self, inputs):
            for block in self.blocks:
                inputs = block(inputs)
            return self.head(inputs)

    model = Stack()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert model.count_params() == 3 * 4 + 4 + 4 * 4 + 4 + 4 + 1


def test_a_layer_that_is_no_attribute_is_refused():
    hidden = ek.layers.Dense(3)

    class Careless(ek.Model):
        def call(self, inputs):
            return hidden(inputs)

    model = Careless()
    model.compile("sgd", "mse")
    with pytest.raises(InvalidArgumentError, match="attribute of the model"):
        model.fit(X, X, verbose=0)


def test_large_integers_do_not_wrap_around():
    model = ek.Sequential([ek.layers.Rescaling(1.0, input_shape=[1])])
    big = np.array([[1_700_000_000_000]])
    np.testing.assert_allclose(model.predict(big), big.astype(np.float32))
    np.testing.assert_allclose(ek.layers.Rescaling(1.0)(big), big.astype(np.float32))


def test_a_replaced_top_layer_is_the_one_that_trains():
    model = small()
    model.fit(X, Y, verbose=0)
    model.pop()
    model.add(ek.layers.Dense(1))
    before = model.get_weights()[0]
    model.fit(X, Y, verbose=0)
    assert not np.array_equal(before, model.get_weights()[0])


def test_a_loss_of_ones_own_sees_targets_in_the_shape_of_the_output():
    class Squares(ek.losses.Loss):
        def values(self, y_true, y_pred, noted=None):
            return jnp.mean((y_true.astype(y_pred.dtype) - y_pred) ** 2, axis=-1)

    flat, column = (small(loss=Squares()) for _ in range(2))
    column.set_weights(flat.get_weights())
    assert flat.evaluate(X, Y) == column.evaluate(X, Y[:, None])


def test_a_scalar_loss_is_the_same_with_weights_of_one():
    model = small(loss=lambda y, p: jnp.mean((y - p) ** 2))
    plain = model.evaluate(X, Y)
    weighted = model.evaluate(X, Y, sample_weight=np.ones(64))
    np.testing.assert_allclose(weighted, plain, rtol=1e-6)


def test_a_function_of_ones_own_is_refused_by_files_and_kept_by_clones(tmp_path):
    def leaky_relu(x):
        return jnp.where(x > 0, x, 0.01 * x)

    model = ek.Sequential([ek.layers.Dense(2, activation=leaky_relu, input_shape=[3])])
    with pytest.raises(InvalidArgumentError, match="no code"):
        model.save(tmp_path / "model")
    clone = ek.models.clone_model(model, weights=True)
    np.testing.assert_array_equal(clone.predict(X), model.predict(X))


def test_a_registered_loss_comes_back(tmp_path):
    @ek.saving.register
    class Halved(ek.losses.MeanSquaredError):
        def values(self, y_true, y_pred, noted=None):
            return 0.5 * super().values(y_true, y_pred)

    model = small(loss=Halved())
    model.save(tmp_path / "model")
    loaded = ek.models.load_model(tmp_path / "model")
    assert loaded.evaluate(X, Y) == model.evaluate(X, Y)


def test_an_optimizer_that_trained_one_model_is_refused_by_another():
    adam = ek.optimizers.Adam()
    small(optimizer=adam).fit(X, Y, verbose=0)
    with pytest.raises(InvalidArgumentError, match="new one for each model"):
        small(optimizer=adam)


def test_class_weights_weigh_the_training_rows_alone():
    model = small(loss="binary_crossentropy", optimizer=ek.optimizers.SGD(0.0))
    model.add(ek.layers.Activation("sigmoid"))
    labels = (Y > 0).astype(np.int64)
    weights = {0: 10.0, 1: 1.0}
    logs = model.fit(X, labels, validation_split=0.25, class_weight=weights, verbose=0).history
    np.testing.assert_allclose(logs["val_loss"][0], model.evaluate(X[48:], labels[48:]), rtol=1e-5)
    assert logs["loss"][0] > logs["val_loss"][0]


def test_metrics_count_every_row_once_and_weighted_metrics_weigh_it():
    model = ek.Sequential([ek.layers.Dense(1, input_shape=[3])])
    mae = ek.metrics.MeanAbsoluteError(name="weighted_mae")
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=[mae])
    weight = np.where(np.arange(64) < 32, 3.0, 0.0)
    logs = model.evaluate(X, Y, sample_weight=weight, return_dict=True)
    error = np.abs(model.predict(X)[:, 0] - Y)
    np.testing.assert_allclose(logs["mae"], error.mean(), rtol=1e-5)
    np.testing.assert_allclose(logs["weighted_mae"], error[:32].mean(), rtol=1e-5)


def test_a_constant_feature_is_only_shifted():
    """0.1 has no exact double, so that its variance does not come out as 0."""
    layer = ek.layers.Normalization()
    layer.adapt(np.full((1000, 1), 0.1))
    np.testing.assert_allclose(layer(np.array([[0.2]])), [[0.1]], rtol=1e-5)


def test_steps_per_epoch_go_on_where_the_last_epoch_ended():
    seen = []

    class Batches:
        def __iter__(self):
            for i in range(4):
                seen.append(i)
                yield X[i : i + 2], Y[i : i + 2]

    small().fit(Batches(), steps_per_epoch=2, epochs=4, verbose=0)
    assert seen[-8:] == [0, 1, 2, 3, 0, 1, 2, 3]


def test_the_summary_of_a_network_with_a_skip_connection_prints():
    class Wide(ek.Model):
        def __init__(self):
            super().__init__()
            self.hidden = ek.layers.Dense(4)
            self.out = ek.layers.Dense(1)

        def call(self, inputs):
            return self.out(jnp.concatenate([inputs, self.hidden(inputs)], axis=-1))

    lines = []
    model = Wide()
    model(X)
    model.summary(print_fn=lines.append)
    assert "Total params: 24" in lines[0]


def test_rows_ordered_by_class_are_warned_about():
    model = small(loss="binary_crossentropy")
    model.add(ek.layers.Activation("sigmoid"))
    with pytest.warns(EvenkeelWarning, match="ordered by class"):
        model.fit(X, np.repeat([0, 1], 32), validation_split=0.2, verbose=0)


def test_a_layer_that_is_refused_is_not_in_the_stack():
    model = ek.Sequential([ek.layers.Dense(4, input_shape=[3])])
    with pytest.raises(ValueError, match="target_shape"):
        model.add(ek.layers.Reshape((5,)))
    model.add(ek.layers.Dense(1))
    assert [type(layer).__name__ for layer in model.layers] == ["Dense", "Dense"]


def test_a_frame_of_numbers_and_truth_values_is_taken():
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1] > 0, "c": np.arange(64)})
    small().fit(frame, Y * 0, verbose=0)


@pytest.mark.parametrize("name", ek.optimizers.__all__)
def test_what_every_optimizer_gathered_comes_back_from_a_file(name, tmp_path, random):
    """Scalar slots among it, such as Nadam's product of momenta."""
    cls = getattr(ek.optimizers, name)
    if not (isinstance(cls, type) and issubclass(cls, ek.optimizers.Optimizer)):
        return
    if cls in (ek.optimizers.Optimizer, ek.optimizers.OptaxOptimizer):
        return
    x, y = random.normal(size=(8, 3)), random.normal(size=8)
    model = ek.Sequential([ek.Input(shape=[3]), Dense(1)])
    model.compile(cls(), loss="mse")
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "model")
    loaded = ek.models.load_model(tmp_path / "model")
    histories = []
    for each in (model, loaded):
        ek.set_random_seed(1)
        histories.append(each.fit(x, y, epochs=2, verbose=0).history)
    assert histories[0] == histories[1]


def test_a_weight_without_axes_comes_back_from_a_file(tmp_path):
    class Scale(ek.layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

        def call(self, inputs):
            return inputs * self.factor

    model = ek.Sequential([ek.Input(shape=[2]), Scale()])
    model.set_weights([np.float32(3.0)])
    model.save_weights(tmp_path / "weights")
    model.set_weights([np.float32(1.0)])
    model.load_weights(tmp_path / "weights")
    assert float(model.layers[0].factor) == 3.0


def test_a_refused_fit_leaves_schedule_seeds_and_history(random):
    x, y = random.normal(size=(20, 4)), random.normal(size=20)
    model = ek.Sequential([ek.Input(shape=[4]), Dense(1)])
    model.compile(ek.optimizers.SGD(ek.optimizers.schedules.OneCycle(0.1)), loss="mse")
    model.fit(x, y, epochs=2, verbose=0)
    rate, history = float(model.optimizer.learning_rate), model.history
    ek.set_random_seed(4)
    expected = next_seed()
    ek.set_random_seed(4)
    with pytest.raises(ek.errors.InvalidDataError):
        model.fit(x, y, epochs=9, batch_size=5, validation_data=(x[:, :2], y), verbose=0)
    with pytest.raises(ek.errors.InvalidArgumentError):
        model.fit(x, y, callbacks=[ek.callbacks.EarlyStopping], verbose=0)
    assert float(model.optimizer.learning_rate) == rate
    assert model.history is history
    assert next_seed() == expected


@pytest.mark.parametrize(
    ("callbacks", "words"),
    [(ek.callbacks.EarlyStopping, "instance"), (3, "on_epoch_end"), (["early"], "EarlyStopping")],
)
def test_what_cannot_listen_is_no_callback(callbacks, words):
    model = ek.Sequential([ek.Input(shape=[2]), Dense(1)])
    model.compile("sgd", loss="mse")
    with pytest.raises(ek.errors.InvalidArgumentError, match=words):
        model.fit(np.ones((4, 2)), np.ones(4), callbacks=callbacks, verbose=0)


def test_endless_iterables_are_bounded_by_a_number_of_batches():
    def endless():
        while True:
            yield np.ones((5, 2)), np.ones(5)

    model = ek.Sequential([ek.Input(shape=[2]), Dense(1)])
    model.compile("sgd", loss="mse")
    history = model.fit(
        endless(), steps_per_epoch=3, epochs=2, validation_data=endless(), validation_steps=2,
        verbose=0,
    )  # fmt: skip
    assert len(history.history["val_loss"]) == 2
    assert np.isfinite(model.evaluate(endless(), steps=2, verbose=0))
    assert model.predict(endless(), steps=2).shape == (10, 1)
    with pytest.raises(ek.errors.InvalidArgumentError, match="validation_steps"):
        model.fit(np.ones((4, 2)), np.ones(4), validation_steps=2)


def test_predicting_from_batches_is_predicting_from_rows(random):
    x = random.normal(size=(25, 3)).astype(np.float32)
    model = ek.Sequential([ek.Input(shape=[3]), Dense(2)])
    batches = (x[i : i + 10] for i in range(0, 25, 10))
    np.testing.assert_allclose(model.predict(batches), model.predict(x), rtol=1e-6)


def test_one_metric_with_and_without_weights_has_two_names():
    model = ek.Sequential([ek.Input(shape=[1]), Dense(1, kernel_initializer="ones")])
    model.compile("sgd", loss="mse", metrics=["mae"], weighted_metrics=["mae"])
    logs = model.evaluate(
        [[1.0], [2.0]], [0.0, 0.0], sample_weight=[1.0, 3.0], return_dict=True, verbose=0
    )
    assert logs["mae"] == pytest.approx(1.5)
    assert logs["weighted_mae"] == pytest.approx(1.75)
    assert model.metrics_names == ["loss", "mae", "weighted_mae"]


def test_class_weights_may_name_a_class_that_is_kept_back():
    x, y = np.ones((10, 2), np.float32), np.array([0, 1, 0, 1, 0, 1, 0, 1, 2, 0])
    model = ek.Sequential([ek.Input(shape=[2]), Dense(3, activation="softmax")])
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    with pytest.warns(ek.errors.EvenkeelWarning, match="lack the classes"):
        model.fit(x, y, validation_split=0.2, class_weight={0: 1.0, 2: 5.0}, verbose=0)


def test_averages_are_handed_over_within_their_constraint(random):
    x, y = random.normal(size=(20, 4)), random.normal(size=(20, 3))
    model = ek.Sequential([ek.Input(shape=[4]), Dense(3, kernel_constraint="unit_norm")])
    model.compile(ek.optimizers.SGD(0.1, use_ema=True), loss="mse")
    model.fit(x, y, epochs=2, verbose=0)
    norms = np.linalg.norm(model.get_weights()[0], axis=0)
    np.testing.assert_allclose(norms, 1, rtol=1e-5)


def test_arguments_of_keras_that_change_nothing_are_taken_and_others_named():
    model = ek.Sequential([ek.Input(shape=[2]), Dense(1)])
    model.compile("sgd", "mse", run_eagerly=False, jit_compile="auto", steps_per_execution=10)
    with pytest.raises(ek.errors.InvalidArgumentError, match="run_eagerly"):
        model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ek.errors.InvalidArgumentError, match=r"metric.*\n.*'metrics'"):
        model.compile("sgd", "mse", metric=["mae"])


def test_metrics_keep_the_name_that_was_typed():
    model = ek.Sequential([ek.Input(shape=[2]), Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=["acc", "RootMeanSquaredError", "AUC"])
    history = model.fit(np.ones((4, 2)), np.array([0, 1, 0, 1]), verbose=0)
    assert list(history.history) == ["loss", "acc", "RootMeanSquaredError", "AUC"]


def test_losses_written_as_for_keras_train():
    class Cubic(ek.losses.Loss):
        def call(self, y_true, y_pred):
            return abs(y_true - y_pred) ** 3

    model = ek.Sequential([ek.Input(shape=[1]), Dense(1, kernel_initializer="ones")])
    model.compile("sgd", Cubic())
    assert model.evaluate([[2.0]], [0.0], verbose=0) == pytest.approx(8.0)


def test_metrics_written_with_variables_are_told_what_to_write():
    class Own(ek.metrics.Metric):
        def __init__(self):
            super().__init__(name="own")
            self.total = self.add_weight(name="total")

    with pytest.raises(ek.errors.InvalidArgumentError, match="value_of"):
        Own()


def test_variables_take_part_in_arithmetic():
    class Own(ek.layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(1, 2), initializer="ones", name="w")
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="n")

        def call(self, inputs):
            self.count.assign_add(1.0)
            w = self.w
            return inputs * w**2 + (-w + 1.0) + (2.0 - w) - w / 1.0 * w[0, 0] + 0.0 * w - 0.0 / w

    layer = Own()
    np.testing.assert_array_equal(layer(np.ones((3, 2), np.float32)), np.ones((3, 2)))
    assert float(layer.count) == 0.0  # only fit carries out what call assigns
    assert (layer.w.ndim, layer.w.path) == (2, "own/w")


def test_the_seed_is_also_that_of_python_and_numpy():
    """The first draws of both after a seed of 42, as Keras gives them."""
    ek.utils.set_random_seed(42)
    import random as of_python

    assert np.random.rand() == pytest.approx(0.3745401188)  # noqa: NPY002
    assert of_python.random() == pytest.approx(0.6394267985)


def test_configurations_are_written_and_read_as_in_keras():
    for module, thing in (
        (ek.regularizers, ek.regularizers.L2(0.1)),
        (ek.constraints, ek.constraints.MaxNorm(1.0)),
        (ek.initializers, ek.initializers.HeNormal(seed=1)),
        (ek.losses, ek.losses.Huber(0.5)),
        (ek.optimizers, ek.optimizers.Adam(0.5)),
        (ek.layers, Dense(3)),
    ):
        copy = module.deserialize(module.serialize(thing))
        assert copy.get_config() == thing.get_config()
    assert ek.activations.deserialize(ek.activations.serialize(ek.activations.elu)) is (
        ek.activations.elu
    )
    assert ek.regularizers.serialize(None) is None
    x = ek.Input(shape=(2,))
    model = ek.Model(x, Dense(1)(x))
    assert type(ek.Model.from_config(model.get_config())) is ek.models.Functional


def test_steps_of_ones_own_are_refused_since_none_would_be_called():
    class Own(ek.Model):
        def train_step(self, data):
            return {}

    with pytest.raises(ek.errors.InvalidArgumentError, match="train_step"):
        Own()


def test_an_unknown_layer_offers_the_nearest():
    with pytest.raises(AttributeError, match="'Dense'"):
        _ = ek.layers.Dens
