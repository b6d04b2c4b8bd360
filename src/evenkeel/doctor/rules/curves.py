"""What is wrong with the steps of a run, read off its curves and off how far weights moved."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from evenkeel.doctor.course import Course
from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.patient import OptimizerRecord
from evenkeel.doctor.rule import Rule, Unclear
from evenkeel.doctor.statistics.curves import Curve, swing

Said = Iterator[Finding | Number | Unclear]

# Steps before which nothing is said about a loss that does not fall.
FEWEST_STEPS = 100
# A tenth of a standard deviation: what 2 % of a loss is to a network that explains none of it.
LEARNED_NOTHING = 0.02


class OscillatingLoss(Rule):
    """A loss that jumps up and down from epoch to epoch."""

    code = "oscillating-loss"
    remedies = ("lower-learning-rate", "larger-batches")
    # Seven epochs have five second differences; their median is no single epoch's doing.
    least_epochs = 7
    # Jumps of so many standard errors are not chance: 6e-5 for a normal one.
    errors = 4.0
    # In parts of the way that the loss has come down: less costs nothing worth a word.
    train_part = 0.05
    valid_part = 0.1

    def check(self, curves: tuple[Curve, ...]) -> Said:
        """Compares the jumps of the loss between epochs with its noise and with its way down.

        Measures:
            The swing: the typical jump from one epoch to the next apart from a smooth course, over
            the last half of the run; its standard error from the number of rows; and the way that
            the loss has come down, or a tenth of what a constant scores.
        Why it hurts:
            Steps overshoot what they aim at, so that the run does not settle.
        Looks like:
            A loss that goes up and down by turns, in the validation more than in the training.
        False alarms:
            Noise of few rows is counted: a swing of four standard errors is asked for. One bad
            epoch is none, since the median of the jumps is taken. Small jumps around a small loss
            are those of a run that has converged.
        Remedies:
            A lower learning rate, or one that decays; larger batches (both safe).
        """
        for curve in curves:
            sides = [("training", curve.train, False, self.train_part)]
            if curve.valid is not None:
                sides.append(("validation", curve.valid, True, self.valid_part))
            for side, values, is_validation, part in sides:
                tail = values[-max(self.least_epochs, len(values) // 2) :]
                if len(tail) < self.least_epochs:
                    yield Unclear(f"The run has fewer than {self.least_epochs} epochs.")
                    continue
                found, error = swing(tail), curve.error(float(np.mean(tail)), is_validation)
                numbers = (
                    Number(f"swing of the {side} loss", found),
                    Number("its standard error", error),
                    Number("way that the loss came down", curve.way),
                )
                yield from numbers
                if found > self.errors * error and found > part * curve.way:
                    yield self.found(
                        "warning",
                        f"The {side} loss of {curve.name!r} jumps by {found:.3g} from epoch to "
                        f"epoch, {found / error:.3g} times what chance would do.",
                        *numbers,
                        place=(curve.name,),
                        confidence=0.8,
                    )
                    break


class Diverging(Rule):
    """A training loss that goes up again."""

    code = "diverging"
    severities = ("fault",)
    remedies = ("lower-learning-rate", "clip-gradients")
    errors = 4.0
    # Half of what was gained is lost again.
    part = 0.5

    def check(self, curves: tuple[Curve, ...]) -> Said:
        """Compares the last training losses with the best one.

        Measures:
            The median of the last three epochs above the best epoch, in parts of the way that the
            loss had come down, and in standard errors.
        Why it hurts:
            The network gets worse at what it is trained for.
        Looks like:
            A loss that rises over several epochs, often to more than it began with.
        False alarms:
            One bad epoch does not move a median of three. Noise of few rows is counted.
            Restarts of a schedule raise the loss for some epochs on purpose, by less than half.
        Remedies:
            A lower learning rate, clipped gradients (safe).
        """
        for curve in curves:
            if len(curve.train) < 3:
                yield Unclear("The run has fewer than three epochs.")
                continue
            last = float(np.median(curve.train[-3:]))
            up, error = last - curve.best, curve.error(last)
            error = 0.0 if math.isinf(error) else error
            numbers = (
                Number("training loss of the last epochs", last),
                Number("best training loss", curve.best),
                Number("way that the loss had come down", curve.way),
            )
            yield from numbers
            if up > self.part * curve.way and up > self.errors * error:
                yield self.found(
                    "fault",
                    f"The training loss of {curve.name!r} has gone up from {curve.best:.3g} to "
                    f"{last:.3g}.",
                    *numbers,
                    place=(curve.name,),
                )


class LossNotDecreasing(Rule):
    """A network that is no better than a constant after training."""

    code = "loss-not-decreasing"
    severities = ("fault",)
    remedies = ("rate-from-range-test", "lower-learning-rate", "raise-learning-rate")

    def check(self, curves: tuple[Curve, ...], run_course: Course) -> Said:
        """Compares the training loss with that of the best constant output.

        Measures:
            The part by which the training loss lies below what a constant would score on the same
            rows: the mean, or the shares of the classes. Where that is not known, below the first
            epoch.
        Why it hurts:
            The network has learned nothing that it would need its inputs for.
        Looks like:
            A flat loss, at log(classes) or at the variance of the targets; one accuracy for ever.
        False alarms:
            A constant is fitted to the same rows, so chance is in both. Runs of fewer than 100
            steps are passed over, and a network that was trained before where no constant is
            known. Targets that nothing can predict look like this, too.
        Remedies:
            A range test of the learning rate says whether any rate makes the loss fall (safe).
            If none does, look at data, loss and initialization: evenkeel.checkup.
        """
        if run_course.steps < FEWEST_STEPS or run_course.epochs < 2:
            yield Unclear(f"The run has fewer than {FEWEST_STEPS} steps, or a single epoch.")
            return
        for curve in curves:
            if curve.constant is None and (curve.first is None or curve.reference <= 0):
                yield Unclear("What a constant would score is not known.")
                continue
            gain = 1 - float(np.min(curve.train[-3:])) / curve.reference
            numbers = (
                Number("part of a constant's loss that is gone", gain),
                Number("training loss", float(curve.train[-1])),
                Number("loss of a constant", curve.reference),
            )
            yield from numbers
            if gain < LEARNED_NOTHING:
                yield self.found(
                    "fault",
                    f"After {run_course.steps:,} steps {curve.name!r} is predicted no better than "
                    f"by a constant: its loss is {curve.train[-1]:.4g}, a constant's "
                    f"{curve.reference:.4g}.",
                    *numbers,
                    place=(curve.name,),
                )


class SlowConvergence(Rule):
    """A run that ended while the loss still fell as fast as at its middle."""

    code = "slow-convergence"
    severities = ("warning", "note")
    remedies = ("raise-learning-rate", "train-longer")
    least_epochs = 8
    # exp(-t) falls in the second half of a time constant 0.61 times as far as in the first; in the
    # second half of two 0.37 times. Powers such as 1/sqrt(t) stay below 0.4.
    ratio = 0.6
    errors = 4.0
    # A twentieth of the way: less is the jitter of a run that has converged.
    part = 0.05
    # From here on most of the way is done, and the finding is a note.
    most = 0.5

    def check(self, curves: tuple[Curve, ...], run_course: Course, rate_came_down: bool) -> Said:
        """Compares how far the training loss fell in the two halves of the run.

        Measures:
            The fall in the second half in parts of the fall in the first; the part of a constant's
            loss that is gone at the end.
        Why it hurts:
            The run stops before the network has learned what it could.
        Looks like:
            A loss that goes down on a straight line to the last epoch.
        False alarms:
            Silent where a schedule brought the rate down, which makes losses fall late; where
            validation no longer gains; where a callback ended the run; and within the noise.
        Remedies:
            A higher learning rate, which a range test finds, or more epochs (both safe with
            validation rows).
        """
        if not run_course.is_over or run_course.is_stopped:
            yield Unclear("The run goes on, or a callback ended it.")
            return
        for curve in curves:
            count = len(curve.train)
            if count < self.least_epochs:
                yield Unclear(f"The run has fewer than {self.least_epochs} epochs.")
                continue
            start, middle, end = _ends(curve.train)
            first, second = start - middle, middle - end
            numbers = (
                Number("fall in the first half", first),
                Number("fall in the second half", second),
                Number("part of a constant's loss that is gone", curve.skill),
            )
            yield from numbers
            is_falling = second > self.ratio * max(first, 0.0) and second > self.part * curve.way
            is_sure = second > self.errors * curve.error(end)
            if is_falling and is_sure and not rate_came_down and _validation_gains(curve):
                is_most = math.isfinite(curve.skill) and curve.skill > self.most
                yield self.found(
                    "note" if is_most else "warning",
                    f"The loss of {curve.name!r} fell by {second:.3g} in the second half of the "
                    f"run and by {first:.3g} in the first: it was still on its way.",
                    *numbers,
                    place=(curve.name,),
                    confidence=0.8,
                )


def _ends(values: np.ndarray) -> tuple[float, float, float]:
    """Returns a curve's start, middle and end, the latter as medians of three epochs."""
    half = len(values) // 2
    middle = float(np.median(values[half - 2 : half + 1]))
    return float(values[0]), middle, float(np.median(values[-3:]))


