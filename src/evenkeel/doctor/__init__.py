"""The doctor: it reads numbers, names the cause, and says what to type.

`evenkeel.checkup` describes a network and its data as a `Patient`; `diagnose` asks the rules about
it; a `Finding` says what is wrong, where, and by which numbers; a `Remedy` is a function from
patient to patient. Nothing here computes with a network, and nothing needs one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evenkeel.errors import nearest

if TYPE_CHECKING:
    from evenkeel.doctor.diagnosis import Diagnosis, diagnose
    from evenkeel.doctor.finding import Finding, Number
    from evenkeel.doctor.pages import Page, explain
    from evenkeel.doctor.patient import (
        HeadRecord,
        InputData,
        Kernel,
        LayerRecord,
        OptimizerRecord,
        Patient,
        RunRecord,
        ScheduleRecord,
        TargetData,
    )
    from evenkeel.doctor.remedies import remedy_named
    from evenkeel.doctor.remedy import Remedy
    from evenkeel.doctor.rule import Rule, Unclear, Verdict
    from evenkeel.doctor.vocabulary import family_of

__all__ = [
    "Diagnosis",
    "Finding",
    "HeadRecord",
    "InputData",
    "Kernel",
    "LayerRecord",
    "Number",
    "OptimizerRecord",
    "Page",
    "Patient",
    "Remedy",
    "Rule",
    "RunRecord",
    "ScheduleRecord",
    "TargetData",
    "Unclear",
    "Verdict",
    "diagnose",
    "explain",
    "family_of",
    "remedy_named",
]

# Imported when first used: `fit` needs two small files of the doctor, and not all rules.
_HOMES = {
    "diagnosis": ("Diagnosis", "diagnose"),
    "finding": ("Finding", "Number"),
    "pages": ("Page", "explain"),
    "patient": (
        *("HeadRecord", "InputData", "Kernel", "LayerRecord", "OptimizerRecord", "Patient"),
        *("RunRecord", "ScheduleRecord", "TargetData"),
    ),
    "remedies": ("remedy_named",),
    "remedy": ("Remedy",),
    "rule": ("Rule", "Unclear", "Verdict"),
    "vocabulary": ("family_of",),
}


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"evenkeel.doctor has no {name!r}. {nearest(name, __all__)}")
    return getattr(import_module(f"evenkeel.doctor.{home}"), name)


def __dir__() -> list[str]:
    return list(__all__)
