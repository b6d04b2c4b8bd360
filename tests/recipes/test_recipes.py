"""Every recipe on every kind of data: it builds, is healthy by its own judgement, and learns."""

from __future__ import annotations

import json

import numpy as np
import pytest

import evenkeel as ek
from evenkeel import recipes
from evenkeel.errors import InvalidArgumentError

ROWS = 600
RECIPES = {
    "default": recipes.default,
    "self_normalizing": recipes.self_normalizing,
    "deep": lambda x, y, **more: recipes.default(x, y, **({"hidden": (16,) * 6} | more)),
    "sparse": lambda x, y, **more: recipes.sparse(recipes.default(x, y, **more)),
    "low_latency": lambda x, y, **more: recipes.low_latency(recipes.default(x, y, **more)),
    "risk_sensitive": lambda x, y, **more: recipes.risk_sensitive(recipes.default(x, y, **more)),
}
every_recipe = pytest.mark.parametrize("recipe", RECIPES)


def table():
    """Columns of unlike units, one of them yes or no, and what is to be learned from them."""
    draw = np.random.Generator(np.random.Philox(11))
    z = draw.normal(size=(ROWS, 4))
    is_near = draw.random(ROWS) < 0.3
    x = np.column_stack([z * (1, 1000, 0.01, 5) + (0, 5000, 3, -2), is_near])
    signal = z[:, 0] + np.tanh(z[:, 1]) - is_near
    return x, signal + 0.1 * draw.normal(size=ROWS)


def images():
    """uint8 images of 6 x 6 with a bright row, whose number is the class."""
    draw = np.random.Generator(np.random.Philox(12))
    y = draw.integers(0, 3, ROWS)
    x = draw.integers(0, 90, (ROWS, 6, 6)).astype(np.uint8)
    x[np.arange(ROWS), 2 * y] += 120
    return x, y


def data_of(kind):
    x, signal = table()
    thirds = np.digitize(signal, np.quantile(signal, (1 / 3, 2 / 3)))
    if kind == "images":
        return images()
    y = {
        "binary": (signal > np.median(signal)).astype(int),
        "classes": thirds,
        "one-hot": np.eye(3)[thirds],
        "labels": np.stack([signal > 0, signal > 1, x[:, 0] > 0], axis=1).astype(float),
        "price": 250_000 + 90_000 * signal,
        "prices": np.stack([250_000 + 90_000 * signal, 0.001 * signal], axis=1),
    }[kind]
    return x, y


KINDS = ("binary", "classes", "one-hot", "labels", "price", "prices", "images")
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
@every_recipe
def test_the_doctor_finds_nothing(recipe, kind):
    """No fault, no warning and not even a note, at the epochs and batches that it would take."""
    x, y = data_of(kind)
    made = RECIPES[recipe](x, y)
    result = ek.checkup(
        made.build(),
        *(x[:500], y[:500]),
        validation_data=(x[500:], y[500:]),
        batch_size=made["batch_size"],
        epochs=made["epochs"],
    )
    assert result.findings == ()


@every_kind
@every_recipe
def test_every_choice_has_a_reason(recipe, kind):
    made = RECIPES[recipe](*data_of(kind))
    for choice in made.choices:
        assert len(choice.reason) > 5
        assert choice.name in str(made)
        assert choice.reason.split()[0] in str(made)
    assert json.loads(json.dumps(made.to_dict()))["recipe"] == made.name


# What each kind must reach on rows that it was not trained on, far above what saying the mean or
# the commonest class gives: 0.5, 0.33 or 0.
REACHED = {
    "binary": ("accuracy", 0.85),
    "classes": ("accuracy", 0.75),
    "one-hot": ("accuracy", 0.75),
    "labels": ("accuracy", 0.85),
    "price": ("r2", 0.8),
    "prices": ("r2", 0.8),
    "images": ("accuracy", 0.9),
}


@every_kind
def test_it_learns_raw_data_and_answers_in_its_unit(kind, tmp_path):
    """The same through a file: a saved model takes and gives raw values as well."""
    x, y = data_of(kind)
    recipe = recipes.default(x[:500], y[:500], hidden=(60,), epochs=30)
    model = recipe.fit(x[:500], y[:500], verbose=0)
    name, least = REACHED[kind]
    scores = model.evaluate(x[500:], y[500:], verbose=0, return_dict=True)
    assert scores[name] > least
    model.save(tmp_path / "model.safetensors")
    again = ek.models.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(x[500:]), model.predict(x[500:]))
    assert again.evaluate(x[500:], y[500:], verbose=0, return_dict=True) == scores


