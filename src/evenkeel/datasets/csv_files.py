"""Tables in CSV files: one row a line, columns by name, one of them the target.

Numbers stay numbers, a hole in them is filled with the median of the training rows and marked by a
column of its own, and a text column becomes one column of 0 and 1 for each of its values. What was
learned of the training rows is the `Form`, which later files are read by.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel.datasets.registry import Dataset, Task
from evenkeel.datasets.splitting import split_rows
from evenkeel.datasets.tables import TEST_FRACTION, task_of
from evenkeel.errors import (
    EvenkeelWarning,
    InvalidArgumentError,
    InvalidDataError,
    explain,
    nearest,
)

# A text column with more values than this names its rows rather than groups them.
MOST_VALUES = 50
_HOLES = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, kw_only=True)
class Column:
    """How a column of a file becomes columns of numbers.

    Attributes:
        name: Its name.
        values: The values of a text column, each of which becomes a column; () for numbers.
        fill: What a hole in a column of numbers is filled with.
        marks_holes: Whether a column says where holes were.

    Example:
        >>> Column(name="sea", values=("far", "near")).names
        ['sea is far', 'sea is near']
    """

    name: str
    values: tuple[str, ...] = ()
    fill: float = 0.0
    marks_holes: bool = False

    @property
    def names(self) -> list[str]:
        """What the columns of numbers are called."""
        if self.values:
            return [f"{self.name} is {value}" for value in self.values]
        return [self.name, *([f"{self.name} is missing"] if self.marks_holes else [])]

    def encoded(self, texts: Sequence[str], where: str) -> np.ndarray:
        """Returns the columns of numbers, (rows, columns)."""
        if self.values:
            given = np.asarray([text.strip() for text in texts])
            self._say_what_is_new(given, where)
            return np.stack([given == value for value in self.values], axis=1).astype(np.float32)
        numbers = _numbers(texts)
        if numbers is None:
            wrong = next(t for t in texts if not _is_hole(t) and _numbers([t]) is None)
            raise InvalidDataError(
                explain(
                    f"{where}: the column {self.name!r} holds {wrong!r}, expected numbers as in "
                    "the training rows.",
                    "Correct the file.",
                )
            )
        holes = np.isnan(numbers)
        if holes.any() and not self.marks_holes:
            warnings.warn(
                f"{where}: {int(holes.sum())} rows have no {self.name!r}. {self.fill:g}, the "
                "median of the training rows, stands in, and no column says where.",
                EvenkeelWarning,
                stacklevel=2,
            )
        filled = np.where(holes, self.fill, numbers)
        parts = [filled, holes] if self.marks_holes else [filled]
        return np.stack(parts, axis=1).astype(np.float32)

    def _say_what_is_new(self, given: np.ndarray, where: str) -> None:
        is_new = ~np.isin(given, self.values)
        if is_new.any():
            warnings.warn(
                f"{where}: {int(is_new.sum())} rows have a {self.name!r} that no training row had, "
                f"such as {str(given[is_new][0])!r}. All columns of {self.name!r} are 0 there.",
                EvenkeelWarning,
                stacklevel=3,
            )


@dataclass(frozen=True, kw_only=True)
class Form:
    """How the lines of a file become rows of numbers.

    Attributes:
        target: The column to be predicted.
        columns: The others, as far as they are used.
        classes: The names of the target's classes, in the order of their numbers; () for numbers.

    Example:
        >>> form = Form(target="price", columns=(Column(name="rooms"),))
        >>> form.inputs({"rooms": ["3", "4"]}, "houses.csv").tolist()
        [[3.0], [4.0]]
    """

    target: str
    columns: tuple[Column, ...]
    classes: tuple[str, ...] = ()

    def inputs(self, table: dict[str, list[str]], where: str) -> np.ndarray:
        """Returns the inputs of a table, float32 (rows, columns of numbers)."""
        missing = [column.name for column in self.columns if column.name not in table]
        if missing:
            raise InvalidDataError(
                explain(
                    f"{where} has no column {missing[0]!r}. {nearest(missing[0], table)}",
                    "Give a file with the columns that the network was trained on.",
                )
            )
        parts = [column.encoded(table[column.name], where) for column in self.columns]
        return np.concatenate(parts, axis=1)

    def targets(self, texts: Sequence[str], where: str) -> np.ndarray:
        """Returns the targets: class numbers, or numbers."""
        hole = next((n for n, text in enumerate(texts) if _is_hole(text)), None)
        if hole is not None:
            raise InvalidDataError(
                explain(
                    f"{where}: row {hole} has no {self.target!r}.",
                    "Take rows without a target out of the file.",
                )
            )
        if self.classes:
            return self._class_numbers(texts, where)
        numbers = _numbers(texts)
        if numbers is None:
            raise InvalidDataError(
                explain(
                    f"{where}: the column {self.target!r} holds text, expected numbers.",
                    "Correct the file, or type --task classification.",
                )
            )
        is_whole = all(text.strip().lstrip("+-").isdigit() for text in texts)
        return numbers.astype(np.int64) if is_whole else numbers

    def _class_numbers(self, texts: Sequence[str], where: str) -> np.ndarray:
        number = {name: n for n, name in enumerate(self.classes)}
        unknown = next((text for text in texts if text.strip() not in number), None)
        if unknown is not None:
            raise InvalidDataError(
                explain(
                    f"{where}: the column {self.target!r} holds {unknown!r}, which is none of the "
                    f"classes. {nearest(unknown, self.classes)}",
                    "Correct the file.",
                )
            )
        return np.array([number[text.strip()] for text in texts], np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Returns the form as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, written: dict[str, Any]) -> Form:
        """Rebuilds the form from `to_dict()`, also after JSON."""
        columns = (
            Column(**{**column, "values": tuple(column["values"])}) for column in written["columns"]
        )
        return cls(
            target=written["target"], columns=tuple(columns), classes=tuple(written["classes"])
        )


def read_table(path: Path) -> dict[str, list[str]]:
    r"""Reads the columns of a CSV file as text.

    Args:
        path: A file with the columns' names in its first line, separated by commas, semicolons,
            tabs or bars.

    Raises:
        InvalidDataError: If it is no such file.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "two.csv"
        >>> _ = path.write_text("a,b\n1,x\n2,y\n")
        >>> read_table(path)
        {'a': ['1', '2'], 'b': ['x', 'y']}
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)
            lines = [line for line in csv.reader(file, delimiter=delimiter) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidDataError(
            explain(f"{path} cannot be read as CSV ({error}).", "Save it as CSV in UTF-8.")
        ) from None
    if len(lines) < 2:
        raise InvalidDataError(
            explain(f"{path} has no rows.", "Give a file with column names and rows.")
        )
    names = [name.strip() for name in lines[0]]
    odd = next((n for n, line in enumerate(lines[1:]) if len(line) != len(names)), None)
    if odd is not None or len(set(names)) < len(names):
        found = (
            f"row {odd} has {len(lines[odd + 1])} fields and the first line {len(names)}"
            if odd is not None
            else "two columns have one name"
        )
        raise InvalidDataError(explain(f"{path}: {found}.", "Correct the file."))
    columns = zip(*lines[1:], strict=True)
    return {name: list(column) for name, column in zip(names, columns, strict=True)}


def read_csv(
    path: Path,
    target: str | None,
    task: Task | None = None,
    seed: int = 0,
    drop: Sequence[str] = (),
    form: Form | None = None,
) -> Dataset:
    r"""Reads a data set from a CSV file.

    Args:
        path: The file.
        target: The name of the column to be predicted.
        task: What is to be learned. When None, texts, and whole numbers from 0 with at most 100
            values, are classes, and everything else is a regression.
        seed: The seed of the split: a fifth of the rows is the test, stratified by class.
        drop: Columns that are left out.
        form: How lines become rows, where an earlier file has settled it.

    Raises:
        InvalidArgumentError: If there is no such column.
        InvalidDataError: If the file cannot be read, or a column names its rows.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "houses.csv"
        >>> _ = path.write_text("rooms,sea,price\n" + "3,near,2.5\n4,far,1.5\n" * 10)
        >>> data = read_csv(path, "price")
        >>> data.task, data.form.columns[1].names, data.x_train.shape
        ('regression', ['sea is far', 'sea is near'], (16, 3))
    """
    table = read_table(path)
    _refuse_unknown(path, table, target, drop)
    assert target is not None
    texts = table[target]
    names = _class_names(texts, task) if form is None else form.classes
    plain = Form(target=target, columns=(), classes=names)
    y = plain.targets(texts, str(path))
    task = task or ("classification" if names else task_of(y))
    rows, y_train, test_rows, y_test = split_rows(
        np.arange(len(y)), y, TEST_FRACTION, seed, by_class=task == "classification"
    )
    if form is None:
        kept = [name for name in table if name != target and name not in drop]
        columns = tuple(_learned(name, [table[name][n] for n in rows], path) for name in kept)
        form = Form(target=target, columns=columns, classes=names)
    x = form.inputs(table, str(path))
    return Dataset(
        name=path.stem,
        task=task,
        x_train=x[rows],
        y_train=y_train,
        x_test=x[test_rows],
        y_test=y_test,
        class_names=names,
        form=form,
    )


def _refuse_unknown(
    path: Path, table: dict[str, list[str]], target: str | None, drop: Sequence[str]
) -> None:
    if target is None:
        raise InvalidArgumentError(
            explain(
                f"{path}: which column is to be predicted? It has {', '.join(table)}.",
                f"Type --target {list(table)[-1]}, for example.",
            )
        )
    for name in (target, *drop):
        if name not in table:
            raise InvalidArgumentError(
                explain(f"{path} has no column {name!r}. {nearest(name, table)}")
            )
    if len(table) - 1 == len(set(drop) - {target}):
        raise InvalidArgumentError(
            explain(f"{path}: no column is left to predict {target!r} from.", "Drop fewer.")
        )


def _class_names(texts: Sequence[str], task: Task | None) -> tuple[str, ...]:
    """Returns the names of the classes, where the target's values are no class numbers."""
    numbers = _numbers(texts)
    if task == "regression" or (numbers is not None and task is None):
        return ()
    values = sorted({text.strip() for text in texts if not _is_hole(text)})
    is_numbered = numbers is not None and bool(((numbers >= 0) & (numbers % 1 == 0)).all())
    return () if is_numbered else tuple(values)


def _learned(name: str, texts: Sequence[str], path: Path) -> Column:
    numbers = _numbers(texts)
    if numbers is not None:
        known = numbers[~np.isnan(numbers)]
        return Column(
            name=name,
            fill=float(np.median(known)) if len(known) else 0.0,
            marks_holes=0 < len(known) < len(numbers),
        )
    values = tuple(sorted({text.strip() for text in texts}))
    if len(values) > MOST_VALUES:
        raise InvalidDataError(
            explain(
                f"{path}: the column {name!r} holds {len(values)} different texts in "
                f"{len(texts)} rows, such as {values[0]!r}.",
                "It names rows rather than groups them, and nothing can be learned from that.",
                f"Type --drop {name}",
            )
        )
    return Column(name=name, values=values)


def _is_hole(text: str) -> bool:
    return text.strip().lower() in _HOLES


def _numbers(texts: Sequence[str]) -> np.ndarray | None:
    """Returns texts as numbers, holes as NaN; None if one of them is no number."""
    try:
        return np.array([np.nan if _is_hole(text) else float(text) for text in texts])
    except ValueError:
        return None
