"""The remedy: a named function from patient to patient, and what a user would type for it.

It changes the plan of a training (layers, what compile says, the run) or prepares data, and trains
nothing, so that it can be judged at once whether a finding is gone. Advice has no function: what
it asks for, no program can do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evenkeel.doctor.finding import Finding
from evenkeel.doctor.patient import Patient

Change = Callable[[Patient, Finding], Patient]
Wording = Callable[[Patient, Finding], str]
REMEDIES: dict[str, Remedy] = {}


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """A way to treat a finding.

    Attributes:
        name: The stable name.
        does: What it does, as a verb phrase.
        safety: How safe it is: what it changes besides.
        change: The function from patient to patient; None for advice.
        wording: What a user would type, for a patient and a finding.

    Example:
        >>> from evenkeel.doctor import remedy_named
        >>> remedy_named("gather-data").is_advice
        True
    """

    name: str
    does: str
    safety: str
    change: Change | None
    wording: Wording

    @property
    def is_advice(self) -> bool:
        """Whether it can be asked for only."""
        return self.change is None

    def apply(self, patient: Patient, finding: Finding) -> Patient:
        """Returns the patient after the treatment; advice changes nothing.

        What was measured before, and how a run went, says nothing of the patient afterwards, and is
        left out.
        """
        return patient if self.change is None else self.change(patient, finding).unmeasured()

    def to_type(self, patient: Patient, finding: Finding) -> str:
        """Returns what a user would type."""
        return self.wording(patient, finding)

    def to_dict(self, patient: Patient, finding: Finding) -> dict[str, Any]:
        """Returns name, effect, safety and what to type as plain data."""
        return {
            "name": self.name,
            "does": self.does,
            "safety": self.safety,
            "type": self.to_type(patient, finding),
        }


def remedy(
    name: str, *, does: str, safety: str, types: str | Wording
) -> Callable[[Change], Change]:
    """Decorator: makes a function from patient to patient a remedy.

    Args:
        name: The stable name.
        does: What it does, as a verb phrase.
        safety: How safe it is.
        types: What a user would type, or a function that says it for a patient and a finding.

    Example:
        >>> from evenkeel.doctor import remedy_named
        >>> remedy_named("shuffle-rows").does
        'shuffle inputs and targets together'
    """

    def enrol(change: Change) -> Change:
        REMEDIES[name] = Remedy(
            name=name, does=does, safety=safety, change=change, wording=_as_wording(types)
        )
        return change

    return enrol


def advise(name: str, *, does: str, types: str | Wording) -> None:
    """Makes a remedy that can be asked for only."""
    REMEDIES[name] = Remedy(
        name=name,
        does=does,
        safety="advice: no program can do it",
        change=None,
        wording=_as_wording(types),
    )


def _as_wording(types: str | Wording) -> Wording:
    return (lambda patient, finding: types) if isinstance(types, str) else types
