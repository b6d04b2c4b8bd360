"""Remedies that change the network: activations, weights, layers, and the loss with its output."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evenkeel.doctor import moments
from evenkeel.doctor.finding import Finding
from evenkeel.doctor.outputs import LOSS_NAMES, misfit
from evenkeel.doctor.patient import (
    NOISY,
    PASSING,
    WEIGHTED,
    HeadRecord,
    LayerRecord,
    Patient,
    followers,
    next_ones,
    output_layer,
)
from evenkeel.doctor.remedy import remedy


def _heads_of(patient: Patient, finding: Finding) -> list[HeadRecord]:
    return [head for head in patient.heads if head.name in finding.place]


def _bearer(patient: Patient, layer: LayerRecord) -> LayerRecord:
    """Returns the place that has a layer's activation: itself, or an Activation behind it."""
    if layer.activation != "linear" or patient.layers is None:
        return layer
    behind = next_ones(layer, followers(patient.layers), PASSING | NOISY)
    return behind[0] if len(behind) == 1 and not behind[0].is_a(*WEIGHTED) else layer


def _activated(layer: LayerRecord, activation: str) -> LayerRecord:
    return replace(layer, activation=activation).with_config(activation=activation)


def _drawn(layer: LayerRecord, initializer: str) -> LayerRecord:
    if layer.kernel is None:
        return layer.with_config(kernel_initializer=initializer)
    rms = moments.rms_of(initializer, layer.kernel.shape)
    kernel = replace(layer.kernel, rms=rms, is_alike=False, is_zero=False)
    return replace(layer, kernel=kernel).with_config(kernel_initializer=initializer)


# -- outputs and losses --------------------------------------------------------------------------


def _fitting_activation(patient: Patient, head: HeadRecord) -> str:
    layer = output_layer(patient, head)
    activation = "linear" if layer is None else layer.activation or "linear"
    wrong = misfit(head.kind, activation, head.units, from_logits=head.from_logits)
    if wrong is not None:
        return wrong.activation
    return "linear" if head.kind not in LOSS_NAMES or head.from_logits else activation


@remedy(
    "change-output-activation",
    does="give the output the activation that its loss expects",
    safety="safe: only the output changes",
    types=lambda patient, finding: ", ".join(
        f"activation={_fitting_activation(patient, head)!r} in the output layer {head.layer!r}"
        for head in _heads_of(patient, finding)
    ),
)
def change_output_activation(patient: Patient, finding: Finding) -> Patient:
    """Sets the activation of the outputs that the finding is about."""
    for head in _heads_of(patient, finding):
        layer = output_layer(patient, head)
        if layer is not None:
            activation = _fitting_activation(patient, head)
            patient = patient.changing(
                [layer.name], lambda part, to=activation: _activated(part, to)
            )
            if head.units == 1 and head.kind in ("one-hot", "classes"):
                fitting = replace(head, kind="binary", loss=LOSS_NAMES["binary"])
                patient = _with_head(patient, head, fitting)
    return patient


def _with_head(patient: Patient, old: HeadRecord, new: HeadRecord) -> Patient:
    return replace(patient, heads=tuple(new if head is old else head for head in patient.heads))


def _fitting_loss(patient: Patient, head: HeadRecord) -> tuple[str, str, int]:
    """Returns the kind of loss, the activation and the units that an output's targets call for."""
    number = [h.name for h in patient.heads].index(head.name)
    target = patient.targets[number] if number < len(patient.targets) else None
    units = head.units or 1
    if target is None or target.values is None:
        kind = head.kind or "numbers"
        kind = "binary" if units == 1 and kind in LOSS_NAMES else kind
        return kind, {"binary": "sigmoid", "numbers": "linear"}.get(kind, "softmax"), units
    values = target.values.reshape(len(target.values), -1)
    columns = values.shape[1]
    if (values != np.floor(values)).any() or (values < 0).any():
        is_soft = columns > 1 and np.allclose(values.sum(axis=1), 1) and (values >= 0).all()
        return ("one-hot", "softmax", columns) if is_soft else ("numbers", "linear", columns)
    if columns > 1:
        is_one = (values.sum(axis=1) == 1).all() and values.max() == 1
        return ("one-hot", "softmax", columns) if is_one else ("binary", "sigmoid", columns)
    if values.max() <= 1 and units == 1:
        return "binary", "sigmoid", 1
    return "classes", "softmax", max(units, int(values.max()) + 1)


