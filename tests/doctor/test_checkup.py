"""Checkups of real models: sick ones are named, healthy ones are left in peace."""

from __future__ import annotations

import json

import numpy as np
import pytest

import evenkeel as ek
from evenkeel import layers
from evenkeel.description import describe
from evenkeel.randomness import seeds_given_out

ADAM = "adam"
SPARSE = "sparse_categorical_crossentropy"


@pytest.fixture(scope="module")
def digits():
    return ek.datasets.digits.load_data()


@pytest.fixture(scope="module")
def table():
    draw = np.random.Generator(np.random.Philox(3))
    x = draw.normal(size=(600, 8))
    return x, x @ draw.normal(size=8) / 3


def stack(*parts, loss=SPARSE, optimizer=ADAM, **more):
    model = ek.Sequential(list(parts))
    model.compile(optimizer, loss=loss, **more)
    return model


def hidden(activation="relu", initializer="he_normal", units=60, **more):
    return layers.Dense(units, activation=activation, kernel_initializer=initializer, **more)


def weights_of(model):
    return [np.array(weight) for weight in model.get_weights()]


# -- healthy networks ----------------------------------------------------------------------------


def lenet():
    return stack(
        layers.Reshape((8, 8, 1), input_shape=(64,)),
        layers.Rescaling(1 / 16),
        layers.Conv2D(16, 3, padding="same", activation="relu", kernel_initializer="he_normal"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, activation="relu"),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    )


def residual():
    x = inputs = ek.Input(shape=(64,))
    x = layers.Rescaling(1 / 16)(x)
    x = layers.Dense(60, activation="relu")(x)
    for _ in range(10):
        y = layers.BatchNormalization(momentum=0.9)(x)
        y = layers.Dense(60, activation="relu", kernel_initializer="he_normal")(y)
        y = layers.Dense(60, kernel_initializer="zeros")(y)
        x = layers.Add()([x, y])
    model = ek.Model(inputs, layers.Dense(10, activation="softmax")(x))
    model.compile(ADAM, loss=SPARSE)
    return model


