"""Faults that were found once: each test holds one of them down."""

from __future__ import annotations

import signal

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import evenkeel as ek
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError

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
        for delay in (0.011, 0.017, 0.023, 0.031, 0.043, 0.057):
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
