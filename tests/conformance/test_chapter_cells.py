"""Every code cell of the study notes runs as the notes write it, with only the import changed.

The notes explain how deep networks are trained, with the Keras of their time. Their 64 cells stand
in `cells.py`. They run here in order and in one namespace, as in a notebook; `import tensorflow as
tf` and `from tensorflow import keras` become `import evenkeel as tf` and `from evenkeel import
keras`. Each row of this table is a test, which holds what its last column but one says. Numbers
come from what the notes print, and from closed forms.

| In | What the cell does | What is held | Typed today |
|---|---|---|---|
| 6 | imports pandas, NumPy, the library | `keras` is `tf.keras` | `import evenkeel as ek` |
| 8 | two layers with He starts | 10 units, ReLU, the two rules | |
| 10 | shows the first rule | HeNormal; variance 2 / fan_in | |
| 11 | shows the second rule | HeUniform; limit sqrt(6 / fan_in) | |
| 14 | a layer with a Glorot start | GlorotNormal, sigmoid; variance 2 / (in + out) | |
| 16 | He scaling by fan_avg | the layer holds the very rule given | |
| 17 | shows that rule | VarianceScaling; limit sqrt(6 / fan_avg) | |
| 21 | a network with leaky ReLU | slope 0.2: -1 becomes -0.2 | `LeakyReLU(negative_slope=0.2)` |
| 22 | its summary | rows, shapes, 911 parameters | |
| 23 | a network with PReLU; summary | rows, shapes, 961 parameters; slopes 0 at first | |
| 24 | a network with SELU; summary | rows, shapes, 911 parameters; LeCun normal | |
| 25 | batch normalization after activations | seven layers, their types | an `Input` first |
| 26 | its summary | 271,346 parameters, 2,368 not trained | |
| 28 | variables of the first one | four names, True True False False | |
| 33 | batch normalization before; summary | rows; 271,346 and 2,368 again | as In 25 |
| 35 | SGD with clipvalue | [0.9, 100] is clipped to [0.9, 1]; clipnorm as noted | |
| 38 | reuses layers in a model B | the same objects, one fewer | |
| 39 | adds an output to B | training B changes A | |
| 41 | clones A, copies the weights | equal, none shared | `clone_model(model, weights=True)` |
| 42 | builds B on the clone | training B changes the clone and not A | |
| 44 | freezes the reused layers | kernel and bias of the output are left to train | |
| 45 | compiles B | training moves these two alone | |
| 47 | SGD with momentum | two steps in closed form | |
| 48 | SGD with Nesterov momentum | the same | |
| 50 | Adagrad | the same | |
| 49 | RMSprop | the same | |
| 51 | Adam | the same | |
| 54 | Adamax | the same | |
| 55 | Nadam | the same | |
| 61 | legacy SGD with decay | 0.01 / (1 + t / 10,000); a warning | SGD with an InverseTimeDecay |
| 65 | InverseTimeDecay | a half, a third, a quarter of 0.01 at its landmarks | |
| 66 | shows 10_000 | 10000 | |
| 78 | ExponentialDecay | a tenth after 20 epochs of 312.5 steps | |
| 73 | exponential decay by epoch, by hand | both functions: a tenth every 20 epochs | |
| 71 | LearningRateScheduler | each epoch of a fit has the function's rate | |
| 74 | PiecewiseConstantDecay | a value up to its boundary, boundary included | |
| 76 | piecewise by epoch, by hand | the rates of a fit over epochs 4 to 15 | |
| 79 | ReduceLROnPlateau | halves the rate after 5 epochs without gain | |
| 80 | an L2 penalty | 0.01 times the sum of squares is in the loss | |
| 82 | an L1 penalty | 0.01 times the sum of magnitudes is | |
| 83 | both | their sum is | |
| 85 | imports `partial` | it is functools' | |
| 86 | a layer with defaults of one's own | each layer's settings, overridden ones too | as In 25 |
| 88 | the network's summary | rows, 266,610 parameters | |
| 89 | a network with dropout | three layers of rate 0.2; inactive in inference | as In 25 |
| 90 | its summary | rows, 266,610 parameters | |
| 91 | its summary again | the same text | |
| 95 | compiles it | a metric named accuracy, of the sparse kind | `metrics=["accuracy"]` |
| 93 | loads Fashion-MNIST | shapes, types, ranges | |
| 96 | fits 30 epochs | the history's four lists; the loss falls | `validation_data=(x, y)` |
| 102 | 100 predictions with dropout | shape; rows sum to 1; samples differ; repeatable | |
| 105 | an ordinary prediction | (1, 10), as `model` says in inference | |
| 107 | the averaged prediction | ten numbers, the mean of the samples | |
| 109 | the samples' shape | (100, 10000, 10) | |
| 114 | predicts an image without batch | a batch of one; a warning | `X_test[0][None]` |
| 116 | a class's name | Ankle boot | |
| 120 | the spread of one prediction | a standard deviation of ten shares: 0 to 0.3 | |
| 124 | the likeliest classes | (10000,), from 0 to 9 | |
| 125 | their accuracy | the share of hits; above chance | |
| 126 | a Dropout that always drops | drops in inference | |
| 127 | converts the model to it | equal weights, shared layers; calls differ | |
| 128 | its summary | rows with mc_dropout, 266,610 parameters | |
| 131 | a max-norm constraint | after a step no column is longer than 1 | |
| 134 | that layer's configuration | every entry that the notes print | |

Keras 3.15.1 runs 59 of the 64 (`run_with_keras.py` records it). It refuses In 61, there being no
`optimizers.legacy`; In 95, a metric that is a bare string, and with it In 96, the model not being
compiled; In 114, an image without a batch axis; and, on its JAX backend, In 127, because there the
model has lost its weights with the refusal of In 114.

What differs from the notes' printout: layers are numbered within their model (`dense`, `dense_1`,
...). As in Keras of today, variables are named without their layer (`gamma`), and a configuration
says nothing of an activity penalty where there is none.

Two things are done around a cell. For speed, In 96 trains 2 epochs on 10,000 rows (`shortened`);
the test marked slow trains in full. And every cell starts from a seed (`prepared`), so that it
does not matter which process runs which. Where Fashion-MNIST is not at hand,
`load_data` returns a stand-in of the same shapes and types, so that every cell runs everywhere.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from unittest import mock

import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from tests.conformance.cells import CELLS, Cell
from tests.conformance.notebook import Notebook, Record, stand_in_pictures

ROWS, EPOCHS = 10_000, 2


# -- running ---------------------------------------------------------------------------------------


def pictures_are_at_hand() -> bool:
    """Whether Fashion-MNIST itself can be loaded without a download."""
    entries = {entry.name: entry for entry in ek.datasets.entries()}
    return entries["fashion-mnist"].is_at_hand()


@contextlib.contextmanager
def prepared(cell: Cell) -> Iterator[None]:
    """Seeds a cell, so that it does not matter which cells ran before, and finds the pictures."""
    ek.set_random_seed(cell.number)
    pictures = (
        contextlib.nullcontext()
        if pictures_are_at_hand()
        else mock.patch("evenkeel.datasets.fashion_mnist.load_data", stand_in_pictures)
    )
    with pictures, mock.patch.dict("os.environ", COLUMNS="100"):
        yield


@contextlib.contextmanager
def shortened(cell: Cell) -> Iterator[None]:
    """Does the same, and trains 2 epochs on 10,000 rows at most."""
    fit = ek.Model.fit

    def short_fit(self, x, y, epochs=1, **more):
        return fit(self, x[:ROWS], y[:ROWS], epochs=min(epochs, EPOCHS), **more)

    with prepared(cell), mock.patch.object(ek.Model, "fit", short_fit):
        yield


@pytest.fixture(scope="module")
def notebook() -> Notebook:
    """The notebook; a test runs it as far as its cell, whichever process it is in."""
    return Notebook("evenkeel", shortened)


Check = Callable[[Record], None]
CHECKS: dict[int, Check] = {}


def holds(number: int) -> Callable[[Check], Check]:
    """Decorator: what must hold after the cell of this number."""

    def enrol(check: Check) -> Check:
        CHECKS[number] = check
        return check

    return enrol


def ids() -> list[str]:
    """Returns a test's name for each cell: the number, and the claim."""
    return [f"In[{cell.number}]-{CHECKS[cell.number].__name__}" for cell in CELLS]


