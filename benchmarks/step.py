"""The claim about speed: microseconds per training step, ours, the peers' and the floor's.

Goals P1 (against the floor) and P2 (against the peers) of the performance page are judged here.
"""

import argparse
import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import floor, harness, report
from benchmarks.job import DESCRIPTION, LABELS, OPTIMIZERS, Job, OptimizerName
from benchmarks.peers import SPECS, Spec

FLOOR_GOALS = {32: 1.25, 256: 1.15}
"""P1: our step at most this many floors, by batch size."""


def default_samples(batch_size: int) -> int:
    """Rows for an epoch of roughly a fifth of a second: 400 small steps or 100 large ones."""
    return batch_size * (400 if batch_size <= 64 else 100)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this claim."""
    parser.add_argument(
        "--optimizers", nargs="+", choices=OPTIMIZERS, default=list(OPTIMIZERS), help="all of them"
    )


def chosen_specs(peers: Sequence[str] | None) -> list[Spec]:
    """Ours, the floor, and the named peers and references (all of them when None).

    Raises:
        ValueError: A name is unknown.
    """
    optional = [spec.name for spec in SPECS if spec.kind in ("peer", "reference")]
    wanted = optional if peers is None else [name.strip() for name in peers]
    unknown = [name for name in wanted if name not in optional]
    if unknown:
        near = [difflib.get_close_matches(name, optional, n=1) for name in wanted]
        fixed = ",".join(match[0] for match in near if match) or "keras-jax,torch-compiled"
        raise ValueError(
            f"there is no peer named {', '.join(map(repr, unknown))}; "
            f"the peers are: {', '.join(optional)}.\nType --peers {fixed}"
        )
    return [spec for spec in SPECS if spec.kind in ("ours", "floor") or spec.name in wanted]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One side of one job, with the better of its thread counts.

    Args:
        spec: The side.
        best: The fastest of its workers; any of them when all were skipped.
        attempts: All of its workers.
        steps: Steps per epoch.
    """

    spec: Spec
    best: harness.Measured
    attempts: Sequence[harness.Measured]
    steps: int

    def microseconds(self, measured: harness.Measured | None = None) -> list[float]:
        """Microseconds per step, one value per round; empty when skipped."""
        measured = measured or self.best
        return [1e6 * s / self.steps for s in measured.rounds.get("epoch_seconds", ())]

    @property
    def median(self) -> float | None:
        """Median microseconds per step of the better thread count."""
        values = self.microseconds()
        return None if self.best.skipped or not values else report.summary(values)["median"]


def _rows(results: Iterable[harness.Measured], steps: int) -> list[Row]:
    """Groups the training sides' results by side."""
    by_name: dict[str, list[harness.Measured]] = {}
    for measured in results:
        if measured.spec.kind != "floor":
            by_name.setdefault(measured.spec.name, []).append(measured)
    return [
        Row(spec=group[0].spec, best=min(group, key=_speed_key), attempts=group, steps=steps)
        for group in by_name.values()
    ]


def _speed_key(measured: harness.Measured) -> tuple[bool, float]:
    """Orders by median epoch, skipped ones last."""
    values = measured.rounds.get("epoch_seconds")
    return bool(measured.skipped), report.summary(values)["median"] if values else 0.0


