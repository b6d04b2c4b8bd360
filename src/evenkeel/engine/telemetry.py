"""What a run can tell about its inside, sampled, with the cost as a value.

A sample is taken by a program of its own between two stretches of steps: it looks at the state
and at the next batch's gradients and changes nothing, so that the weights are bit-identical
whether anyone is looking or not. It costs about one step, a few times an epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.engine.compilation import compiled
from evenkeel.engine.plan import Plan
from evenkeel.engine.state import State
from evenkeel.engine.step import Batch, loss_of
from evenkeel.network import Array

Level = Literal["off", "economy", "full"]
LEVELS: tuple[Level, ...] = ("off", "economy", "full")

# How often an epoch is sampled.
SAMPLES_PER_EPOCH = 4


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """One sample.

    Attributes:
        epoch: The epoch, from 0.
        step: The number of steps taken in the run before it.
        loss: The training loss of the sampled batch.
        learning_rate: The rate in force.
        gradient_norm: The L2 norm of each trained variable's gradient, by path.
        weight_norm: The L2 norm of each trained variable.
        update_norm: The L2 norm of what the optimizer would add to it.
        activation_mean: By layer path, the mean of its output (only at level "full").
        activation_std: The standard deviation of its output (only at level "full").
        zero_fraction: The fraction of its outputs that are exactly 0 (only at level "full").
    """

    epoch: int
    step: int
    loss: float
    learning_rate: float
    gradient_norm: dict[str, float]
    weight_norm: dict[str, float]
    update_norm: dict[str, float]
    activation_mean: dict[str, float]
    activation_std: dict[str, float]
    zero_fraction: dict[str, float]


def telemetry_program(plan: Plan, level: Level) -> Callable[..., dict[str, Any]]:
    """Compiles `look(state, data, rows, factor)`, which returns a sample's numbers, in order."""
    record = level == "full"
    order: list[str] = list(plan.trained)  # compiled programs return dicts in alphabetical order

    def look(state: State, data: Batch, rows: Array, factor: Array) -> dict[str, Any]:
        assert plan.optimizer is not None
        key = jax.random.fold_in(state.key, state.step)

        def objective(trained: dict[str, Array]) -> Any:
            loss, seen = loss_of(plan, trained, state.others, data.take(rows), key, record=record)
            taps = seen.taps or {}
            order.extend(path for path in taps if path not in order)
            return loss, taps

        (loss, taps), gradients = jax.value_and_grad(objective, has_aux=True)(state.trained)
        trained, _ = plan.optimizer.advance(
            gradients, state.slots, state.trained, factor, state.step
        )
        updates = jax.tree.map(jnp.subtract, trained, state.trained)
        return {
            "loss": loss,
            "learning_rate": plan.optimizer.rate_at(state.step, factor),
            "gradient_norm": _each(_norm, gradients),
            "weight_norm": _each(_norm, state.trained),
            "update_norm": _each(_norm, updates),
            "activation_mean": _each(jnp.mean, taps),
            "activation_std": _each(jnp.std, taps),
            "zero_fraction": _each(_zero_fraction, taps),
        }

    program = compiled(look, name="telemetry")

    def in_order(*arguments: Any) -> dict[str, Any]:
        return {
            name: {path: value[path] for path in order if path in value}
            if isinstance(value, dict)
            else value
            for name, value in program(*arguments).items()
        }

    return in_order


def sample_of(numbers: dict[str, Any], epoch: int, step: int) -> Telemetry:
    """Turns a program's numbers into a sample of plain floats."""
    plain = jax.tree.map(lambda a: float(np.asarray(a)), numbers)
    return Telemetry(epoch=epoch, step=step, **plain)


def _each(function: Callable[[Array], Array], arrays: dict[str, Array]) -> dict[str, Array]:
    return {path: function(array) for path, array in arrays.items()}


def _norm(array: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(array)))


def _zero_fraction(array: Array) -> Array:
    return jnp.mean((array == 0).astype(jnp.float32))
