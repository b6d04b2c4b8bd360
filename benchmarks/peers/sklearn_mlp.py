"""scikit-learn's `MLPClassifier`: NumPy and BLAS without a framework."""

from typing import Any

import numpy as np

from benchmarks.job import LEARNING_RATE, MOMENTUM, WIDTHS, Job, images_and_labels
from benchmarks.peers.base import TrainingSide


class SklearnMLP(TrainingSide):
    """`partial_fit`, one epoch a call, with tanh because it has no ELU.

    ReLU would be the obvious substitute, but here it hurts this peer: units die, their momentum
    decays into denormal numbers, and from the first epoch to the fourth the step went from 1600 to
    2770 microseconds; with tanh it stays at 1420.
    """

    packages = ("scikit-learn", "scipy", "numpy")
    note = "partial_fit; activation tanh (it has no ELU), alpha=0, no accuracy metric"

    def __init__(self) -> None:
        import sklearn.neural_network

        # Any: the annotations pyright infers are narrower than what it takes.
        self._factory: Any = sklearn.neural_network.MLPClassifier

    def prepare(self, job: Job) -> None:
        """Makes the classifier; its weights are drawn in the first epoch."""
        images, self._labels = images_and_labels(job)
        self._images = images.reshape(job.samples, -1)
        self._model = self._factory(
            hidden_layer_sizes=WIDTHS[1:-1],
            activation="tanh",
            solver="sgd",
            alpha=0.0,
            batch_size=job.batch_size,
            learning_rate="constant",
            learning_rate_init=LEARNING_RATE,
            momentum=MOMENTUM,
            nesterovs_momentum=True,
            shuffle=True,
            random_state=job.seed,
            max_iter=1,
        )

    def epoch(self) -> float:
        """One call of `partial_fit`, which shuffles as `fit` does but starts from where it was."""
        self._model.partial_fit(self._images, self._labels, classes=np.arange(WIDTHS[-1]))
        return self._model.loss_