def _floor(job: Job, results: Iterable[harness.Measured]) -> floor.Floor | None:
    """The floor from its sides' measurements."""
    candidates = {}
    for measured in results:
        if measured.spec.kind == "floor" and not measured.skipped:
            plural = "s" if measured.threads > 1 else ""
            side = f"{measured.spec.name}, {measured.threads} thread{plural}"
            candidates |= {f"{side}: {name}": values for name, values in measured.rounds.items()}
    return floor.assemble(job, candidates)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """All sides on one job.

    Args:
        job: What they did.
        rows: The training sides, ours first.
        floor: The lower bound, None when nothing could measure it.
        floor_notes: What the sides of the floor computed with, or why they failed.
    """

    job: Job
    rows: Sequence[Row]
    floor: floor.Floor | None
    floor_notes: dict[str, str]

    @property
    def ours(self) -> float | None:
        """Our median, None when we were skipped."""
        return next((row.median for row in self.rows if row.spec.kind == "ours"), None)

    def ratio_to_ours(self, row: Row) -> float | None:
        """How many times our step this side's takes."""
        return row.median / self.ours if row.median and self.ours else None

    def ratio_to_floor(self, row: Row) -> float | None:
        """How many floors this side's step takes."""
        return row.median / self.floor.microseconds if row.median and self.floor else None

    def goal(self, row: Row) -> dict[str, Any] | None:
        """What the performance page asks of this row and whether it is met; None when nothing.

        Our own row is compared with the floor (P1), a peer's with ours (P2).
        """
        if row.spec.kind == "ours":
            limit, ratio = FLOOR_GOALS.get(self.job.batch_size), self.ratio_to_floor(row)
            if limit is None or ratio is None:
                return None
            return {"id": "P1", "asks": f"≤ {limit} × floor", "met": ratio <= limit}
        ratio = self.ratio_to_ours(row)
        if row.spec.kind != "peer" or ratio is None:
            return None
        least = row.spec.least_ratio
        return {"id": "P2", "asks": f"≥ {least:g} × ours", "met": ratio >= least}


def compare(job: Job, results: Sequence[harness.Measured]) -> Comparison:
    """Makes a comparison of what was measured on one job."""
    return Comparison(
        job=job,
        rows=_rows(results, job.steps),
        floor=_floor(job, results),
        floor_notes={
            f"{m.spec.name}, {m.threads}": m.skipped or m.note
            for m in results
            if m.spec.kind == "floor"
        },
    )


def _attempt_record(row: Row, measured: harness.Measured) -> dict[str, Any]:
    """One worker's raw numbers."""
    if measured.skipped:
        return {"threads": measured.threads, "skipped": measured.skipped}
    microseconds = row.microseconds(measured)
    return {
        "threads": measured.threads,
        "note": measured.note,
        "first_epoch_seconds": measured.first["epoch_seconds"],
        "first_epoch_seconds_warm_cache": measured.first_warm.get("epoch_seconds"),
        "microseconds_per_step": microseconds,
        **report.summary(microseconds),
        "loss": measured.rounds["loss"],
    }


def _comparison_record(comparison: Comparison) -> dict[str, Any]:
    """One job as the JSON record keeps it."""
    return {
        "optimizer": comparison.job.optimizer,
        "batch_size": comparison.job.batch_size,
        "samples": comparison.job.samples,
        "steps": comparison.job.steps,
        "floor": comparison.floor.record() if comparison.floor else None,
        "floor_notes": comparison.floor_notes,
        "sides": {
            row.spec.name: {
                "label": row.spec.label,
                "kind": row.spec.kind,
                "best_threads": row.best.threads,
                "median_microseconds_per_step": row.median,
                "spread": _spread(row),
                "skipped": row.best.skipped,
                "ratio_to_ours": comparison.ratio_to_ours(row),
                "ratio_to_floor": comparison.ratio_to_floor(row),
                "goal": comparison.goal(row),
                "by_threads": [_attempt_record(row, m) for m in row.attempts],
            }
            for row in comparison.rows
        },
    }


def _spread(row: Row) -> float | None:
    """How far the rounds lie apart, as a fraction of their median."""
    values = row.microseconds()
    return (max(values) - min(values)) / row.median if row.median else None


def tables(record: Mapping[str, Any]) -> list[report.Table]:
    """The tables of a record: one for each optimizer, and the first epochs."""
    jobs = record["jobs"]
    by_optimizer = {
        name: [job for job in jobs if job["optimizer"] == name]
        for name in dict.fromkeys(job["optimizer"] for job in jobs)
    }
    return [*(_table(*item) for item in by_optimizer.items()), _first_epochs(jobs[0])]


