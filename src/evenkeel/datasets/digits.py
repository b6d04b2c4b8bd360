"""Digits: 1,797 handwritten digits of 8 x 8 pixels, bundled with scikit-learn; always at hand."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel.datasets.registry import Dataset, Entry, enrol
from evenkeel.datasets.splitting import split_rows

Pair = tuple[np.ndarray, np.ndarray]
_TEST_FRACTION = 0.2
_SPLIT_SEED = 0


def load_data() -> tuple[Pair, Pair]:
    """Returns (x_train, y_train), (x_test, y_test).

    The data set has no published split; a fifth is kept for the test, stratified by class, always
    the same one.

    Returns:
        Inputs (rows, 64), float32 from 0 to 16; targets (rows,), 0 to 9. 1,437 and 360 rows.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()
        >>> x_train.shape, x_test.shape
        ((1437, 64), (360, 64))

    References:
        Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """
    x, y = _rows()
    x_train, y_train, x_test, y_test = split_rows(
        np.asarray(x, np.float32), np.asarray(y), _TEST_FRACTION, _SPLIT_SEED, by_class=True
    )
    return (x_train, y_train), (x_test, y_test)


def _rows() -> Pair:
    """Returns all inputs and targets, from scikit-learn's file: importing it takes longer."""
    package = find_spec("sklearn")
    for folder in [] if package is None else package.submodule_search_locations or []:
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            with gzip.open(path) as file:
                table = np.loadtxt(file, delimiter=",", dtype=np.int64)
            return table[:, :-1], table[:, -1]
    from sklearn.datasets import load_digits  # a version that keeps them elsewhere

    loaded: Any = load_digits(return_X_y=True)
    return loaded


def _load() -> Dataset:
    (x_train, y_train), (x_test, y_test) = load_data()
    return Dataset(
        name="digits",
        task="classification",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        class_names=tuple(str(digit) for digit in range(10)),
        pixel_range=16.0,
    )


enrol(
    Entry(
        name="digits",
        description="1,797 handwritten digits, 8 x 8 pixels, 10 classes; bundled",
        load=_load,
        is_at_hand=lambda: True,
    )
)
