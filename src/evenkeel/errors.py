"""How evenkeel refuses: four parts, in plain sentences, ending with what to type.

Every refusal says where and what was found, what was expected, why (when it is not obvious) and
what to type next. The helpers here put those parts together; the exceptions are few, and each is
also the built-in exception that a caller would expect to catch.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from importlib import import_module
from typing import Any


class EvenkeelError(Exception):
    """The base of everything evenkeel raises on purpose."""


class InvalidArgumentError(EvenkeelError, ValueError):
    """An argument or a combination of arguments that cannot work."""


class InvalidDataError(EvenkeelError, ValueError):
    """Data that does not fit the network, the loss, or arithmetic."""


class NotBuiltError(EvenkeelError, ValueError):
    """A network was asked for something that it only has once its input shape is known."""


class NotCompiledError(EvenkeelError, RuntimeError):
    """A model was asked to train before `compile` said how."""


class FileRefusedError(EvenkeelError, ValueError):
    """A file that is damaged, foreign, or does not match; nothing of it was loaded."""


class DatasetUnavailableError(EvenkeelError, OSError):
    """A data set that is neither on this machine nor reachable."""


class MissingPackageError(EvenkeelError, ImportError):
    """An optional part that needs a package which is not installed."""


class NotFiniteError(EvenkeelError, RuntimeError):
    """A run whose loss or weights became infinite or not a number."""


class EvenkeelWarning(UserWarning):
    """A legal choice that is probably not what was meant."""


def optional_package(module: str, extra: str) -> Any:
    """Returns a module of an optional package, or says how to install it.

    Args:
        module: The module, such as `"matplotlib.pyplot"`.
        extra: The extra of evenkeel that brings it.

    Raises:
        MissingPackageError: If it is not installed.

    Example:
        >>> optional_package("json", "plot").dumps([1])
        '[1]'
    """
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise MissingPackageError(
            explain(
                f"This needs {package}, which is not installed.",
                f'Type pip install "evenkeel[{extra}]".',
            )
        ) from None


def explain(*parts: str | None) -> str:
    """Joins the parts of a refusal, one sentence or two each, into one message.

    Args:
        *parts: What was found and expected, why, what to type; None is left out.

    Returns:
        The message, one part a line.

    Example:
        >>> print(explain("units: got 0, expected a positive integer.", "Type units=1."))
        units: got 0, expected a positive integer.
        Type units=1.
    """
    return "\n".join(part for part in parts if part)


def nearest(name: str, valid: Iterable[str]) -> str:
    """Offers the nearest valid name and lists the others.

    Example:
        >>> nearest("adm", ["adam", "sgd"])
        "Did you mean 'adam'? Valid: adam, sgd."
    """
    names = sorted(valid)
    close = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.5)
    original = next((n for n in names if close and n.lower() == close[0]), None)
    listing = f"Valid: {', '.join(names)}."
    return f"Did you mean {original!r}? {listing}" if original else listing


def require(condition: bool, *parts: str | None) -> None:
    """Raises `InvalidArgumentError` with the given parts unless the condition holds.

    Example:
        >>> require(2 > 1, "2 is not above 1.", "Count again.")
    """
    if not condition:
        raise InvalidArgumentError(explain(*parts))


def positive_integer(where: str, value: object) -> int:
    """Checks a count such as `units` or `epochs`.

    Args:
        where: The argument as a user knows it, such as `"Dense(units)"`.
        value: What was given; NumPy integers count as integers, booleans do not.

    Returns:
        The count as a Python int.

    Raises:
        InvalidArgumentError: If it is not an integer of at least 1.

    Example:
        >>> positive_integer("Dense(units)", 10)
        10
    """
    return integer_at_least(1, where, value)


def integer_at_least(smallest: int, where: str, value: object) -> int:
    """Checks an integer against its smallest allowed value and returns it as an int.

    Example:
        >>> integer_at_least(0, "fit(initial_epoch)", 0)
        0
    """
    whole = getattr(value, "__index__", None)
    if whole is None or isinstance(value, bool) or whole() < smallest:
        raise InvalidArgumentError(
            explain(
                f"{where}: got {value!r}, expected an integer of at least {smallest}.",
                f"Type an integer, for example {max(smallest, 1)}.",
            )
        )
    return whole()


def number_in(
    where: str,
    value: object,
    low: float,
    high: float,
    *,
    low_open: bool = False,
    high_open: bool = False,
) -> float:
    """Checks a number against an interval.

    Args:
        where: The argument as a user knows it, such as `"Dropout(rate)"`.
        value: What was given.
        low: The lower end.
        high: The upper end; may be infinite, while the number may not.
        low_open: Whether the lower end itself is excluded.
        high_open: Whether the upper end itself is excluded.

    Returns:
        The number as a float.

    Raises:
        InvalidArgumentError: If it is no number, NaN, infinite, or outside.

    Example:
        >>> number_in("Dropout(rate)", 0.5, 0, 1, high_open=True)
        0.5
    """
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]  # refused below when it is none
    except (TypeError, ValueError):
        number = float("nan")
    above = number > low if low_open else number >= low
    below = number < high if high_open else number <= high
    if not (above and below and math.isfinite(number)) or isinstance(value, bool):
        left = "(" if low_open or math.isinf(low) else "["
        right = ")" if high_open or math.isinf(high) else "]"
        interval = f"{left}{low:g}, {high:g}{right}"
        raise InvalidArgumentError(
            explain(
                f"{where}: got {value!r}, expected a number in {interval}.",
                "Type a number inside that interval.",
            )
        )
    return number
