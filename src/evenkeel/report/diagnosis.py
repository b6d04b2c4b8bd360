"""A checkup as a person reads it: one screen of text, or one page of HTML."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from evenkeel.report.forms import environment, number_of

_COLORS = {"fault": "bold red", "warning": "bold yellow", "note": "bold cyan"}
_UNKNOWN_SHOWN = 6
_NUMBERS_SHOWN = 3


def counts_of(checkup: dict[str, Any]) -> str:
    """Returns how many findings there are, in words.

    Example:
        >>> counts_of({"findings": []})
        'no finding'
    """
    found = [inner["severity"] for finding in checkup["findings"] for inner in _all(finding)]
    parts = [
        f"{found.count(kind)} {kind}{'s' * (found.count(kind) > 1)}"
        for kind in _COLORS
        if kind in found
    ]
    return ", ".join(parts) or "no finding"


def _all(finding: dict[str, Any]) -> list[dict[str, Any]]:
    return [finding, *(inner for symptom in finding["symptoms"] for inner in _all(symptom))]


def shown(checkup: dict[str, Any]) -> Group:
    """Returns a checkup as something that rich prints."""
    title = Text.assemble(
        (f"Checkup of {checkup['model']!r}", "bold"), f", {checkup['depth']}: {counts_of(checkup)}."
    )
    blocks: list[Any] = [title]
    for finding in checkup["findings"]:
        blocks += [Text(), *_finding(finding)]
    blocks += [Text(), *_rest(checkup)]
    return Group(*blocks)


def _finding(finding: dict[str, Any], indent: int = 0) -> list[Any]:
    head = Text.assemble(
        (finding["severity"].upper(), _COLORS[finding["severity"]]),
        ("  " + finding["code"], "bold"),
        f"  {', '.join(finding['place'][:4])}" if finding["place"] else "",
    )
    lines = [Text(finding["sentence"])]
    evidence = "; ".join(number_of(number) for number in finding["evidence"][:_NUMBERS_SHOWN])
    if evidence:
        lines.append(Text(f"Evidence: {evidence}.", style="dim"))
    if finding["remedies"]:
        first, *others = finding["remedies"]
        lines.append(Text.assemble("Type: ", (first["type"], "green")))
        if others:
            lines.append(Text(f"Or: {', '.join(o['does'] for o in others)}.", style="dim"))
    block: list[Any] = [Padding(head, (0, 0, 0, indent))]
    block += [Padding(line, (0, 0, 0, indent + 2)) for line in lines]
    for symptom in finding["symptoms"]:
        block.append(Padding(Text("It explains:", style="dim"), (0, 0, 0, indent + 2)))
        block += _finding(symptom, indent + 4)
    return block


def _rest(checkup: dict[str, Any]) -> list[Text]:
    lines = [Text(f"{len(checkup['healthy'])} rules found nothing wrong.")]
    reasons: dict[str, list[str]] = {}
    for verdict in checkup["unknown"]:
        reasons.setdefault(verdict["reason"], []).append(verdict["code"])
    for reason, codes in list(reasons.items())[:_UNKNOWN_SHOWN]:
        lines.append(Text(f"Cannot tell {', '.join(codes)}: {reason}", style="dim"))
    codes = [finding["code"] for finding in checkup["findings"]]
    if codes:
        lines.append(Text(f"More about it: ek.explain({codes[0]!r})."))
    return lines


def fragment_of(checkup: dict[str, Any]) -> str:
    """Returns a checkup as HTML to stand inside a page, such as a notebook's."""
    template = environment().get_template("checkup.html")
    return template.render(checkup=checkup, counts=counts_of(checkup))


def page_of(checkup: dict[str, Any]) -> str:
    """Returns a checkup as a whole HTML page, which loads nothing from elsewhere."""
    template = environment().get_template("page.html")
    return template.render(title=f"Checkup of {checkup['model']}", body=fragment_of(checkup))
