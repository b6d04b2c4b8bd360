"""`Sequential` and subclassed models: sizes, names, sharing, building, and calling."""

from __future__ import annotations

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError, InvalidDataError
from evenkeel.layers import Dense, Dropout, Flatten, Layer


def regressor():
    """8-30-20-1, the shape of the California housing network."""
    return [Dense(30, activation="relu"), Dense(20, activation="relu"), Dense(1)]


def classifier():
    """784-300-100-10, the shape of the Fashion-MNIST network."""
    return [
        Flatten(),
        Dense(300, activation="relu"),
        Dense(100, activation="relu"),
        Dense(10, activation="softmax"),
    ]


class TestCounts:
    def test_8_30_20_1_has_911_parameters(self):
        """(8+1)·30 + (30+1)·20 + (20+1)·1 = 270 + 620 + 21."""
        model = ek.Sequential([ek.Input(shape=[8]), *regressor()])
        assert model.count_params() == 911
        assert [layer.count_params() for layer in model.layers] == [270, 620, 21]

    def test_784_300_100_10_has_266610_parameters(self):
        """(784+1)·300 + (300+1)·100 + (100+1)·10 = 235,500 + 30,100 + 1,010."""
        model = ek.Sequential([ek.Input(shape=[28, 28]), *classifier()])
        assert model.count_params() == 266_610
        assert [layer.count_params() for layer in model.layers] == [0, 235_500, 30_100, 1_010]

    def test_weights_come_in_creation_order(self):
        model = ek.Sequential([ek.Input(shape=[8]), *regressor()])
        shapes = [(8, 30), (30,), (30, 20), (20,), (20, 1), (1,)]
        assert [w.shape for w in model.get_weights()] == shapes
        assert [v.name for v in model.weights] == ["kernel", "bias"] * 3


class TestBuilding:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: ek.Sequential([ek.Input(shape=[8]), *regressor()]),
            lambda: ek.Sequential([ek.Input(shape=(8,)), *regressor()]),
            lambda: ek.Sequential([ek.layers.InputLayer(8), *regressor()]),
            lambda: ek.Sequential([Dense(30, input_shape=[8]), *regressor()[1:]]),
            lambda: ek.Sequential([Dense(30, input_shape=(8,)), *regressor()[1:]]),
            lambda: ek.Sequential([Dense(30, input_dim=8), *regressor()[1:]]),
        ],
        ids=["list", "tuple", "InputLayer", "input_shape", "input_shape tuple", "input_dim"],
    )
    def test_every_way_to_say_the_input_shape_builds_the_same(self, make):
        model = make()
        assert model.built
        assert model.count_params() == 911
        assert model.input_shape == (None, 8)
        assert model.output_shape == (None, 1)
        assert len(model.layers) == 3

    def test_adding_one_by_one_is_the_list(self):
        model = ek.Sequential()
        model.add(ek.Input(shape=[8]))
        for layer in regressor():
            model.add(layer)
        assert model.count_params() == 911
        assert [layer.name for layer in model.layers] == ["dense", "dense_1", "dense_2"]

    def test_without_an_input_shape_the_first_data_builds(self, random):
        model = ek.Sequential(regressor())
        assert not model.built
        assert model.weights == []
        assert model.predict(random.normal(size=(3, 8))).shape == (3, 1)
        assert model.count_params() == 911

    def test_fit_and_build_and_call_build_too(self, random):
        x, y = random.normal(size=(8, 5)), np.zeros(8)
        fitted, built, called = (ek.Sequential([Dense(1)]) for _ in range(3))
        fitted.compile("sgd", "mse")
        fitted.fit(x, y, verbose=0)
        built.build((None, 5))
        called(x)
        assert [model.count_params() for model in (fitted, built, called)] == [6, 6, 6]

    def test_what_needs_an_input_shape_says_how_to_give_it(self):
        model = ek.Sequential(regressor())
        for ask in (model.summary, lambda: model.output_shape, lambda: model.save("x")):
            with pytest.raises(ek.errors.NotBuiltError, match="Input"):
                ask()

    def test_popping_takes_the_top_off(self):
        model = ek.Sequential([ek.Input(shape=[8]), *regressor()])
        top = model.pop()
        assert top.units == 1
        assert model.output_shape == (None, 20)
        assert model.count_params() == 890
        model.add(Dense(4))
        assert model.output_shape == (None, 4)
        assert model.predict(np.zeros((2, 8))).shape == (2, 4)

    def test_popping_an_empty_stack_is_refused(self):
        with pytest.raises(InvalidArgumentError, match="add"):
            ek.Sequential().pop()

    def test_layers_added_after_training_are_trained_next(self, random):
        x, y = random.normal(size=(8, 3)), np.ones(8)
        model = ek.Sequential([Dense(1, input_shape=[3])])
        model.compile("sgd", "mse")
        model.fit(x, y, verbose=0)
        model.add(Dense(1))
        before = model.layers[1].get_weights()
        model.fit(x, y, verbose=0)
        assert not np.array_equal(model.layers[1].get_weights()[0], before[0])

    def test_a_stack_in_a_stack_is_a_layer(self):
        inner = ek.Sequential([Dense(4, activation="relu"), Dense(3)], name="inner")
        model = ek.Sequential([ek.Input(shape=[2]), inner, Dense(1)])
        assert model.count_params() == 12 + 15 + 4
        assert model.get_layer("inner") is inner
        kernel, bias = model.layers[1].get_weights()
        x = np.ones((5, 2), np.float32)
        np.testing.assert_allclose(
            model.predict(x), inner.predict(x) @ kernel + bias, rtol=1e-5, atol=1e-6
        )


