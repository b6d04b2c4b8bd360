"""The logs of every epoch, in a table that other programs can read."""

from __future__ import annotations

import csv
import os
import tempfile
from pathlib import Path

from evenkeel.engine.hooks import Callback, Logs
from evenkeel.errors import InvalidArgumentError, explain

_MISSING = "NA"


class CSVLogger(Callback):
    r"""Writes the logs of every epoch as one row of a CSV file.

    The columns are `epoch`, counted from 0, and the logs of the first epoch in alphabetical
    order. A log that only comes up later, such as `val_loss` where every second epoch is
    validated, gets a column at the end: the file is rewritten once, with `NA` in the rows
    before. A row stands in the file as soon as its epoch is over, and the file is open only
    while it is written, so that a run that is killed loses nothing and leaves nothing open.

    In a second `fit` the file is begun anew, or continued with `append=True`.

    Args:
        filename: The file; its folder is made if it is missing.
        separator: The one character between two values; `"\t"` for tabs.
        append: Whether rows are added to a file that is there, rather than replacing it.

    Raises:
        InvalidArgumentError: If the separator is not one character, or if the file to append to
            has no column `epoch`; it is left as it is.

    Example:
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name, "log.csv")
        >>> logger = CSVLogger(path)
        >>> logger.on_train_begin()
        >>> logger.on_epoch_end(0, {"loss": 0.5})
        >>> print(path.read_text(), end="")
        epoch,loss
        0,0.5
        >>> folder.cleanup()
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ):
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise InvalidArgumentError(
                explain(
                    f"CSVLogger(separator): got {separator!r}, expected one character that is "
                    "neither a quotation mark nor a line's end.",
                    "Type separator=';', for example.",
                )
            )
        self.filename = Path(filename)
        self.separator = separator
        self.append = bool(append)
        self.columns: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begins the file, or reads the columns of the one to continue."""
        self.filename.parent.mkdir(parents=True, exist_ok=True)
        self.columns = self._columns_there() if self.append else []
        text = self.filename.read_text(encoding="utf-8") if self.columns else ""
        if not text:
            self.filename.write_text("", encoding="utf-8")
        elif not text.endswith("\n"):
            with self.filename.open("a", encoding="utf-8") as file:
                file.write("\n")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes the row of the epoch."""
        row = {"epoch": epoch, **(logs or {})}
        new = [name for name in row if name not in self.columns]
        if new:
            self._widen(["epoch", *sorted(logs or {})] if not self.columns else sorted(new))
        with self.filename.open("a", newline="", encoding="utf-8") as file:
            values = [row.get(name, _MISSING) for name in self.columns]
            csv.writer(file, delimiter=self.separator, lineterminator="\n").writerow(values)

    def _columns_there(self) -> list[str]:
        if not self.filename.exists():
            return []
        with self.filename.open(newline="", encoding="utf-8") as file:
            columns = next(csv.reader(file, delimiter=self.separator), [])
        if columns and "epoch" not in columns:
            raise InvalidArgumentError(
                explain(
                    f"CSVLogger: {self.filename} begins with {columns}, expected a row of names "
                    f"with 'epoch' among them, separated by {self.separator!r}.",
                    "Give the separator that the file was written with, or another file name.",
                )
            )
        return columns

    def _widen(self, names: list[str]) -> None:
        """Rewrites the file with more columns, at once or not at all."""
        with self.filename.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file, delimiter=self.separator))[1:]
        columns = [*self.columns, *names]
        beside = {"dir": self.filename.parent, "prefix": f".{self.filename.name}."}
        with tempfile.NamedTemporaryFile(
            "w", newline="", encoding="utf-8", delete=False, **beside
        ) as file:
            writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(row + [_MISSING] * (len(columns) - len(row)) for row in rows)
        Path(file.name).replace(self.filename)
        self.columns = columns
