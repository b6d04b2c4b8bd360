"""The option `decay` of earlier Keras, as the schedule that it always was."""

from __future__ import annotations

import math
import warnings
from typing import Any

from evenkeel.errors import EvenkeelWarning, InvalidArgumentError, explain, number_in
from evenkeel.optimizers.schedules import InverseTimeDecay


def set_decay(optimizer: Any, decay: float) -> None:
    """Lets an optimizer's rate fall as η / (1 + decay·t); with 0 it stays.

    Raises:
        InvalidArgumentError: If it is negative, or the rate is a schedule already.
    """
    where = f"{type(optimizer).__name__}(decay)"
    decay = number_in(where, decay, 0, math.inf)
    if not decay:
        return
    if optimizer.schedule is not None:
        raise InvalidArgumentError(
            explain(
                f"{where}: got {decay:g} beside a schedule; only one of them can set the rate.",
                "Leave out decay, and build it into the schedule.",
            )
        )
    optimizer.learning_rate = InverseTimeDecay(float(optimizer.learning_rate), 1, decay)


def warn_of_decay(optimizer: Any, found: str) -> None:
    """Warns of an old spelling and names what to type today."""
    rate = optimizer.schedule
    today = f"{float(optimizer.learning_rate):g}"
    if isinstance(rate, InverseTimeDecay):
        today = (
            f"ek.optimizers.schedules.InverseTimeDecay({rate.initial_learning_rate:g}, "
            f"decay_steps=1, decay_rate={rate.decay_rate:g})"
        )
    warnings.warn(
        explain(
            f"{found} is the spelling of earlier Keras; it works as it did there.",
            f"Type ek.optimizers.{type(optimizer).__name__}(learning_rate={today}).",
        ),
        EvenkeelWarning,
        3,
    )