def fitting_kind(patient: Patient, head: HeadRecord) -> str:
    """Returns the kind of targets that an output's targets are: "numbers", "classes", ...

    Args:
        patient: Whose targets to look at.
        head: The output.
    """
    return _fitting_loss(patient, head)[0]


def _loss_to_type(patient: Patient, finding: Finding) -> str:
    said = []
    for head in _heads_of(patient, finding):
        kind, activation, units = _fitting_loss(patient, head)
        loss = LOSS_NAMES.get(kind, "mean_squared_error")
        said.append(f"loss={loss!r} behind Dense({units}, activation={activation!r})")
    return ", ".join(said)


@remedy(
    "change-loss",
    does="use the loss, and with it the output, that the targets call for",
    safety="safe: only the output and the loss change",
    types=_loss_to_type,
)
def change_loss(patient: Patient, finding: Finding) -> Patient:
    """Sets loss, activation and units of the outputs that the finding is about."""
    for head in _heads_of(patient, finding):
        kind, activation, units = _fitting_loss(patient, head)
        loss = LOSS_NAMES.get(kind, "mean_squared_error")
        layer = output_layer(patient, head)
        new = replace(head, kind=kind, loss=loss, from_logits=False, units=units)
        patient = _with_units(_with_head(patient, head, new), new, units)
        if layer is not None:
            patient = patient.changing(
                [layer.name], lambda part, to=activation: _activated(part, to)
            )
    return patient


def _with_units(patient: Patient, head: HeadRecord, units: int) -> Patient:
    """Gives the last layer with weights as many units."""
    layer = patient.layer(head.layer)
    while layer is not None and not layer.is_a(*WEIGHTED):
        layer = patient.layer(layer.sources[0]) if layer.sources else None
    if layer is None or layer.features == units:
        return patient

    def widened(part: LayerRecord) -> LayerRecord:
        kernel = part.kernel and replace(part.kernel, shape=(*part.kernel.shape[:-1], units))
        return replace(part, kernel=kernel, features=units).with_config(units=units)

    return patient.changing([layer.name], widened)


@remedy(
    "enough-units",
    does="give the output a unit for each class",
    safety="safe: only the output changes",
    types=lambda patient, finding: ", ".join(
        f"Dense({_fitting_loss(patient, head)[2]}, activation='softmax') as the last layer; "
        "classes are numbered from 0: np.unique(y, return_inverse=True)[1]"
        for head in _heads_of(patient, finding)
    ),
)
def enough_units(patient: Patient, finding: Finding) -> Patient:
    """Numbers the classes from 0 on and gives the output a unit for each."""
    targets = list(patient.targets)
    for head in _heads_of(patient, finding):
        number = [h.name for h in patient.heads].index(head.name)
        target = targets[number]
        if target.values is None:
            continue
        classes = np.unique(target.values)
        held = target.validation
        targets[number] = replace(
            target,
            values=np.searchsorted(classes, target.values),
            validation=None if held is None else np.searchsorted(classes, held),
        )
        units = max(head.units or 0, len(classes))
        patient = _with_units(_with_head(patient, head, replace(head, units=units)), head, units)
    return replace(patient, targets=tuple(targets))


# -- weights and activations ---------------------------------------------------------------------


def _rules_to_type(patient: Patient, finding: Finding) -> str:
    said = {}
    for name in _weighted(patient, finding):
        layer = patient.layer(name)
        assert layer is not None
        rule = moments.initializer_for(_bearer(patient, layer).activation)
        said.setdefault(rule, []).append(name)
    return "; ".join(f"kernel_initializer={rule!r} in {', '.join(n)}" for rule, n in said.items())


@remedy(
    "re-initialize",
    does="draw the weights by the rule of the activation",
    safety="safe before training; weights that were trained are lost",
    types=_rules_to_type,
)
def re_initialize(patient: Patient, finding: Finding) -> Patient:
    """Draws the kernels of the layers in place by the rules of their activations."""

    def drawn(layer: LayerRecord) -> LayerRecord:
        return _drawn(layer, moments.initializer_for(_bearer(patient, layer).activation))

    return patient.changing(_weighted(patient, finding), drawn)


