"""The experiment: arms trained with the same seeds, steps and rows, and judged on the same rows.

Each arm is trained by the normal `fit`. An arm has one model, whose weights are drawn anew for each
seed, so that its programs are compiled once.
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evenkeel.callbacks import EarlyStopping
from evenkeel.doctor.comparison import is_hopeless
from evenkeel.doctor.scoring import Judge
from evenkeel.engine.hooks import Callback, Logs
from evenkeel.errors import EvenkeelError, EvenkeelWarning, InvalidArgumentError, explain
from evenkeel.learning_rate import find_learning_rate
from evenkeel.randomness import generator, seeded
from evenkeel.treatment.subject import Subject

# Longer than this a run of an experiment gains little that its first epochs did not show.
_MOST_EPOCHS = 50
# How many remedies at most the budget is shared among in advance.
_MOST_ARMS = 6
# The part of its training rows that an arm with early stopping watches: never the held-out rows,
# which would then be chosen by and judged by at once.
_WATCHED = 0.15
_RANGE_TEST_STEPS = 300


class BudgetSpentError(Exception):
    """There is no room for another run."""


@dataclass(kw_only=True)
class Budget:
    """How much a treatment may train.

    Attributes:
        steps: How many steps in all.
        seconds: How many seconds in all; None for as long as it takes.
        spent: How many steps were taken.

    Example:
        >>> budget = Budget(steps=100)
        >>> budget.take(60)
        >>> budget.left
        40
    """

    steps: int
    seconds: float | None = None
    spent: int = 0
    _started: float = field(default_factory=time.monotonic, init=False)

    @property
    def left(self) -> int:
        """How many steps are left."""
        return self.steps - self.spent

    @property
    def seconds_left(self) -> float:
        """How many seconds are left."""
        if self.seconds is None:
            return math.inf
        return self.seconds - (time.monotonic() - self._started)

    def require(self, steps: int) -> None:
        """Raises `BudgetSpentError` unless there is room for so many steps."""
        if steps > self.left or self.seconds_left <= 0:
            raise BudgetSpentError

    def take(self, steps: int) -> None:
        """Counts steps that were taken."""
        self.spent += steps


@dataclass(frozen=True, kw_only=True)
class Length:
    """How long each run of an experiment is.

    Attributes:
        epochs: How many epochs.
        rows: How many training rows, at most.
        batch_size: Rows a step.

    Example:
        >>> Length.within(20_000, seeds=3, rows=640, batch_size=32, epochs=None, remedies=1)
        Length(epochs=50, rows=640, batch_size=32)
    """

    epochs: int
    rows: int
    batch_size: int

    def steps(self, rows: int) -> int:
        """Returns how many steps a run on so many rows has."""
        return self.epochs * math.ceil(min(rows, self.rows) / self.batch_size)

    @classmethod
    def within(
        cls,
        budget: int,
        *,
        seeds: int,
        rows: int,
        batch_size: int,
        epochs: int | None,
        remedies: int,
    ) -> Length:
        """Returns the length that lets a budget do for the network and its remedies.

        Where not even an epoch fits, a part of the rows is used, the same in every arm.

        Args:
            budget: The steps in all.
            seeds: How often each arm is trained.
            rows: The training rows.
            batch_size: Rows a step.
            epochs: How many epochs a run must have; as many as fit when None.
            remedies: How many remedies there are to try.

        Raises:
            InvalidArgumentError: If the budget does not do for two arms.
        """
        of_epoch = math.ceil(rows / batch_size)
        if epochs is not None:
            least = 2 * seeds * epochs * of_epoch
            if budget < least:
                raise InvalidArgumentError(
                    explain(
                        f"repair(budget): {budget:,} steps do not do for {seeds} seeds of {epochs} "
                        f"epochs of {of_epoch:,} steps, before and after.",
                        f"Type budget={least} at least, or leave epochs out.",
                    )
                )
            return cls(epochs=epochs, rows=rows, batch_size=batch_size)
        # Beside the network as it is, so much is left that one doubt can be settled.
        each = budget // (seeds * (3 + min(max(remedies, 1), _MOST_ARMS)))
        if each < 1:
            raise InvalidArgumentError(
                explain(
                    f"repair(budget): {budget:,} steps do not do for {seeds} seeds, before and "
                    "after.",
                    "Type budget=20_000, for example.",
                )
            )
        if each < of_epoch:
            return cls(epochs=1, rows=each * batch_size, batch_size=batch_size)
        return cls(epochs=min(each // of_epoch, _MOST_EPOCHS), rows=rows, batch_size=batch_size)


@dataclass(kw_only=True, eq=False)
class Arm:
    """A subject that was trained under some seeds.

    Attributes:
        subject: The subject.
        losses: For each seed the losses of the held-out rows.
        shown: For each seed the number that people are shown.
        steps: How many steps its runs took.
        weights: What the first seed's run left.
        rate: The learning rate that a range test found; None without one.
        rate_factor: The rate that every run begins with, or the factor on its schedule.
        is_given_up: Whether it was left before its last seed, because it could no longer win.
        error: Why it could not be trained; "" if it could.
    """

    subject: Subject
    losses: list[np.ndarray] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    steps: int = 0
    weights: list[np.ndarray] | None = None
    rate: float | None = None
    rate_factor: float | None = None
    is_given_up: bool = False
    error: str = ""

    def rewind(self) -> None:
        """Makes the optimizer begin anew; it stays the one that programs were compiled for.

        A run that broke has lowered the rate, which is no business of the next one.
        """
        optimizer = self.subject.model.optimizer
        optimizer.slots = None
        optimizer.iterations = 0
        if self.rate_factor is None:
            self.rate_factor = optimizer.rate_factor
        optimizer.rate_factor = self.rate_factor


@dataclass(kw_only=True, eq=False)
class Experiment:
    """What all arms share.

    Attributes:
        judge: Who scores them.
        seeds: The seeds of their runs.
        more_seeds: Those of the runs that confirm what looks better.
        length: How long each run is.
        budget: What they may take together.
    """

    judge: Judge
    seeds: tuple[int, ...]
    more_seeds: tuple[int, ...] = ()
    length: Length
    budget: Budget

    def run(self, subject: Subject, against: Arm | None = None) -> Arm:
        """Trains a subject under every seed, or until it can no longer beat another arm.

        Raises:
            BudgetSpentError: If the budget does not do.
        """
        arm = Arm(subject=subject)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", EvenkeelWarning)
                self._set_rate(arm)
                for seed in self.seeds:
                    self._train(arm, seed)
                    if against is not None and self._is_hopeless(arm, against):
                        arm.is_given_up = True
                        break
        except EvenkeelError as error:
            arm.error = str(error)
            arm.losses = [self.judge.of_nothing()] * len(self.seeds)
            arm.shown = [math.nan] * len(self.seeds)
        return arm

    def confirm(self, *arms: Arm) -> None:
        """Trains arms under the seeds that confirm, as far as they were not yet.

        Raises:
            BudgetSpentError: If the budget does not do.
        """
        every = (*self.seeds, *self.more_seeds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EvenkeelWarning)
            for arm in arms:
                left = every[len(arm.losses) :]
                self.budget.require(len(left) * self.length.steps(arm.subject.patient.rows or 0))
                for seed in left:
                    if arm.error:
                        arm.losses.append(self.judge.of_nothing())
                        arm.shown.append(math.nan)
                    else:
                        self._train(arm, seed)

    def _is_hopeless(self, arm: Arm, against: Arm) -> bool:
        pairs = zip(against.losses, arm.losses, strict=False)
        return is_hopeless([float(np.mean(b - a)) for b, a in pairs], len(self.seeds))

    def _set_rate(self, arm: Arm) -> None:
        """Finds the learning rate by a range test, where a remedy left it open."""
        subject = arm.subject
        if not subject.measures_rate:
            return
        x, y, weight = self._rows_of(subject)
        steps = min(_RANGE_TEST_STEPS, max(20, self.length.steps(subject.patient.rows or 0)))
        self.budget.require(steps)
        with seeded(self.seeds[0]):
            subject.model.set_weights(subject.drawn())
        search = find_learning_rate(
            subject.model,
            x,
            y,
            batch_size=self.length.batch_size,
            steps=steps,
            class_weight=weight,
            seed=self.seeds[0],
        )
        self.budget.take(len(search.losses))
        arm.steps += len(search.losses)
        if search.suggestion is None:
            raise InvalidArgumentError(search.sentence)
        arm.rate = search.suggestion
        subject.model.optimizer.learning_rate = search.suggestion
        assert subject.patient.optimizer is not None
        found = replace(subject.patient.optimizer, rate=search.suggestion, schedule=None)
        arm.subject = replace(subject, patient=replace(subject.patient, optimizer=found))

    def _rows_of(self, subject: Subject) -> tuple[Any, Any, Any]:
        """Returns inputs, targets and weights of classes of the rows that a run uses."""
        count, rows = subject.patient.rows or 0, None
        # What early stopping watches are the last rows, which must not be those of one class.
        if count > self.length.rows or subject.patient.run.early_stopping:
            rows = generator(self.seeds[0]).permutation(count)[: self.length.rows]
        targets = subject.targets(rows)
        return subject.inputs(rows), targets, subject.class_weight(targets)

    def _train(self, arm: Arm, seed: int) -> None:
        subject, model = arm.subject, arm.subject.model
        x, y, weight = self._rows_of(subject)
        self.budget.require(self.length.steps(subject.patient.rows or 0))
        with seeded(seed):
            model.set_weights(subject.drawn())
            arm.rewind()
            clock = _Clock(self.budget)
            is_watched = subject.patient.run.early_stopping
            try:
                model.fit(
                    x,
                    y,
                    batch_size=self.length.batch_size,
                    epochs=self.length.epochs,
                    verbose=0,
                    shuffle=subject.patient.run.shuffle,
                    class_weight=weight,
                    validation_split=_WATCHED if is_watched else 0.0,
                    callbacks=[clock, *([_stopping(self.length.epochs)] if is_watched else [])],
                    doctor=None,
                )
            finally:
                arm.steps += clock.steps
                self.budget.take(clock.steps)
                arm.rewind()  # whatever is made from this model begins anew as well
        answers = subject.answers()
        arm.losses.append(self.judge.losses(answers, subject.forms))
        arm.shown.append(self.judge.shown(answers, subject.forms))
        if arm.weights is None:
            arm.weights = model.get_weights()


def _stopping(epochs: int) -> EarlyStopping:
    return EarlyStopping(patience=max(2, epochs // 5), restore_best_weights=True)


class _Clock(Callback):
    """Counts the steps that a run takes, and ends it when the time is over."""

    def __init__(self, budget: Budget):
        self._budget = budget
        self.steps = 0
        self._of_epochs = 0

    def on_progress(self, step: int, steps: int | None, logs: Logs | None = None) -> None:
        """Looks at the time."""
        self.steps = self._of_epochs + step
        self._budget.require(0)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Counts the epoch."""
        self._of_epochs += (self.params or {})["steps"]
        self.steps = self._of_epochs
