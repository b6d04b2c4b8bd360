"""A program of the bench as a value: data, network, loss, optimizer and run; and how it is run.

A fault is another value of some fields. What the fields' defaults say is healthy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.doctor.data import Rows, rows_of

_RULES = {"selu": "lecun_normal", "tanh": "glorot_uniform", "sigmoid": "glorot_uniform"}
Part = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Rows as a program feeds them to its network.

    Attributes:
        train: What it trains on.
        valid: What it validates with.
        x_test: The inputs of the rows that only the bench sees.
        truth: Their class numbers, or numbers in the unit of the program's targets.
        classes: How many classes; None for a regression.
    """

    train: Part
    valid: Part
    x_test: np.ndarray
    truth: np.ndarray
    classes: int | None


Damage = Callable[[Prepared], Prepared]


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a person would have typed.

    Attributes:
        data: The name of the data set.
        begin: "fresh"; "trained" (has been trained on the same rows), "transfer" (hidden layers
            trained on other classes, and frozen), or the name of a recipe.
        convolutional: Whether two convolutions with `hidden` filters look at pictures.
        hidden: Units, or filters, of the hidden layers.
        activation: Of the hidden layers.
        initializer: Of the hidden layers; "matching" is the activation's rule.
        bias: What the hidden biases start with.
        normalization: The momentum of a batch normalization behind each hidden layer; None for
            none.
        dropout: The rate behind each hidden layer; 0 for none.
        output_dropout: The rate behind the output layer; 0 for none.
        mixed: Whether a layer mixes rows.
        layer: More settings of the hidden layers.
        output: The output's activation; "matching" is the loss's.
        units: Of the output; None as the targets need.
        loss: "matching" is the targets'.
        optimizer: Its class.
        rate: Its learning rate, or a function that makes its schedule.
        settings: More settings of it.
        batch_size: Rows a step.
        epochs: Of the run.
        prepare: "standardize" columns, bring to "unit" range, or "raw".
        target_scale: What standardized numbers to predict are multiplied with; None leaves them in
            their raw units.
        damage: What happens to the prepared rows.
        splits: Whether the last fifth of the training rows is used for validation, by
            `validation_split`.
    """

    data: str
    begin: str = "fresh"
    convolutional: bool = False
    hidden: tuple[int, ...] = (64, 32)
    activation: str = "relu"
    initializer: Any = "matching"
    bias: float = 0.0
    normalization: float | None = None
    dropout: float = 0.0
    output_dropout: float = 0.0
    mixed: bool = False
    layer: Mapping[str, Any] = field(default_factory=dict)
    output: str = "matching"
    units: int | None = None
    loss: str = "matching"
    optimizer: str = "Adam"
    rate: Any = 1e-3
    settings: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 32
    epochs: int = 20
    prepare: str = "standardize"
    target_scale: float | None = 1.0
    damage: Damage | None = None
    splits: bool = False

    def rows(self) -> Prepared:
        """Returns the rows as the program prepares them."""
        prepared = _prepared(self, rows_of(self.data))
        return prepared if self.damage is None else self.damage(prepared)

    def model(self, rows: Prepared) -> Any:
        """Returns the network as the program compiles it; random weights come from the seed."""
        import evenkeel as ek

        if self._is_recipe:
            return self._recipe(rows).build()
        model = ek.Sequential(_layers(self, rows))
        self.compile(model, rows)
        if self.begin == "trained":
            self.fit(model, rows, doctor=None)
        if self.begin == "transfer":
            _pretrain(self, model, rows)
        return model

    def compile(self, model: Any, rows: Prepared) -> None:
        """Tells the model how it will be trained."""
        import evenkeel as ek

        rate = self.rate() if callable(self.rate) else self.rate
        optimizer = getattr(ek.optimizers, self.optimizer)(rate, **self.settings)
        model.compile(optimizer, _loss(self, rows.classes))

    def fit(self, model: Any, rows: Prepared, doctor: Any = "default") -> Any:
        """Trains; returns the history."""
        held = {"validation_split": 0.2} if self.splits else {"validation_data": rows.valid}
        run = {"batch_size": self.batch_size, "epochs": self.epochs}
        run = self._recipe(rows).fit_arguments() if self._is_recipe else run
        return model.fit(*rows.train, verbose=0, doctor=doctor, **run, **held)

    @property
    def _is_recipe(self) -> bool:
        return self.begin in ("default", "self_normalizing")

    def _recipe(self, rows: Prepared) -> Any:
        import evenkeel as ek

        make = getattr(ek.recipes, self.begin)
        return make(*rows.train, epochs=self.epochs, batch_size=self.batch_size)


def score(model: Any, rows: Prepared) -> float:
    """Returns how good a model is on the rows that only the bench sees.

    For classes the mean over them of the share that is right, so that a rare class counts; for
    numbers the part of their variance that is explained, at least -1. Of a model whose outputs are
    not finite it is the score of a constant, 0 for numbers.
    """
    outputs = np.asarray(model.predict(rows.x_test, verbose=0), np.float64)
    outputs = outputs.reshape(len(outputs), -1)
    truth = rows.truth
    if rows.classes is None:
        if not np.isfinite(outputs).all():
            return -1.0
        error = np.mean((outputs[:, 0] - truth) ** 2) / np.var(truth)
        return float(max(1 - error, -1.0))
    if not np.isfinite(outputs).all():
        return 1 / rows.classes
    # One unit is a probability, or a logit where some value lies outside [0, 1].
    is_logit = outputs.min() < 0 or outputs.max() > 1
    told = (
        outputs.argmax(axis=1)
        if outputs.shape[1] > 1
        else (outputs[:, 0] > (0.0 if is_logit else 0.5)).astype(int)
    )
    return float(np.mean([(told[truth == c] == c).mean() for c in np.unique(truth)]))


def _prepared(program: Program, rows: Rows) -> Prepared:
    x_train = rows.train[0].astype(np.float32)
    mean = x_train.mean(axis=0)
    size = x_train.std(axis=0)
    if program.prepare == "standardize":
        size = np.where(size > 1e-6 * (np.abs(mean) + 1e-12), size, 1.0)
    elif program.prepare == "unit":
        mean, size = 0.0, float(np.abs(x_train).max())
    else:
        mean, size = 0.0, 1.0
    middle, unit = 0.0, 1.0
    if rows.classes is None and program.target_scale is not None:
        middle = float(rows.train[1].mean())
        unit = float(rows.train[1].std()) / program.target_scale

    def part(given: Part) -> Part:
        x, y = given
        x = ((x - mean) / size).astype(np.float32)
        if program.convolutional and x.ndim == 2:
            side = int(np.sqrt(x.shape[1]))
            x = x.reshape(-1, side, side)
        x = x[..., None] if program.convolutional else x.reshape(len(x), -1)
        is_number = rows.classes is None
        return x, ((y - middle) / unit).astype(np.float32) if is_number else y.astype(np.int32)

    test = part(rows.test)
    return Prepared(
        train=part(rows.train),
        valid=part(rows.valid),
        x_test=test[0],
        truth=test[1],
        classes=rows.classes,
    )


def _loss(program: Program, classes: int | None) -> Any:
    if program.loss != "matching":
        return program.loss
    if classes is None:
        return "mse"
    return "binary_crossentropy" if classes == 2 else "sparse_categorical_crossentropy"


def _layers(program: Program, rows: Prepared) -> list[Any]:
    import evenkeel as ek

    rule = program.initializer
    rule = _RULES.get(program.activation, "he_normal") if rule == "matching" else rule
    settings: dict[str, Any] = {
        "activation": program.activation,
        "kernel_initializer": rule() if callable(rule) else rule,
        "bias_initializer": ek.initializers.Constant(program.bias),
        **program.layer,
    }
    layers: list[Any] = [ek.Input(rows.train[0].shape[1:])]
    for units in program.hidden:
        if program.convolutional:
            layers.append(ek.layers.Conv2D(units, 3, padding="same", **settings))
            layers.append(ek.layers.MaxPooling2D(2))
        else:
            layers.append(ek.layers.Dense(units, **settings))
        if program.normalization is not None:
            layers.append(ek.layers.BatchNormalization(momentum=program.normalization))
        if program.dropout:
            kind = "AlphaDropout" if program.activation == "selu" else "Dropout"
            layers.append(getattr(ek.layers, kind)(program.dropout))
    if program.convolutional:
        layers.append(ek.layers.Flatten())
    if program.mixed:
        layers.append(_mixing())
    layers.append(_output(program, rows.classes))
    if program.output_dropout:
        layers.append(ek.layers.Dropout(program.output_dropout))
    return layers


def _mixing() -> Any:
    """A layer that reads the batch's axis as one of features."""
    import jax.numpy as jnp

    import evenkeel as ek

    class Mixing(ek.layers.Layer):
        """Gives each row its neighbor's values as well."""

        def call(self, inputs: Any) -> Any:
            return 0.5 * (inputs + jnp.roll(inputs, 1, axis=0))

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    return Mixing()


def _output(program: Program, classes: int | None) -> Any:
    import evenkeel as ek

    usual = "linear" if classes is None else "sigmoid" if classes == 2 else "softmax"
    activation = usual if program.output == "matching" else program.output
    units = program.units or (1 if classes in (None, 2) else classes)
    return ek.layers.Dense(units, activation=activation)


def _pretrain(program: Program, model: Any, rows: Prepared) -> None:
    """Trains the hidden layers to tell whether a class number is even, and freezes them."""
    import evenkeel as ek

    output = ek.layers.Dense(2, activation="softmax")
    other = ek.Sequential([*model.layers[:-1], output])
    other.compile(ek.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    x, y = rows.train
    other.fit(x, y % 2, epochs=10, verbose=0, doctor=None)
    for layer in model.layers[:-1]:
        layer.trainable = False
    program.compile(model, rows)
