"""The faulty programs, each with the causes and the fixes that count as right.

They were written down before the doctor was asked. Where several words name the same thing
(the targets do not fit the output's range, the output's activation does not fit the targets) all
of them count; words for what follows from a fault (a loss that does not fall) do not.
"""

from __future__ import annotations

from typing import Any

from benchmarks.doctor import bases as b
from benchmarks.doctor import damages as d
from benchmarks.doctor.cases import Case, fault


def _gain(scale: float) -> Any:
    """An initializer with so many times the variance that keeps a linear signal as it is."""

    def rule() -> Any:
        import evenkeel as ek

        return ek.initializers.VarianceScaling(scale)

    return rule


def _normal(stddev: float) -> Any:
    def rule() -> Any:
        import evenkeel as ek

        return ek.initializers.RandomNormal(stddev=stddev)

    return rule


def _decay(rate: float, steps: int, factor: float) -> Any:
    """A schedule that multiplies its rate by a factor every so many steps."""

    def schedule() -> Any:
        import evenkeel as ek

        return ek.optimizers.schedules.ExponentialDecay(rate, steps, factor)

    return schedule


def _max_norm(value: float) -> dict[str, Any]:
    norm = {"class_name": "MaxNorm", "config": {"max_value": value, "axis": 1}}
    return {"kernel_constraint": norm}


def _penalty(strength: float) -> dict[str, Any]:
    return {"kernel_regularizer": {"class_name": "L2", "config": {"l2": strength}}}


RATES = "rate-from-search rate-from-range-test"
LOWER = f"{RATES} lower-learning-rate clip-gradients"
HIGHER = f"{RATES} raise-learning-rate train-longer"
HIGH, LOW = "learning-rate-too-high", "learning-rate-too-low slow-convergence"
SETTINGS = "usual-optimizer-settings"
OUTPUT = "output-activation-mismatch loss-mismatch targets-out-of-range"
OUTPUT_FIX = "change-output-activation change-loss enough-units"
WEIGHTS = "init-scale init-activation-mismatch exploding-activations exploding-gradients"
SMALL_WEIGHTS = "init-scale init-activation-mismatch vanishing-activations vanishing-gradients"
DRAW = "re-initialize insert-batchnorm"
VANISH = "vanishing-gradients vanishing-activations init-activation-mismatch"
VANISH_FIX = "change-activation re-initialize insert-batchnorm"

STEPS = (
    fault(b.DIGITS_SGD, "rate 30x too high", HIGH, LOWER, rate=0.6),
    fault(b.DIGITS_SGD, "rate 10x too high", HIGH, LOWER, rate=0.2),
    fault(b.DIGITS, "Adam's rate 30x too high", HIGH, LOWER, rate=0.03),
    fault(b.DIGITS, "Adam's rate 1000x too high", HIGH, LOWER, rate=1.0),
    fault(b.DIGITS_CONV, "rate of convolutions 50x too high", HIGH, LOWER, rate=0.1),
    fault(b.FASHION_SGD, "rate 10x too high", HIGH, LOWER, rate=0.2),
    fault(b.FASHION, "Adam's rate 20x too high", HIGH, LOWER, rate=0.02),
    fault(b.HOUSES_SGD, "rate 10x too high", HIGH, LOWER, rate=0.05),
    fault(b.HOUSES_SGD, "rate 100x too high", HIGH, LOWER, rate=0.5),
    fault(b.FRIEDMAN_SGD, "rate 10x too high", HIGH, LOWER, rate=0.1),
    fault(b.TEACHER, "rate 30x too high", HIGH, LOWER, rate=0.03),
    fault(b.SPIRALS, "rate 20x too high", HIGH, LOWER, rate=0.1),
    fault(b.DIGITS_SELU, "rate 20x too high", HIGH, LOWER, rate=0.01),
    fault(b.MANY, "rate 100x too high", HIGH, LOWER, rate=0.1),
    fault(b.DIGITS_SGD, "rate 100x too low", LOW, HIGHER, rate=2e-4),
    fault(b.DIGITS, "Adam's rate 30x too low", LOW, HIGHER, rate=3e-5),
    fault(b.DIGITS_CONV, "rate of convolutions 100x too low", LOW, HIGHER, rate=2e-5),
    fault(b.FASHION_SGD, "rate 30x too low", LOW, HIGHER, rate=7e-4),
    fault(b.IRIS, "rate 30x too low", LOW, HIGHER, rate=3e-4),
    fault(b.WINE_SGD, "rate 100x too low", LOW, HIGHER, rate=2e-4),
    fault(b.CONCRETE, "rate 30x too low", LOW, HIGHER, rate=1e-4),
    fault(b.ENERGY, "rate 10x too low", LOW, HIGHER, rate=3e-4),
    fault(b.SPIRALS, "rate 10x too low", LOW, HIGHER, rate=5e-4),
    fault(b.MANY, "rate 30x too low", LOW, HIGHER, rate=3e-5),
    fault(
        b.DIGITS,
        "epsilon 1",
        "optimizer-settings",
        SETTINGS,
        settings={"epsilon": 1.0},
    ),
    fault(
        b.TEACHER,
        "beta_1 0.999",
        "optimizer-settings",
        SETTINGS,
        settings={"beta_1": 0.999},
    ),
    fault(
        b.FASHION_SGD,
        "momentum 0.999",
        "optimizer-settings",
        SETTINGS,
        settings={"momentum": 0.999},
    ),
    fault(
        b.FRIEDMAN,
        "rate that decays within 30 steps",
        "schedule-horizon",
        "fit-schedule-to-run",
        rate=_decay(3e-3, 30, 0.1),
    ),
    fault(
        b.DIGITS,
        "rate that decays within an epoch",
        "schedule-horizon",
        "fit-schedule-to-run",
        rate=_decay(1e-3, 40, 0.3),
    ),
    fault(
        b.HOUSES_SGD,
        "gradients clipped to 1e-3",
        "optimizer-settings learning-rate-too-low",
        f"{SETTINGS} {HIGHER}",
        settings={"momentum": 0.9, "global_clipnorm": 1e-3},
    ),
)

