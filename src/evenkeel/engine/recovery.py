"""What a run does when its loss or a weight is no longer finite.

It goes back to where the epoch began, finds the batch and the place where it broke, lowers the
learning rate and takes the epoch again: as often as `MOST_BREAKS` allows, and only where a lower
rate can help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import numpy as np

from evenkeel.engine.epoch import FINITE
from evenkeel.engine.feed import Feed, Segment
from evenkeel.engine.inspection import Inspection, Site
from evenkeel.engine.plan import Plan
from evenkeel.engine.state import State
from evenkeel.engine.step import Batch
from evenkeel.errors import InvalidArgumentError, explain, nearest
from evenkeel.network import copied

Policy = Literal["continue", "stop", "raise"]
POLICIES: tuple[Policy, ...] = ("continue", "stop", "raise")
Cause = Literal["data", "batch", "rate"]

# How often one run may break and go on: a rate that is 100,000 times too high is found.
MOST_BREAKS = 5
# What the rate is divided by each time.
LOWERED_BY = 10.0


def policy_of(where: str, given: Any) -> Policy:
    """Returns a policy, or refuses what is none.

    Example:
        >>> policy_of("fit(if_not_finite)", "stop")
        'stop'
    """
    if given not in POLICIES:
        raise InvalidArgumentError(
            explain(
                f"{where}: got {given!r}.",
                nearest(str(given), POLICIES),
            )
        )
    return given


@dataclass(frozen=True, kw_only=True)
class Break:
    """Where a run stopped being finite, and what was done about it.

    Attributes:
        epoch: The epoch, from 0.
        batches: The first and the last batch that it can have been, from 0 within the epoch; both
            are the same where it is known.
        steps: The number of batches of the epoch; None if that is not known.
        site: The first array that was not finite; None if that is not known.
        cause: `"data"` if the data is not finite, `"batch"` if the batch breaks also the weights
            with which the epoch began, `"rate"` otherwise.
        rows: The rows of the batch that are not finite, the first few; empty if there are none or
            their numbers are not known.
        rate: The learning rate that was in force.
        next_rate: The learning rate with which the run went on; None if it did not.

    Example:
        >>> broken = Break(
        ...     epoch=0, batches=(16, 16), steps=32, cause="rate", rate=10.0, next_rate=1.0,
        ...     site=Site(what="output", place="dense_1"),
        ... )
        >>> broken.where
        'Epoch 1, batch 17 of 32'
    """

    epoch: int
    batches: tuple[int, int]
    steps: int | None
    site: Site | None
    cause: Cause
    rate: float
    next_rate: float | None = None
    rows: tuple[int, ...] = ()

    @property
    def where(self) -> str:
        """The epoch and the batch, counted from 1 as displays count them."""
        first, last = (number + 1 for number in self.batches)
        batch = f"batch {first}" if first == last else f"one of the batches {first} to {last}"
        return f"Epoch {self.epoch + 1}, {batch}" + (f" of {self.steps}" if self.steps else "")

    @property
    def found(self) -> str:
        """What was not finite, as a sentence."""
        what = "the loss or a weight" if self.site is None else self.site.words
        rows = f" (rows {', '.join(map(str, self.rows))})" if self.rows else ""
        return f"{self.where}: {what}{rows} is infinite or not a number."

    @property
    def sentence(self) -> str:
        """What happened and what was done, in plain words."""
        back = "The weights are those with which the epoch began"
        if self.cause == "data":
            return f"{self.found} {back}. Take these rows out: no learning rate would help."
        if self.cause == "batch":
            return (
                f"{self.found} {back}, and with these, too, the batch gives no finite numbers, so "
                "that a lower learning rate would not help. Standardize the inputs, or look for a "
                "logarithm, root or division of 0 in the loss and the layers."
            )
        if self.next_rate is not None:
            return (
                f"{self.found} {back}; it was taken again with the learning rate "
                f"{self.next_rate:.3g} in place of {self.rate:.3g}."
            )
        return (
            f"{self.found} {back}. Lower the learning rate ({self.rate:.3g}), standardize the "
            "inputs, or clip the gradients before training on."
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        return {
            "epoch": self.epoch,
            "batches": list(self.batches),
            "what": None if self.site is None else self.site.what,
            "place": "" if self.site is None else self.site.place,
            "cause": self.cause,
            "rows": list(self.rows),
            "learning_rate": self.rate,
            "next_learning_rate": self.next_rate,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What is known of the stretch in which a run broke.

    Attributes:
        first: The first batch of the stretch, within the epoch.
        last: The first batch behind it.
        segment: The data of the stretch, and the order of its rows.
        offset: The batch of the epoch that the segment begins with.
        before: The state before the stretch, where it was kept.
    """

    first: int
    last: int
    segment: Segment
    offset: int
    before: State | None = None

    def batch(self, number: int) -> tuple[Batch, np.ndarray]:
        """Returns a batch of the epoch, and the numbers of its rows."""
        rows = np.asarray(self.segment.order)[number - self.offset]
        return self.segment.data.take(rows), rows


