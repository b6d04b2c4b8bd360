"""Functional models: graphs of layers with several inputs, outputs and ways between them."""

from __future__ import annotations

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError, InvalidDataError
from evenkeel.layers import Dense

ROWS = 40


@pytest.fixture
def data(random):
    """Inputs and targets of the network with two of each."""
    wide = random.normal(size=(ROWS, 4)).astype(np.float32)
    deep = random.normal(size=(ROWS, 8)).astype(np.float32)
    price = (wide.sum(axis=1) + deep[:, 0]).astype(np.float32)
    return {"wide": wide, "deep": deep}, {"price": price, "kind": (price > 0).astype(np.int64)}


def two_of_each():
    """Two inputs, a skip connection, two outputs."""
    wide, deep = ek.Input(shape=(4,), name="wide"), ek.Input(shape=(8,), name="deep")
    first = Dense(8, activation="tanh", kernel_initializer="glorot_normal")(deep)
    second = Dense(8, activation="tanh")(first)
    skipped = ek.layers.Add()([first, second])
    joined = ek.layers.Concatenate()([wide, skipped])
    price = Dense(1, name="price")(joined)
    kind = Dense(2, activation="softmax", name="kind")(skipped)
    return ek.Model(inputs=[wide, deep], outputs=[price, kind])


LOSSES = {"price": "mse", "kind": "sparse_categorical_crossentropy"}


def compiled(optimizer="adam", **settings):
    model = two_of_each()
    model.compile(
        optimizer, loss=LOSSES, metrics={"price": "mae", "kind": ["accuracy"]}, **settings
    )
    return model


def by_hand(model, inputs):
    """The same network in NumPy, from the weights in the order of the layers."""
    named = {layer.name: layer.get_weights() for layer in model.layers}

    def dense(name, x):
        return x @ named[name][0] + named[name][1]

    first = np.tanh(dense("dense", inputs["deep"]))
    skipped = first + np.tanh(dense("dense_1", first))
    price = dense("price", np.concatenate([inputs["wide"], skipped], axis=1))
    powers = np.exp(dense("kind", skipped))
    return price, powers / powers.sum(axis=1, keepdims=True)


class TestComputing:
    def test_the_graph_computes_what_it_says(self, data):
        model = two_of_each()
        for ours, expected in zip(model.predict(data[0]), by_hand(model, data[0]), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)

    def test_inputs_may_come_as_a_list_or_by_name(self, data):
        model, (inputs, _) = two_of_each(), data
        by_name = model.predict(inputs)
        in_order = model.predict([inputs["wide"], inputs["deep"]])
        called = model([inputs["wide"], inputs["deep"]])
        for one, two, three in zip(by_name, in_order, called, strict=True):
            np.testing.assert_array_equal(one, two)
            np.testing.assert_allclose(one, three, rtol=1e-6, atol=1e-6)

    def test_dicts_of_inputs_and_outputs_are_answered_with_dicts(self):
        a, b = ek.Input(shape=(2,)), ek.Input(shape=(3,))
        model = ek.Model({"a": a, "b": b}, {"x": Dense(1)(a), "y": Dense(2)(b)})
        found = model.predict({"a": np.ones((5, 2)), "b": np.ones((5, 3))})
        assert {name: part.shape for name, part in found.items()} == {"x": (5, 1), "y": (5, 2)}
        assert model.output_names == ["x", "y"]

    def test_a_layer_used_twice_shares_its_weights(self):
        shared = Dense(3)
        a, b = ek.Input(shape=(2,)), ek.Input(shape=(2,))
        model = ek.Model([a, b], ek.layers.Subtract()([shared(a), shared(b)]))
        assert model.count_params() == 2 * 3 + 3
        x = np.ones((4, 2), np.float32)
        np.testing.assert_array_equal(model.predict([x, x]), np.zeros((4, 3)))

    def test_models_inside_models(self):
        inner = ek.Sequential([ek.Input(shape=[3]), Dense(4), Dense(2)], name="inner")
        x = ek.Input(shape=(3,))
        outer = ek.Sequential([ek.Model(x, inner(x)), Dense(1)])
        rows = np.ones((5, 3), np.float32)
        y = ek.Input(shape=(3,))
        wrapped = ek.Model(y, outer(y))
        np.testing.assert_allclose(
            wrapped.predict(rows), outer.layers[1](inner(rows)), rtol=1e-6, atol=1e-6
        )
        assert wrapped.count_params() == inner.count_params() + 3

    def test_the_inside_of_any_laid_out_model_can_be_looked_at(self):
        model = ek.Sequential([ek.Input(shape=[3]), Dense(4, activation="relu"), Dense(2)])
        inside = ek.Model(model.inputs, model.layers[0].output)
        x = np.ones((5, 3), np.float32)
        np.testing.assert_array_equal(inside.predict(x), model.layers[0](x))
        assert inside.layers[-1] is model.layers[0]

    def test_a_size_that_varies_stays_unknown(self):
        x = ek.Input(shape=(None, 3))
        model = ek.Model(x, Dense(2)(x))
        assert model.output_shape == (None, None, 2)
        assert model.predict(np.ones((4, 5, 3))).shape == (4, 5, 2)
        assert model.predict(np.ones((4, 7, 3))).shape == (4, 7, 2)

    def test_sums_differences_and_products_stand_for_layers(self):
        a, b = ek.Input(shape=(2,)), ek.Input(shape=(2,))
        model = ek.Model([a, b], 2 * a + b * b - a / 4 - (1 - b) + 0.5 - -a)
        x, y = np.array([[1.0, 2.0]], np.float32), np.array([[3.0, 5.0]], np.float32)
        expected = 2 * x + y * y - x / 4 - (1 - y) + 0.5 + x
        np.testing.assert_allclose(model.predict([x, y]), expected, rtol=1e-6)
        clone = ek.models.clone_model(model)
        np.testing.assert_allclose(clone.predict([x, y]), expected, rtol=1e-6)

    def test_a_thousand_layers_are_laid_out(self):
        x = first = ek.Input(shape=(2,))
        layer = Dense(2, kernel_initializer="identity")
        for _ in range(1000):
            x = layer(x)
        model = ek.Model(first, x)
        assert len(model.layers) == 2
        assert model.count_params() == 6


