"""Remedies that prepare data, or ask for more of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from evenkeel.doctor.finding import Finding
from evenkeel.doctor.patient import (
    SCALING,
    InputData,
    LayerRecord,
    Patient,
    TargetData,
)
from evenkeel.doctor.remedy import advise, remedy


def _input_of(patient: Patient, finding: Finding) -> InputData:
    named = (data for data in patient.inputs if data.name in finding.place)
    return next(named, patient.inputs[0])


def _are_pixels(data: InputData) -> bool:
    """Whether an input is images of bytes: whole numbers from 0 to 255."""
    values = data.values[:1000]
    is_whole = values.dtype.kind in "iu" or bool((values == np.floor(values)).all())
    is_wide = values.ndim > 2 or values.shape[-1] > 64
    return is_whole and is_wide and values.min() >= 0 and 1 < values.max() <= 255


def _standardizing(patient: Patient, finding: Finding) -> str:
    data = _input_of(patient, finding)
    if _are_pixels(data):
        return "ek.layers.Rescaling(1 / 255)  # as the first layer"
    return "normalization = ek.layers.Normalization(); normalization.adapt(x)  # as the first layer"


@remedy(
    "standardize-inputs",
    does="scale inputs to mean 0 and deviation 1 inside the network (pixels to 0..1)",
    safety="safe: a saved model takes raw data",
    types=_standardizing,
)
def standardize_inputs(patient: Patient, finding: Finding) -> Patient:
    """Puts a scaling layer behind an input, in place of one that is there and does not do."""
    data = _input_of(patient, finding)
    name = f"scaling_of_{data.name}"
    if _are_pixels(data):
        kinds, config = ("Rescaling",), {"scale": 1 / 255, "offset": 0.0}
    else:
        axes = tuple(range(data.values.ndim - 1))
        values = data.values.astype(np.float64)
        kinds = ("Normalization",)
        # What never varies has variance 0 exactly, whatever rounding makes of it.
        varies = values.max(axis=axes) > values.min(axis=axes)
        variance = np.where(varies, values.var(axis=axes), 0.0)
        config = {"mean": values.mean(axis=axes), "variance": variance}
    entry = patient.layer(data.layer)
    if patient.layers is None or entry is None:
        return patient
    is_input = entry.is_a("InputLayer")
    scaling = LayerRecord(name=name, kinds=kinds, config=config, sources=(entry.name,) * is_input)
    layers: list[LayerRecord] = []
    for layer in patient.layers:
        if layer is entry and not is_input:
            layers += [scaling, replace(layer, sources=(name,))]
        elif is_input and entry.name in layer.sources:
            moved = tuple(name if s == entry.name else s for s in layer.sources)
            layers += [] if scaling in layers else [scaling]
            layers.append(replace(layer, sources=moved))
        else:
            layers.append(layer)
    replaced = [
        replace(layer, kinds=("Identity",), config={})
        if layer.is_a(*SCALING) and name in layer.sources
        else layer
        for layer in layers
    ]
    inputs = tuple(
        replace(d, layer=entry.name if is_input else name) if d is data else d
        for d in patient.inputs
    )
    return replace(patient, layers=tuple(replaced), inputs=inputs)


def _rows(patient: Patient, choose: Callable[[np.ndarray], np.ndarray]) -> Patient:
    """Returns the patient with rows chosen alike in inputs and targets."""
    return replace(
        patient,
        inputs=tuple(replace(data, values=choose(data.values)) for data in patient.inputs),
        targets=tuple(
            t if t.values is None else replace(t, values=choose(t.values)) for t in patient.targets
        ),
    )


@remedy(
    "drop-rows-not-finite",
    does="drop the rows that are NaN or infinite",
    safety="safe where they are few and missing by chance",
    types="keep = np.isfinite(x).all(axis=1) & np.isfinite(y); x, y = x[keep], y[keep]",
)
def drop_rows_not_finite(patient: Patient, finding: Finding) -> Patient:
    """Drops rows in which an input or a target is not finite, in training and validation."""
    kept = _finite([d.values for d in patient.inputs], [t.values for t in patient.targets])
    held = _finite([d.validation for d in patient.inputs], [t.validation for t in patient.targets])
    patient = _rows(patient, lambda values: values[kept])
    if held is None:
        return patient
    return replace(
        patient,
        inputs=tuple(
            d if d.validation is None else replace(d, validation=d.validation[held])
            for d in patient.inputs
        ),
        targets=tuple(
            t if t.validation is None else replace(t, validation=t.validation[held])
            for t in patient.targets
        ),
    )


def _finite(*arrays: list[np.ndarray | None]) -> np.ndarray | None:
    found: np.ndarray | None = None
    for array in (a for group in arrays for a in group if a is not None):
        finite = np.asarray(np.isfinite(array.reshape(len(array), -1)).all(axis=1))
        found = finite if found is None else np.logical_and(found, finite)
    return found


@remedy(
    "drop-constant-features",
    does="drop the features that never vary",
    safety="safe: they carry nothing",
    types="keep = x.max(axis=0) > x.min(axis=0); x = x[:, keep]",
)
def drop_constant_features(patient: Patient, finding: Finding) -> Patient:
    """Drops constant columns; the first layer gets as many inputs fewer."""
    data = _input_of(patient, finding)
    keep = data.values.max(axis=0) > data.values.min(axis=0)
    columns = data.columns and tuple(c for c, kept in zip(data.columns, keep, strict=True) if kept)
    smaller = replace(
        data,
        values=data.values[:, keep],
        columns=columns,
        validation=None if data.validation is None else data.validation[:, keep],
    )
    count = int(keep.sum())
    patient = replace(patient, inputs=tuple(smaller if d is data else d for d in patient.inputs))

    def narrowed(layer: LayerRecord) -> LayerRecord:
        if layer.kernel is None or layer.kernel.shape[0] != len(keep):
            return layer
        return replace(layer, kernel=replace(layer.kernel, shape=(count, *layer.kernel.shape[1:])))

    return patient.changing([layer.name for layer in patient.parts], narrowed)


@remedy(
    "scale-targets",
    does="scale targets to mean 0 and deviation 1",
    safety="safe: predictions are scaled back with the same two numbers",
    types="y = (y - y_mean) / y_std  # and model.predict(x) * y_std + y_mean",
)
def scale_targets(patient: Patient, finding: Finding) -> Patient:
    """Standardizes the targets of the outputs that the finding is about."""

    def scaled(target: TargetData) -> TargetData:
        if target.values is None:
            return target
        mean = target.values.mean(axis=0, dtype=np.float64)
        deviation = target.values.std(axis=0, dtype=np.float64)
        deviation = np.where(deviation > 0, deviation, 1.0)
        held = target.validation
        return TargetData(
            values=(target.values - mean) / deviation,
            validation=None if held is None else (held - mean) / deviation,
        )

    targets = tuple(
        scaled(target) if head.name in finding.place else target
        for head, target in zip(patient.heads, patient.targets, strict=True)
    )
    return replace(patient, targets=targets)


@remedy(
    "shuffle-rows",
    does="shuffle inputs and targets together",
    safety="safe unless the rows are a time series",
    types="order = np.random.default_rng(0).permutation(len(x)); x, y = x[order], y[order]",
)
def shuffle_rows(patient: Patient, finding: Finding) -> Patient:
    """Puts the rows into a random order."""
    order = np.random.Generator(np.random.Philox(0)).permutation(patient.rows or 0)
    return _rows(patient, lambda values: values[order])


@remedy(
    "prepare-validation-alike",
    does="prepare validation rows with the numbers of the training rows",
    safety="safe where the two differ by their scale alone",
    types="x_valid = normalization(x_valid)  # what was done to x, with the numbers of x",
)
def prepare_validation_alike(patient: Patient, finding: Finding) -> Patient:
    """Brings validation rows to the training rows' size by one factor."""

    def alike(data: InputData) -> InputData:
        if data.validation is None or data.name not in finding.place:
            return data
        ours, theirs = (
            np.sqrt(np.mean(np.square(v, dtype=np.float64))) for v in (data.values, data.validation)
        )
        return replace(data, validation=data.validation * (ours / max(theirs, 1e-300)))

    return replace(patient, inputs=tuple(map(alike, patient.inputs)))


