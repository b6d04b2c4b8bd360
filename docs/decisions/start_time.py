"""Measures decision 0007: how long the command line takes to start, by what it is written in.

Both libraries must be installed. Each measurement is a fresh interpreter; the median of
interleaved rounds is printed as a ratio to a bare interpreter.

Run: python docs/decisions/start_time.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15
PROGRAMS = {
    "a bare interpreter": "pass",
    "import click": "import click",
    "import typer": "import typer",
    "evenkeel --help": "from evenkeel.cli import main; main(['--help'])",
}


def seconds_of(program: str) -> float:
    """Returns how long a fresh interpreter takes for a program."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Prints one line for each program."""
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(ROUNDS):
        for name, program in PROGRAMS.items():
            seconds[name].append(seconds_of(program))
    base = statistics.median(seconds["a bare interpreter"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:20} {median / base:.1f} bare interpreters, {median:.2f} s")


if __name__ == "__main__":
    main()
