"""Numbers by name: what rules read. A new one costs one function, and is computed only if asked.

A function's parameters are the names of the numbers that it needs; the patient's own attributes
are numbers, too. What cannot be had raises `Missing` with the reason, and rules that need it cannot
tell. Large data is read by a sample of rows, which is stated wherever it is used.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from evenkeel.doctor import moments
from evenkeel.doctor.ordering import MOST_CLASSES
from evenkeel.doctor.patient import (
    MAX_POOLING,
    MERGING,
    NOISY,
    NORMALIZING,
    PASSING,
    POOLING,
    SCALING,
    WEIGHTED,
    HeadRecord,
    InputData,
    LayerRecord,
    Patient,
    RunRecord,
    TargetData,
    followers,
    output_layer,
)

# How many elements of an input are looked at, and how many rows at least.
_SAMPLE_ELEMENTS = 2**21
_SAMPLE_ROWS = 2000
# How many elements are scanned for NaN at a time: 64 MiB of float32.
_SCAN_ELEMENTS = 2**24

STATISTICS: dict[str, Callable[..., Any]] = {}


class Missing(Exception):  # noqa: N818  # no error: a number that is not known, and why
    """A number that cannot be had; its text is the reason."""


def statistic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: makes a function's result a number that rules can ask for by its name."""
    STATISTICS[function.__name__] = function
    return function


class Numbers(Mapping[str, Any]):
    """All numbers of a patient, each computed when it is first asked for.

    Args:
        patient: The patient.
        known: Numbers that are known already, by name.

    Example:
        >>> Numbers(Patient(run=RunRecord(batch_size=8)))["run"].batch_size
        8
    """

    def __init__(self, patient: Patient, known: Mapping[str, Any] | None = None):
        self._patient = patient
        self._known: dict[str, Any] = {**(known or {}), "patient": patient}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._computed(name)
        value = self._known[name]
        if isinstance(value, Missing):
            raise value
        return value

    def _computed(self, name: str) -> Any:
        if name in STATISTICS:
            function = STATISTICS[name]
            try:
                return function(**{n: self[n] for n in inspect.signature(function).parameters})
            except Missing as missing:
                return missing
        value = getattr(self._patient, name)  # a misspelt name is a fault of the rule
        if name in self._patient.missing or value is None or value == ():
            return Missing(self._patient.missing.get(name, f"There are no {name}."))
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(STATISTICS)

    def __len__(self) -> int:
        return len(STATISTICS)


# -- inputs --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class InputMoments:
    """An input, feature by feature, over a sample of its rows.

    Attributes:
        data: The input.
        rows: How many rows were looked at.
        mean: The mean of each feature.
        deviation: The standard deviation of each.
        zeros: The fraction of zeros of each.
        low: The smallest value of each.
        high: The largest value of each.
    """

    data: InputData
    rows: int
    mean: np.ndarray
    deviation: np.ndarray
    zeros: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def square(self) -> np.ndarray:
        """The mean square of each feature."""
        return self.mean**2 + self.deviation**2

    @property
    def size(self) -> float:
        """The root mean square of all features; starting weights expect 1."""
        return float(np.sqrt(np.mean(self.square)))

    @property
    def dense(self) -> np.ndarray:
        """Which features vary and are mostly not 0: neither constant nor one-hot."""
        return (self.deviation > 1e-12 * (np.abs(self.mean) + 1e-300)) & (self.zeros < 0.5)