def _weighted(patient: Patient, finding: Finding) -> list[str]:
    """Returns the layers with weights that a finding is about: all trained ones, if it names none.

    What is found by training a copy is about the whole network.
    """
    found = (patient.layer(name) for name in finding.place)
    named = [layer.name for layer in found if layer is not None and layer.is_a(*WEIGHTED)]
    return named or [p.name for p in patient.parts if p.is_a(*WEIGHTED) and p.is_trainable]


def _better_activation(finding: Finding) -> str:
    return "elu" if finding.code in ("selu-conditions", "dead-units") else "relu"


@remedy(
    "change-activation",
    does="take an activation that keeps gradients up, with the weights that it calls for",
    safety="changes the network: it is another function family",
    types=lambda patient, finding: (
        f"activation={_better_activation(finding)!r}, kernel_initializer='he_normal' in the hidden "
        "layers"
    ),
)
def change_activation(patient: Patient, finding: Finding) -> Patient:
    """Gives hidden layers ReLU, or ELU in place of SELU and of dead units, and He weights."""
    activation = _better_activation(finding)
    outputs = {h.layer for h in patient.heads}
    if finding.code == "selu-conditions":
        names = [layer.name for layer in patient.parts if layer.activation == "selu"]
    else:
        names = [name for name in _weighted(patient, finding) if name not in outputs]
    for name in names:
        layer = patient.layer(name)
        assert layer is not None
        bearer = _bearer(patient, layer)
        patient = patient.changing([bearer.name], lambda part: _activated(part, activation))
        patient = patient.changing([name], lambda part: _drawn(part, "he_normal"))
    return patient


@remedy(
    "add-activation",
    does="give the linear hidden layers an activation",
    safety="safe: the network can say more than before",
    types=lambda patient, finding: (
        f"activation='relu', kernel_initializer='he_normal' in {', '.join(finding.place)}"
    ),
)
def add_activation(patient: Patient, finding: Finding) -> Patient:
    """Gives the layers in place a ReLU and He weights."""
    return patient.changing(
        finding.place, lambda layer: _drawn(_activated(layer, "relu"), "he_normal")
    )


@remedy(
    "insert-batchnorm",
    does="normalize between the layers",
    safety="changes the network; needs batches of several rows",
    types="ek.layers.BatchNormalization() behind each hidden layer",
)
def insert_batchnorm(patient: Patient, finding: Finding) -> Patient:
    """Puts a batch normalization behind each layer in place but the last."""
    if patient.layers is None:
        return patient
    layers: list[LayerRecord] = []
    renamed: dict[str, str] = {}
    for layer in patient.layers:
        layers.append(replace(layer, sources=tuple(renamed.get(s, s) for s in layer.sources)))
        if layer.name in finding.place[:-1]:
            name = f"batch_normalization_of_{layer.name}"
            config = {"momentum": 0.9, "axis": -1}
            layers.append(
                LayerRecord(
                    name=name,
                    kinds=("BatchNormalization",),
                    config=config,
                    sources=(layer.name,),
                    features=layer.features,
                )
            )
            renamed[layer.name] = name
    return replace(patient, layers=tuple(layers))


# -- what stands between the layers --------------------------------------------------------------


@remedy(
    "drop-bias",
    does="leave the bias out",
    safety="safe: it had no effect",
    types=lambda patient, finding: f"use_bias=False in {', '.join(finding.place)}",
)
def drop_bias(patient: Patient, finding: Finding) -> Patient:
    """Takes the biases of the layers in place away."""
    return patient.changing(finding.place, lambda layer: layer.with_config(use_bias=False))


@remedy(
    "lower-dropout",
    does="drop less",
    safety="safe: it only regularizes less",
    types=lambda patient, finding: f"rate=0.5 or less in {', '.join(finding.place)}",
)
def lower_dropout(patient: Patient, finding: Finding) -> Patient:
    """Sets the rate to a half."""
    return patient.changing(finding.place, lambda layer: layer.with_config(rate=0.5))


