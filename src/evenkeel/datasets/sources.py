"""Where the rows of a run come from: a built-in data set by its name, or a file by its path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evenkeel.datasets.csv_files import read_csv
from evenkeel.datasets.registry import Dataset, Task, load
from evenkeel.datasets.tables import read_npz
from evenkeel.errors import InvalidArgumentError, explain

_TABLES = (".csv", ".tsv", ".txt")


def is_table(path: Path) -> bool:
    """Whether a file is read as CSV.

    Example:
        >>> is_table(Path("houses.csv")), is_table(Path("houses.npz"))
        (True, False)
    """
    return path.suffix.lower() in _TABLES


def load_data(
    source: str,
    task: Task | None,
    seed: int,
    target: str | None = None,
    drop: Sequence[str] = (),
) -> Dataset:
    """Loads a built-in data set by name, or a CSV or NPZ file by path.

    Args:
        source: The name or the path.
        task: What is to be learned from a file; seen from its targets when None.
        seed: The seed of a file's split into training and test rows.
        target: The column of a CSV file that is to be predicted.
        drop: Its columns that are left out.

    Raises:
        InvalidArgumentError: If there is no such data set or file.

    Example:
        >>> load_data("digits", None, seed=0).task
        'classification'
    """
    path = Path(source)
    is_file = path.is_file()
    if not is_file and (path.suffix == ".npz" or is_table(path)):
        raise InvalidArgumentError(
            explain(f"There is no file {source}.", "Give the path of a CSV or NPZ file.")
        )
    if is_file and is_table(path):
        return read_csv(path, target, task, seed, drop)
    if target is not None or drop:
        raise InvalidArgumentError(
            explain(
                f"--target and --drop name columns of a CSV file, and {source} is none.",
                "Leave them out.",
            )
        )
    return read_npz(path, task, seed) if is_file else load(source)
