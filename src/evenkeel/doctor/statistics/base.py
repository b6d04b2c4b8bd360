"""Numbers by name: who computes them, and how one asks for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from evenkeel.doctor.patient import Patient

# Why numbers are not there that only a network that runs can give.
_NOT_RUN = {
    "signal": "The network was not run: type checkup(..., depth='init').",
    "probe": "Nothing was trained: type checkup(..., depth='probe').",
}

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
        >>> from evenkeel.doctor.patient import RunRecord
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
            reason = _NOT_RUN.get(name, f"There are no {name}.")
            return Missing(self._patient.missing.get(name, reason))
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(STATISTICS)

    def __len__(self) -> int:
        return len(STATISTICS)
