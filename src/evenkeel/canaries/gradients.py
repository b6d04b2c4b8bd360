"""Canaries of gradients: each is the slope that central differences measure.

Along a random direction v of unit length, with everything in float32,

    g·v ≈ (L(θ + h·v) - L(θ - h·v)) / 2h

The loss of each row is computed in float32 and their sum taken in float64, so that rounding adds
about 1e-7 · |L| / h to the slope; h = 0.01 makes it 1e-5, and the curvature's part is of that
order, too. Half a percent of the slope's own scale is an honest limit; a wrong term is far above.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel import layers, losses, optimizers
from evenkeel.canaries.base import canary, difference, draws
from evenkeel.engine import compilation
from evenkeel.engine.plan import Plan
from evenkeel.network import copied, random_key
from evenkeel.randomness import undisturbed

_STEP = 0.01
_MOST_ERROR = 0.005
_BROKEN = (
    "Training with it would go in a wrong direction. Type pip install --upgrade jax jaxlib "
    "evenkeel, and evenkeel selftest again; if it still fails, report it with these lines."
)


def slope_error(rows: Callable[[dict[str, Any]], Any], at: dict[str, np.ndarray]) -> float:
    """Returns how far a gradient is from the slope, in units of the gradient's length.

    Args:
        rows: A function of parameters by name; its values are added up.
        at: Where to measure.
    """
    gradients = compilation.compiled(jax.grad(lambda given: jnp.sum(rows(given))))(at)
    program = compilation.compiled(rows)
    random, errors = draws(3), []
    length = _norm(gradients)
    size = sum(value.size for value in at.values())
    for _ in range(3):
        direction = {name: random.normal(size=v.shape) for name, v in at.items()}
        norm = _norm(direction)
        direction = {name: d / norm for name, d in direction.items()}

        def total(sign: float, v: dict[str, np.ndarray] = direction) -> float:
            moved = {n: (at[n] + sign * _STEP * v[n]).astype(np.float32) for n in at}
            return float(np.asarray(program(moved), np.float64).sum())

        measured = (total(1) - total(-1)) / (2 * _STEP)
        claimed = sum(
            float((np.asarray(gradients[n], np.float64) * direction[n]).sum()) for n in at
        )
        # A random direction sees about this much of the gradient.
        errors.append(abs(claimed - measured) / max(length / math.sqrt(size), 1e-6))
    return max(errors)


def _norm(arrays: dict[str, Any]) -> float:
    return math.sqrt(sum(float((np.asarray(a, np.float64) ** 2).sum()) for a in arrays.values()))


def _layer_error(layer: layers.Layer, shape: tuple[int, ...]) -> float:
    """The error for a layer's weights and its inputs, under a smooth function of its outputs."""
    x = draws(4).normal(size=shape).astype(np.float32)
    with undisturbed():
        layer.ensure_built((None, *shape[1:]))
    plan = Plan.of(layer)
    random = draws(5)
    weights = {
        path: np.asarray(v._value) + 0.1 * random.normal(size=v.shape).astype(np.float32)
        for path, v in plan.trained.items()
    }
    others = {path: v._value for path, v in plan.others.items()}

    def rows(given: dict[str, Any]) -> Any:
        own = {path: given[path] for path in plan.trained}
        output, _, _ = plan.evaluate(own, others, given["x"], training=True, key=random_key(0))
        tilt = jnp.cos(jnp.arange(output.size, dtype=jnp.float32)).reshape(output.shape)
        return jnp.sin(output) * tilt

    return slope_error(rows, {**weights, "x": x})


_LAYERS: dict[str, tuple[Callable[[], layers.Layer], tuple[int, ...]]] = {
    **{
        f"Dense, {name}": (partial(layers.Dense, 7, activation=name, name="canary"), (6, 5))
        for name in ("tanh", "sigmoid", "elu", "selu", "silu", "gelu", "softplus", "softmax")
    },
    "Conv2D": (partial(layers.Conv2D, 3, 3, name="canary"), (2, 6, 6, 2)),
    "BatchNormalization": (partial(layers.BatchNormalization, name="canary"), (12, 5)),
    "LayerNormalization": (partial(layers.LayerNormalization, name="canary"), (6, 5)),
    "RMSNormalization": (partial(layers.RMSNormalization, name="canary"), (6, 5)),
}


def _loss_error(loss: losses.Loss, y: np.ndarray, outputs: np.ndarray) -> float:

    def rows(given: dict[str, Any]) -> Any:
        return loss.values(jnp.asarray(y), given["outputs"])

    return slope_error(rows, {"outputs": outputs})


def _losses() -> dict[str, Callable[[], float]]:
    random = draws(6)
    scores = random.normal(size=(8, 4)).astype(np.float32)
    chances = (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)).astype(np.float32)
    targets = random.normal(size=(8, 4)).astype(np.float32)
    numbers = (np.arange(8) % 4).astype(np.int32)
    one_hot = np.eye(4, dtype=np.float32)[numbers]
    single = (1 / (1 + np.exp(-scores[:, :1]))).astype(np.float32)
    yes = (np.arange(8) % 2).astype(np.float32)[:, None]
    cases = {
        "MeanSquaredError": (losses.MeanSquaredError(), targets, scores),
        "Huber": (losses.Huber(), targets, scores),
        "BinaryCrossentropy": (losses.BinaryCrossentropy(), yes, single),
        "CategoricalCrossentropy": (losses.CategoricalCrossentropy(), one_hot, chances),
        "SparseCategoricalCrossentropy": (
            losses.SparseCategoricalCrossentropy(),
            numbers,
            chances,
        ),
    }
    return {name: partial(_loss_error, *case) for name, case in cases.items()}


def _optimizer_error(name: str) -> float:
    """How far three compiled steps are from the same steps taken operation by operation."""
    params = {"w": draws(7).normal(size=(4, 3)).astype(np.float32)}

    def steps(params: dict[str, Any]) -> Any:
        optimizer = optimizers.get(name)
        slots = optimizer.start(params)
        for step in range(3):
            gradients = {"w": params["w"] * (1.0 + step)}
            factor = jnp.float32(optimizer.rate_factor)
            params, slots = optimizer.advance(
                gradients, slots, params, factor, jnp.asarray(step, jnp.int32)
            )
        return params["w"]

    found = compilation.compiled(steps)(params)
    with jax.disable_jit():
        expected = steps(copied(params))
    return difference(found, expected)


for _name, (_make, _shape) in _LAYERS.items():

    def _of_layer(make: Any = _make, shape: tuple[int, ...] = _shape) -> float:
        return _layer_error(make(), shape)

    _of_layer.__doc__ = (
        f"The gradient of {_name} for its weights and inputs is the slope that differences measure."
    )
    canary("error", _MOST_ERROR, name=f"gradient of {_name}", if_it_fails=_BROKEN)(_of_layer)

for _name, _error in _losses().items():

    def _of_loss(error: Callable[[], float] = _error) -> float:
        return error()

    _of_loss.__doc__ = f"The gradient of {_name} is the slope that differences measure."
    canary("error", _MOST_ERROR, name=f"gradient of {_name}", if_it_fails=_BROKEN)(_of_loss)

for _name in ("sgd", "rmsprop", "adagrad", "adam", "adamw", "adamax", "nadam"):

    def _of_optimizer(name: str = _name) -> float:
        return _optimizer_error(name)

    _of_optimizer.__doc__ = (
        f"Three compiled steps of {_name} are the same steps, run operation by operation."
    )
    canary("relative difference", 1e-5, name=f"steps of {_name}", if_it_fails=_BROKEN)(
        _of_optimizer
    )
