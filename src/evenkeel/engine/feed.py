"""Where batches come from: arrays in memory, or any iterable of batches.

A feed yields segments: some data, the order in which its rows are used, batch by batch, and
nothing else. All batches of a segment have the same size, so one compiled program serves it.
Shuffling happens here, on the host, with a counter-based generator: the order of an epoch is a
function of the seed and the epoch's number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np

from evenkeel.alignment import empty
from evenkeel.engine.rows import on_device
from evenkeel.engine.step import Batch
from evenkeel.errors import InvalidDataError, explain
from evenkeel.network import Array
from evenkeel.randomness import generator

# How many batches of a stream are put into one compiled call.
_STREAM_STRETCH = 64


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Batches of one size: rows of `data` in the order (steps, batch)."""

    data: Batch
    order: Array

    @property
    def steps(self) -> int:
        """The number of batches."""
        return self.order.shape[0]


class Feed(Protocol):
    """The contract: the segments of an epoch."""

    @property
    def steps(self) -> int | None:
        """The number of batches in an epoch, if known."""
        ...

    @property
    def batch_size(self) -> int | None:
        """The number of rows in a batch, if all have as many."""
        ...

    @property
    def is_repeatable(self) -> bool:
        """Whether an epoch has the same batches each time it is asked for."""
        ...

    @property
    def is_used_up(self) -> bool:
        """Whether no further epoch can be had."""
        ...

    def epoch(self, epoch: int) -> Iterator[Segment]:
        """Yields the segments of one epoch, in order."""
        ...

    def sample(self) -> Batch:
        """Returns the shapes and types of a batch."""
        ...

    def shapes(self) -> Iterator[Segment]:
        """Yields stand-ins for the segments of any epoch, as far as they are known beforehand."""
        ...


class ArrayFeed:
    """Batches from arrays, which move to the device once.

    A CPU reads large arrays, and those that begin at a multiple of 64 bytes, where they are, and
    others from a copy; either way only while the feed is in use.

    Args:
        data: All rows.
        batch_size: Rows a batch; the last batch holds what remains.
        shuffle_seed: The seed of the order; None keeps the rows in order.
    """

    is_repeatable = True
    is_used_up = False

    def __init__(self, data: Batch, batch_size: int, shuffle_seed: int | None = None):
        self._data = on_device(data)
        self._seed = shuffle_seed
        self.rows = data.rows
        self.batch_size = min(batch_size, self.rows)
        self._sample = self._data.shapes(self.batch_size)
        self.steps = -(-self.rows // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Segment]:
        """Yields the full batches, and then the partial one if rows remain."""
        order = np.arange(self.rows, dtype=np.int32)
        if self._seed is not None:
            generator(self._seed, epoch).shuffle(order)
        full = self.rows // self.batch_size * self.batch_size
        yield self._segment(order[:full].reshape(-1, self.batch_size))
        if full < self.rows:
            yield self._segment(order[full:][None])

    def shapes(self) -> Iterator[Segment]:
        """Yields the segments with shapes in place of orders."""
        full, rest = divmod(self.rows, self.batch_size)
        for shape in [(full, self.batch_size), *([(1, rest)] if rest else [])]:
            order: Any = jax.ShapeDtypeStruct(shape, np.int32)
            yield Segment(data=self._data, order=order)

    def _segment(self, order: np.ndarray) -> Segment:
        return Segment(data=self._data, order=jax.device_put(order))

    def sample(self) -> Batch:
        """Returns the shapes and types of a batch."""
        return self._sample

    def some(self, rows: np.ndarray) -> Batch:
        """Returns the rows of these numbers."""
        return self._data.take(jax.device_put(rows.astype(np.int32)))


class StreamFeed:
    """Batches from an iterable, such as a PyTorch DataLoader, a few dozen in each call.

    Args:
        batches: An iterable of (x, y) or (x, y, sample_weight) that can be iterated once for
            each epoch.
        check: Turns what the iterable yields into a checked batch.
        steps: The number of batches an epoch, going on where the last epoch ended; None means
            all of them.
        name: What the user calls it.
    """

    is_repeatable = False

    def __init__(
        self,
        batches: Iterable[Any],
        check: Callable[[Any], Batch],
        steps: int | None = None,
        name: str = "x",
    ):
        self._batches = batches
        self._check = check
        self._limit = steps
        self._name = name
        self._position: Iterator[Any] | None = None
        self._peeked: list[Any] = []
        self._sample: Batch | None = None
        self.steps = steps if steps is not None else _length_of(batches)
        self.batch_size = None

    @property
    def is_used_up(self) -> bool:
        """Whether it is a generator that was to be read to its end in one epoch."""
        return self._limit is None and hasattr(self._batches, "__next__")

    def epoch(self, epoch: int) -> Iterator[Segment]:
        """Yields runs of equally shaped batches."""
        pending: list[Batch] = []
        for item in self._items():
            batch = self._check(item)
            if pending and (batch.rows != pending[0].rows or len(pending) == _STREAM_STRETCH):
                yield _joined(pending)
                pending = []
            # A loader may fill the same buffer again for the next batch.
            pending.append(jax.tree.map(np.array, batch))
        if not pending:
            raise InvalidDataError(
                explain(
                    f"{self._name}, an iterable of batches, yielded none.",
                    "A generator can be used up only once; give a list or a DataLoader, or "
                    "steps_per_epoch with an endless generator.",
                )
            )
        yield _joined(pending)

    def _items(self) -> Iterator[Any]:
        # A generator is its own iterator: it goes on where it stood, also from epoch to epoch.
        peeked, self._peeked = self._peeked, []
        if self._limit is None:
            return itertools.chain(peeked, self._batches)
        return itertools.islice(itertools.chain(peeked, self._onwards()), self._limit)

    def _onwards(self) -> Iterator[Any]:
        """Yields from where the last epoch ended, and from the start when all were used."""
        while True:
            is_new = self._position is None
            position = iter(self._batches) if self._position is None else self._position
            self._position, is_empty = position, True
            for item in position:
                is_empty = False
                yield item
            self._position = None
            if is_new and is_empty:
                return  # a generator that is used up

    def sample(self) -> Batch:
        """Returns the shapes of the first batch; a generator will still yield it at first."""
        if self._sample is None:
            first = self._first()
            self._sample = first.shapes(first.rows)
        return self._sample

    def shapes(self) -> Iterator[Segment]:
        """Yields nothing: what a stream holds is seen when it comes."""
        return iter(())

    def _first(self) -> Batch:
        items = iter(self._batches)
        for item in items:
            if items is self._batches:
                self._peeked = [item]
            return self._check(item)
        raise InvalidDataError(
            explain(
                f"{self._name}, an iterable of batches, yields none.",
                "Check where its data comes from.",
            )
        )


def _length_of(batches: Any) -> int | None:
    try:
        return len(batches)
    except TypeError:
        return None


def _stacked(*parts: np.ndarray) -> np.ndarray:
    """Returns parts one after another, where the device can use them."""
    rows = sum(len(part) for part in parts)
    whole = empty((rows, *parts[0].shape[1:]), np.result_type(*parts))
    return np.concatenate(parts, out=whole)


def _joined(batches: list[Batch]) -> Segment:
    data = jax.device_put(jax.tree.map(_stacked, *batches))
    order = np.arange(data.rows, dtype=np.int32).reshape(len(batches), -1)
    return Segment(data=data, order=jax.device_put(order))
