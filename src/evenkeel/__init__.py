"""evenkeel: deep networks that stay on an even keel.

The words at the top are those of Keras; each is imported when it is first used, so that
importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenkeel import (
        activations,
        callbacks,
        constraints,
        datasets,
        errors,
        initializers,
        layers,
        losses,
        metrics,
        models,
        optimizers,
        regularizers,
        saving,
    )
    from evenkeel.layers import Input
    from evenkeel.models import Model, Sequential
    from evenkeel.randomness import set_random_seed

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "activations",
    "callbacks",
    "constraints",
    "datasets",
    "errors",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "saving",
    "set_random_seed",
]

_HOMES = {
    "Input": "evenkeel.layers",
    "Model": "evenkeel.models",
    "Sequential": "evenkeel.models",
    "set_random_seed": "evenkeel.randomness",
}

try:
    __version__ = version("evenkeel")
except PackageNotFoundError:  # run from a source tree that was not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"evenkeel.{name}")
    from evenkeel.errors import nearest

    raise AttributeError(f"evenkeel has no {name!r}. {nearest(name, __all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