class TestTraining:
    def test_losses_weights_and_metrics_of_each_output_add_up(self, data):
        """The loss before the first step, from the NumPy network and the definitions."""
        model, (x, y) = compiled(loss_weights={"price": 0.25}), data
        price, kind = by_hand(model, x)
        mse = np.mean((price[:, 0] - y["price"]) ** 2)
        nll = -np.mean(np.log(kind[np.arange(ROWS), y["kind"]]))
        logs = model.evaluate(x, y, return_dict=True, verbose=0)
        assert list(logs) == ["loss", "price_loss", "kind_loss", "price_mae", "kind_accuracy"]
        assert logs["price_loss"] == pytest.approx(mse, rel=1e-5)
        assert logs["kind_loss"] == pytest.approx(nll, rel=1e-5)
        assert logs["loss"] == pytest.approx(0.25 * mse + nll, rel=1e-5)
        assert logs["kind_accuracy"] == pytest.approx(np.mean(kind.argmax(axis=1) == y["kind"]))

    def test_both_outputs_learn(self, data):
        model, (x, y) = compiled(ek.optimizers.Adam(0.02)), data
        history = model.fit(x, y, epochs=40, batch_size=8, validation_split=0.25, verbose=0)
        for name in ("price_loss", "kind_loss", "val_loss"):
            assert history.history[name][-1] < 0.7 * history.history[name][0]

    def test_targets_may_come_as_a_list(self, data):
        (x, y), histories = data, []
        for targets in (y, [y["price"], y["kind"]]):
            ek.set_random_seed(1)
            histories.append(compiled().fit(x, targets, epochs=2, verbose=0).history)
        assert histories[0] == histories[1]

    def test_batches_of_an_iterable_carry_several_parts(self, data):
        (x, y), model = data, compiled()
        batches = [
            ({n: a[i : i + 10] for n, a in x.items()}, {n: a[i : i + 10] for n, a in y.items()})
            for i in range(0, ROWS, 10)
        ]
        ek.set_random_seed(4)
        streamed = model.fit(batches, epochs=2, verbose=0).history
        ek.set_random_seed(4)
        again = compiled()
        assert list(streamed) == list(again.fit(x, y, batch_size=10, verbose=0).history)
        assert np.isfinite(streamed["loss"]).all()

    def test_weights_of_rows_may_differ_by_output(self, data):
        (x, y), model = data, compiled()
        half = np.arange(ROWS) < ROWS // 2
        logs = model.evaluate(
            x, y, sample_weight={"price": half.astype(np.float32)}, return_dict=True, verbose=0
        )
        price, _ = by_hand(model, x)
        squares = (price[:, 0] - y["price"]) ** 2 * half
        assert logs["price_loss"] == pytest.approx(np.sum(squares) / ROWS, rel=1e-5)
        plain = model.evaluate(x, y, return_dict=True, verbose=0)
        assert logs["kind_loss"] == plain["kind_loss"]

    def test_an_output_without_a_loss_needs_no_targets(self, data):
        (x, y), model = data, two_of_each()
        model.compile("sgd", loss={"price": "mse"})
        history = model.fit(x, {"price": y["price"]}, verbose=0)
        assert list(history.history) == ["loss", "price_loss"]

    def test_frozen_layers_of_a_graph_stay(self, data):
        (x, y), model = data, compiled()
        frozen = model.get_layer("dense")
        frozen.trainable = False
        before = [w.copy() for w in frozen.get_weights()]
        model.fit(x, y, verbose=0)
        for old, new in zip(before, frozen.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


class TestFilesAndCopies:
    def test_a_file_gives_the_same_network_which_trains_on(self, data, tmp_path):
        (x, y), model = data, compiled()
        model.fit(x, y, epochs=2, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = ek.models.load_model(tmp_path / "model.keras")
        for one, two in zip(model.predict(x), loaded.predict(x), strict=True):
            np.testing.assert_array_equal(one, two)
        ek.set_random_seed(3)
        ours = model.fit(x, y, epochs=2, verbose=0).history
        ek.set_random_seed(3)
        assert loaded.fit(x, y, epochs=2, verbose=0).history == ours

    def test_a_clone_shares_nothing(self, data):
        model = two_of_each()
        fresh, copy = ek.models.clone_model(model), ek.models.clone_model(model, weights=True)
        assert not set(map(id, model.variables)) & set(map(id, [*fresh.variables, *copy.variables]))
        assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
        assert not np.array_equal(fresh.get_weights()[0], model.get_weights()[0])
        for one, two in zip(copy.predict(data[0]), model.predict(data[0]), strict=True):
            np.testing.assert_array_equal(one, two)

    def test_a_layer_used_twice_is_still_one_after_a_round_trip(self):
        shared = Dense(3)
        a, b = ek.Input(shape=(2,)), ek.Input(shape=(2,))
        model = ek.Model([a, b], ek.layers.Add()([shared(a), shared(b)]))
        clone = ek.models.clone_model(model)
        assert clone.count_params() == model.count_params() == 9

    def test_settings_of_a_call_survive(self):
        x = ek.Input(shape=(50,))
        model = ek.Model(x, ek.layers.Dropout(0.5)(x, training=True))
        rows = np.ones((4, 50), np.float32)
        for each in (model, ek.models.clone_model(model)):
            assert (each.predict(rows) == 0).any()

    def test_weights_alone_go_into_an_equal_network(self, data, tmp_path):
        model, other = two_of_each(), two_of_each()
        model.save_weights(tmp_path / "weights.safetensors")
        other.load_weights(tmp_path / "weights.safetensors")
        for one, two in zip(model.predict(data[0]), other.predict(data[0]), strict=True):
            np.testing.assert_array_equal(one, two)

    def test_weights_of_another_network_are_refused_whole(self, tmp_path):
        model = two_of_each()
        model.save_weights(tmp_path / "weights")
        other = ek.Sequential([ek.Input(shape=[8]), Dense(8)])
        before = other.get_weights()
        with pytest.raises(ek.errors.FileRefusedError, match="weights/dense_1/bias"):
            other.load_weights(tmp_path / "weights")
        for old, new in zip(before, other.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
        with pytest.raises(ek.errors.FileRefusedError, match="load_weights"):
            ek.models.load_model(tmp_path / "weights")


class TestSummary:
    def test_says_what_is_connected_to_what(self, capsys):
        two_of_each().summary(line_length=120)
        text = capsys.readouterr().out
        assert "Connected to" in text
        row = next(line for line in text.splitlines() if "concatenate (" in line)
        assert "wide, add" in row
        assert "Total params: 175" in text

    def test_shows_shared_and_frozen_layers(self, capsys):
        model = two_of_each()
        model.get_layer("dense").trainable = False
        other = ek.Model(model.inputs[1], model.get_layer("dense").output)
        model.summary(line_length=140)
        assert other.layers[-1].is_shared
        row = next(line for line in capsys.readouterr().out.splitlines() if "dense (" in line)
        assert "frozen, shared" in row


class TestRefusals:
    def test_an_output_that_needs_another_input(self):
        a, b = ek.Input(shape=(2,), name="a"), ek.Input(shape=(2,), name="b")
        with pytest.raises(InvalidArgumentError, match="the input 'b'"):
            ek.Model(a, ek.layers.Add()([a, b]))

    def test_an_input_that_leads_nowhere_is_warned_about(self):
        a, b = ek.Input(shape=(2,), name="a"), ek.Input(shape=(2,), name="b")
        with pytest.warns(EvenkeelWarning, match="'b'"):
            ek.Model([a, b], Dense(1)(a))

    def test_what_is_no_layer_is_refused_on_symbolic_tensors(self):
        a = ek.Input(shape=(2,))
        for act in (lambda: a / a, lambda: np.asarray(a), lambda: a[0], lambda: bool(a)):
            with pytest.raises(InvalidArgumentError, match="Add"):
                act()

    def test_what_is_no_symbolic_tensor(self):
        a = ek.Input(shape=(2,))
        with pytest.raises(InvalidArgumentError, match=r"ek\.Input"):
            ek.Model(np.ones(3), Dense(1)(a))
        with pytest.raises(InvalidArgumentError, match=r"ek\.Input"):
            ek.layers.Add()([a, np.ones((1, 2))])

    def test_a_shape_that_does_not_fit_is_refused_where_it_is_laid_out(self):
        layer = Dense(2)
        layer(ek.Input(shape=(3,)))
        with pytest.raises(InvalidDataError, match="dense"):
            layer(ek.Input(shape=(4,)))

    @pytest.mark.parametrize(
        ("x", "words"),
        [
            (lambda x: x["wide"], "one ndarray for the 2 inputs 'wide', 'deep'"),
            (lambda x: {"wide": x["wide"]}, "no 'deep'"),
            (lambda x: x | {"depe": x["deep"]}, "'depe'"),
            (lambda x: [x["wide"]], "1 parts for the 2 inputs"),
            (lambda x: [x["wide"], x["deep"][:5]], "40 rows and x\\['deep'\\] has 5"),
        ],
        ids=["one", "missing", "unknown", "too few", "rows"],
    )
    def test_inputs_in_another_form(self, data, x, words):
        with pytest.raises(InvalidDataError, match=words):
            compiled().fit(x(data[0]), data[1], verbose=0)

    def test_targets_that_do_not_fit_name_their_output(self, data):
        (x, y), model = data, compiled()
        with pytest.raises(InvalidDataError, match=r"y\['kind'\] row 0 is 7"):
            model.fit(x, y | {"kind": np.full(ROWS, 7)}, verbose=0)
        with pytest.raises(InvalidDataError, match="no targets for the output 'kind'"):
            model.fit(x, {"price": y["price"]}, verbose=0)

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"loss": {"prize": "mse"}}, "'price'"),
            ({"loss": ["mse"]}, "1 for 2 outputs"),
            ({"loss": {}}, "no output has a loss"),
            ({"loss": "mse", "metrics": {"kin": "mae"}}, "'kind'"),
            ({"loss": "mse", "loss_weights": [1.0]}, "loss_weights"),
            ({"loss": "mse", "metrics": [["mae", "mae"], []]}, "'mean_absolute_error'|'mae'"),
        ],
    )
    def test_what_compile_says_of_outputs_that_do_not_exist(self, settings, words):
        with pytest.raises(InvalidArgumentError, match=words):
            two_of_each().compile("sgd", **settings)

    def test_a_subclass_that_passes_inputs_on_is_told_what_to_inherit_from(self):
        class Own(ek.Model):
            def __init__(self):
                x = ek.Input(shape=(2,))
                super().__init__(inputs=x, outputs=Dense(1)(x))

        with pytest.raises(InvalidArgumentError, match="Functional"):
            Own()


