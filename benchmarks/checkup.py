"""How long a checkup takes that runs nothing: 60,000 rows of 784, as bytes and as numbers.

The spec's limit is two seconds. The first checkup of a process also imports the rules; it is timed
apart.
"""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import report

ROWS, TEST_ROWS = 60_000, 10_000


def _data() -> dict[str, tuple[Any, ...]]:
    draw = np.random.Generator(np.random.Philox(0))
    x = draw.integers(0, 256, (ROWS + TEST_ROWS, 28, 28), dtype=np.uint8)
    y = draw.integers(0, 10, ROWS + TEST_ROWS)
    numbers = (x.reshape(-1, 784) / 255).astype(np.float32)
    cut = slice(ROWS), slice(ROWS, None)
    return {
        "images, uint8 (60,000, 28, 28)": tuple(part for c in cut for part in (x[c], y[c])),
        "columns, float32 (60,000, 784)": tuple(part for c in cut for part in (numbers[c], y[c])),
    }


def _model(shape: tuple[int, ...], is_raw: bool) -> Any:
    import evenkeel as ek

    model = ek.Sequential(
        [
            ek.layers.Flatten(input_shape=shape),
            ek.layers.Rescaling(1 / 255 if is_raw else 1.0),
            ek.layers.Dense(300, activation="elu", kernel_initializer="he_normal"),
            ek.layers.Dense(100, activation="elu", kernel_initializer="he_normal"),
            ek.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


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
        rounds: How often each checkup is taken.
        batch_sizes: Not used: nothing is trained.
        samples: Not used: the size is that of the limit.
        peers: Must be None: there are none here.
        out: Where the record goes.

    Raises:
        ValueError: If peers are named.
    """
    import evenkeel as ek

    del batch_sizes, samples
    if peers is not None:
        raise ValueError("it measures our own checkup.\nLeave --peers out.")
    table = Table(title=f"Seconds of a checkup at depth static, median of {rounds} rounds")
    for heading in ("data", "first of the process", "median", "slowest", "findings"):
        table.add_column(heading, justify="right")
    record: dict[str, list[float]] = {}
    for name, (x, y, x_test, y_test) in _data().items():
        model = _model(x.shape[1:], x.dtype == np.uint8)
        times = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            result = ek.checkup(model, x, y, validation_data=(x_test, y_test), epochs=10)
            times.append(time.perf_counter() - start)
        first, *others = times
        record[name] = times
        table.add_row(
            name,
            f"{first:.3f}",
            f"{statistics.median(others):.3f}",
            f"{max(others):.3f}",
            str(len(result.findings)),
        )
    report.write({"claim": "checkup", "machine": report.machine(), "seconds": record}, out)
    Console().print(table)
