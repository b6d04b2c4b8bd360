"""The logs of a run as TensorBoard reads them."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel.engine.hooks import Callback, Logs
from evenkeel.errors import (
    InvalidArgumentError,
    explain,
    integer_at_least,
    nearest,
    optional_package,
    positive_integer,
)
from evenkeel.network import named_variables

# What Keras's callback can write besides, and the value that asks for nothing.
_NOT_WRITTEN = {
    "write_graph": False,
    "write_images": False,
    "profile_batch": 0,
    "embeddings_freq": 0,
    "embeddings_metadata": None,
}
# Two files that are begun within one second would otherwise have the same name.
_file_numbers = itertools.count()


class TensorBoard(Callback):
    """Writes the logs of a run, and histograms of the weights, to files for TensorBoard.

    Look at them with `tensorboard --logdir logs`. The names are those of Keras, so that runs of
    both can be compared. In the folder `train`: `epoch_loss` and the other logs of training,
    `epoch_learning_rate`, `batch_loss` if asked for, and histograms such as
    `dense/kernel/histogram`. In the folder `validation`: `epoch_loss`, and
    `evaluation_loss_vs_iterations` for each evaluation.

    It needs the package tensorboardX: `pip install "evenkeel[tensorboard]"`. In a second `fit`
    new files are begun in the same folders, which TensorBoard shows as one run; epochs count
    from `initial_epoch`, batches go on from where the optimizer is.

    Args:
        log_dir: The folder; made when the first number is written.
        histogram_freq: Every how many epochs the weights' histograms are written, the first
            epoch included; 0 for none.
        write_steps_per_second: Whether to write `epoch_steps_per_second`.
        update_freq: `"epoch"`; or `"batch"` or a number of batches to write the logs within an
            epoch as well, which makes the run call Python after every step and is slower.
        **not_written: Other arguments of Keras's callback, accepted only with the value that
            asks for nothing: there is no graph, image, profile or embedding to be had here.

    Raises:
        MissingPackageError: If tensorboardX is not installed.
        InvalidArgumentError: If a setting is impossible or would have no effect.

    Example:
        >>> TensorBoard("logs/first", histogram_freq=5).histogram_freq
        5
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        *,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        **not_written: Any,
    ):
        _refuse(not_written)
        optional_package("tensorboardX", "tensorboard")
        self.log_dir = Path(log_dir)
        self.histogram_freq = integer_at_least(0, "TensorBoard(histogram_freq)", histogram_freq)
        self.write_steps_per_second = bool(write_steps_per_second)
        self.update_freq = update_freq
        if update_freq != "epoch":
            batches = 1 if update_freq == "batch" else update_freq
            self._batches = positive_integer("TensorBoard(update_freq)", batches)
            # Set here rather than written in the class: only who asks for batches pays for them.
            self.on_train_batch_end = self._after_batch
        self._writers: dict[str, Any] = {}
        self._is_in_run = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begins new files."""
        self.close()
        self._is_in_run = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()
        self._iterations = self.model.optimizer.iterations

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes the logs of the epoch and, where due, the histograms."""
        logs = logs or {}
        optimizer = self.model.optimizer
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        train.setdefault("learning_rate", float(optimizer.learning_rate))
        if self.write_steps_per_second:
            seconds = time.perf_counter() - self._started
            train["steps_per_second"] = (optimizer.iterations - self._iterations) / seconds
        self._scalars("train", "epoch_{}", train, epoch)
        validation = {n.removeprefix("val_"): v for n, v in logs.items() if n.startswith("val_")}
        self._scalars("validation", "epoch_{}", validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._histograms(epoch)
        self._flush()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Writes the logs of an evaluation, by the steps that the optimizer has taken."""
        if self.model.optimizer is None:
            return
        steps = self.model.optimizer.iterations
        self._scalars("validation", "evaluation_{}_vs_iterations", logs or {}, steps)
        if not self._is_in_run:
            self.close()

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        self._is_in_run = False

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        """Writes the logs of the epoch so far, where due."""
        steps = self.model.optimizer.iterations
        if steps % self._batches == 0:
            self._scalars("train", "batch_{}", logs or {}, steps)

    def _scalars(self, folder: str, tag: str, logs: Logs, step: int) -> None:
        for name, value in logs.items():
            self._writer(folder).add_scalar(tag.format(name), value, step)

    def _histograms(self, epoch: int) -> None:
        for path, variable in named_variables(self.model).items():
            values = variable.numpy().astype(np.float64).ravel()
            values = values[np.isfinite(values)]  # a histogram has no place for the others
            if values.size:
                self._writer("train").add_histogram(f"{path}/histogram", values, epoch)

    def _flush(self) -> None:
        for writer in self._writers.values():
            writer.flush()

    def _writer(self, folder: str) -> Any:
        """Returns the writer of a folder, which is begun when there is something to write."""
        if folder not in self._writers:
            from tensorboardX import SummaryWriter

            suffix = f".{os.getpid()}.{next(_file_numbers)}"
            path = str(self.log_dir / folder)
            self._writers[folder] = SummaryWriter(path, filename_suffix=suffix)
        return self._writers[folder]


def _refuse(arguments: dict[str, Any]) -> None:
    """Refuses arguments that would have no effect; those that ask for nothing may stay."""
    for name, value in arguments.items():
        if name not in _NOT_WRITTEN:
            valid = ["log_dir", "histogram_freq", "write_steps_per_second", "update_freq"]
            raise InvalidArgumentError(
                explain(f"TensorBoard: there is no argument {name!r}.", nearest(name, valid))
            )
        off = _NOT_WRITTEN[name]
        if value != off:
            raise InvalidArgumentError(
                explain(
                    f"TensorBoard({name}): got {value!r}, and this callback does not write that.",
                    f"Leave it out, or type {name}={off!r}.",
                )
            )
