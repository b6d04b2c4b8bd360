"""The claim about depth: compiling does not grow with it, and a step is ahead of the peers.

784 inputs, 10, 100 or 1,000 layers of 100 units with ReLU, ten classes, Nesterov SGD, batch 32. All
sides train the first epoch apart, which compiles, and then take turns. Ours is there twice: as
it is, and with every layer written out. A side that takes too long at a depth is left out there and
at greater ones, and the table says so.
"""

import dataclasses
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness, report
from benchmarks.job import Job
from benchmarks.peers import SPECS, Spec

DEPTHS = (10, 100, 1_000)
UNITS = 100
ROWS = {10: 3200, 100: 1600, 1_000: 320}
PATIENCE = 300.0
"""Seconds that a first epoch may take."""

GROWTH = 1.5
"""P5: 1,000 layers compile within so many times the time of 10."""

AT_LEAST = {"keras-jax": 1.3, "keras-tensorflow": 2.0}
"""P5: how many times our step a peer's takes at 100 layers."""


def sides() -> list[Spec]:
    """Ours, ours with the layers written out, and two peers; without any cache on disk."""
    by_name = {spec.name: spec for spec in SPECS}
    uncached = {"JAX_ENABLE_COMPILATION_CACHE": "false", "EVENKEEL_SELFTEST": "off"}
    ours = by_name["evenkeel"]
    ours = dataclasses.replace(ours, environment={**ours.environment, **uncached})
    written_out = dataclasses.replace(
        ours,
        name="evenkeel-written-out",
        label="evenkeel, layers written out",
        kind="reference",
        options={"stacked": False},
    )
    return [ours, written_out, by_name["keras-jax"], by_name["keras-tensorflow"]]


def measured(specs: Sequence[Spec], job: Job, rounds: int) -> dict[str, dict[str, Any]]:
    """All sides at one depth, each in a process of its own."""
    found: dict[str, dict[str, Any]] = {spec.name: {"label": spec.label} for spec in specs}
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        harness.workers(specs, Path(folder)) as workers,
    ):
        for worker in workers:
            side = found[worker.spec.name]
            print(f"{len(job.widths) - 2} layers, {worker.name}", file=sys.stderr, flush=True)
            try:
                answer = worker.ask("prepare", job=dataclasses.asdict(job), seconds=PATIENCE)
                first = worker.ask("run", epochs=1, seconds=PATIENCE)["measures"]
                side |= {
                    "note": answer["note"],
                    "versions": answer["versions"],
                    "first_epoch_seconds": first["epoch_seconds"],
                    "seconds_per_epoch": [],
                    "loss": first["loss"],
                }
            except harness.WorkerFailedError as failure:
                side["skipped"] = str(failure)
        for _ in range(rounds):
            for worker in workers:
                side = found[worker.spec.name]
                if "skipped" in side:
                    continue
                time.sleep(harness.SETTLE_SECONDS)
                measures = worker.ask("run", epochs=1, seconds=PATIENCE)["measures"]
                side["seconds_per_epoch"].append(measures["epoch_seconds"])
                side["loss"] = measures["loss"]
    for side in found.values():
        if "skipped" not in side:
            median = report.summary(side["seconds_per_epoch"])["median"]
            side["milliseconds_per_step"] = 1e3 * median / job.steps
            side["compile_seconds"] = side["first_epoch_seconds"] - median
    return found


def tables(record: Mapping[str, Any]) -> list[report.Table]:
    """The tables of a record: one of steps and compiling, one of the goals."""
    rows = []
    for depth, by_side in record["depths"].items():
        for side in by_side.values():
            cells = [f"{depth} layers, {side['label']}"]
            if "skipped" in side:
                rows.append([*cells, "-", "-", side["skipped"]])
            else:
                rows.append(
                    [
                        *cells,
                        f"{side['milliseconds_per_step']:.2f}",
                        f"{side['compile_seconds']:.1f}",
                        f"{side['loss']:.3f}",
                    ]
                )
    steps = report.Table(
        title="A step and compiling, by depth",
        headings=["side", "ms a step", "first epoch less a later one, s", "loss"],
        rows=rows,
    )
    goals = report.Table(
        title="P5", headings=["goal", "asked", "measured"], rows=_verdicts(record["depths"])
    )
    return [steps, goals]


def _verdicts(depths: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    shallow, deep = (depths.get(d, {}).get("evenkeel", {}) for d in ("10", "1000"))
    if "compile_seconds" in shallow and "compile_seconds" in deep:
        growth = deep["compile_seconds"] / shallow["compile_seconds"]
        rows.append(["compiling 1,000 layers, to 10", f"≤ {GROWTH}", f"{growth:.2f}"])
    at = depths.get("100", {})
    for name, least in AT_LEAST.items():
        if "milliseconds_per_step" in at.get(name, {}):
            ratio = at[name]["milliseconds_per_step"] / at["evenkeel"]["milliseconds_per_step"]
            label = f"a step of 100 layers, {at[name]['label']} to ours"
            rows.append([label, f"≥ {least}", f"{ratio:.2f}"])
    return rows


def run(
    *,
    rounds: int,
    batch_sizes: Sequence[int],
    samples: int | None,
    peers: Sequence[str] | None,
    out: Path,
) -> None:
    """Measures, prints the tables and writes the record.

    Args:
        rounds: Interleaved rounds after the first epochs.
        batch_sizes: Ignored: the batch is 32, as the goal has it.
        samples: Must be None: each depth has its own rows.
        peers: Names of sides to include beside ours; None includes all.
        out: Where the record goes.

    Raises:
        ValueError: If samples are given.
    """
    if samples is not None:
        raise ValueError("each depth has rows of its own.\nLeave --samples out.")
    machine = report.machine()
    specs = [s for s in sides() if peers is None or s.name in (*peers, "evenkeel")]
    depths: dict[str, Any] = {}
    versions: dict[str, str] = {}
    for depth in DEPTHS:
        job = Job(
            batch_size=32,
            samples=ROWS[depth],
            widths=(784, *[UNITS] * depth, 10),
            activation="relu",
            slowing=float(depth),
        )
        depths[str(depth)] = measured(specs, job, rounds)
        for side in depths[str(depth)].values():
            versions |= side.pop("versions", {})
        specs = [s for s in specs if "skipped" not in depths[str(depth)][s.name]]
    record = {
        "claim": "depth",
        "rounds": rounds,
        "machine": machine,
        "versions": dict(sorted(versions.items())),
        "depths": depths,
    }
    report.write(record, out)
    report.show(tables(record))