@remedy(
    "split-again",
    does="put training and validation rows together, shuffle, and split again",
    safety="safe unless the split was made by time or by group on purpose",
    types="x, x_valid, y, y_valid = sklearn.model_selection.train_test_split(x_all, y_all)",
)
def split_again(patient: Patient, finding: Finding) -> Patient:
    """Draws new validation rows, as many as before, out of all rows."""
    held = patient.inputs[0].validation
    if held is None:
        return patient
    rows = (patient.rows or 0) + len(held)
    order = np.random.Generator(np.random.Philox(1)).permutation(rows)

    def again(values: np.ndarray, validation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        together = np.concatenate([values, validation])[order]
        return together[len(held) :], together[: len(held)]

    inputs, targets = [], []
    for data in patient.inputs:
        assert data.validation is not None
        values, validation = again(data.values, data.validation)
        inputs.append(replace(data, values=values, validation=validation))
    for target in patient.targets:
        if target.values is None or target.validation is None:
            targets.append(target)
            continue
        values, validation = again(target.values, target.validation)
        targets.append(TargetData(values=values, validation=validation))
    return replace(patient, inputs=tuple(inputs), targets=tuple(targets))


advise(
    "gather-data",
    does="gather more rows, or look at how these were made",
    types=lambda patient, finding: (
        "np.unique(y, return_counts=True)  # what is there: gather more of what is rare"
        if any(head.kind not in (None, "numbers") for head in patient.heads)
        else "len(y), y.min(), y.max()  # what is there: gather more, or look at how y was made"
    ),
)
advise(
    "stratify",
    does="split by class, so that each part has every class",
    types="sklearn.model_selection.train_test_split(x, y, stratify=y)",
)
advise(
    "keep-rows-apart",
    does="find the layer that mixes rows, and have it work on each row alone",
    types="axis=-1, or all axes but the first, in reductions; x.reshape(len(x), -1) in reshapes",
)
advise(
    "check-pairing",
    does="check that row n of the inputs belongs to row n of the targets",
    types="x[0], y[0]  # and a few more: do they belong together? Sort or shuffle both alike",
)
