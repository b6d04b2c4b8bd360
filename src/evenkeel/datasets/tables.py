"""Data of the user's own: an NPZ file with x and y."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from evenkeel.datasets.registry import Dataset, Task
from evenkeel.datasets.splitting import split_rows
from evenkeel.errors import InvalidArgumentError, InvalidDataError, explain, nearest

TEST_FRACTION = 0.2
# Whole numbers with at most this many different values are taken to be classes.
_MOST_CLASSES = 100


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of an NPZ file. No code in it is run.

    Raises:
        InvalidDataError: If it is no NPZ file, or holds Python objects.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
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
    x, y = np.atleast_1d(arrays["x"]), _flat_targets(np.atleast_1d(arrays["y"]))
    if len(x) != len(y) or len(x) < 2:
        raise InvalidDataError(
            explain(
                f"{path}: x has {len(x)} rows and y has {len(y)}; expected equally many, and at "
                "least 2.",
                "Write both with as many rows.",
            )
        )
    _refuse_unfit_test(path, arrays, x)
    task = task or task_of(y)
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
        is_test = np.zeros(len(x), bool)
        is_test[_test_rows(arrays)] = True
        return x[~is_test], y[~is_test], x[is_test], y[is_test]
    return split_rows(x, y, TEST_FRACTION, seed, by_class=task == "classification")


def _test_rows(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Returns the numbers of the test rows: of the first split, where there are several."""
    rows = arrays["test_rows"]
    rows = np.atleast_1d(rows[0] if rows.ndim == 2 else rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)


def _refuse_unfit_test(path: Path, arrays: dict[str, np.ndarray], x: np.ndarray) -> None:
    """Raises `InvalidDataError` unless the test part of a file, if any, fits the rest."""
    problem = None
    if ("x_test" in arrays) != ("y_test" in arrays):
        lonely = "x_test" if "x_test" in arrays else "y_test"
        problem = f"has {lonely}, and of x_test and y_test both are needed"
    elif "x_test" in arrays:
        x_test, y_test = np.atleast_1d(arrays["x_test"]), np.atleast_1d(arrays["y_test"])
        if len(x_test) != len(y_test):
            problem = f"x_test has {len(x_test)} rows and y_test has {len(y_test)}"
        elif x_test.shape[1:] != x.shape[1:]:
            problem = f"x_test has shape {x_test.shape} and x has shape {x.shape}"
    elif "test_rows" in arrays:
        rows = np.unique(_test_rows(arrays))
        outside = rows[(rows < 0) | (rows >= len(x))]
        if outside.size:
            problem = f"test_rows names row {outside[0]}, and the rows are 0 to {len(x) - 1}"
        elif rows.size in (0, len(x)):
            problem = f"test_rows leaves none to {'train' if rows.size else 'test'} on"
    if problem is not None:
        raise InvalidDataError(
            explain(
                f"{path}: {problem}.",
                "Correct it, or leave it out: a fifth of the rows is then drawn for the test.",
            )
        )


def _flat_targets(y: np.ndarray) -> np.ndarray:
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def task_of(y: np.ndarray) -> Task:
    """Returns what is to be learned from targets, as far as their form says it.

    Example:
        >>> task_of(np.array([0, 1, 2])), task_of(np.array([0.5, 1.0]))
        ('classification', 'regression')
    """
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
