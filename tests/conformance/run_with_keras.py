"""Runs the 64 cells with Keras itself, and says whether it refuses those that `cells.py` says.

A cell that Keras runs was written down right, and a cell that it refuses is one where evenkeel
runs more than Keras of today. The pictures are the stand-in of `notebook.py`: no cell is refused
for what its pictures show, and nothing is downloaded.

Run: python -m tests.conformance.run_with_keras
It needs the extra `bench` and pandas, prints one line a cell, and takes about a minute. Keras
3.15.1 runs 59 of the 64 cells on JAX; with KERAS_BACKEND=tensorflow it runs 60.
"""

from __future__ import annotations

import os
import sys
from unittest import mock

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from tests.conformance.cells import CELLS
from tests.conformance.notebook import Notebook, Record, stand_in_pictures


def outcome_of(record: Record) -> str:
    """Returns "runs", or the first line with which Keras refuses."""
    if record.error is None:
        return "runs"
    lines = str(record.error).strip().splitlines() or [""]
    return f"{type(record.error).__name__}: {lines[0]}"


def is_as_recorded(record: Record) -> bool:
    """Whether Keras runs or refuses a cell as `cells.py` says."""
    expected = record.cell.keras_says.get(keras.config.backend())
    if expected is None or record.error is None:
        return expected is None and record.error is None
    return expected in str(record.error)


def main() -> int:
    """Runs and compares; returns the number of cells that behave otherwise than recorded."""
    notebook = Notebook("tensorflow")
    with mock.patch("keras.datasets.fashion_mnist.load_data", stand_in_pictures):
        notebook.run(cell.number for cell in CELLS)
    records = notebook.records.values()
    for record in records:
        mark = " " if is_as_recorded(record) else "!"
        print(f"{mark} In [{record.cell.number}]  {outcome_of(record)}")
    running = sum(record.error is None for record in records)
    others = sum(not is_as_recorded(record) for record in records)
    print(
        f"Keras {keras.__version__} on {keras.config.backend()} runs {running} of {len(CELLS)} "
        f"cells; {others} behave otherwise than recorded."
    )
    return others


if __name__ == "__main__":
    sys.exit(main())
