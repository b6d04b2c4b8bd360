"""The claim about memory: the most that a whole process holds, the data among it.

Goal P10 of the performance page is judged here. It asks for no more than the data once, the
parameters and the optimizer's state, a batch of activations, and 400 MB for Python, NumPy and the
compiler. What counts:

- the data are the user's arrays in the type in which they are given, and the copy that float64
  needs, because the network computes in float32;
- the parameters are counted four times, which the state before an epoch (to which a run
  returns) and Adam's slots are; then four times more, which is the copy that an epoch works on.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import fitting, report

LONGEST_SECONDS = 600.0
RUNTIME = 400e6 / fitting.MIB
"""Goal P10's allowance for everything that is not the job's, in MiB."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a process does: which side, with which data.

    Args:
        side: A name in `fitting.SIDES`.
        data: A name in `fitting.DATA`.
        act: `fit`, `evaluate` or `predict`.
    """

    side: str
    data: str
    act: str = "fit"

    @property
    def name(self) -> str:
        """What the record calls it."""
        return f"{self.side}/{self.act}/{self.data}"

    @property
    def label(self) -> str:
        """What the table calls it."""
        made = fitting.DATA[self.data]
        if made is None:
            return "import evenkeel, one compiled addition"
        kind, shape = made
        place = ", a mapped file" if self.data == "mapped" else ""
        rows = " x ".join(f"{n:,}" for n in shape)
        return f"{self.side} {self.act}, {np.dtype(kind).name} {rows}{place}"

    @property
    def most(self) -> float:
        """Goal P10 in MiB."""
        made = fitting.DATA[self.data]
        if made is None:
            return RUNTIME
        kind, shape = made
        elements, columns = int(np.prod(shape)), int(np.prod(shape[1:]))
        data = elements * (np.dtype(kind).itemsize + (4 if kind is np.float64 else 0))
        # One class number a row, and a number for each of the outputs where they are the answer.
        data += shape[0] * 4 + (shape[0] * fitting.CLASSES * 4 if self.act == "predict" else 0)
        state = 4 * fitting.parameters(columns) * (8 if self.act == "fit" else 1)
        batch = 4 * fitting.BATCH * (2 * columns + 4 * sum(fitting.HIDDEN))
        return RUNTIME + (data + state + batch) / fitting.MIB


CASES = (
    Case(side="evenkeel", data="none"),
    *(Case(side="evenkeel", data=data) for data in fitting.DATA if data != "none"),
    *(Case(side="evenkeel", data="float32", act=act) for act in ("evaluate", "predict")),
    *(
        Case(side=side, data=data)
        for side in fitting.SIDES
        if side != "evenkeel"
        for data in ("uint8", "float32", "table")
    ),
)


def measured(case: Case, folder: str) -> dict[str, float]:
    """Runs a case in a process of its own; returns MiB before the act and at the peak.

    Raises:
        RuntimeError: The process failed or took longer than 600 seconds.
    """
    path = [str(Path(folder) / "table.npy")] if case.data == "mapped" else []
    environment = dict(os.environ) | {
        "KERAS_BACKEND": case.side.removeprefix("keras-") if "keras" in case.side else "jax",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "EVENKEEL_CACHE": folder,
    }
    try:
        process = subprocess.run(
            [sys.executable, "-m", "benchmarks.fitting", case.side, case.data, case.act, *path],
            capture_output=True,
            check=True,
            cwd=Path(__file__).parent.parent,
            env=environment,
            text=True,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["nothing was printed"])[-1]
        raise RuntimeError(f"ended with status {error.returncode}: {reason}") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"took longer than {LONGEST_SECONDS:g} s") from None
    return json.loads(process.stdout.strip().splitlines()[-1])


def _side_record(case: Case, runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    spread = report.summary([run["peak"] for run in runs])
    before = report.summary([run["before"] for run in runs])["median"]
    found = {"label": case.label, "before": before, **spread}
    if case.side == "evenkeel":
        asks = round(case.most, 1)
        found["goal"] = {"id": "P10", "asks": asks, "met": spread["median"] <= case.most}
    return found


def tables(record: Mapping[str, Any]) -> list[report.Table]:
    """The table of a record."""
    rows, bold = [], []
    for name, side in record["sides"].items():
        if name.startswith("evenkeel"):
            bold.append(len(rows))
        if "skipped" in side:
            rows.append([side["label"], f"skipped: {side['skipped']}", "", "", ""])
            continue
        goal = side.get("goal")
        rows.append(
            [
                side["label"],
                f"{side['median']:,.0f}",
                f"{side['median'] - side['before']:,.0f}",
                f"{goal['asks']:,.0f}" if goal else "",
                ("met" if goal["met"] else "missed") if goal else "",
            ]
        )
    headings = ("process", "peak MiB", "of which the act added", "P10: at most", "verdict")
    title = "The most memory that a whole process held"
    return [report.Table(title=title, headings=headings, rows=rows, bold=bold)]


def _chosen(peers: Sequence[str] | None) -> list[Case]:
    known = [side for side in fitting.SIDES if side != "evenkeel"]
    unknown = [name for name in peers or [] if name not in [*known, "none"]]
    if unknown:
        raise ValueError(
            f"there is no peer named {', '.join(map(repr, unknown))}; the peers are: "
            f"{', '.join(known)}.\nType --peers {','.join(known)}, or --peers none"
        )
    return [c for c in CASES if c.side == "evenkeel" or peers is None or c.side in peers]


def _versions() -> dict[str, str]:
    found = {}
    for package in ("evenkeel", "jax", "jaxlib", "keras", "tensorflow", "torch", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def run(
    *,
    rounds: int,
    batch_sizes: Sequence[int],
    samples: int | None,
    peers: Sequence[str] | None,
    out: Path,
) -> None:
    """Measures, prints the table and writes the record.

    Args:
        rounds: How often each process runs.
        batch_sizes: Left out of account: all train at 32.
        samples: Left out of account: the sizes are part of the claim.
        peers: Names of peers to include; None includes all, `none` none.
        out: Where the record goes.

    Raises:
        ValueError: A peer is unknown.
    """
    cases, machine = _chosen(peers), report.machine()
    runs: dict[Case, list[dict[str, float]]] = {case: [] for case in cases}
    skipped: dict[Case, str] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for _ in range(rounds):
            for case in cases:
                try:
                    runs[case].append(measured(case, folder))
                except RuntimeError as error:
                    skipped[case] = str(error)
    record = {
        "claim": "memory",
        "unit": "MiB resident at the peak of a process",
        "rounds": rounds,
        "machine": machine,
        "versions": _versions(),
        "sides": {
            case.name: _side_record(case, runs[case])
            if runs[case]
            else {"label": case.label, "skipped": skipped[case]}
            for case in cases
        },
    }
    report.write(record, out)
    report.show(tables(record))
