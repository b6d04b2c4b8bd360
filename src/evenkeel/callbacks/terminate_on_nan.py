"""Ending a run whose loss is no longer a number."""

from __future__ import annotations

import math

from evenkeel.engine.hooks import Callback, Logs
from evenkeel.engine.outcome import Outcome
from evenkeel.errors import NotFiniteError, explain


class TerminateOnNaN(Callback):
    """Ends a run when its loss becomes infinite or not a number, and can make it an error.

    The engine itself looks after every stretch of steps: where the loss or a weight is not
    finite, it puts the weights back to those the epoch began with, and takes the epoch again with
    a lower rate. This callback ends the run instead, with `model.stop_training`, and says at
    which step it was seen; with `raise_error=True` it is an error instead of a return. The error
    comes once the weights have been put back, so that the model it leaves can be used.
    `fit(if_not_finite="stop")` and `"raise"` do the same without a callback.

    It looks when the engine does, a few times a second, not after every batch: listening to
    single batches would slow the run down. In a second `fit` it starts afresh.

    Args:
        raise_error: Whether `fit` is to raise `NotFiniteError` rather than return.

    Raises:
        NotFiniteError: From `fit`, if asked to and the run broke.

    Example:
        >>> TerminateOnNaN(raise_error=True).raise_error
        True

    References:
        Name and argument: Keras 3, which looks after every batch and raises at once.
    """

    def __init__(self, raise_error: bool = False):
        self.raise_error = bool(raise_error)
        self._forget()

    def _forget(self) -> None:
        self._epoch = 0
        self._step: int | None = None
        self._seen: str | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets earlier runs."""
        self._forget()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Remembers which epoch it is."""
        self._epoch, self._step = epoch, None

    def on_progress(self, step: int, steps: int | None, logs: Logs | None = None) -> None:
        """Looks at the loss so far."""
        self._step = step
        self._look(logs)

    def on_not_finite(self, epoch: int, logs: Logs | None = None) -> None:
        """Ends the run, also where only a weight is not finite."""
        self._look(logs)
        self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Looks at the loss of the epoch."""
        self._epoch = epoch
        self._look(logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Raises the error, if asked to and the run broke."""
        history = getattr(self.model, "history", None)
        has_broken = getattr(history, "outcome", None) is Outcome.NOT_FINITE
        if self.raise_error and (self._seen or has_broken):
            where = self._seen or f"Epoch {self._epoch + 1}: a weight is no longer finite"
            raise NotFiniteError(
                explain(
                    f"{where}.",
                    "Lower the learning rate, standardize the inputs, or clip the gradients.",
                )
            )

    def _look(self, logs: Logs | None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if math.isfinite(loss) or self._seen:
            return
        by_when = "" if self._step is None else f" by step {self._step}"
        self._seen = f"Epoch {self._epoch + 1}: the loss is {loss}{by_when}"
        self.model.stop_training = True
        if not self.raise_error:
            print(f"{self._seen}; the run ends.")
