"""The way back from a patient to what `compile` says: optimizer, schedule, losses, metrics."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from evenkeel import losses, optimizers
from evenkeel.doctor.patient import HeadRecord, Patient
from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.optimizers.schedules import epochs
from evenkeel.optimizers.schedules.base import LearningRateSchedule


def compile_like(network: Any, model: Any, before: Patient, after: Patient) -> None:
    """Compiles a network as a model was compiled, with what a remedy changed.

    Args:
        network: The network to compile.
        model: The model that the patient was described from.
        before: Its description.
        after: The patient after a remedy, or the same one.

    Raises:
        InvalidArgumentError: If an optimizer, a schedule or a loss cannot be made so.

    Example:
        >>> import numpy as np
        >>> import evenkeel as ek
        >>> from evenkeel.description import describe
        >>> model, other = (ek.Sequential([ek.layers.Dense(1)]) for _ in range(2))
        >>> model.compile("sgd", loss="mse", metrics=["mae"])
        >>> patient = describe(model, np.zeros((8, 3)), np.zeros(8))
        >>> slower = replace(patient, optimizer=replace(patient.optimizer, rate=0.001))
        >>> compile_like(other, model, patient, slower)
        >>> other.optimizer.learning_rate, model.optimizer.learning_rate
        (0.001, 0.01)
    """
    network.compile(
        optimizer_for(model.optimizer, before, after), **_declared(network, model, before, after)
    )


def unused(optimizer: Any) -> Any:
    """Returns a copy of an optimizer, with its schedule, that took no step yet."""
    bare = copy.copy(optimizer)
    bare.slots = bare._owner = None
    bare._curve = bare.schedule
    bare.iterations = 0
    return bare


def rate_before_breaks(model: Any) -> float:
    """Returns the rate that a model's last run began with, or the factor on its schedule.

    A run that breaks lowers the rate until it holds. What broke it is treated here, so that the
    rate to begin with is the one that was asked for. A rate that was set since then stays.

    Args:
        model: A compiled model.

    Example:
        >>> import evenkeel as ek
        >>> model = ek.Sequential([ek.layers.Dense(1)])
        >>> model.compile(ek.optimizers.SGD(0.1), loss="mse")
        >>> rate_before_breaks(model)
        0.1
    """
    rate = model.optimizer.rate_factor
    breaks = [b for b in getattr(model.history, "breaks", ()) if b.next_rate is not None]
    # What a run notes of its rates is rounded to float32, which has seven digits.
    is_lowered = bool(breaks) and math.isclose(breaks[-1].next_rate, rate, rel_tol=1e-6)
    return float(f"{breaks[0].rate:.7g}") if is_lowered else rate


def optimizer_for(optimizer: Any, before: Patient, after: Patient) -> Any:
    """Returns a fresh optimizer as the patient after a remedy has it.

    Args:
        optimizer: The one that the patient was described from.
        before: The description.
        after: The patient after the remedy.
    """
    old, new = before.optimizer, after.optimizer
    if old is None or new is None or old is new:
        return unused(optimizer)
    bare = unused(optimizer)
    if new.kind != old.kind:
        settings = {n: v for n, v in new.settings.items() if v is not None}
        return optimizers.get({"class_name": new.kind, "config": settings})
    for name, value in new.settings.items():
        if old.settings.get(name) != value:
            setattr(bare, name, value)
    bare._check_surroundings()
    if new.schedule is None and old.schedule is not None:
        bare = bare.without_schedule()
    elif new.schedule is not old.schedule and new.schedule is not None:
        assert old.schedule is not None
        ratio = (new.schedule.length or 1) / (old.schedule.length or old.schedule.steps[-1] or 1)
        bare.learning_rate = stretched(optimizer.schedule, float(ratio))
        return bare
    if new.schedule is None and new.rate is not None:
        bare.learning_rate = new.rate
    return bare


def stretched(schedule: Any, ratio: float) -> Any:
    """Returns a schedule with every length of time in it times a ratio.

    Raises:
        InvalidArgumentError: If it is a function, whose lengths nobody knows.

    Example:
        >>> from evenkeel.optimizers.schedules import CosineDecay
        >>> stretched(CosineDecay(0.1, decay_steps=100), 2.5).decay_steps
        250
    """
    if not is_dataclass(schedule) or isinstance(schedule, type):
        raise InvalidArgumentError(
            explain(
                "The schedule is a function, whose length cannot be changed from outside.",
                "Change the lengths in its code.",
            )
        )
    horizons = getattr(schedule, "_horizons", ())
    changes = {}
    for each in fields(schedule):
        value = getattr(schedule, each.name)
        if each.name in horizons:
            changes[each.name] = _longer(value, ratio)
        elif isinstance(value, LearningRateSchedule):
            changes[each.name] = stretched(value, ratio)
        elif isinstance(value, tuple) and any(isinstance(v, LearningRateSchedule) for v in value):
            changes[each.name] = tuple(stretched(v, ratio) for v in value)
    return replace(schedule, **changes)


def _longer(value: Any, ratio: float) -> Any:
    if isinstance(value, tuple):
        return tuple(_longer(part, ratio) for part in value)
    if isinstance(value, epochs):
        return epochs(value.n * ratio)
    return value if not isinstance(value, int) or value == 0 else max(1, round(value * ratio))


# -- losses and metrics --------------------------------------------------------------------------


def _declared(network: Any, model: Any, before: Patient, after: Patient) -> dict[str, Any]:
    said = model.declared
    settings = {"precision": said.precision}
    are_same = all(old is new for old, new in zip(before.heads, after.heads, strict=True))
    if are_same and (not model.built or network.output_names == model.output_names):
        return {
            **settings,
            "loss": said.loss,
            "loss_weights": said.loss_weights,
            "metrics": said.metrics,
            "weighted_metrics": said.weighted_metrics,
        }
    parts: dict[str, list[Any]] = {
        "loss": [],
        "loss_weights": [],
        "metrics": [],
        "weighted_metrics": [],
    }
    for head, old, new in zip(model.heads(), before.heads, after.heads, strict=True):
        measured = _fitting_metrics(head.metrics, old, new)
        parts["loss"].append(_loss(head.loss, old, new))
        parts["loss_weights"].append(head.loss_weight)
        parts["metrics"].append([m for m in measured if _name(m) not in head.weighted])
        parts["weighted_metrics"].append([m for m in measured if _name(m) in head.weighted])
    return settings | (parts if len(after.heads) > 1 else {k: v[0] for k, v in parts.items()})


def _loss(loss: Any, old: HeadRecord, new: HeadRecord) -> Any:
    if (old.loss, old.from_logits) == (new.loss, new.from_logits):
        return loss
    config = {"from_logits": True} if new.from_logits else {}
    return losses.get({"class_name": new.loss, "config": config})


def _fitting_metrics(measured: Any, old: HeadRecord, new: HeadRecord) -> list[Any]:
    """Returns the metrics that still mean something; an accuracy becomes the kind that fits."""
    if old.kind == new.kind:
        return list(measured)
    if new.is_regression:
        return [m for m in measured if "acc" not in m.name]
    return ["accuracy"] if any("acc" in m.name for m in measured) or old.is_regression else []


def _name(metric: Any) -> str:
    return metric if isinstance(metric, str) else metric.name


def class_weights(labels: Mapping[int, int]) -> dict[int, float]:
    """Returns the weight that gives each class an equal part in the loss.

    Args:
        labels: How many rows each class has.

    Example:
        >>> class_weights({0: 30, 1: 10})
        {0: 0.6666666666666666, 1: 2.0}
    """
    total = sum(labels.values())
    return {label: total / (len(labels) * count) for label, count in labels.items()}
