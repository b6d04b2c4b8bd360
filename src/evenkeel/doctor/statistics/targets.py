"""Numbers of targets, output by output."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evenkeel.doctor.ordering import MOST_CLASSES
from evenkeel.doctor.patient import HeadRecord, LayerRecord, Patient, TargetData, output_layer
from evenkeel.doctor.statistics.base import Missing, statistic


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadTargets:
    """An output together with its targets.

    Attributes:
        head: The output.
        layer: The layer whose activation it ends with; None if that is not known.
        values: The targets as (rows, columns) of float64.
        validation: Those of the validation rows; None if there are none.
        labels: The class of each row, where the targets are classes in some form.
        is_one_hot: Whether each row of several columns has a single 1 and else zeros.
        is_whole: Whether all targets are whole numbers.
    """

    head: HeadRecord
    layer: LayerRecord | None
    values: np.ndarray
    validation: np.ndarray | None
    labels: np.ndarray | None
    is_one_hot: bool
    is_whole: bool

    @property
    def counts(self) -> np.ndarray:
        """How many rows each class has that occurs."""
        assert self.labels is not None
        return np.unique(self.labels, return_counts=True)[1]


@statistic
def head_targets(
    patient: Patient, heads: tuple[HeadRecord, ...], targets: tuple[TargetData, ...]
) -> tuple[HeadTargets, ...]:
    """Each output that has targets, with them."""
    found = [
        _head_targets(patient, head, _finite(target))
        for head, target in zip(heads, targets, strict=False)
        if target.values is not None and head.loss is not None
    ]
    found = [one for one in found if len(one.values)]
    if not found:
        raise Missing("No targets were given for an output that has a loss: type checkup(x, y).")
    return tuple(found)


def _finite(target: TargetData) -> TargetData:
    """Returns the targets without the rows that are NaN or infinite, which another rule counts."""
    kept = [
        values
        if values is None or values.dtype.kind != "f"
        else values[np.isfinite(values.reshape(len(values), -1)).all(axis=1)]
        for values in (target.values, target.validation)
    ]
    return TargetData(values=kept[0], validation=kept[1])


def _head_targets(patient: Patient, head: HeadRecord, target: TargetData) -> HeadTargets:
    assert target.values is not None
    values = target.values.reshape(len(target.values), max(1, math.prod(target.values.shape[1:])))
    values = values.astype(np.float64)
    is_whole = bool((values == np.floor(values)).all())
    ones = values.sum(axis=1)
    is_one_hot = (
        is_whole and values.shape[1] > 1 and bool((ones == 1).all() and (values >= 0).all())
    )
    labels = None
    if is_one_hot:
        labels = values.argmax(axis=1)
    elif is_whole and values.shape[1] == 1 and len(np.unique(values)) <= MOST_CLASSES:
        labels = values[:, 0].astype(np.int64)
    return HeadTargets(
        head=head,
        layer=output_layer(patient, head),
        values=values,
        validation=None
        if target.validation is None
        else target.validation.reshape(len(target.validation), -1).astype(np.float64),
        labels=labels,
        is_one_hot=is_one_hot,
        is_whole=is_whole,
    )
