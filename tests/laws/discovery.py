"""Finds the members of each family by what is exported, so that no law has a list of names.

Exporting a component enrols it: the laws run over what the functions here return. The tables hold
only what cannot be guessed, constructor arguments without a default and inputs that are no plain
table, and a law fails with a sentence that says which row to add.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import evenkeel as ek
from evenkeel.layers import Layer
from evenkeel.optimizers import Optimizer

# Arguments of members that cannot be constructed without any, or whose defaults do nothing.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "Activation": {"activation": "elu"},
    "AlphaDropout": {"rate": 0.5},
    "CSVLogger": {"filename": "log.csv"},
    "ConstantRate": {"learning_rate": 0.1},
    "Conv2D": {"filters": 3, "kernel_size": 2, "activation": "tanh"},
    "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 100, "alpha": 0.25},
    "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 100},
    "Delayed": {"schedule": 0.1, "start": 100},
    "Dense": {"units": 3, "activation": "tanh"},
    "Dropout": {"rate": 0.5},
    "Embedding": {"input_dim": 5, "output_dim": 3},
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 100, "decay_rate": 0.5},
    "FunctionLoss": {"function": lambda y, p: jnp.mean(jnp.abs(y - p), axis=-1)},
    "FunctionMetric": {"function": lambda y, p: jnp.mean(jnp.abs(y - p), axis=-1)},
    "GaussianDropout": {"rate": 0.5},
    "GaussianNoise": {"stddev": 0.5},
    "InputLayer": {"shape": (6,)},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 100, "decay_rate": 2.0},
    "Joined": {"schedules": (0.1, 0.2), "boundaries": (100,)},
    "LearningRateScheduler": {"schedule": lambda epoch: 0.1 / (1 + epoch)},
    "LossMetric": {"loss": ek.losses.Huber(delta=0.5)},
    "ModelCheckpoint": {"filepath": "{epoch}-{val_loss:.3f}.safetensors"},
    "OneCycle": {"max_learning_rate": 0.1, "total_steps": 100},
    "OptaxOptimizer": {"transformation": optax.adam(1.0)},
    "Permute": {"dims": (2, 1)},
    "PiecewiseConstantDecay": {"boundaries": (100,), "values": (0.1, 0.2)},
    "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 100},
    "PowerDecay": {"initial_learning_rate": 0.1, "decay_steps": 100, "power": 2.0},
    "RepeatVector": {"n": 3},
    "Rescaling": {"scale": 0.5, "offset": 1.0},
    "Reshape": {"target_shape": (3, 2)},
    "SpatialDropout2D": {"rate": 0.5},
    "Warmup": {"schedule": 0.1, "warmup_steps": 100},
}

# The shape of a batch of inputs, or a list of shapes for a layer that takes several.
TABLE = (4, 6)
IMAGES = (4, 5, 6, 2)
SHAPES: dict[str, Any] = {
    "Add": [TABLE, TABLE],
    "Average": [TABLE, TABLE, TABLE],
    "AveragePooling2D": IMAGES,
    "Concatenate": [TABLE, (4, 3)],
    "Conv2D": IMAGES,
    "Flatten": (4, 2, 3),
    "GlobalAveragePooling2D": IMAGES,
    "GlobalMaxPooling2D": IMAGES,
    "MaxPooling2D": IMAGES,
    "Maximum": [TABLE, TABLE],
    "Minimum": [TABLE, TABLE],
    "Multiply": [TABLE, TABLE],
    "Permute": (4, 2, 3),
    "SpatialDropout2D": IMAGES,
    "Subtract": [TABLE, TABLE],
    "ZeroPadding2D": IMAGES,
}

# Inputs that are whole numbers up to this one, for layers that look something up.
WHOLE: dict[str, int] = {"Embedding": 3}

# What a subclass must write before it is a member and no longer a contract.
CONTRACTS: dict[type, tuple[str, ...]] = {
    Layer: ("call",),
    Optimizer: ("update",),
    ek.initializers.Initializer: ("draw",),
    ek.optimizers.schedules.LearningRateSchedule: ("rate",),
    ek.losses.Loss: ("values",),
    ek.metrics.Metric: ("initial", "update", "value_of"),
    ek.metrics.MeanMetric: ("row_values",),
}


def public_modules() -> list[ModuleType]:
    """Returns the package, the modules that it exports, and those that these export."""
    outer = _modules_of(ek)
    inner = [module for family in outer for module in _modules_of(family)]
    return [ek, *outer, *(module for module in inner if module not in outer)]


def _modules_of(module: ModuleType) -> list[ModuleType]:
    things = [getattr(module, name) for name in public_names(module)]
    return [thing for thing in things if inspect.ismodule(thing)]


def public_names(module: ModuleType) -> list[str]:
    """Returns what a module exports: its `__all__`, or else what it defines without underscore."""
    declared = getattr(module, "__all__", None)
    if declared is not None:
        return list(declared)
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]


def _exported(module: ModuleType, keep: Any) -> dict[str, Any]:
    things = {name: getattr(module, name) for name in public_names(module)}
    # Two names of one thing, such as `silu` and `swish`, are one member.
    return {thing.__name__: thing for thing in things.values() if keep(thing)}


def members(module: ModuleType, contract: type) -> list[type]:
    """Returns the exported classes of a family that fulfil its contract.

    Args:
        module: Where they are exported, `ek.layers` for example.
        contract: The class they inherit from.
    """

    def fulfils(thing: Any) -> bool:
        return (
            inspect.isclass(thing)
            and issubclass(thing, contract)
            and not any(
                getattr(thing, name) is getattr(base, name)
                for base, names in CONTRACTS.items()
                if issubclass(thing, base)
                for name in names
            )
        )

    return list(_exported(module, fulfils).values())


def layers() -> list[type]:
    """Returns the exported layers."""
    return members(ek.layers, Layer)


def optimizers() -> list[type]:
    """Returns the exported optimizers."""
    return members(ek.optimizers, Optimizer)


def schedules() -> list[type]:
    """Returns the exported learning rate schedules."""
    return members(ek.optimizers.schedules, ek.optimizers.schedules.LearningRateSchedule)


def initializers() -> list[type]:
    """Returns the exported initializers."""
    return members(ek.initializers, ek.initializers.Initializer)


def losses() -> list[type]:
    """Returns the exported losses."""
    return members(ek.losses, ek.losses.Loss)


def metrics() -> list[type]:
    """Returns the exported metrics."""
    return members(ek.metrics, ek.metrics.Metric)


def callbacks() -> list[type]:
    """Returns the exported callbacks, without the contract, of which every method does nothing."""
    found = members(ek.callbacks, ek.callbacks.Callback)
    return [cls for cls in found if cls is not ek.callbacks.Callback]


def activations() -> list[Any]:
    """Returns the exported activations: the functions that can be had by their own name."""

    def is_activation(thing: Any) -> bool:
        name = getattr(thing, "__name__", "")
        return name in ek.activations.registry and ek.activations.get(name) is thing

    return list(_exported(ek.activations, is_activation).values())


def each(things: Iterable[Any]) -> list[Any]:
    """Returns pytest parameters that carry the members' names."""
    return [pytest.param(thing, id=thing.__name__) for thing in things]


