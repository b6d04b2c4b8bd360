"""Pretraining: layers that learn from rows without labels, or from another task, for use in yours.

Each function takes layers and data, trains copies of the layers, and returns `Pretrained`: the
layers, what was measured, and `then(...)`, which puts your output layer on top. `autoencoder` and
`greedy` (one layer at a time, as autoencoders or restricted Boltzmann machines) reconstruct their
input, `gan` tells it from made-up rows, `auxiliary` solves a side task.
"""

from evenkeel.pretraining.autoencoder import autoencoder
from evenkeel.pretraining.auxiliary import auxiliary, pairs_from_labels
from evenkeel.pretraining.gan import gan
from evenkeel.pretraining.greedy import greedy
from evenkeel.pretraining.rbm import RestrictedBoltzmannMachine
from evenkeel.pretraining.result import Pretrained, Stage

__all__ = [
    "Pretrained",
    "RestrictedBoltzmannMachine",
    "Stage",
    "autoencoder",
    "auxiliary",
    "gan",
    "greedy",
    "pairs_from_labels",
]