HEALTHY = {
    "keras's own defaults": lambda: stack(
        layers.Rescaling(1 / 16),
        layers.Dense(100, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ),
    "logits": lambda: stack(
        layers.Rescaling(1 / 16),
        hidden(),
        layers.Dense(10),
        loss=ek.losses.SparseCategoricalCrossentropy(from_logits=True),
    ),
    "convolutions": lenet,
    "residual, branches start at 0": residual,
    "ten ReLU layers under Glorot": lambda: stack(
        layers.Rescaling(1 / 16),
        *[layers.Dense(60, activation="relu") for _ in range(10)],
        layers.Dense(10, activation="softmax"),
    ),
    "fifty ReLU layers under He": lambda: stack(
        layers.Rescaling(1 / 16),
        *[hidden() for _ in range(50)],
        layers.Dense(10, activation="softmax"),
    ),
    "fifty tanh layers": lambda: stack(
        layers.Rescaling(1 / 16),
        *[hidden("tanh", "glorot_normal") for _ in range(50)],
        layers.Dense(10, activation="softmax"),
    ),
    "thirty SELU layers": lambda: stack(
        layers.Rescaling(1 / 16),
        *[hidden("selu", "lecun_normal") for _ in range(30)],
        layers.AlphaDropout(0.1),
        layers.Dense(10, activation="softmax"),
    ),
    "twenty ELU layers": lambda: stack(
        layers.Rescaling(1 / 16),
        *[hidden("elu") for _ in range(20)],
        layers.Dense(10, activation="softmax"),
    ),
    "twenty swish layers with batch norm": lambda: stack(
        layers.Rescaling(1 / 16),
        *[
            layer
            for _ in range(20)
            for layer in (
                layers.Dense(60, use_bias=False),
                layers.BatchNormalization(),
                layers.Activation("swish"),
            )
        ],
        layers.Dense(10, activation="softmax"),
    ),
    "leaky layers": lambda: stack(
        layers.Rescaling(1 / 16),
        layers.Dense(60, kernel_initializer="he_normal"),
        layers.LeakyReLU(0.2),
        layers.Dense(60, activation=layers.LeakyReLU(0.1)),
        layers.PReLU(),
        layers.Dense(10, activation="softmax"),
    ),
    "a linear bottleneck": lambda: stack(
        layers.Rescaling(1 / 16),
        hidden(),
        layers.Dense(5),
        hidden(),
        layers.Dense(10, activation="softmax"),
    ),
    "max-norm": lambda: stack(
        layers.Rescaling(1 / 16),
        hidden(kernel_constraint=ek.constraints.MaxNorm(1.0)),
        layers.Dense(10, activation="softmax"),
    ),
    "batch norm first": lambda: stack(
        layers.BatchNormalization(), hidden(), layers.Dense(10, activation="softmax")
    ),
    "1cycle": lambda: stack(
        layers.Rescaling(1 / 16),
        hidden(),
        layers.Dense(10, activation="softmax"),
        optimizer=ek.optimizers.SGD(ek.optimizers.schedules.OneCycle(0.5), momentum=0.9),
    ),
    "an exponential decay longer than the run": lambda: stack(
        layers.Rescaling(1 / 16),
        hidden(),
        layers.Dense(10, activation="softmax"),
        optimizer=ek.optimizers.SGD(
            ek.optimizers.schedules.ExponentialDecay(0.1, 20_000, 0.1), nesterov=True, momentum=0.9
        ),
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_networks_have_no_finding(name, digits):
    (x, y), held_out = digits
    model = HEALTHY[name]()
    result = ek.checkup(model, x, y, validation_data=held_out, epochs=20)
    assert not result.findings, str(result)
    assert result.ok


@pytest.mark.parametrize(
    "data",
    [
        lambda draw: draw.normal(size=(500, 20)),
        lambda draw: draw.random((500, 20)),
        lambda draw: draw.uniform(-1, 1, (500, 20)),
        lambda draw: np.eye(20)[draw.integers(0, 20, 500)],
        lambda draw: (draw.random((500, 20)) < 0.01).astype(float),
        lambda draw: np.abs(draw.standard_t(3, (500, 20))),
        lambda draw: np.hstack(
            [draw.normal(size=(500, 10)), np.eye(10)[draw.integers(0, 10, 500)]]
        ),
    ],
    ids=["z-scores", "0..1", "-1..1", "one-hot", "rare flags", "heavy tails", "mixed"],
)
def test_healthy_inputs_have_no_finding(data, random):
    x = data(random)
    x_valid = data(random)[:300]
    model = stack(hidden(), layers.Dense(3, activation="softmax"))
    y, y_valid = random.integers(0, 3, 500), random.integers(0, 3, 300)
    result = ek.checkup(model, x, y, validation_data=(x_valid, y_valid))
    assert not result.findings, str(result)


def test_chance_alone_shifts_nothing():
    """One source, split at random, 300 rows for validation: over 100 draws not one finding."""
    model = stack(hidden(), layers.Dense(3, activation="softmax"))
    for seed in range(100):
        draw = np.random.Generator(np.random.Philox(seed))
        x, y = draw.standard_t(4, (1000, 30)), draw.integers(0, 3, 1000)
        result = ek.checkup(model, x[:700], y[:700], validation_data=(x[700:], y[700:]))
        assert not result.findings, f"seed {seed}: {result}"


def test_word_numbers_of_an_embedding_need_no_scaling(random):
    model = stack(
        layers.Embedding(5000, 16), layers.Flatten(), layers.Dense(2, activation="softmax")
    )
    result = ek.checkup(model, random.integers(0, 5000, (400, 12)), random.integers(0, 2, 400))
    assert not result.findings, str(result)


def test_frozen_layers_are_not_sick(digits):
    (x, y), _ = digits
    model = stack(
        layers.Rescaling(1 / 16),
        hidden(),
        layers.Dense(10, activation="softmax"),
    )
    model.fit(x, y, epochs=1, verbose=0)
    reused = ek.Sequential([*model.layers[:-1], layers.Dense(10, activation="softmax", name="new")])
    for layer in reused.layers[:-1]:
        layer.trainable = False
    reused.compile(ADAM, loss=SPARSE)
    assert not ek.checkup(reused, x, y).findings


def test_a_trained_network_is_not_judged_by_its_weights(digits):
    (x, y), _ = digits
    model = stack(layers.Rescaling(1 / 16), hidden(), layers.Dense(10, activation="softmax"))
    model.fit(x, y, epochs=2, verbose=0)
    assert not ek.checkup(model, x, y, epochs=20).findings


# -- sick networks -------------------------------------------------------------------------------


def test_twenty_sigmoid_layers_on_raw_pixels(digits):
    (x, y), _ = digits
    model = stack(
        *[layers.Dense(100, activation="sigmoid") for _ in range(20)],
        layers.Dense(10, activation="softmax"),
        optimizer="sgd",
    )
    result = ek.checkup(model, x, y)
    assert result.findings[0].code == "init-activation-mismatch"
    assert result.faults
    assert "inputs-not-standardized" in result.codes
    assert not result.ok


def test_prices_from_raw_columns(random):
    x = random.lognormal(size=(500, 3)) * [1, 1000, 30]
    model = stack(hidden(), layers.Dense(1), loss="mse")
    result = ek.checkup(model, x, random.lognormal(size=500) * 2e5)
    assert [finding.code for finding in result.findings] == [
        "targets-not-scaled",
        "inputs-not-standardized",
    ]


def test_batch_norm_in_a_short_run(digits):
    (x, y), _ = digits
    model = stack(
        layers.Rescaling(1 / 16),
        hidden(),
        layers.BatchNormalization(),
        layers.Dense(10, activation="softmax"),
    )
    result = ek.checkup(model, x, y, epochs=1)
    assert result.codes == {"batchnorm-horizon"}
    assert ek.checkup(model, x, y, epochs=10).ok


def test_each_output_is_judged_on_its_own(table):
    x, y = table
    inputs = ek.Input(shape=(8,))
    body = layers.Dense(20, activation="relu", kernel_initializer="he_normal")(inputs)
    price = layers.Dense(1, name="price")(body)
    kind = layers.Dense(1, activation="softmax", name="kind")(body)
    model = ek.Model(inputs, [price, kind])
    model.compile(ADAM, loss={"price": "mse", "kind": "binary_crossentropy"})
    result = ek.checkup(model, x, {"price": y * 1e6, "kind": (y > 0).astype(int)})
    places = {finding.code: finding.place for finding in result.findings}
    assert places["targets-not-scaled"] == ("price",)
    assert places["output-activation-mismatch"] == ("kind", "kind")
    assert set(places) == {"targets-not-scaled", "output-activation-mismatch"}


def test_each_input_is_judged_on_its_own(table):
    x, y = table
    a, b = ek.Input(shape=(8,), name="scaled"), ek.Input(shape=(8,), name="raw")
    out = layers.Dense(1)(
        layers.Concatenate()([layers.Dense(5, activation="relu")(a), layers.Dense(5)(b)])
    )
    model = ek.Model([a, b], out)
    model.compile(ADAM, loss="mse")
    (found,) = ek.checkup(model, {"scaled": x, "raw": x * 900}, y).findings
    assert found.code == "inputs-not-standardized"
    assert found.place[0] == "raw"


def test_columns_of_a_table_go_by_their_names(table):
    pandas = pytest.importorskip("pandas")
    x, y = table
    frame = pandas.DataFrame(x, columns=list("abcdefgh"))
    frame["c"] *= 5000
    model = stack(hidden(), layers.Dense(1), loss="mse")
    (found,) = ek.checkup(model, frame, y).findings
    assert "'c'" in str(found.evidence[-1])


# -- what a checkup leaves alone, and what it cannot tell ----------------------------------------


def test_changes_nothing(digits):
    """Weights, random state, and whether the model is built: all as before."""
    (x, y), _ = digits
    model = stack(hidden(), layers.Dense(10, activation="softmax"))
    seeds = seeds_given_out()
    ek.checkup(model, x, y)
    assert not model.built
    assert seeds_given_out() == seeds
    model.build((None, 64))
    before = weights_of(model)
    ek.checkup(model, x, y)
    assert all(map(np.array_equal, before, weights_of(model)))


def test_a_model_that_is_not_compiled_is_judged_as_far_as_that_goes(random):
    model = ek.Sequential([hidden(), layers.Dropout(0.95), layers.Dense(1)])
    result = ek.checkup(model, random.normal(size=(100, 3)) * 400, random.normal(size=100))
    assert result.codes == {"dropout-too-high", "inputs-not-standardized"}
    reasons = {verdict.code: verdict.reason for verdict in result.unknown}
    assert "model.compile" in reasons["loss-mismatch"]


def test_a_model_with_a_call_of_its_own_is_judged_as_far_as_that_goes(random):
    class Own(ek.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = hidden(), layers.Dense(1)

        def call(self, inputs):
            return self.last(self.first(inputs))

    model = Own()
    model.compile(ADAM, loss="mse")
    result = ek.checkup(model, random.normal(size=(100, 3)), random.normal(size=100) * 1e6)
    assert result.codes == {"targets-not-scaled"}
    assert any("call of its own" in verdict.reason for verdict in result.unknown)


def test_inputs_and_outputs_in_dicts_of_a_model_with_a_call_of_its_own(table):
    x, y = table

    class Own(ek.Model):
        def __init__(self):
            super().__init__()
            self.first, self.left, self.right = hidden(), layers.Dense(1), layers.Dense(1)

        def call(self, inputs):
            body = self.first(inputs["table"])
            return {"left": self.left(body), "right": self.right(body)}

    model = Own()
    assert not ek.checkup(model, {"table": x}, {"left": y, "right": y}).findings
    model.compile(ADAM, loss={"left": "mse", "right": "mse"})
    (found,) = ek.checkup(model, {"table": x}, {"left": y, "right": y * 1e6}).findings
    assert (found.code, found.place) == ("targets-not-scaled", ("right",))


def test_targets_that_are_not_finite_are_one_finding(table):
    x, y = table
    holed = np.where(y > 1, np.inf, np.round(np.clip(y, 0, 1)))
    model = stack(hidden(), layers.Dense(2, activation="softmax"))
    assert ek.checkup(model, x, holed).codes == {"inputs-not-finite"}


def test_validation_rows_of_another_width_are_refused(table):
    x, y = table
    model = stack(hidden(), layers.Dense(1), loss="mse")
    with pytest.raises(ek.errors.InvalidDataError, match="Prepare both alike"):
        ek.checkup(model, x, y, validation_data=(x[:, :3], y))


def test_a_layer_of_ones_own_makes_it_cautious(random):
    class Halved(layers.Layer):
        def call(self, inputs):
            return inputs / 255

    model = stack(Halved(), hidden(), layers.Dense(1), loss="mse")
    result = ek.checkup(model, random.integers(0, 256, (300, 40)), random.normal(size=300))
    assert not result.findings
    assert "inputs-not-standardized" in {verdict.code for verdict in result.unknown}


def test_an_unknown_depth_is_refused_with_the_nearest(table):
    model = stack(hidden(), layers.Dense(1), loss="mse")
    with pytest.raises(ek.errors.InvalidArgumentError, match="'static'"):
        ek.checkup(model, *table, depth="statik")


def test_data_that_does_not_fit_is_refused(table):
    model = stack(hidden(input_shape=(3,)), layers.Dense(1), loss="mse")
    with pytest.raises(ek.errors.InvalidDataError, match="expected"):
        ek.checkup(model, *table)
    with pytest.raises(ek.errors.InvalidDataError, match="belong together"):
        ek.checkup(stack(layers.Dense(1), loss="mse"), table[0], table[1][:-1])


def test_data_that_fit_refuses_is_judged(table):
    """`fit` raises for these; a checkup says what is wrong."""
    x, y = table
    model = stack(hidden(), layers.Dense(3, activation="softmax"))
    assert "loss-mismatch" in ek.checkup(model, x, y).codes
    assert "targets-out-of-range" in ek.checkup(model, x, np.arange(600) * 7 % 5).codes
    holed = np.where(np.arange(8) == 3, np.nan, x)
    assert "inputs-not-finite" in ek.checkup(model, holed, np.arange(600) * 7 % 3).codes


# -- how it is shown -----------------------------------------------------------------------------


@pytest.fixture
def sick(random):
    model = stack(hidden(), layers.Dense(1, name="<b>"), loss="mse")
    return ek.checkup(model, random.normal(size=(100, 3)), random.normal(size=100) * 1e6)


def test_prints_what_is_wrong_where_by_which_numbers_and_what_to_type(sick):
    text = str(sick)
    for part in ("FAULT", "targets-not-scaled", "Evidence:", "Type: y = (y - y_mean)", "explain"):
        assert part in text
    assert len(text.splitlines()) < 40
    assert max(map(len, text.splitlines())) <= 100


def test_a_page_stands_alone(sick, tmp_path):
    page = sick.to_html(tmp_path / "checkup.html")
    assert (tmp_path / "checkup.html").read_text(encoding="utf-8") == page
    assert page.startswith("<!doctype html>")
    assert "http" not in page
    assert "<script" not in page
    assert "targets-not-scaled" in sick._repr_html_()


def test_names_of_the_user_are_no_markup(random):
    model = ek.Sequential([layers.Dense(1)], name="<script>")
    result = ek.checkup(model, random.normal(size=(100, 3)), random.normal(size=100))
    assert "<script>" not in result.to_html()
    assert "&lt;script&gt;" in result.to_html()


def test_plain_data_is_json_and_stable(sick):
    written = json.loads(json.dumps(sick.to_dict()))
    assert set(written) == {"model", "depth", "ok", "findings", "unknown", "healthy"}
    assert set(written["findings"][0]) == {
        "code",
        "severity",
        "sentence",
        "confidence",
        "place",
        "evidence",
        "remedies",
        "explains",
        "symptoms",
    }
    assert written["findings"][0]["remedies"][0]["type"]


def test_explain_offers_the_nearest_code():
    assert ek.explain("Constant_Init").code == "constant-init"
    with pytest.raises(ek.errors.InvalidArgumentError, match="'init-scale'"):
        ek.explain("init-scael")


def test_nested_models_and_shared_layers_are_described(table):
    x, _ = table
    inner = ek.Sequential([hidden(units=8), layers.Dense(8)])
    a = ek.Input(shape=(8,))
    model = ek.Model(a, layers.Dense(1)(layers.Add()([inner(a), inner(a)])))
    patient = describe(model, x, None)
    names = [layer.name for layer in patient.layers]
    assert len(names) == len(set(names)) == 1 + 4 + 2
    assert patient.layers[-1].sources == (names[-2],)
