"""Our side: the model of the README, trained with `fit`."""

from benchmarks.job import LEARNING_RATE, MOMENTUM, Job, images_and_labels
from benchmarks.peers.base import TrainingSide


class EvenkeelSide(TrainingSide):
    """`ek.Sequential.fit` with default callbacks, accuracy as metric, progress display off."""

    packages = ("evenkeel", "jax", "jaxlib", "numpy")
    note = "fit"

    def __init__(self) -> None:
        import evenkeel as ek

        self._ek = ek

    def prepare(self, job: Job) -> None:
        """Builds and compiles the model (compilation itself happens in the first epoch)."""
        ek = self._ek
        ek.set_random_seed(job.seed)
        hidden = {"activation": "elu", "kernel_initializer": "he_normal"}
        self._model = ek.Sequential(
            [
                ek.layers.Flatten(input_shape=[28, 28]),
                ek.layers.Dense(300, **hidden),
                ek.layers.Dense(100, **hidden),
                ek.layers.Dense(10, activation="softmax"),
            ]
        )
        self._model.compile(
            optimizer=ek.optimizers.SGD(
                learning_rate=LEARNING_RATE, momentum=MOMENTUM, nesterov=True
            ),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        self._images, self._labels = images_and_labels(job)
        self._batch_size = job.batch_size

    def train(self, epochs: int) -> float:
        """One call of `fit`."""
        history = self._model.fit(
            self._images, self._labels, batch_size=self._batch_size, epochs=epochs, verbose=0
        )
        return history.history["loss"][-1]
