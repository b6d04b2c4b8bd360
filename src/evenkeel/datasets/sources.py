"""Where the rows of a run come from: a built-in data set by its name, or a file by its path."""

from __future__ import annotations

from pathlib import Path

from evenkeel.datasets.registry import Dataset, Task, load
from evenkeel.datasets.tables import read_npz
from evenkeel.errors import InvalidArgumentError, explain


def load_data(source: str, task: Task | None, seed: int) -> Dataset:
    """Loads a built-in data set by name, or an NPZ file by path.

    Args:
        source: The name or the path.
        task: What is to be learned from a file; seen from its `y` when None.
        seed: The seed of a file's split into training and test rows.

    Raises:
        InvalidArgumentError: If there is no such data set or file.

    Example:
        >>> load_data("digits", None, seed=0).task
        'classification'
    """
    path = Path(source)
    if path.suffix == ".npz" or path.is_file():
        if not path.is_file():
            raise InvalidArgumentError(
                explain(f"There is no file {source}.", "Give the path of an NPZ file.")
            )
        return read_npz(path, task, seed)
    return load(source)
