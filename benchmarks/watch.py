"""The claim about the doctor during `fit`: it costs at most 3 % of a run, also of a short one.

Our own `fit` only, in one process, with the doctor and without, by turns: runs of several sizes
whose programs are compiled, and the first run of a network, whose are not.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report

MOST = 1.03
"""At most so many times the run without a doctor."""

# Rows, columns, units, epochs.
RUNS = {
    "640 x 20, 1 epoch": (640, 20, (50,), 1),
    "640 x 20, 30 epochs": (640, 20, (50,), 30),
    "20,000 x 784, 2 epochs": (20_000, 784, (300, 100), 2),
}


def _network(columns: int, units: Sequence[int]) -> Any:
    import evenkeel as ek

    hidden = [ek.layers.Dense(n, activation="relu", kernel_initializer="he_normal") for n in units]
    model = ek.Sequential([ek.Input((columns,)), *hidden, ek.layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _data(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.Generator(np.random.Philox(0))
    x = draw.normal(size=(rows, columns)).astype(np.float32)
    return x, (x[:, :10].argmax(axis=1)).astype(np.int32)


def compiled_runs(name: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of a run whose programs are there, with the doctor and without."""
    rows, columns, units, epochs = RUNS[name]
    data = _data(rows, columns)
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    model = _network(columns, units)
    settings: dict[str, Any] = {"epochs": epochs, "verbose": 0, "validation_split": 0.1}
    for doctor in ("default", None):
        model.fit(*data, doctor=doctor, **settings)
    for number in range(rounds):
        for side in ("with", "without") if number % 2 else ("without", "with"):
            start = time.perf_counter()
            model.fit(*data, doctor="default" if side == "with" else None, **settings)
            seconds[side].append(time.perf_counter() - start)
    return seconds


def first_runs(rounds: int) -> dict[str, list[float]]:
    """Seconds of the first run of a network that is new, its programs compiled or fetched."""
    data = _data(640, 20)
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(2 * rounds + 2):
        side = "with" if number % 2 else "without"
        model = _network(20, (50,))
        start = time.perf_counter()
        model.fit(*data, epochs=1, verbose=0, doctor="default" if side == "with" else None)
        if number > 1:  # the first of each imports what it needs
            seconds[side].append(time.perf_counter() - start)
    return seconds


def tables(record: Mapping[str, Any]) -> list[report.Table]:
    """The table of a record."""
    rows = []
    for name, found in record["runs"].items():
        a, b = (report.summary(found[side])["median"] for side in ("without", "with"))
        ratio = report.summary(
            [x / y for x, y in zip(found["with"], found["without"], strict=True)]
        )
        spread = f"{ratio['lower_quartile']:.3f}-{ratio['upper_quartile']:.3f}"
        rows.append([name, f"{1e3 * a:.1f}", f"{1e3 * b:.1f}", f"{ratio['median']:.3f}", spread])
    return [
        report.Table(
            title=f"A run that the doctor watches, to one without (at most {MOST})",
            headings=["run", "without, ms", "with, ms", "x without", "quartiles"],
            rows=rows,
        )
    ]


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
        batch_sizes: Not used: batches are of 32 rows.
        samples: Must be None: the sizes of the runs are the claim.
        peers: Must be None: there are none here.
        out: Where the record goes.

    Raises:
        ValueError: If samples or peers are given.
    """
    if samples is not None or peers is not None:
        raise ValueError("the runs' sizes are fixed, and there are no peers.\nLeave both out.")
    import jax

    record: dict[str, Any] = {
        "claim": "watch",
        "rounds": rounds,
        "machine": report.machine(),
        "versions": {"jax": jax.__version__},
        "runs": {},
    }
    for name in RUNS:
        print(name, file=sys.stderr, flush=True)
        record["runs"][name] = compiled_runs(name, rounds)
    record["runs"]["640 x 20, first run"] = first_runs(rounds)
    report.write(record, out)
    report.show(tables(record))
