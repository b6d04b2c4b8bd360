"""Callbacks: what listens to a run and may end it.

`Callback` is the contract; `EarlyStopping` the first of the family.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from evenkeel.engine.hooks import Callback, Logs
from evenkeel.errors import (
    EvenkeelWarning,
    InvalidArgumentError,
    explain,
    integer_at_least,
    nearest,
    number_in,
)

__all__ = ["Callback", "EarlyStopping"]

# Metrics of which more is better; everything else is taken to be a loss.
_MORE_IS_BETTER = ("acc", "auc", "precision", "recall", "f1", "r2")
_MODES = ("auto", "min", "max")


class EarlyStopping(Callback):
    """Ends a run when a number has not improved for a while.

    A value that is not a number never counts as the best, nor as an improvement.

    Args:
        monitor: The name of a log: `"val_loss"`, `"val_accuracy"`, `"loss"`.
        min_delta: By how much a value must beat the best to count, at least 0.
        patience: How many epochs without improvement are waited for.
        verbose: 1 says when and why the run ended.
        mode: `"min"`, `"max"`, or `"auto"`: max for accuracies and scores, min for all else.
        baseline: A value that the first epochs must beat; None for none.
        restore_best_weights: Whether the weights of the best epoch are put back at the end.
        start_from_epoch: Epochs before this one are not judged.

    Raises:
        InvalidArgumentError: If a setting is impossible.

    Example:
        >>> EarlyStopping(patience=10, restore_best_weights=True).monitor
        'val_loss'

    References:
        Prechelt, "Early Stopping - But When?", 1998.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        if mode not in _MODES:
            raise InvalidArgumentError(
                explain(f"EarlyStopping(mode): got {mode!r}.", nearest(str(mode), _MODES))
            )
        self.monitor = monitor
        self.min_delta = number_in("EarlyStopping(min_delta)", abs(min_delta), 0, math.inf)
        self.patience = integer_at_least(0, "EarlyStopping(patience)", patience)
        self.verbose = verbose
        self.mode = mode
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = integer_at_least(
            0, "EarlyStopping(start_from_epoch)", start_from_epoch
        )
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = self.baseline
        self.best_epoch: int | None = None
        self.best_weights: list[np.ndarray] | None = None
        self.wait = 0
        self.stopped_epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets earlier runs."""
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Judges the epoch and ends the run when patience is over."""
        value = self._value(logs or {})
        if value is None or epoch < self.start_from_epoch:
            return
        if self._is_better(value):
            self.best, self.best_epoch, self.wait = value, epoch, 0
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            return
        self.wait += 1
        if self.wait >= max(1, self.patience):
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Puts the best weights back, if asked to."""
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
        if self.verbose and self.stopped_epoch:
            print(
                f"Epoch {self.stopped_epoch + 1}: {self.monitor} has not improved for "
                f"{self.wait} epochs; the run ends."
            )

    def _value(self, logs: Logs) -> float | None:
        if self.monitor in logs:
            return float(logs[self.monitor])
        if self._is_skipped(logs):
            return None
        if self.monitor.startswith("val_") and not any(n.startswith("val_") for n in logs):
            advice = "Give validation_data=(x_valid, y_valid) or validation_split to fit."
        else:
            advice = nearest(self.monitor, logs)
        message = explain(f"EarlyStopping: no log is named {self.monitor!r}.", advice)
        warnings.warn(message, EvenkeelWarning, stacklevel=2)
        return None

    def _is_skipped(self, logs: Logs) -> bool:
        """Whether validation is absent from this epoch only, not from the run."""
        is_sparse = (self.params or {}).get("validation_freq", 1) > 1
        is_broken = not math.isfinite(logs.get("loss", 0.0))
        return self.monitor.startswith("val_") and (is_sparse or is_broken)

    def _is_better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        if self._wants_more:
            return value > self.best + self.min_delta
        return value < self.best - self.min_delta

    @property
    def _wants_more(self) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        return any(name.startswith(word) or name.endswith(word) for word in _MORE_IS_BETTER) or (
            "accuracy" in name
        )
