"""Remedies for what a run shows: its rate, its length, its batches, and what holds it back.

A remedy makes another plan, which has not run yet: the record of the run goes with the old one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evenkeel.doctor.finding import Finding
from evenkeel.doctor.patient import DROPPING, LayerRecord, Patient
from evenkeel.doctor.remedy import advise, remedy

# A step of the rate: half a decade, as searches by hand take.
_STEP = 10**0.5


def _evidence(finding: Finding, name: str) -> float | None:
    return next((number.value for number in finding.evidence if number.name == name), None)


def _rate(patient: Patient, factor: float) -> str:
    rate = None if patient.optimizer is None else patient.optimizer.rate
    return "a rate" if rate is None else f"{rate * factor:.3g}"


def _lower(patient: Patient, finding: Finding) -> float:
    """Returns the factor down to the rate with which a broken run held, or to a third."""
    optimizer = patient.optimizer
    held = _evidence(finding, "learning rate that held")
    if held is None or optimizer is None or optimizer.schedule is not None or not optimizer.rate:
        return 1 / _STEP
    return min(held / optimizer.rate, 1.0)


def _with_rate(patient: Patient, factor: float) -> Patient:
    optimizer = patient.optimizer
    if optimizer is None or optimizer.rate is None:
        return patient
    schedule = optimizer.schedule
    if schedule is not None:
        schedule = replace(schedule, rates=schedule.rates * factor)
    changed = replace(optimizer, rate=optimizer.rate * factor, schedule=schedule)
    return replace(patient, optimizer=changed)


@remedy(
    "lower-learning-rate",
    does="take a lower learning rate",
    safety="safe: it trains more slowly",
    types=lambda patient, finding: (
        f"learning_rate={_rate(patient, _lower(patient, finding))}, or "
        "ek.find_learning_rate(model, x, y)"
    ),
)
def lower_learning_rate(patient: Patient, finding: Finding) -> Patient:
    """Takes a third of the rate, or the rate with which a run that broke went on."""
    return _with_rate(patient, _lower(patient, finding))


@remedy(
    "raise-learning-rate",
    does="take a higher learning rate",
    safety="may overshoot: a range test finds how far one can go",
    types=lambda patient, finding: (
        f"learning_rate={_rate(patient, _STEP)}, or ek.find_learning_rate(model, x, y)"
    ),
)
def raise_learning_rate(patient: Patient, finding: Finding) -> Patient:
    """Takes three times the rate."""
    return _with_rate(patient, _STEP)


@remedy(
    "clip-gradients",
    does="limit the size of the gradients",
    safety="safe: it acts only on the largest",
    types="global_clipnorm=1.0 in the optimizer",
)
def clip_gradients(patient: Patient, finding: Finding) -> Patient:
    """Limits the norm of all gradients together to 1."""
    optimizer = patient.optimizer
    if optimizer is None:
        return patient
    settings = {**optimizer.settings, "global_clipnorm": 1.0}
    return replace(patient, optimizer=replace(optimizer, settings=settings))


@remedy(
    "train-longer",
    does="give the run more epochs",
    safety="safe: it costs time; with validation rows, stop early",
    types=lambda patient, finding: f"epochs={2 * (patient.run.epochs or 1)} in fit",
)
def train_longer(patient: Patient, finding: Finding) -> Patient:
    """Doubles the epochs."""
    return replace(patient, run=replace(patient.run, epochs=2 * (patient.run.epochs or 1)))


@remedy(
    "larger-batches",
    does="average gradients over more rows",
    safety="safe: fewer steps an epoch",
    types=lambda patient, finding: f"batch_size={4 * patient.run.batch_size} in fit",
)
def larger_batches(patient: Patient, finding: Finding) -> Patient:
    """Takes four times as many rows a step."""
    return replace(patient, run=replace(patient.run, batch_size=4 * patient.run.batch_size))


@remedy(
    "less-regularization",
    does="hold the weights back less",
    safety="safe with validation rows: a network that is free may overfit",
    types="a tenth of each penalty, and dropout rates of 0.2 at most",
)
def less_regularization(patient: Patient, finding: Finding) -> Patient:
    """Takes a tenth of each penalty on weights, and a fifth at most of what is dropped."""

    def eased(layer: LayerRecord) -> LayerRecord:
        changes: dict[str, Any] = {}
        for name in ("kernel_regularizer", "bias_regularizer"):
            given = layer.config.get(name)
            if isinstance(given, dict) and isinstance(given.get("config"), dict):
                settings = {key: _tenth(value) for key, value in given["config"].items()}
                changes[name] = {**given, "config": settings}
        if layer.is_a(*DROPPING) and "rate" in layer.config:
            changes["rate"] = min(float(layer.config["rate"]), 0.2)
        return layer.with_config(**changes) if changes else layer

    return patient.changing([layer.name for layer in patient.parts], eased)


def _tenth(value: Any) -> Any:
    return value / 10 if isinstance(value, float) else value


advise(
    "larger-network",
    does="use a network that can say more",
    types="more units or another hidden layer, with kernel_initializer='he_normal'",
)
