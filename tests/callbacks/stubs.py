"""What the tests of callbacks share: a stand-in for a model, and the smallest real run."""

from __future__ import annotations

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.layers import Dense

NAN = float("nan")


class Stub:
    """Stands for a model in hand-made runs: weights are the number of the last epoch."""

    def __init__(self):
        self.stop_training = False
        self.weights = [np.array(-1)]

    def get_weights(self):
        return [w.copy() for w in self.weights]

    def set_weights(self, weights):
        self.weights = weights


def linear(optimizer="sgd", **arguments):
    model = ek.Sequential([Dense(1, input_shape=[2])])
    model.compile(optimizer, "mse", **arguments)
    return model


X = np.linspace(-1, 1, 20, dtype=np.float32).reshape(10, 2)
Y = X[:, 0]
slow = pytest.mark.filterwarnings("ignore:fit.*listens to single batches")
