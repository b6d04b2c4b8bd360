"""The doctor during `fit`: a look before the first step, and at the curves while a model trains.

It reads numbers that a run has anyway (losses, weights between two epochs, where it broke) and
changes nothing, so that weights are the same, bit for bit, with it and without. Its own failures
are warnings: they never end a run.
"""

from __future__ import annotations

import contextlib
import functools
import math
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np

from evenkeel.description import describe
from evenkeel.doctor.causes import by_cause
from evenkeel.doctor.course import BreakRecord, Course
from evenkeel.doctor.diagnosis import Diagnosis, diagnose
from evenkeel.doctor.finding import Finding
from evenkeel.doctor.patient import Patient, RunRecord, TargetData
from evenkeel.doctor.rules import RUN_RULES, STATIC_RULES
from evenkeel.doctor.statistics import Missing, Numbers
from evenkeel.engine import fit as engine
from evenkeel.engine.feed import ArrayFeed
from evenkeel.engine.hooks import Callback, CallbackList, Logs
from evenkeel.engine.outcome import Outcome
from evenkeel.engine.recovery import Break
from evenkeel.errors import EvenkeelWarning
from evenkeel.models.watching import Occasion

__all__ = ["Watch"]

# Epochs after which the curves are judged while somebody looks on, each 1.6 times the last: a run
# of a thousand epochs is judged eleven times on its way, and once at its end.
_FIRST_LOOK = 5
_NEXT_LOOK = 1.6
# A run with neither so many epochs nor so many steps is not judged.
_FEWEST_EPOCHS = 3
_FEWEST_STEPS = 500
# Of how many kernels, spread over the depth, and of how many numbers of each the way is measured.
_KERNELS = 24
_NUMBERS = 2**16
# Rows for the comparison of the two modes, and rows that remain of the data in a record.
_MODE_ROWS = 512
_KEPT_ROWS = 256
# Rows by which data is known again.
_MARKED_ROWS = 64
# Targets of more rows than this are judged by a sample, and so are inputs of more rows or elements
# than these: a look must cost next to nothing beside a run.
_TARGET_ROWS = 100_000
_INPUT_ROWS = 1000
_INPUT_ELEMENTS = 2**18
# What `compile` and `fit` have warned of by themselves.
_SAID_BEFORE = frozenset(
    {"output-activation-mismatch", "loss-mismatch", "ordered-validation-split"}
)


def _harmless(method: Callable[..., None]) -> Callable[..., None]:
    """Decorator: what fails inside is a warning, once, and ends the watch but not the run."""

    @functools.wraps(method)
    def guarded(self: Watch, *arguments: Any) -> None:
        if self.has_failed:
            return
        try:
            method(self, *arguments)
        except Exception as error:  # a fault of the doctor's must not end a training
            self.has_failed = True
            warnings.warn(
                f"The doctor could not look at this run ({type(error).__name__}: {error}). The "
                "training goes on; fit(doctor=None) leaves the doctor out.",
                EvenkeelWarning,
                stacklevel=2,
            )

    return guarded


class Examined:
    """What was found before the first step, and the numbers that a run is judged with later.

    Args:
        patient: The model and its data.
        known: Numbers that need not be computed.
    """

    def __init__(self, patient: Patient, known: dict[str, Any]):
        numbers = Numbers(patient, known)
        self.diagnosis = diagnose(patient, STATIC_RULES, numbers)
        self.patient = _shrunk(patient)
        # What is read off the data stays; the data itself must not outlive the run.
        self.known = {"constants": Numbers(patient)["constants"]}
        self.linear_score: list[Any] = []  # fitted once, if a run asks for it

    @classmethod
    def before(cls, occasion: Occasion) -> Examined:
        """Examines a model and its data before a run. A deeper look is another line here."""
        patient = _described(occasion)
        known: dict[str, Any] = {"not_finite": ()}  # fit has refused what is not finite
        known |= _moments_of(patient)
        if occasion.feed.steps is not None:
            known["steps"] = occasion.feed.steps * occasion.epochs
        return cls(patient, known)