class TestNames:
    def test_every_model_counts_from_the_start(self):
        for _ in range(2):
            model = ek.Sequential([*regressor(), Dropout(0.5)])
            assert [layer.name for layer in model.layers] == [
                "dense",
                "dense_1",
                "dense_2",
                "dropout",
            ]

    def test_own_names_are_kept_and_can_be_asked_for(self):
        model = ek.Sequential([Dense(3, name="hidden"), Dense(1, name="out")], name="mine")
        assert model.name == "mine"
        assert model.get_layer("hidden") is model.layers[0]
        assert model.get_layer(index=1) is model.layers[1]
        assert model.layers[1].name == "out"

    def test_an_own_name_is_never_given_out_automatically(self):
        model = ek.Sequential([Dense(3, name="dense_1"), Dense(2), Dense(1)])
        names = [layer.name for layer in model.layers]
        assert names[0] == "dense_1"
        assert len(set(names)) == 3

    def test_an_unknown_layer_name_offers_the_nearest(self):
        with pytest.raises(InvalidArgumentError, match="Did you mean 'hidden'"):
            ek.Sequential([Dense(3, name="hidden")]).get_layer("hiden")

    def test_shared_layers_keep_names_that_are_unique_in_both_models(self):
        one = ek.Sequential([ek.Input(shape=[2]), Dense(3), Dense(1)])
        two = ek.Sequential([*one.layers[:1], Dense(5)])
        three = ek.Sequential([Dense(2), *one.layers])
        for model in (one, two, three):
            names = [layer.name for layer in model.layers]
            assert len(set(names)) == len(names)
        assert two.layers[0] is one.layers[0] is three.layers[1]
        assert one.layers[0].is_shared
        assert not two.layers[1].is_shared


class TestSummary:
    def text(self, model):
        lines = []
        model.summary(print_fn=lines.append, line_length=100)
        return "\n".join(lines)

    def test_it_lists_layers_shapes_and_counts(self):
        text = self.text(ek.Sequential([ek.Input(shape=[28, 28]), *classifier()], name="clothes"))
        for part in (
            'Model: "clothes"',
            "flatten (Flatten)",
            "(None, 784)",
            "dense_2 (Dense)",
            "(None, 10)",
            "235,500",
            "Total params: 266,610 (1.02 MB)",
            "Trainable params: 266,610",
            "Non-trainable params: 0",
        ):
            assert part in text, part

    def test_frozen_and_shared_layers_are_marked(self):
        one = ek.Sequential([ek.Input(shape=[8]), *regressor()])
        two = ek.Sequential([*one.layers[:2], Dense(4)])
        two.layers[0].trainable = False
        text = self.text(two)
        marked = {line.split("(")[0].strip(" │|┃"): line for line in text.splitlines()}
        assert "frozen" in marked["dense"]
        assert "shared" in marked["dense"]
        assert "shared" in marked["dense_1"]
        assert "frozen" not in marked["dense_1"]
        assert "shared" not in marked["dense_2"]
        assert "Total params: 974" in text
        assert "Trainable params: 704" in text
        assert "Non-trainable params: 270" in text

    def test_it_prints_when_no_function_is_given(self, capsys):
        ek.Sequential([ek.Input(shape=[8]), *regressor()]).summary()
        assert "Total params: 911" in capsys.readouterr().out

    def test_brackets_in_names_are_printed_as_they_are(self):
        model = ek.Sequential([Dense(1, input_shape=[2], name="a[b]")], name="m[red]")
        assert "a[b]" in self.text(model)
        assert "m[red]" in self.text(model)


