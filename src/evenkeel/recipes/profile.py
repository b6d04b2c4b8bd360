"""What a recipe knows of the data: its form, what is to be learned, means and deviations.

The targets say which task it is. Where they could mean two things, that is refused with both
readings, since a wrong guess would train the wrong network well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from evenkeel.doctor.ordering import MOST_CLASSES
from evenkeel.doctor.rules.targets import ClassImbalance
from evenkeel.doctor.statistics import sample_of
from evenkeel.engine import intake
from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    explain,
    nearest,
    positive_integer,
)
from evenkeel.layers import Normalization
from evenkeel.randomness import undisturbed

Task = Literal["classification", "regression"]
TASKS = ("classification", "regression")
# What the targets are; the first four are classes in some form.
Kind = Literal["binary", "labels", "classes", "one-hot", "numbers"]
Inputs = Literal["pixels", "columns"]
INPUTS = ("pixels", "columns")

# Of pixels so many values are looked at: a thousand images tell their one mean to a hundredth of a
# deviation, and reading them costs a command line nothing that is noticed.
_PIXELS_LOOKED_AT = 2**20
# Fewer columns that share a range may do so by chance.
_FEWEST_PIXELS = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """What a recipe knows of the data.

    Attributes:
        rows: How many rows there are.
        shape: The shape of a row.
        inputs: Whether the features are "pixels", which share a unit, or "columns" of a table.
        kind: What the targets are: "binary" (0 and 1), "labels" (several of them a row), "classes"
            (class numbers), "one-hot", or "numbers".
        outputs: How many units answer that.
        axis: The axes that are standardized apart; None if all features are standardized together.
        mean: The means of the inputs.
        variance: Their variances; yes-or-no columns stay as they are, with mean 0 and variance 1.
        target_mean: The mean of each target column; 0 where targets are classes.
        target_deviation: The standard deviation of each; 1 where targets are classes.
        counts: How many rows each class has; empty in a regression.

    Example:
        >>> profile = look_at(np.zeros((4, 28, 28), np.uint8), np.array([0, 1, 1, 0]))
        >>> profile.inputs, profile.kind, profile.outputs, profile.features
        ('pixels', 'binary', 1, 784)
    """

    rows: int
    shape: tuple[int, ...]
    inputs: Inputs
    kind: Kind
    outputs: int
    axis: int | None
    mean: np.ndarray
    variance: np.ndarray
    target_mean: np.ndarray
    target_deviation: np.ndarray
    counts: np.ndarray

    @property
    def task(self) -> Task:
        """What is to be learned."""
        return "regression" if self.kind == "numbers" else "classification"

    def __str__(self) -> str:
        inputs = f"{self.features:,} {self.inputs}"
        answers = f"{self.outputs} number{'s' if self.outputs > 1 else ''}"
        if self.task == "classification":
            answers = f"{len(self.counts) if self.kind != 'binary' else 2} classes"
        return f"{self.rows:,} rows of {inputs}, {answers}"

    @property
    def features(self) -> int:
        """How many numbers a row has."""
        return math.prod(self.shape)

    @property
    def imbalance(self) -> float:
        """How many times as many rows the commonest class has as the rarest; 1 in a regression."""
        present = self.counts[self.counts > 0]
        return float(present.max() / present.min()) if len(present) else 1.0


def look_at(
    x: Any,
    y: Any,
    task: Task | None = None,
    inputs: Inputs | None = None,
    classes: int | None = None,
) -> Profile:
    """Looks at data.

    Args:
        x: The training inputs: an array or a DataFrame, (rows, features) or images.
        y: Their targets.
        task: "classification" or "regression"; seen from y when None.
        inputs: "pixels" if all features share a unit, "columns" if each has its own; seen from x
            when None.
        classes: How many classes there are, where y may lack some; counted when None.

    Raises:
        InvalidDataError: If they are not numbers or do not belong together.
        InvalidArgumentError: If y could mean two things and `task` does not say which.

    Example:
        >>> look_at([[1.0], [2.0]], [250_000.0, 350_000.0]).target_deviation.tolist()
        [50000.0]
    """
    for name, given, valid in (("task", task, TASKS), ("inputs", inputs, INPUTS)):
        if given is not None and given not in valid:
            raise InvalidArgumentError(
                explain(f"recipe({name}): got {given!r}.", nearest(str(given), valid))
            )
    rows = intake.inputs(x, "x")
    if rows.ndim == 1:
        raise InvalidDataError(
            explain(
                f"x has the shape {rows.shape}, expected (rows, features).",
                "For a single feature type x.reshape(-1, 1).",
            )
        )
    targets = _targets(y, len(rows))
    kind = _kind_of(targets, task)
    if kind == "binary" and (classes or 0) > 2:
        kind = "classes"
    inputs = inputs or _inputs_of(rows)
    axis, mean, variance = _standardization(rows, inputs)
    target_mean, target_deviation = _target_scale(targets, kind)
    fewest = 0 if classes is None else positive_integer("recipe(classes)", classes)
    counts = _counts(targets, kind, fewest)
    outputs = len(counts) if kind == "classes" else _columns(targets)
    return Profile(
        rows=len(rows),
        shape=rows.shape[1:],
        inputs=inputs,
        kind=kind,
        outputs=outputs,
        axis=axis,
        mean=mean,
        variance=variance,
        target_mean=target_mean,
        target_deviation=target_deviation,
        counts=counts,
    )


# -- targets -------------------------------------------------------------------------------------


def _targets(y: Any, rows: int) -> np.ndarray:
    values = np.asarray(y)
    if values.dtype.kind in "OUS" and not _are_numbers(values):
        raise InvalidDataError(
            explain(
                f"y holds {values.reshape(-1)[0]!r}, expected numbers.",
                "Number the classes: names, y = np.unique(y, return_inverse=True).",
            )
        )
    targets = intake.targets(y, rows)
    if targets.ndim > 2:
        raise InvalidDataError(
            explain(
                f"y has the shape {targets.shape}, expected (rows,) or (rows, outputs).",
                "A recipe is for one answer a row, of one number or several.",
            )
        )
    return targets


def _are_numbers(values: np.ndarray) -> bool:
    try:
        values.astype(np.float64)
    except (TypeError, ValueError):
        return False
    return values.dtype.kind == "O"


def _columns(targets: np.ndarray) -> int:
    return targets.shape[1] if targets.ndim == 2 else 1


def _kind_of(targets: np.ndarray, task: Task | None) -> Kind:
    """Returns what targets are, as far as they say it, and else as the task has it."""
    if task == "regression":
        return "numbers"
    is_whole = targets.dtype.kind in "iub" or bool((targets == np.floor(targets)).all())
    are_bits = is_whole and bool(((targets == 0) | (targets == 1)).all())
    if _columns(targets) > 1:
        return _kind_of_columns(targets, are_bits, task)
    if are_bits:
        return "binary"
    if task == "classification":
        _refuse_no_class_numbers(targets)
        return "classes"
    values, counts = np.unique(targets, return_counts=True)
    if not is_whole or values[0] < 0 or values[-1] > MOST_CLASSES:
        return "numbers"
    is_numbered = values[0] == 0 and values[-1] == len(values) - 1
    is_even = counts.min() > 1 and counts.max() <= ClassImbalance.ratio * counts.min()
    if targets.dtype.kind in "iu" and is_numbered and is_even:
        return "classes"
    raise InvalidArgumentError(
        explain(
            f"y holds {len(values)} whole numbers from {values[0]:g} to {values[-1]:g}, which may "
            "name classes or be counts or grades.",
            "A network for classes puts none between two others; one for numbers does.",
            "Type task='classification' or task='regression'.",
        )
    )


def _kind_of_columns(targets: np.ndarray, are_bits: bool, task: Task | None) -> Kind:
    if are_bits and bool((targets.sum(axis=1) == 1).all()):
        return "one-hot"
    if are_bits:
        return "labels"
    if task == "classification":
        raise InvalidDataError(
            explain(
                f"y has {_columns(targets)} columns that are not all 0 and 1, and cannot be "
                "classes.",
                "Type task='regression', or give one-hot rows.",
            )
        )
    return "numbers"


def _refuse_no_class_numbers(targets: np.ndarray) -> None:
    # Numbers beyond the number of rows are names of another kind: years, codes, identities.
    is_class = (targets >= 0) & (targets < max(len(targets), 2)) & (targets == np.floor(targets))
    if not is_class.all():
        wrong = targets[~is_class]
        raise InvalidDataError(
            explain(
                f"y holds {wrong.reshape(-1)[0]:g}, expected class numbers 0, 1, 2, and so on.",
                "Number the classes: names, y = np.unique(y, return_inverse=True). "
                "For numbers type task='regression'.",
            )
        )


def _counts(targets: np.ndarray, kind: Kind, fewest: int) -> np.ndarray:
    if kind == "numbers":
        return np.zeros(0, np.int64)
    if kind in ("one-hot", "labels"):
        return targets.sum(axis=0).astype(np.int64)
    return np.bincount(targets.reshape(-1).astype(np.int64), minlength=max(2, fewest))


def _target_scale(targets: np.ndarray, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    columns = targets.reshape(len(targets), -1)
    if kind != "numbers":
        return np.zeros(columns.shape[1]), np.ones(columns.shape[1])
    deviation = columns.std(axis=0, dtype=np.float64)
    return columns.mean(axis=0, dtype=np.float64), np.where(deviation > 0, deviation, 1.0)


# -- inputs --------------------------------------------------------------------------------------


def _inputs_of(x: np.ndarray) -> Inputs:
    """Whether features share a unit: images, and tables whose columns share a range from 0 on."""
    if x.ndim > 2 or x.dtype == np.uint8:
        return "pixels"
    if x.shape[1] < _FEWEST_PIXELS:
        return "columns"
    sample = sample_of(x)
    low, high = sample.min(axis=0), sample.max(axis=0)
    varying = high[high > low]
    is_shared = len(varying) > 0 and float(np.median(varying)) >= 0.2 * float(varying.max())
    return "pixels" if (low >= 0).all() and high.max() > 1 and is_shared else "columns"


def _standardization(x: np.ndarray, inputs: Inputs) -> tuple[int | None, np.ndarray, np.ndarray]:
    """Returns which axes are standardized apart, and the means and variances."""
    has_channels = x.ndim == 4
    axis = -1 if inputs == "columns" or has_channels else None
    with undisturbed():
        layer = Normalization(axis=axis)
        layer.adapt(x if inputs == "columns" else _some_rows(x))
    mean, variance = (np.asarray(weight, np.float32) for weight in layer.get_weights())
    if inputs == "columns":
        is_bit = ((x == 0) | (x == 1)).all(axis=tuple(range(x.ndim - 1)))
        mean, variance = np.where(is_bit, 0.0, mean), np.where(is_bit, 1.0, variance)
    return axis, mean.astype(np.float32), variance.astype(np.float32)


def _some_rows(x: np.ndarray) -> np.ndarray:
    rows = max(1, _PIXELS_LOOKED_AT // math.prod(x.shape[1:]))
    if len(x) <= rows:
        return x
    draw = np.random.Generator(np.random.Philox(0))
    return x[np.sort(draw.choice(len(x), rows, replace=False))]
