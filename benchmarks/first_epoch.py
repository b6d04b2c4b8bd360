"""One side of the start claim as a program of its own: train the book's network for one epoch.

Run as `python -m benchmarks.first_epoch evenkeel` or `keras`, the latter on the backend that
KERAS_BACKEND names. Both read Fashion-MNIST in the same way, and print a line when the epoch and
its validation have ended.
"""

import sys
from typing import Any

import numpy as np

from benchmarks.start import END_OF_EPOCH

BATCH_SIZE = 32
VALIDATION_ROWS = 5_000


def main() -> None:
    """Trains with the library that the argument names."""
    words: Any = __import__(sys.argv[1])
    from evenkeel.datasets import fashion_mnist

    (images, labels), _ = fashion_mnist.load_data()
    train = images[:-VALIDATION_ROWS] / np.float32(255), labels[:-VALIDATION_ROWS]
    held_out = images[-VALIDATION_ROWS:] / np.float32(255), labels[-VALIDATION_ROWS:]
    model = words.Sequential(
        [
            words.layers.Input(shape=(28, 28)) if sys.argv[1] == "keras" else words.Input((28, 28)),
            words.layers.Flatten(),
            words.layers.Dense(300, activation="relu"),
            words.layers.Dense(100, activation="relu"),
            words.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=words.optimizers.SGD(learning_rate=0.01),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(*train, batch_size=BATCH_SIZE, epochs=1, validation_data=held_out, verbose=0)
    print(END_OF_EPOCH, flush=True)


if __name__ == "__main__":
    main()
