"""Numbers that are read off a run: its curves, what a constant would score, how far weights moved.

A loss is a mean over rows and therefore noisy. Losses of single rows scatter by about their mean:
squares of normal errors by 1.4 times, logarithmic losses by once, and more where a network is sure
and wrong. Twice the mean over the root of the rows is taken for the standard error everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evenkeel.doctor.course import Course
from evenkeel.doctor.patient import LayerRecord, OptimizerRecord, Patient
from evenkeel.doctor.statistics.base import Missing, Numbers, statistic
from evenkeel.doctor.statistics.inputs import sample_of
from evenkeel.doctor.statistics.targets import HeadTargets

# The standard deviation of a row's loss, in means, as the module's text has it.
SCATTER = 2.0
# A linear model is fitted to half of so many rows, with so many columns: those that go along with
# the targets most. Fewer columns can only make it worse, so that it still says what can be had.
_LINEAR_ROWS = 1000
_LINEAR_FEATURES = 100
# A rate has come down when it is below this part of its highest.
_COME_DOWN = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """The course of one output's loss.

    Attributes:
        name: The output's name.
        train: The training loss of each epoch, without penalties.
        valid: The validation loss of each epoch that has one, without penalties; None if none.
        valid_epochs: The numbers of those epochs, from 0.
        rows: Training rows; None if that is not known.
        validation_rows: Validation rows; None if that is not known.
        constant: What the best constant output would score on the training rows; None if that is
            not known.
        first: The loss before the first step, on one batch; None if that was not looked at.

    Example:
        >>> curve = Curve(name="y", train=np.array([1.0, 0.5, 0.5]), rows=100, constant=2.0)
        >>> curve.reference, curve.skill, curve.error(0.5)
        (2.0, 0.75, 0.1)
    """

    name: str
    train: np.ndarray
    valid: np.ndarray | None = None
    valid_epochs: np.ndarray | None = None
    rows: int | None = None
    validation_rows: int | None = None
    constant: float | None = None
    first: float | None = None

    @property
    def reference(self) -> float:
        """What a network that learned nothing would score: a constant, the start, or epoch 1."""
        if self.constant is not None:
            return self.constant
        return float(self.train[0]) if self.first is None else self.first

    @property
    def best(self) -> float:
        """The lowest training loss."""
        return float(np.min(self.train))

    @property
    def way(self) -> float:
        """How far the loss came down; at least a tenth of the reference, as what to measure by."""
        return max(self.reference - self.best, 0.1 * abs(self.reference), 1e-300)

    @property
    def skill(self) -> float:
        """The part of the reference that the last epochs have done away with."""
        last = float(np.median(self.train[-3:]))
        return 1 - last / self.reference if self.reference > 0 else math.nan

    def error(self, loss: float, is_validation: bool = False) -> float:
        """Returns the standard error of a loss; infinite where the rows are not known."""
        rows = self.validation_rows if is_validation else self.rows
        return math.inf if not rows else SCATTER * abs(loss) / math.sqrt(rows)


@statistic
def run_course(patient: Patient) -> Course:
    """The course of the run."""
    if patient.course is None:
        raise Missing("There is no run to look at: fit judges this while it trains.")
    if not patient.course.epochs and not patient.course.breaks:
        raise Missing("The run has not come through an epoch.")
    return patient.course


@statistic
def constants(patient: Patient) -> dict[str, float | None]:
    """For each output the loss of the best constant; none where there are no targets."""
    try:
        found: tuple[HeadTargets, ...] = Numbers(patient)["head_targets"]
    except Missing:
        return {}
    return {one.head.name: _constant(one) for one in found}


def _constant(found: HeadTargets) -> float | None:
    values, loss = found.values, found.head.loss
    if loss == "mean_squared_error":
        return float(values.var(axis=0).mean())
    if loss == "mean_absolute_error":
        return float(np.abs(values - np.median(values, axis=0)).mean())
    if loss == "binary_crossentropy":
        p = values.mean(axis=0)
        return float(_entropy(np.stack([p, 1 - p])).mean())
    if loss in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
        if loss.startswith("categorical") and values.shape[1] > 1:
            return float(_entropy(values.mean(axis=0)))
        if found.labels is not None:
            return float(_entropy(found.counts / found.counts.sum()))
    return None


def _entropy(p: np.ndarray) -> np.ndarray:
    return -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=0)


@statistic
def curves(
    patient: Patient, run_course: Course, constants: dict[str, float | None]
) -> tuple[Curve, ...]:
    """The loss of each output, epoch by epoch."""
    loss = run_course.log("loss")
    if loss is None or not np.isfinite(loss).all():
        raise Missing("The run has no epoch whose loss is a number.")
    if run_course.is_weighted:
        constants = {}  # losses are weighted means then, and a constant's is another one
    names = [head.name for head in patient.heads if head.loss is not None]
    if len(names) < 2:
        return (_curve(run_course, names[0] if names else "y", None, constants),)
    names = [name for name in names if run_course.log(f"{name}_loss") is not None]
    if not names:
        raise Missing("The losses of the outputs are not in the history.")
    return tuple(_curve(run_course, name, name, constants) for name in names)


def _curve(course: Course, name: str, head: str | None, constant: dict[str, float | None]) -> Curve:
    train = _without_penalty(course, "", head)
    assert train is not None
    valid = _without_penalty(course, "val_", head)
    epochs = None if valid is None else np.flatnonzero(np.isfinite(valid))
    first = course.samples[0].loss if course.samples else None
    is_whole = head is None and course.log("penalty") is None
    return Curve(
        name=name,
        train=train,
        valid=None if valid is None else valid[epochs],
        valid_epochs=epochs,
        rows=course.rows,
        validation_rows=course.validation_rows,
        constant=constant.get(name) or None,
        first=float(first) if first is not None and is_whole and math.isfinite(first) else None,
    )


def _without_penalty(course: Course, prefix: str, head: str | None) -> np.ndarray | None:
    if head is not None:
        return course.log(f"{prefix}{head}_loss")
    loss, penalty = course.log(f"{prefix}loss"), course.log(f"{prefix}penalty")
    return loss if loss is None or penalty is None else loss - penalty


def swing(values: np.ndarray) -> float:
    """Returns by how much values jump from one to the next, apart from any smooth course.

    It is the standard deviation that normal noise of equal second differences would have, taken
    from their median, so that a single outlier counts for little.

    Example:
        >>> falling, jumping = np.array([9.0, 7.0, 5.0, 3.0, 1.0]), np.array([1.0, 2, 1, 2, 1])
        >>> float(swing(falling)), swing(jumping) > 1
        (0.0, True)
    """
    if len(values) < 3:
        return 0.0
    bends = values[1:-1] - (values[:-2] + values[2:]) / 2
    return float(1.4826 * np.median(np.abs(bends)) / math.sqrt(1.5))


@statistic
def rate_came_down(patient: Patient, run_course: Course) -> bool:
    """Whether the learning rate is well below its highest by now, as schedules have it."""
    rates = run_course.log("learning_rate")
    if rates is None:
        rates = run_course.log("lr")
    if rates is not None:
        known = rates[np.isfinite(rates)]
        return bool(known[-1] < _COME_DOWN * known.max())
    optimizer: OptimizerRecord | None = patient.optimizer
    if optimizer is None or optimizer.schedule is None:
        return False
    within = optimizer.schedule.within(max(run_course.steps, 1))
    return bool(within[-1] < _COME_DOWN * within.max())


@statistic
def travelled(run_course: Course) -> float:
    """How far the kernel that moved most is from its start, in parts of its size then."""
    if not run_course.travel:
        raise Missing("How far the weights moved is not known.")
    return float(max(run_course.travel.values()))


@statistic
def step_sizes(run_course: Course) -> dict[str, float]:
    """For each kernel the median size of an update, in parts of the weights, behind the start.

    Biases and normalizations, which begin at 0 or 1, are left out.
    """
    found: dict[str, list[float]] = {}
    for sample in list(run_course.samples)[2:]:
        for path, update in sample.update_norm.items():
            weight = sample.weight_norm.get(path, 0.0)
            if path in run_course.travel and weight > 0 and math.isfinite(update):
                found.setdefault(path, []).append(update / weight)
    if not found:
        raise Missing("No updates were sampled: type compile(telemetry='economy').")
    return {path: float(np.median(sizes)) for path, sizes in found.items()}


@statistic
def batchnorms(parts: tuple[LayerRecord, ...]) -> tuple[LayerRecord, ...]:
    """The batch normalizations that are trained."""
    return tuple(p for p in parts if p.is_a("BatchNormalization") and p.is_trainable)


@dataclass(frozen=True, kw_only=True)
class LinearScore:
    """What a linear model makes of the data, on rows that it was not fitted to.

    Attributes:
        value: The mean squared error, or the accuracy.
        error: Its standard error.
        is_accuracy: Whether it is an accuracy.
    """

    value: float
    error: float
    is_accuracy: bool


@statistic
def linear_model(patient: Patient) -> Callable[[], LinearScore | None]:
    """Fits a linear model, when called; the call returns None where it has nothing to fit.

    It is asked for only where a network did badly, since it takes as long as some hundred steps.
    """
    return lambda: _linear_score(patient)


def _linear_score(patient: Patient) -> LinearScore | None:
    if len(patient.inputs) != 1 or len(patient.targets) != 1 or len(patient.heads) != 1:
        return None
    x, y = patient.inputs[0].values, patient.targets[0].values
    head = patient.heads[0]
    if y is None or len(x) != len(y) or len(x) < 200:
        return None
    draw = np.random.Generator(np.random.Philox(0))
    rows = draw.integers(0, len(x), _LINEAR_ROWS) if len(x) > 2**20 else draw.permutation(len(x))
    rows = np.unique(rows[:_LINEAR_ROWS])
    draw.shuffle(rows)
    x, y = sample_of(x[rows]), np.asarray(y)[rows].reshape(len(rows), -1).astype(np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    is_accuracy = not head.is_regression
    if is_accuracy and y.shape[1] == 1:
        values, labels = np.unique(y[:, 0], return_inverse=True)
        if not 2 <= len(values) <= 100:
            return None
        y = np.eye(len(values))[labels]
    half = len(x) // 2
    predicted = _ridge(x[:half], y[:half], x[half:])
    if is_accuracy:
        right = float((predicted.argmax(axis=1) == y[half:].argmax(axis=1)).mean())
        error = math.sqrt(max(right * (1 - right), 1e-4) / (len(x) - half))
        return LinearScore(value=right, error=error, is_accuracy=True)
    squares = np.square(predicted - y[half:]).mean(axis=1)
    error = float(squares.std() / math.sqrt(len(squares)))
    return LinearScore(value=float(squares.mean()), error=error, is_accuracy=False)


def _ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Returns what a ridge regression on standardized columns says of new rows."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread == 0] = 1.0
    x = (x - mean) / spread
    if x.shape[1] > _LINEAR_FEATURES:
        related = np.abs(x.T @ (y - y.mean(axis=0))).max(axis=1)
        chosen = np.argsort(-related)[:_LINEAR_FEATURES]
        x, new, mean, spread = x[:, chosen], new[:, chosen], mean[chosen], spread[chosen]
    new = (new - mean) / spread
    gram = x.T @ x + 0.01 * len(x) * np.eye(x.shape[1])
    return (new @ np.linalg.solve(gram, x.T @ (y - y.mean(axis=0)))) + y.mean(axis=0)
