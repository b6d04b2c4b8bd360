"""A number of the logs that is watched: what it is, and which of two values of it is better.

`EarlyStopping`, `ReduceLROnPlateau` and `ModelCheckpoint` watch one; what follows is up to them.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from evenkeel.engine.hooks import Logs
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError, explain, nearest, number_in

_MODES = ("auto", "min", "max")

# Words of a log's name, between underscores, that say that less is better, and that more is.
_LESS = (
    "loss", "error", "mse", "mae", "mape", "msle", "rmse", "crossentropy", "hinge", "poisson",
    "divergence", "logcosh", "cosh", "huber", "perplexity", "deviance",
)  # fmt: skip
_MORE = (
    "accuracy", "auc", "precision", "recall", "f1", "fbeta", "r2", "sensitivity", "specificity",
    "correlation", "similarity", "iou", "dice",
)  # fmt: skip


class MonitoredNumber:
    """One number of the logs, and which of two values of it is better.

    A value that is not finite is never better than anything. NaN compares as False with every
    number, so that a NaN that once counted as the best could not be beaten.

    Args:
        owner: The callback that watches, for messages.
        monitor: The name of the log.
        mode: `"min"` if less is better, `"max"` if more is, `"auto"` to tell by the name.
        min_delta: By how much a value must be better to count, at least 0; the sign is ignored.

    Raises:
        InvalidArgumentError: If the mode is unknown or the difference not a number.

    Example:
        >>> number = MonitoredNumber("EarlyStopping", "val_accuracy", min_delta=0.01)
        >>> number.is_better(0.92, than=0.90), number.is_better(0.905, than=0.90)
        (True, False)
    """

    def __init__(self, owner: str, monitor: str, mode: str = "auto", min_delta: float = 0.0):
        if mode not in _MODES:
            raise InvalidArgumentError(
                explain(f"{owner}(mode): got {mode!r}.", nearest(str(mode), _MODES))
            )
        if not isinstance(monitor, str) or not monitor:
            raise InvalidArgumentError(
                explain(
                    f"{owner}(monitor): got {monitor!r}, expected the name of a log.",
                    "Type monitor='val_loss', for example.",
                )
            )
        self.owner = owner
        self.monitor = monitor
        self.min_delta = abs(number_in(f"{owner}(min_delta)", min_delta, -math.inf, math.inf))
        told = {"min": False, "max": True}.get(mode, self._wants_more_by_name())
        self.wants_more = bool(told)
        self._is_guess = told is None
        self._has_warned = False

    @property
    def worst(self) -> float:
        """What every finite value beats: infinity, of the sign that is no good."""
        return -math.inf if self.wants_more else math.inf

    def begin(self) -> None:
        """Forgets, at the start of a run, that it warned in an earlier one."""
        self._has_warned = False

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value is better than another by more than `min_delta`; None is beaten by all.

        Args:
            value: The value in question.
            than: What it is to beat; None if there is nothing yet.
        """
        if not math.isfinite(value):
            return False
        if than is None:
            return True
        if self.wants_more:
            return value - self.min_delta > than
        return value + self.min_delta < than

    def read(self, logs: Logs, params: dict[str, Any] | None) -> float | None:
        """Returns the number, or None if the logs lack it; once a run, a warning says so.

        There is no warning where validation is only skipped in this epoch. There is one where
        the mode is `"auto"` and the name does not tell it.

        Args:
            logs: The logs of the epoch or batch.
            params: The settings of the run.
        """
        if self.monitor in logs:
            if self._is_guess:
                self._warn(
                    f"the name of the monitored {self.monitor!r} does not tell whether less or "
                    "more is better; less is taken to be.",
                    "Type mode='max' if more is better, or mode='min' to confirm.",
                )
            return float(logs[self.monitor])
        if not is_skipped(self.monitor, logs, params):
            self._warn(f"no log is named {self.monitor!r}.", advice(self.monitor, logs))
        return None

    def _warn(self, found: str, what_to_type: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            message = explain(f"{self.owner}: {found}", what_to_type)
            warnings.warn(message, EvenkeelWarning, stacklevel=4)

    def _wants_more_by_name(self) -> bool | None:
        """Whether more is better as far as the name tells; None if it does not."""
        words = self.monitor.removeprefix("val_").lower().replace("io_u", "iou").split("_")
        if any(word.startswith(_LESS) for word in words):
            return False
        return True if "acc" in words or any(word.startswith(_MORE) for word in words) else None


def is_skipped(name: str, logs: Logs, params: dict[str, Any] | None) -> bool:
    """Whether a log of the validation is absent from these logs only, not from the run.

    That is so where only some epochs are validated, and in the epoch in which a run breaks.

    Args:
        name: The name of the log.
        logs: The logs that lack it.
        params: The settings of the run.
    """
    is_sparse = (params or {}).get("validation_freq", 1) > 1
    is_broken = not math.isfinite(logs.get("loss", 0.0))
    return name.startswith("val_") and (is_sparse or is_broken)


def advice(name: str, logs: Logs) -> str:
    """Returns what to type when the logs lack a name.

    Args:
        name: The name that was asked for.
        logs: The logs that there are.
    """
    if name.startswith("val_") and not any(log.startswith("val_") for log in logs):
        return "Give validation_data=(x_valid, y_valid) or validation_split to fit."
    return nearest(name, logs)
