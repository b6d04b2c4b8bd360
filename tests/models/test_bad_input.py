"""Everything that can be wrong with a call: refused before anything changed, with what to type.

Each case is a call that a beginner makes. The message must hold the place, what was found, and
the words of the fix; the model must be afterwards what it was before, in every bit.
"""

from __future__ import annotations

import numpy as np
import pytest

import evenkeel as ek
from evenkeel import layers, losses, metrics, optimizers
from evenkeel.errors import (
    EvenkeelError,
    EvenkeelWarning,
    InvalidArgumentError,
    InvalidDataError,
    NotBuiltError,
    NotCompiledError,
)
from evenkeel.layers import Dense

ROWS, FEATURES, CLASSES = 12, 4, 3
SPARSE = "sparse_categorical_crossentropy"
X = np.linspace(-1, 1, ROWS * FEATURES, dtype=np.float32).reshape(ROWS, FEATURES)
LABELS = np.arange(ROWS) % CLASSES
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[LABELS]
NUMBERS = X[:, 0]


def with_value(array, place, value):
    """A copy with one element replaced."""
    copy = array.copy()
    copy[place] = value
    return copy


def model_for(loss, *, built=True):
    """The network that fits a loss: three softmax units, a sigmoid, or a linear unit."""
    units, activation = {
        SPARSE: (CLASSES, "softmax"),
        "categorical_crossentropy": (CLASSES, "softmax"),
        "binary_crossentropy": (1, "sigmoid"),
        "mse": (1, None),
    }[loss]
    first = [ek.Input(shape=[FEATURES])] if built else []
    model = ek.Sequential([*first, Dense(2), Dense(units, activation=activation)])
    model.compile("adam", loss)
    return model


def state_of(model):
    """Everything of a model that a refused call must leave alone."""
    slots = model.optimizer.slots if model.optimizer else None
    return (
        model.built,
        [layer.built for layer in model.layers],
        [weight.tobytes() for weight in model.get_weights()],
        model.optimizer.iterations if model.optimizer else None,
        repr(slots),
        model.loss,
        model.optimizer,
    )


def refused(act, *words, error=InvalidDataError, model=None):
    """Calls `act`, expects a refusal with all the words, and an untouched model."""
    before = state_of(model) if model is not None else None
    with pytest.raises(error) as caught:
        act()
    message = str(caught.value)
    for word in words:
        assert str(word) in message, f"{word!r} is not in:\n{message}"
    assert isinstance(caught.value, EvenkeelError)
    if model is not None:
        assert state_of(model) == before


