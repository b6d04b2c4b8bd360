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
    "KERAS_DEFAULTS",
    "keras",
    "matched_epsilon",
    "report",
    "save",
    "torch",
    "torch_optimizer",
    "versions",
]

FOLDER = Path(__file__).parent
_ADAM = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
# What Keras does when a case is silent; the other libraries have to be told.
KERAS_DEFAULTS = {
    "SGD": {"learning_rate": 0.01},
    "Adam": _ADAM,
    "AdamW": _ADAM | {"weight_decay": 0.004},
    "Adamax": _ADAM,
    "Nadam": _ADAM,
    "Adagrad": {"learning_rate": 1e-3, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
    "RMSprop": {"learning_rate": 1e-3, "rho": 0.9, "epsilon": 1e-7},
}
TORCH_OPTIMIZERS = {"Nadam": "NAdam"}
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
    applies the same correction; see `matched_epsilon`. PyTorch's own defaults differ, so Keras's
    are always told; Nadam's momenta follow Keras's schedule with `momentum_decay=1`.
    """
    settings = KERAS_DEFAULTS[case.kind] | case.arguments
    given = {"lr": settings["learning_rate"]}
    given |= {"eps": settings["epsilon"]} if "epsilon" in settings else {}
    if "beta_1" in settings:
        given["betas"] = (settings["beta_1"], settings["beta_2"])
    for name in ("momentum", "nesterov", "centered", "amsgrad", "initial_accumulator_value"):
        given |= {name: settings[name]} if name in settings else {}
    match case.kind:
        case "RMSprop":
            given["alpha"] = settings["rho"]
        case "AdamW":
            given["weight_decay"] = settings["weight_decay"]
        case "Nadam":
            given |= {"weight_decay": settings.get("weight_decay", 0.0), "momentum_decay": 1.0}
            given["decoupled_weight_decay"] = True
    return getattr(torch.optim, TORCH_OPTIMIZERS.get(case.kind, case.kind))(parameters, **given)


def matched_epsilon(case, step):
    """Returns the epsilon with which the paper's Adam takes Keras's step.

    With bias-corrected moments the step is lr m̂ / (sqrt(v̂) + e_t); Keras's is the same for
    e_t = epsilon / sqrt(1 - beta_2^t), which falls to epsilon as t grows.

    Args:
        case: A case of Adam or AdamW.
        step: t, counted from 1.
    """
    settings = KERAS_DEFAULTS[case.kind] | case.arguments
    return settings["epsilon"] / (1 - settings["beta_2"] ** step) ** 0.5


def report(arrays, reference="keras"):
    """Prints, for each name another library has too, the largest absolute difference."""
    for name, array in arrays.items():
        library, _, rest = name.partition("/")
        counterpart = arrays.get(f"{reference}/{rest}")
        if library != reference and counterpart is not None:
            difference = np.abs(np.asarray(array, np.float64) - counterpart).max()
            print(f"{name:60} {difference:.2e}")
