"""Rows of data where the device can read them: as an array, or in memory that begins elsewhere.

A CPU takes over the memory of an array that begins at a multiple of 64 bytes. A large array that
does not is held as `Shifted`: its memory from such a multiple on, and where in it the rows begin.
Taking rows costs the same, and the data is in memory once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from evenkeel.alignment import aligned, from_boundary, is_aligned
from evenkeel.network import Array

# Where rows begin in the memory is part of a program's shapes, and differs from one small array to
# the next; the C library lays every array above this, in bytes, at the same place.
_LARGE = 32 << 20
# Places in the memory are counted in 32 bits.
_MOST_NUMBERS = np.iinfo(np.int32).max


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Shifted:
    """Rows in the middle of memory.

    Attributes:
        memory: All numbers, one after another.
        start: How many of them lie before the first row.
        row_shape: The shape of a row.
    """

    memory: Array
    start: Array
    row_shape: tuple[int, ...] = field(metadata={"static": True})

    def take(self, rows: Array) -> Array:
        """Returns the rows of these numbers, which must be in range."""
        width = math.prod(self.row_shape)
        picked = jax.lax.gather(
            self.memory,
            (rows * width + self.start)[:, None],
            jax.lax.GatherDimensionNumbers(
                offset_dims=(1,), collapsed_slice_dims=(), start_index_map=(0,)
            ),
            slice_sizes=(width,),
            mode=jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS,
        )
        return picked.reshape(-1, *self.row_shape)


Held = Array | Shifted


def take(data: Any, rows: Array) -> Any:
    """Returns the rows of these numbers, which must be in range, of a tree of `Held`."""

    def of(held: Held) -> Array:
        if isinstance(held, Shifted):
            return held.take(rows)
        return held.at[rows].get(mode="promise_in_bounds")

    return jax.tree.map(of, data, is_leaf=lambda held: isinstance(held, Shifted))


def on_device(data: Any) -> Any:
    """Moves a tree of arrays to the device, and copies on a CPU only what is small.

    What is copied is copied here: in two threads, and to where it can stay. `jnp.asarray` would
    make a second copy.
    """
    if jax.default_backend() != "cpu":
        return jax.device_put(data)
    return jax.tree.map(_on_cpu, data)


def _on_cpu(array: Any) -> Held:
    if not isinstance(array, np.ndarray) or is_aligned(array):
        return jax.device_put(array)
    can_stay = (
        array.flags.c_contiguous
        and array.ctypes.data % array.itemsize == 0
        and array.nbytes >= _LARGE
        and array.size < _MOST_NUMBERS - 64
        and jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype
    )
    if not can_stay:
        return jax.device_put(aligned(array))
    memory, before = from_boundary(array)
    start = jax.device_put(np.int32(before))
    return Shifted(memory=jax.device_put(memory), start=start, row_shape=array.shape[1:])
