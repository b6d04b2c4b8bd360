"""Keras 3 `fit`, on the backend that KERAS_BACKEND in the worker's environment names."""

import os
from typing import Any

from benchmarks.job import BETA_1, BETA_2, EPSILON, MOMENTUM, Job, images_and_labels
from benchmarks.peers.base import TrainingSide

BACKEND_PACKAGES = {
    "jax": ("jax", "jaxlib"),
    "tensorflow": ("tensorflow-cpu", "tensorflow"),
    "torch": ("torch",),
}


class KerasPeer(TrainingSide):
    """The network of the job in Keras, NumPy arrays in, shuffled by `fit`.

    Args:
        jit_compile: As in Keras's `compile`; "auto" is its default.
        steps_per_execution: As in Keras's `compile`; 1 is its default.
    """

    def __init__(self, jit_compile: bool | str = "auto", steps_per_execution: int = 1) -> None:
        backend = os.environ["KERAS_BACKEND"]
        # TensorFlow is imported by Keras only when first needed; a missing one should show here.
        __import__(backend)
        import keras

        # Any: the annotations pyright infers from Keras are narrower than what it takes.
        self._keras: Any = keras
        self._compile_options = {
            "jit_compile": jit_compile,
            "steps_per_execution": steps_per_execution,
        }
        self.packages = ("keras", *BACKEND_PACKAGES[backend], "numpy")

    def prepare(self, job: Job) -> None:
        """Builds the model; Keras compiles it in the first epoch."""
        keras = self._keras
        keras.utils.set_random_seed(job.seed)
        hidden = {"activation": job.activation, "kernel_initializer": job.initializer}
        self._model = keras.Sequential(
            [
                keras.layers.Input((28, 28)),
                keras.layers.Flatten(),
                *(keras.layers.Dense(units, **hidden) for units in job.widths[1:-1]),
                keras.layers.Dense(job.widths[-1], activation="softmax"),
            ]
        )
        self._model.compile(
            optimizer=self._optimizer(job),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            **self._compile_options,
        )
        self._images, self._labels = images_and_labels(job)
        self._batch_size = job.batch_size
        self.note = (
            f"fit; jit_compile={self._model.jit_compile}, "
            f"steps_per_execution={self._compile_options['steps_per_execution']}"
        )

    def _optimizer(self, job: Job) -> Any:
        optimizers, rate = self._keras.optimizers, job.learning_rate
        if job.optimizer == "nesterov":
            return optimizers.SGD(rate, momentum=MOMENTUM, nesterov=True)
        kind = {"adam": optimizers.Adam, "nadam": optimizers.Nadam}[job.optimizer]
        return kind(rate, beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON)

    def train(self, epochs: int) -> float:
        """One call of `fit`."""
        history = self._model.fit(
            self._images, self._labels, batch_size=self._batch_size, epochs=epochs, verbose=0
        )
        return history.history["loss"][-1]