def test_a_subclass_of_functional_keeps_its_own_methods():
    class Own(ek.models.Functional):
        def twice(self, x):
            return 2 * self.predict(x)

    x = ek.Input(shape=(2,))
    model = Own(x, Dense(1)(x))
    rows = np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(model.twice(rows), 2 * model.predict(rows))


def test_an_own_model_with_two_inputs_and_outputs_trains_and_is_saved(tmp_path, random):
    @ek.saving.register
    class Own(ek.Model):
        def __init__(self, units=3):
            super().__init__()
            self.units = units
            self.left, self.right = Dense(units), Dense(units)

        def call(self, inputs):
            a, b = inputs
            return {"sum": self.left(a) + self.right(b), "left": self.left(a)}

        def get_config(self):
            return {"units": self.units}

    x = [random.normal(size=(20, 2)), random.normal(size=(20, 4))]
    y = {"sum": random.normal(size=(20, 3)), "left": random.normal(size=(20, 3))}
    model = Own()
    model.compile("adam", loss="mse")
    history = model.fit(x, y, epochs=2, verbose=0)
    assert list(history.history) == ["loss", "left_loss", "sum_loss"]
    model.save(tmp_path / "own")
    loaded = ek.models.load_model(tmp_path / "own")
    for name, part in model.predict(x).items():
        np.testing.assert_array_equal(loaded.predict(x)[name], part)


