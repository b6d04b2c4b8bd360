"""The page of a code: what is measured, why it hurts, and what helps.

It is the docstring of its rule's `check`, so that the page, the judgement and the documentation
cannot drift apart.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from evenkeel.doctor.remedies import REMEDIES
from evenkeel.doctor.rules import RULES
from evenkeel.doctor.vocabulary import CODES, family_of
from evenkeel.errors import InvalidArgumentError, nearest
from evenkeel.errors import explain as refusal

SECTIONS = ("Measures", "Why it hurts", "Looks like", "False alarms", "Remedies")


@dataclass(frozen=True, kw_only=True)
class Page:
    """What there is to know about a code; printing it shows it.

    Attributes:
        code: The code.
        family: Its family.
        title: What it means, in one sentence.
        sections: The text of each section by its heading.
        remedies: The remedies by name: what they do, and how safe they are.

    Example:
        >>> explain("redundant-bias").family
        'structure'
    """

    code: str
    family: str
    title: str
    sections: dict[str, str]
    remedies: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{self.code} ({self.family})", self.title, ""]
        for heading, text in self.sections.items():
            lines += [heading, *(f"  {line}" for line in text.splitlines()), ""]
        lines += [f"  {name}: {text}" for name, text in self.remedies.items()]
        return "\n".join(lines)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Returns the page as plain data."""
        return {
            "code": self.code,
            "family": self.family,
            "title": self.title,
            "sections": dict(self.sections),
            "remedies": dict(self.remedies),
        }


def explain(code: str) -> Page:
    """Returns the page of a code: measures, why it hurts, looks like, false alarms, remedies.

    Args:
        code: A code of a finding, such as `"inputs-not-standardized"`; case, spaces and underscores
            do not matter.

    Raises:
        InvalidArgumentError: If there is no such code; the nearest names are offered.

    Example:
        >>> print(explain("redundant-bias").title)
        A bias that a batch normalization takes away again.
    """
    wanted = str(code).strip().lower().replace("_", "-").replace(" ", "-")
    rules = [rule for rule in RULES if rule.code == wanted]
    if not rules:
        found = f"explain: there is no code {code!r}."
        raise InvalidArgumentError(refusal(found, nearest(wanted, CODES)))
    return page_of(*rules)


def page_of(*rules: Any) -> Page:
    """Returns the page of one rule, or of several that judge one code by different numbers."""
    written = [_sections_of(rule) for rule in rules]
    return Page(
        code=rules[0].code,
        family=family_of(rules[0].code),
        title=inspect.getdoc(type(rules[0])) or "",
        sections={
            name: "\n\n".join(dict.fromkeys(sections[name] for sections in written))
            for name in written[0]
        },
        remedies={
            name: f"{REMEDIES[name].does} ({REMEDIES[name].safety})"
            for rule in rules
            for name in (*rule.remedies, *rule.eases)
        },
    )


def _sections_of(rule: Any) -> dict[str, str]:
    sections: dict[str, list[str]] = {}
    for line in (inspect.getdoc(rule.check) or "").splitlines():
        heading = line.rstrip().removesuffix(":")
        if line.endswith(":") and heading in SECTIONS:
            sections[heading] = []
        elif sections:
            list(sections.values())[-1].append(line.strip())
    return {name: "\n".join(text).strip() for name, text in sections.items()}
