"""The reference libraries, set up alike for every script: backend, device, threads, storage.

Keras reads its backend when it is imported, so the scripts take `keras` from here. Nothing in
this folder but the `record_*.py` scripts imports this module; our tests need only the numbers.
"""

import os
from importlib.metadata import version
from pathlib import Path

# Read while Keras and JAX are imported, hence before the imports.
os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"

import keras
import numpy as np
import torch

__all__ = [
    "FOLDER",
    "keras",
    "matched_epsilon",
    "report",
    "save",
    "torch",
    "torch_optimizer",
    "versions",
]

FOLDER = Path(__file__).parent
torch.set_num_threads(1)


def versions():
    """Returns the version of every library that can influence a number, by name."""
    names = ("keras", "jax", "jaxlib", "torch", "optax", "scikit-learn", "numpy")
    return {name: version(name) for name in names}


def save(file_name, arrays):
    """Writes named arrays, and the versions that made them, beside the scripts."""
    lines = np.array([f"{name} {number}" for name, number in versions().items()])
    np.savez_compressed(FOLDER / file_name, versions=lines, **arrays)


def torch_optimizer(case, parameters):
    """Returns PyTorch's optimizer for a case given in Keras's words.

    PyTorch divides by sqrt(v / (1 - b2^t)) + epsilon, Keras by sqrt(v) + epsilon before it
    applies the same correction; see `matched_epsilon`.
    """
    settings = case.arguments
    if case.kind == "Adam":
        betas = (settings["beta_1"], settings["beta_2"])
        rate = settings["learning_rate"]
        return torch.optim.Adam(parameters, lr=rate, betas=betas, eps=settings["epsilon"])
    return torch.optim.SGD(
        parameters,
        lr=settings["learning_rate"],
        momentum=settings.get("momentum", 0.0),
        nesterov=settings.get("nesterov", False),
    )


def matched_epsilon(case, step):
    """Returns the epsilon with which the paper's Adam takes Keras's step.

    With bias-corrected moments the step is lr m̂ / (sqrt(v̂) + e_t); Keras's is the same for
    e_t = epsilon / sqrt(1 - beta_2^t), which falls to epsilon as t grows.

    Args:
        case: An Adam case.
        step: t, counted from 1.
    """
    return case.arguments["epsilon"] / (1 - case.arguments["beta_2"] ** step) ** 0.5


def report(arrays, reference="keras"):
    """Prints, for each name another library has too, the largest absolute difference."""
    for name, array in arrays.items():
        library, _, rest = name.partition("/")
        counterpart = arrays.get(f"{reference}/{rest}")
        if library != reference and counterpart is not None:
            difference = np.abs(np.asarray(array, np.float64) - counterpart).max()
            print(f"{name:60} {difference:.2e}")
