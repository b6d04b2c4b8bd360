"""Ending a run when it no longer gets better."""

from __future__ import annotations

import numpy as np

from evenkeel.callbacks.monitored import MonitoredNumber
from evenkeel.engine.hooks import Callback, Logs
from evenkeel.errors import integer_at_least, number_in


class EarlyStopping(Callback):
    """Ends a run when a number has not improved for a while.

    An epoch is an improvement if its value v beats the best one before it by more than δ, that
    is v < best - δ where less is better and v > best + δ where more is. After `patience` epochs
    in a row without improvement the run ends. A value that is not finite never counts as the
    best, nor as an improvement.

    In a second `fit` it starts afresh: the best value and the weights kept are those of that run.

    Args:
        monitor: The name of a log: `"val_loss"`, `"val_accuracy"`, `"loss"`.
        min_delta: The δ by which a value must beat the best to count, at least 0.
        patience: How many epochs without improvement are waited for; 0 and 1 both end the run
            at the first one.
        verbose: 1 says when and why the run ended.
        mode: `"min"`, `"max"`, or `"auto"`: max for accuracies and scores, min for losses and
            errors. A name that tells neither is warned of and taken to be a loss.
        baseline: A value that must be beaten for the count to start again; None for none.
        restore_best_weights: Whether the weights of the best epoch are put back at the end,
            whether or not it beat the baseline.
        start_from_epoch: Epochs before this one, counted from 0, are not judged.

    Raises:
        InvalidArgumentError: If a setting is impossible.

    Example:
        >>> EarlyStopping(patience=10, restore_best_weights=True).monitor
        'val_loss'

    References:
        Prechelt, "Early Stopping - But When?", 1998. Defaults: Keras 3.
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
        self._number = MonitoredNumber("EarlyStopping", monitor, mode, min_delta)
        self.monitor = monitor
        self.min_delta = self._number.min_delta
        self.patience = integer_at_least(0, "EarlyStopping(patience)", patience)
        self.verbose = verbose
        self.mode = mode
        self.baseline = baseline
        if baseline is not None:
            self.baseline = number_in(
                "EarlyStopping(baseline)", baseline, -float("inf"), float("inf")
            )
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = integer_at_least(
            0, "EarlyStopping(start_from_epoch)", start_from_epoch
        )
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.best_weights: list[np.ndarray] | None = None
        self.wait = 0
        self.stopped_epoch = 0
        self._has_stopped = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets earlier runs."""
        self._number.begin()
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Judges the epoch and ends the run when patience is over."""
        value = self._number.read(logs or {}, self.params)
        if value is None or epoch < self.start_from_epoch:
            return
        is_best = self._number.is_better(value, than=self.best)
        if is_best:
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
        if is_best and self._number.is_better(value, than=self.baseline):
            self.wait = 0
            return
        self.wait += 1
        if self.wait >= max(1, self.patience):
            self.stopped_epoch, self._has_stopped = epoch, True
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Puts the best weights back, if asked to."""
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
        if self.verbose and self._has_stopped:
            print(
                f"Epoch {self.stopped_epoch + 1}: {self.monitor} has not improved for "
                f"{self.wait} epochs; the run ends."
            )
        if self.verbose and self.best_weights is not None and self.best_epoch is not None:
            print(f"The weights are those of epoch {self.best_epoch + 1}, the best one.")