OUTPUTS = (
    fault(b.CANCER, "softmax on one unit", OUTPUT, OUTPUT_FIX, output="softmax"),
    fault(b.MOONS, "softmax on one unit", OUTPUT, OUTPUT_FIX, output="softmax"),
    fault(b.DIGITS, "ReLU as output of a classifier", OUTPUT, OUTPUT_FIX, output="relu"),
    fault(b.WINE, "logits without from_logits", OUTPUT, OUTPUT_FIX, output="linear"),
    fault(b.CANCER, "tanh under binary crossentropy", OUTPUT, OUTPUT_FIX, output="tanh"),
    fault(b.FRIEDMAN, "sigmoid as output of a regression", OUTPUT, OUTPUT_FIX, output="sigmoid"),
    fault(b.CONCRETE, "ReLU before standardized targets", OUTPUT, OUTPUT_FIX, output="relu"),
    fault(b.ENERGY, "tanh as output of a regression", OUTPUT, OUTPUT_FIX, output="tanh"),
    fault(
        b.DIGITS,
        "squared errors of class numbers",
        "loss-mismatch output-activation-mismatch targets-out-of-range",
        OUTPUT_FIX,
        loss="mse",
    ),
    fault(
        b.IRIS,
        "one sigmoid unit for three classes",
        "loss-mismatch output-activation-mismatch targets-out-of-range",
        OUTPUT_FIX,
        units=1,
        output="sigmoid",
        loss="binary_crossentropy",
    ),
    fault(b.DIGITS, "classes from 1 on", OUTPUT, OUTPUT_FIX, damage=d.from_one),
    fault(b.CANCER, "classes -1 and 1", OUTPUT, OUTPUT_FIX, damage=d.plus_and_minus_one),
    fault(
        b.STRIPES,
        "one-hot targets under binary crossentropy of a softmax",
        OUTPUT,
        OUTPUT_FIX,
        loss="binary_crossentropy",
        damage=d.one_hot,
    ),
)

