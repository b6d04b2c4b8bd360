"""Numbers of inputs: how large they are, feature by feature, and as what they reach a network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evenkeel.doctor.patient import (
    MAX_POOLING,
    MERGING,
    NOISY,
    NORMALIZING,
    PASSING,
    POOLING,
    SCALING,
    WEIGHTED,
    InputData,
    LayerRecord,
    TargetData,
    followers,
)
from evenkeel.doctor.statistics.base import Missing, statistic

# How many elements of an input are looked at, and how many rows at least.
_SAMPLE_ELEMENTS = 2**21
_SAMPLE_ROWS = 2000
# How many elements are scanned for NaN at a time: 64 MiB of float32.
_SCAN_ELEMENTS = 2**24


@dataclass(frozen=True, kw_only=True, eq=False)
class InputMoments:
    """An input, feature by feature, over a sample of its rows.

    Attributes:
        data: The input.
        rows: How many rows were looked at.
        mean: The mean of each feature.
        deviation: The standard deviation of each.
        zeros: The fraction of zeros of each, as it was given: scaling and shifting changes nothing
            about a feature that rests in most rows.
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
        low=ends.min(axis=0),
        high=ends.max(axis=0),
    )
