"""Column blocks inside a compiled stretch: what they bring at each batch size.

One process, our own `fit` only: the job of `step` with the matrices whole and in blocks of several
widths, interleaved. The constants of `evenkeel.engine.layout` rest on this table.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.job import EPOCHS_A_CALL, Job
from benchmarks.step import default_samples

WIDTHS = (0, 96, 128, 160)
"""Columns a block; 0 leaves the matrices whole."""


def prepared(job: Job, width: int) -> Callable[[], float]:
    """Returns a function that trains some epochs and returns microseconds per step.

    The layout is decided when a program is compiled, in the first call, which is made here.
    """
    from benchmarks.peers.evenkeel_side import EvenkeelSide
    from evenkeel.engine import layout

    layout._BLOCK_COLUMNS = width or 10**9
    layout._LARGEST_BATCH = job.batch_size
    side = EvenkeelSide()
    side.prepare(job)
    side.train(1)

    def measure() -> float:
        start = time.perf_counter()
        side.train(EPOCHS_A_CALL)
        return 1e6 * (time.perf_counter() - start) / (EPOCHS_A_CALL * job.steps)

    return measure


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
        rounds: Interleaved rounds.
        batch_sizes: One row of the table each.
        samples: Rows per epoch; None chooses by batch size.
        peers: Must be None: there are none here.
        out: Where the record goes.

    Raises:
        ValueError: If peers are named.
    """
    if peers is not None:
        raise ValueError("it compares our own layouts.\nLeave --peers out.")
    jobs = [Job(batch_size=size, samples=samples or default_samples(size)) for size in batch_sizes]
    table = Table(title=f"Microseconds per step by columns a block, median of {rounds} rounds")
    for heading in ("batch", *("whole" if width == 0 else str(width) for width in WIDTHS)):
        table.add_column(heading, justify="right")
    record: dict[str, dict[str, list[float]]] = {}
    for job in jobs:
        sides = {width: prepared(job, width) for width in WIDTHS}
        times: dict[int, list[float]] = {width: [] for width in WIDTHS}
        for _ in range(rounds):
            for width, measure in sides.items():
                times[width].append(measure())
        table.add_row(str(job.batch_size), *(f"{statistics.median(times[w]):.0f}" for w in WIDTHS))
        record[str(job.batch_size)] = {str(width): values for width, values in times.items()}
    report.write({"claim": "blocks", "machine": report.machine(), "microseconds": record}, out)
    Console().print(table)
