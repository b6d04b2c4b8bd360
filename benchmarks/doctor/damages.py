"""What can be wrong with rows: functions from prepared rows to prepared rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.doctor.program import Damage, Part, Prepared


def _random() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(12))


def _inputs(rows: Prepared, change: Callable[[np.ndarray], np.ndarray]) -> Prepared:
    def part(given: Part) -> Part:
        return change(given[0]).astype(np.float32), given[1]

    x_test = change(rows.x_test).astype(np.float32)
    return replace(rows, train=part(rows.train), valid=part(rows.valid), x_test=x_test)


def _targets(rows: Prepared, change: Callable[[np.ndarray], np.ndarray]) -> Prepared:
    train, valid = ((x, change(y)) for x, y in (rows.train, rows.valid))
    return replace(rows, train=train, valid=valid)


def inputs_times(factor: float, plus: float = 0.0) -> Damage:
    """All inputs in another unit."""
    return lambda rows: _inputs(rows, lambda x: x * factor + plus)


def columns_times(factor: float, count: int = 1) -> Damage:
    """The first columns in another unit, as a salary is beside an age."""

    def change(x: np.ndarray) -> np.ndarray:
        sizes = np.where(np.arange(x.shape[1]) < count, factor, 1.0)
        return x * sizes

    return lambda rows: _inputs(rows, change)


def validation_times(factor: float, plus: float = 0.0) -> Damage:
    """Validation and test rows prepared otherwise than the training rows."""

    def change(rows: Prepared) -> Prepared:
        x, y = rows.valid
        other = (x * factor + plus).astype(np.float32), y
        return replace(rows, valid=other, x_test=(rows.x_test * factor + plus).astype(np.float32))

    return change


def holes(share: float) -> Damage:
    """Some inputs are no numbers."""

    def change(rows: Prepared) -> Prepared:
        x, y = rows.train
        return replace(rows, train=(np.where(_random().random(x.shape) < share, np.nan, x), y))

    return change


def pairs_lost(share: float = 1.0) -> Damage:
    """Targets that belong to other rows: sorted apart from their inputs."""

    def change(rows: Prepared) -> Prepared:
        x, y = rows.train
        lost = np.flatnonzero(_random().random(len(y)) < share)
        y = y.copy()
        y[lost] = y[_random().permutation(lost)]
        x_valid, y_valid = rows.valid
        if share == 1.0:
            y_valid = _random().permutation(y_valid)
        return replace(rows, train=(x, y), valid=(x_valid, y_valid))

    return change


def sorted_by_target(rows: Prepared) -> Prepared:
    """Training rows in the order of their targets."""
    x, y = rows.train
    order = np.argsort(y, kind="stable")
    return replace(rows, train=(x[order], y[order]))


def first_rows(count: int) -> Damage:
    """Few rows to train on."""
    return lambda rows: replace(rows, train=(rows.train[0][:count], rows.train[1][:count]))


def few_validation_rows(count: int) -> Damage:
    """Few rows to validate with."""
    return lambda rows: replace(rows, valid=(rows.valid[0][:count], rows.valid[1][:count]))


def one_target(rows: Prepared) -> Prepared:
    """Training targets that are all the same, as of a filter that went wrong."""
    return replace(rows, train=(rows.train[0], np.full_like(rows.train[1], rows.train[1][0])))


def from_one(rows: Prepared) -> Prepared:
    """Class numbers from 1 on; the last one has no unit."""
    changed = _targets(rows, lambda y: y + 1)
    return replace(changed, truth=rows.truth + 1)


def plus_and_minus_one(rows: Prepared) -> Prepared:
    """Two classes as -1 and 1, as margins want them."""
    return _targets(rows, lambda y: 2 * y - 1)


def one_hot(rows: Prepared) -> Prepared:
    """Class numbers as one-hot rows."""
    return _targets(rows, lambda y: np.eye(rows.classes or 1, dtype=np.float32)[y])


def zero_rows(share: float) -> Damage:
    """Rows that are 0 throughout: empty answers that were filled up."""

    def change(rows: Prepared) -> Prepared:
        x, y = rows.train
        empty = _random().random(len(x)) < share
        return replace(rows, train=(np.where(empty.reshape(-1, *[1] * (x.ndim - 1)), 0, x), y))

    return change


def counts_of_words(rows: Prepared) -> Prepared:
    """Inputs of which most are 0, as in counts of words."""
    return _inputs(rows, lambda x: np.maximum(x - np.quantile(x, 0.8), 0))