# By model: for which programs and data it was examined, and what was found.
_EXAMINED: WeakKeyDictionary[Any, tuple[Any, Examined]] = WeakKeyDictionary()


class Watch(Callback):
    """The doctor of one run.

    Args:
        occasion: What is going to be run.
    """

    def __init__(self, occasion: Occasion):
        self.model = occasion.model
        self.has_failed = False
        self._occasion = occasion
        self._examined: Examined | None = None
        self._verdicts: tuple[Any, ...] = ()
        self._logs: dict[str, list[float]] = {}
        self._epochs = 0
        self._next_look = _FIRST_LOOK
        self._told: set[str] = set()
        self._start: dict[str, np.ndarray] = {}
        self._first_step = int(occasion.model.optimizer.iterations)
        self._is_over = False

    # -- before the first step ---------------------------------------------------------------

    @_harmless
    def look(self) -> None:
        """Examines data, structure and starting weights, unless that was done for the same."""
        occasion = self._occasion
        signature = _signature(occasion)
        before = _EXAMINED.get(occasion.model)
        if before is not None and before[0] == signature:
            self._examined = before[1]
            self._told |= self._examined.diagnosis.codes
        else:
            self._examined = Examined.before(occasion)
            _EXAMINED[occasion.model] = signature, self._examined
            warned = _SAID_BEFORE if occasion.x is not None else frozenset()
            self._told |= warned & self._examined.diagnosis.codes
        self._start = _kernels(occasion.programs.plan.trained)
        self._record(self._examined.diagnosis.findings)

    # -- while it trains ---------------------------------------------------------------------

    @_harmless
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Takes the epoch's numbers down; now and then looks at the curves."""
        for name, value in (logs or {}).items():
            values = self._logs.setdefault(name, [math.nan] * self._epochs)
            values.append(float(value))
        self._epochs += 1
        for values in self._logs.values():
            values += [math.nan] * (self._epochs - len(values))
        if self._occasion.is_shown and self._epochs >= self._next_look:
            self._next_look = math.ceil(self._epochs * _NEXT_LOOK)
            self._judge(is_over=False)

    @_harmless
    def on_not_finite(self, epoch: int, logs: Logs | None = None) -> None:
        """Takes down that the run broke; the run itself has warned."""
        self._told |= {
            *("non-finite-loss", "non-finite-gradients", "non-finite-weights"),
            "learning-rate-too-high",
        }

    @_harmless
    def on_train_end(self, logs: Logs | None = None) -> None:
        """Looks at the whole run."""
        self._end()

    @_harmless
    def close(self) -> None:
        """Looks at a run that an error ended as far as it went."""
        self._end()

    def _end(self) -> None:
        if not self._is_over and self._examined is not None:
            self._is_over = True
            self._judge(is_over=True)
            self._examined = self._start = None  # pyright: ignore[reportAttributeAccessIssue]  # the run is over

    def _judge(self, *, is_over: bool) -> None:
        examined = self._examined
        history = self._occasion.history
        steps = int(self.model.optimizer.iterations) - self._first_step
        is_long = self._epochs >= _FEWEST_EPOCHS or steps >= _FEWEST_STEPS
        if examined is None or not (is_long or history.breaks):
            self._write_up(is_over=is_over, patient=None, verdicts=())
            return
        patient = replace(examined.patient, course=self._course(steps, is_over))
        known = {**examined.known, "linear_model": functools.partial(self._linear_model, patient)}
        run = diagnose(patient, RUN_RULES, Numbers(patient, known))
        self._write_up(is_over=is_over, patient=patient, verdicts=run.verdicts)

    def _write_up(self, *, is_over: bool, patient: Patient | None, verdicts: Any) -> None:
        """Puts findings of before and of the run together, and into the history."""
        examined = self._examined
        if examined is None:
            return
        every = (*examined.diagnosis.verdicts, *verdicts)
        found = [finding for verdict in every for finding in verdict.findings]
        diagnosis = Diagnosis(findings=by_cause(found), verdicts=every)
        self._record(diagnosis.findings)
        if is_over:
            shown = patient or examined.patient
            name = self.model.name
            self._occasion.history.write_up = functools.partial(_checkup, name, shown, diagnosis)

    def _record(self, findings: Sequence[Finding]) -> None:
        self._occasion.history.findings = tuple(findings)
        for finding in findings:
            codes = {inner.code for inner in finding.everything}
            if finding.severity != "note" and finding.code not in self._told:
                self._occasion.say(
                    f"Doctor: {finding.code}: {finding.sentence} More: ek.explain({finding.code!r})"
                )
            self._told |= codes

    # -- numbers -----------------------------------------------------------------------------

    def _course(self, steps: int, is_over: bool) -> Course:
        occasion = self._occasion
        history = occasion.history
        now = _kernels(occasion.programs.plan.trained)
        course = Course(
            logs=self._logs,
            rows=_rows_of(occasion.feed),
            validation_rows=_rows_of(occasion.validation),
            steps=steps,
            is_over=is_over,
            is_stopped=history.outcome is Outcome.STOPPED,
            is_weighted=occasion.is_weighted,
            samples=history.telemetry,
            travel=_travel(self._start, now),
            breaks=tuple(_broken(one) for one in history.breaks),
        )
        loss = self._loss_in_inference(course) if is_over else None
        return course if loss is None else replace(course, **loss)

    def _loss_in_inference(self, course: Course) -> dict[str, Any] | None:
        """Returns the loss of training rows in inference mode, where that may be the matter."""
        train, valid = course.log("loss"), course.log("val_loss")
        has_norms = any(
            part.is_a("BatchNormalization") and part.is_trainable
            for part in (self._examined.patient.parts if self._examined else ())
        )
        if (
            not has_norms
            or train is None
            or valid is None
            or not isinstance(self._occasion.feed, ArrayFeed)
        ):
            return None
        last, held = float(train[-1]), float(valid[np.isfinite(valid)][-1])
        if not held > 1.1 * last:
            return None
        train = self._occasion.feed
        stride = max(1, train.rows // _MODE_ROWS)
        rows = train.some(np.arange(train.rows)[::stride][:_MODE_ROWS])
        feed = ArrayFeed(rows, rows.rows)
        logs = engine.evaluate(self._occasion.programs, feed, CallbackList([], self.model, {}))
        loss = logs["loss"] - logs.get("penalty", 0.0)
        return {"inference_loss": loss, "inference_rows": rows.rows}

    def _linear_model(self, patient: Patient) -> Any:
        occasion, examined = self._occasion, self._examined
        if occasion.x is None or examined is None:
            return None
        if not examined.linear_score:
            examined.linear_score.append(Numbers(_described(occasion))["linear_model"]())
        return examined.linear_score[0]


def _checkup(name: str, patient: Patient, diagnosis: Diagnosis) -> Any:
    from evenkeel.examination import Checkup  # what it brings along is for showing

    return Checkup(name=name, depth="run", patient=patient, diagnosis=diagnosis)


def _signature(occasion: Occasion) -> Any:
    data = occasion.feed.sample()
    shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(data))
    return (
        id(occasion.programs),
        shapes if occasion.x is not None else None,
        _mark_of(occasion.x),
        _mark_of(occasion.y),
        _rows_of(occasion.feed),
        occasion.feed.steps,
        occasion.epochs,
        occasion.validation is None,
        occasion.shuffle,
        occasion.class_weight,
        occasion.stops_early,
    )


