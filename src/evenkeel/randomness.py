"""The one source of randomness: a seed, and a counter that hands out fresh seeds in order.

Everything random in evenkeel (starting weights, shuffling, dropout keys) draws its seed here, so
that `set_random_seed(7)` at the top of a program makes the whole program reproducible.
Counter-based generators (Philox) make every draw a function of (seed, counter) alone.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np

from evenkeel.errors import integer_at_least


class SeedSource:
    """Hands out seeds: the n-th seed depends on the first one and on n, and on nothing else."""

    def __init__(self, seed: int | None = None):
        self.reset(seed)

    def reset(self, seed: int | None = None) -> None:
        """Starts again from `seed`, or from the operating system's entropy when None."""
        self._root = int(np.random.SeedSequence(seed).generate_state(2, np.uint64)[0])
        self._count = 0

    @property
    def state(self) -> tuple[int, int]:
        """The root and how many seeds were handed out; setting it goes back there."""
        return self._root, self._count

    @state.setter
    def state(self, state: tuple[int, int]) -> None:
        self._root, self._count = state

    def next_seed(self) -> int:
        """Returns the next seed, an integer in [0, 2^32)."""
        self._count += 1
        words = np.random.SeedSequence([self._root, self._count]).generate_state(1, np.uint32)
        return int(words[0])


_source = SeedSource()


def set_random_seed(seed: int) -> None:
    """Makes everything random that follows reproducible, in Python and NumPy as well.

    Programs that draw their data with `random` or `numpy.random` rely on it, as in Keras.

    Args:
        seed: Any integer of at least 0.

    Example:
        >>> set_random_seed(42)
        >>> first = next_seed()
        >>> set_random_seed(42)
        >>> next_seed() == first
        True
    """
    seed = integer_at_least(0, "set_random_seed(seed)", seed)
    _source.reset(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # the global generator that such programs use


def next_seed() -> int:
    """Returns the next seed of the process-wide source."""
    return _source.next_seed()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Draws made inside leave no trace: afterwards the process-wide source goes on as before.

    Example:
        >>> set_random_seed(1)
        >>> with undisturbed():
        ...     first = next_seed()
        >>> next_seed() == first
        True
    """
    before = seeds_given_out()
    try:
        yield
    finally:
        go_back_to(before)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws made inside depend on a seed alone; afterwards the process-wide source goes on.

    Args:
        seed: Any integer of at least 0.

    Example:
        >>> with seeded(3):
        ...     first = next_seed()
        >>> with seeded(3):
        ...     next_seed() == first
        True
    """
    with undisturbed():
        _source.reset(seed)
        yield


def seeds_given_out() -> tuple[int, int]:
    """Returns where the process-wide source stands, for `go_back_to`."""
    return _source.state


def go_back_to(state: tuple[int, int]) -> None:
    """Makes the process-wide source go on from where it stood."""
    _source.state = state


def generator(*seed: int) -> np.random.Generator:
    """Returns a counter-based NumPy generator that depends on the given integers alone."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
