"""The claim about telemetry: what looking inside a run costs, and that it grows with its steps.

Our own `fit` only, in one process. First the job of `step` at several lengths of a run, with each
level of telemetry, interleaved; then a small network with up to 200,000 steps, whose time and
record must grow no faster than its steps.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.job import Job, images_and_labels

LEVELS = ("off", "economy", "full")
STEPS = (64, 512, 2048)
LONG_RUNS = (1_000, 10_000, 200_000)
MOST = 1.03
"""P3: at most so many times the run without telemetry."""


def _network(inputs: int, hidden: Sequence[int], level: str) -> Any:
    import evenkeel as ek

    layers = [ek.layers.Dense(units, activation="elu") for units in hidden]
    model = ek.Sequential([ek.Input((inputs,)), *layers, ek.layers.Dense(10, "softmax")])
    optimizer = ek.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], telemetry=level
    )
    return model


def _run_of(
    model: Any, x: np.ndarray, y: np.ndarray, batch_size: int, epochs: int
) -> Callable[[], tuple[float, int]]:
    """Returns a function that trains; it gives seconds and the number of samples."""

    def measure() -> tuple[float, int]:
        start = time.perf_counter()
        history = model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)
        return time.perf_counter() - start, len(history.telemetry)

    measure()
    return measure


def levels(batch_size: int, steps: int, rounds: int) -> dict[str, Any]:
    """One length of run at every level: seconds of each round, and samples."""
    x, y = images_and_labels(Job(batch_size=batch_size, samples=batch_size * steps))
    x = x.reshape(len(x), -1)
    runs = {
        level: _run_of(_network(784, (300, 100), level), x, y, batch_size, 1) for level in LEVELS
    }
    seconds: dict[str, list[float]] = {level: [] for level in LEVELS}
    samples = {}
    for number in range(rounds):
        # The one after whom a run comes matters on a small machine: the order turns round.
        for level in LEVELS if number % 2 else reversed(LEVELS):
            taken, samples[level] = runs[level]()
            seconds[level].append(taken)
    return {
        level: {
            "microseconds_per_step": [1e6 * s / steps for s in seconds[level]],
            "samples": samples[level],
            "ratio_to_off": report.summary(
                [a / b for a, b in zip(seconds[level], seconds["off"], strict=True)]
            ),
        }
        for level in LEVELS
    }


def long_run(steps: int, rounds: int) -> dict[str, Any]:
    """A run of so many steps of a small network, with and without telemetry."""
    generator = np.random.Generator(np.random.Philox(key=0))
    x = generator.random((16_000, 16), dtype=np.float32)
    y = (10 * x[:, 0]).astype(np.int32)
    epochs = max(1, steps // 1000)
    found: dict[str, Any] = {"epochs": epochs}
    runs = {
        level: _run_of(_network(16, (16,), level), x, y, 16, epochs) for level in ("off", "full")
    }
    found |= {level: {"microseconds_per_step": [], "samples": 0} for level in runs}
    for _ in range(rounds):
        for level, measure in runs.items():
            taken, found[level]["samples"] = measure()
            found[level]["microseconds_per_step"].append(1e6 * taken / (epochs * 1000))
    return found


def tables(record: Mapping[str, Any]) -> list[report.Table]:
    """The tables of a record: levels by length of run, and long runs."""
    rows = []
    for name, by_level in record["levels"].items():
        for level, found in by_level.items():
            median = report.summary(found["microseconds_per_step"])["median"]
            ratio = found["ratio_to_off"]
            spread = f"{ratio['lower_quartile']:.3f}-{ratio['upper_quartile']:.3f}"
            cells = [f"{name}, {level}", f"{median:.0f}", f"{found['samples']}"]
            rows.append([*cells, f"{ratio['median']:.3f}", spread if level != "off" else ""])
    first = report.Table(
        title=f"A run with telemetry, to one without (P3: at most {MOST})",
        headings=["run, level", "µs a step", "samples", "× off", "quartiles"],
        rows=rows,
    )
    rows = []
    for steps, found in record["long_runs"].items():
        off, full = (
            report.summary(found[level]["microseconds_per_step"])["median"]
            for level in ("off", "full")
        )
        samples = found["full"]["samples"]
        rows.append([f"{int(steps):,}", f"{off:.1f}", f"{full:.1f}", f"{samples}"])
    second = report.Table(
        title="A long run of a 16-16-10 network, batch 16",
        headings=["steps", "off, µs a step", "full, µs a step", "samples kept"],
        rows=rows,
    )
    return [first, second]


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
        rounds: Interleaved rounds.
        batch_sizes: Of the first table.
        samples: Must be None: the lengths of the runs are the claim.
        peers: Must be None: there are none here.
        out: Where the record goes.

    Raises:
        ValueError: If samples or peers are given.
    """
    if samples is not None or peers is not None:
        raise ValueError("the runs' lengths are fixed, and there are no peers.\nLeave both out.")
    import jax

    record: dict[str, Any] = {
        "claim": "telemetry",
        "rounds": rounds,
        "machine": report.machine(),
        "versions": {"jax": jax.__version__},
        "levels": {},
        "long_runs": {},
    }
    for batch_size in batch_sizes:
        for steps in STEPS:
            name = f"batch {batch_size}, {steps} steps"
            print(name, file=sys.stderr, flush=True)
            record["levels"][name] = levels(batch_size, steps, rounds)
    for steps in LONG_RUNS:
        print(f"{steps} steps", file=sys.stderr, flush=True)
        # One turn of the longest takes as long as many of the shortest.
        record["long_runs"][str(steps)] = long_run(steps, max(1, min(rounds, 400_000 // steps)))
    report.write(record, out)
    report.show(tables(record))
