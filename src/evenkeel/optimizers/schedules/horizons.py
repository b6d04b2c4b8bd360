"""Lengths of time in units that cannot be mistaken: steps, epochs, or a fraction of the run.

A schedule takes one wherever it asks for a number of steps. A plain integer is a number of steps.
What an epoch or a run is in steps is known once `fit` begins, which then resolves the schedule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

from evenkeel.errors import InvalidArgumentError, explain, integer_at_least, number_in
from evenkeel.registry import Registry, serialize

registry: Registry[Any] = Registry("horizon")


@final  # an integer is never one of these
@registry.register()
@dataclass(frozen=True)
class steps:  # noqa: N801  # read as a unit: steps(100)
    """A number of optimizer steps: what a plain integer means, said aloud.

    Args:
        n: The number of steps, an integer of at least 0.

    Example:
        >>> steps(100)
        steps(100)
    """

    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", integer_at_least(0, "steps(n)", self.n))

    def __repr__(self) -> str:
        return f"steps({self.n})"

    def get_config(self) -> dict[str, Any]:
        """Returns the number of steps."""
        return {"n": self.n}


@final  # an integer is never one of these
@registry.register()
@dataclass(frozen=True)
class epochs:  # noqa: N801  # read as a unit: epochs(5)
    """A number of epochs, whatever the batch size and the number of rows turn out to be.

    Args:
        n: The number of epochs, at least 0; half an epoch is 0.5.

    Example:
        >>> epochs(5)
        epochs(5)
    """

    n: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", number_in("epochs(n)", self.n, 0, math.inf))

    def __repr__(self) -> str:
        return f"epochs({self.n:g})"

    def get_config(self) -> dict[str, Any]:
        """Returns the number of epochs."""
        return {"n": self.n}


@final  # an integer is never one of these
@registry.register()
@dataclass(frozen=True)
class fraction:  # noqa: N801  # read as a unit: fraction(0.1)
    """A fraction of the run: of all the steps of one call of `fit`.

    Inside `Warmup` and `Joined` it is a fraction of the time that is left, or of the piece's own.

    Args:
        p: The fraction, in [0, 1]; 1 is the whole run.

    Example:
        >>> fraction(0.1)
        fraction(0.1)
    """

    p: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", number_in("fraction(p)", self.p, 0, 1))

    def __repr__(self) -> str:
        return f"fraction({self.p:g})"

    def get_config(self) -> dict[str, Any]:
        """Returns the fraction."""
        return {"p": self.p}


Horizon = int | steps | epochs | fraction


def horizon(where: str, value: Any, *, may_be_zero: bool = False) -> Horizon:
    """Checks a horizon as a user gives it: a number of steps, a unit, or its configuration.

    Args:
        where: The argument as a user knows it.
        value: What was given. A float with a whole value counts as an integer.
        may_be_zero: Whether no time at all is a length.

    Returns:
        The horizon; `steps(n)` as the integer that it means.

    Raises:
        InvalidArgumentError: If it is none of these.

    Example:
        >>> horizon("Warmup(warmup_steps)", epochs(2))
        epochs(2)
        >>> horizon("Warmup(warmup_steps)", 1000.0)
        1000
    """
    if isinstance(value, dict):
        value = registry.build(value)
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    amount = getattr(whole, "n", getattr(whole, "p", whole))
    is_unit = isinstance(whole, steps | epochs | fraction)
    is_integer = hasattr(whole, "__index__") and not isinstance(whole, bool)
    if not (is_unit or is_integer) or amount < 0 or (amount == 0 and not may_be_zero):
        raise InvalidArgumentError(
            explain(
                f"{where}: got {value!r}, expected a length of time "
                f"{'of at least' if may_be_zero else 'above'} 0.",
                "Type a number of steps such as 1000, or schedules.epochs(5), or "
                "schedules.fraction(0.1) of the run.",
            )
        )
    return whole if isinstance(whole, epochs | fraction) else int(amount)


def in_steps(
    where: str, value: Horizon, steps_per_epoch: float | None, total_steps: float | None
) -> int:
    """Returns a horizon as a number of steps, rounded; what is above 0 stays at least 1.

    Args:
        where: The argument as a user knows it.
        value: The horizon.
        steps_per_epoch: How many steps an epoch has; None if that is not known beforehand.
        total_steps: How many steps the run has; None if that is not known beforehand.

    Raises:
        InvalidArgumentError: If the horizon needs a number that is not known.

    Example:
        >>> in_steps("ExponentialDecay(decay_steps)", epochs(5), 312, 3120)
        1560
    """
    if isinstance(value, int):
        return value
    if isinstance(value, steps):
        return value.n
    if isinstance(value, epochs):
        unit, amount, name = steps_per_epoch, value.n, "steps_per_epoch"
    else:
        unit, amount, name = total_steps, value.p, "total_steps"
    if unit is None:
        raise InvalidArgumentError(
            explain(
                f"{where}: {value!r} cannot be told in steps, because the length of "
                f"{'an epoch' if isinstance(value, epochs) else 'the run'} is not known.",
                "An iterable of batches without a length does not say how many make an epoch.",
                f"Give fit(steps_per_epoch=...), or resolve({name}=...), or type a number of "
                "steps.",
            )
        )
    return max(round(amount * unit), 1 if amount > 0 else 0)


def written(value: Horizon) -> Any:
    """Returns a horizon as plain data.

    Example:
        >>> written(epochs(2))
        {'class_name': 'epochs', 'config': {'n': 2.0}}
    """
    return value if isinstance(value, int) else serialize(value)
