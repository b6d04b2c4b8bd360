"""repair: what was found is treated, and a remedy stays only where held-out rows show its use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evenkeel.datasets.splitting import split_rows
from evenkeel.description import describe
from evenkeel.doctor.finding import Finding
from evenkeel.doctor.outputs import LOSS_NAMES
from evenkeel.doctor.patient import Patient, RunRecord
from evenkeel.doctor.remedies import REMEDIES
from evenkeel.doctor.scoring import Judge
from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    NotCompiledError,
    explain,
    integer_at_least,
    nearest,
    number_in,
    positive_integer,
)
from evenkeel.examination import DEPTHS, Checkup
from evenkeel.randomness import seeded
from evenkeel.treatment.experiment import (
    Arm,
    Budget,
    BudgetSpentError,
    Experiment,
    Length,
)
from evenkeel.treatment.record import Treatment
from evenkeel.treatment.regimen import Regimen, everything, examined, score_of
from evenkeel.treatment.source import source_of
from evenkeel.treatment.subject import Subject, form_of

_LEAST_SEEDS = 3


def repair(
    model: Any,
    x: Any,
    y: Any,
    validation_data: Any = None,
    *,
    budget: int = 20_000,
    seconds: float | None = None,
    findings: Checkup | Iterable[Finding] | None = None,
    depth: str = "static",
    seeds: int = _LEAST_SEEDS,
    batch_size: int = 32,
    epochs: int | None = None,
    shuffle: bool = True,
    class_weight: Mapping[int, float] | None = None,
    validation_fraction: float = 0.2,
    seed: int = 0,
    tell: Callable[[str], None] | None = None,
) -> Treatment:
    """Treats what is wrong with a model, and keeps only what is shown to help.

    Each remedy of each finding, in order, is an experiment: the network as it is and the treated
    one are trained with the same seeds, rows and number of steps, and judged on the same held-out
    rows. A remedy stays if the treated network is better there by more than the noise of seeds and
    of rows (`evenkeel.doctor.comparison` has the test); where that leaves a doubt, as many further
    seeds must confirm it; otherwise it is rolled back. That a finding is gone counts for nothing.
    After a remedy was accepted, the treated network is examined again. At the end, what did not
    help alone is tried once together, since several faults may each be enough to stop learning.

    The model is left untouched: copies with fresh weights are trained in its place. Layers that are
    not trainable keep their values. The repaired model takes raw inputs and gives raw answers;
    what was done to inputs and targets is part of it.

    Held-out rows are judged by accuracy; by the mean of the classes' accuracies where a class is
    rare; and by the root mean squared error, in raw units, where numbers are predicted.

    Args:
        model: A compiled model.
        x: The inputs, as `fit` takes them: arrays, row by row.
        y: The targets.
        validation_data: (x, y) of rows that no training sees. When None, a part of the rows is
            drawn, each class in proportion. Rows that belong together (of one person, of one
            time) must not be on both sides, and nobody can see that in the data: give them here.
        budget: How many training steps may be taken in all.
        seconds: How many seconds it may take in all; as long as it takes when None.
        findings: What to treat: a checkup, or findings, such as those of `fit`. When None, the
            model is examined.
        depth: How deep to look: see `checkup`.
        seeds: Under how many seeds each network is trained, at least 3, and under as many more
            where a doubt is left.
        batch_size: Rows a step.
        epochs: How many epochs each run has; as many as the budget allows, up to 50, when None.
            Schedules are judged only when it is given.
        shuffle: Whether to draw a new order of the rows for each epoch.
        class_weight: The weight of each class by its number.
        validation_fraction: The fraction of rows to keep back where `validation_data` is None.
        seed: The first of the seeds; the same seed gives the same treatment.
        tell: Called with a sentence on each attempt, to show how far it is.

    Returns:
        The treatment: `.model`, `.before`, `.after`, `.accepted`, `.rejected`, `.code`.

    Raises:
        NotCompiledError: If the model was not compiled.
        InvalidDataError: If the data cannot be used.
        InvalidArgumentError: If an argument is impossible, or the model cannot be rebuilt.

    Example:
        >>> import evenkeel as ek
        >>> random = np.random.default_rng(0)
        >>> x = random.normal(size=(400, 4))
        >>> y = 250_000 + 80_000 * x[:, 0] + 20_000 * x[:, 1]
        >>> model = ek.Sequential([ek.layers.Dense(1)])
        >>> model.compile(ek.optimizers.Adam(0.01), loss="mse")
        >>> treatment = ek.repair(model, x, y, budget=3_000)
        >>> [attempt.remedies for attempt in treatment.accepted]
        [('scale-targets',)]
        >>> treatment.after.mean < treatment.before.mean / 10  # in the units of y
        True
    """
    _refuse(model, y, depth)
    run = RunRecord(
        batch_size=positive_integer("repair(batch_size)", batch_size),
        epochs=None if epochs is None else positive_integer("repair(epochs)", epochs),
        shuffle=bool(shuffle),
        class_weight=bool(class_weight),
    )
    seed = integer_at_least(0, "repair(seed)", seed)
    fraction = number_in(
        "repair(validation_fraction)", validation_fraction, 0, 1, low_open=True, high_open=True
    )
    with seeded(seed):  # the process-wide source of seeds goes on as if nothing had happened
        data = _parted(model, x, y, validation_data, fraction, seed)
        subject = Subject.of(model, *data, run, class_weight)
        subject = replace(subject, y_form=form_of(y, len(subject.patient.heads)))
        found = _findings(findings, subject, depth)
        seeds = integer_at_least(_LEAST_SEEDS, "repair(seeds)", seeds)
        experiment = Experiment(
            judge=_judge(subject.patient, found),
            seeds=tuple(range(seed, seed + seeds)),
            more_seeds=tuple(range(seed + seeds, seed + 2 * seeds)),
            length=_length(budget, seeds, subject, found),
            budget=Budget(
                steps=budget,
                seconds=seconds
                if seconds is None
                else number_in("repair(seconds)", seconds, 0, float("inf"), low_open=True),
            ),
        )
        return _course(experiment, subject, found, depth, tell or (lambda sentence: None))


def _refuse(model: Any, y: Any, depth: str) -> None:
    if getattr(model, "declared", None) is None:
        raise NotCompiledError(
            explain(
                "repair: the model was not compiled, so it has no loss.",
                "Call model.compile(optimizer='adam', loss='mse') first.",
            )
        )
    if y is None:
        raise InvalidArgumentError(
            explain(
                "repair(y): got None, expected targets.",
                "A repair is judged on held-out rows, whose answers must be known.",
                "Type repair(model, x, y).",
            )
        )
    if depth not in DEPTHS:
        raise InvalidArgumentError(
            explain(f"repair(depth): got {depth!r}.", nearest(str(depth), DEPTHS))
        )


def _course(
    experiment: Experiment,
    subject: Subject,
    found: tuple[Finding, ...],
    depth: str,
    tell: Callable[[str], None],
) -> Treatment:
    try:
        baseline = experiment.run(subject)
    except BudgetSpentError:
        raise InvalidArgumentError(
            explain(
                "repair: the budget was spent before the network as it is was trained.",
                "Give a larger budget, or more seconds.",
            )
        ) from None
    regimen = Regimen(experiment=experiment, arm=baseline, depth=depth, findings=found, tell=tell)
    regimen.go()
    return _treatment(experiment, baseline, regimen, found)


def _treatment(
    experiment: Experiment, baseline: Arm, regimen: Regimen, found: tuple[Finding, ...]
) -> Treatment:
    arm, judge = regimen.arm, experiment.judge
    subject = arm.subject
    if arm.weights is not None:
        subject.model.set_weights(arm.weights)
    model = subject.in_raw_units()
    model._telemetry = baseline.subject.origin[0]._telemetry
    length, rows = experiment.length, subject.patient.rows or 0
    return Treatment(
        name=subject.model.name,
        model=model,
        before=score_of(judge, baseline),
        after=score_of(judge, arm),
        attempts=tuple(regimen.attempts),
        findings=found,
        left=tuple(everything(regimen.findings)),
        code=source_of(arm, length, experiment.seeds[0]),
        classes=next((labels for labels in subject.classes if labels is not None), None),
        steps=experiment.budget.spent,
        budget=experiment.budget.steps,
        seeds=(*experiment.seeds, *experiment.more_seeds)[: len(arm.losses)],
        epochs=length.epochs,
        rows=min(length.rows, rows),
        held_out_rows=judge.rows,
    )


def _findings(given: Any, subject: Subject, depth: str) -> tuple[Finding, ...]:
    if given is None:
        return examined(subject, depth).findings
    if isinstance(given, Checkup):
        return given.findings
    found = tuple(given)
    if not all(isinstance(finding, Finding) for finding in found):
        raise InvalidArgumentError(
            explain(
                "repair(findings): expected a checkup, or findings.",
                "Type findings=ek.checkup(model, x, y), or leave it out.",
            )
        )
    return found


def _length(budget: Any, seeds: int, subject: Subject, found: tuple[Finding, ...]) -> Length:
    run, patient = subject.patient.run, subject.patient
    names = {
        (f.code, f.place, name)
        for f in everything(found)
        for name in f.remedies
        if name in REMEDIES and not REMEDIES[name].is_advice
    }
    return Length.within(
        positive_integer("repair(budget)", budget),
        seeds=seeds,
        rows=patient.rows or 1,
        batch_size=run.batch_size,
        epochs=run.epochs,
        remedies=len(names),
    )


# -- the rows that judge -------------------------------------------------------------------------


def _judge(patient: Patient, found: tuple[Finding, ...]) -> Judge:
    wrong = [f for f in everything(found) if f.code == "loss-mismatch" and f.severity != "note"]
    mismatched = frozenset(name for finding in wrong for name in finding.place)
    judge = Judge.of(patient, mismatched)
    if not judge.rows:
        raise InvalidDataError(
            explain(
                "repair: there are no held-out targets to judge by.",
                "Type validation_data=(x_valid, y_valid), or leave it out.",
            )
        )
    return judge


def _parted(
    model: Any, x: Any, y: Any, held_out: Any, fraction: float, seed: int
) -> tuple[Any, Any, Any]:
    """Returns training inputs and targets, and held-out rows, which are finite."""
    patient = describe(model, x, y, held_out)
    inputs, targets = patient.inputs, patient.targets
    rows = np.arange(patient.rows or 0)
    if held_out is None:
        labels, by_class = _labels(patient)
        kept, _, drawn, _ = split_rows(rows, labels, fraction, seed, by_class=by_class)
        kept, drawn = np.sort(kept), np.sort(drawn)
        parts = ([d.values for d in inputs], [t.values for t in targets])
        training = [[None if a is None else a[kept] for a in side] for side in parts]
        judging = [[None if a is None else a[drawn] for a in side] for side in parts]
    else:
        training = [[d.values for d in inputs], [t.values for t in targets]]
        judging = [[d.validation for d in inputs], [t.validation for t in targets]]
    finite = _finite_rows([a for side in judging for a in side if a is not None])
    if not finite.any():
        raise InvalidDataError(
            explain(
                "repair: no held-out row is finite in all inputs and targets.",
                "Look at validation_data, or at the rows of x and y.",
            )
        )
    judging = [
        [None if a is None else a if finite.all() else a[finite] for a in side] for side in judging
    ]
    names = [data.name for data in inputs]
    return (
        _formed(x, names, training[0]),
        _one_or_all(training[1]),
        (_formed(x, names, judging[0]), _one_or_all(judging[1])),
    )


def _labels(patient: Patient) -> tuple[np.ndarray, bool]:
    """Returns what to draw held-out rows by, and whether that are classes."""
    for head, target in zip(patient.heads, patient.targets, strict=False):
        values = target.values
        if values is None or head.kind not in LOSS_NAMES:
            continue
        if values.ndim > 1 and values.shape[-1] > 1:
            values = values.argmax(axis=-1)
        if values.size == len(values):
            return values.ravel(), True
    return np.zeros(patient.rows or 0), False


def _finite_rows(arrays: list[np.ndarray]) -> np.ndarray:
    found = [np.isfinite(a.reshape(len(a), -1)).all(axis=1) for a in arrays]
    return np.logical_and.reduce(found)


def _formed(x: Any, names: list[str], values: list[Any]) -> Any:
    if isinstance(x, Mapping):
        return dict(zip(names, values, strict=True))
    return values[0] if len(values) == 1 else values


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values