Stepper = Callable[[State, Segment, list[int]], tuple[State, Any]]


@dataclass(frozen=True, kw_only=True)
class Examiner:
    """Finds out where a run broke; changes nothing.

    Attributes:
        plan: What every step does.
        feed: The training data.
        take: Takes steps of a segment; uses up the state that it is given.
        inspection: What looks at a single step.
        factor: The learning rate, or the factor on its schedule.
    """

    plan: Plan
    feed: Feed
    take: Stepper
    inspection: Inspection
    factor: np.float32

    def locate(self, start: State, epoch: int, moment: Moment) -> tuple[tuple[int, int], Any]:
        """Returns the batches among which the run broke, and the state before the first of them.

        Args:
            start: The state with which the epoch began.
            epoch: The epoch.
            moment: The stretch in which it broke.
        """
        state = moment.before
        if state is None:
            if not self.feed.is_repeatable:
                return (moment.first, moment.last - 1), None
            state = self._up_to(start, epoch, moment)
        first, last = moment.first, moment.last
        while last - first > 1:
            middle = (first + last) // 2
            marks = [first - moment.offset, middle - moment.offset]
            after, record = self.take(copied(state), moment.segment, marks)
            if _is_well(record):
                state, first = after, middle
            else:
                last = middle
        return (first, first), state

    def _up_to(self, start: State, epoch: int, moment: Moment) -> State:
        """Returns the state before a stretch, by taking the epoch's steps again up to it."""
        state = copied(start)
        for segment, offset in numbered(self.feed, epoch):
            stop = min(moment.first - offset, segment.steps)
            if stop > 0:
                state, _ = self.take(state, segment, [0, stop])
            if moment.first <= offset + segment.steps:
                break
        return state

    def site(self, state: State, batch: Batch) -> Site | None:
        """Returns what of a step is the first not to be finite."""
        return self.inspection(state, batch, self.factor)

    def judged(self, start: State, epoch: int, moment: Moment, rate: float) -> Break:
        """Returns where the run broke and why.

        Args:
            start: The state with which the epoch began.
            epoch: The epoch.
            moment: The stretch in which it broke.
            rate: The learning rate that was in force.
        """
        batches, state = self.locate(start, epoch, moment)
        known = Break(
            epoch=epoch,
            batches=batches,
            steps=self.feed.steps,
            site=None,
            cause="rate",
            rate=rate,
        )
        if state is None:
            return known
        batch, rows = moment.batch(batches[0])
        site = self.site(state, batch)
        if site is None:
            return known
        if site.what == "data":
            return replace(known, site=site, cause="data", rows=self._bad_rows(batch, rows))
        # With the weights of the epoch's beginning and no step taken, no rate can be to blame.
        at_start = self.site(replace(start, step=state.step), batch)
        is_rate = at_start is None or at_start.what == "weights"
        return replace(known, site=site, cause="rate" if is_rate else "batch")

    def _bad_rows(self, batch: Batch, rows: np.ndarray) -> tuple[int, ...]:
        if not self.feed.is_repeatable:
            return ()
        bad = np.zeros(len(rows), bool)
        for leaf in jax.tree.leaves(batch):
            values = np.asarray(leaf)
            if values.dtype.kind == "f":
                bad |= ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        return tuple(int(row) for row in np.sort(rows[bad])[:5])


def numbered(feed: Feed, epoch: int) -> Iterator[tuple[Segment, int]]:
    """Yields the segments of an epoch, each with the number of the batch that it begins with."""
    offset = 0
    for segment in feed.epoch(epoch):
        yield segment, offset
        offset += segment.steps


def _is_well(record: Any) -> bool:
    return bool(np.isfinite(np.asarray(record["loss"]))) and bool(record[FINITE])


@dataclass
class Brake:
    """Holds the learning rate below the one at which a run broke.

    A callback may set the rate anew for each epoch; what broke once is not taken again.

    Attributes:
        optimizer: Whose rate it holds.
        ceiling: The highest factor that is let pass; None as long as nothing broke.

    Example:
        >>> from evenkeel.optimizers import SGD
        >>> brake = Brake(SGD(10.0))
        >>> brake.tighten()
        >>> brake.optimizer.learning_rate, brake.factor
        (1.0, 1.0)
    """

    optimizer: Any
    ceiling: float | None = None

    @property
    def factor(self) -> float:
        """The learning rate, or the factor on its schedule, as far as it is let pass."""
        wanted = self.optimizer.rate_factor
        return wanted if self.ceiling is None else min(wanted, self.ceiling)

    def tighten(self) -> None:
        """Lowers the rate."""
        self.ceiling = self.factor / LOWERED_BY
        self.hold()

    def hold(self) -> None:
        """Puts the rate back below the ceiling, should somebody have set it."""
        if self.optimizer.rate_factor != self.factor:
            self.optimizer.rate_factor = self.factor