def _mark_of(data: Any) -> tuple[int, ...]:
    """Returns what tells data from other data of the same shape: a checksum of some rows.

    What is no array is known by which object it is.
    """
    parts = list(data.values()) if isinstance(data, dict) else data
    if not isinstance(parts, list | tuple) or not all(isinstance(p, np.ndarray) for p in parts):
        parts = [data]
    return tuple(
        zlib.crc32(_spread(part, _MARKED_ROWS).tobytes())
        if isinstance(part, np.ndarray) and part.ndim
        else id(part)
        for part in parts
    )


def _described(occasion: Occasion) -> Patient:
    """Describes a model with its data; without it, where batches come one by one."""
    run = RunRecord(
        batch_size=occasion.batch_size,
        epochs=occasion.epochs,
        validation_split=occasion.validation_split,
        shuffle=occasion.shuffle,
        class_weight=occasion.class_weight,
        early_stopping=occasion.stops_early,
    )
    if occasion.x is not None:
        patient = describe(occasion.model, occasion.x, occasion.y, occasion.validation_data, run)
        return replace(patient, targets=tuple(map(_thinned, patient.targets)))
    blank = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), occasion.feed.sample().x)
    patient = describe(occasion.model, blank, None, None, run)
    reason = "The data comes in batches, which are not looked at as a whole."
    missing = {**patient.missing, "inputs": reason, "targets": reason}
    return replace(patient, inputs=(), targets=(), missing=missing)