def sample_of(values: np.ndarray, limit: int = _SAMPLE_ELEMENTS) -> np.ndarray:
    """Returns rows drawn without replacement, all where there are few, as (rows, features) floats.

    Example:
        >>> sample_of(np.zeros((100, 2, 3), np.uint8)).shape
        (100, 6)
    """
    width = max(1, math.prod(values.shape[1:]))
    count = max(_SAMPLE_ROWS, limit // width)
    if len(values) > count:
        draw = np.random.Generator(np.random.Philox(0))
        values = values[np.sort(draw.choice(len(values), count, replace=False))]
    return values.reshape(len(values), -1).astype(np.float64)


def _moments(data: InputData, values: np.ndarray) -> InputMoments:
    sample = sample_of(values)
    finite = np.isfinite(sample)
    if not finite.all():
        sample = sample[finite.all(axis=1)]
    if not len(sample):
        raise Missing(f"No row of {data.name!r} is finite.")
    mean = sample.mean(axis=0)
    return InputMoments(
        data=data,
        rows=len(sample),
        mean=mean,
        deviation=np.sqrt(np.mean(np.square(sample - mean), axis=0)),
        zeros=(sample == 0).mean(axis=0),
        low=sample.min(axis=0),
        high=sample.max(axis=0),
    )


@statistic
def input_moments(inputs: tuple[InputData, ...]) -> tuple[InputMoments, ...]:
    """Each input, feature by feature."""
    return tuple(_moments(data, data.values) for data in inputs)


@statistic
def validation_moments(inputs: tuple[InputData, ...]) -> tuple[InputMoments, ...]:
    """The validation rows of each input, feature by feature."""
    if any(data.validation is None for data in inputs):
        raise Missing("No validation data was given: type validation_data=(x_valid, y_valid).")
    return tuple(_moments(data, data.validation) for data in inputs if data.validation is not None)


@dataclass(frozen=True, kw_only=True)
class NotFinite:
    """Where an input or a target is NaN or infinite.

    Attributes:
        name: What the user calls the array.
        rows: In how many rows.
        first: The first of them.
        columns: What to call the columns that have them, the first few.
    """

    name: str
    rows: int
    first: int
    columns: tuple[str, ...]


@statistic
def not_finite(
    inputs: tuple[InputData, ...], targets: tuple[TargetData, ...]
) -> tuple[NotFinite, ...]:
    """Where data is NaN or infinite, in all rows."""
    arrays = [(data.name, data.values, data) for data in inputs]
    arrays += [
        (f"validation {data.name}", data.validation, data)
        for data in inputs
        if data.validation is not None
    ]
    for target in targets:
        for name, values in (("y", target.values), ("validation y", target.validation)):
            if values is not None:
                arrays.append((name, values, InputData(name=name, values=values)))
    found = (_not_finite(name, values, data) for name, values, data in arrays)
    return tuple(place for place in found if place is not None)


def _not_finite(name: str, values: np.ndarray, data: InputData) -> NotFinite | None:
    if values.dtype.kind != "f":
        return None
    flat = values.reshape(len(values), -1)
    stride = max(1, _SCAN_ELEMENTS // max(1, flat.shape[1]))
    columns: set[int] = set()
    rows: list[int] = []
    for start in range(0, len(flat), stride):
        part = flat[start : start + stride]
        # A sum is finite only if its terms are; the slow look is taken where it is not.
        with np.errstate(over="ignore", invalid="ignore"):
            is_clean = np.isfinite(part.sum(dtype=np.float64))
        if is_clean:
            continue
        wrong = ~np.isfinite(part)
        columns |= set(np.flatnonzero(wrong.any(axis=0)).tolist())
        rows += (start + np.flatnonzero(wrong.any(axis=1))).tolist()
    if not rows:
        return None
    called = tuple(data.column(column) for column in sorted(columns)[:3])
    return NotFinite(name=name, rows=len(rows), first=rows[0], columns=called)


@dataclass(frozen=True, kw_only=True, eq=False)
class Arriving:
    """An input as it reaches the first layer that learns.

    Attributes:
        raw: The input as it was given.
        moments: The same behind whatever scales it first; None if that is not known.
        layer: The layer that it reaches; None if that is not known.
        is_normalized: Whether a normalization stands before it.
        is_looked_up: Whether its numbers are looked up in a table, as an embedding does.
    """

    raw: InputMoments
    moments: InputMoments | None
    layer: LayerRecord | None = None
    is_normalized: bool = False
    is_looked_up: bool = False


@statistic
def arriving(
    input_moments: tuple[InputMoments, ...], layers: tuple[LayerRecord, ...]
) -> tuple[Arriving, ...]:
    """Each input as it reaches the first layer that learns."""
    after = followers(layers)
    return tuple(_arriving(found, layers, after) for found in input_moments)


def _arriving(
    raw: InputMoments, layers: tuple[LayerRecord, ...], after: Mapping[str, list[LayerRecord]]
) -> Arriving:
    by_name = {layer.name: layer for layer in layers}
    layer = by_name.get(raw.data.layer or "")
    reached: InputMoments | None = raw
    is_normalized = False
    while layer is not None:
        if layer.is_a(*NORMALIZING):
            is_normalized = True
        elif layer.is_a(*SCALING):
            is_normalized = is_normalized or (layer.is_a("Normalization") and reached is None)
            reached = None if reached is None else _scaled(reached, layer)
        elif layer.is_a("Embedding"):
            return Arriving(raw=raw, moments=reached, layer=layer, is_looked_up=True)
        elif not layer.is_a(*PASSING, *NOISY, *POOLING, *MAX_POOLING):
            known = reached if layer.is_a(*WEIGHTED, *MERGING) else None
            return Arriving(raw=raw, moments=known, layer=layer, is_normalized=is_normalized)
        layer = next(iter(after.get(layer.name, [])), None)
    return Arriving(raw=raw, moments=reached if raw.data.layer else None)


def _scaled(given: InputMoments, layer: LayerRecord) -> InputMoments | None:
    """Returns an input behind a layer that scales and shifts it."""
    shape = given.data.values.shape[1:]
    if layer.is_a("Rescaling"):
        scale: Any = layer.config.get("scale", 1.0)
        offset: Any = layer.config.get("offset", 0.0)
    else:
        mean, variance = layer.config.get("mean"), layer.config.get("variance")
        if mean is None or variance is None:
            return None
        deviation = np.sqrt(np.asarray(variance, np.float64))
        scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 1.0)
        offset = -np.asarray(mean, np.float64) * scale
    try:
        a = np.broadcast_to(np.asarray(scale, np.float64), shape).reshape(-1)
        b = np.broadcast_to(np.asarray(offset, np.float64), shape).reshape(-1)
    except ValueError:
        flat = given.mean.shape
        if np.shape(scale) != flat:
            return None
        a, b = np.asarray(scale, np.float64), np.asarray(offset, np.float64)
    ends = np.stack([a * given.low + b, a * given.high + b])
    return replace(
        given,
        mean=a * given.mean + b,
        deviation=np.abs(a) * given.deviation,
        zeros=np.where(b == 0, given.zeros, 0.0),
        low=ends.min(axis=0),
        high=ends.max(axis=0),
    )


# -- targets -------------------------------------------------------------------------------------


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


# -- structure -----------------------------------------------------------------------------------


@statistic
def after(layers: tuple[LayerRecord, ...]) -> dict[str, list[LayerRecord]]:
    """For each place those that take its output."""
    return followers(layers)


@statistic
def hidden(
    layers: tuple[LayerRecord, ...], after: dict[str, list[LayerRecord]]
) -> tuple[LayerRecord, ...]:
    """The layers with weights that have another such layer behind them, which is trained.

    A fixed last layer, which puts a unit back, makes no hidden layer of the one before it.
    """

    def leads_on(name: str) -> bool:
        return any(
            (other.is_a(*WEIGHTED) and other.is_trainable) or leads_on(other.name)
            for other in after.get(name, [])
        )

    return tuple(layer for layer in layers if layer.is_a(*WEIGHTED) and leads_on(layer.name))


@statistic
def steps(run: RunRecord, inputs: tuple[InputData, ...]) -> int | None:
    """How many steps the run has; None if that is not known, which few rules need."""
    return run.steps(len(inputs[0].values))


@dataclass(frozen=True, kw_only=True)
class Depth:
    """A stretch of layers in which nothing brings signals back to size, and what it does to them.

    Attributes:
        layers: The layers with weights, in order.
        forward: The factor on the signal's size from the first layer's sums to the last one's.
        backward: The factor on the gradient's size, from the last one to the first.
    """

    layers: tuple[LayerRecord, ...]
    forward: float
    backward: float


@statistic
def depths(
    hidden: tuple[LayerRecord, ...], after: dict[str, list[LayerRecord]]
) -> tuple[Depth, ...]:
    """What starting weights and activations do to signals along each plain stretch.

    Only layers that are trained and start at random count. The output layer does not: it may start
    as small as one likes.
    """
    members = {
        layer.name
        for layer in hidden
        if layer.is_trainable and layer.kernel is not None and not layer.kernel.is_alike
    }
    taken: set[str] = set()
    found = []
    for layer in hidden:
        if layer.name in members - taken:
            stretch = _stretch(layer, after, members)
            taken |= {member.name for member, _ in stretch}
            found += [_depth(stretch)] if len(stretch) > 1 else []
    return tuple(depth for depth in found if depth is not None)


def _stretch(
    layer: LayerRecord, after: Mapping[str, list[LayerRecord]], members: set[str]
) -> list[tuple[LayerRecord, LayerRecord]]:
    """Returns the layers of a plain stretch, each with the place that has its activation."""
    found = []
    current: LayerRecord | None = layer
    while current is not None:
        bearer = current
        nexts = after.get(current.name, [])
        found.append((current, bearer))
        current = None
        while len(nexts) == 1:
            other = nexts[0]
            if other.name in members:
                current = other
                break
            if other.is_a(*WEIGHTED):
                break
            if other.activation is not None and bearer.activation == "linear":
                bearer = other
                found[-1] = (found[-1][0], bearer)
            elif not other.is_a(*PASSING, *NOISY):
                break  # a merge, a normalization or a pooling: signals are not those of the rule
            nexts = after.get(other.name, [])
    return found


def _depth(stretch: list[tuple[LayerRecord, LayerRecord]]) -> Depth | None:
    first = stretch[0][0].kernel
    assert first is not None
    variance = max(first.gain**2, 1e-300)  # of the sums of inputs of size 1
    start, slopes = variance, 1.0
    for (layer, bearer), (other, _) in pairwise(stretch):
        curve = moments.curve_of(bearer.activation, bearer.config)
        if curve is None or layer.kernel is None or other.kernel is None:
            return None
        square, slope = moments.passed_on(curve, float(f"{variance:.6g}"))
        backward = other.kernel.rms**2 * other.kernel.fan_out
        slopes *= max(slope * backward, 1e-300)
        variance = min(max(other.kernel.gain**2 * square, 1e-300), 1e300)
        if not 1e-290 < slopes < 1e290:
            break
    return Depth(
        layers=tuple(layer for layer, _ in stretch),
        forward=math.sqrt(variance / start),
        backward=math.sqrt(slopes),
    )