@remedy(
    "move-dropout",
    does="move the dropout to where it protects: before the last layer with weights",
    safety="safe: it regularizes at another place",
    types=lambda patient, finding: (
        f"{finding.place[0]} before the last layer with weights, behind any normalization"
    ),
)
def move_dropout(patient: Patient, finding: Finding) -> Patient:
    """Takes the dropout out and puts it before the last layer with weights."""
    if patient.layers is None:
        return patient
    moved = patient.layer(finding.place[0])
    assert moved is not None
    source = moved.sources[0] if moved.sources else None
    layers = [layer for layer in patient.layers if layer is not moved]
    layers = [
        replace(
            layer,
            sources=tuple(
                s for s in (source if s == moved.name else s for s in layer.sources) if s
            ),
        )
        for layer in layers
    ]
    heads = tuple(
        replace(head, layer=source) if head.layer == moved.name else head for head in patient.heads
    )
    inputs = patient.inputs
    if source is None and layers:
        inputs = tuple(
            replace(d, layer=layers[0].name) if d.layer == moved.name else d for d in inputs
        )
    last = next((layer for layer in reversed(layers) if layer.is_a(*WEIGHTED)), None)
    if last is not None and last.sources and not last.is_a("InputLayer"):
        place = layers.index(last)
        again = replace(moved, sources=last.sources)
        layers[place : place + 1] = [again, replace(last, sources=(moved.name,))]
    return replace(patient, layers=tuple(layers), heads=heads, inputs=inputs)


@remedy(
    "alpha-dropout",
    does="drop so that SELU's mean and variance stay",
    safety="safe: made for SELU",
    types=lambda patient, finding: f"ek.layers.AlphaDropout(0.1) in place of {finding.place[0]}",
)
def alpha_dropout(patient: Patient, finding: Finding) -> Patient:
    """Makes the dropout in place an alpha dropout of a moderate rate."""

    def alike(layer: LayerRecord) -> LayerRecord:
        rate = min(float(layer.config.get("rate", 0.1)), 0.2)
        return replace(layer, kinds=("AlphaDropout",)).with_config(rate=rate)

    return patient.changing(finding.place, alike)


@remedy(
    "unit-axis",
    does="take norms over the weights of a unit",
    safety="safe: it is what the limit is for",
    types=lambda patient, finding: ", ".join(
        f"axis={_unit_axis(layer)} in the kernel_constraint of {layer.name}"
        for layer in (patient.layer(name) for name in finding.place)
        if layer is not None
    ),
)
def unit_axis(patient: Patient, finding: Finding) -> Patient:
    """Sets the axes of the norm constraints in place."""

    def fixed(layer: LayerRecord) -> LayerRecord:
        written = layer.config["kernel_constraint"]
        settings = {**written["config"], "axis": _unit_axis(layer)}
        return layer.with_config(kernel_constraint={**written, "config": settings})

    return patient.changing(finding.place, fixed)


def _unit_axis(layer: LayerRecord) -> int | list[int]:
    return 0 if layer.is_a("Dense") else [0, 1, 2]


@remedy(
    "l2",
    does="put a penalty on the weights",
    safety="safe in small doses; too much underfits",
    types="kernel_regularizer=ek.regularizers.L2(1e-4) in the hidden layers",
)
def l2(patient: Patient, finding: Finding) -> Patient:
    """Gives every layer with weights an L2 penalty of 1e-4."""
    penalty = {"class_name": "L2", "config": {"l2": 1e-4}}
    names = [layer.name for layer in patient.parts if layer.is_a(*WEIGHTED)]
    return patient.changing(names, lambda layer: layer.with_config(kernel_regularizer=penalty))


@remedy(
    "dropout",
    does="drop a part of the hidden units in training",
    safety="safe in small doses; too much underfits",
    types="ek.layers.Dropout(0.2) before the output layer",
)
def dropout(patient: Patient, finding: Finding) -> Patient:
    """Puts a dropout before the last layer with weights, unless there is noise already."""
    layers = patient.layers or ()
    last = next((layer for layer in reversed(layers) if layer.is_a(*WEIGHTED)), None)
    before = None if last is None or not last.sources else patient.layer(last.sources[0])
    is_noisy = any(layer.is_a(*NOISY) for layer in layers)
    if last is None or before is None or is_noisy or before.activation in (None, "linear"):
        return patient
    kind = "AlphaDropout" if before.activation == "selu" else "Dropout"
    added = LayerRecord(
        name="dropout_of_output", kinds=(kind,), config={"rate": 0.2}, sources=last.sources
    )
    place = layers.index(last)
    moved = replace(last, sources=(added.name,))
    return replace(patient, layers=(*layers[:place], added, moved, *layers[place + 1 :]))
