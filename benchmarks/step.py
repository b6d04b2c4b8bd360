"""The claim about speed: microseconds per training step, ours, the peers' and the floor's.

Goals P1 (against the floor) and P2 (against the peers) of the performance page are judged here.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks import floor, harness, report
from benchmarks.job import DESCRIPTION, Job
from benchmarks.peers import SPECS, Spec

FLOOR_GOALS = {32: 1.25, 256: 1.15}
"""P1: our step at most this many floors, by batch size."""

PEER_GOALS_AT = 32
"""P2's factors were set at this batch size; at others a peer only has to be slower than ours."""


def default_samples(batch_size: int) -> int:
    """Rows for an epoch of roughly a fifth of a second: 400 small steps or 100 large ones."""
    return batch_size * (400 if batch_size <= 64 else 100)


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
    """One side of one batch size, with the better of its thread counts.

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


def _floor(results: Iterable[harness.Measured]) -> floor.Floor | None:
    """The floor from its sides' measurements."""
    candidates = {}
    for measured in results:
        if measured.spec.kind == "floor" and not measured.skipped:
            plural = "s" if measured.threads > 1 else ""
            side = f"{measured.spec.name}, {measured.threads} thread{plural}"
            candidates |= {f"{side}: {name}": values for name, values in measured.rounds.items()}
    return floor.assemble(candidates)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """All sides on one job.

    Args:
        job: What they did.
        rows: The training sides, ours first.
        floor: The lower bound, None when nothing could measure it.
        floor_skipped: Sides of the floor that failed, with their reasons.
    """

    job: Job
    rows: Sequence[Row]
    floor: floor.Floor | None
    floor_skipped: dict[str, str]

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
        least = row.spec.least_ratio if self.job.batch_size == PEER_GOALS_AT else 1.0
        return {"id": "P2", "asks": f"≥ {least:g} × ours", "met": ratio >= least}


def compare(job: Job, results: Sequence[harness.Measured]) -> Comparison:
    """Makes a comparison of what was measured on one job."""
    return Comparison(
        job=job,
        rows=_rows(results, job.steps),
        floor=_floor(results),
        floor_skipped={
            m.spec.name: m.skipped for m in results if m.spec.kind == "floor" and m.skipped
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
    """One batch size as the JSON record keeps it."""
    return {
        "samples": comparison.job.samples,
        "steps": comparison.job.steps,
        "floor": comparison.floor.record() if comparison.floor else None,
        "floor_skipped": comparison.floor_skipped,
        "sides": {
            row.spec.name: {
                "label": row.spec.label,
                "kind": row.spec.kind,
                "best_threads": row.best.threads,
                "median_microseconds_per_step": row.median,
                "ratio_to_ours": comparison.ratio_to_ours(row),
                "ratio_to_floor": comparison.ratio_to_floor(row),
                "goal": comparison.goal(row),
                "by_threads": [_attempt_record(row, m) for m in row.attempts],
            }
            for row in comparison.rows
        },
    }


def _two_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _goal_text(goal: dict[str, Any] | None) -> str:
    if goal is None:
        return ""
    return f"{goal['id']} {goal['asks']}: {'met' if goal['met'] else 'missed'}"


def _floor_lines(comparison: Comparison) -> list[tuple[str, str, str]]:
    """The floor's rows: (label, threads and layout, microseconds)."""
    bound = comparison.floor
    if bound is None:
        return [("floor", "not measured", "")]
    speed = bound.bandwidth_bytes_per_second / 1e9
    moved = bound.moved_bytes / 1e6
    return [
        ("matrix products", bound.products_by, f"{bound.products_microseconds:.0f}"),
        (
            f"state, {moved:.2f} MB at {speed:.1f} GB/s",
            bound.bandwidth_by,
            f"{bound.traffic_microseconds:.0f}",
        ),
        ("floor: the sum of both", "", f"{bound.microseconds:.0f}"),
    ]


def _row_cells(comparison: Comparison, row: Row) -> list[str]:
    """A measured side's cells, from the second column on."""
    spread = report.summary(row.microseconds())
    return [
        row.spec.label,
        str(row.best.threads),
        f"{spread['median']:.0f}",
        f"{spread['minimum']:.0f}-{spread['maximum']:.0f}",
        _two_digits(comparison.ratio_to_floor(row)),
        _two_digits(comparison.ratio_to_ours(row)),
        f"{row.best.first['epoch_seconds']:.2f}",
        _two_digits(row.best.first_warm.get("epoch_seconds")),
        _goal_text(comparison.goal(row)),
    ]


def table(comparisons: Iterable[Comparison], rounds: int) -> Table:
    """The one table: a section per batch size, the floor first."""
    made = Table(title=f"Microseconds per training step, median of {rounds} interleaved rounds")
    made.add_column("batch", justify="right")
    made.add_column("side")
    made.add_column("threads")
    for heading in ("µs/step", "min-max", "× floor", "× ours", "1st epoch, s", "warm, s"):
        made.add_column(heading, justify="right")
    made.add_column("goal")
    for comparison in comparisons:
        batch = str(comparison.job.batch_size)
        for label, detail, microseconds in _floor_lines(comparison):
            made.add_row(batch, label, detail, microseconds, style="dim")
        for row in comparison.rows:
            if row.median is None:
                made.add_row(batch, row.spec.label, escape("skipped: " + row.best.skipped))
            else:
                style = "bold" if row.spec.kind == "ours" else None
                made.add_row(batch, *_row_cells(comparison, row), style=style)
        made.add_section()
    return made


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
        rounds: Rounds after the first.
        batch_sizes: One section of the table each.
        samples: Rows per epoch; None chooses by batch size.
        peers: Names of peers and references to include; None includes all.
        out: Where the record goes.

    Raises:
        ValueError: A peer is unknown, or the samples do not divide into batches.
    """
    jobs = [Job(batch_size=size, samples=samples or default_samples(size)) for size in batch_sizes]
    machine = report.machine()
    results, versions = harness.measure_all(chosen_specs(peers), jobs, rounds)
    comparisons = [compare(*pair) for pair in zip(jobs, results, strict=True)]
    record = {
        "claim": "step",
        "job": DESCRIPTION,
        "rounds": rounds,
        "machine": machine,
        "versions": dict(sorted(versions.items())),
        "batch_sizes": {str(c.job.batch_size): _comparison_record(c) for c in comparisons},
    }
    report.write(record, out)
    console = Console()
    # A pipe has no width of its own, and a narrow guess would fold every cell.
    (console if console.is_terminal else Console(width=170)).print(table(comparisons, rounds))
