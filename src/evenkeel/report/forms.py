"""The forms in which a result is shown: a screen of text, a notebook's cell, a page in a file.

All are made from the plain data of `to_dict()`, so that they say the same.
"""

from __future__ import annotations

from functools import cache
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from jinja2 import Environment, PackageLoader, select_autoescape
from rich.console import Console

from evenkeel.doctor.finding import Number

_WIDTH = 100


class Shown:
    """A result that prints as one screen and shows as a page in notebooks.

    A subclass has `to_dict()` and names the `report` module that words it, whose `shown` makes
    something that rich prints, and `fragment_of` and `page_of` HTML.

    Example:
        >>> from evenkeel.report import forms
        >>> forms.plain("no finding")
        'no finding'
    """

    wording: ClassVar[ModuleType]

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain data that JSON can hold."""
        raise NotImplementedError(f"{type(self).__name__} must define to_dict().")

    def to_html(self, path: str | Path | None = None) -> str:
        """Returns the result as one HTML page, which needs no network to be opened.

        Args:
            path: Where to write it as well; nowhere when None.
        """
        page = self.wording.page_of(self.to_dict())
        if path is not None:
            Path(path).write_text(page, encoding="utf-8")
        return page

    def _repr_html_(self) -> str:
        return self.wording.fragment_of(self.to_dict())

    def __str__(self) -> str:
        return plain(self.__rich__())

    def __rich__(self) -> Any:
        return self.wording.shown(self.to_dict())


def plain(renderable: Any, width: int = _WIDTH) -> str:
    """Returns what rich prints as plain text.

    Args:
        renderable: Anything that rich prints.
        width: The width in characters.
    """
    sink = StringIO()
    Console(file=sink, width=width, no_color=True, highlight=False).print(renderable)
    return "\n".join(line.rstrip() for line in sink.getvalue().splitlines())


@cache
def environment() -> Environment:
    """Returns where the templates of all pages come from."""
    made = Environment(
        loader=PackageLoader("evenkeel.report"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = number_of
    return made


def number_of(number: dict[str, Any]) -> str:
    """Returns a number with its name and unit.

    Example:
        >>> number_of({"name": "rows", "value": 60000.0, "unit": "rows"})
        'rows 60,000'
    """
    return str(Number(number["name"], float(number["value"]), number["unit"]))