# (name, loss, x, y, words of the place, words of the fix)
DATA = [
    ("x too wide", SPARSE, np.ones((ROWS, 5)), LABELS, ["(12, 5)", "(batch, 4)", "build a new"]),
    ("x of rank 1", SPARSE, np.ones(ROWS), LABELS, ["(12,)", "(batch, 4)", "x.reshape(-1, 1)"]),
    ("x of rank 3", SPARSE, np.ones((ROWS, 2, 2)), LABELS, ["(12, 2, 2)", "x.reshape(-1, 4)"]),
    ("x a number", SPARSE, 3.0, LABELS, ["x", "single number", "reshape(1, -1)"]),
    ("x empty", SPARSE, np.ones((0, FEATURES)), LABELS[:0], ["x", "(0, 4)", "filtered"]),
    ("x without columns", SPARSE, np.ones((ROWS, 0)), LABELS, ["x", "(12, 0)", "loaded"]),
    ("x ragged", SPARSE, [[1, 2, 3, 4], [1, 2]], [0, 1], ["x", "different lengths", "Pad"]),
    ("x text", SPARSE, np.full((ROWS, FEATURES), "a"), LABELS, ["x", "OneHotEncoder"]),
    ("x None inside", SPARSE, [[1, 2, 3, None]], [0], ["x", "numbers", "OneHotEncoder"]),
    ("x NaN", SPARSE, with_value(X, (5, 2), np.nan), LABELS,
     ["x: NaN", "column 2", "rows 5", "(1 rows", "SimpleImputer"]),
    ("x infinite", SPARSE, with_value(X, (0, 3), np.inf), LABELS,
     ["x: infinity", "column 3", "rows 0", "Drop those rows"]),
    ("x beyond float32", SPARSE, with_value(X.astype(float), (1, 1), 1e300), LABELS,
     ["x: infinity", "column 1", "rows 1"]),
    ("y shorter", SPARSE, X, LABELS[:-1], ["x has 12 rows", "y has 11", "same way"]),
    ("y empty", SPARSE, X, LABELS[:0], ["y", "(0,)", "loaded"]),
    ("y text", SPARSE, X, np.array(["cat"] * ROWS), ["y", "expected numbers", "Encode"]),
    ("y ragged", SPARSE, X[:2], [[1], [1, 2]], ["y", "different lengths", "Pad"]),
    ("y NaN", "mse", X, with_value(NUMBERS, 7, np.nan), ["y: NaN", "rows 7", "Drop"]),
    ("y infinite", "mse", X, with_value(NUMBERS, 0, -np.inf), ["y: infinity", "rows 0", "Drop"]),
    ("label too high", SPARSE, X, with_value(LABELS, 4, 3),
     ["y row 4 is 3", "0 to 2", "3 units", "Dense(4"]),
    ("labels from 1", SPARSE, X, LABELS + 1, ["y row 2 is 3", "0 to 2", "Dense(4"]),
    ("label negative", SPARSE, X, with_value(LABELS, 9, -1),
     ["y row 9 is -1", "from 0", "np.unique"]),
    ("label broken", SPARSE, X, with_value(LABELS.astype(float), 3, 0.5),
     ["y row 3 is 0.5", "whole", "loss='mse'"]),
    ("one-hot into sparse", SPARSE, X, ONE_HOT,
     ["(12, 3)", "class numbers", "loss='categorical_crossentropy'", "argmax"]),
    ("two columns into sparse", SPARSE, X, ONE_HOT[:, :2], ["(12, 2)", "y.argmax(axis=-1)"]),
    ("labels into one sigmoid", "binary_crossentropy", X, LABELS,
     ["y row 2 is 2", "Dense(3, activation='softmax')", "sparse_categorical_crossentropy"]),
    ("one-hot into one sigmoid", "binary_crossentropy", X, ONE_HOT,
     ["(12, 3)", "(batch, 1)", "Dense"]),
    ("-1 and 1 into a sigmoid", "binary_crossentropy", X, np.where(LABELS == 0, 1, -1),
     ["y row 1 is -1", "0 to 1"]),
    ("labels into categorical", "categorical_crossentropy", X, LABELS,
     ["(12,)", "loss='sparse_categorical_crossentropy'"]),
    ("wide one-hot into categorical", "categorical_crossentropy", X, np.eye(5)[LABELS],
     ["(12, 5)", "(batch, 3)", "Dense(5)"]),
    ("beyond 1 into categorical", "categorical_crossentropy", X, 2 * ONE_HOT,
     ["y row 0 is 2", "0 to 1", "one-hot"]),
    ("two columns into one output", "mse", X, ONE_HOT[:, :2],
     ["(12, 2)", "(batch, 1)", "Dense(2)"]),
]  # fmt: skip


@pytest.mark.parametrize("built", [True, False], ids=["built", "unbuilt"])
@pytest.mark.parametrize(
    ("loss", "x", "y", "words"), [case[1:] for case in DATA], ids=[case[0] for case in DATA]
)
def test_data_that_does_not_fit_is_refused(loss, x, y, words, built):
    model = model_for(loss, built=built)
    if not built and any("(batch, 4)" in w or "x.reshape(-1" in w for w in words):
        pytest.skip("no shape is wrong before one is known")
    refused(lambda: model.fit(x, y, verbose=0), *words, model=model)
    refused(lambda: model.evaluate(x, y), *words, model=model)
    refused(lambda: model.train_on_batch(x, y), *words, model=model)


