"""How the weights lie in memory while a compiled stretch runs: large matrices in column blocks.

On a CPU, XLA hands each matrix product to a thread pool as a whole. At small batches one product
is too little work to share: waking the second thread costs more than it brings. Several smaller
products, each on one thread, do run side by side. So for the length of a stretch a large matrix
is held as blocks of columns, with its optimizer slots; before and after it is whole, and nothing
outside the loop knows. `docs/performance.md` has the measurements.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from evenkeel.engine.plan import Plan
from evenkeel.engine.state import State
from evenkeel.network import Array

# Measured on two cores for 784 x 300; below these sizes, and above this batch, blocks lose.
_SMALLEST_MATRIX = 100_000
_LARGEST_BATCH = 32
_BLOCK_COLUMNS = 160

Cuts = dict[str, list[int]]


def column_cuts(plan: Plan, batch_size: int) -> Cuts:
    """Returns at which columns to cut which matrices, by variable path."""
    suits = (
        jax.default_backend() == "cpu"
        and (os.cpu_count() or 1) > 1
        and batch_size <= _LARGEST_BATCH
        and plan.optimizer is not None
        and plan.optimizer.is_elementwise
    )
    stacked = {path for members in plan.piles.values() for path in members}
    return {
        path: list(range(_BLOCK_COLUMNS, variable.shape[1], _BLOCK_COLUMNS))
        for path, variable in plan.trained.items()
        if suits
        and len(variable.shape) == 2
        and variable.size >= _SMALLEST_MATRIX
        and path not in stacked
        and variable.constraint is None  # a constraint is told of whole matrices
    }


def in_columns(state: State, cuts: Cuts) -> State:
    """Returns a state with the matrices that have cuts, and their slots, as tuples of blocks."""

    def split(path: str, array: Array) -> Any:
        return tuple(jnp.split(array, cuts[path], axis=1)) if path in cuts else array

    return _by_path(state, split)


def whole(state: State, cuts: Cuts) -> State:
    """Undoes `in_columns`."""

    def join(path: str, value: Any) -> Any:
        return jnp.concatenate(value, axis=1) if path in cuts else value

    return _by_path(state, join)


def _by_path(state: State, change: Any) -> State:
    def over(values: dict[str, Any]) -> dict[str, Any]:
        return {path: change(path, value) for path, value in values.items()}

    slots = state.slots
    if isinstance(slots, dict):
        slots = {name: over(s) if isinstance(s, dict) else s for name, s in slots.items()}
    return replace(state, trained=over(state.trained), slots=slots)
