"""The loop around the compiled epochs: stretches, records, callbacks, validation, the ending.

Everything that Python does during a run is here, between two compiled calls. A stretch is sized
so that control comes back a few times a second; how the stretches are cut changes no result.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.engine.compilation import Program, recorded
from evenkeel.engine.epoch import (
    FINITE,
    PARTS,
    Record,
    evaluation_program,
    marked,
    steps_at_once,
    training_program,
)
from evenkeel.engine.feed import Feed, Segment
from evenkeel.engine.history import History
from evenkeel.engine.hooks import CallbackList, Logs
from evenkeel.engine.inspection import Inspection
from evenkeel.engine.objective import PENALTY, named_metrics
from evenkeel.engine.outcome import Outcome
from evenkeel.engine.plan import Plan
from evenkeel.engine.recovery import (
    LOWERED_BY,
    MOST_BREAKS,
    Brake,
    Break,
    Examiner,
    Moment,
    Policy,
    numbered,
)
from evenkeel.engine.state import State
from evenkeel.engine.step import Batch, Sums, no_sums
from evenkeel.engine.telemetry import Level, Look, next_sample
from evenkeel.errors import EvenkeelWarning, NotFiniteError
from evenkeel.network import Array, copied

# Control comes back to Python about this often: often enough for a smooth display and a quick
# answer to Ctrl-C, rarely enough to cost nothing.
_STRETCH_SECONDS = 0.2
_FIRST_STRETCH_STEPS = 8


class Programs:
    """The compiled programs of a plan, each made when first needed."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self._made: dict[str, Any] = {}

    def train(self, level: Level) -> Program:
        """The training program that looks so closely."""
        look = None if level == "off" else self.look(level)
        return self._once(f"train {level}", lambda: training_program(self.plan, look))

    @property
    def evaluate(self) -> Program:
        """The evaluation program."""
        return self._once("evaluate", lambda: evaluation_program(self.plan))

    def no_sums(self, sample: Batch) -> Sums:
        """The sums before any batch like this one."""
        shapes = tuple((leaf.shape[1:], leaf.dtype) for leaf in jax.tree.leaves(sample))
        return self._once(f"sums {shapes}", lambda: no_sums(self.plan, sample))

    def look(self, level: Level) -> Look:
        """What looks inside at a level, and reads what it saw."""
        return self._once(f"look {level}", lambda: Look(self.plan, level))

    @property
    def inspection(self) -> Inspection:
        """What says where a step is not finite."""
        return self._once("inspection", lambda: Inspection(self.plan))

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def evaluate(programs: Programs, feed: Feed, callbacks: CallbackList) -> Logs:
    """Returns the loss and the metrics of the network as it stands, over a whole feed."""
    plan = programs.plan
    trained, others = plan.read_values()
    sums = programs.no_sums(feed.sample())
    logs, done, one_by_one = {}, 0, bool(callbacks.wants_test_batches)
    callbacks.call("on_test_begin", {})
    for segment in feed.epoch(0):
        steps = 1 if one_by_one else segment.steps
        for first in range(0, segment.steps, steps):
            if one_by_one:
                callbacks.call("on_test_batch_begin", done, {})
            order = segment.order[first : first + steps]
            sums, record = programs.evaluate(trained, others, sums, segment.data, order)
            logs, done = _floats(plan, record), done + steps
            if one_by_one:
                callbacks.call("on_test_batch_end", done - 1, logs)
    callbacks.call("on_test_end", logs)
    return logs


@dataclass(kw_only=True)
class Pace:
    """How many steps a stretch takes, learned from how long the last ones took."""

    always_one: bool = False
    steps: int = _FIRST_STRETCH_STEPS
    _warm: bool = False

    def __post_init__(self) -> None:
        if self.always_one:
            self.steps = 1

    def learn(self, steps: int, seconds: float) -> None:
        """Takes a stretch's duration into account; the first one, which compiles, is ignored."""
        if self.always_one:
            return
        if self._warm:
            wanted = round(steps * _STRETCH_SECONDS / max(seconds, 1e-6))
            self.steps = int(np.clip(wanted, 1, 4 * self.steps))
        self._warm = True


