"""A run as a person reads it: one HTML page with its numbers, its curves and what was found.

The page is made from plain data and loads nothing from elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evenkeel.report.diagnosis import fragment_of
from evenkeel.report.forms import environment

_WIDTH, _HEIGHT, _MARGIN = 520, 200, 34
_COLORS = ("#2f7d95", "#b26a00", "#5b6675", "#7a4b94")


def page_of_run(
    record: Mapping[str, Any],
    history: Mapping[str, Sequence[float]],
    checkup: dict[str, Any] | None,
    breaks: Sequence[str] = (),
) -> str:
    """Returns a run as a whole HTML page.

    Args:
        record: What `run.json` holds.
        history: By name, one number an epoch.
        checkup: What the doctor's `Checkup.to_dict()` returns; None without a doctor.
        breaks: What happened where the run stopped being finite, a sentence each.
    """
    pages = environment()
    body = pages.get_template("run.html").render(
        record=record,
        charts=[chart_of(name, history) for name in names_of(history)],
        breaks=breaks,
        checkup=None if checkup is None else fragment_of(checkup),
    )
    title = f"Run on {record['data']['name']}"
    return pages.get_template("page.html").render(title=title, body=body)


def names_of(history: Mapping[str, Sequence[float]]) -> list[str]:
    """Returns what there is a chart of: each log, together with its validation.

    Example:
        >>> names_of({"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]})
        ['loss']
    """
    return [name for name in history if not name.startswith("val_")]


def chart_of(name: str, history: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Returns a chart of a log and its validation: lines of points within a drawing, and ends.

    Example:
        >>> chart = chart_of("loss", {"loss": [2.0, 1.0], "val_loss": [2.0, 1.5]})
        >>> [line["name"] for line in chart["lines"]], chart["top"], chart["bottom"]
        (['loss', 'val_loss'], '2', '1')
    """
    series = {
        key: [float(value) for value in history[key]]
        for key in (name, f"val_{name}")
        if key in history
    }
    finite = [value for values in series.values() for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    epochs = max(len(values) for values in series.values())

    def point(epoch: int, value: float) -> str:
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * (epoch / max(epochs - 1, 1))
        y = _MARGIN + (_HEIGHT - 2 * _MARGIN) * ((high - value) / ((high - low) or 1.0))
        return f"{x:.1f},{y:.1f}"

    lines = [
        {
            "name": key,
            "color": _COLORS[number],
            "points": " ".join(
                point(epoch, value) for epoch, value in enumerate(values) if math.isfinite(value)
            ),
        }
        for number, (key, values) in enumerate(series.items())
    ]
    return {
        "name": name,
        "lines": lines,
        "top": f"{high:.4g}",
        "bottom": f"{low:.4g}",
        "epochs": epochs,
        "width": _WIDTH,
        "height": _HEIGHT,
        "margin": _MARGIN,
    }
