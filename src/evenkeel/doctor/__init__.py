"""The doctor: it reads numbers, names the cause, and says what to type.

`evenkeel.checkup` describes a network and its data as a `Patient`; `diagnose` asks the rules about
it; a `Finding` says what is wrong, where, and by which numbers; a `Remedy` is a function from
patient to patient. Nothing here computes with a network, and nothing needs one.
"""

from __future__ import annotations

from evenkeel.doctor import remedies
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
from evenkeel.doctor.remedy import REMEDIES, Remedy
from evenkeel.doctor.rule import Rule, Unclear, Verdict
from evenkeel.doctor.rules import RULES
from evenkeel.doctor.vocabulary import CODES, FAMILIES, family_of

assert remedies  # importing them makes them known

__all__ = [
    "CODES",
    "FAMILIES",
    "REMEDIES",
    "RULES",
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
]
