"""checkup: a model and its data on the doctor's table.

This ties together what does not know each other: the model is described (`description`), the
doctor judges (`doctor`), and the result is shown in a terminal, a notebook or a file (`report`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evenkeel.description import describe
from evenkeel.doctor.diagnosis import Diagnosis, diagnose
from evenkeel.doctor.finding import Finding
from evenkeel.doctor.patient import Patient, RunRecord
from evenkeel.doctor.remedies import REMEDIES
from evenkeel.doctor.rule import Verdict
from evenkeel.errors import (
    InvalidArgumentError,
    explain,
    nearest,
    number_in,
    positive_integer,
)
from evenkeel.measurement import measured
from evenkeel.report import diagnosis as report
from evenkeel.report.forms import Shown

__all__ = ["Checkup", "checkup"]

# How deep a checkup looks; each depth does what those before it do.
DEPTHS = ("static", "init", "probe")


@dataclass(frozen=True, kw_only=True)
class Checkup(Shown):
    """What a checkup found. Printing it shows one screen; a notebook shows a page.

    Attributes:
        name: The model's name.
        depth: How deep it looked.
        patient: The model and its data as plain records.
        diagnosis: What every rule says.

    Example:
        >>> from evenkeel.doctor import Patient, diagnose
        >>> healthy = Checkup(
        ...     name="net", depth="static", patient=Patient(), diagnosis=diagnose(Patient())
        ... )
        >>> healthy.ok, len(healthy.unknown) > 0
        (True, True)
    """

    wording = report

    name: str
    depth: str
    patient: Patient
    diagnosis: Diagnosis

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, the worst cause first, symptoms beneath their causes."""
        return self.diagnosis.findings

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that stop learning or make results wrong, the symptoms among them."""
        return tuple(f for f in self.diagnosis.all_findings if f.severity == "fault")

    @property
    def codes(self) -> frozenset[str]:
        """The codes of all findings, the symptoms' among them."""
        return self.diagnosis.codes

    @property
    def ok(self) -> bool:
        """Whether there is neither a fault nor a warning."""
        return all(finding.severity == "note" for finding in self.diagnosis.all_findings)

    @property
    def unknown(self) -> tuple[Verdict, ...]:
        """What cannot be told, each with the reason; without what another rule has found."""
        verdicts = self.diagnosis.verdicts
        found = {verdict.code for verdict in verdicts if verdict.answer == "found"}
        return tuple(v for v in verdicts if v.answer == "cannot tell" and v.code not in found)

    @property
    def healthy(self) -> tuple[Verdict, ...]:
        """What is in order, each with the numbers that it rests on."""
        return tuple(v for v in self.diagnosis.verdicts if v.answer == "healthy")

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain data that JSON can hold; the keys are stable."""
        return {
            "model": self.name,
            "depth": self.depth,
            "ok": self.ok,
            "findings": [self._written(finding) for finding in self.findings],
            "unknown": [verdict.to_dict() for verdict in self.unknown],
            "healthy": [verdict.to_dict() for verdict in self.healthy],
        }

    def _written(self, finding: Finding) -> dict[str, Any]:
        return {
            **finding.to_dict(),
            "remedies": [
                REMEDIES[name].to_dict(self.patient, finding) for name in finding.remedies
            ],
            "symptoms": [self._written(symptom) for symptom in finding.symptoms],
        }

    def __repr__(self) -> str:
        counts = report.counts_of(self.to_dict())
        return f"<Checkup of {self.name!r}, {self.depth}: {counts}>"


def checkup(
    model: Any,
    x: Any,
    y: Any = None,
    validation_data: Any = None,
    depth: str = "static",
    *,
    batch_size: int = 32,
    epochs: int | None = None,
    validation_split: float = 0.0,
    shuffle: bool = True,
    class_weight: Any = None,
) -> Checkup:
    """Examines a model and its data and says what is wrong, where, and what to type.

    At the depth "static" data, targets, layers, starting weights, loss, optimizer and schedule are
    judged as they stand, and nothing is run. "init" runs one pass forward and backward over up to
    1024 rows: how far signals and gradients get, dead and saturated units, the first loss, rows
    that mix. "probe" trains copies for 300 steps each: at the declared rate, at lower ones, at one
    that a sweep suggests, with inputs at 0, and on eight rows alone; beside them a linear model and
    trees. The model, its optimizer and the random state are left as they were. A model that is not
    compiled or not built is judged as far as that goes, and what cannot be told is listed.

    Args:
        model: Any model.
        x: The inputs, as `fit` takes them: arrays, row by row.
        y: The targets; None leaves out what needs them.
        validation_data: (x, y) of rows for validation.
        depth: How deep to look: "static"; "init", some seconds; "probe", the time of some 3000
            steps.
        batch_size: Rows a step of the run to come, as `fit` will be told.
        epochs: How many epochs the run will have; without it nothing is said about schedules and
            moving averages, whose length must fit the run's.
        validation_split: The fraction of rows, the last ones, that `fit` will keep back.
        shuffle: Whether `fit` will shuffle.
        class_weight: The weights of the classes that `fit` will be given.

    Returns:
        The checkup: `.findings`, `.faults`, `.ok`, `.unknown`, `.to_dict()`, `.to_html()`.

    Raises:
        InvalidDataError: If x or y is no array of numbers, or x does not fit the network.
        InvalidArgumentError: If an argument is impossible.

    Example:
        >>> import numpy as np
        >>> import evenkeel as ek
        >>> random = np.random.default_rng(0)
        >>> x, y = random.normal(size=(500, 4)), random.normal(size=500) * 250_000
        >>> model = ek.Sequential([
        ...     ek.layers.Dense(30, activation="relu", kernel_initializer="he_normal"),
        ...     ek.layers.Dense(1),
        ... ])
        >>> model.compile("adam", loss="mse")
        >>> result = ek.checkup(model, x, y)
        >>> [finding.code for finding in result.findings], result.ok
        (['targets-not-scaled'], False)
    """
    if depth not in DEPTHS:
        raise InvalidArgumentError(
            explain(f"checkup(depth): got {depth!r}.", nearest(str(depth), DEPTHS))
        )
    run = RunRecord(
        batch_size=positive_integer("checkup(batch_size)", batch_size),
        epochs=None if epochs is None else positive_integer("checkup(epochs)", epochs),
        validation_split=number_in(
            "checkup(validation_split)", validation_split, 0, 1, high_open=True
        ),
        shuffle=bool(shuffle),
        class_weight=bool(class_weight),
    )
    patient = describe(model, x, y, validation_data, run)
    if depth != "static":
        patient = measured(model, x, y, validation_data, patient, with_probe=depth == "probe")
    return Checkup(name=model.name, depth=depth, patient=patient, diagnosis=diagnose(patient))
