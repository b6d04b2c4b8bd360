"""What a recipe chooses: each choice with its value and reason, and which values are possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evenkeel.errors import InvalidArgumentError, explain, nearest, number_in, positive_integer


@dataclass(frozen=True)
class Choice:
    """One choice of a recipe.

    Attributes:
        name: What was chosen, such as "activation".
        value: What for.
        reason: Why, in a sentence.

    Example:
        >>> print(Choice("dropout", 0.2, "there are few rows"))
        dropout: 0.2, because there are few rows
    """

    name: str
    value: Any
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {shown(self.value)}, because {self.reason}"


def shown(value: Any) -> str:
    """Returns a value as a table shows it.

    Example:
        >>> shown((300, 100)), shown(None), shown(0.002)
        ('300-100', 'none', '0.002')
    """
    if isinstance(value, tuple):
        return "-".join(str(units) for units in value)
    if value is None or value is False:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _units(where: str, value: Any) -> tuple[int, ...]:
    given = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    units = tuple(positive_integer(where, n) for n in given)
    if not units:
        raise InvalidArgumentError(
            explain(f"{where}: got no layer, expected at least one.", "Type hidden=(100,).")
        )
    return units


def _one_of(*valid: Any) -> Callable[[str, Any], Any]:
    def check(where: str, value: Any) -> Any:
        if value not in valid:
            names = [str(name) for name in valid]
            raise InvalidArgumentError(
                explain(f"{where}: got {value!r}.", nearest(str(value), names))
            )
        return value

    return check


def _between(low: float, high: float, **ends: bool) -> Callable[[str, Any], float]:
    return lambda where, value: number_in(where, value, low, high, **ends)


def _name(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidArgumentError(
            explain(
                f"{where}: got {value!r}, expected a name.",
                "For a layer or an optimizer of your own, build the model yourself: "
                "recipe.build() shows how.",
            )
        )
    return value


# What can be asked for instead of what a recipe would choose, and what it may be.
ASKABLE: dict[str, Callable[[str, Any], Any]] = {
    "hidden": _units,
    "activation": _name,
    "kernel_initializer": _name,
    "normalization": _one_of(None, "batch", "layer"),
    "dropout": _between(0, 1, high_open=True),
    "l1": _between(0, math.inf),
    "optimizer": _name,
    "learning_rate": _between(0, math.inf, low_open=True),
    "weight_decay": _between(0, math.inf),
    "schedule": _one_of("1cycle", "performance", None),
    "batch_size": positive_integer,
    "epochs": positive_integer,
    "patience": positive_integer,
    "class_weight": _one_of(None, "balanced"),
    "precision": _name,
}
FOLLOWING = ("inputs", "output", "loss")
ASKED = "you asked for it"


def checked(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what was asked for, every value checked.

    Raises:
        InvalidArgumentError: If there is no such choice, or the value is impossible.

    Example:
        >>> checked({"hidden": [300, 100]})
        {'hidden': (300, 100)}
    """
    for name in asked:
        if name in FOLLOWING:
            raise InvalidArgumentError(
                explain(
                    f"recipe({name}): it follows from the data and cannot be asked for.",
                    "Give task= or inputs= where the data is read otherwise than it is meant.",
                )
            )
        if name not in ASKABLE:
            raise InvalidArgumentError(
                explain(f"A recipe has no choice {name!r}.", nearest(name, ASKABLE))
            )
    return {name: ASKABLE[name](f"recipe({name})", value) for name, value in asked.items()}


class Deliberation:
    """Choices being made one after another, where what was asked for stands.

    Args:
        asked: What was asked for, by name.

    Example:
        >>> making = Deliberation({"dropout": 0.5})
        >>> making.choose("dropout", 0.1, "there are many rows")
        0.5
        >>> making.made[0].reason
        'you asked for it'
    """

    def __init__(self, asked: Mapping[str, Any]):
        self.asked = checked(asked)
        self.made: list[Choice] = []

    def choose(self, name: str, value: Any, reason: str) -> Any:
        """Notes a choice, or what was asked for in its place, and returns the value."""
        if name in self.asked:
            value, reason = self.asked[name], ASKED
        self.made.append(Choice(name, value, reason))
        return value
