"""A learning rate that falls when learning stalls."""

from __future__ import annotations

import math

from evenkeel.callbacks.monitored import MonitoredNumber
from evenkeel.engine.hooks import Callback, Logs
from evenkeel.errors import integer_at_least, number_in

# Smaller changes of the rate than this fraction are rounding, not a reduction.
_ROUNDING = 1e-6


class ReduceLROnPlateau(Callback):
    """Lowers the learning rate when a number has not improved for a while.

    After `patience` epochs in a row that do not beat the best value by more than `min_delta`,
    the rate η becomes

        η ← max(factor · η, min_lr)

    and nothing is counted for `cooldown` epochs. The differences are absolute, not fractions of
    the best value, so that numbers below zero are judged like all others. A value that is not
    finite never counts as the best.

    With an optimizer whose rate is a schedule, what is scaled is `optimizer.rate_factor`, which
    multiplies the schedule from there on. Then η and `min_lr` are about the product: the
    schedule itself may still take the rate below `min_lr`.

    The rate that an epoch ended with is put into its logs, and so into the history, as
    `learning_rate`. Setting it recompiles nothing. In a second `fit` the counts and the best
    value start afresh; the rate stays where it is, for it is the optimizer's.

    Args:
        monitor: The name of a log: `"val_loss"`, `"val_accuracy"`, `"loss"`.
        factor: What the rate is multiplied with, in (0, 1).
        patience: How many epochs without improvement are waited for; 0 and 1 both lower the
            rate after the first one.
        verbose: 1 says when the rate is lowered, and to what.
        mode: `"min"`, `"max"`, or `"auto"`: max for accuracies and scores, min for losses and
            errors. A name that tells neither is warned of and taken to be a loss.
        min_delta: By how much a value must beat the best to count, at least 0.
        cooldown: How many epochs after a reduction are not counted; 0 counts all.
        min_lr: Below this the rate is not lowered, at least 0.

    Raises:
        InvalidArgumentError: If a setting is impossible.

    Example:
        >>> ReduceLROnPlateau(factor=0.5, patience=5).monitor
        'val_loss'

    References:
        Defaults, and what counts when: Keras 3.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        name = "ReduceLROnPlateau"
        self._number = MonitoredNumber(name, monitor, mode, min_delta)
        self.monitor = monitor
        self.factor = number_in(f"{name}(factor)", factor, 0, 1, low_open=True, high_open=True)
        self.patience = integer_at_least(0, f"{name}(patience)", patience)
        self.verbose = verbose
        self.mode = mode
        self.min_delta = self._number.min_delta
        self.cooldown = integer_at_least(0, f"{name}(cooldown)", cooldown)
        self.min_lr = number_in(f"{name}(min_lr)", min_lr, 0, math.inf)
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets earlier runs."""
        self._number.begin()
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Judges the epoch and lowers the rate when patience is over."""
        logs = {} if logs is None else logs
        logs.setdefault("learning_rate", float(self.model.optimizer.learning_rate))
        value = self._number.read(logs, self.params)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._number.is_better(value, than=self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and self._lower(epoch):
                self.wait, self.cooldown_counter = 0, self.cooldown

    def _lower(self, epoch: int) -> bool:
        """Lowers the rate, and returns whether there was anything to lower."""
        optimizer = self.model.optimizer
        old = float(optimizer.learning_rate)
        new = max(old * self.factor, self.min_lr)
        if new >= old * (1 - _ROUNDING):
            return False
        if optimizer.schedule is None:
            optimizer.learning_rate = new
        else:
            optimizer.rate_factor *= new / old
        if self.verbose:
            print(
                f"Epoch {epoch + 1}: {self.monitor} has not improved for {self.wait} epochs; "
                f"the learning rate goes from {old:.4g} to {new:.4g}."
            )
        return True