def construct(cls: type, **more: Any) -> Any:
    """Builds a member from the table's arguments, or fails saying which row is missing."""
    arguments = {**ARGUMENTS.get(cls.__name__, {}), **more}
    try:
        return cls(**arguments)
    except TypeError as error:
        pytest.fail(
            f"{cls.__name__} is exported, but cannot be constructed: {error}. Give every argument "
            f"a default, or add a row {cls.__name__!r} to ARGUMENTS in tests/laws/discovery.py."
        )


def holds_code(cls: type) -> bool:
    """Whether a member is made around a function, so that it cannot be written to a file."""
    return any(
        callable(getattr(value, "update", value)) and not hasattr(value, "get_config")
        for value in ARGUMENTS.get(cls.__name__, {}).values()
    )


def sample_inputs(cls: type) -> Any:
    """Returns a batch for a layer: normal draws, with a first row of zeros to hit the kinks."""
    random = np.random.Generator(np.random.Philox(5))

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        values = random.standard_normal(shape).astype(np.float32)
        if cls.__name__ in WHOLE:
            values = np.clip(np.round(2 * np.abs(values)), 0, WHOLE[cls.__name__])
        values[0] = 0
        return values

    shapes = SHAPES.get(cls.__name__, TABLE)
    return [draw(shape) for shape in shapes] if isinstance(shapes, list) else draw(shapes)


def built(cls: type) -> tuple[Any, Any]:
    """Returns a built layer, its weights moved off their starting values, and inputs."""
    layer, inputs = construct(cls), sample_inputs(cls)
    try:
        layer(inputs)
    except ek.errors.InvalidDataError as error:
        pytest.fail(
            f"{cls.__name__} does not take the sample inputs: {error} Add a row {cls.__name__!r} "
            "to SHAPES in tests/laws/discovery.py."
        )
    random = np.random.Generator(np.random.Philox(6))
    layer.set_weights([w + random.uniform(0.1, 0.5, w.shape) for w in layer.get_weights()])
    return layer, inputs


def through_json(config: Any) -> Any:
    """Returns what is left of a configuration after it was written to a file."""
    return json.loads(json.dumps(config, allow_nan=False))


def numeric_arguments(cls: type) -> list[str]:
    """Returns the constructor's arguments that are numbers, by their defaults or the table."""
    parameters = inspect.signature(cls.__init__).parameters
    values = {name: parameter.default for name, parameter in parameters.items()}
    values |= ARGUMENTS.get(cls.__name__, {})
    return [
        name
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