WEIGHTS_AND_UNITS = (
    fault(b.DIGITS, "weights from N(0, 1)", WEIGHTS, DRAW, initializer=_normal(1.0)),
    fault(b.DIGITS_DEEP, "weights 3x too large", WEIGHTS, DRAW, initializer=_gain(18.0)),
    fault(b.DIGITS_DEEP, "weights from N(0, 0.05)", SMALL_WEIGHTS, DRAW, initializer=_normal(0.05)),
    fault(
        b.DIGITS_SELU,
        "variance 4x too large",
        WEIGHTS + " selu-conditions",
        DRAW,
        initializer=_gain(4),
    ),
    fault(
        b.SPIRALS,
        "weights from N(0, 0.001)",
        SMALL_WEIGHTS,
        DRAW,
        initializer=_normal(0.001),
    ),
    fault(b.FASHION, "weights of 0", "constant-init", "re-initialize", initializer="zeros"),
    fault(b.FRIEDMAN, "weights of 1", "constant-init init-scale", DRAW, initializer="ones"),
    fault(
        b.DIGITS_TANH,
        "tanh with weights from N(0, 2)",
        WEIGHTS + " saturated-units",
        DRAW,
        initializer=_normal(2.0),
    ),
    fault(
        b.DIGITS_DEEP,
        "sigmoid in twelve layers",
        VANISH,
        VANISH_FIX,
        activation="sigmoid",
    ),
    fault(
        b.TEACHER,
        "sigmoid in eight layers",
        VANISH,
        VANISH_FIX,
        activation="sigmoid",
        hidden=(64,) * 8,
    ),
    fault(
        b.HOUSES,
        "sigmoid in six layers",
        VANISH,
        VANISH_FIX,
        activation="sigmoid",
        hidden=(32,) * 6,
    ),
    fault(
        b.DIGITS_DEEP,
        "ReLU with Glorot's weights in 30 layers",
        VANISH + " init-scale",
        VANISH_FIX,
        initializer="glorot_uniform",
        hidden=(32,) * 30,
    ),
    fault(
        b.DIGITS,
        "biases of -5",
        "dead-units vanishing-activations vanishing-gradients",
        VANISH_FIX,
        bias=-5.0,
    ),
    fault(
        b.FASHION,
        "biases of -3",
        "dead-units vanishing-activations vanishing-gradients",
        VANISH_FIX,
        bias=-3.0,
    ),
    fault(
        b.MOONS,
        "no activation",
        "no-hidden-nonlinearity",
        "add-activation",
        activation="linear",
    ),
    fault(
        b.SPIRALS,
        "no activation",
        "no-hidden-nonlinearity",
        "add-activation",
        activation="linear",
    ),
    fault(
        b.FRIEDMAN,
        "no activation",
        "no-hidden-nonlinearity",
        "add-activation",
        activation="linear",
    ),
)

DATA = (
    fault(
        b.DIGITS_SELU,
        "pixels 0..255",
        "inputs-not-standardized",
        "standardize-inputs",
        prepare="unit",
        damage=d.inputs_times(255.0),
    ),
    fault(
        b.FASHION_SGD,
        "pixels 0..255",
        "inputs-not-standardized",
        "standardize-inputs",
        prepare="raw",
    ),
    fault(b.WINE, "raw columns", "inputs-not-standardized", "standardize-inputs", prepare="raw"),
    fault(
        b.WINE_SGD,
        "raw columns under SGD",
        "inputs-not-standardized",
        "standardize-inputs",
        prepare="raw",
    ),
    fault(b.HOUSES, "raw columns", "inputs-not-standardized", "standardize-inputs", prepare="raw"),
    fault(b.CANCER, "raw columns", "inputs-not-standardized", "standardize-inputs", prepare="raw"),
    fault(b.POWER, "raw columns", "inputs-not-standardized", "standardize-inputs", prepare="raw"),
    fault(
        b.DIABETES, "raw columns", "inputs-not-standardized", "standardize-inputs", prepare="raw"
    ),
    fault(
        b.TEACHER,
        "two columns in thousandths",
        "inputs-not-standardized",
        "standardize-inputs",
        damage=d.columns_times(1000.0, 2),
    ),
    fault(
        b.IRIS,
        "inputs around 100",
        "inputs-not-standardized",
        "standardize-inputs",
        damage=d.inputs_times(1.0, 100.0),
    ),
    fault(
        b.HOUSES,
        "prices in dollars",
        "targets-not-scaled",
        "scale-targets",
        target_scale=None,
    ),
    fault(
        b.ENERGY,
        "targets in raw units",
        "targets-not-scaled",
        "scale-targets",
        target_scale=None,
    ),
    fault(
        b.FRIEDMAN_SGD,
        "targets 30x too large",
        "targets-not-scaled",
        "scale-targets",
        target_scale=30.0,
    ),
    fault(
        b.POWER,
        "targets around 450",
        "targets-not-scaled",
        "scale-targets",
        target_scale=None,
    ),
    fault(
        b.DIGITS,
        "NaN in the inputs",
        "inputs-not-finite",
        "drop-rows-not-finite",
        damage=d.holes(0.001),
    ),
    fault(
        b.FASHION,
        "validation pixels 0..255",
        "train-validation-shift",
        "prepare-validation-alike",
        damage=d.validation_times(255.0),
    ),
    fault(
        b.TEACHER,
        "validation rows 5x as large",
        "train-validation-shift",
        "prepare-validation-alike",
        damage=d.validation_times(5.0),
    ),
    fault(
        b.DIGITS,
        "pairs lost",
        "labels-unrelated",
        "check-pairing gather-data",
        damage=d.pairs_lost(),
    ),
    fault(
        b.FRIEDMAN,
        "pairs lost",
        "labels-unrelated",
        "check-pairing gather-data",
        damage=d.pairs_lost(),
    ),
    fault(
        b.DIGITS,
        "sorted rows and validation_split",
        "ordered-validation-split",
        "shuffle-rows",
        damage=d.sorted_by_target,
        splits=True,
    ),
    fault(
        b.CONCRETE,
        "sorted rows and validation_split",
        "ordered-validation-split",
        "shuffle-rows",
        damage=d.sorted_by_target,
        splits=True,
    ),
    fault(
        b.FASHION,
        "60 rows",
        "too-little-data",
        "gather-data",
        damage=d.first_rows(60),
    ),
    fault(
        b.HOUSES,
        "30 rows",
        "too-little-data",
        "gather-data",
        damage=d.first_rows(30),
    ),
    fault(
        b.CANCER,
        "one class",
        "targets-constant",
        "gather-data stratify",
        damage=d.one_target,
    ),
)

