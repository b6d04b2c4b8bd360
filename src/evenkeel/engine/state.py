"""What must survive from one step to the next, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax

from evenkeel.network import Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class State:
    """The state of a run between two steps.

    Attributes:
        trained: The values that the optimizer changes, by variable path.
        others: The other values: frozen ones and moving averages.
        slots: The optimizer's slots.
        step: The number of steps taken, int32.
        key: The random key of the run; each step folds its number into it.
    """

    trained: dict[str, Array]
    others: dict[str, Array]
    slots: Any
    step: Array
    key: Array