def _thinned(target: TargetData) -> TargetData:
    return replace(
        target,
        values=_spread(target.values, _TARGET_ROWS),
        validation=_spread(target.validation, _TARGET_ROWS),
    )


def _spread(values: Any, rows: int) -> Any:
    """Returns rows from all over, so many at most; none where there are none."""
    return values if values is None or len(values) <= rows else values[:: -(-len(values) // rows)]


def _moments_of(patient: Patient) -> dict[str, Any]:
    """Returns means and the like of the inputs by some of their rows, as far as there are any."""

    def few(values: Any) -> Any:
        width = 1 if values is None else max(1, int(np.prod(values.shape[1:])))
        return _spread(values, max(_INPUT_ROWS, _INPUT_ELEMENTS // width))

    inputs = tuple(
        replace(one, values=few(one.values), validation=few(one.validation))
        for one in patient.inputs
    )
    numbers = Numbers(replace(patient, inputs=inputs))
    found: dict[str, Any] = {}
    for name in ("input_moments", "validation_moments"):
        with contextlib.suppress(Missing):
            moments = numbers[name]
            # Whoever reads on, in all rows, finds them.
            found[name] = tuple(
                replace(one, data=data) for one, data in zip(moments, patient.inputs, strict=True)
            )
    return found


def _shrunk(patient: Patient) -> Patient:
    """Returns a patient with a few rows of its data, copied, so that the rest can be freed."""

    def few(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else np.array(values[:_KEPT_ROWS])

    return replace(
        patient,
        inputs=tuple(
            replace(one, values=few(one.values), validation=few(one.validation))
            for one in patient.inputs
        ),
        targets=tuple(
            replace(one, values=few(one.values), validation=few(one.validation))
            for one in patient.targets
        ),
    )


def _rows_of(feed: Any) -> int | None:
    return getattr(feed, "rows", None)


def _kernels(trained: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns numbers of some kernels, the same ones each time."""
    paths = [path for path, variable in trained.items() if len(variable.shape) >= 2]
    if len(paths) > _KERNELS:
        paths = [paths[i] for i in np.linspace(0, len(paths) - 1, _KERNELS).astype(int)]
    return {path: _numbers_of(trained[path]) for path in paths}


def _numbers_of(variable: Any) -> np.ndarray:
    held = variable.row
    values = np.asarray(variable._value) if held is None else np.asarray(held[0].array)[held[1]]
    flat = values.reshape(-1)
    return np.array(flat[:: max(1, flat.size // _NUMBERS)], np.float64)


def _travel(start: dict[str, np.ndarray], now: dict[str, np.ndarray]) -> dict[str, float]:
    found = {}
    for path, before in start.items():
        size = float(np.linalg.norm(before))
        if path in now and size > 0:
            with np.errstate(over="ignore", invalid="ignore"):
                found[path] = float(np.linalg.norm(now[path] - before)) / size
    return {path: way for path, way in found.items() if math.isfinite(way)}


def _broken(one: Break) -> BreakRecord:
    first, last = one.batches
    return BreakRecord(
        epoch=one.epoch,
        batch=first if first == last else None,
        what="" if one.site is None else one.site.what,
        place="" if one.site is None else one.site.place,
        cause=one.cause,
        rate=one.rate,
        next_rate=one.next_rate,
    )