class TestWeights:
    def test_setting_what_was_got_changes_the_predictions_back(self, random):
        x = random.normal(size=(4, 8)).astype(np.float32)
        one = ek.Sequential([ek.Input(shape=[8]), *regressor()])
        two = ek.Sequential([ek.Input(shape=[8]), *regressor()])
        assert not np.allclose(one.predict(x), two.predict(x))
        two.set_weights(one.get_weights())
        np.testing.assert_array_equal(one.predict(x), two.predict(x))

    def test_got_weights_are_copies(self):
        model = ek.Sequential([Dense(1, input_shape=[2])])
        model.get_weights()[0][:] = 7
        assert not (model.get_weights()[0] == 7).any()

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda w: w[:-1],
            lambda w: [*w, w[0]],
            lambda w: [*w[:-1], np.zeros(2)],
            lambda w: [*w[:-1], np.array(["one"])],
            lambda w: [*w[:-1], np.array([object()])],
        ],
        ids=["too few", "too many", "wrong shape", "text", "object"],
    )
    def test_weights_that_do_not_fit_are_refused_whole(self, spoil):
        model = ek.Sequential([ek.Input(shape=[8]), *regressor()])
        before = model.get_weights()
        with pytest.raises(InvalidDataError, match="get_weights"):
            model.set_weights(spoil([np.full_like(w, 9) for w in before]))
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_a_clone_has_the_layers_and_shares_nothing(self, random):
        x = random.normal(size=(4, 8)).astype(np.float32)
        model = ek.Sequential([ek.Input(shape=[8]), *regressor(), Dropout(0.3)])
        model.layers[0].trainable = False
        fresh = ek.models.clone_model(model)
        equal = ek.models.clone_model(model, weights=True)
        assert [layer.get_config() for layer in fresh.layers] == [
            layer.get_config() for layer in model.layers
        ]
        assert not np.allclose(fresh.predict(x), model.predict(x))
        np.testing.assert_array_equal(equal.predict(x), model.predict(x))
        equal.layers[0].kernel.assign(np.zeros((8, 30)))
        assert model.layers[0].kernel.numpy().any()

    def test_only_models_are_cloned(self):
        with pytest.raises(InvalidArgumentError, match="Sequential"):
            ek.models.clone_model(Dense(1))


class Scale(Layer):
    """The smallest layer of a user's own with a weight."""

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(1, input_shape[-1]), initializer="ones", name="factor")

    def call(self, inputs):
        return inputs * self.factor.value


class Noisy(Layer):
    """A layer of a user's own that behaves differently in training."""

    def call(self, inputs, training=None):
        return inputs + 1.0 if training else inputs


class MCDropout(Dropout):
    """Dropout that drops in inference as well."""

    def call(self, inputs):
        return super().call(inputs, training=True)