def _validation_gains(curve: Curve) -> bool:
    if curve.valid is None or len(curve.valid) < 4:
        return True
    half = len(curve.valid) // 2
    return float(np.min(curve.valid[half:])) < float(np.min(curve.valid[:half]))


class LearningRateTooLowInRun(Rule):
    """A rate so low that the weights hardly leave where they began."""

    code = "learning-rate-too-low"
    severities = ("fault", "warning")
    # By how much it is too low nobody knows: a range test finds it, steps of three take many runs.
    remedies = ("rate-from-range-test", "raise-learning-rate", "train-longer")
    # A network that learns changes its kernels by some tenths of their size at least; at a
    # hundredth of it, outputs change by about a hundredth.
    hardly = 0.02
    # Above this skill it has learned, however little it moved: a network trained before.
    learned = 0.5

    def check(self, curves: tuple[Curve, ...], run_course: Course, travelled: float) -> Said:
        """Looks how far the weights have moved while the loss is still high.

        Measures:
            The distance of the kernel that moved most from its start, in parts of its size then;
            the part of a constant's loss that is gone.
        Why it hurts:
            The run takes many times as long as it could, or ends before it has begun.
        Looks like:
            A loss that falls by a hair each epoch, on a straight line.
        False alarms:
            A network that had been trained before needs to move little, and scores well. Weights
            that did not move at all have no gradient, which no rate changes. Frozen layers do not
            count.
        Remedies:
            A higher learning rate, which a range test finds (safe), or many more epochs.
        """
        if run_course.steps < FEWEST_STEPS:
            yield Unclear(f"The run has fewer than {FEWEST_STEPS} steps.")
            return
        for curve in curves:
            if curve.constant is None:
                yield Unclear("What a constant would score is not known.")
                continue
            numbers = (
                Number("way of the weights", travelled, "of their size"),
                Number("part of a constant's loss that is gone", curve.skill),
                Number("steps", run_course.steps, "steps"),
            )
            yield from numbers
            moved = 0 < travelled < self.hardly
            if moved and math.isfinite(curve.skill) and curve.skill < self.learned:
                yield self.found(
                    "fault" if curve.skill < LEARNED_NOTHING else "warning",
                    f"After {run_course.steps:,} steps no kernel has moved by more than "
                    f"{travelled:.2g} of its size, and the loss is {curve.train[-1]:.4g}: the "
                    "learning rate is too low.",
                    *numbers,
                    place=(curve.name,),
                    confidence=0.85,
                )


