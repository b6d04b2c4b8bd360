"""Who watches a run: what `fit(doctor=...)` names, what it is told, and how closely to look.

A doctor is a callback that is made for one run. It is found by name and imported when a run
begins, since what watches stands above what it watches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import jax

from evenkeel.engine.feed import Feed
from evenkeel.engine.fit import Programs
from evenkeel.engine.history import History
from evenkeel.engine.telemetry import Level
from evenkeel.errors import InvalidArgumentError, explain

_DOCTORS = {"default": ("evenkeel.watch", "Watch")}

# Looking inside compiles the gradients a second time, about as long as the plain program takes.
# That is lost in a run that takes a minute, which is about so many operations.
_LONG_RUN = {"cpu": 2e12}
_LONG_RUN_ELSEWHERE = 1e15
# Multiplications and additions of a weight for a row, forwards and backwards.
_OPERATIONS = 6


@dataclass(frozen=True, kw_only=True)
class Occasion:
    """A run that is about to begin, as a doctor is told of it.

    Attributes:
        model: The model, built and compiled.
        programs: What the run computes.
        history: The record that the run will fill.
        x: The inputs as they were given; None for an iterable of batches.
        y: The targets as they were given.
        validation_data: The validation data as it was given; None for an iterable or none.
        validation_split: The fraction of rows kept back.
        feed: The training data as the run has it.
        validation: The validation data as the run has it; None without one.
        batch_size: Rows a step.
        epochs: How many epochs the run has.
        shuffle: Whether rows are shuffled.
        is_weighted: Whether rows or classes weigh differently.
        class_weight: Whether classes do.
        stops_early: Whether a callback may end the run by its validation.
        is_shown: Whether somebody sees what is said during the run.
        say: Says a line to the user.
    """

    model: Any
    programs: Programs
    history: History
    x: Any
    y: Any
    validation_data: Any
    validation_split: float
    feed: Feed
    validation: Feed | None
    batch_size: int
    epochs: int
    shuffle: bool
    is_weighted: bool
    class_weight: bool
    stops_early: bool
    is_shown: bool
    say: Callable[[str], None]


def doctor_for(doctor: Any) -> Callable[[Occasion], Any] | None:
    """Returns what makes the doctor of a run; None for none.

    Args:
        doctor: None, `"default"`, or a function from an `Occasion` to a callback that has a
            method `look()` as well, which is called before the first step.

    Raises:
        InvalidArgumentError: If it is something else.

    Example:
        >>> doctor_for(None) is None
        True
    """
    if doctor is None or callable(doctor):
        return doctor
    if doctor not in _DOCTORS:
        raise InvalidArgumentError(
            explain(
                f"fit(doctor): got {doctor!r}, expected 'default' or None.",
                "Type doctor=None to train without the doctor.",
            )
        )
    module, name = _DOCTORS[doctor]
    return getattr(import_module(module), name)


def level_for(asked: Level | None, is_watched: bool, operations: float) -> Level:
    """Returns how closely a run is looked at from inside.

    Args:
        asked: What `compile` was told; None leaves it to the run.
        is_watched: Whether a doctor watches.
        operations: About how many operations the run takes.

    Example:
        >>> level_for(None, True, 1e6), level_for(None, True, 1e17), level_for("full", False, 0)
        ('off', 'economy', 'full')
    """
    if asked is not None:
        return asked
    long = _LONG_RUN.get(jax.default_backend(), _LONG_RUN_ELSEWHERE)
    return "economy" if is_watched and operations >= long else "off"


def operations_of(programs: Programs, feed: Feed, epochs: int) -> float:
    """Returns about how many operations a run takes, at least; 0 where its length is not known."""
    weights = sum(variable.size for variable in programs.plan.trained.values())
    rows = getattr(feed, "rows", None)
    if rows is None:
        rows = (feed.steps or 0) * feed.sample().rows
    return float(_OPERATIONS * weights * rows * epochs)
