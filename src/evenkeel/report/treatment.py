"""A repair as a person reads it: one screen of text, or one page of HTML."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from evenkeel.report.forms import environment

_COLORS = {"accepted": "bold green", "rejected": "bold yellow", "not tried": "dim"}


def score_of(score: dict[str, Any] | None) -> str:
    """Returns a score in words, with its spread over the seeds.

    Example:
        >>> score_of({"metric": "accuracy", "mean": 0.9123, "spread": 0.01})
        'accuracy 0.912 ± 0.01'
    """
    if score is None:
        return "not trained"
    return f"{score['metric']} {value_of(score)}"


def value_of(score: dict[str, Any] | None) -> str:
    """Returns the value of a score with its spread over the seeds, without its name.

    Example:
        >>> value_of({"mean": 123456.0, "spread": None})
        '123,456'
    """
    if score is None or score["mean"] is None:
        return "no number"
    spread = "" if score["spread"] is None else f" ± {_number(score['spread'], 2)}"
    return f"{_number(score['mean'], 3)}{spread}"


def _number(value: float, digits: int) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def sentence_of(treatment: dict[str, Any]) -> str:
    """Returns what came of a repair, in one sentence.

    Example:
        >>> score = {"metric": "accuracy", "mean": 0.9, "spread": 0.01}
        >>> sentence_of({"is_repaired": False, "findings": [], "before": score, "after": score})
        'nothing was found to be treated; accuracy 0.9 ± 0.01 on held-out rows.'
    """
    before, after = treatment["before"], treatment["after"]
    if treatment["is_repaired"]:
        change = f"{score_of(before)} before, {value_of(after)} after"
        return f"repaired; {change}, on held-out rows."
    if not treatment["findings"]:
        return f"nothing was found to be treated; {score_of(before)} on held-out rows."
    return f"no remedy was better than noise; {score_of(before)} on held-out rows stays."


def shown(treatment: dict[str, Any]) -> Group:
    """Returns a treatment as something that rich prints."""
    title = Text.assemble((f"Repair of {treatment['model']!r}", "bold"))
    title.append(f": {sentence_of(treatment)}")
    blocks: list[Any] = [title, Text(_experiment(treatment), style="dim")]
    for attempt in treatment["attempts"]:
        blocks += [Text(), *_attempt(attempt)]
    left = [finding["code"] for finding in treatment["left"]]
    if left:
        blocks += [Text(), Text(f"Still found: {', '.join(dict.fromkeys(left))}.")]
    if treatment["is_repaired"]:
        blocks += [Text(), Text("treatment.model is trained; treatment.code is how to get it.")]
    return Group(*blocks)


def _experiment(treatment: dict[str, Any]) -> str:
    return (
        f"{len(treatment['seeds'])} seeds, {treatment['epochs']} epochs of "
        f"{treatment['rows']:,} rows, judged on {treatment['held_out_rows']:,} rows; "
        f"{treatment['steps']:,} of {treatment['budget']:,} steps."
    )


def _attempt(attempt: dict[str, Any]) -> list[Any]:
    head = Text.assemble(
        (attempt["verdict"].upper(), _COLORS[attempt["verdict"]]),
        ("  " + " + ".join(attempt["remedies"]), "bold"),
        f"  for {', '.join(attempt['codes'])}",
    )
    if attempt["verdict"] == "not tried":
        return [Text.assemble(head, "  ", (attempt["reason"], "dim"))]
    lines = [Text(attempt["reason"])]
    if attempt["type"]:
        lines.append(Text.assemble("Type: ", (attempt["type"], "green")))
    return [head, *(Padding(line, (0, 0, 0, 2)) for line in lines)]


def fragment_of(treatment: dict[str, Any]) -> str:
    """Returns a treatment as HTML to stand inside a page, such as a notebook's."""
    template = environment().get_template("treatment.html")
    return template.render(
        treatment=treatment,
        sentence=sentence_of(treatment),
        experiment=_experiment(treatment),
        value=value_of,
    )


def page_of(treatment: dict[str, Any]) -> str:
    """Returns a treatment as a whole HTML page, which loads nothing from elsewhere."""
    template = environment().get_template("page.html")
    return template.render(title=f"Repair of {treatment['model']}", body=fragment_of(treatment))