class LearningRateTooHighInRun(Rule):
    """A rate at which steps overshoot."""

    code = "learning-rate-too-high"
    severities = ("fault", "warning")
    remedies = ("lower-learning-rate", "clip-gradients")
    # Weights that are ten times their starting size off, and predict nothing, were thrown there.
    thrown = 10.0
    errors = 4.0
    part = 0.1

    def check(
        self, curves: tuple[Curve, ...], run_course: Course, optimizer: OptimizerRecord
    ) -> Said:
        """Looks for what only steps that are too long do.

        Measures:
            The rates at which the run broke and at which it held; the swing of the training loss
            in standard errors and in parts of its way; how far weights went without learning.
        Why it hurts:
            Each step goes past what it aims at: the loss swings, stays high or explodes.
        Looks like:
            nan; or a training loss that jumps, or stands still from the first epochs on.
        False alarms:
            A loss that swings little around a small value is that of a run that has converged.
            The noise of few rows is counted. A single bad epoch is none.
        Remedies:
            A lower learning rate (safe); clipped gradients where single batches throw it off.
        """
        breaks = [broken for broken in run_course.breaks if broken.cause == "rate"]
        yield Number("breaks", len(breaks), "breaks")
        if breaks:
            held = breaks[-1].next_rate
            numbers = [Number("learning rate that broke", breaks[0].rate)]
            numbers += [] if held is None else [Number("learning rate that held", held)]
            yield self.found(
                "fault",
                f"The run broke with the learning rate {breaks[0].rate:.3g}"
                + ("." if held is None else f" and held with {held:.3g}."),
                *numbers,
                place=(optimizer.kind,),
                confidence=0.95 if held is not None else 0.7,
            )
            return
        for curve in curves:
            yield from self._from_curve(curve, run_course, optimizer)

    def _from_curve(self, curve: Curve, course: Course, optimizer: OptimizerRecord) -> Said:
        far = max(course.travel.values(), default=0.0)
        yield Number("way of the weights", far, "of their size")
        has_steps = course.steps >= FEWEST_STEPS and curve.constant is not None
        if has_steps and far > self.thrown and curve.skill < LEARNED_NOTHING:
            yield self.found(
                "fault",
                f"The weights went {far:.3g} times their size from where they began, and "
                f"{curve.name!r} is predicted no better than by a constant.",
                Number("way of the weights", far, "of their size"),
                Number("part of a constant's loss that is gone", curve.skill),
                place=(optimizer.kind,),
                confidence=0.8,
            )
            return
        tail = curve.train[-max(OscillatingLoss.least_epochs, len(curve.train) // 2) :]
        if len(tail) < OscillatingLoss.least_epochs:
            return
        found, error = swing(tail), curve.error(float(np.mean(tail)))
        numbers = (
            Number("swing of the training loss", found),
            Number("its standard error", error),
            Number("way that the loss came down", curve.way),
        )
        yield from numbers
        if found > self.errors * error and found > self.part * curve.way:
            yield self.found(
                "warning",
                f"The training loss of {curve.name!r} swings by {found:.3g} from epoch to epoch, "
                f"while it came down by {curve.way:.3g} in all.",
                *numbers,
                place=(optimizer.kind,),
                confidence=0.7,
            )