class Wide(ek.Model):
    """A model with layers as attributes."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = [Dense(5, activation="relu"), Dense(4, activation="relu")]
        self.out = Dense(1)

    def call(self, inputs):
        outputs = inputs
        for layer in self.hidden:
            outputs = layer(outputs)
        return self.out(outputs)


class TestOwnLayers:
    def test_a_layer_with_a_weight_trains(self, random):
        """Without a bias on data y = 3x the factor converges to 3."""
        x = random.normal(size=(64, 1)).astype(np.float32)
        model = ek.Sequential([ek.Input(shape=[1]), Scale()])
        assert model.layers[0].name == "scale"
        assert [v.name for v in model.trainable_weights] == ["factor"]
        model.compile(ek.optimizers.SGD(0.1), "mse")
        model.fit(x, 3 * x, epochs=40, verbose=0)
        assert float(model.get_weights()[0][0, 0]) == pytest.approx(3, abs=1e-3)

    def test_a_layer_of_ones_own_infers_its_output_shape(self):
        model = ek.Sequential([ek.Input(shape=[4]), Scale(), Dense(2)])
        assert model.output_shape == (None, 2)
        assert model.count_params() == 4 + 10

    def test_training_reaches_the_layers_that_ask_for_it(self):
        model = ek.Sequential([ek.Input(shape=[1]), Noisy(), Scale()])
        x = np.zeros((2, 1))
        assert (model.predict(x) == 0).all()
        assert (np.asarray(model(x)) == 0).all()
        assert (np.asarray(model(x, training=True)) == 1).all()

    def test_mc_dropout_drops_in_prediction_and_differently_each_time(self):
        model = ek.Sequential([ek.Input(shape=[200]), MCDropout(0.5)])
        x = np.ones((2, 200), np.float32)
        one, two = model.predict(x), model.predict(x)
        assert set(np.unique(one)) == {0.0, 2.0}
        assert not np.array_equal(one, two)
        assert not np.array_equal(np.asarray(model(x)), np.asarray(model(x)))

    def test_mc_dropout_draws_anew_for_every_batch_of_a_prediction(self):
        model = ek.Sequential([ek.Input(shape=[200]), MCDropout(0.5)])
        parts = model.predict(np.ones((2, 200), np.float32), batch_size=1)
        assert not np.array_equal(parts[0], parts[1])

    def test_mc_dropout_is_reproducible_by_the_seed(self):
        model = ek.Sequential([ek.Input(shape=[50]), MCDropout(0.5)])
        x = np.ones((2, 50), np.float32)
        results = []
        for _ in range(2):
            ek.set_random_seed(8)
            results.append([model.predict(x) for _ in range(3)])
        np.testing.assert_array_equal(results[0], results[1])

    def test_calling_with_training_true_changes_nothing(self, random):
        x = random.normal(size=(4, 8))
        model = ek.Sequential([ek.Input(shape=[8]), Dense(6), Dropout(0.5), Dense(1)])
        before = model.get_weights()
        outputs = [np.asarray(model(x, training=True)) for _ in range(3)]
        assert not np.array_equal(outputs[0], outputs[1])
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(np.asarray(model(x)), model.predict(x))


class TestOwnModels:
    def test_layers_as_attributes_and_in_lists_are_found(self, random):
        model = Wide()
        model(random.normal(size=(2, 3)))
        assert model.count_params() == 20 + 24 + 5
        assert [layer.name for layer in model.layers] == ["dense", "dense_1", "dense_2"]
        assert model.get_layer("dense_2") is model.out

    def test_it_trains_evaluates_and_predicts(self, random):
        x = random.normal(size=(64, 3)).astype(np.float32)
        y = x[:, :1] - x[:, 1:2]
        model = Wide()
        model.compile("adam", "mse", metrics=["mae"])
        before = model.evaluate(x, y)
        model.optimizer.learning_rate = 0.01
        history = model.fit(x, y, epochs=30, batch_size=16, verbose=0)
        assert history.history["loss"][-1] < 0.5 * before[0]
        assert model.predict(x).shape == (64, 1)
        assert model.evaluate(x, y)[0] < before[0]

    def test_weights_of_one_go_into_another(self, random):
        x = random.normal(size=(4, 3)).astype(np.float32)
        one, two = Wide(), Wide()
        expected = np.asarray(one(x))
        two(x)
        two.set_weights(one.get_weights())
        np.testing.assert_array_equal(np.asarray(two(x)), expected)

    def test_it_serves_as_a_layer_of_a_stack(self, random):
        x = random.normal(size=(16, 3)).astype(np.float32)
        model = ek.Sequential([ek.Input(shape=[3]), Wide(name="wide"), Dense(1)])
        assert model.count_params() == 49 + 2
        model.compile("sgd", "mse")
        model.fit(x, x[:, 0], verbose=0)
        assert model.get_layer("wide").count_params() == 49