@dataclass(kw_only=True)
class Run:
    """One call of `fit`.

    Attributes:
        programs: The compiled programs.
        feed: The training data.
        validation: The validation data; None without validation.
        validation_freq: Validate every so many epochs.
        callbacks: Who listens.
        history: The record to fill.
        epochs: The number of the last epoch, counted from 1.
        initial_epoch: The number of the first epoch, counted from 0.
        key: The random key of the run.
        telemetry: How closely to look inside.
        should_stop: Whether a callback asked to stop.
        if_not_finite: What to do when the loss or a weight is no longer finite.
        is_whole: Whether the run ends here, so that the optimizer hands over what it averaged;
            False for a single batch of a loop that others run.
        beside: Called when the run's programs are being compiled, to start what may go on beside
            the first epoch.
    """

    programs: Programs
    feed: Feed
    validation: Feed | None
    validation_freq: int
    callbacks: CallbackList
    history: History
    epochs: int
    initial_epoch: int
    key: Array
    telemetry: Level
    should_stop: Callable[[], bool]
    if_not_finite: Policy = "stop"
    is_whole: bool = True
    beside: Callable[[], None] | None = None
    _step: int = field(default=0, init=False)
    _origin: int = field(default=0, init=False)
    _are_finite: bool = field(default=True, init=False)
    _pace: Pace = field(default_factory=Pace, init=False)
    _brake: Brake = field(init=False)
    _moment: Moment | None = field(default=None, init=False)

    def go(self) -> History:
        """Runs the epochs and returns the history.

        Raises:
            KeyboardInterrupt: If the user interrupts; the weights are kept.
            NotFiniteError: If the loss or a weight is no longer finite, and this was asked for.
        """
        assert self.programs.plan.optimizer is not None
        self._brake = Brake(self.programs.plan.optimizer)
        self._step = self.programs.plan.optimizer.iterations
        self._origin = self._step if self.is_whole else 0  # from where samples are counted
        self._pace = Pace(always_one=bool(self.callbacks.wants_batches))
        try:
            with recorded(self.history.compilations):
                self._all_epochs()
        except KeyboardInterrupt:
            self.history.outcome = Outcome.INTERRUPTED
            raise
        except NotFiniteError:
            raise
        except BaseException as error:
            if isinstance(error.__cause__, KeyboardInterrupt):
                # Where Ctrl-C meets compiled code that cannot pass it on, Python wraps it.
                self.history.outcome = Outcome.INTERRUPTED
                raise KeyboardInterrupt from error
            self.history.outcome = Outcome.FAILED
            raise
        finally:
            self.callbacks.call("close")
        return self.history

    def _all_epochs(self) -> None:
        plan, logs = self.programs.plan, {}
        self.callbacks.call("on_train_begin", {})
        if self.is_whole:
            self._begin_to_compile()
        if self.beside is not None:
            self.beside()
        epoch = self.initial_epoch
        while epoch < self.epochs:
            # A compiled step uses its state up, so the epoch gets a copy: the original is what
            # to return to, and others may still hold its arrays.
            self.callbacks.call("on_epoch_begin", epoch, {})
            self._brake.hold()
            before, step = plan.read_state(self.key), self._step
            samples = len(self.history.telemetry)
            try:
                logs = self._epoch(epoch, copied(before))
            except BaseException:
                if _are_used_up(plan):
                    plan.write_state(before, step)
                raise
            broken = None
            if not (np.isfinite(logs["loss"]) and self._are_finite):
                broken = self._broken(before, step, epoch, logs)
                if broken.next_rate is not None:
                    del self.history.telemetry[samples:]
                    continue
            else:
                logs |= self._validation(epoch)
            # A callback may add to the logs, or set weights; both count from here on.
            self.callbacks.call("on_epoch_end", epoch, logs)
            self.history.append(epoch, {name: float(value) for name, value in logs.items()})
            if broken is not None:
                self._end_of(broken, before, step)
                break
            if self.should_stop():
                self.history.outcome = Outcome.STOPPED
                break
            epoch += 1
        if self.is_whole:
            plan.finish()
        self.callbacks.call("on_train_end", logs)

    def _begin_to_compile(self) -> None:
        """Has all programs of the run compiled side by side, in the order in which it needs them.

        While the compiler works on one the next is traced, and the steps begin when theirs is
        ready: the programs for the last, partial batch and for the validation come later.
        """
        programs, state = self.programs, self.programs.plan.read_state(self.key)
        sums = programs.no_sums(self.feed.sample())
        for part in self.feed.shapes():
            train = programs.train(self.telemetry)
            train.begin(state, sums, part.data, part.order, *marked([0, 1]), self._factor)
        validates = any((e + 1) % self.validation_freq == 0 for e in self._numbers)
        if self.validation is None or not validates or self.callbacks.wants_test_batches:
            return
        sums = programs.no_sums(self.validation.sample())
        for part in self.validation.shapes():
            programs.evaluate.begin(state.trained, state.others, sums, part.data, part.order)

    @property
    def _numbers(self) -> range:
        """The epochs' numbers."""
        return range(self.initial_epoch, self.epochs)

    def _epoch(self, epoch: int, state: State) -> Logs:
        plan, logs, done = self.programs.plan, {}, 0
        sums = self.programs.no_sums(self.feed.sample())
        for segment, offset in numbered(self.feed, epoch):
            for marks in self._stretches(segment):
                prior = None
                if self._pace.always_one:
                    self.callbacks.batch("begin", done)
                    # A callback may have set weights, or hold the arrays of the last step.
                    prior = plan.read_state(self.key)
                    state = copied(prior)
                before = self._step
                state, sums, record, seen = self._stretch(state, sums, segment, marks)
                self._read(seen, marks, epoch, before)
                done += marks[-1] - marks[0]
                logs = _floats(plan, record)
                if self._pace.always_one:
                    self.callbacks.batch("end", done - 1, logs)
                self.callbacks.call("on_progress", done, self.feed.steps, logs)
                if not (np.isfinite(logs["loss"]) and self._are_finite):
                    ends = offset + marks[0], offset + marks[-1]
                    self._moment = Moment(
                        first=ends[0], last=ends[1], segment=segment, offset=offset, before=prior
                    )
                    return logs
                if self._pace.always_one and self.should_stop():
                    return logs
        return logs

    def _stretches(self, segment: Segment) -> Iterator[list[int]]:
        """Yields stretches of steps: from where, at which steps to take a sample, to where."""
        first = 0
        while first < segment.steps:
            last = min(first + self._pace.steps, segment.steps)
            marks = [first]
            if self.telemetry != "off":
                offset = self._taken - first
                while len(marks) <= PARTS and marks[-1] < last:
                    due = next_sample(marks[-1] + 1 + offset, steps_at_once())
                    marks.append(min(due - offset, last))
            else:
                marks.append(last)
            yield marks
            first = marks[-1]

    @property
    def _taken(self) -> int:
        """The number of steps that the run took."""
        return self._step - self._origin

    def _read(self, seen: Any, marks: list[int], epoch: int, before: int) -> None:
        """Keeps the samples that were due, of what a stretch saw."""
        if seen is None:
            return
        rows, look = np.asarray(seen), self.programs.look(self.telemetry)
        for row, mark in zip(rows, marks[:-1], strict=False):
            step = before + mark - marks[0]
            if next_sample(step - self._origin, steps_at_once()) == step - self._origin:
                self.history.telemetry.append(look.read(row, epoch, step))

    def _stretch(
        self, state: State, sums: Sums, segment: Segment, marks: list[int]
    ) -> tuple[State, Sums, Record, Any]:
        steps, started = marks[-1] - marks[0], time.perf_counter()
        with _interrupts_held():
            # The call uses the state up; until the new one is bound, no weights would be left.
            state, sums, record, seen = self.programs.train(self.telemetry)(
                state, sums, segment.data, segment.order, *marked(marks), self._factor
            )
            self._step += steps
            self.programs.plan.write_state(state, self._step)
        record = jax.device_get(record)
        self._are_finite = bool(record[FINITE])
        self._pace.learn(steps, time.perf_counter() - started)
        return state, sums, record, seen

    @property
    def _factor(self) -> np.float32:
        """The learning rate, or the factor on its schedule, as it stands now."""
        return np.float32(self._brake.factor)

    def _validation(self, epoch: int) -> Logs:
        if self.validation is None or (epoch + 1) % self.validation_freq:
            return {}
        logs = evaluate(self.programs, self.validation, self.callbacks)
        return {f"val_{name}": value for name, value in logs.items()}

    # -- what is not finite ------------------------------------------------------------------

    def _broken(self, before: State, step: int, epoch: int, logs: Logs) -> Break:
        """Says where an epoch broke; goes back to its beginning if it is to be taken again."""
        assert self._moment is not None
        examiner = Examiner(
            plan=self.programs.plan,
            feed=self.feed,
            take=self._retaken,
            inspection=self.programs.inspection,
            factor=self._factor,
        )
        broken = examiner.judged(before, epoch, self._moment, self._rate_of(self._moment, step))
        self.history.breaks.append(broken)
        self._moment = None
        self.callbacks.call("on_not_finite", epoch, logs)
        goes_on = (
            self.if_not_finite == "continue"
            and broken.cause == "rate"
            and len(self.history.breaks) <= MOST_BREAKS
            and not self.feed.is_used_up
            and not self.should_stop()
        )
        if not goes_on:
            return broken
        self._go_back(before, step)
        self._brake.tighten()
        broken = replace(broken, next_rate=broken.rate / LOWERED_BY)
        self.history.breaks[-1] = broken
        self._warn_of(broken)
        return broken

    def _retaken(self, state: State, segment: Segment, marks: list[int]) -> tuple[State, Record]:
        """Takes steps apart from the run."""
        sums = self.programs.no_sums(self.feed.sample())
        after, _, record, _ = self.programs.train(self.telemetry)(
            state, sums, segment.data, segment.order, *marked(marks), self._factor
        )
        return after, record

    def _rate_of(self, moment: Moment, step: int) -> float:
        """The learning rate at a stretch of the epoch that began with a step."""
        optimizer = self.programs.plan.optimizer
        assert optimizer is not None
        return float(
            optimizer.rate_at(
                jnp.asarray(step + moment.first, jnp.int32), jnp.asarray(self._factor)
            )
        )

    def _go_back(self, before: State, step: int) -> None:
        self.programs.plan.write_state(before, step)
        self._step, self._are_finite = step, True

    def _end_of(self, broken: Break, before: State, step: int) -> None:
        """Ends a run that broke, with the weights of the last good epoch."""
        self._go_back(before, step)
        self.history.outcome = Outcome.NOT_FINITE
        if self.if_not_finite == "raise":
            raise NotFiniteError(broken.sentence)
        self._warn_of(broken)

    def _warn_of(self, broken: Break) -> None:
        warnings.warn(broken.sentence, EvenkeelWarning, 6)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Lets Ctrl-C wait until the end of what is inside."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    held: list[tuple[Any, ...]] = []
    signal.signal(signal.SIGINT, lambda *arguments: held.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if held:
        handler(*held[0])


def _are_used_up(plan: Plan) -> bool:
    """Whether a compiled call took the weights' memory and did not give new ones back."""
    return any(v.is_used_up for v in [*plan.trained.values(), *plan.others.values()])


def _floats(plan: Plan, record: Record) -> Logs:
    """Returns a record as plain floats: loss, parts of the loss, metrics as they were asked for."""
    metrics = [name for name, *_ in named_metrics(plan.heads)]
    losses = [head.log_name("loss") for head in plan.heads if head.loss is not None]
    names = dict.fromkeys(["loss", *losses, PENALTY, *metrics])
    return {name: float(np.asarray(record[name])) for name in names if name in record}
