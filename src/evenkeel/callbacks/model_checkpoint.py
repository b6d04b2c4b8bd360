"""Files of a model while it is trained."""

from __future__ import annotations

import math
import os
import re
import string
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel.callbacks.monitored import MonitoredNumber, advice, is_skipped
from evenkeel.engine.hooks import Callback, Logs
from evenkeel.errors import (
    EvenkeelWarning,
    InvalidArgumentError,
    explain,
    number_in,
    positive_integer,
    require,
)


class ModelCheckpoint(Callback):
    """Saves the model during a run: after every epoch, every so many batches, or when it is best.

    What is not finite is never written: in an epoch that broke the file of an earlier one stays,
    and a warning says so. A value that is not finite never counts as the best.

    The name of the file may hold fields, filled in at each save with the format of Python:
    `{epoch}`, counted from 1, `{batch}`, counted from 1 within the epoch, and any log, as in
    `"{epoch:02d}-{val_loss:.2f}.safetensors"`. A log that the run does not have is an error at
    the end of the first epoch (or batch), whether or not a save is due then. An epoch without
    validation, with `validation_freq` above 1, is not saved under a name that needs it.

    In a second `fit` of the same model, the best value so far goes on being what must be beaten,
    so that the file never gets worse; with another model it starts afresh. Batches are counted
    from the start of each run.

    Args:
        filepath: The file, or a pattern for its name. Missing folders are made; a file that is
            there is replaced. Any ending will do: the content is evenkeel's.
        monitor: The log that tells which model is best, with `save_best_only`.
        verbose: 1 says what is saved, and why or why not.
        save_best_only: Whether to save only if the monitored value is the best so far.
        save_weights_only: Whether to save the weights alone, with `model.save_weights`, rather
            than the whole model, with `model.save`.
        mode: `"min"`, `"max"`, or `"auto"`: max for accuracies and scores, min for losses and
            errors. A name that tells neither is warned of and taken to be a loss.
        save_freq: `"epoch"`, or a number of batches, at least 1, counted over the whole run. A
            number makes the run call Python after every step, which is slower. In the midst of an
            epoch the logs are means since it began, and there is no validation.
        initial_value_threshold: A value that the first save must beat; None for none.

    Raises:
        InvalidArgumentError: If a setting is impossible, or a field of the name is not a log.

    Example:
        >>> checkpoint = ModelCheckpoint("runs/{epoch:03d}.safetensors", save_best_only=True)
        >>> checkpoint.path_for(epoch=6).name
        '007.safetensors'

    References:
        Arguments and defaults: Keras 3.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ):
        self.filepath = os.fspath(filepath)
        self.monitor = monitor
        self.verbose = verbose
        self.save_best_only = bool(save_best_only)
        self.save_weights_only = bool(save_weights_only)
        self.mode = mode
        self.save_freq = save_freq
        self.initial_value_threshold = initial_value_threshold
        number = MonitoredNumber("ModelCheckpoint", monitor, mode)
        self._number = number if self.save_best_only else None
        if initial_value_threshold is not None:
            where = "ModelCheckpoint(initial_value_threshold)"
            number_in(where, initial_value_threshold, -math.inf, math.inf)
            require(
                self.save_best_only,
                f"{where}: got {initial_value_threshold!r}, which means nothing if every model is "
                "saved.",
                "Type save_best_only=True as well, or leave it out.",
            )
        if save_freq != "epoch":
            self.save_freq = positive_integer("ModelCheckpoint(save_freq)", save_freq)
            # Set here rather than written in the class: only who asks for batches pays for them.
            self.on_train_batch_end = self._after_batch
        self._fields = _fields_of(self.filepath)
        self._refuse_impossible_fields()
        self.best: float | None = initial_value_threshold
        self._model: weakref.ref[Any] | None = None
        self._begin()

    def _begin(self) -> None:
        self._epoch = 0
        self._batches = 0
        self._has_checked_fields = False
        self._has_warned = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Starts counting; forgets the best value if it is another model's."""
        if self._model is None or self._model() is not self.model:
            self.best = self.initial_value_threshold
            self._model = weakref.ref(self.model)
        if self._number is not None:
            self._number.begin()
        self._begin()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Remembers which epoch it is."""
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Saves, if that is due after epochs."""
        if self.save_freq == "epoch":
            self._consider(epoch, None, {} if logs is None else logs, is_due=True)

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        """Saves, if the number of batches is reached."""
        assert isinstance(self.save_freq, int)
        self._batches += 1
        is_due = self._batches % self.save_freq == 0
        self._consider(self._epoch, batch, {} if logs is None else logs, is_due=is_due)

    def path_for(self, epoch: int, batch: int | None = None, logs: Logs | None = None) -> Path:
        """Returns the name of the file for an epoch.

        Args:
            epoch: The epoch, counted from 0.
            batch: The batch, counted from 0; None after an epoch.
            logs: The logs of the epoch or batch.
        """
        values: dict[str, Any] = {**(logs or {}), "epoch": epoch + 1}
        if batch is not None:
            values["batch"] = batch + 1
        return Path(self.filepath.format(**values))

    # -- whether -----------------------------------------------------------------------------

    def _consider(self, epoch: int, batch: int | None, logs: Logs, *, is_due: bool) -> None:
        has_name = self._has_name(logs)
        if not is_due or not has_name:
            return
        path, why = self.path_for(epoch, batch, logs), ""
        if self._number is not None:
            is_wanted, why = self._judge(self._number, logs)
            if not is_wanted:
                self._say(epoch, why)
                return
        if not self._is_fit_to_save(epoch, logs):
            return
        self._save(path)
        if self._number is not None and self.monitor in logs:
            self.best = float(logs[self.monitor])
        self._say(epoch, f"{why}saved to {path}.")

    def _has_name(self, logs: Logs) -> bool:
        """Whether these logs fill the name of the file; raises if no logs of this run can."""
        missing = [name for name in self._fields if name not in ("epoch", "batch", *logs)]
        if all(is_skipped(name, logs, self.params) for name in missing):
            return not missing
        name = next(name for name in missing if not is_skipped(name, logs, self.params))
        raise InvalidArgumentError(
            explain(
                f"ModelCheckpoint(filepath): {self.filepath!r} has the field {name!r}, and no log "
                "has that name.",
                advice(name, {**logs, "epoch": 0}),
            )
        )

    def _judge(self, number: MonitoredNumber, logs: Logs) -> tuple[bool, str]:
        """Returns whether this is the best model so far, and a sentence that says so."""
        value = number.read(logs, self.params)
        if value is None:
            # Better the latest model than none: whoever misspelled the name loses no run.
            return not is_skipped(self.monitor, logs, self.params), ""
        best = "nothing" if self.best is None else f"{self.best:.5g}"
        if number.is_better(value, than=self.best):
            return True, f"{self.monitor} improved from {best} to {value:.5g}; "
        return False, f"{self.monitor} is {value:.5g}, no improvement on {best}."

    def _is_fit_to_save(self, epoch: int, logs: Logs) -> bool:
        """Whether loss and weights are finite; the first time that they are not, it is said."""
        weights = (np.asarray(w) for w in self.model.get_weights())
        # A loss is taken before its step, which may be the one that overflows.
        is_fit = math.isfinite(logs.get("loss", 0.0)) and all(
            np.isfinite(w).all() for w in weights if w.dtype.kind == "f"
        )
        if not is_fit and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                explain(
                    f"ModelCheckpoint: the model of epoch {epoch + 1} was not saved, because its "
                    "loss or weights are not finite.",
                    "Files saved before hold the last good model.",
                ),
                EvenkeelWarning,
                stacklevel=2,
            )
        return is_fit

    # -- how ---------------------------------------------------------------------------------

    def _save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)

    def _say(self, epoch: int, sentence: str) -> None:
        if self.verbose:
            print(f"Epoch {epoch + 1}: {sentence}")

    # -- what cannot be ----------------------------------------------------------------------

    def _refuse_impossible_fields(self) -> None:
        where = "ModelCheckpoint(filepath)"
        is_folder = self.filepath.endswith(("/", os.sep)) or Path(self.filepath).is_dir()
        require(
            bool(self.filepath) and not is_folder,
            f"{where}: got {self.filepath!r}, expected the name of a file.",
            "Type 'checkpoints/{epoch:02d}.safetensors', for example.",
        )
        by_batch = self.save_freq != "epoch"
        require(
            by_batch or "batch" not in self._fields,
            f"{where}: {self.filepath!r} has the field 'batch', and saves come after epochs.",
            "Use {epoch}, or type save_freq=100 to save every 100 batches.",
        )
        late = [name for name in self._fields if name.startswith("val_")]
        late += [self.monitor] if self.save_best_only and self.monitor.startswith("val_") else []
        require(
            not by_batch or not late,
            f"ModelCheckpoint(save_freq={self.save_freq!r}): {(late or ['val_loss'])[0]!r} is only "
            "known when the epoch is over and was validated.",
            "Use monitor='loss' and training logs in the file name, or save_freq='epoch'.",
        )


def _fields_of(pattern: str) -> list[str]:
    """Returns the names of the fields in a pattern, each once; refuses what no log can fill."""
    where = f"ModelCheckpoint(filepath): {pattern!r}"
    advice = "Write fields as in '{epoch:02d}-{val_loss:.2f}', and a brace itself as '{{'."
    try:
        parsed = [name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None]
        names = list(dict.fromkeys(re.split(r"[.\[]", name)[0] for name in parsed))
        require(
            all(name.isidentifier() for name in names),
            f"{where} has a field that is not the name of a log.",
            advice,
        )
        pattern.format(**{name: 1 if name in ("epoch", "batch") else 0.5 for name in names})
    except InvalidArgumentError:
        raise
    except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise InvalidArgumentError(
            explain(f"{where} cannot be filled in: {error}.", advice)
        ) from None
    return names
