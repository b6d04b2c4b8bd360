"""What a run can tell about its inside, sampled, with the cost as a value.

A sample is taken inside the compiled program, but between two loops of steps: it looks at the
state and at the next batch's gradients and changes nothing, so that the weights are bit-identical
whether anyone is looking or not. It costs about one step; when it is due follows from the number
of steps alone, so that a run leaves the same record every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.engine.plan import Plan
from evenkeel.engine.state import State
from evenkeel.engine.step import Batch, loss_of
from evenkeel.network import Array

Level = Literal["off", "economy", "full"]
LEVELS: tuple[Level, ...] = ("off", "economy", "full")

# What is measured by the path of a variable, and by the path of a layer.
_MEASURES = (
    "gradient_norm",
    "weight_norm",
    "update_norm",
    "activation_mean",
    "activation_std",
    "zero_fraction",
)

# Samples lie this many steps apart once a run is under way, and come no faster than this many to
# each doubling of its length: a long run has some thousands, however long it is.
_STEPS_APART = 256
_SAMPLES_A_DOUBLING = 512


def next_sample(step: int, grain: int = 1) -> int:
    """Returns the first step, from the given one on, before which a sample is due.

    Early on samples are dense, as what goes wrong mostly goes wrong there: the steps 0, 1, 4, 16,
    64, 256. Then every 256th step has one, and from step 131,072 on 512 in each doubling.

    Args:
        step: The number of steps that the run took.
        grain: How many steps are taken at once where steps come in blocks; a power of two. No
            samples but the first are due before that step.

    Example:
        >>> [next_sample(step) for step in (0, 3, 257, 200_001)]
        [0, 4, 512, 200192]
    """
    if step == 0:
        return 0
    if step <= grain:
        return grain
    if step <= _STEPS_APART:
        bits = (step - 1).bit_length()
        return 1 << (bits + bits % 2)
    apart = max(_STEPS_APART, (1 << (step.bit_length() - 1)) // _SAMPLES_A_DOUBLING)
    return -(-step // apart) * apart


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


class Look:
    """A look at a state, for a compiled program to take, and how to read what it saw.

    All numbers come back as one array: on a GPU each transfer costs more than the numbers.

    Args:
        plan: What a step does.
        level: How closely to look; not "off".
    """

    def __init__(self, plan: Plan, level: Level):
        self._plan = plan
        self._record = level == "full"
        self._names: list[tuple[str, str | None]] = []

    def read(self, numbers: np.ndarray, epoch: int, step: int) -> Telemetry:
        """Turns the numbers of one look into a sample."""
        sample: dict[str, Any] = {name: {} for name in _MEASURES}
        # A row may be longer than what it holds.
        for (measure, path), value in zip(self._names, numbers.tolist(), strict=False):
            if path is None:
                sample[measure] = value
            else:
                sample[measure][path] = value
        return Telemetry(epoch=epoch, step=step, **sample)

    def __call__(self, state: State, batch: Batch, factor: Array) -> Array:
        """Looks at a state and at what the next batch would do to it; changes nothing."""
        plan = self._plan
        assert plan.optimizer is not None
        key = jax.random.fold_in(state.key, state.step)

        def objective(trained: dict[str, Array]) -> Any:
            loss, seen = loss_of(plan, trained, state.others, batch, key, record=self._record)
            tap_names.update(seen.tap_names)
            return loss, seen.taps or {}

        tap_names: dict[str, tuple[str, ...]] = {}
        (loss, taps), gradients = jax.value_and_grad(objective, has_aux=True)(state.trained)
        trained, _ = plan.optimizer.advance(
            gradients,
            state.slots,
            state.trained,
            factor,
            state.step,
            plan.piled(state.trained),
        )
        self._names = [("loss", None), ("learning_rate", None)]
        measured = [loss, plan.optimizer.rate_at(state.step, factor)]

        def measure(what: str, function: Any, array: Array, path: str, names: Any) -> None:
            # An array under several names holds one value for each, one upon another.
            self._names += [(what, name) for name in names or (path,)]
            measured.append(jax.vmap(function)(array) if names else function(array))

        piled = plan.piled(state.trained)
        for path in (path for path in plan.trained if path in state.trained):
            names, weight = plan.piles[path] if path in piled else None, state.trained[path]
            measure("gradient_norm", _norm, gradients[path], path, names)
            measure("weight_norm", _norm, weight, path, names)
            measure("update_norm", _norm, trained[path] - weight, path, names)
        for path, output in taps.items():
            names = tap_names.get(path)
            measure("activation_mean", jnp.mean, output, path, names)
            measure("activation_std", jnp.std, output, path, names)
            measure("zero_fraction", _zero_fraction, output, path, names)
        return jnp.concatenate([jnp.ravel(value).astype(jnp.float32) for value in measured])


def _norm(array: Array) -> Array:
    # As a product: XLA sums on a CPU one by one, a product in vectors.
    flat = array.reshape(-1)
    return jnp.sqrt(jnp.vdot(flat, flat, precision=jax.lax.Precision.HIGHEST))


def _zero_fraction(array: Array) -> Array:
    return jnp.mean((array == 0).astype(jnp.float32))
