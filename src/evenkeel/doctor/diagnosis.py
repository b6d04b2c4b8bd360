"""The diagnosis: every rule asked about a patient, the causes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evenkeel.doctor.causes import by_cause
from evenkeel.doctor.finding import Finding
from evenkeel.doctor.patient import Patient
from evenkeel.doctor.rule import Rule, Verdict
from evenkeel.doctor.rules import RULES, STATIC_RULES
from evenkeel.doctor.statistics import Numbers


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What the rules say about a patient.

    Attributes:
        findings: What is wrong, the worst cause first, symptoms beneath their causes.
        verdicts: The answer of every rule that was asked.

    Example:
        >>> diagnose(Patient()).findings
        ()
    """

    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """All findings, the symptoms among them."""
        return tuple(inner for finding in self.findings for inner in finding.everything)

    @property
    def codes(self) -> frozenset[str]:
        """The codes of all findings."""
        return frozenset(finding.code for finding in self.all_findings)


def diagnose(
    patient: Patient,
    rules: Iterable[Rule] | None = None,
    numbers: Mapping[str, Any] | None = None,
) -> Diagnosis:
    """Asks every rule about a patient.

    Args:
        patient: Whom to look at.
        rules: The rules to ask; when None all, or without those of a run where there was none.
        numbers: Numbers by name; those of the patient when None.

    Returns:
        The findings, arranged by cause, and every rule's answer.

    Example:
        >>> from evenkeel.doctor.patient import LayerRecord
        >>> drop = LayerRecord(name="drop", kinds=("Dropout",), config={"rate": 0.9})
        >>> [finding.code for finding in diagnose(Patient(parts=(drop,))).findings]
        ['dropout-too-high']
    """
    if rules is None:
        rules = STATIC_RULES if patient.course is None else RULES
    known = Numbers(patient) if numbers is None else numbers
    verdicts = tuple(rule.judge(known) for rule in rules)
    found = [finding for verdict in verdicts for finding in verdict.findings]
    return Diagnosis(findings=by_cause(found), verdicts=verdicts)
