"""scikit-learn's `MLPClassifier`: NumPy and BLAS without a framework."""

from typing import Any

import numpy as np

from benchmarks.job import BETA_1, BETA_2, EPSILON, MOMENTUM, Job, images_and_labels
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
        if job.optimizer == "nadam":
            raise ValueError("scikit-learn has no Nadam")
        solver = (
            {"solver": "sgd", "momentum": MOMENTUM, "nesterovs_momentum": True}
            if job.optimizer == "nesterov"
            else {"solver": "adam", "beta_1": BETA_1, "beta_2": BETA_2, "epsilon": EPSILON}
        )
        self._classes = np.arange(job.widths[-1])
        images, self._labels = images_and_labels(job)
        self._images = images.reshape(job.samples, -1)
        self._model = self._factory(
            hidden_layer_sizes=tuple(job.widths[1:-1]),
            activation="tanh",
            alpha=0.0,
            batch_size=job.batch_size,
            learning_rate="constant",
            learning_rate_init=job.learning_rate,
            shuffle=True,
            random_state=job.seed,
            max_iter=1,
            **solver,
        )

    def epoch(self) -> float:
        """One call of `partial_fit`, which shuffles as `fit` does but starts from where it was."""
        self._model.partial_fit(self._images, self._labels, classes=self._classes)
        return self._model.loss_
