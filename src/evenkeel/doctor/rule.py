"""The rule: a class that names the numbers it needs and gives one of three answers.

`check` takes numbers by the names of its parameters (`statistics` has them) and yields findings,
and the numbers that it looked at. It answers "found" if there is a finding, "cannot tell" if it
yields an `Unclear` or a number is missing, and "healthy" otherwise. Its docstring is the page that
`explain` shows.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from evenkeel.doctor import statistics
from evenkeel.doctor.causes import EXPLAINS
from evenkeel.doctor.finding import Finding, Number, Severity

Answer = Literal["found", "healthy", "cannot tell"]
# How many numbers a healthy verdict keeps as its evidence.
_NUMBERS_KEPT = 6


@dataclass(frozen=True)
class Unclear:
    """What a rule yields where it cannot judge.

    Args:
        reason: Why, in one sentence.

    Example:
        >>> Unclear("The run's length is not known.").reason
        "The run's length is not known."
    """

    reason: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a rule says about a patient.

    Attributes:
        code: The rule's code.
        answer: `"found"`, `"healthy"` or `"cannot tell"`.
        findings: What was found.
        evidence: The numbers that were looked at.
        reason: Why it cannot tell; "" otherwise.

    Example:
        >>> Verdict(code="init-scale", answer="healthy").findings
        ()
    """

    code: str
    answer: Answer
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Number, ...] = ()
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns code, answer, reason and numbers as plain data; findings stand elsewhere."""
        return {
            "code": self.code,
            "answer": self.answer,
            "reason": self.reason,
            "evidence": [number.to_dict() for number in self.evidence],
        }


class Rule:
    """The contract of a rule.

    A subclass has a `code` of the vocabulary, `remedies` that can remove what it finds, the best
    first, and a `check` whose parameters are names of numbers and whose docstring is its page.

    Example:
        >>> class FewRows(Rule):
        ...     code = "too-little-data"
        ...     def check(self, rows):
        ...         yield Number("rows", rows)
        ...         if rows < 10:
        ...             yield self.found("warning", "There are hardly any rows.")
        >>> FewRows().judge({"rows": 3}).answer, FewRows().judge({"rows": 30}).answer
        ('found', 'healthy')
        >>> FewRows().judge({}).answer
        'cannot tell'
    """

    code: ClassVar[str]
    severities: ClassVar[tuple[Severity, ...]] = ("warning",)
    remedies: ClassVar[tuple[str, ...]] = ()
    eases: ClassVar[tuple[str, ...]] = ()  # remedies that help, while the finding stays

    def check(self, *numbers: Any, **by_name: Any) -> Iterable[Finding | Number | Unclear]:
        """Yields findings, the numbers that were looked at, and what cannot be judged."""
        raise NotImplementedError(f"{type(self).__name__} must define check.")

    @classmethod
    def requires(cls) -> tuple[str, ...]:
        """Returns the names of the numbers that it needs."""
        return tuple(name for name in inspect.signature(cls.check).parameters if name != "self")

    def judge(self, numbers: Mapping[str, Any]) -> Verdict:
        """Returns the verdict on numbers by name; without one that it needs it cannot tell."""
        try:
            given = {name: numbers[name] for name in self.requires()}
        except statistics.Missing as missing:
            return Verdict(code=self.code, answer="cannot tell", reason=str(missing.args[0]))
        except KeyError as name:
            return Verdict(code=self.code, answer="cannot tell", reason=f"{name} is not known.")
        return self._verdict(list(self.check(**given)))

    def _verdict(self, said: Iterable[Finding | Number | Unclear]) -> Verdict:
        findings = tuple(item for item in said if isinstance(item, Finding))
        numbers = tuple(item for item in said if isinstance(item, Number))[:_NUMBERS_KEPT]
        reasons = [item.reason for item in said if isinstance(item, Unclear)]
        answer: Answer = "found" if findings else "cannot tell" if reasons else "healthy"
        reason = " ".join(dict.fromkeys(reasons)) if answer == "cannot tell" else ""
        return Verdict(
            code=self.code, answer=answer, findings=findings, evidence=numbers, reason=reason
        )

    def found(
        self,
        severity: Severity,
        sentence: str,
        *evidence: Number,
        place: Iterable[str] = (),
        confidence: float = 0.9,
        remedies: tuple[str, ...] | None = None,
    ) -> Finding:
        """Returns a finding of this rule.

        Args:
            severity: How bad it is.
            sentence: One plain sentence.
            *evidence: The numbers that it rests on.
            place: The layers, inputs or outputs that it is about.
            confidence: How sure it is, in [0, 1].
            remedies: The remedies that fit this case; those of the rule when None.
        """
        return Finding(
            code=self.code,
            severity=severity,
            sentence=sentence,
            confidence=confidence,
            place=tuple(place),
            evidence=evidence,
            remedies=(*self.remedies, *self.eases) if remedies is None else remedies,
            explains=EXPLAINS.get(self.code, ()),
        )