def residual_network():
    """A small ResNet for 8 x 8 pictures: two residual blocks, one of which halves the picture."""
    layers = ek.layers

    def block(x, filters, strides):
        y = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        y = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(y))
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization(momentum=0.9)(y)
        if strides > 1:
            x = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
        return layers.Activation("relu")(layers.Add()([x, y]))

    picture = ek.Input(shape=(8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.Rescaling(1 / 16)(picture))
    x = block(block(x, 8, 1), 16, 2)
    top = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return ek.Model(picture, top, name="resnet")


@pytest.mark.slow
def test_a_residual_network_of_convolutions_trains_is_saved_loaded_and_cloned(tmp_path):
    """Parameters by hand: 80 + (2·576 + 2·32) + (1152 + 2304 + 128 + 2·64 - 128) + 170."""
    (x, y), (x_test, y_test) = ek.datasets.digits.load_data()
    pictures, test = x.reshape(-1, 8, 8, 1), x_test.reshape(-1, 8, 8, 1)
    model = residual_network()
    assert model.count_params() == 80 + 1152 + 64 + 1152 + 2304 + 128 + 128 + 170
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(pictures, y, epochs=4, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    assert model.evaluate(test, y_test, verbose=0)[1] > 0.8
    model.save(tmp_path / "resnet.keras")
    loaded = ek.models.load_model(tmp_path / "resnet.keras")
    np.testing.assert_array_equal(loaded.predict(test), model.predict(test))
    assert loaded.evaluate(test, y_test, verbose=0) == model.evaluate(test, y_test, verbose=0)
    copy = ek.models.clone_model(model, weights=True)
    np.testing.assert_array_equal(copy.predict(test), model.predict(test))
    copy.compile("adam", loss="sparse_categorical_crossentropy")
    before = model.predict(test)
    copy.fit(pictures, y, verbose=0)
    np.testing.assert_array_equal(model.predict(test), before)


def test_layers_come_in_the_order_of_keras():
    """The orders that Keras 3.15.1 gives the same graphs: by the longest way to an output."""
    a, b = ek.Input(shape=(2,), name="a"), ek.Input(shape=(2,), name="b")
    late = Dense(2, name="late")(b)
    deep = Dense(2, name="deep_2")(Dense(2, name="deep_1")(a))
    joined = ek.layers.Concatenate(name="joined")([late, deep])
    model = ek.Model([a, b], Dense(1, name="top")(joined))
    names = [layer.name for layer in model.layers]
    assert names == ["a", "b", "deep_1", "late", "deep_2", "joined", "top"]
    x, shared = ek.Input(shape=(2,), name="x"), Dense(2, name="shared")
    early = shared(x)
    again = shared(Dense(2, name="mid")(early))
    model = ek.Model(x, [Dense(1, name="o2")(early), Dense(1, name="o1")(again)])
    assert [layer.name for layer in model.layers] == ["x", "shared", "mid", "o2", "o1"]
    names = [layer.name for layer in two_of_each().layers]
    assert names == ["deep", "dense", "dense_1", "wide", "add", "concatenate", "price", "kind"]
