"""How good outputs are on held-out rows, in numbers that any two networks for one task share.

Two arms of an experiment may differ in their losses and in the units of their targets, so neither's
own loss can judge them. Here each row gets a loss in parts of what a trivial predictor loses (the
mean, or the most frequent class): 0 is perfect, 1 is trivial. Rows keep their losses apart, so that
`comparison` can count their noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenkeel.doctor.outputs import LOSS_NAMES
from evenkeel.doctor.patient import HeadRecord, Patient
from evenkeel.doctor.remedies.network import fitting_kind

# A row that is a hundred times worse than trivial tells no more than that; without an end one row
# of a run that blew up would drown all others.
_WORST = 100.0
# How much worse than this a network is, is chance, and would drown what other seeds show.
_WORST_NETWORK = 2.0
# Below a quarter of an equal share the most frequent classes alone decide what accuracy says.
_RARE = 0.25


@dataclass(frozen=True, kw_only=True)
class Form:
    """In which form a network answers at one output.

    Attributes:
        head: What its loss expects.
        classes: The raw label of each class number; None where they are the numbers.
        scale: What outputs are multiplied by to be in raw units.
        offset: What is added then.

    Example:
        >>> Form(head=HeadRecord(kind="numbers")).raw(np.array([2.0])).tolist()
        [2.0]
    """

    head: HeadRecord
    classes: np.ndarray | None = None
    scale: Any = 1.0
    offset: Any = 0.0

    def raw(self, outputs: np.ndarray) -> np.ndarray:
        """Returns outputs in raw units."""
        return outputs * self.scale + self.offset

    def labels(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the class that each row of outputs (rows, ..., units) stands for."""
        if outputs.shape[-1] > 1:
            numbers = outputs.argmax(axis=-1)
        elif self.head.kind == "binary":
            numbers = self.marks(outputs)[..., 0]
        elif self.head.kind == "numbers":
            numbers = np.rint(self.raw(outputs[..., 0]))
        else:  # one unit of a softmax, which is always 1
            numbers = np.zeros(outputs.shape[:-1])
        if self.classes is None:
            return numbers
        return self.classes[np.clip(numbers, 0, len(self.classes) - 1).astype(int)]

    def marks(self, outputs: np.ndarray) -> np.ndarray:
        """Returns which of several yes-or-no answers are yes."""
        return (outputs > (0.0 if self.head.from_logits else 0.5)).astype(np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What one output is to answer on held-out rows.

    Attributes:
        kind: "numbers", "classes", or "marks" (several yes-or-no answers).
        truth: The answers: (rows, values), raw.
        trivial: The trivial predictor's answer.
        weights: The weight of each row and value; they average 1.
        metric: The name of the number that people are shown.

    Example:
        >>> truth = np.array([[0.0], [2.0]])
        >>> task = Task.of(HeadRecord(kind="numbers"), np.array([0.0, 2.0]), np.array([0.0, 2.0]))
        >>> form = Form(head=HeadRecord(kind="numbers"))
        >>> task.losses(np.array([[1.0], [1.0]]), form).tolist()  # the mean is trivial
        [1.0, 1.0]
    """

    kind: str
    truth: np.ndarray
    trivial: np.ndarray
    weights: np.ndarray
    metric: str

    @classmethod
    def of(cls, head: HeadRecord, train: np.ndarray, held_out: np.ndarray) -> Task:
        """Returns the task of an output.

        Args:
            head: What its loss expects.
            train: The raw targets of the training rows, which the trivial predictor knows.
            held_out: The raw targets of the rows to judge by.
        """
        kind, truth = _answers(head, held_out)
        _, known = _answers(head, train)
        if kind == "numbers":
            trivial = known.mean(axis=0, dtype=np.float64)
            return cls(kind=kind, truth=truth, trivial=trivial, weights=np.ones(1), metric="rmse")
        if kind == "marks":
            trivial = (known.mean(axis=0) > 0.5).astype(np.int64)
            return cls(
                kind=kind, truth=truth, trivial=trivial, weights=np.ones(1), metric="accuracy"
            )
        labels, counts = np.unique(truth, return_counts=True)
        is_balanced = counts.min() * len(counts) >= _RARE * counts.sum()
        weights = np.ones(truth.shape)
        if not is_balanced:
            each = counts.sum() / (len(counts) * counts)
            weights = each[np.searchsorted(labels, truth)]
        known_labels, known_counts = np.unique(known, return_counts=True)
        return cls(
            kind=kind,
            truth=truth,
            trivial=known_labels[[int(np.argmax(known_counts))]],
            weights=weights,
            metric="accuracy" if is_balanced else "balanced accuracy",
        )

    @property
    def wants_more(self) -> bool:
        """Whether more of the shown number is better."""
        return self.kind != "numbers"

    def losses(self, outputs: np.ndarray, form: Form) -> np.ndarray:
        """Returns the loss of each row in parts of the trivial predictor's mean loss.

        A row whose output is not finite, or that has another shape than the answers, counts as
        trivial: a network that broke has learned nothing. A network that loses more than twice
        what a trivial predictor does counts as losing twice as much.
        """
        trivial = self._errors(np.broadcast_to(self.trivial, self.truth.shape))
        unit = max(float(trivial.mean()), 1e-300)
        said = self._said(outputs, form)
        if said is None:
            return trivial / unit
        is_finite = np.isfinite(outputs.reshape(len(outputs), -1)).all(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            errors = np.where(is_finite, self._errors(said), trivial)
        losses = np.minimum(errors / unit, _WORST)
        mean = float(losses.mean())
        return losses if mean <= _WORST_NETWORK else losses * (_WORST_NETWORK / mean)

    def shown(self, outputs: np.ndarray, form: Form) -> float:
        """Returns the number that people are shown; NaN where an output is not finite."""
        said = self._said(outputs, form)
        if said is None or not np.isfinite(outputs).all():
            return float("nan")
        if self.kind == "numbers":
            with np.errstate(over="ignore"):
                return float(np.sqrt(np.mean(np.square(said - self.truth))))
        return float(1 - self._errors(said).mean())

    def _said(self, outputs: np.ndarray, form: Form) -> np.ndarray | None:
        outputs = np.asarray(outputs, np.float64)
        is_label = self.kind == "numbers" and form.head.kind in LOSS_NAMES
        if self.kind == "classes" or is_label:  # a class number answers a question for a number
            said = form.labels(outputs)
        else:
            said = form.raw(outputs) if self.kind == "numbers" else form.marks(outputs)
        return said.reshape(self.truth.shape) if said.size == self.truth.size else None

    def _errors(self, said: np.ndarray) -> np.ndarray:
        """Returns the mean error of each row, before it is put into parts of the trivial one."""
        if self.kind != "numbers":
            return ((said != self.truth) * self.weights).mean(axis=1)
        spread = self.truth.var(axis=0, dtype=np.float64)
        return (np.square(said - self.truth) / np.where(spread > 0, spread, 1.0)).mean(axis=1)


def _answers(head: HeadRecord, values: np.ndarray) -> tuple[str, np.ndarray]:
    """Returns what kind of answers targets are, and the answers as (rows, values)."""
    kind = head.kind or ("numbers" if values.dtype.kind == "f" or head.units == 1 else "classes")
    rows = len(values)
    if kind == "one-hot":
        return "classes", values.argmax(axis=-1).reshape(rows, -1)
    if kind == "binary" and values.ndim > 1 and values.shape[-1] > 1:
        return "marks", values.reshape(rows, -1)
    if kind in LOSS_NAMES:
        return "classes", values.reshape(rows, -1)
    return "numbers", values.reshape(rows, -1).astype(np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """Scores the outputs of networks on held-out rows.

    Attributes:
        tasks: What each output is to answer.

    Example:
        >>> judge = Judge(tasks=())
        >>> judge.rows
        0
    """

    tasks: tuple[Task, ...]

    @classmethod
    def of(cls, patient: Patient, mismatched: frozenset[str] = frozenset()) -> Judge:
        """Returns the judge of a patient and of whatever it is treated to become.

        Args:
            patient: The patient, with targets for validation.
            mismatched: The names of outputs whose loss is known not to fit the targets; what is
                asked of them is told from the targets.
        """
        tasks = []
        for head, target in zip(patient.heads, patient.targets, strict=True):
            if target.values is None or target.validation is None or head.loss is None:
                continue
            if head.name in mismatched:
                kind = fitting_kind(patient, head)
                head = HeadRecord(name=head.name, kind=kind, units=head.units)
            tasks.append(Task.of(head, target.values, target.validation))
        return cls(tasks=tuple(tasks))

    @property
    def rows(self) -> int:
        """How many rows it judges by."""
        return len(self.tasks[0].truth) if self.tasks else 0

    @property
    def metric(self) -> str:
        """The name of the number that people are shown."""
        return self.tasks[0].metric if len(self.tasks) == 1 else "loss in parts of a trivial one"

    @property
    def wants_more(self) -> bool:
        """Whether more of the shown number is better."""
        return len(self.tasks) == 1 and self.tasks[0].wants_more

    def losses(self, outputs: Sequence[np.ndarray], forms: Sequence[Form]) -> np.ndarray:
        """Returns the loss of each row, over all outputs, in parts of the trivial one."""
        found = [t.losses(o, f) for t, o, f in zip(self.tasks, outputs, forms, strict=True)]
        return np.mean(found, axis=0)

    def shown(self, outputs: Sequence[np.ndarray], forms: Sequence[Form]) -> float:
        """Returns the number that people are shown."""
        if len(self.tasks) != 1:
            return float(self.losses(outputs, forms).mean())
        return self.tasks[0].shown(outputs[0], forms[0])

    def of_nothing(self) -> np.ndarray:
        """Returns the losses of a network that gave no answer: the trivial ones."""
        empty = np.zeros((0, 1))
        forms = [Form(head=HeadRecord()) for _ in self.tasks]
        return self.losses([empty] * len(self.tasks), forms)
