"""For each code the smallest patient that has it, and its healthy twin; all written by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from evenkeel.doctor import (
    HeadRecord,
    InputData,
    Kernel,
    LayerRecord,
    OptimizerRecord,
    Patient,
    RunRecord,
    ScheduleRecord,
    TargetData,
)
from evenkeel.doctor.probe import OneBatch, Probe, RateSearch, Relation, Trial, Witness
from evenkeel.doctor.signal import HeadSignal, LayerSignal, Signal

ROWS = 400


def random() -> np.random.Generator:
    """The same numbers for every patient."""
    return np.random.Generator(np.random.Philox(5))


def dense(name, inputs, units, activation="linear", gain=1.0, sources=(), **config):
    """A dense layer whose starting weights have a gain."""
    kernel = Kernel(
        shape=(inputs, units),
        rms=gain / np.sqrt(inputs),
        is_alike=gain == 0,
        is_zero=gain == 0,
    )
    return LayerRecord(
        name=name,
        kinds=("Dense",),
        config={"units": units, "activation": activation, **config},
        activation=activation,
        kernel=kernel,
        features=units,
        sources=sources,
    )


def other(kind, name, sources=(), **config):
    """A layer without weights of its own that matter."""
    activation = config.get("activation") if kind == "Activation" else None
    return LayerRecord(
        name=name, kinds=(kind,), config=config, sources=sources, activation=activation
    )


def chain(*layers):
    """Layers behind each other."""
    names = [layer.name for layer in layers]
    sources = [(), *((name,) for name in names)]
    return tuple(
        replace(layer, sources=source) for layer, source in zip(layers, sources, strict=False)
    )


def patient(
    *,
    layers=None,
    x=None,
    y=None,
    x_valid=None,
    y_valid=None,
    kind="classes",
    loss="sparse_categorical_crossentropy",
    units=3,
    from_logits=False,
    optimizer=None,
    columns=None,
    **run,
):
    """A healthy classifier of three classes, with what is given in place of its parts."""
    draw = random()
    x = draw.normal(size=(ROWS, 5)) if x is None else x
    y = draw.integers(0, 3, len(x)) if y is None else y
    if layers is None:
        output = "softmax" if kind in ("classes", "one-hot") else "linear"
        layers = chain(
            dense("hidden", x.shape[-1], 20, "relu", np.sqrt(2)),
            dense("out", 20, units, output),
        )
    return Patient(
        layers=layers,
        heads=(
            HeadRecord(
                name="y",
                layer=layers[-1].name,
                units=units,
                kind=kind,
                loss=loss,
                from_logits=from_logits,
            ),
        ),
        optimizer=optimizer
        or OptimizerRecord(
            kind="Adam",
            rate=0.001,
            settings={"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
            is_adaptive=True,
        ),
        run=RunRecord(**{"epochs": 50, **run}),
        inputs=(
            InputData(
                name="x", values=x, layer=layers[0].name, validation=x_valid, columns=columns
            ),
        ),
        targets=(TargetData(values=y, validation=y_valid),),
    )


def regression(y=None, activation="linear", **more):
    """A healthy regression."""
    y = random().normal(size=ROWS) if y is None else y
    layers = more.pop("layers", None) or chain(
        dense("hidden", 5, 20, "relu", np.sqrt(2)), dense("out", 20, 1, activation)
    )
    return patient(layers=layers, y=y, kind="numbers", loss="mean_squared_error", units=1, **more)


def classifier(*between, activation="relu", gain=1.414, count=1, width=20, **more):
    """A classifier of three classes with hidden layers of a kind and something between."""
    hidden = [
        dense(f"hidden_{n}", 5 if n == 0 else width, width, activation, gain) for n in range(count)
    ]
    return patient(layers=chain(*hidden, *between, dense("out", width, 3, "softmax")), **more)


@dataclass(frozen=True)
class Case:
    """A patient with a code and one without, which differ in what the code is about."""

    code: str
    name: str
    sick: Callable[[], Patient]
    twin: Callable[[], Patient]

    def __str__(self) -> str:
        return f"{self.code}: {self.name}"


def with_hole(x, value=np.nan):
    """Data with one value that is no number."""
    holed = np.array(x, dtype=np.float64)
    holed[17, 2] = value
    return holed


def normal(*size):
    """Normal numbers."""
    return random().normal(size=size)


def classes(rows=ROWS, count=3):
    """Class numbers in random order."""
    return random().integers(0, count, rows)


def one_hot(labels, count):
    """One-hot rows."""
    return np.eye(count)[labels]


def rare(share):
    """Two classes, of which one has a share of the rows."""
    return (random().random(4000) < share).astype(int)


def norm(axis):
    """A max-norm as a configuration has it."""
    return {"class_name": "MaxNorm", "config": {"max_value": 2.0, "axis": axis}}


def adam(rate=0.001, **settings):
    """Adam with some settings of its own."""
    usual = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    return OptimizerRecord(kind="Adam", rate=rate, settings={**usual, **settings}, is_adaptive=True)


def scheduled(kind, steps, rates, **more):
    """SGD with a schedule."""
    schedule = ScheduleRecord(kind=kind, steps=np.array(steps), rates=np.array(rates), **more)
    return OptimizerRecord(
        kind="SGD", rate=schedule.peak, settings={"momentum": 0.9}, schedule=schedule
    )


def skip(activation):
    """A network with a skip connection."""
    first = dense("first", 5, 20, activation, 1.0 if activation == "selu" else 1.414)
    second = dense("second", 20, 20, activation, first.kernel.gain, sources=("first",))
    add = other("Add", "add", sources=("first", "second"))
    out = dense("out", 20, 3, "softmax", sources=("add",))
    return patient(layers=(first, second, add, out))


def conv(axis):
    """An image network whose convolution has a max-norm."""
    kernel = Kernel(shape=(3, 3, 1, 8), rms=np.sqrt(2 / 9))
    layer = LayerRecord(
        name="conv",
        kinds=("Conv2D",),
        config={"kernel_constraint": norm(axis)},
        activation="relu",
        kernel=kernel,
        features=8,
    )
    layers = chain(layer, other("Flatten", "flatten"), dense("out", 8 * 36, 3, "softmax"))
    return patient(layers=layers, x=random().random((ROWS, 8, 8, 1)))


def images(top=255):
    """Flat pictures of bytes."""
    return random().integers(0, top + 1, (ROWS, 100))


def ran(subject, changes=None, reference=None, loss=None, constant_loss=None, leak=0.0):
    """A patient whose network was run: all is as it should be but for the changes by layer."""

    def passed(changes):
        return tuple(
            LayerSignal(
                name=layer.name,
                silent=np.zeros(layer.features, bool),
                **(changes or {}).get(layer.name, {}),
            )
            if "silent" not in (changes or {}).get(layer.name, {})
            else LayerSignal(name=layer.name, **changes[layer.name])
            for layer in subject.layers
            if layer.features is not None
        )

    head = subject.heads[0]
    guess = constant_loss or (1.0 if head.kind == "numbers" else np.log(3))
    heads = (HeadSignal(name="y", loss=loss or guess + 0.4, constant_loss=guess),)
    compared = Signal(rows=ROWS, layers=passed(reference), heads=heads)
    signal = Signal(rows=ROWS, layers=passed(changes), heads=heads, reference=compared, leak=leak)
    return replace(subject, signal=signal)


def along(count, field, factor):
    """A number that changes by a factor from each hidden layer to the next."""
    return {f"hidden_{n}": {field: factor**n} for n in range(count)}


def backwards(count, field, factor):
    """The same, from the last hidden layer to the first."""
    return {f"hidden_{n}": {field: factor ** (count - n)} for n in range(count)}


def off(units, count):
    """Units of which some are off for good."""
    return {"hidden_0": {"silent": np.arange(units) < count}}


def slopes(units, flat):
    """Units of which some stand where their activation is flat."""
    return {
        "hidden_0": {
            "silent": np.zeros(units, bool),
            "slope": np.where(np.arange(units) < flat, 0.01, 0.6),
        }
    }


def trial(rate, *losses, held_out=None):
    """A short training whose losses lie between these, thirty of them."""
    curve = np.interp(np.linspace(0, 1, 30), np.linspace(0, 1, len(losses)), losses)
    return Trial(rate=rate, losses=curve, held_out=losses[-1] if held_out is None else held_out)


def related(network=30.0, others=30.0, rows=500):
    """What others learn of the targets."""
    return Relation(
        name="y",
        rows=rows,
        constant_score=0.33,
        witnesses=(
            Witness(name="network", score=0.9, strength=network),
            Witness(name="linear model", score=0.8, strength=others),
            Witness(name="trees", score=0.8, strength=others - 1),
        ),
    )


def tried(subject=None, **changes):
    """A patient, copies of which were trained: all is as it should be but for the changes."""
    settings = {
        "steps": 300,
        "batch_size": 32,
        "rows": 320,
        "held_out_rows": 500,
        "start": 1.4,
        "constant_loss": 1.1,
        "declared": trial(0.001, 1.4, 0.4),
        "others": (trial(1e-4, 1.4, 1.0), trial(3.3e-4, 1.4, 0.7), trial(0.003, 1.4, 0.35)),
        "blind": trial(0.003, 1.2, 1.1),
        "one_batch": OneBatch(
            rows=8, losses=np.linspace(1.4, 0.0, 30), constant_loss=1.1, linear_loss=0.01
        ),
        "search": RateSearch(suggestion=0.003, lowest=0.0045, turning_point=0.02),
        "relations": (related(),),
        "update_ratios": {"hidden/kernel": 0.002},
    }
    subject = patient() if subject is None else subject
    return replace(ran(subject), probe=Probe(**{**settings, **changes}))


CASES = (
    # -- data
    Case(
        "inputs-not-finite",
        "NaN",
        lambda: patient(x=with_hole(normal(ROWS, 5))),
        lambda: patient(x=normal(ROWS, 5)),
    ),
    Case(
        "inputs-not-finite",
        "infinite validation rows",
        lambda: patient(x_valid=with_hole(normal(200, 5), np.inf), y_valid=classes(200)),
        lambda: patient(x_valid=normal(200, 5), y_valid=classes(200)),
    ),
    Case(
        "inputs-not-standardized",
        "pixels",
        lambda: patient(x=images()),
        lambda: patient(x=images() / 255),
    ),
    Case(
        "inputs-not-standardized",
        "pixels that are rescaled",
        lambda: patient(
            x=images(),
            layers=chain(other("Rescaling", "scale", scale=1.0), dense("out", 100, 3, "softmax")),
        ),
        lambda: patient(
            x=images(),
            layers=chain(
                other("Rescaling", "scale", scale=1 / 255), dense("out", 100, 3, "softmax")
            ),
        ),
    ),
    Case(
        "inputs-not-standardized",
        "columns of many sizes",
        lambda: patient(x=normal(ROWS, 5) * [1, 1, 1e-3, 1, 1]),
        lambda: patient(x=normal(ROWS, 5) * [1, 1, 0.2, 1, 1]),
    ),
    Case(
        "inputs-not-standardized",
        "a year",
        lambda: patient(x=normal(ROWS, 5) * 0.004 + 1),
        lambda: patient(x=normal(ROWS, 5) + 1),
    ),
    Case(
        "constant-feature",
        "one of a table",
        lambda: patient(x=normal(ROWS, 5) * [1, 1, 0, 1, 1] + [0, 0, 3, 0, 0]),
        lambda: patient(x=normal(ROWS, 5)),
    ),
    Case(
        "constant-feature",
        "all",
        lambda: patient(x=np.ones((ROWS, 5))),
        lambda: patient(x=images(1) * (np.arange(100) > 10)),  # borders of pictures are 0
    ),
    Case(
        "targets-constant",
        "one class",
        lambda: patient(y=np.ones(ROWS, int)),
        lambda: patient(y=classes()),
    ),
    Case(
        "targets-constant",
        "one number",
        lambda: regression(np.full(ROWS, 2.5)),
        lambda: regression(normal(ROWS)),
    ),
    Case(
        "targets-not-scaled",
        "prices",
        lambda: regression(normal(ROWS) * 1e5 + 2e5),
        lambda: regression(normal(ROWS) * 1.2 + 2),
    ),
    Case(
        "targets-not-scaled",
        "ages",
        lambda: regression(normal(ROWS) * 10 + 40),
        lambda: regression(normal(ROWS) * 2 + 4),
    ),
    Case(
        "targets-not-scaled",
        "grams in tonnes",
        lambda: regression(normal(ROWS) * 1e-6),
        lambda: regression(normal(ROWS) * 0.3),
    ),
    Case(
        "targets-out-of-range",
        "below a ReLU",
        lambda: regression(normal(ROWS), activation="relu"),
        lambda: regression(np.abs(normal(ROWS)), activation="relu"),
    ),
    Case(
        "targets-out-of-range",
        "more classes than units",
        lambda: patient(y=classes(count=5)),
        lambda: patient(y=classes(count=3)),
    ),
    Case(
        "class-imbalance",
        "one in a hundred",
        lambda: patient(
            x=normal(4000, 5), y=rare(0.01), units=1, kind="binary", loss="binary_crossentropy",
            layers=chain(dense("out", 5, 1, "sigmoid")),
        ),
        lambda: patient(
            x=normal(4000, 5), y=rare(0.2), units=1, kind="binary", loss="binary_crossentropy",
            layers=chain(dense("out", 5, 1, "sigmoid")),
        ),
    ),
    Case(
        "too-little-data",
        "thirty rows",
        lambda: patient(x=normal(30, 5), y=np.arange(30) % 7 % 3),
        lambda: patient(x=normal(300, 5), y=classes(300)),
    ),
    Case(
        "too-little-data",
        "twenty validation rows",
        lambda: patient(x_valid=normal(20, 5), y_valid=np.arange(20) * 7 % 3),
        lambda: patient(x_valid=normal(300, 5), y_valid=classes(300)),
    ),
    Case(
        "ordered-validation-split",
        "sorted labels",
        lambda: patient(y=np.sort(classes()), validation_split=0.2),
        lambda: patient(y=classes(), validation_split=0.2),
    ),
    Case(
        "ordered-validation-split",
        "without shuffling",
        lambda: patient(y=np.sort(classes()), shuffle=False),
        lambda: patient(y=classes(), shuffle=False),
    ),
    Case(
        "train-validation-shift",
        "scaled on one side",
        lambda: patient(
            x=images() / 255, x_valid=images()[:200].astype(float), y_valid=classes(200)
        ),
        lambda: patient(x=images() / 255, x_valid=images()[:200] / 255, y_valid=classes(200)),
    ),
    Case(
        "train-validation-shift",
        "from elsewhere",
        lambda: patient(x_valid=normal(300, 5) + 1, y_valid=classes(300)),
        lambda: patient(x_valid=normal(300, 5) + 0.1, y_valid=classes(300)),
    ),
    # -- outputs
    Case(
        "output-activation-mismatch",
        "no softmax",
        lambda: patient(layers=chain(dense("out", 5, 3, "linear"))),
        lambda: patient(layers=chain(dense("out", 5, 3, "linear")), from_logits=True),
    ),
    Case(
        "output-activation-mismatch",
        "softmax on one unit",
        lambda: patient(
            y=classes(count=2), units=1, kind="binary", loss="binary_crossentropy",
            layers=chain(dense("out", 5, 1, "softmax")),
        ),
        lambda: patient(
            y=classes(count=2), units=1, kind="binary", loss="binary_crossentropy",
            layers=chain(dense("out", 5, 1, "sigmoid")),
        ),
    ),
    Case(
        "output-activation-mismatch",
        "softmax twice",
        lambda: patient(from_logits=True),
        lambda: patient(),
    ),
    Case(
        "loss-mismatch",
        "one-hot rows, judged one by one",
        lambda: patient(
            y=one_hot(classes(), 3), kind="binary", loss="binary_crossentropy",
            layers=chain(dense("out", 5, 3, "sigmoid")),
        ),
        lambda: patient(
            y=random().integers(0, 2, (ROWS, 3)), kind="binary", loss="binary_crossentropy",
            layers=chain(dense("out", 5, 3, "sigmoid")),
        ),
    ),
    Case(
        "loss-mismatch",
        "squares of a softmax",
        lambda: patient(
            y=one_hot(classes(), 3), kind="numbers", loss="mean_squared_error",
            layers=chain(dense("out", 5, 3, "softmax")),
        ),
        lambda: patient(
            y=one_hot(classes(), 3), kind="one-hot", loss="categorical_crossentropy",
            layers=chain(dense("out", 5, 3, "softmax")),
        ),
    ),
    Case(
        "loss-mismatch",
        "five classes for yes or no",
        lambda: patient(
            y=classes(count=5), units=1, kind="binary", loss="binary_crossentropy",
            layers=chain(dense("out", 5, 1, "sigmoid")),
        ),
        lambda: patient(
            y=classes(count=2), units=1, kind="binary", loss="binary_crossentropy",
            layers=chain(dense("out", 5, 1, "sigmoid")),
        ),
    ),
    Case(
        "loss-mismatch",
        "class numbers taken for numbers",
        lambda: regression(classes(count=6)),
        lambda: regression(random().poisson(2, ROWS)),
    ),
    Case(
        "loss-mismatch",
        "numbers for classes",
        lambda: patient(y=np.abs(normal(ROWS))),
        lambda: patient(y=classes()),
    ),
    # -- starting weights
    Case(
        "init-scale",
        "a unit normal",
        lambda: classifier(gain=20.0),
        lambda: classifier(gain=1.414),
    ),
    Case(
        "init-scale",
        "a ten-thousandth",
        lambda: classifier(gain=1e-3),
        lambda: classifier(gain=0.3),
    ),
    Case(
        "constant-init",
        "zeros under ReLU",
        lambda: classifier(gain=0.0),
        lambda: patient(
            layers=chain(dense("hidden", 5, 20, "relu", 1.414), dense("out", 20, 3, "softmax", 0.0))
        ),
    ),
    Case(
        "init-activation-mismatch",
        "forty ReLU layers under Glorot",
        lambda: classifier(count=40, gain=1.0),
        lambda: classifier(count=40, gain=np.sqrt(2)),
    ),
    Case(
        "init-activation-mismatch",
        "twenty sigmoid layers",
        lambda: classifier(count=20, gain=1.0, activation="sigmoid"),
        lambda: classifier(count=2, gain=1.0, activation="sigmoid"),
    ),
    Case(
        "selu-conditions",
        "He weights",
        lambda: classifier(activation="selu", gain=np.sqrt(2), count=3),
        lambda: classifier(activation="selu", gain=1.0, count=3),
    ),
    Case(
        "selu-conditions",
        "plain dropout",
        lambda: classifier(other("Dropout", "drop", rate=0.1), activation="selu", gain=1.0),
        lambda: classifier(other("AlphaDropout", "drop", rate=0.1), activation="selu", gain=1.0),
    ),
    Case(
        "selu-conditions",
        "a skip connection",
        lambda: skip("selu"),
        lambda: skip("relu"),
    ),
    # -- layers
    Case(
        "no-hidden-nonlinearity",
        "three linear layers",
        lambda: classifier(activation="linear", gain=1.0, count=2),
        lambda: patient(
            layers=chain(
                dense("hidden", 5, 20, "linear"),
                other("Activation", "act", activation="relu"),
                dense("out", 20, 3, "softmax"),
            )
        ),
    ),
    Case(
        "redundant-bias",
        "before a normalization",
        lambda: classifier(
            other("BatchNormalization", "norm", momentum=0.9),
            other("Activation", "act", activation="relu"),
            activation="linear",
        ),
        lambda: classifier(other("BatchNormalization", "norm", momentum=0.9)),
    ),
    Case(
        "dropout-too-high",
        "nine in ten",
        lambda: classifier(other("Dropout", "drop", rate=0.9)),
        lambda: classifier(other("Dropout", "drop", rate=0.5)),
    ),
    Case(
        "dropout-misplaced",
        "behind the output",
        lambda: patient(
            layers=chain(
                dense("hidden", 5, 20, "relu", 1.414),
                dense("out", 20, 3, "softmax"),
                other("Dropout", "drop", rate=0.3),
            )
        ),
        lambda: classifier(other("Dropout", "drop", rate=0.3)),
    ),
    Case(
        "dropout-misplaced",
        "before a normalization",
        lambda: classifier(
            other("Dropout", "drop", rate=0.3), other("BatchNormalization", "norm", momentum=0.9)
        ),
        lambda: classifier(
            other("BatchNormalization", "norm", momentum=0.9), other("Dropout", "drop", rate=0.3)
        ),
    ),
    Case(
        "max-norm-axis",
        "dense",
        lambda: patient(layers=chain(dense("out", 5, 3, "softmax", kernel_constraint=norm(1)))),
        lambda: patient(layers=chain(dense("out", 5, 3, "softmax", kernel_constraint=norm(0)))),
    ),
    Case(
        "max-norm-axis",
        "convolution",
        lambda: conv(0),
        lambda: conv([0, 1, 2]),
    ),
    # -- training
    Case(
        "optimizer-settings",
        "epsilon",
        lambda: patient(optimizer=adam(epsilon=1.0)),
        lambda: patient(optimizer=adam(epsilon=1e-3)),
    ),
    Case(
        "optimizer-settings",
        "momentum",
        lambda: patient(
            optimizer=OptimizerRecord(kind="SGD", rate=0.01, settings={"momentum": 0.999})
        ),
        lambda: patient(
            optimizer=OptimizerRecord(kind="SGD", rate=0.01, settings={"momentum": 0.99})
        ),
    ),
    Case(
        "optimizer-settings",
        "the rate of SGD in Adam",
        lambda: patient(optimizer=adam(3.0)),
        lambda: patient(optimizer=adam(0.01)),
    ),
    Case(
        "batchnorm-horizon",
        "momentum 0.99 in 50 steps",
        lambda: classifier(
            other("BatchNormalization", "norm", momentum=0.99), epochs=4
        ),
        lambda: classifier(
            other("BatchNormalization", "norm", momentum=0.99), epochs=40
        ),
    ),
    Case(
        "schedule-horizon",
        "over early",
        lambda: patient(
            optimizer=scheduled("CosineDecay", [0, 50, 100], [0.1, 0.05, 0], length=100)
        ),
        lambda: patient(
            optimizer=scheduled("CosineDecay", [0, 325, 650], [0.1, 0.05, 0], length=650)
        ),
    ),
    Case(
        "schedule-horizon",
        "never comes down",
        lambda: patient(
            optimizer=scheduled(
                "OneCycle", [0, 5000, 10000], [0.04, 0.05, 0.001], length=10000, has_end=True
            )
        ),
        lambda: patient(
            optimizer=scheduled(
                "OneCycle", [0, 325, 650], [0.04, 0.05, 0.001], length=650, has_end=True
            )
        ),
    ),
    # -- one pass through the network
    Case(
        "vanishing-gradients",
        "a tenth a layer",
        lambda: ran(
            classifier(count=6, activation="tanh", gain=1.0),
            backwards(6, "gradient_norm", 0.1),
        ),
        lambda: ran(
            classifier(count=6, activation="tanh", gain=1.0),
            backwards(6, "gradient_norm", 0.5),
        ),
    ),
    Case(
        "vanishing-gradients",
        "nothing arrives, in a network that was not trained",
        lambda: ran(classifier(), {"hidden_0": {"gradient_norm": 0.0}}),
        lambda: ran(
            classifier(steps_taken=900),
            {"hidden_0": {"gradient_norm": 0.0}},
            loss=1e-6,
        ),
    ),
    Case(
        "vanishing-gradients",
        "behind a layer that is frozen on one side",
        lambda: ran(classifier(), {"hidden_0": {"gradient_norm": 1e-9}}),
        lambda: ran(
            classifier().changing(["hidden_0"], lambda layer: replace(layer, is_trainable=False)),
            {"hidden_0": {"gradient_norm": 1e-9}},
        ),
    ),
    Case(
        "exploding-gradients",
        "ten times a layer",
        lambda: ran(
            classifier(count=6, activation="tanh", gain=1.0),
            backwards(6, "gradient_norm", 10.0),
        ),
        lambda: ran(
            classifier(count=6, activation="tanh", gain=1.0),
            backwards(6, "gradient_norm", 2.0),
        ),
    ),
    Case(
        "vanishing-activations",
        "all rows alike",
        lambda: ran(
            classifier(count=8, activation="tanh", gain=1.0), along(8, "output_spread", 0.1)
        ),
        lambda: ran(
            classifier(count=8, activation="tanh", gain=1.0), along(8, "output_spread", 0.8)
        ),
    ),
    Case(
        "exploding-activations",
        "ten times a layer",
        lambda: ran(classifier(count=8), along(8, "output_spread", 10.0)),
        lambda: ran(classifier(count=8), along(8, "output_spread", 1.5)),
    ),
    Case(
        "exploding-activations",
        "beyond float32",
        lambda: ran(
            classifier(count=3), {"hidden_2": {"output_spread": np.inf, "is_finite": False}}
        ),
        lambda: ran(classifier(count=3)),
    ),
    Case(
        "initial-loss-off",
        "sure of what it cannot know",
        lambda: ran(patient(), loss=40.0),
        lambda: ran(patient(), loss=np.log(3) + 1.5),
    ),
    Case(
        "initial-loss-off",
        "squares",
        lambda: ran(regression(), loss=400.0),
        lambda: ran(regression(), loss=9.0),
    ),
    Case(
        "initial-loss-off",
        "rare classes cost little, and an even guess more",
        lambda: ran(patient(), loss=9.0, constant_loss=0.05),
        lambda: ran(patient(), loss=1.3, constant_loss=0.05),
    ),
    Case(
        "dead-units",
        "nine in ten",
        lambda: ran(classifier(width=100), off(100, 90)),
        lambda: ran(classifier(width=100), off(100, 60)),
    ),
    Case(
        "dead-units",
        "all of a few",
        lambda: ran(classifier(width=4), off(4, 4)),
        lambda: ran(classifier(width=4), off(4, 3)),
    ),
    Case(
        "saturated-units",
        "tanh",
        lambda: ran(classifier(width=60, activation="tanh", gain=1.0), slopes(60, 40)),
        lambda: ran(classifier(width=60, activation="tanh", gain=1.0), slopes(60, 12)),
    ),
    Case(
        "samples-mixed",
        "a softmax over the batch",
        lambda: ran(patient(), leak=0.2),
        lambda: ran(patient(), leak=1e-6),
    ),
    # -- short trainings of copies
    Case(
        "learning-rate-too-high",
        "blows up",
        lambda: tried(
            declared=Trial(rate=3.0, losses=np.array([1.4]), held_out=np.inf),
            others=(trial(0.3, 1.4, 1.3), trial(0.01, 1.4, 0.3)),
        ),
        lambda: tried(declared=trial(0.01, 1.4, 0.3), others=(trial(0.001, 1.4, 0.6),)),
    ),
    Case(
        "learning-rate-too-high",
        "three times",
        lambda: tried(
            declared=trial(0.01, 1.4, 0.52),
            others=(trial(0.001, 1.4, 0.55), trial(0.0033, 1.4, 0.35)),
        ),
        lambda: tried(
            declared=trial(0.01, 1.4, 0.37),
            others=(trial(0.001, 1.4, 0.55), trial(0.0033, 1.4, 0.35)),
        ),
    ),
    Case(
        "learning-rate-too-low",
        "a thousand times, in a run of unknown length",
        lambda: tried(
            patient(epochs=None),
            declared=trial(1e-5, 1.4, 1.05),
            others=(trial(1e-6, 1.4, 1.1), trial(0.003, 1.4, 0.35)),
        ),
        lambda: tried(
            patient(epochs=None),
            declared=trial(1e-4, 1.4, 0.9),
            others=(trial(1e-5, 1.4, 1.05), trial(0.003, 1.4, 0.35)),
        ),
    ),
    Case(
        "learning-rate-too-low",
        "a run that is too short for it",
        lambda: tried(
            patient(epochs=3),
            declared=trial(1e-4, 1.4, 0.9),
            others=(trial(1e-5, 1.4, 1.05), trial(0.003, 1.4, 0.35)),
        ),
        lambda: tried(
            patient(epochs=300),
            declared=trial(1e-4, 1.4, 0.9),
            others=(trial(1e-5, 1.4, 1.05), trial(0.003, 1.4, 0.35)),
        ),
    ),
    Case(
        "loss-not-decreasing",
        "flat",
        lambda: tried(declared=trial(0.001, 1.1, 1.1), others=(trial(1e-4, 1.1, 1.1),)),
        lambda: tried(declared=trial(0.001, 1.1, 0.9), others=(trial(1e-4, 1.1, 1.0),)),
    ),
    Case(
        "cannot-fit-one-batch",
        "stays at a guess",
        lambda: tried(
            one_batch=OneBatch(
                rows=8, losses=np.full(30, 1.1), constant_loss=1.1, linear_loss=0.01
            )
        ),
        lambda: tried(
            one_batch=OneBatch(
                rows=8, losses=np.linspace(1.1, 0.2, 30), constant_loss=1.1, linear_loss=0.01
            )
        ),
    ),
    Case(
        "labels-unrelated",
        "shuffled apart",
        lambda: tried(relations=(related(1.0, 2.0),)),
        lambda: tried(relations=(related(5.0, 2.0),)),
    ),
    Case(
        "inputs-ignored",
        "a guess for every row",
        lambda: tried(relations=(related(0.0, 20.0),), blind=trial(0.003, 1.2, 0.35)),
        lambda: tried(relations=(related(9.0, 20.0),), blind=trial(0.003, 1.2, 1.1)),
    ),
)  # fmt: skip
