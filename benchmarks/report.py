"""From raw times to a record, and from a record to tables: for the terminal and for a page.

A record names processor and versions, never a host, a user or a path.
"""

import dataclasses
import json
import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rich.table
from rich.console import Console
from rich.markup import escape

from benchmarks.harness import cores


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and spread: minimum, quartiles (inclusive), maximum."""
    if len(values) == 1:
        values = [values[0], values[0]]
    lower, middle, upper = statistics.quantiles(values, n=4, method="inclusive")
    return {
        "minimum": min(values),
        "lower_quartile": lower,
        "median": middle,
        "upper_quartile": upper,
        "maximum": max(values),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a record, as text: what is printed after a run and what stands on a page.

    Args:
        title: What it shows.
        headings: One for each column; the first column is text, the others are numbers.
        rows: The cells, row by row.
        bold: Numbers of the rows to stress.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    bold: Sequence[int] = ()

    def markdown(self) -> str:
        """The table as Markdown, its title as a line above it."""
        lines = [
            self.title + ":",
            "",
            _markdown_row(self.headings),
            _markdown_row(["---"] * len(self.headings)),
        ]
        for number, cells in enumerate(self.rows):
            stress = "**" if number in self.bold else ""
            lines.append(_markdown_row([f"{stress}{cells[0]}{stress}", *cells[1:]]))
        return "\n".join(lines)

    def rich(self) -> rich.table.Table:
        """The table for a terminal."""
        made = rich.table.Table(title=self.title)
        for number, heading in enumerate(self.headings):
            made.add_column(heading, justify="right" if number else "left")
        for number, cells in enumerate(self.rows):
            style = "bold" if number in self.bold else None
            made.add_row(*map(escape, cells), style=style)
        return made


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def show(tables: Sequence[Table]) -> None:
    """Prints tables after a run."""
    console = Console()
    # A pipe has no width of its own, and a narrow guess would fold every cell.
    console = console if console.is_terminal else Console(width=170)
    for table in tables:
        console.print(table.rich())


def read(path: Path) -> dict[str, Any]:
    """Reads a record."""
    return json.loads(path.read_text(encoding="utf-8"))


def provenance(record: Mapping[str, Any]) -> str:
    """One sentence about where a record comes from: rounds, hardware, versions."""
    machine, versions = record["machine"], record["versions"]
    gpu = f", {machine['gpu']}" if machine.get("gpu", "none") != "none" else ""
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Median of {record['rounds']} rounds on {machine['cores']} cores "
        f"({machine['processor']}{gpu}), Python {machine['python']}, {names}."
    )


def processor() -> str:
    """The processor's model name, from /proc/cpuinfo where there is one."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """The hardware and how busy it was: with a load near the core count, distrust the times."""
    return {
        "processor": processor(),
        "cores": cores(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_average_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def write(record: Mapping[str, Any], path: Path) -> None:
    """Writes a record as indented JSON, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
