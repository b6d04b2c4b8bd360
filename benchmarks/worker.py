"""One side of a comparison as a process: JSON lines in, JSON lines out.

Started by the harness as `python -m benchmarks.worker SIDE` with the threads in OMP_NUM_THREADS.
Between commands it blocks on its input and uses no processor. It ends when its input does, so no
worker outlives a harness that was killed.

Commands: {"command": "prepare", "job": {...}} → {"steps", "versions", "note"};
{"command": "run", "epochs": n} → {"measures": {name: value}}; {"command": "quit"}. A failure
answers {"error"}.
"""

import importlib
import importlib.metadata
import json
import os
import re
import sys
from typing import Any, TextIO

from benchmarks.job import Job
from benchmarks.peers import BY_NAME, Spec
from benchmarks.peers.base import Side


def _private_stdout() -> TextIO:
    """Keeps the real output for answers; whatever a framework prints goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def _load(spec: Spec) -> Side:
    """Imports the side's module and constructs it; here a missing package shows."""
    module, name = spec.target.split(":")
    return getattr(importlib.import_module(module), name)(**spec.options)


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
    """Answers commands for one side, which it constructs at the first one."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._side: Side | None = None

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Does what one command asks; an error becomes the answer."""
        try:
            if message["command"] == "prepare":
                return self._prepare(Job(**message["job"]))
            if self._side is None:
                raise RuntimeError("'run' came before 'prepare'")
            return {"measures": self._side.measure(message["epochs"])}
        except Exception as error:
            return {"error": _describe(error)}

    def _prepare(self, job: Job) -> dict[str, Any]:
        if self._side is None:
            self._side = _load(self._spec)
        self._side.prepare(job)
        return {
            "steps": job.steps,
            "versions": _versions(self._side.packages),
            "note": self._side.note,
        }


def main() -> int:
    """Serves one side until told to quit or the input ends."""
    if len(sys.argv) != 2 or sys.argv[1] not in BY_NAME:
        print(f"Usage: python -m benchmarks.worker SIDE; sides: {', '.join(BY_NAME)}")
        return 2
    answers = _private_stdout()
    server = _Server(BY_NAME[sys.argv[1]])
    # readline, not iteration: iterating may read ahead and delay a command.
    while line := sys.stdin.readline():
        message = json.loads(line)
        if message["command"] == "quit":
            break
        answers.write(json.dumps(server.answer(message)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
