"""Measurement: a network is run, on a copy of its values, and what is seen becomes plain records.

`signal` has one forward and backward pass, `probe` short trainings of copies. The doctor judges the
records; it runs nothing. The model, its optimizer and the random state are afterwards what they
were, to the bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evenkeel.doctor.patient import Patient
from evenkeel.errors import EvenkeelError
from evenkeel.measurement.probe import probe_of
from evenkeel.measurement.signal import signal_of
from evenkeel.models.reading import Reader
from evenkeel.randomness import undisturbed

__all__ = ["measured", "probe_of", "signal_of"]


def measured(
    model: Any,
    x: Any,
    y: Any,
    validation_data: Any,
    patient: Patient,
    *,
    with_probe: bool = False,
) -> Patient:
    """Returns a patient together with what running the network shows.

    What cannot be run, because the model is not compiled or the data does not fit it, is noted as
    missing, with the reason.

    Args:
        model: The model that the patient describes.
        x: The inputs, as `fit` takes them.
        y: The targets; None where there are none.
        validation_data: (x, y) of rows kept for validation; None where there are none.
        patient: The description.
        with_probe: Whether copies are trained as well, for some hundred steps.
    """
    reason = _why_not(model, y)
    if reason:
        return _without(patient, reason)
    with model.left_as_it_was(always=True), undisturbed():
        try:
            data = Reader(model).batch(x, y)
        except EvenkeelError as error:
            return _without(patient, f"The network cannot be run on this data: {error}")
        patient = replace(patient, signal=signal_of(model, data, patient))
        if with_probe:
            held_out = None
            if validation_data is not None:
                held_out = Reader(model).batch(*validation_data[:2], prefix="validation_data ")
            patient = replace(patient, probe=probe_of(model, data, held_out, patient))
    return patient


def _why_not(model: Any, y: Any) -> str:
    if getattr(model, "declared", None) is None:
        return "The model is not compiled: type model.compile(optimizer=..., loss=...)."
    return "There are no targets: type checkup(model, x, y)." if y is None else ""


def _without(patient: Patient, reason: str) -> Patient:
    return replace(patient, missing={**patient.missing, "signal": reason, "probe": reason})