def _table(optimizer: str, jobs: Sequence[Mapping[str, Any]]) -> report.Table:
    """One optimizer: the floor and its parts, then every side, with the batch sizes abreast."""
    headings = ["side"]
    for job in jobs:
        headings += [f"batch {job['batch_size']}: µs", "spread", "× floor", "× ours", "goal"]
    names = list(dict.fromkeys(name for job in jobs for name in job["sides"]))
    rows = [*_floor_rows(jobs), *(_side_row(name, jobs) for name in names)]
    bold = [n + len(rows) - len(names) for n, name in enumerate(names) if name == "evenkeel"]
    return report.Table(
        title=f"Microseconds per training step, {LABELS[optimizer]}",
        headings=headings,
        rows=rows,
        bold=bold,
    )


def _floor_rows(jobs: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    parts = {
        "matrix products": "products_microseconds",
        "state through memory": "traffic_microseconds",
        "the floor": "microseconds_per_step",
    }
    rows = []
    for label, key in parts.items():
        row = [label]
        for job in jobs:
            value = f"{job['floor'][key]:.0f}" if job["floor"] else "-"
            row += [value, "", "1.00" if label == "the floor" else "", "", ""]
        rows.append(row)
    return rows


def _side_row(name: str, jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    row = [next(job["sides"][name]["label"] for job in jobs if name in job["sides"])]
    for job in jobs:
        side = job["sides"].get(name)
        if side is None or side["median_microseconds_per_step"] is None:
            row += ["-", "", "", "", side["skipped"] if side else ""]
            continue
        row += [
            f"{side['median_microseconds_per_step']:.0f}",
            f"{100 * side['spread']:.0f} %",
            _two_digits(side["ratio_to_floor"]),
            _two_digits(side["ratio_to_ours"]),
            _goal_text(side["goal"]),
        ]
    return row


def _first_epochs(job: Mapping[str, Any]) -> report.Table:
    """What compiling costs: the first epoch with all caches empty, and with them filled."""
    rows = []
    for side in job["sides"].values():
        best = next(a for a in side["by_threads"] if a["threads"] == side["best_threads"])
        if "skipped" not in best:
            warm = best["first_epoch_seconds_warm_cache"]
            rows.append([side["label"], f"{best['first_epoch_seconds']:.2f}", _two_digits(warm)])
    batch = job["batch_size"]
    return report.Table(
        title=f"Seconds of the first epoch, {LABELS[job['optimizer']]}, batch {batch}",
        headings=["side", "caches empty", "caches filled"],
        rows=rows,
    )


def _two_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _goal_text(goal: Mapping[str, Any] | None) -> str:
    if goal is None:
        return ""
    return f"{goal['id']} {goal['asks']}: {'met' if goal['met'] else 'missed'}"


def run(
    *,
    rounds: int,
    batch_sizes: Sequence[int],
    samples: int | None,
    peers: Sequence[str] | None,
    out: Path,
    optimizers: Sequence[OptimizerName] = OPTIMIZERS,
) -> None:
    """Measures, prints the tables and writes the record.

    Args:
        rounds: Rounds after the first.
        batch_sizes: Columns of the tables.
        samples: Rows per epoch; None chooses by batch size.
        peers: Names of peers and references to include; None includes all.
        out: Where the record goes.
        optimizers: One table each.

    Raises:
        ValueError: A peer is unknown, or the samples do not divide into batches.
    """
    jobs = [
        Job(batch_size=size, samples=samples or default_samples(size), optimizer=optimizer)
        for optimizer in optimizers
        for size in batch_sizes
    ]
    machine = report.machine()
    results, versions = harness.measure_all(chosen_specs(peers), jobs, rounds)
    comparisons = [compare(*pair) for pair in zip(jobs, results, strict=True)]
    record = {
        "claim": "step",
        "job": DESCRIPTION,
        "rounds": rounds,
        "machine": machine,
        "versions": dict(sorted(versions.items())),
        "jobs": [_comparison_record(comparison) for comparison in comparisons],
    }
    report.write(record, out)
    report.show(tables(record))
