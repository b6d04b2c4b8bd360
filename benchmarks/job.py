"""The training job that every side of a comparison performs, and its data."""

import dataclasses
import itertools

import numpy as np

WIDTHS = (784, 300, 100, 10)
LEARNING_RATE = 0.01
MOMENTUM = 0.9

EPOCHS_A_CALL = 3
"""Epochs in one timed call: what happens once a call, such as moving data, counts by a third."""

DESCRIPTION = {
    "epochs": f"{EPOCHS_A_CALL} in each timed call",
    "network": "784-300-100-10, ELU hidden layers, softmax output",
    "loss": "sparse categorical cross-entropy",
    "optimizer": f"SGD, learning rate {LEARNING_RATE}, Nesterov momentum {MOMENTUM}",
    "data": "synthetic float32 images in [0, 1), shuffled every epoch, the same for all sides",
    "unit": "microseconds per step = wall time of a call that trains some epochs / steps taken",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What one epoch consists of.

    Args:
        batch_size: Rows per step.
        samples: Rows per epoch, a multiple of `batch_size` so that all steps are alike.
        seed: Key of the Philox generator the data come from.
    """

    batch_size: int
    samples: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks that the epoch divides into whole steps."""
        if self.samples % self.batch_size:
            whole = max(1, self.samples // self.batch_size) * self.batch_size
            raise ValueError(
                f"{self.samples} samples do not divide into batches of {self.batch_size}. "
                f"Type --samples {whole}"
            )

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return self.samples // self.batch_size


def parameter_count() -> int:
    """Number of weights and biases of the network."""
    return sum(i * o + o for i, o in itertools.pairwise(WIDTHS))


def images_and_labels(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Draws the data: images (samples, 28, 28) float32 and labels (samples,) int32.

    The labels follow from the images by a fixed random projection, so that the loss falls and
    the losses of two sides can be compared: the sign that they did the same work.
    """
    generator = np.random.Generator(np.random.Philox(key=job.seed))
    images = generator.random((job.samples, 28, 28), dtype=np.float32)
    projection = generator.standard_normal((WIDTHS[0], WIDTHS[-1]), dtype=np.float32)
    scores = (images.reshape(job.samples, -1) - 0.5) @ projection
    return images, scores.argmax(axis=1).astype(np.int32)
