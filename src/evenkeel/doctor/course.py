"""The course of a run: what `fit` leaves to look at, as plain records.

Whoever trains writes it down (`evenkeel.watch`), and tests write courses by hand. The numbers that
rules read from it are in `doctor.statistics.curves`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class BreakRecord:
    """Where a run stopped being finite.

    Attributes:
        epoch: The epoch, from 0.
        batch: The batch within the epoch, from 0; None if that is not known.
        what: What was not finite first: "data", "output", "loss", "gradient", "weights"; "" if
            that is not known.
        place: The layer or variable.
        cause: "data", "batch" (it breaks the weights of the epoch's beginning, too) or "rate".
        rate: The learning rate in force.
        next_rate: The rate with which the run went on; None if it did not.

    Example:
        >>> BreakRecord(epoch=0, batch=3, what="loss", cause="rate", rate=10.0).next_rate is None
        True
    """

    epoch: int
    batch: int | None
    what: str
    cause: str
    rate: float
    place: str = ""
    next_rate: float | None = None

    @property
    def layer(self) -> str:
        """The name of the layer that it is about."""
        return self.place.split("/")[0] or "y"


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """A run as far as it went.

    Attributes:
        logs: By name, one number an epoch; NaN where an epoch has none.
        rows: The training rows of an epoch; None if that is not known.
        validation_rows: The rows of a validation; None without one, or if that is not known.
        steps: The steps taken.
        is_over: Whether the run has ended.
        is_stopped: Whether a callback ended it.
        is_weighted: Whether rows or classes weigh differently, so that losses are no plain means.
        samples: The samples of telemetry, in order: each has `step`, `loss`, `learning_rate`, and
            by variable `gradient_norm`, `weight_norm`, `update_norm`.
        travel: For each trained kernel, how far it is from where the run began, in parts of its
            size then.
        breaks: Where it stopped being finite.
        inference_loss: The loss on training rows in inference mode at the end; None where nobody
            looked.
        inference_rows: How many rows that is from.

    Example:
        >>> Course(logs={"loss": [0.9, 0.5]}, steps=20).epochs
        2
    """

    logs: Mapping[str, Sequence[float]]
    rows: int | None = None
    validation_rows: int | None = None
    steps: int = 0
    is_over: bool = True
    is_stopped: bool = False
    is_weighted: bool = False
    samples: Sequence[Any] = ()
    travel: Mapping[str, float] = field(default_factory=dict)
    breaks: tuple[BreakRecord, ...] = ()
    inference_loss: float | None = None
    inference_rows: int = 0

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        return len(self.logs.get("loss", ()))

    def log(self, name: str) -> np.ndarray | None:
        """Returns the numbers of a name; None where there are none."""
        values = np.asarray(self.logs.get(name, ()), np.float64)
        return values if np.isfinite(values).any() else None