# -- what checks are made of -----------------------------------------------------------------------


def kind(thing: object) -> str:
    """Returns the name of a thing's class."""
    return type(thing).__name__


def rows_of(printed: str) -> list[tuple[str, str, str, int]]:
    """Returns (name, type, output shape, parameters) of each layer in a printed summary."""
    row = re.compile(r"(\w+) \((\w+)\)\W+(\(None[\d, ]*\))\W+([\d,]+)")
    return [
        (name, kind, shape, int(count.replace(",", "")))
        for name, kind, shape, count in row.findall(printed)
    ]


def totals_of(printed: str) -> tuple[int, int, int]:
    """Returns the total, trainable and non-trainable parameters in a printed summary."""
    total, trained, others = (
        int(re.search(rf"^ *{words} params: ([\d,]+)", printed, re.MULTILINE)[1].replace(",", ""))
        for words in ("Total", "Trainable", "Non-trainable")
    )
    return total, trained, others


def expect_summary(printed: str, rows: str, totals: tuple[int, int, int]) -> None:
    """Compares a printed summary with rows of `name type units parameters`."""
    expected = [
        (name, kind, f"(None, {units})", int(count))
        for name, kind, units, count in (line.split() for line in rows.strip().splitlines())
    ]
    assert rows_of(printed) == expected
    assert totals_of(printed) == totals


