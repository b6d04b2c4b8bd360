"""One side of a comparison as a process: JSON lines in, JSON lines out.

Started by the harness as `python -m benchmarks.worker TARGET OPTIONS` with the threads in
OMP_NUM_THREADS: the "module:Class" of the side and its arguments as JSON.
Between commands it blocks on its input and uses no processor. It ends when its input does, so no
worker outlives a harness that was killed.

Commands: {"command": "prepare", "job": {...}, "slot": name} → {"steps", "versions", "note"};
{"command": "run", "epochs": n, "slot": name} → {"measures": {name: value}}; {"command": "quit"}.
A failure answers {"error"}. What is prepared replaces what the slot held; there can be several.
"""

import importlib
import importlib.metadata
import json
import os
import re
import sys
import traceback
from typing import Any, TextIO

from benchmarks.job import Job
from benchmarks.peers.base import Side


def _private_stdout() -> TextIO:
    """Keeps the real output for answers; whatever a framework prints goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def _load(target: str, options: dict[str, Any]) -> Side:
    """Imports the side's module and constructs it; here a missing package shows."""
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)(**options)


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of those packages that are there, installed or imported from a source tree."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            if package in sys.modules:
                versions[package] = getattr(sys.modules[package], "__version__", "source tree")
    return versions


def _describe(error: Exception) -> str:
    """One line about an error, without paths: the record is published."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{error.name} is not installed; type: pip install 'evenkeel[bench]'"
    line = next(iter(str(error).strip().splitlines()), "no message")
    return f"{type(error).__name__}: {re.sub(r'/[^ :,)]+', '…', line)[:200]}"


class _Server:
    """Answers commands for one side, which it constructs once for each slot."""

    def __init__(self, target: str, options: dict[str, Any]) -> None:
        self._make = lambda: _load(target, options)
        self._sides: dict[str, Side] = {}

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Does what one command asks; an error becomes the answer."""
        try:
            slot = message["slot"]
            if message["command"] == "prepare":
                return self._prepare(slot, Job(**message["job"]))
            if slot not in self._sides:
                raise RuntimeError("'run' came before 'prepare'")
            return {"measures": self._sides[slot].measure(message["epochs"])}
        except Exception as error:
            traceback.print_exc()
            return {"error": _describe(error)}

    def _prepare(self, slot: str, job: Job) -> dict[str, Any]:
        if slot not in self._sides:
            self._sides[slot] = self._make()
        side = self._sides[slot]
        side.prepare(job)
        return {
            "steps": job.steps,
            "versions": _versions(side.packages),
            "note": side.note,
        }


def main() -> int:
    """Serves one side until told to quit or the input ends."""
    if len(sys.argv) != 3:
        print("Usage: python -m benchmarks.worker MODULE:CLASS OPTIONS-AS-JSON")
        return 2
    answers = _private_stdout()
    server = _Server(sys.argv[1], json.loads(sys.argv[2]))
    # readline, not iteration: iterating may read ahead and delay a command.
    while line := sys.stdin.readline():
        message = json.loads(line)
        if message["command"] == "quit":
            break
        answers.write(json.dumps(server.answer(message)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
