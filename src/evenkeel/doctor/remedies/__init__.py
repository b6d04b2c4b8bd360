"""All remedies: of data, network, training, and of what a run shows. Importing makes them known."""

from __future__ import annotations

from evenkeel.doctor.remedies import data, network, run, training
from evenkeel.doctor.remedy import REMEDIES, Remedy
from evenkeel.errors import InvalidArgumentError, explain, nearest

__all__ = ["REMEDIES", "data", "network", "remedy_named", "run", "training"]


def remedy_named(name: str) -> Remedy:
    """Returns the remedy of a name, as findings list them.

    Raises:
        InvalidArgumentError: If there is none; the nearest name is offered.

    Example:
        >>> import evenkeel as ek
        >>> ek.doctor.remedy_named("drop-bias").does
        'leave the bias out'
    """
    if name not in REMEDIES:
        raise InvalidArgumentError(
            explain(f"There is no remedy {name!r}.", nearest(str(name), REMEDIES))
        )
    return REMEDIES[name]
