"""Remedies that change how a network is trained: the optimizer, the schedule, the run."""

from __future__ import annotations

import math
from dataclasses import replace

from evenkeel.doctor.finding import Finding
from evenkeel.doctor.patient import LayerRecord, Patient
from evenkeel.doctor.remedy import remedy

# What the papers and Keras give; the rate is where to begin a search from.
USUAL: dict[str, dict[str, float]] = {
    "SGD": {"momentum": 0.9},
    "RMSprop": {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-7},
    "Adagrad": {"epsilon": 1e-7},
    **{
        kind: {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
        for kind in ("Adam", "AdamW", "Adamax", "Nadam")
    },
}
_USUAL_RATE = {"SGD": 0.01}
RANGE_TEST = "rate-from-range-test"


def _to_type(patient: Patient, finding: Finding) -> str:
    kind = patient.optimizer.kind if patient.optimizer else "Adam"
    settings = "".join(f", {name}={value:g}" for name, value in USUAL.get(kind, {}).items())
    rate = _USUAL_RATE.get(kind, 0.001)
    return f"ek.optimizers.{kind}({rate:g}{settings})  # and ek.find_learning_rate(model, x, y)"


@remedy(
    "usual-optimizer-settings",
    does="take the optimizer's usual settings",
    safety="safe: they are those of its paper",
    types=_to_type,
)
def usual_optimizer_settings(patient: Patient, finding: Finding) -> Patient:
    """Sets what is out of range to its usual value, and the rate if it is that."""
    optimizer = patient.optimizer
    if optimizer is None:
        return patient
    usual = USUAL.get(optimizer.kind, {})
    settings = {n: usual.get(n, value) for n, value in optimizer.settings.items()}
    decay = settings.get("weight_decay")
    if decay:
        settings["weight_decay"] = min(float(decay), 0.004)
    return replace(
        patient,
        optimizer=replace(
            optimizer,
            settings=settings,
            rate=_USUAL_RATE.get(optimizer.kind, 0.001),
            schedule=None,
        ),
    )


@remedy(
    RANGE_TEST,
    does="find the learning rate by a range test",
    safety="safe: a sweep of some hundred steps on a copy",
    types="model.optimizer.learning_rate = ek.find_learning_rate(model, x, y).suggestion",
)
def rate_from_range_test(patient: Patient, finding: Finding) -> Patient:
    """Leaves the rate open; whoever makes the network finds it there."""
    optimizer = patient.optimizer
    if optimizer is None:
        return patient
    return replace(patient, optimizer=replace(optimizer, rate=None, schedule=None))


def _momentum_for(steps: int) -> float:
    """Returns a momentum of which a run of so many steps leaves less than a thousandth."""
    exact = 10 ** (-3 / max(steps, 1))
    return max(0.0, math.floor(min(exact, 0.99) * 100) / 100)


def _steps(patient: Patient) -> int:
    return patient.run.steps(patient.rows) or 100


@remedy(
    "batchnorm-momentum",
    does="let the moving averages forget sooner",
    safety="safe: they follow the data more closely, with a little more noise",
    types=lambda patient, finding: (
        f"momentum={_momentum_for(_steps(patient)):g} in {', '.join(finding.place)}"
    ),
)
def batchnorm_momentum(patient: Patient, finding: Finding) -> Patient:
    """Sets a momentum that the run is long enough for."""
    momentum = _momentum_for(_steps(patient))

    def quicker(layer: LayerRecord) -> LayerRecord:
        return layer.with_config(momentum=momentum)

    return patient.changing(finding.place, quicker)


@remedy(
    "fit-schedule-to-run",
    does="stretch the schedule over the run",
    safety="safe: the same curve over another length",
    types=lambda patient, finding: (
        f"ek.optimizers.schedules.fraction(1.0) as the length of {finding.place[0]}, or "
        f"{_steps(patient):,} steps"
    ),
)
def fit_schedule_to_run(patient: Patient, finding: Finding) -> Patient:
    """Gives the schedule the run's length, its curve stretched or squeezed."""
    optimizer = patient.optimizer
    if optimizer is None or optimizer.schedule is None:
        return patient
    schedule, steps = optimizer.schedule, _steps(patient)
    length = schedule.length or float(schedule.steps[-1]) or 1.0
    fitted = replace(
        schedule, steps=schedule.steps * (steps / length), length=steps, is_of_the_run=True
    )
    return replace(patient, optimizer=replace(optimizer, schedule=fitted))


@remedy(
    "weigh-classes",
    does="weigh rare classes more",
    safety="changes what probabilities mean: they are no longer frequencies",
    types="fit(..., class_weight={c: len(y) / (classes * (y == c).sum()) for c in range(classes)})",
)
def weigh_classes(patient: Patient, finding: Finding) -> Patient:
    """Has the run weigh classes."""
    return replace(patient, run=replace(patient.run, class_weight=True))


@remedy(
    "early-stopping",
    does="stop where validation no longer gains",
    safety="safe: needs validation rows",
    types="ek.callbacks.EarlyStopping(patience=10, restore_best_weights=True)",
)
def early_stopping(patient: Patient, finding: Finding) -> Patient:
    """Has the run stop early."""
    return replace(patient, run=replace(patient.run, early_stopping=True))


def _better_rate(patient: Patient) -> float:
    """Returns the best rate that was tried, or a tenth of the declared one where none was."""
    if patient.probe is not None:
        return patient.probe.best.rate
    rate = None if patient.optimizer is None else patient.optimizer.rate
    return (0.01 if rate is None else rate) / 10


def _rate_to_type(patient: Patient, finding: Finding) -> str:
    rate = _better_rate(patient)
    optimizer = patient.optimizer
    if optimizer is not None and optimizer.schedule is not None:
        factor = rate / optimizer.schedule.peak
        return f"the schedule {optimizer.schedule.kind} with rates {factor:.2g} times as high"
    return f"model.optimizer.learning_rate = {rate:.2g}"


@remedy(
    "rate-from-search",
    does="take the best learning rate of those that were tried",
    safety="safe: only the steps' length changes",
    types=_rate_to_type,
)
def rate_from_search(patient: Patient, finding: Finding) -> Patient:
    """Sets the rate, or brings a schedule's rates to it."""
    optimizer = patient.optimizer
    if optimizer is None:
        return patient
    rate = _better_rate(patient)
    schedule = optimizer.schedule
    if schedule is not None:
        schedule = replace(schedule, rates=schedule.rates * (rate / schedule.peak))
    return replace(patient, optimizer=replace(optimizer, rate=rate, schedule=schedule))
