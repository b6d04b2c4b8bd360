"""Our side: the model of the README, trained with `fit` and everything that is on by default."""

import contextlib
import io
import sys
from typing import Any

from benchmarks.job import MOMENTUM, Job, images_and_labels
from benchmarks.peers.base import TrainingSide

TELEMETRY = "economy"
"""The level that a doctor needs."""


class _Terminal(io.StringIO):
    """What the progress display takes for a terminal; nobody reads it."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


class EvenkeelSide(TrainingSide):
    """`ek.Sequential.fit`: default callbacks, accuracy, telemetry, a terminal's progress bar.

    Args:
        telemetry: As in `compile`.
        stacked: Whether runs of equal layers are loops; False writes every layer out.
    """

    packages = ("evenkeel", "jax", "jaxlib", "numpy")

    def __init__(self, telemetry: str = TELEMETRY, stacked: bool = True) -> None:
        import evenkeel as ek
        from evenkeel.engine import stacking

        if not stacked:
            stacking.SHORTEST_RUN = sys.maxsize
        self._ek = ek
        self._telemetry: Any = telemetry
        self.note = f"fit, compile(telemetry={telemetry!r}), progress display, accuracy"

    def prepare(self, job: Job) -> None:
        """Builds and compiles the model (compilation itself happens in the first epoch)."""
        ek = self._ek
        ek.set_random_seed(job.seed)
        hidden = {"activation": job.activation, "kernel_initializer": job.initializer}
        self._model = ek.Sequential(
            [
                ek.layers.Flatten(input_shape=[28, 28]),
                *(ek.layers.Dense(units, **hidden) for units in job.widths[1:-1]),
                ek.layers.Dense(job.widths[-1], activation="softmax"),
            ]
        )
        self._model.compile(
            optimizer=self._optimizer(job),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            telemetry=self._telemetry,
        )
        self._images, self._labels = images_and_labels(job)
        self._batch_size = job.batch_size

    def _optimizer(self, job: Job) -> Any:
        optimizers, rate = self._ek.optimizers, job.learning_rate
        if job.optimizer == "nesterov":
            return optimizers.SGD(rate, momentum=MOMENTUM, nesterov=True)
        return {"adam": optimizers.Adam, "nadam": optimizers.Nadam}[job.optimizer](rate)

    def train(self, epochs: int) -> float:
        """One call of `fit`."""
        with contextlib.redirect_stdout(_Terminal()):
            history = self._model.fit(
                self._images,
                self._labels,
                batch_size=self._batch_size,
                epochs=epochs,
                verbose=1,
            )
        return history.history["loss"][-1]
