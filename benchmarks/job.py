"""The training job that every side of a comparison performs, and its data."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

WIDTHS = (784, 300, 100, 10)
"""Units from the pixels to the classes: the notes' network."""

EPOCHS_A_CALL = 3
"""Epochs in one timed call: what happens once a call, such as moving data, counts by a third."""

OptimizerName = Literal["nesterov", "adam", "nadam"]
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)

MOMENTUM = 0.9
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
NADAM_DECAY = 0.96

LABELS = {
    "nesterov": f"SGD, Nesterov momentum {MOMENTUM}",
    "adam": f"Adam, {BETA_1} and {BETA_2}",
    "nadam": f"Nadam, {BETA_1} and {BETA_2}",
}
SLOTS = {"nesterov": 1, "adam": 2, "nadam": 2}
"""Numbers that an optimizer remembers of each parameter."""

_RATES = {"nesterov": 0.01, "adam": 0.001, "nadam": 0.001}

DESCRIPTION = {
    "epochs": f"{EPOCHS_A_CALL} in each timed call",
    "network": "784-300-100-10, ELU hidden layers, softmax output",
    "loss": "sparse categorical cross-entropy",
    "optimizers": {name: f"{LABELS[name]}, learning rate {_RATES[name]}" for name in OPTIMIZERS},
    "data": "synthetic float32 images in [0, 1), shuffled every epoch, the same for all sides",
    "unit": "microseconds per step = wall time of a call that trains some epochs / steps taken",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What one epoch consists of.

    Args:
        batch_size: Rows per step.
        samples: Rows per epoch, a multiple of `batch_size` so that all steps are alike.
        optimizer: One of `OPTIMIZERS`.
        widths: Units from the inputs to the classes; all but the last layer have `activation`.
        activation: What follows each layer but the last; SELU has LeCun's normal draws for the
            kernels, the others He's.
        slowing: What the optimizer's usual rate is divided by.
        seed: Key of the Philox generator the data come from.
    """

    batch_size: int
    samples: int
    optimizer: OptimizerName = "nesterov"
    widths: Sequence[int] = WIDTHS
    activation: Literal["elu", "relu", "selu"] = "elu"
    slowing: float = 1.0
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

    @property
    def learning_rate(self) -> float:
        """The rate of every step."""
        return _RATES[self.optimizer] / self.slowing

    @property
    def gain(self) -> float:
        """The variance of a kernel's draws times its inputs: He's 2 or LeCun's 1."""
        return 1.0 if self.activation == "selu" else 2.0

    @property
    def initializer(self) -> str:
        """The draws of the kernels, as Keras calls them."""
        return "lecun_normal" if self.activation == "selu" else "he_normal"

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(inputs, units) of each layer."""
        return list(itertools.pairwise(self.widths))

    @property
    def parameters(self) -> int:
        """Number of weights and biases of the network."""
        return sum(i * o + o for i, o in self.layers)


def images_and_labels(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Draws the data: images (samples, 28, 28) float32 and labels (samples,) int32.

    The labels follow from the images by a fixed random projection, so that the loss falls and
    the losses of two sides can be compared: the sign that they did the same work.
    """
    generator = np.random.Generator(np.random.Philox(key=job.seed))
    images = generator.random((job.samples, 28, 28), dtype=np.float32)
    projection = generator.standard_normal((job.widths[0], job.widths[-1]), dtype=np.float32)
    scores = (images.reshape(job.samples, -1) - 0.5) @ projection
    return images, scores.argmax(axis=1).astype(np.int32)
