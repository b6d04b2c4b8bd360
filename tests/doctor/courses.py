"""For each code that a run shows, the smallest course that has it, and its healthy twin, by hand.

The training loss of a healthy run falls from that of a constant, log(3), along an exponential.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evenkeel.doctor import OptimizerRecord, ScheduleRecord
from evenkeel.doctor.course import BreakRecord, Course
from tests.doctor.patients import (
    Case,
    classifier,
    dense,
    normal,
    other,
    patient,
    regression,
)

EPOCHS = np.arange(20)
FALLING = 1.0 * np.exp(-EPOCHS / 4) + 0.08
JUMPS = (-1.0) ** EPOCHS


def ran(train=FALLING, valid=None, whom=None, rows=10_000, m=2000, **more):
    """A patient that has run: 20 epochs of 50 steps unless said otherwise."""
    logs = {"loss": list(train), **more.pop("logs", {})}
    if valid is not None:
        logs["val_loss"] = list(valid)
    travel = more.pop("travel", {"hidden/kernel": 0.8})
    course = Course(
        logs=logs,
        rows=rows,
        validation_rows=None if valid is None else m,
        steps=more.pop("steps", 1000),
        travel=travel,
        **more,
    )
    return replace(whom or patient(), course=course)


def broke(what="output", next_rate=1.0, cause="rate", place="hidden"):
    """A run that broke once and went on."""
    return ran(
        breaks=(
            BreakRecord(
                epoch=0, batch=3, what=what, place=place, cause=cause, rate=10.0,
                next_rate=next_rate,
            ),
        )
    )  # fmt: skip


def lines(rows=600, noise=0.3):
    """Numbers that a linear model predicts."""
    x = normal(rows, 5)
    return x, x @ [1.0, -1.0, 0.5, 2.0, 0.3] + noise * normal(rows)


def straight():
    """A regression of numbers that a linear model predicts; their variance is 6.4 to 6.5."""
    x, y = lines()
    y = (y - y.mean()) / y.std()
    return replace(regression(y), inputs=(replace(regression(y).inputs[0], values=x),))


def _standard():
    y = normal(400)
    return (y - y.mean()) / y.std()


def normalized():
    """A classifier with batch normalization, long enough for its averages."""
    return classifier(
        other("BatchNormalization", "norm", momentum=0.9),
        dense("more", 20, 20, "relu", 1.414),
        count=1,
    )


def dropping(rate):
    """A classifier with dropout."""
    return classifier(other("Dropout", "drop", rate=rate))


def sgd(schedule=None):
    """Plain SGD."""
    return OptimizerRecord(kind="SGD", rate=0.01, settings={"momentum": 0.9}, schedule=schedule)


def parting(turn=8, slope=0.05):
    """A validation loss that turns upwards."""
    valid = FALLING + 0.1
    return np.r_[valid[:turn], valid[turn] + slope * np.arange(len(valid) - turn)]


CASES = (
    Case(
        "oscillating-loss",
        "training loss by turns",
        lambda: ran(FALLING + 0.04 + 0.04 * JUMPS),
        lambda: ran(FALLING),
    ),
    Case(
        "oscillating-loss",
        "validation loss of many rows, and of few",
        lambda: ran(FALLING, FALLING + 0.2 + 0.1 * JUMPS, m=20_000),
        lambda: ran(FALLING, FALLING + 0.2 + 0.1 * JUMPS, m=100),
    ),
    Case(
        "diverging",
        "up at the end, and one bad epoch",
        lambda: ran([*FALLING[:-4], 0.5, 0.7, 0.9, 1.2]),
        lambda: ran([*FALLING[:-4], 0.1, 5.0, 0.09, 0.09]),
    ),
    Case(
        "diverging",
        "from the start",
        lambda: ran([1.2, 3.0, 9.0, 40.0], steps=200),
        lambda: ran([1.0, 0.9, 0.7, 0.5], steps=200),
    ),
    Case(
        "loss-not-decreasing",
        "log(classes) for ever",
        lambda: ran(np.full(20, 1.0985)),
        lambda: ran(FALLING),
    ),
    Case(
        "loss-not-decreasing",
        "the variance of the targets",
        lambda: ran(np.full(20, 1.0), whom=regression(_standard())),
        lambda: ran(np.full(20, 0.05), whom=regression(_standard())),
    ),
    Case(
        "slow-convergence",
        "a straight line, and a schedule that ends on purpose",
        lambda: ran(1.09 - 0.01 * EPOCHS),
        lambda: ran(
            0.9 - 0.02 * EPOCHS,
            whom=patient(
                optimizer=sgd(
                    ScheduleRecord(
                        kind="CosineDecay",
                        steps=np.array([0, 1000]),
                        rates=np.array([0.1, 0.001]),
                        length=1000,
                        is_of_the_run=True,
                    )
                )
            ),
        ),
    ),
    Case(
        "learning-rate-too-low",
        "weights that stay, and a network that was trained before",
        lambda: ran(1.09 - 0.001 * EPOCHS, travel={"hidden/kernel": 0.002}),
        lambda: ran(0.1 - 0.00001 * EPOCHS, travel={"hidden/kernel": 0.002}),
    ),
    Case(
        "learning-rate-too-high",
        "a run that broke",
        lambda: broke(),
        lambda: ran(),
    ),
    Case(
        "learning-rate-too-high",
        "weights thrown away",
        lambda: ran(np.full(20, 1.3), travel={"hidden/kernel": 40.0}),
        lambda: ran(FALLING, travel={"hidden/kernel": 40.0}),
    ),
    Case(
        "learning-rate-too-high",
        "a swinging training loss, and one that has converged",
        lambda: ran(FALLING + 0.3 + 0.2 * JUMPS),
        lambda: ran(np.maximum(1.1 * np.exp(-EPOCHS), 0.001) * (1 + 0.9 * JUMPS)),
    ),
    Case(
        "overfitting",
        "curves that part, and a small validation set",
        lambda: ran(FALLING, parting()),
        lambda: ran(FALLING, parting(slope=0.005), m=100),
    ),
    Case(
        "overfitting",
        "nobody stops, and early stopping",
        lambda: ran(FALLING, parting()),
        lambda: ran(FALLING, parting(), whom=patient(early_stopping=True)),
    ),
    Case(
        "overfitting",
        "by heart",
        lambda: ran(
            FALLING, FALLING + 0.5,
            logs={"accuracy": list(1 - FALLING / 2), "val_accuracy": list(0.8 - FALLING / 2)},
        ),
        lambda: ran(
            FALLING, FALLING + 0.1,
            logs={"accuracy": list(1 - FALLING / 2), "val_accuracy": list(0.95 - FALLING / 2)},
        ),
    ),
    Case(
        "underfitting",
        "a linear model is better",
        lambda: ran(np.full(20, 0.6), np.full(20, 0.6), whom=straight()),
        lambda: ran(np.full(20, 0.02), np.full(20, 0.02), whom=straight()),
    ),
    Case(
        "batchnorm-gap",
        "averages that do not fit",
        lambda: ran(whom=normalized(), inference_loss=0.9, inference_rows=512),
        lambda: ran(whom=normalized(), inference_loss=0.09, inference_rows=512),
    ),
    Case(
        "regularization-too-strong",
        "nearly all penalty",
        lambda: ran(np.full(20, 4.0), logs={"penalty": [3.0] * 20}),
        lambda: ran(FALLING + 0.3, logs={"penalty": [0.3] * 20}),
    ),
    Case(
        "regularization-too-strong",
        "dropout drowns the signal",
        lambda: ran(
            1.05 - 0.0005 * EPOCHS, np.full(20, 0.5), whom=dropping(0.6),
        ),
        lambda: ran(FALLING + 0.2, FALLING + 0.1, whom=dropping(0.3)),
    ),
    Case(
        "non-finite-loss",
        "an output",
        lambda: broke("output"),
        lambda: ran(),
    ),
    Case(
        "non-finite-gradients",
        "a kernel's",
        lambda: broke("gradient", place="hidden/kernel"),
        lambda: ran(),
    ),
    Case(
        "non-finite-weights",
        "at the end of the run",
        lambda: broke("weights", place="hidden/kernel", next_rate=None),
        lambda: ran(),
    ),
)  # fmt: skip