HELD_BACK = (
    fault(b.DIGITS, "dropout 0.95", "dropout-too-high", "lower-dropout", dropout=0.95),
    fault(b.CONCRETE, "dropout 0.8", "dropout-too-high", "lower-dropout", dropout=0.8),
    fault(
        b.FASHION,
        "dropout behind the output",
        "dropout-misplaced",
        "move-dropout",
        output_dropout=0.5,
    ),
    fault(
        b.FRIEDMAN,
        "dropout behind the output",
        "dropout-misplaced",
        "move-dropout",
        output_dropout=0.5,
    ),
    fault(
        b.DIGITS,
        "L2 of 0.5",
        "regularization-too-strong",
        "less-regularization",
        layer=_penalty(0.5),
    ),
    fault(
        b.SPIRALS,
        "L2 of 0.1",
        "regularization-too-strong",
        "less-regularization",
        layer=_penalty(0.1),
    ),
    fault(
        b.FASHION,
        "norms limited to 0.05 along the wrong axis",
        "max-norm-axis regularization-too-strong",
        "unit-axis less-regularization",
        layer=_max_norm(0.05),
    ),
    fault(
        b.SHORT_NORM,
        "moving averages of 0.999",
        "batchnorm-horizon batchnorm-gap",
        "batchnorm-momentum",
        normalization=0.999,
    ),
    fault(
        b.FASHION_NORM,
        "moving averages of 0.9999",
        "batchnorm-horizon batchnorm-gap",
        "batchnorm-momentum",
        normalization=0.9999,
    ),
    fault(
        b.DIGITS,
        "a network of one unit",
        "underfitting",
        "larger-network",
        hidden=(1,),
    ),
    fault(
        b.FRIEDMAN,
        "two epochs",
        "underfitting slow-convergence learning-rate-too-low",
        HIGHER,
        epochs=2,
        rate=3e-4,
    ),
    fault(
        b.DIABETES,
        "a large network for 150 epochs",
        "overfitting too-little-data",
        "early-stopping l2 dropout gather-data",
        hidden=(128, 128),
        epochs=150,
    ),
    fault(
        b.DIGITS_NORM,
        "a layer that mixes rows",
        "samples-mixed",
        "keep-rows-apart",
        mixed=True,
    ),
    fault(
        b.TEACHER,
        "a layer that mixes rows",
        "samples-mixed",
        "keep-rows-apart",
        mixed=True,
    ),
)

FAULTY: tuple[Case, ...] = (*STEPS, *OUTPUTS, *WEIGHTS_AND_UNITS, *DATA, *HELD_BACK)
