"""Runs cells as a notebook does: one after the other, in one namespace, with what each puts out."""

from __future__ import annotations

import ast
import contextlib
import io
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.conformance.cells import CELLS, Cell

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(kw_only=True)
class Record:
    """What one cell left behind.

    Attributes:
        cell: The cell.
        names: The namespace right after it, later bindings not included.
        value: The value of its final expression, which a notebook shows as `Out`; None without.
        printed: What it wrote to the standard output.
        warnings: The warnings that it caused.
        error: What it raised, or None.
    """

    cell: Cell
    names: dict[str, Any] = field(default_factory=dict, repr=False)
    value: Any = field(default=None, repr=False)
    printed: str = ""
    warnings: list[warnings.WarningMessage] = field(default_factory=list)
    error: Exception | None = None

    def __getitem__(self, name: str) -> Any:
        return self.names[name]


class Notebook:
    """A namespace and the records of the cells that ran in it.

    Args:
        library: What the import cell says in place of `tensorflow`.
        around: Makes the context in which each cell runs: seeds, shortened training.
    """

    def __init__(
        self,
        library: str,
        around: Callable[[Cell], AbstractContextManager[Any]] = contextlib.nullcontext,
    ):
        self._library = library
        self._around = around
        self._namespace: dict[str, Any] = {"__name__": "__main__"}
        self.records: dict[int, Record] = {}

    def after(self, number: int) -> Record:
        """Returns the record of a cell; runs it, and before it every earlier one, if needed."""
        for cell in CELLS:
            if cell.number not in self.records:
                self.run([cell.number])
            if cell.number == number:
                break
        return self.records[number]

    def run(self, numbers: Iterable[int]) -> None:
        """Runs the cells of these numbers, in this order; one that raises does not stop it."""
        cells = {cell.number: cell for cell in CELLS}
        for number in numbers:
            self.records[number] = self._run(cells[number])

    def _run(self, cell: Cell) -> Record:
        record = Record(cell=cell)
        printed = io.StringIO()
        with (
            warnings.catch_warnings(record=True) as caught,
            contextlib.redirect_stdout(printed),
            self._around(cell),
        ):
            warnings.simplefilter("always")
            try:
                record.value = self._execute(cell)
            except Exception as error:  # the record says it, and the next cell runs
                record.error = error
        record.printed, record.warnings = printed.getvalue(), list(caught)
        record.names = dict(self._namespace)
        return record

    def _execute(self, cell: Cell) -> Any:
        body = ast.parse(cell.code.replace("tensorflow", self._library)).body
        name = f"<In [{cell.number}]>"
        final = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), name, "exec"), self._namespace)
        if not isinstance(final, ast.Expr):
            return None
        return eval(compile(ast.Expression(final.value), name, "eval"), self._namespace)


def stand_in_pictures() -> tuple[Pair, Pair]:
    """Returns pictures of the shapes and types of Fashion-MNIST, ten patterns under strong noise.

    The noise is so strong that a network has something left to learn after an epoch.

    Returns:
        (60000, 28, 28) and (10000, 28, 28), uint8, each with labels 0 to 9.
    """
    random = np.random.Generator(np.random.Philox(11))
    coarse = random.integers(0, 40, (10, 7, 7), np.uint8)
    patterns = coarse.repeat(4, axis=1).repeat(4, axis=2)

    def draw(rows: int) -> Pair:
        labels = random.integers(0, 10, rows, np.uint8)
        noise = random.integers(0, 216, (rows, 28, 28), np.uint8)
        return patterns[labels] + noise, labels

    return draw(60_000), draw(10_000)
