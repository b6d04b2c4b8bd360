"""Data of the user's own: an NPZ file with x and y."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from evenkeel.datasets.registry import Dataset, Task
from evenkeel.datasets.splitting import split_rows
from evenkeel.errors import InvalidArgumentError, InvalidDataError, explain, nearest

_TEST_FRACTION = 0.2
# Whole numbers with at most this many different values are taken to be classes.
_MOST_CLASSES = 100


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of an NPZ file. No code in it is run.

    Raises:
        InvalidDataError: If it is no NPZ file, or holds Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise InvalidDataError(
            explain(
                f"{path} cannot be read as an NPZ file of numbers ({error}).",
                "Write one with np.savez(path, x=x, y=y).",
            )
        ) from None


def read_npz(path: Path, task: Task | None = None, seed: int = 0) -> Dataset:
    """Reads a data set from an NPZ file.

    Args:
        path: A file with `x` and `y`; where it also has `x_test` and `y_test`, or the row
            numbers `test_rows`, these are the test, and else a fifth of the rows, drawn by the
            seed (stratified by class).
        task: What is to be learned. When None, whole numbers from 0 with at most 100 values are
            classes, and everything else is a regression.
        seed: The seed of the split.

    Raises:
        InvalidDataError: If `x` or `y` is missing or they do not belong together.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "squares.npz"
        >>> np.savez(path, x=np.arange(10.0)[:, None], y=np.arange(10.0) ** 2)
        >>> data = read_npz(path)
        >>> data.task, len(data.x_train), len(data.x_test)
        ('regression', 8, 2)
    """
    arrays = read_arrays(path)
    for name in ("x", "y"):
        if name not in arrays:
            raise InvalidDataError(
                explain(
                    f"{path} has no array {name!r}. {nearest(name, arrays) if arrays else ''}",
                    "Write the file with np.savez(path, x=x, y=y).",
                )
            )
    x, y = arrays["x"], _flat_targets(arrays["y"])
    if len(x) != len(y) or len(x) < 2:
        raise InvalidDataError(
            explain(
                f"{path}: x has {len(x)} rows and y has {len(y)}; expected equally many, and at "
                "least 2.",
                "Write both with as many rows.",
            )
        )
    task = task or _task_of(y)
    if task == "classification":
        _refuse_no_classes(path, y)
        y = y.astype(np.int64)
    x_train, y_train, x_test, y_test = _split(arrays, x, y, task, seed)
    return Dataset(
        name=path.stem,
        task=task,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        pixel_range=255.0 if x.dtype == np.uint8 else None,
    )


def _split(
    arrays: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray, task: Task, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    if "x_test" in arrays and "y_test" in arrays:
        return x, y, arrays["x_test"], _flat_targets(arrays["y_test"]).astype(y.dtype)
    if "test_rows" in arrays:
        rows = arrays["test_rows"]
        rows = rows[0] if rows.ndim == 2 else rows
        is_test = np.zeros(len(x), bool)
        is_test[rows.astype(bool) if rows.dtype == bool else rows.astype(np.int64)] = True
        return x[~is_test], y[~is_test], x[is_test], y[is_test]
    return split_rows(x, y, _TEST_FRACTION, seed, by_class=task == "classification")


def _flat_targets(y: np.ndarray) -> np.ndarray:
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _task_of(y: np.ndarray) -> Task:
    if y.ndim != 1 or y.dtype.kind not in "iub":
        return "regression"
    values = np.unique(y)
    return "classification" if values.min() >= 0 and len(values) <= _MOST_CLASSES else "regression"


def _refuse_no_classes(path: Path, y: np.ndarray) -> None:
    whole = y.ndim == 1 and bool((y == np.floor(y)).all()) and y.min() >= 0
    if not whole:
        raise InvalidArgumentError(
            explain(
                f"{path}: y does not hold class numbers (whole numbers from 0, one a row).",
                "Leave --task out, or type --task regression.",
            )
        )