@pytest.mark.parametrize(
    "recipe",
    [
        "self_normalizing",
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in ("deep", "low_latency", "risk_sensitive")
        ),
    ],
)
def test_the_others_learn_as_well(recipe):
    """R² of 0.6 on prices in the hundreds of thousands, where the mean has 0."""
    x, y = data_of("price")
    hidden = (16,) * 6 if recipe == "deep" else (40,)
    made = RECIPES[recipe](x[:500], y[:500], hidden=hidden, epochs=20, learning_rate=0.01)
    model = made.fit(x[:500], y[:500], verbose=0)
    assert model.evaluate(x[500:], y[500:], verbose=0, return_dict=True)["r2"] > 0.6


class TestRegression:
    def test_the_loss_is_in_deviations_of_the_targets(self):
        """The loss of always answering the mean is the variance over itself: 1."""
        x, y = data_of("price")
        model = recipes.default(x, y, hidden=(4,)).build()
        weights = model.get_weights()
        kernel = next(n for n, w in enumerate(weights) if w.shape == (4, 1))
        weights[kernel] = np.zeros((4, 1), np.float32)
        model.set_weights(weights)
        scores = model.evaluate(x, y, verbose=0, return_dict=True)
        np.testing.assert_allclose(scores["loss"], 1, rtol=1e-4)
        np.testing.assert_allclose(scores["rmse"], y.std(), rtol=1e-4)
        np.testing.assert_allclose(model.predict(x[:1]), [[y.mean()]], rtol=1e-6)

    def test_the_unit_does_not_matter(self):
        """Targets times a power of two, which floating point carries exactly: the same run."""
        x, y = data_of("price")
        losses = []
        for unit in (1, 2**-20):
            ek.set_random_seed(3)
            recipe = recipes.default(x, y * unit, hidden=(8,), epochs=2)
            losses.append(recipe.fit(x, y * unit, verbose=0).history.history["val_loss"])
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)

    def test_each_column_counts_alike(self):
        """In units a hundred million times apart, both columns are learned."""
        x, y = data_of("prices")
        model = recipes.default(x, y, hidden=(60,), epochs=30).fit(x, y, verbose=0)
        error = np.mean((model.predict(x) - y) ** 2, axis=0) / y.var(axis=0)
        assert (error < 0.2).all()


