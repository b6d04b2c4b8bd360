"""Arrays that begin where the device can use them as they are.

On a CPU, JAX takes over the memory of a NumPy array that begins at a multiple of 64 bytes, and
copies any other. NumPy's own large arrays begin 16 bytes after one. Data that is made or converted
here begins at one, and a large array that begins elsewhere can be handed over from the multiple
before it on, so that either is in memory once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

ALIGNMENT = 64
"""Bytes: an array that begins at a multiple of this is used without a copy."""

# More threads than two add nothing where the memory, and not the processor, is the limit.
_THREADS = 2
# Bytes below which starting threads costs more than it saves.
_WORTH_THREADS = 1 << 22


def empty(shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """Returns an uninitialized array that begins at a multiple of 64 bytes.

    Args:
        shape: Its shape.
        dtype: Its type.

    Example:
        >>> empty((3, 5), np.float32).ctypes.data % ALIGNMENT
        0
    """
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(kind).reshape(shape)


def is_aligned(array: np.ndarray) -> bool:
    """Whether the device can use an array's memory: in one piece, from a multiple of 64 bytes on.

    Example:
        >>> is_aligned(empty((4,), np.uint8)), is_aligned(empty((4,), np.uint8)[1:])
        (True, False)
    """
    return bool(array.flags.c_contiguous) and array.ctypes.data % ALIGNMENT == 0


def converted(array: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
    """Returns an aligned copy of an array in a type, made without any array in between.

    What the type cannot hold overflows as in `array.astype(dtype)`, and without a warning.

    Args:
        array: Any array.
        dtype: The type of the copy.

    Example:
        >>> converted(np.asarray([0.1, 2.0]), np.float32).dtype
        dtype('float32')
    """
    copy = empty(array.shape, dtype)
    rows = len(array) if array.ndim else 0
    if copy.nbytes < _WORTH_THREADS or rows < _THREADS:
        _convert(copy, array)
        return copy
    stride = -(-rows // _THREADS)
    with ThreadPoolExecutor(_THREADS) as pool:
        parts = [slice(start, start + stride) for start in range(0, rows, stride)]
        list(pool.map(lambda part: _convert(copy[part], array[part]), parts))
    return copy


def _convert(target: np.ndarray, source: np.ndarray) -> None:
    # The setting of a thread that makes another does not reach the other.
    with np.errstate(over="ignore", invalid="ignore"):
        np.copyto(target, source, casting="unsafe")


def aligned(array: np.ndarray) -> np.ndarray:
    """Returns an array itself if it is aligned, and an aligned copy otherwise.

    Example:
        >>> x = empty((4,), np.uint8)
        >>> aligned(x) is x
        True
    """
    return array if is_aligned(array) else converted(array, array.dtype)


class _Memory:
    """Numbers in memory that something else owns, as NumPy's array interface describes them."""

    def __init__(self, address: int, size: int, dtype: np.dtype, owner: np.ndarray):
        self._owner = owner  # as long as an array of this memory lives, so does what owns it
        self.__array_interface__: dict[str, Any] = {
            "version": 3,
            "data": (address, True),
            "shape": (size,),
            "typestr": dtype.str,
        }


def from_boundary(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns an array's memory from the last multiple of 64 bytes before it on.

    What lies between the two shares 64 bytes with the array's own first number, so that it can be
    read, but means nothing.

    Args:
        array: An array in one piece, which begins at a multiple of the size of its numbers.

    Returns:
        The memory as one row of numbers that cannot be written, and how many of them lie before
        the array's first.

    Example:
        >>> x = empty((100,), np.float32)[1:]
        >>> memory, before = from_boundary(x)
        >>> memory.shape, before, is_aligned(memory)
        ((100,), 1, True)
    """
    address, width = array.ctypes.data, array.itemsize
    before = address % ALIGNMENT
    if not array.flags.c_contiguous or before % width:
        raise ValueError("from_boundary takes an array in one piece at a multiple of its numbers")
    memory = _Memory(address - before, array.size + before // width, array.dtype, array)
    return np.asarray(memory), before // width
