"""What `Model.fit` does with its arguments: data read, everything checked, then one run.

Nothing of the model changes until all is accepted: what is refused leaves it as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evenkeel.canaries import once
from evenkeel.engine import fit as engine
from evenkeel.engine.feed import ArrayFeed, Feed
from evenkeel.engine.history import History
from evenkeel.engine.hooks import CallbackList
from evenkeel.engine.recovery import Policy, policy_of
from evenkeel.errors import EvenkeelWarning, integer_at_least, positive_integer
from evenkeel.models.reading import (
    Reader,
    is_stream,
    refuse_for_arrays,
    refuse_for_batches,
    rows_at_a_time,
)
from evenkeel.models.watching import Occasion, doctor_for, level_for, operations_of
from evenkeel.network import random_key
from evenkeel.randomness import next_seed
from evenkeel.report.progress import display_for


@dataclass(kw_only=True)
class Fitting:
    """The arguments of one call of `Model.fit`, whose docstring says what they mean."""

    model: Any
    x: Any
    y: Any
    batch_size: int | None
    epochs: int
    verbose: Any
    callbacks: Any
    validation_split: float
    validation_data: Any
    shuffle: bool
    class_weight: Mapping[int, float] | None
    sample_weight: Any
    initial_epoch: int
    steps_per_epoch: int | None
    validation_steps: int | None
    validation_batch_size: int | None
    validation_freq: int
    doctor: Any
    if_not_finite: Policy

    def go(self) -> History:
        """Checks the arguments, trains, and returns the history."""
        model = self.model
        self._check()
        display, make_doctor = display_for(self.verbose), doctor_for(self.doctor)
        given = as_list(self.callbacks)
        with model.left_as_it_was():
            feed, validation = self._feeds()
            model.optimizer.begin_run(
                steps_per_epoch=feed.steps, epochs=self.epochs, initial_epoch=self.initial_epoch
            )
            programs = model._programs_for(feed.sample())
            params = self._params(feed, validation)
            listeners = CallbackList([*given, *display], model, params)
        history = model.history = History(params, model)
        if listeners.wants_batches:
            _say_that_batches_are_slow(listeners.wants_batches)
        model.stop_training = False
        watch = None
        if make_doctor is not None:
            watch = make_doctor(self._occasion(programs, history, feed, validation, listeners))
            listeners.add(watch)
        operations = operations_of(programs, feed, self.epochs - self.initial_epoch)

        def beside() -> None:
            once.begin()
            if watch is not None:
                watch.look()

        run = engine.Run(
            programs=programs,
            feed=feed,
            validation=validation,
            validation_freq=self.validation_freq,
            callbacks=listeners,
            history=history,
            epochs=self.epochs,
            initial_epoch=self.initial_epoch,
            key=random_key(next_seed()),
            telemetry=level_for(model._telemetry, watch is not None, operations),
            should_stop=lambda: model.stop_training,
            if_not_finite=self.if_not_finite,
            beside=beside,
        )
        run.go()
        once.look()
        return history

    def _check(self) -> None:
        self.epochs = integer_at_least(1, "fit(epochs)", self.epochs)
        self.initial_epoch = integer_at_least(0, "fit(initial_epoch)", self.initial_epoch)
        self.validation_freq = positive_integer("fit(validation_freq)", self.validation_freq)
        self.if_not_finite = policy_of("fit(if_not_finite)", self.if_not_finite)

    def _feeds(self) -> tuple[Feed, Feed | None]:
        rows_a_step = rows_at_a_time("fit(batch_size)", self.batch_size, 32)
        reader = Reader(self.model)
        train, held_out = reader.training(
            self.x,
            self.y,
            self.sample_weight,
            self.class_weight,
            self.validation_split,
            self.validation_data,
        )
        if train is None:
            refuse_for_batches(batch_size=self.batch_size)
            feed: Feed = reader.stream(self.x, self.class_weight, self.steps_per_epoch)
        else:
            refuse_for_arrays(steps_per_epoch=self.steps_per_epoch)
            feed = ArrayFeed(train, rows_a_step, next_seed() if self.shuffle else None)
        validation = reader.validation(
            held_out, self.validation_data, self.validation_batch_size, self.validation_steps
        )
        return feed, validation

    def _params(self, feed: Feed, validation: Feed | None) -> dict[str, Any]:
        return {
            "epochs": self.epochs,
            "steps": feed.steps,
            "batch_size": feed.batch_size,
            "verbose": self.verbose,
            "validation_freq": 1 if validation is None else self.validation_freq,
        }

    def _occasion(
        self,
        programs: engine.Programs,
        history: History,
        feed: Feed,
        validation: Feed | None,
        listeners: CallbackList,
    ) -> Occasion:
        are_arrays = self.y is not None
        held_out = self.validation_data
        return Occasion(
            model=self.model,
            programs=programs,
            history=history,
            x=self.x if are_arrays else None,
            y=self.y,
            validation_data=None if held_out is None or is_stream(held_out) else held_out,
            validation_split=0.0 if held_out is not None else self.validation_split,
            feed=feed,
            validation=validation,
            batch_size=feed.batch_size or feed.sample().rows,
            epochs=self.epochs - self.initial_epoch,
            shuffle=self.shuffle,
            is_weighted=self.sample_weight is not None or feed.sample().weight is not None,
            class_weight=bool(self.class_weight),
            stops_early=any(hasattr(c, "restore_best_weights") for c in listeners.callbacks),
            is_shown=listeners.listens_to("on_notice"),
            say=lambda text: listeners.call("on_notice", text),
        )


def as_list(given: Any) -> list[Any]:
    """Returns one thing or several, or None, as a list."""
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def _say_that_batches_are_slow(names: list[str]) -> None:
    warnings.warn(
        f"fit: {', '.join(names)} listens to single batches, so Python runs between all steps, "
        "which is slower. Use on_epoch_end where that is enough.",
        EvenkeelWarning,
        stacklevel=4,
    )