class TestInputs:
    def test_images_stay_bytes_and_share_one_mean(self):
        x, y = images()
        recipe = recipes.default(x, y)
        model = recipe.build()
        assert (recipe.profile.inputs, recipe.profile.axis) == ("pixels", None)
        standardized = np.asarray(model.layers[0](x))
        np.testing.assert_allclose(standardized.mean(), 0, atol=1e-5)
        np.testing.assert_allclose(standardized.std(), 1, rtol=1e-5)

    def test_channels_have_a_mean_each(self):
        draw = np.random.Generator(np.random.Philox(4))
        x = draw.integers(0, (50, 100, 250), (80, 5, 5, 3)).astype(np.uint8)
        model = recipes.default(x, np.arange(80) % 2).build()
        standardized = np.asarray(model.layers[0](x))
        np.testing.assert_allclose(standardized.mean(axis=(0, 1, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(standardized.std(axis=(0, 1, 2)), 1, rtol=1e-5)

    def test_columns_have_a_mean_each_but_yes_or_no_stays(self):
        x, y = table()
        standardized = np.asarray(recipes.default(x, y).build().layers[0](x.astype(np.float32)))
        np.testing.assert_allclose(standardized[:, :4].mean(axis=0), 0, atol=1e-3)
        np.testing.assert_allclose(standardized[:, :4].std(axis=0), 1, rtol=1e-3)
        np.testing.assert_array_equal(standardized[:, 4], x[:, 4])

    def test_columns_that_share_a_range_are_pixels_unless_told_otherwise(self):
        (x, y), _ = ek.datasets.digits.load_data()
        assert recipes.default(x, y).profile.inputs == "pixels"
        assert recipes.default(x, y, inputs="columns").profile.inputs == "columns"

    def test_a_table_can_be_a_data_frame(self):
        pandas = pytest.importorskip("pandas")
        x, y = table()
        frame = pandas.DataFrame(x, columns=list("abcde"))
        made, same = recipes.default(frame, pandas.Series(y)), recipes.default(x, y)
        np.testing.assert_array_equal(made.profile.mean, same.profile.mean)


class TestTask:
    @pytest.mark.parametrize(
        ("y", "kind", "outputs"),
        [
            (np.arange(90) % 3, "classes", 3),
            (np.arange(90) % 2, "binary", 1),
            (np.arange(90) % 2 == 0, "binary", 1),
            (np.arange(90.0) % 2, "binary", 1),
            (np.eye(3)[np.arange(90) % 3], "one-hot", 3),
            (np.stack([np.arange(90) % 2, np.arange(90) % 3 > 0], axis=1), "labels", 2),
            (np.linspace(0, 1, 90), "numbers", 1),
            (np.arange(90) - 40, "numbers", 1),
            (1990 + np.arange(90) % 30, "numbers", 1),
            (np.arange(90) * 1000, "numbers", 1),
            (np.linspace(0, 1, 180).reshape(90, 2), "numbers", 2),
            (np.linspace(0, 1, 90)[:, None], "numbers", 1),
        ],
    )  # fmt: skip
    def test_the_targets_say_it(self, y, kind, outputs):
        profile = recipes.default(np.eye(90), y).profile
        assert (profile.kind, profile.outputs) == (kind, outputs)

    @pytest.mark.parametrize(
        "y",
        [
            np.arange(90) % 6 + 3,  # grades from 3 to 8
            np.arange(90.0) % 3,  # class numbers as floats, or counts
            np.random.Generator(np.random.Philox(1)).poisson(1.5, 90),  # counts
        ],
    )
    def test_what_could_be_either_is_refused_until_it_is_said(self, y):
        with pytest.raises(InvalidArgumentError, match="Type task='classification' or task="):
            recipes.default(np.eye(90), y)
        assert recipes.default(np.eye(90), y, task="regression").profile.kind == "numbers"
        classes = recipes.default(np.eye(90), y, task="classification").profile
        assert (classes.kind, classes.outputs) == ("classes", int(y.max()) + 1)

    def test_classes_that_y_lacks_can_be_counted(self):
        profile = recipes.default(np.eye(90), np.arange(90) % 2, classes=5).profile
        assert (profile.kind, profile.outputs) == ("classes", 5)

    BAD = (
        (np.array(["a", "b"] * 45), {}, "return_inverse=True"),
        (np.arange(90) - 1, {"task": "classification"}, "class numbers"),
        (np.linspace(0, 1, 90), {"task": "classification"}, "task='regression'"),
        (2000 + np.arange(90) % 3, {"task": "classification"}, "class numbers"),
        (np.linspace(0, 1, 180).reshape(90, 2), {"task": "classification"}, "one-hot"),
        (np.zeros((90, 2, 2)), {}, "one answer a row"),
        (np.arange(80) % 2, {}, "90 rows and y has 80"),
        (np.arange(90) % 2, {"task": "clustering"}, "Valid: classification, regression"),
        (np.arange(90) % 2, {"inputs": "words"}, "Valid: columns, pixels"),
        (np.arange(90) % 2, {"classes": 0}, "classes"),
        (np.full(90, np.nan), {}, "NaN"),
    )

    @pytest.mark.parametrize(("y", "more", "words"), BAD, ids=[b[2] for b in BAD])
    def test_what_cannot_be_learned_is_refused(self, y, more, words):
        with pytest.raises(ValueError, match=words.replace("(", r"\(")):
            recipes.default(np.eye(90), y, **more)

    def test_a_single_feature_needs_its_axis(self):
        with pytest.raises(ValueError, match="reshape"):
            recipes.default(np.arange(90.0), np.arange(90) % 2)


class TestChoices:
    def test_depth_changes_activation_and_normalization(self):
        """At 4 layers of ELU gradients grow 1.4 times; at 20 they grow 4 times."""
        x, y = table()
        shallow, deep = (recipes.default(x, y, hidden=(8,) * n) for n in (2, 20))
        assert (shallow["activation"], shallow["normalization"]) == ("elu", None)
        assert (deep["activation"], deep["normalization"]) == ("silu", "batch")

    def test_moving_averages_suit_the_length_of_the_run(self):
        """What is left of their start at the end of the run is below a twentieth."""
        x, y = table()
        recipe = recipes.default(x, y, hidden=(8,) * 8, epochs=2, batch_size=64)
        layers = recipe.build().layers
        kinds = [layer for layer in layers if type(layer).__name__ == "BatchNormalization"]
        steps = 2 * int(np.ceil(0.9 * ROWS / 64))
        assert len(kinds) == 8
        assert all(layer.momentum**steps < 0.05 for layer in kinds)

    def test_what_is_asked_for_stands_and_the_rest_follows(self):
        recipe = recipes.default(*table(), activation="tanh", hidden=40, batch_size=128)
        assert recipe["hidden"] == (40,)
        assert recipe["kernel_initializer"] == "glorot_uniform"
        assert recipe.choice("activation").reason == "you asked for it"
        assert recipe["learning_rate"] > recipes.default(*table())["learning_rate"]

    def test_self_normalization_keeps_its_conditions(self):
        """Through 20 layers at the start, the signal has mean 0 and variance 1 as the paper has it.

        A unit's variance scatters with the weights of 100 inputs, so that the bounds are wide.
        """
        x, y = table()
        recipe = recipes.self_normalizing(x, y, hidden=(100,) * 20, dropout=0.1)
        kinds = [type(layer).__name__ for layer in recipe.build().layers]
        assert kinds.count("AlphaDropout") == 20
        assert "Dropout" not in kinds
        model = recipe.having(dropout=0.0).build()
        signal = x.astype(np.float32)
        for layer in model.layers[:-2]:
            signal = np.asarray(layer(signal))
        assert abs(signal.mean()) < 0.2
        assert 0.5 < signal.var() < 1.7

    @pytest.mark.parametrize(
        ("name", "value"),
        [("activation", "relu"), ("kernel_initializer", "he_normal"), ("normalization", "batch")],
    )
    def test_what_would_break_self_normalization_is_refused(self, name, value):
        with pytest.raises(InvalidArgumentError, match=r"ek\.recipes\.default"):
            recipes.self_normalizing(*table(), **{name: value})

    BAD = (
        ({"hiden": (3,)}, "Did you mean 'hidden'"),
        ({"hidden": ()}, "at least one"),
        ({"hidden": (0,)}, "got 0"),
        ({"dropout": 1.0}, "dropout"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"schedule": "1cyle"}, "Did you mean '1cycle'"),
        ({"normalization": "bath"}, "Did you mean 'batch'"),
        ({"loss": "mae"}, "follows from the data"),
        ({"activation": np.tanh}, "expected a name"),
        ({"epochs": 0}, "epochs"),
        ({"class_weight": "balanced"}, "sample_weight"),
    )

    @pytest.mark.parametrize(("asked", "words"), BAD, ids=[b[1] for b in BAD])
    def test_impossible_wishes_are_refused(self, asked, words):
        with pytest.raises(InvalidArgumentError, match=words):
            recipes.default(*table(), **asked)

    def test_a_recipe_is_a_value(self):
        recipe = recipes.default(*table())
        other = recipe.having(epochs=3)
        assert (other["epochs"], other.choice("epochs").reason) == (3, "you asked for it")
        assert recipe["epochs"] != 3
        with pytest.raises(AttributeError):
            recipe.name = "mine"
        with pytest.raises(KeyError, match="Did you mean 'dropout'"):
            recipe["dropuot"]

    def test_making_one_leaves_the_random_state_alone(self):
        """The weights of a model built after it are those without it."""
        kernels = []
        for is_looked_at in (False, True):
            ek.set_random_seed(5)
            if is_looked_at:
                recipes.default(*table())
            layer = ek.layers.Dense(2)
            layer(np.ones((1, 3), np.float32))
            kernels.append(layer.get_weights()[0])
        np.testing.assert_array_equal(*kernels)

    def test_rare_classes_can_be_weighed(self):
        """Balanced weights are rows over classes times rows of the class, as in scikit-learn."""
        x, y = np.eye(120), np.array([0] * 114 + [1] * 6)
        recipe = recipes.default(x, y)
        assert "19 times" in recipe.choice("class_weight").reason
        assert recipe.fit_arguments()["class_weight"] is None
        weights = recipe.having(class_weight="balanced").fit_arguments()["class_weight"]
        assert weights == {0: 120 / (2 * 114), 1: 120 / (2 * 6)}


class TestRun:
    def test_performance_scheduling_lowers_the_rate_and_early_stopping_ends_the_run(self):
        """Targets of pure noise: validation stops gaining at once, long before 200 epochs."""
        draw = np.random.Generator(np.random.Philox(2))
        x, y = draw.normal(size=(200, 5)), draw.normal(size=200)
        recipe = recipes.default(x, y, hidden=(30,), schedule="performance", patience=8, epochs=200)
        model = recipe.fit(x, y, verbose=0)
        rates = model.history.history["learning_rate"]
        assert len(rates) < 200
        assert rates[-1] < rates[0]

    def test_the_weights_are_those_of_the_best_epoch(self):
        draw = np.random.Generator(np.random.Philox(2))
        x, y = draw.normal(size=(200, 5)), draw.normal(size=200)
        held_out = (x[150:], y[150:])
        recipe = recipes.default(x[:150], y[:150], hidden=(60,), epochs=30, learning_rate=0.03)
        model = recipe.fit(x[:150], y[:150], validation_data=held_out, verbose=0)
        losses = model.history.history["val_loss"]
        assert min(losses) < losses[-1]
        np.testing.assert_allclose(model.evaluate(*held_out, verbose=0)[0], min(losses), rtol=1e-5)

    def test_validation_rows_are_drawn_by_class_and_the_same_each_time(self):
        x, y = data_of("one-hot")
        recipe = recipes.default(x, y, hidden=(4,), epochs=1)
        parts = [recipe._held_out(x, y, 0.1, seed=0) for _ in range(2)]
        np.testing.assert_array_equal(parts[0][2], parts[1][2])
        assert parts[0][3].sum(axis=0).tolist() == [20, 20, 20]

    def test_rows_that_do_not_belong_together_are_refused(self):
        x, y = table()
        with pytest.raises(ValueError, match="row by row"):
            recipes.default(x, y).fit(x, y[:-1])


class TestAdaptations:
    def test_sparse_brings_weights_to_nothing(self):
        """Of 60 inputs 2 matter: the others' weights come to less than a hundredth of theirs."""
        draw = np.random.Generator(np.random.Philox(9))
        x = draw.normal(size=(400, 60))
        recipe = recipes.sparse(recipes.default(x, x[:, 0] - x[:, 1], hidden=(20,), epochs=40))
        model = recipe.having(l1=1e-2, learning_rate=1e-2).fit(x, x[:, 0] - x[:, 1], verbose=0)
        kernel = next(w for w in model.get_weights() if w.shape == (60, 20))
        size = np.abs(kernel).sum(axis=1)
        assert np.median(size[2:]) < 0.05 * size[:2].min()

    def test_low_latency_has_fewer_layers_that_can_be_folded(self):
        """A normalization right behind sums without a bias folds into the weights exactly."""
        x, y = table()
        recipe = recipes.low_latency(recipes.default(x, y, hidden=(30, 20, 10)))
        model = recipe.build()
        kinds = [type(layer).__name__ for layer in model.layers]
        hidden = ["Dense", "BatchNormalization", "Activation"]
        assert kinds == ["Normalization", *hidden, *hidden, "Dense", "Normalization"]
        assert model.precision == "bfloat16"
        assert not model.layers[1].use_bias

    def test_low_latency_and_self_normalization_exclude_each_other(self):
        with pytest.raises(InvalidArgumentError, match=r"low_latency\(ek\.recipes\.default"):
            recipes.low_latency(recipes.self_normalizing(*table()))

    @pytest.mark.parametrize("depth", [2, 8])
    def test_risk_sensitive_answers_vary_row_by_row(self, depth):
        """A row's draws do not depend on the rows beside it, as they would with batch statistics.

        With every unit kept, training mode gives what inference gives.
        """
        x, y = table()
        recipe = recipes.risk_sensitive(recipes.default(x, y, hidden=(20,) * depth))
        model = recipe.build()
        rows = x[:8].astype(np.float32)
        draws = np.stack([model(rows, training=True) for _ in range(20)])
        assert (draws.std(axis=0) > 0).all()
        kept = recipe.having(dropout=0.0).build()
        np.testing.assert_allclose(kept(rows, training=True), kept(rows), rtol=1e-4)

    def test_they_go_around_one_another(self):
        recipe = recipes.risk_sensitive(recipes.sparse(recipes.self_normalizing(*table())))
        assert recipe.name == "risk_sensitive_sparse_self_normalizing"
        assert (recipe["l1"] > 0, recipe["dropout"] > 0, recipe["activation"]) == (
            True,
            True,
            "selu",
        )
