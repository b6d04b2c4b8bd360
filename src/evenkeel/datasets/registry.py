"""Data sets by name: what they are, where they come from, and how to get them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from evenkeel.errors import InvalidArgumentError, explain, nearest

if TYPE_CHECKING:
    from evenkeel.datasets.csv_files import Form

Task = Literal["classification", "regression"]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Rows for training and rows for the test, which is looked at once.

    Attributes:
        name: The name.
        task: What is to be learned.
        x_train: The training inputs, (rows, ...).
        y_train: The training targets, (rows,) or (rows, outputs).
        x_test: The test inputs.
        y_test: The test targets.
        class_names: The classes' names by number; empty where they have none.
        pixel_range: The largest value a pixel can have, if the inputs are pixels; None for a
            table, whose columns have units of their own.
        form: How lines of a CSV file become rows; None for other sources.

    Example:
        >>> load("digits").classes
        10
    """

    name: str
    task: Task
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...] = ()
    pixel_range: float | None = None
    form: Form | None = None

    @property
    def classes(self) -> int:
        """The number of classes; 0 in a regression."""
        if self.task == "regression":
            return 0
        return int(max(self.y_train.max(), self.y_test.max())) + 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A built-in data set: one line of description, and how to load it."""

    name: str
    description: str
    load: Callable[[], Dataset]
    is_at_hand: Callable[[], bool]


_entries: dict[str, Entry] = {}


def enrol(entry: Entry) -> None:
    """Makes a data set known by its name."""
    _entries[entry.name] = entry


def entries() -> list[Entry]:
    """Returns the built-in data sets, by name.

    Example:
        >>> [entry.name for entry in entries()]
        ['digits', 'fashion-mnist']
    """
    return [_entries[name] for name in sorted(_entries)]


def canonical(name: str) -> str:
    """Returns the name under which a data set is known: `fashion_mnist` is `fashion-mnist`."""
    return name.strip().lower().replace("_", "-")


def load(name: str) -> Dataset:
    """Loads a built-in data set.

    Args:
        name: `"digits"` or `"fashion-mnist"`; an underscore counts as a hyphen.

    Raises:
        InvalidArgumentError: If there is no such data set; the nearest name is offered.
        DatasetUnavailableError: If it is not at hand and cannot be downloaded.

    Example:
        >>> load("digits").x_train.shape
        (1437, 64)
    """
    entry = _entries.get(canonical(name))
    if entry is None:
        raise InvalidArgumentError(
            explain(f"There is no data set {name!r}.", nearest(canonical(name), _entries))
        )
    return entry.load()
