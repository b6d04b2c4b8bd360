"""From raw times to a record: medians, spread, the machine, and the JSON file.

A record names processor and versions, never a host, a user or a path.
"""

import json
import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