def images(rows: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Returns a few images of noise with labels 0 and 1, each at least once."""
    random = np.random.Generator(np.random.Philox(3))
    return random.normal(size=(rows, 28, 28)).astype(np.float32), np.arange(rows) % 2


def weights_after_fit(trained: ek.Model, watched: ek.Model) -> tuple[list, list]:
    """Trains one model for an epoch; returns another's weights before and after.

    What was trained gets its weights back, and stays compiled as it was.
    """
    saved, before = trained.get_weights(), watched.get_weights()
    trained.fit(*images(), verbose=0)
    after = watched.get_weights()
    trained.set_weights(saved)
    return before, after


def changed(before: list[np.ndarray], after: list[np.ndarray]) -> list[bool]:
    """Returns for each array whether any of its elements changed."""
    return [not np.array_equal(b, a) for b, a in zip(before, after, strict=True)]


def mean_prediction(y_true, y_pred):
    """A loss whose gradient with respect to a linear layer's kernel is the input."""
    return jnp.mean(y_pred, axis=-1)


def walk(optimizer: ek.optimizers.Optimizer, gradient: list[float], steps: int) -> np.ndarray:
    """Returns where weights that begin at 0 are after steps with a constant gradient."""
    model = ek.Sequential(
        [
            ek.Input(shape=[len(gradient)]),
            ek.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        ]
    )
    model.compile(optimizer, mean_prediction)
    for _ in range(steps):
        model.train_on_batch(np.array([gradient], np.float32), np.zeros((1, 1), np.float32))
    return model.get_weights()[0][:, 0]


def expect_walk(optimizer: ek.optimizers.Optimizer, positions: list[float]) -> None:
    """Compares two steps with the constant gradient 1 with positions in units of the rate 0.001."""
    assert float(optimizer.learning_rate) == pytest.approx(1e-3)
    copy = type(optimizer).from_config(optimizer.get_config())
    np.testing.assert_allclose(walk(optimizer, [1.0], 1) / 1e-3, positions[:1], rtol=2e-5)
    np.testing.assert_allclose(walk(copy, [1.0], 2) / 1e-3, positions[1:], rtol=2e-5)


def rate_after(optimizer: ek.optimizers.Optimizer, steps: int) -> float:
    """Returns the learning rate that an optimizer has after some steps."""
    optimizer.iterations, saved = steps, optimizer.iterations
    try:
        return float(optimizer.learning_rate)
    finally:
        optimizer.iterations = saved


def expect_schedule(after: Record, rates: dict[int, float]) -> None:
    """Compares a schedule, called by itself and through its optimizer, with rates by step."""
    for step, rate in rates.items():
        assert float(after["lr_schedule"](step)) == pytest.approx(rate, rel=1e-5)
        assert rate_after(after["optimizer"], step) == pytest.approx(rate, rel=1e-5)


def rates_of_fit(callback: ek.callbacks.Callback, first: int, last: int) -> list[float]:
    """Returns the rate of each epoch of a fit in which nothing can improve."""
    model = ek.Sequential([ek.layers.Dense(1, input_shape=[2])])
    model.compile(ek.optimizers.SGD(0.01), "mse")
    nothing = np.zeros((4, 2), np.float32), np.zeros((4, 1), np.float32)
    history = model.fit(
        *nothing,
        validation_data=nothing,
        initial_epoch=first,
        epochs=last,
        callbacks=[callback],
        verbose=0,
    )
    return history.history["learning_rate"]


def penalty_in_loss(layer: ek.layers.Layer) -> tuple[float, np.ndarray]:
    """Returns the loss of a model whose loss proper is 0, and the layer's kernel."""
    model = ek.Sequential([ek.Input(shape=[8]), layer])
    model.compile("sgd", lambda y_true, y_pred: jnp.mean(y_pred * 0.0, axis=-1))
    loss = model.evaluate(np.ones((4, 8), np.float32), np.zeros((4, 100), np.float32), verbose=0)
    return loss, layer.get_weights()[0].astype(np.float64)


# -- initialization --------------------------------------------------------------------------------


@holds(6)
def one_import_gives_both_names(after):
    assert after["keras"] is after["tf"].keras
    assert after["keras"].layers.Dense is ek.layers.Dense
    assert (after["np"].__name__, after["pd"].__name__) == ("numpy", "pandas")


@holds(8)
def layers_take_he_rules_by_name(after):
    for name, rule in (("he_normal_layer", "HeNormal"), ("he_uniform_layer", "HeUniform")):
        config = after[name].get_config()
        assert (config["units"], config["activation"]) == (10, "relu")
        assert config["kernel_initializer"]["class_name"] == rule


@holds(10)
def he_normal_has_variance_two_over_fan_in(after):
    """The variance of n draws has a standard error of about sqrt(2/n), here 0.4 %."""
    assert kind(after.value) == "HeNormal"
    draws = np.asarray(after.value((400, 300)))
    assert draws.var() == pytest.approx(2 / 400, rel=0.02)
    assert abs(draws.mean()) < 4 * np.sqrt(2 / 400 / draws.size)


@holds(11)
def he_uniform_stays_within_its_limit(after):
    assert kind(after.value) == "HeUniform"
    draws = np.abs(np.asarray(after.value((400, 300))))
    assert draws.max() == pytest.approx(np.sqrt(6 / 400), rel=1e-3)
    assert draws.max() <= np.sqrt(6 / 400) * (1 + 1e-6)


@holds(14)
def glorot_normal_has_variance_two_over_both_fans(after):
    config = after["glorot_normal_layer"].get_config()
    assert config["activation"] == "sigmoid"
    assert config["kernel_initializer"]["class_name"] == "GlorotNormal"
    draws = np.asarray(after["glorot_normal_layer"].kernel_initializer((400, 300)))
    assert draws.var() == pytest.approx(2 / 700, rel=0.02)


@holds(16)
def a_layer_holds_the_rule_it_was_given(after):
    assert after["he_avg_layer"].kernel_initializer is after["he_avg_init"]


@holds(17)
def variance_scaling_divides_by_the_average_fan(after):
    assert kind(after.value) == "VarianceScaling"
    config = after.value.get_config()
    assert (config["scale"], config["mode"], config["distribution"]) == (2, "fan_avg", "uniform")
    draws = np.abs(np.asarray(after.value((400, 300))))
    assert draws.max() == pytest.approx(np.sqrt(3 * 2 / 350), rel=1e-3)


# -- activations -----------------------------------------------------------------------------------


@holds(21)
def the_leaky_layers_have_slope_a_fifth(after):
    layers = after["model"].layers
    assert [kind(layer) for layer in layers] == [
        "Dense",
        "LeakyReLU",
        "Dense",
        "LeakyReLU",
        "Dense",
    ]
    for layer in (layers[1], layers[3]):
        outputs = np.asarray(layer(np.array([[-1.0, 0.0, 2.0]], np.float32)))
        np.testing.assert_allclose(outputs, [[-0.2, 0.0, 2.0]], rtol=1e-6)


@holds(22)
def the_leaky_network_has_911_parameters(after):
    rows = """
        dense          Dense      30  270
        leaky_re_lu    LeakyReLU  30  0
        dense_1        Dense      20  620
        leaky_re_lu_1  LeakyReLU  20  0
        dense_2        Dense      1   21
    """
    expect_summary(after.printed, rows, (911, 911, 0))


@holds(23)
def the_parametric_network_has_961_parameters(after):
    rows = """
        dense      Dense  30  270
        p_re_lu    PReLU  30  30
        dense_1    Dense  20  620
        p_re_lu_1  PReLU  20  20
        dense_2    Dense  1   21
    """
    expect_summary(after.printed, rows, (961, 961, 0))
    for slopes in (after["model"].layers[1].get_weights(), after["model"].layers[3].get_weights()):
        assert len(slopes) == 1
        assert not slopes[0].any()


@holds(24)
def the_selu_network_has_911_parameters(after):
    rows = """
        dense    Dense  30  270
        dense_1  Dense  20  620
        dense_2  Dense  1   21
    """
    expect_summary(after.printed, rows, (911, 911, 0))
    for layer in after["model"].layers[:-1]:
        config = layer.get_config()
        assert config["activation"] == "selu"
        assert config["kernel_initializer"]["class_name"] == "LecunNormal"


# -- batch normalization ---------------------------------------------------------------------------

NORMALIZED_AFTER = """
    flatten                Flatten             784  0
    batch_normalization    BatchNormalization  784  3136
    dense                  Dense               300  235500
    batch_normalization_1  BatchNormalization  300  1200
    dense_1                Dense               100  30100
    batch_normalization_2  BatchNormalization  100  400
    dense_2                Dense               10   1010
"""
NORMALIZED_BEFORE = """
    flatten                Flatten             784  0
    batch_normalization    BatchNormalization  784  3136
    dense                  Dense               300  235500
    batch_normalization_1  BatchNormalization  300  1200
    activation             Activation          300  0
    dense_1                Dense               100  30100
    batch_normalization_2  BatchNormalization  100  400
    activation_1           Activation          100  0
    dense_2                Dense               10   1010
"""


@holds(25)
def normalization_stands_where_it_was_put(after):
    kinds = [line.split()[1] for line in NORMALIZED_AFTER.strip().splitlines()]
    assert [kind(layer) for layer in after["model"].layers] == kinds
    assert after["model"].output_shape == (None, 10)


@holds(26)
def half_of_the_normalizations_parameters_are_not_trained(after):
    """4 parameters an input; (3136 + 1200 + 400) / 2 = 2368."""
    expect_summary(after.printed, NORMALIZED_AFTER, (271_346, 268_978, 2_368))


@holds(28)
def a_normalization_has_two_trained_and_two_moving_variables(after):
    assert [(name.rpartition("/")[2].partition(":")[0], flag) for name, flag in after.value] == [
        ("gamma", True),
        ("beta", True),
        ("moving_mean", False),
        ("moving_variance", False),
    ]


@holds(33)
def normalizing_before_the_activation_costs_the_same(after):
    expect_summary(after.printed, NORMALIZED_BEFORE, (271_346, 268_978, 2_368))


# -- clipping --------------------------------------------------------------------------------------


@holds(35)
def clipvalue_bends_a_gradient_and_clipnorm_shortens_it(after):
    """A step at rate 0.01 shows the gradient that was used; the notes give both examples."""
    assert kind(after.value) == "SGD"
    assert after.value is after["optimizer"]
    assert after.value.clipvalue == 1.0
    by_value = walk(after.value, [0.9, 100.0], 1) / -0.01
    by_norm = walk(ek.optimizers.SGD(clipnorm=1.0), [0.9, 100.0], 1) / -0.01
    np.testing.assert_allclose(by_value, [0.9, 1.0], rtol=1e-5)
    np.testing.assert_allclose(by_norm, [0.00899964, 0.9999595], rtol=1e-5)


# -- reusing layers --------------------------------------------------------------------------------


@holds(38)
def model_b_is_made_of_the_layers_of_model_a(after):
    reused, source = after["model_B_on_A"].layers, after["model_A"].layers
    assert after["model_A"] is after["model"]
    # In 39 puts one more layer on the same model B.
    assert len(source) == 9
    assert all(b is a for b, a in zip(reused[:8], source[:8], strict=True))


@holds(39)
def training_model_b_changes_model_a(after):
    model_a, model_b = after["model_A"], after["model_B_on_A"]
    assert model_b.output_shape == (None, 1)
    assert model_b.layers[-1].get_config()["activation"] == "sigmoid"
    assert model_b.layers[-1].count_params() == 101
    model_b.compile("sgd", "binary_crossentropy")
    moved = changed(*weights_after_fit(model_b, model_a))
    # Not the biases at 5 and 11: a normalization follows, so that their gradient is 0.
    assert all(moved[i] for i in range(16) if i not in (5, 11))
    assert moved[16:] == [False, False]


@holds(41)
def a_clone_has_equal_weights_and_shares_none(after):
    source, clone = after["model_A"], after["model_A_clone"]
    assert not any(changed(source.get_weights(), clone.get_weights()))
    assert not {id(v) for v in source.variables} & {id(v) for v in clone.variables}
    fresh = ek.models.clone_model(source)
    assert not np.array_equal(fresh.layers[2].get_weights()[0], source.layers[2].get_weights()[0])


@holds(42)
def training_on_the_clone_leaves_model_a_alone(after):
    """The weights are trained in a second model B, since In 44 freezes the first one's layers."""
    clone, model_b = after["model_A_clone"], after["model_B_on_A"]
    assert all(b is c for b, c in zip(model_b.layers[:-1], clone.layers[:-1], strict=True))
    assert model_b.output_shape == (None, 1)
    copy = ek.models.clone_model(clone, weights=True)
    for layer in copy.layers:
        layer.trainable = True
    again = ek.Sequential(copy.layers[:-1])
    again.add(ek.layers.Dense(1, activation="sigmoid"))
    again.compile("sgd", "binary_crossentropy")
    model_a_before = after["model_A"].get_weights()
    assert any(changed(*weights_after_fit(again, copy)))
    assert not any(changed(model_a_before, after["model_A"].get_weights()))


@holds(44)
def only_the_new_output_is_left_to_train(after):
    model_b = after["model_B_on_A"]
    assert [layer.trainable for layer in model_b.layers] == [False] * 8 + [True]
    assert [v.shape for v in model_b.trainable_weights] == [(100, 1), (1,)]


@holds(45)
def training_moves_the_output_alone(after):
    """Frozen normalizations are in inference mode: their moving averages stay as well."""
    model_b = after["model_B_on_A"]
    before, moved = weights_after_fit(model_b, model_b)
    assert changed(before, moved) == [False] * 16 + [True, True]
    assert sorted(model_b.history.history) == ["accuracy", "loss"]


# -- optimizers ------------------------------------------------------------------------------------


@holds(47)
def momentum_gathers_speed(after):
    """m = 0.9 m - rate; w += m: -1, then -1 - 1.9."""
    assert after["optimizer"].momentum == 0.9
    expect_walk(after["optimizer"], [-1.0, -2.9])


@holds(48)
def nesterov_looks_ahead(after):
    """w += 0.9 m - rate: -1.9, then -1.9 - (0.9 * 1.9 + 1)."""
    assert after["optimizer"].nesterov is True
    expect_walk(after["optimizer"], [-1.9, -4.61])


@holds(50)
def adagrad_slows_down(after):
    """The sum of squares begins at 0.1."""
    first, second = 1 / np.sqrt(1.1), 1 / np.sqrt(2.1)
    expect_walk(after["optimizer"], [-first, -first - second])


@holds(49)
def rmsprop_divides_by_a_decaying_average(after):
    """The average of squares is 0.1, then 0.19."""
    assert after["optimizer"].rho == 0.9
    first, second = 1 / np.sqrt(0.1), 1 / np.sqrt(0.19)
    expect_walk(after["optimizer"], [-first, -first - second])


@holds(51)
def adam_corrects_its_bias(after):
    """With a constant gradient both corrected averages are 1."""
    assert (after["optimizer"].beta_1, after["optimizer"].beta_2) == (0.9, 0.999)
    expect_walk(after["optimizer"], [-1.0, -2.0])


@holds(54)
def adamax_divides_by_the_largest(after):
    assert (after["optimizer"].beta_1, after["optimizer"].beta_2) == (0.9, 0.999)
    expect_walk(after["optimizer"], [-1.0, -2.0])


@holds(55)
def nadam_looks_ahead_with_adam(after):
    """Dozat's schedule of momenta: u_t = 0.9 (1 - 0.5 * 0.96^t)."""
    u = [0.9 * (1 - 0.5 * 0.96**t) for t in (1, 2, 3)]
    first = u[1] * 0.1 / (1 - u[0] * u[1]) + (1 - u[0]) / (1 - u[0])
    second = u[2] * 0.19 / (1 - u[0] * u[1] * u[2]) + (1 - u[1]) / (1 - u[0] * u[1])
    expect_walk(after["optimizer"], [-first, -first - second])


# -- learning rate schedules -----------------------------------------------------------------------


@holds(61)
def decay_divides_the_rate_as_inverse_time_decay_does(after):
    today = ek.optimizers.schedules.InverseTimeDecay(0.01, decay_steps=10_000, decay_rate=1.0)
    for step in (0, 1, 100, 10_000, 30_000):
        rate = rate_after(after["optimizer"], step)
        assert rate == pytest.approx(0.01 / (1 + 1e-4 * step), rel=1e-5)
        assert rate == pytest.approx(float(today(step)), rel=1e-5)


@holds(65)
def power_scheduling_halves_then_thirds(after):
    expect_schedule(after, {0: 0.01, 10_000: 0.01 / 2, 20_000: 0.01 / 3, 30_000: 0.01 / 4})


@holds(66)
def ten_thousand_is_shown(after):
    assert after.value == 10000


@holds(78)
def exponential_scheduling_divides_by_ten_in_20_epochs(after):
    assert after["s"] == 6250
    expect_schedule(after, {0: 0.01, 3125: 0.01 * 10**-0.5, 6250: 1e-3, 12_500: 1e-4})


@holds(73)
def both_functions_divide_by_ten_in_20_epochs(after):
    for function in (after["exp_decay_fn"], after["exp_decay"](0.01, s=20)):
        for epoch, rate in ((0, 0.01), (10, 0.01 * 10**-0.5), (20, 1e-3), (40, 1e-4)):
            assert function(epoch) == pytest.approx(rate)


@holds(71)
def the_scheduler_sets_each_epochs_rate(after):
    rates = rates_of_fit(after["lr_schedule"], 19, 22)
    np.testing.assert_allclose(rates, [0.01 * 0.1 ** (e / 20) for e in (19, 20, 21)], rtol=1e-5)


@holds(74)
def a_piece_includes_its_boundary(after):
    expect_schedule(
        after, {0: 0.01, 50_000: 0.01, 50_001: 0.005, 80_000: 0.005, 80_001: 0.001, 200_000: 0.001}
    )


@holds(76)
def pieces_by_epoch_are_followed(after):
    callback = ek.callbacks.LearningRateScheduler(after["piecewise_constant_fn"])
    np.testing.assert_allclose(
        rates_of_fit(callback, 4, 16), [0.01] + [0.005] * 10 + [0.001], rtol=1e-6
    )


@holds(79)
def five_epochs_without_gain_halve_the_rate(after):
    """The first epoch sets the best; the five that follow do not beat it."""
    rates = rates_of_fit(after["lr_scheduler"], 0, 12)
    np.testing.assert_allclose(rates, [0.01] * 6 + [0.005] * 5 + [0.0025], rtol=1e-6)


# -- regularization --------------------------------------------------------------------------------


@holds(80)
def l2_adds_the_sum_of_squares(after):
    loss, kernel = penalty_in_loss(after["layer"])
    assert loss == pytest.approx(0.01 * np.square(kernel).sum(), rel=1e-4)


@holds(82)
def l1_adds_the_sum_of_magnitudes(after):
    loss, kernel = penalty_in_loss(after["layer"])
    assert loss == pytest.approx(0.01 * np.abs(kernel).sum(), rel=1e-4)


@holds(83)
def l1_l2_adds_both(after):
    loss, kernel = penalty_in_loss(after["layer"])
    expected = 0.01 * np.abs(kernel).sum() + 0.01 * np.square(kernel).sum()
    assert loss == pytest.approx(expected, rel=1e-4)


@holds(85)
def partial_is_the_standard_librarys(after):
    assert after["partial"] is functools.partial


@holds(86)
def a_partial_layer_keeps_its_settings_unless_overridden(after):
    expected = [
        (300, "elu", "HeNormal"),
        (100, "elu", "HeNormal"),
        (10, "sigmoid", "GlorotUniform"),
    ]
    configs = [layer.get_config() for layer in after["model"].layers[1:]]
    assert [
        (c["units"], c["activation"], c["kernel_initializer"]["class_name"]) for c in configs
    ] == expected
    for config in configs:
        assert config["kernel_regularizer"]["class_name"] == "L1"
        assert config["kernel_regularizer"]["config"]["l1"] == pytest.approx(0.01)


@holds(88)
def the_regularized_network_has_266_610_parameters(after):
    rows = """
        flatten  Flatten  784  0
        dense    Dense    300  235500
        dense_1  Dense    100  30100
        dense_2  Dense    10   1010
    """
    expect_summary(after.printed, rows, (266_610, 266_610, 0))


# -- dropout ---------------------------------------------------------------------------------------

DROPPED = """
    flatten    Flatten  784  0
    dropout    Dropout  784  0
    dense      Dense    300  235500
    dropout_1  Dropout  300  0
    dense_1    Dense    100  30100
    dropout_2  Dropout  100  0
    dense_2    Dense    10   1010
"""


@holds(89)
def dropout_does_nothing_in_inference(after):
    layers = [layer for layer in after["model"].layers if kind(layer) == "Dropout"]
    assert [layer.rate for layer in layers] == [0.2, 0.2, 0.2]
    ones = np.ones((100, 100), np.float32)
    for layer in layers:
        assert np.array_equal(layer(ones), ones)
        dropped = np.asarray(layer(ones, training=True)) == 0
        # Four standard deviations of a share of 10,000; masks come in steps of 1/256.
        assert dropped.mean() == pytest.approx(0.2, abs=4 * 0.004 + 1 / 512)


@holds(90)
def dropout_adds_no_parameters(after):
    expect_summary(after.printed, DROPPED, (266_610, 266_610, 0))


@holds(91)
def the_summary_can_be_read_again(after):
    expect_summary(after.printed, DROPPED, (266_610, 266_610, 0))


@holds(95)
def a_bare_string_is_a_metric(after):
    """By its name it fits sparse labels; evaluating shows that it counts hits."""
    model = after["model"]
    x, y = images()
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert sorted(logs) == ["accuracy", "loss"]
    assert logs["accuracy"] == pytest.approx((model.predict(x).argmax(axis=1) == y).mean())
    assert kind(model.optimizer) == "RMSprop"


@holds(93)
def fashion_mnist_is_split_and_scaled(after):
    shapes = {name: after[name].shape for name in ("X_train", "X_valid", "X_test")}
    assert shapes == {
        "X_train": (55_000, 28, 28),
        "X_valid": (5_000, 28, 28),
        "X_test": (10_000, 28, 28),
    }
    assert len(after["y_train"]) == 55_000
    assert len(after["y_valid"]) == 5_000
    assert 0 <= after["X_train"].min() < 0.5 < after["X_train"].max() <= 1
    assert after["X_test"].dtype == np.uint8
    assert set(after["y_test"]) == set(range(10))
    assert len(after["class_names"]) == 10


@holds(96)
def the_history_has_four_falling_or_rising_lists(after):
    history = after["history"].history
    assert sorted(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert {len(values) for values in history.values()} == {EPOCHS}
    assert history["loss"][-1] < history["loss"][0]
    assert history["accuracy"][-1] > max(history["accuracy"][0], 0.5)


# -- Monte Carlo dropout ---------------------------------------------------------------------------


def expect_samples(y_probs: np.ndarray) -> None:
    """Checks that samples are finite distributions over the classes and that they differ."""
    assert y_probs.shape == (100, 10_000, 10)
    np.testing.assert_allclose(y_probs.sum(axis=-1), 1, atol=1e-4)
    assert y_probs.min() >= 0
    for first, second in ((0, 1), (1, 2), (0, 99)):
        assert not np.array_equal(y_probs[first], y_probs[second])


@holds(102)
def a_hundred_predictions_differ_and_can_be_repeated(after):
    expect_samples(after["y_probs"])
    np.testing.assert_allclose(after["y_proba"].sum(axis=-1), 1, atol=1e-4)
    after["tf"].random.set_seed(42)
    np.testing.assert_array_equal(
        np.asarray(after["model"](after["X_test"], training=True)), after["y_probs"][0]
    )


@holds(105)
def an_ordinary_prediction_has_one_row(after):
    assert after.value.shape == (1, 10)
    assert after.value.dtype == np.float32
    expected = np.asarray(after["model"](after["X_test"][:1], training=False))
    np.testing.assert_allclose(after.value, expected, atol=6e-4)


@holds(107)
def an_averaged_prediction_has_ten_numbers(after):
    assert after.value.shape == (10,)
    np.testing.assert_allclose(after.value, after["y_probs"][:, 0].mean(axis=0), atol=6e-4)


@holds(109)
def the_samples_have_three_axes(after):
    assert after.value == (100, 10_000, 10)


@holds(114)
def one_image_is_a_batch_of_one(after):
    model, image = after["model"], after["X_test"][0]
    with pytest.warns(ek.errors.EvenkeelWarning, match=r"\[None\]"):
        single = model.predict(image)
    assert single.shape == (1, 10)
    np.testing.assert_array_equal(single, model.predict(image[None]))
    ordinary, averaged = re.findall(r"\[[^\[\]]+\]", after.printed)
    assert len(ordinary.strip("[]").split()) == len(averaged.strip("[]").split()) == 10
    assert after.printed.startswith("[[")


@holds(116)
def the_tenth_class_is_ankle_boots(after):
    assert after.value == "Ankle boot"


@holds(120)
def one_predictions_spread_is_a_number(after):
    """Ten shares that sum to 1 have at most the spread of one certain class, 0.3."""
    assert np.ndim(after.value) == 0
    assert 0 <= float(after.value) <= 0.3 + 1e-6
    assert float(after.value) == pytest.approx(float(np.std(after["y_proba"][0])), abs=1e-6)


@holds(124)
def each_image_gets_its_likeliest_class(after):
    assert after.value.shape == (10_000,)
    assert after.value.min() >= 0
    assert after.value.max() <= 9


@holds(125)
def averaged_predictions_beat_chance(after):
    """Chance is 0.1; the test images are not scaled in the notes, which costs accuracy."""
    assert float(after.value) == pytest.approx(np.mean(after["y_pred"] == after["y_test"]))
    assert float(after.value) > 0.3


@holds(126)
def a_subclass_drops_in_inference_too(after):
    layer = after["MCDropout"](0.2)
    outputs = np.asarray(layer(np.ones((100, 100), np.float32), training=False))
    assert (outputs == 0).mean() == pytest.approx(0.2, abs=4 * 0.004 + 1 / 512)
    assert issubclass(after["MCDropout"], ek.layers.Dropout)


@holds(127)
def a_converted_model_shares_weights_and_varies(after):
    model, mc_model = after["model"], after["mc_model"]
    rows = after["X_test"][:100] / np.float32(255)
    assert not any(changed(model.get_weights(), mc_model.get_weights()))
    assert all(mc_model.layers[i] is model.layers[i] for i in (0, 2, 4, 6))
    assert [kind(mc_model.layers[i]) for i in (1, 3, 5)] == ["MCDropout"] * 3
    assert np.array_equal(model.predict(rows), model.predict(rows))
    assert not np.array_equal(mc_model.predict(rows), mc_model.predict(rows))
    assert not np.array_equal(mc_model(rows), mc_model(rows))


@holds(128)
def the_converted_model_has_266_610_parameters(after):
    rows = re.sub(r"dropout(_\d)?( +)Dropout", r"mc_dropout\1\2MCDropout", DROPPED)
    expect_summary(after.printed, rows, (266_610, 266_610, 0))


# -- max-norm --------------------------------------------------------------------------------------


@holds(131)
def no_column_is_longer_than_one_after_a_step(after):
    layer = after["layer"]
    model = ek.Sequential([ek.Input(shape=[8]), layer])
    model.compile(ek.optimizers.SGD(10.0), "mse")
    x = np.linspace(-1, 1, 8 * 32, dtype=np.float32).reshape(32, 8)
    model.fit(x, np.ones((32, 100), np.float32), batch_size=32, verbose=0)
    lengths = np.linalg.norm(layer.get_weights()[0], axis=0)
    assert lengths.shape == (100,)
    assert lengths.max() == pytest.approx(1.0, abs=1e-5)


@holds(134)
def the_configuration_says_what_was_given(after):
    config = after.value
    assert {name: config[name] for name in ("trainable", "dtype", "units", "activation")} == {
        "trainable": True,
        "dtype": "float32",
        "units": 100,
        "activation": "elu",
    }
    assert config["name"].startswith("dense")
    assert config["use_bias"] is True
    assert config["kernel_initializer"] == {"class_name": "HeNormal", "config": {"seed": None}}
    assert config["bias_initializer"]["class_name"] == "Zeros"
    assert config["kernel_constraint"] == {
        "class_name": "MaxNorm",
        "config": {"max_value": 1.0, "axis": 0},
    }
    for name in ("kernel_regularizer", "bias_regularizer", "bias_constraint"):
        assert config[name] is None
    # Written down only where there is one, as in Keras of today.
    assert config.get("activity_regularizer") is None
    assert after["layer"].activity_regularizer is None


# -- the tests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS, ids=ids())
def test_cell(cell: Cell, notebook: Notebook):
    """The cell runs, warns where a form is dated and nowhere else, and leaves what it should."""
    record = notebook.after(cell.number)
    if record.error is not None:
        raise record.error
    said = [str(warning.message) for warning in record.warnings]
    if cell.warns is None:
        assert said == []
    else:
        assert len(said) == 1
        assert cell.warns in said[0]
    CHECKS[cell.number](record)


def test_the_table_has_a_row_for_each_of_the_64_cells():
    numbers = [cell.number for cell in CELLS]
    assert len(numbers) == len(set(numbers)) == 64
    assert [int(n) for n in re.findall(r"^\| (\d+) \|", __doc__, re.MULTILINE)] == numbers
    assert list(CHECKS) == numbers


def test_keras_refuses_five_of_them():
    refused = [cell.number for cell in CELLS if "jax" in cell.keras_says]
    assert refused == [61, 95, 96, 114, 127]


@pytest.mark.slow
def test_thirty_epochs_and_monte_carlo_dropout_in_full():
    """The notes reach 0.74 on test images that are not scaled; a bound well below leaves room."""
    if not pictures_are_at_hand():
        pytest.skip("Fashion-MNIST is not at hand")
    notebook = Notebook("evenkeel", prepared)
    notebook.run([6, 89, 95, 93, 96, 102, 125])
    for record in notebook.records.values():
        if record.error is not None:
            raise record.error
        assert [str(warning.message) for warning in record.warnings] == []
    history = notebook.records[96]["history"].history
    assert {len(values) for values in history.values()} == {30}
    assert history["val_accuracy"][-1] > 0.8
    expect_samples(notebook.records[102]["y_probs"])
    assert float(notebook.records[125].value) > 0.6
