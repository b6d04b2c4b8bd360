"""What the doctor says: numbers with units, and findings that rest on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Severity = Literal["fault", "warning", "note"]
# From what stops learning or makes results wrong, over what costs much, to what is worth knowing.
SEVERITIES: tuple[Severity, ...] = ("fault", "warning", "note")


@dataclass(frozen=True)
class Number:
    """A number with its name and its unit: what a finding, or a clean bill, rests on.

    Args:
        name: What was counted or measured.
        value: The number.
        unit: What one of it is; "" for a plain ratio.

    Example:
        >>> print(Number("largest input", 255.0, "pixel values"))
        largest input 255 pixel values
    """

    name: str
    value: float
    unit: str = ""

    def __str__(self) -> str:
        is_count = float(self.value).is_integer() and abs(self.value) < 1e15
        shown = f"{int(self.value):,}" if is_count else f"{self.value:.3g}"
        unit = "" if self.unit in self.name else f" {self.unit}"
        return f"{self.name} {shown}{unit}"

    def to_dict(self) -> dict[str, Any]:
        """Returns name, value and unit; a value that is not finite as text, for JSON."""
        value = float(self.value)
        return {"name": self.name, "value": value if abs(value) < float("inf") else str(value)} | {
            "unit": self.unit
        }


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong: where, how sure, by which numbers, and what helps.

    Attributes:
        code: The stable word for it, such as `"inputs-not-standardized"`.
        severity: `"fault"` stops learning or makes results wrong, `"warning"` costs much,
            `"note"` is worth knowing.
        sentence: One plain sentence.
        confidence: How sure the judgement is, in [0, 1].
        place: The names of the layers, inputs or outputs that it is about.
        evidence: The numbers that it rests on.
        remedies: The names of the remedies, the best first.
        explains: The codes that it would explain.
        symptoms: The findings that it does explain.

    Example:
        >>> finding = Finding(code="constant-init", severity="fault", sentence="All units agree.")
        >>> finding.place, finding.confidence
        ((), 1.0)
    """

    code: str
    severity: Severity
    sentence: str
    confidence: float = 1.0
    place: tuple[str, ...] = ()
    evidence: tuple[Number, ...] = ()
    remedies: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()
    symptoms: tuple[Finding, ...] = ()

    @property
    def everything(self) -> tuple[Finding, ...]:
        """The finding and all that it explains, however deep."""
        return (self, *(inner for symptom in self.symptoms for inner in symptom.everything))

    def with_symptoms(self, symptoms: tuple[Finding, ...]) -> Finding:
        """Returns the finding with what it explains beneath it."""
        return replace(self, symptoms=symptoms)

    def to_dict(self) -> dict[str, Any]:
        """Returns the finding as plain data, the symptoms within it."""
        return {
            "code": self.code,
            "severity": self.severity,
            "sentence": self.sentence,
            "confidence": self.confidence,
            "place": list(self.place),
            "evidence": [number.to_dict() for number in self.evidence],
            "remedies": list(self.remedies),
            "explains": list(self.explains),
            "symptoms": [symptom.to_dict() for symptom in self.symptoms],
        }