@pytest.mark.parametrize(
    ("x", "words"), [(c[2], c[4]) for c in DATA if c[0].startswith("x ")],
    ids=[c[0] for c in DATA if c[0].startswith("x ")],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused_by_predict_and_by_calling(x, words):
    model = model_for(SPARSE)
    refused(lambda: model.predict(x), *words, model=model)
    refused(lambda: model(x), *words, model=model)


def test_a_model_that_was_trained_keeps_weights_slots_and_iterations():
    model = model_for(SPARSE)
    model.fit(X, LABELS, batch_size=ROWS, verbose=0)
    refused(lambda: model.fit(X, LABELS + 1, verbose=0), "Dense(4", model=model)
    refused(lambda: model.predict(np.ones((2, 7))), "(2, 7)", model=model)
    refused(lambda: model.fit(X, LABELS, validation_data=(X, LABELS + 1)), "Dense(4", model=model)
    assert model.optimizer.iterations == 1
    assert np.isfinite(model.fit(X, LABELS, verbose=0).history["loss"][0])


def test_a_model_refused_before_it_was_built_takes_other_data_afterwards():
    model = model_for(SPARSE, built=False)
    refused(lambda: model.fit(np.ones((ROWS, 9)), LABELS + 1, verbose=0), "Dense(4", model=model)
    model.fit(X, LABELS, verbose=0)
    assert model.input_shape == (None, FEATURES)
    assert model.count_params() == 10 + 9


class TestDataFrames:
    pandas = pytest.importorskip("pandas")

    def frame(self, **columns):
        return self.pandas.DataFrame({"age": X[:, 0], "pay": X[:, 1], "kids": X[:, 2]} | columns)

    def model(self):
        model = ek.Sequential([Dense(1, input_shape=[3])])
        model.compile("sgd", "mse")
        return model

    def test_nan_names_the_column_and_the_first_rows(self):
        frame = self.frame()
        frame.loc[[3, 8], "pay"] = np.nan
        model = self.model()
        refused(
            lambda: model.fit(frame, NUMBERS),
            "x: NaN", "'pay'", "rows 3, 8", "(2 rows", "SimpleImputer",
            model=model,
        )  # fmt: skip

    def test_many_rows_are_counted_and_the_first_five_named(self):
        frame = self.frame()
        frame.loc[1:9, "kids"] = np.inf
        model = self.model()
        refused(
            lambda: model.fit(frame, NUMBERS), "'kids'", "1, 2, 3, 4, 5, ...", "(9 rows",
            model=model,
        )  # fmt: skip

    def test_text_columns_are_named(self):
        model = self.model()
        frame = self.frame(kids=["two"] * ROWS)
        refused(lambda: model.fit(frame, NUMBERS), "['kids']", "OneHotEncoder", model=model)

    def test_text_columns_beside_wrong_shapes_in_validation_are_named_as_validation(self):
        model = self.model()
        frame = self.frame(kids=["two"] * ROWS)
        refused(
            lambda: model.fit(X[:, :3], NUMBERS, validation_data=(frame, NUMBERS)),
            "validation_data x", "['kids']",
            model=model,
        )  # fmt: skip


UNKNOWN = [
    ("optimizer", lambda: model_for("mse").compile("adm", "mse"), "adam"),
    ("loss", lambda: model_for("mse").compile("sgd", "mean_squared_eror"), "mean_squared_error"),
    ("metric", lambda: model_for("mse").compile("sgd", "mse", metrics=["acuracy"]), "accuracy"),
    ("metric alone", lambda: model_for("mse").compile("sgd", "mse", metrics="ruc"), "auc"),
    ("activation", lambda: Dense(1, activation="rellu"), "relu"),
    ("activation layer", lambda: layers.Activation("sofmax"), "softmax"),
    ("initializer", lambda: Dense(1, kernel_initializer="he_norml"), "he_normal"),
    ("bias initializer", lambda: Dense(1, bias_initializer="zeroes"), "zeros"),
    ("layer argument", lambda: Dense(1, activaton="relu"), "activation"),
    ("layer argument of Dropout", lambda: layers.Dropout(0.5, sed=1), "seed"),
    ("data set", lambda: ek.datasets.load("digit"), "digits"),
    ("monitor mode", lambda: ek.callbacks.EarlyStopping(mode="maxi"), "max"),
    ("layer name", lambda: model_for("mse").get_layer("dence"), "dense"),
]


@pytest.mark.parametrize(("act", "nearest"), [c[1:] for c in UNKNOWN], ids=[c[0] for c in UNKNOWN])
def test_an_unknown_name_offers_the_nearest_valid_one(act, nearest):
    refused(act, f"Did you mean {nearest!r}?", error=InvalidArgumentError)


def test_an_unknown_module_of_the_package_offers_the_nearest():
    with pytest.raises(AttributeError, match="'layers'"):
        _ = ek.layrs


def test_a_refused_compile_leaves_the_compiled_settings():
    model = model_for("mse")
    for settings in (("adm", "mse"), ("adam", "msee"), ("adam", "mse", None, ["acuracy"])):
        refused(
            lambda s=settings: model.compile(*s), "Did you mean", error=InvalidArgumentError,
            model=model,
        )  # fmt: skip


IMPOSSIBLE = [
    ("units 0", lambda: Dense(0), ["Dense(units)", "got 0", "at least 1"]),
    ("units -3", lambda: Dense(-3), ["Dense(units)", "got -3"]),
    ("units 2.5", lambda: Dense(2.5), ["Dense(units)", "got 2.5", "integer"]),
    ("units True", lambda: Dense(True), ["Dense(units)", "True"]),
    ("units text", lambda: Dense("10"), ["Dense(units)", "'10'"]),
    ("rate 1.5", lambda: layers.Dropout(1.5), ["Dropout(rate)", "1.5", "[0, 1]"]),
    ("rate negative", lambda: layers.Dropout(-0.1), ["Dropout(rate)", "-0.1", "[0, 1]"]),
    ("rate NaN", lambda: layers.Dropout(float("nan")), ["Dropout(rate)", "nan"]),
    ("rate text", lambda: layers.Dropout("half"), ["Dropout(rate)", "'half'"]),
    ("input shape 0", lambda: ek.Input(shape=[0]), ["positive", "input_shape=[28, 28]"]),
    ("input shape text", lambda: Dense(1, input_shape=["a"]), ["input_shape", "positive"]),
    ("dtype", lambda: Dense(1, dtype="float64"), ["dtype", "float32"]),
    ("name with slash", lambda: Dense(1, name="a/b"), ["name", "'a/b'"]),
    ("name empty", lambda: Dense(1, name=""), ["name", "non-empty"]),
    ("two slopes", lambda: layers.LeakyReLU(negative_slope=0.1, alpha=0.2),
     ["LeakyReLU", "alpha", "negative_slope"]),
    ("reshape -1 twice", lambda: layers.Reshape((-1, -1)), ["Reshape", "(28, 28, 1)"]),
    ("reshape 0", lambda: layers.Reshape((0, 4)), ["Reshape", "positive"]),
    ("learning rate negative", lambda: optimizers.SGD(-0.1), ["learning_rate", "-0.1", "[0, inf)"]),
    ("learning rate NaN", lambda: optimizers.Adam(float("nan")), ["learning_rate", "nan"]),
    ("learning rate infinite", lambda: optimizers.SGD(float("inf")), ["learning_rate", "inf"]),
    ("learning rate text", lambda: optimizers.SGD("fast"), ["learning_rate", "'fast'"]),
    ("momentum 1", lambda: optimizers.SGD(momentum=1), ["SGD(momentum)", "[0, 1)"]),
    ("momentum negative", lambda: optimizers.SGD(momentum=-0.5), ["SGD(momentum)", "[0, 1)"]),
    ("nesterov alone", lambda: optimizers.SGD(nesterov=True), ["nesterov", "momentum=0.9"]),
    ("beta_1 1", lambda: optimizers.Adam(beta_1=1.0), ["beta_1", "[0, 1)"]),
    ("beta_2 2", lambda: optimizers.Adam(beta_2=2), ["beta_2", "[0, 1)"]),
    ("epsilon negative", lambda: optimizers.Adam(epsilon=-1), ["epsilon"]),
    ("huber 0", lambda: losses.Huber(delta=0), ["Huber(delta)", "(0, inf)"]),
    ("smoothing 2", lambda: losses.BinaryCrossentropy(label_smoothing=2), ["label_smoothing"]),
    ("reduction", lambda: losses.MeanSquaredError(reduction="sum"), ["reduction", "Leave"]),
    ("threshold", lambda: metrics.Precision(thresholds=2), ["thresholds"]),
    ("patience -1", lambda: ek.callbacks.EarlyStopping(patience=-1), ["patience", "-1"]),
    ("seed negative", lambda: ek.set_random_seed(-1), ["seed", "-1"]),
    ("optimizer a number", lambda: model_for("mse").compile(3, "mse"), ["optimizer", "'adam'"]),
    ("loss a number", lambda: model_for("mse").compile("sgd", 3), ["loss", "'mse'"]),
    ("metric a number", lambda: model_for("mse").compile("sgd", "mse", metrics=[3]),
     ["metric", "'accuracy'"]),
    ("two equal metrics", lambda: model_for("mse").compile("sgd", "mse", metrics=["mae", "mae"]),
     ["'mae'", "name"]),
    ("stack of a class", lambda: ek.Sequential([Dense]), ["item 0", "ek.layers.Dense(...)"]),
    ("stack of a number", lambda: ek.Sequential([Dense(1), 3]), ["item 1", "3", "Dense(10)"]),
    ("stack of text", lambda: ek.Sequential(["relu"]), ["item 0", "'relu'", "ek.layers"]),
    ("added class", lambda: ek.Sequential().add(layers.Flatten), ["ek.layers.Flatten(...)"]),
    ("same name twice", lambda: ek.Sequential([Dense(1, name="a"), Dense(1, name="a")]),
     ["'a'", "unique", "name="]),
    ("same layer twice", lambda: (lambda d: ek.Sequential([d, d]))(Dense(2)),
     ["twice", "second layer"]),
    ("late Input", lambda: ek.Sequential([Dense(1), ek.Input(shape=[2])]), ["position 1", "front"]),
    ("sizes that do not fit", lambda: ek.Sequential([ek.Input(shape=[10]), layers.Reshape((3, 3))]),
     ["(None, 10)", "(3, 3)"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("act", "words"), [c[1:] for c in IMPOSSIBLE], ids=[c[0] for c in IMPOSSIBLE]
)
def test_impossible_arguments_fail_at_construction(act, words):
    refused(act, *words, error=EvenkeelError)


FIT = [
    ("epochs 0", {"epochs": 0}, ["fit(epochs)", "got 0"]),
    ("epochs negative", {"epochs": -1}, ["fit(epochs)", "-1"]),
    ("epochs broken", {"epochs": 1.5}, ["fit(epochs)", "1.5"]),
    ("initial epoch negative", {"initial_epoch": -1}, ["initial_epoch", "-1"]),
    ("batch size 0", {"batch_size": 0}, ["batch_size", "got 0"]),
    ("batch size negative", {"batch_size": -8}, ["batch_size", "-8"]),
    ("batch size broken", {"batch_size": 2.5}, ["batch_size", "2.5"]),
    ("validation size 0", {"validation_data": (X, LABELS), "validation_batch_size": 0},
     ["batch_size", "got 0"]),
    ("validation split 1", {"validation_split": 1}, ["validation_split", "[0, 1)"]),
    ("validation split 1.5", {"validation_split": 1.5}, ["validation_split", "[0, 1)"]),
    ("validation split negative", {"validation_split": -0.1}, ["validation_split", "[0, 1)"]),
    ("validation split of all", {"validation_split": 0.99}, ["validation_split", "smaller"]),
    ("validation freq 0", {"validation_freq": 0}, ["validation_freq", "got 0"]),
    ("validation of four", {"validation_data": (X, LABELS, LABELS, LABELS)},
     ["validation_data", "(x_valid, y_valid)"]),
    ("validation x wrong", {"validation_data": (X[:, :2], LABELS)}, ["(12, 2)", "(batch, 4)"]),
    ("validation y wrong", {"validation_data": (X, LABELS + 1)}, ["y row 2", "Dense(4"]),
    ("validation short", {"validation_data": (X, LABELS[:3])},
     ["validation_data x has 12", "validation_data y has 3"]),
    ("verbose", {"verbose": "loud"}, ["verbose", "'loud'", "verbose=0"]),
    ("absent class", {"class_weight": {0: 1.0, 7: 2.0}}, ["class_weight", "[7]", "[0, 1, 2]"]),
    ("weights short", {"sample_weight": np.ones(5)}, ["sample_weight has 5", "x has 12"]),
    ("weights negative", {"sample_weight": with_value(np.ones(ROWS), 3, -2)},
     ["sample_weight", "row 3", "-2", "at least 0"]),
    ("weights NaN", {"sample_weight": with_value(np.ones(ROWS), 2, np.nan)},
     ["sample_weight: NaN", "rows 2"]),
    ("weights wide", {"sample_weight": np.ones((ROWS, 2))},
     ["sample_weight", "sample_weight[:, 0]"]),
    ("steps with arrays", {"steps_per_epoch": 2}, ["steps_per_epoch", "Leave"]),
]  # fmt: skip


@pytest.mark.parametrize("built", [True, False], ids=["built", "unbuilt"])
@pytest.mark.parametrize(("arguments", "words"), [c[1:] for c in FIT], ids=[c[0] for c in FIT])
def test_impossible_arguments_of_fit_are_refused(arguments, words, built):
    model = model_for(SPARSE, built=built)
    refused(
        lambda: model.fit(X, LABELS, **({"verbose": 0} | arguments)), *words,
        error=EvenkeelError, model=model,
    )  # fmt: skip


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_class_weights_that_are_no_weights_are_refused(weight):
    model = model_for(SPARSE)
    refused(
        lambda: model.fit(X, LABELS, class_weight={0: weight}, verbose=0), "class_weight",
        error=EvenkeelError, model=model,
    )  # fmt: skip


def test_batch_sizes_of_evaluate_and_predict_are_checked():
    model = model_for(SPARSE)
    refused(
        lambda: model.evaluate(X, LABELS, batch_size=0), "batch_size", "got 0",
        error=InvalidArgumentError, model=model,
    )  # fmt: skip
    refused(
        lambda: model.predict(X, batch_size=0), "batch_size", "got 0",
        error=InvalidArgumentError, model=model,
    )  # fmt: skip


class TestMissing:
    def test_y(self):
        model = model_for(SPARSE)
        refused(lambda: model.fit(X), "y is missing", "fit(x, y)", model=model)
        refused(lambda: model.evaluate(X), "y is missing", model=model)

    def test_y_in_a_list_of_rows(self):
        """A list of rows looks like an iterable of batches."""
        model = model_for(SPARSE)
        refused(lambda: model.fit(X.tolist(), verbose=0), "fit(x, y)", model=model)

    def test_batches_without_targets(self):
        model = model_for(SPARSE)
        refused(lambda: model.fit([X, X], verbose=0), "(x, y)", "fit(x, y)", model=model)

    def test_no_batches(self):
        model = model_for(SPARSE)
        refused(lambda: model.fit([], verbose=0), "yields none", model=model)

    def test_a_bad_batch_in_a_stream(self):
        model = model_for(SPARSE)
        refused(lambda: model.fit([(X, LABELS + 1)], verbose=0), "Dense(4", model=model)

    def test_arrays_only_arguments_with_a_stream(self):
        model = model_for(SPARSE)
        for arguments in ({"validation_split": 0.2}, {"sample_weight": NUMBERS}):
            refused(
                lambda a=arguments: model.fit([(X, LABELS)], verbose=0, **a), "validation_data",
                error=InvalidArgumentError, model=model,
            )  # fmt: skip
        refused(
            lambda: model.fit([(X, LABELS)], batch_size=3, verbose=0), "batch_size", "Leave",
            error=InvalidArgumentError, model=model,
        )  # fmt: skip

    @pytest.mark.parametrize("act", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
    def test_compile(self, act):
        model = ek.Sequential([Dense(1, input_shape=[FEATURES])])
        refused(
            lambda: getattr(model, act)(X, NUMBERS), act.replace("test_on_batch", "evaluate"),
            "model.compile(optimizer='adam', loss='mse')",
            error=NotCompiledError, model=model,
        )  # fmt: skip

    def test_an_input_shape(self):
        model = ek.Sequential([Dense(1)])
        refused(model.summary, "ek.Input(shape=(features,))", error=NotBuiltError, model=model)

    def test_weights_before_building(self):
        model = ek.Sequential([Dense(1)])
        refused(
            lambda: model.set_weights([np.ones((2, 1)), np.ones(1)]), "built", "get_weights()",
            model=model,
        )  # fmt: skip

    def test_an_own_layers_call(self):
        with pytest.raises(NotImplementedError, match=r"define call\(self, inputs\)"):
            layers.Layer()(X)


def test_labels_ordered_by_class_warn_under_validation_split():
    model = model_for(SPARSE)
    with pytest.warns(EvenkeelWarning, match="train_test_split") as caught:
        model.fit(X, np.sort(LABELS), validation_split=0.4, verbose=0)
    assert "[2]" in str(caught[0].message)


def test_one_row_without_a_batch_axis_gets_the_advice_for_it():
    model = model_for(SPARSE)
    refused(lambda: model.predict(X[0]), "(4,)", "x[None]", model=model)


def test_a_message_speaks_of_the_users_own_layer():
    model = ek.Sequential([Dense(3, input_shape=[FEATURES], name="mine")], name="yours")
    refused(lambda: model.predict(np.ones((2, 9))), "'yours'", "'mine'", "Dense", "(2, 9)",
            model=model)  # fmt: skip


def test_nothing_of_a_mismatch_inside_the_network_is_left_behind():
    model = ek.Sequential([Dense(6), layers.Reshape((4, 4)), Dense(1)])
    model.compile("sgd", "mse")
    refused(lambda: model.fit(X, NUMBERS, verbose=0), "(4, 4)", "'reshape'", model=model)
