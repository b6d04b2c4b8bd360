"""evenkeel: deep networks that stay on an even keel.

The words at the top are those of Keras; each is imported when it is first used, so that
importing the package costs nothing. For programs written for Keras the import line is the only
change: `import evenkeel as keras`, or `import evenkeel as tf` and `from evenkeel import keras`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenkeel import (
        activations,
        backend,
        callbacks,
        constraints,
        datasets,
        doctor,
        errors,
        examination,
        initializers,
        layers,
        learning_rate,
        losses,
        metrics,
        models,
        optimizers,
        pretraining,
        random,
        recipes,
        regularizers,
        saving,
        transfer,
        treatment,
        utils,
    )
    from evenkeel.canaries import selftest
    from evenkeel.doctor import explain
    from evenkeel.examination import checkup
    from evenkeel.initializers import Initializer
    from evenkeel.layers import Input, Layer
    from evenkeel.learning_rate import find_learning_rate
    from evenkeel.losses import Loss
    from evenkeel.metrics import Metric
    from evenkeel.models import Model, Sequential
    from evenkeel.network import Variable
    from evenkeel.optimizers import Optimizer
    from evenkeel.randomness import set_random_seed
    from evenkeel.regularizers import Regularizer
    from evenkeel.treatment import repair

    __version__: str

__all__ = [
    "Initializer",
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "Variable",
    "activations",
    "backend",
    "callbacks",
    "checkup",
    "constraints",
    "datasets",
    "doctor",
    "errors",
    "examination",
    "explain",
    "find_learning_rate",
    "initializers",
    "layers",
    "learning_rate",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "pretraining",
    "random",
    "recipes",
    "regularizers",
    "repair",
    "saving",
    "selftest",
    "set_random_seed",
    "transfer",
    "treatment",
    "utils",
]

_HOMES = {
    "checkup": "evenkeel.examination",
    "explain": "evenkeel.doctor",
    "find_learning_rate": "evenkeel.learning_rate",
    "Initializer": "evenkeel.initializers",
    "Input": "evenkeel.layers",
    "Layer": "evenkeel.layers",
    "Loss": "evenkeel.losses",
    "Metric": "evenkeel.metrics",
    "Model": "evenkeel.models",
    "Optimizer": "evenkeel.optimizers",
    "Regularizer": "evenkeel.regularizers",
    "repair": "evenkeel.treatment",
    "Sequential": "evenkeel.models",
    "Variable": "evenkeel.network",
    "selftest": "evenkeel.canaries",
    "set_random_seed": "evenkeel.randomness",
}


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("evenkeel")
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "0+unknown"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name == "keras":  # so that `from evenkeel import keras` stands for `from tensorflow ...`
        return sys.modules[__name__]
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"evenkeel.{name}")
    from evenkeel.errors import nearest

    raise AttributeError(f"evenkeel has no {name!r}. {nearest(name, __all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
