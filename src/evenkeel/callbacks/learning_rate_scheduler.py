"""A learning rate that is set anew for each epoch."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from evenkeel.engine.hooks import Callback, Logs
from evenkeel.errors import EvenkeelError, InvalidArgumentError, explain, number_in

_NAMES_OF_THE_RATE = ("lr", "learning_rate")


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of every epoch to what a function says.

    The function is called with the number of the epoch, from 0, or with that and the current
    rate. Which one is told by its parameters: the rate is given to a second one that is
    required, or named `lr` or `learning_rate`. A second parameter with a default and another
    name keeps its default.

    The rate of an epoch is put into its logs, and so into the history, as `learning_rate`.
    Setting it recompiles nothing. A rate that changes at every step is a schedule instead:
    give the optimizer a function of the step as its `learning_rate`.

    In a second `fit` the epochs are numbered from `initial_epoch` again, and a function that
    takes the rate goes on from the rate that the first run ended with.

    Args:
        schedule: `function(epoch)` or `function(epoch, lr)`, which returns a finite number of
            at least 0; at 0 the weights stay as they are.
        verbose: 1 says the rate of each epoch.

    Raises:
        InvalidArgumentError: If the function cannot be called like that, if it returns no such
            number, or if the optimizer's rate is a schedule already.

    Example:
        >>> def exponential(epoch, lr):
        ...     return lr * 0.1 ** (1 / 20)
        >>> LearningRateScheduler(exponential)
        LearningRateScheduler(exponential)
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0):
        self._takes_rate = _takes_rate(schedule)
        self.schedule = schedule
        self.verbose = verbose

    def __repr__(self) -> str:
        return f"LearningRateScheduler({_name_of(self.schedule)})"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Refuses an optimizer whose rate cannot be set."""
        optimizer = self.model.optimizer
        if optimizer.schedule is not None:
            kind = type(optimizer).__name__
            raise InvalidArgumentError(
                explain(
                    f"LearningRateScheduler: the learning rate of {kind} follows a schedule of "
                    "its own, by the step, and cannot be set by the epoch as well.",
                    f"Compile with a number, ek.optimizers.{kind}(learning_rate=0.01), or leave "
                    "LearningRateScheduler out.",
                )
            )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Sets the rate of the epoch."""
        optimizer = self.model.optimizer
        rate = (float(optimizer.learning_rate),) if self._takes_rate else ()
        optimizer.learning_rate = self._checked(self.schedule(epoch, *rate), (epoch, *rate))
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is {optimizer.learning_rate:.4g}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Puts the rate into the logs."""
        if logs is not None:
            logs.setdefault("learning_rate", float(self.model.optimizer.learning_rate))

    def _checked(self, value: Any, arguments: tuple[float, ...]) -> float:
        call = f"{_name_of(self.schedule)}({', '.join(f'{a:g}' for a in arguments)})"
        try:
            return number_in(call, value, 0, math.inf)
        except EvenkeelError:
            raise InvalidArgumentError(
                explain(
                    f"LearningRateScheduler: {call} returned {value!r}, expected a finite number "
                    "of at least 0.",
                    "A function without `return` returns None." if value is None else None,
                    "Return the rate of the epoch, for example 0.01 * 0.9**epoch.",
                )
            ) from None


def _takes_rate(schedule: Callable[..., Any]) -> bool:
    """Whether a function of the epoch is to be given the current rate, too; refuses others."""
    where = "LearningRateScheduler(schedule)"
    advice = "Give a function of the epoch, def schedule(epoch): return 0.01 * 0.9**epoch."
    if not callable(schedule):
        raise InvalidArgumentError(
            explain(f"{where}: got {schedule!r}, expected a function.", advice)
        )
    try:
        signature = inspect.signature(schedule)
    except ValueError:  # functions written in C need not say what they take
        raise InvalidArgumentError(
            explain(
                f"{where}: {_name_of(schedule)} does not say what it takes.",
                f"Wrap it: lambda epoch: {_name_of(schedule)}(epoch).",
            )
        ) from None
    parameters = [
        p
        for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
    ]
    second = parameters[1] if len(parameters) > 1 else None
    takes_rate = (
        second is not None
        and second.kind is not second.VAR_POSITIONAL
        and (second.default is second.empty or second.name in _NAMES_OF_THE_RATE)
    )
    try:
        signature.bind(*((0, 0.1) if takes_rate else (0,)))
    except TypeError:
        raise InvalidArgumentError(
            explain(
                f"{where}: {_name_of(schedule)}{signature} cannot be called with (epoch) or "
                "(epoch, lr).",
                advice,
            )
        ) from None
    return takes_rate


def _name_of(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)
