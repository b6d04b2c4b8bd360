"""What a run shows about rows that the network has not seen, and about what holds it back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from evenkeel.doctor.course import Course
from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.patient import DROPPING, LayerRecord, RunRecord
from evenkeel.doctor.rule import Rule, Unclear
from evenkeel.doctor.statistics.curves import Curve, LinearScore

Said = Iterator[Finding | Number | Unclear]
_ACCURACIES = ("accuracy", "acc", "binary_accuracy", "categorical_accuracy")


def _accuracy(course: Course, prefix: str = "") -> np.ndarray | None:
    names = (*_ACCURACIES, "sparse_categorical_accuracy")
    found = (course.log(prefix + name) for name in names)
    return next((values for values in found if values is not None), None)


class Overfitting(Rule):
    """A network that gets better on its training rows and worse on others."""

    code = "overfitting"
    severities = ("warning", "note")
    remedies = ("early-stopping", "l2", "dropout", "gather-data")
    least_epochs = 5
    # At least three validations behind the best one, so that one bad epoch is none.
    least_after = 3
    errors = 3.0
    # Less than a tenth of the loss is not worth a change.
    part = 0.1
    gap = 0.1

    def check(self, curves: tuple[Curve, ...], run_course: Course, run: RunRecord) -> Said:
        """Compares validation losses with the best ones, while the training loss goes on falling.

        Measures:
            How far the median of the last three validation losses lies above the lowest such
            median, in parts of it and in standard errors from the number of validation rows; the
            gap between training and validation accuracy.
        Why it hurts:
            What the network learns from some epoch on is the training rows by heart: the last
            weights are worse than earlier ones.
        Looks like:
            Training and validation curves that part, the validation loss turning upwards.
        False alarms:
            A small validation set is noisy: the rise must be three standard errors. A run that
            early stopping watches is silent. A rising loss with an accuracy that holds is a note:
            the network is surer than it should be.
        Remedies:
            Early stopping (safe); a penalty, dropout, more data, a smaller network.
        """
        if run.early_stopping:
            yield Number("runs that stop early", 1, "runs")
            return
        for curve in curves:
            if curve.valid is None:
                yield Unclear("No validation data was given: type validation_data=(x, y).")
                continue
            if len(curve.valid) < self.least_epochs:
                yield Unclear(f"There were fewer than {self.least_epochs} validations.")
                continue
            yield from self._rise(curve, run_course)

    def _rise(self, curve: Curve, course: Course) -> Said:
        valid, epochs = curve.valid, curve.valid_epochs
        assert valid is not None
        assert epochs is not None
        # The lowest of many noisy numbers is low by chance; the lowest median of three much less.
        steady = np.median(np.lib.stride_tricks.sliding_window_view(valid, 3), axis=1)
        best = int(np.argmin(steady)) + 1
        last, lowest = float(steady[-1]), float(steady.min())
        rise, error = last - lowest, curve.error(last, True)
        still_falls = float(curve.train[-1]) < float(curve.train[epochs[best]])
        numbers = [
            Number("best validation loss", lowest),
            Number("validation loss of the last epochs", last),
            Number("standard error", error),
            Number("training loss", float(curve.train[-1])),
        ]
        yield from numbers
        is_after = len(valid) - 1 - best >= self.least_after
        is_worse = rise > self.errors * error and rise > self.part * abs(lowest)
        if is_after and is_worse and still_falls:
            holds = self._accuracy_holds(course, int(epochs[best]), curve.validation_rows)
            yield self.found(
                "note" if holds else "warning",
                f"The validation loss of {curve.name!r} was best around epoch {epochs[best] + 1}, "
                f"{lowest:.3g}, and has risen to {last:.3g}, while the training loss falls"
                + ("; the accuracy holds." if holds else "."),
                *numbers,
                place=(curve.name,),
            )
            return
        yield from self._gap(curve, course, int(epochs[best]))

    def _gap(self, curve: Curve, course: Course, best: int) -> Said:
        train, valid = _accuracy(course), _accuracy(course, "val_")
        if train is None or valid is None or not curve.validation_rows:
            return
        a, b = float(train[best]), float(valid[best])
        error = math.sqrt(max(b * (1 - b), 0.0) / curve.validation_rows)
        yield Number("training accuracy above validation accuracy", a - b)
        if a - b > max(self.gap, 4 * error):
            yield self.found(
                "note",
                f"The accuracy is {a:.0%} on training rows and {b:.0%} on others: the network "
                "knows its training rows by heart.",
                Number("training accuracy", a),
                Number("validation accuracy", b),
                Number("standard error", error),
                place=(curve.name,),
                remedies=("l2", "dropout", "gather-data"),
            )

    @staticmethod
    def _accuracy_holds(course: Course, best: int, rows: int | None) -> bool:
        accuracy = _accuracy(course, "val_")
        if accuracy is None or not rows or not math.isfinite(accuracy[best]):
            return False
        known = accuracy[np.isfinite(accuracy)]
        p = float(accuracy[best])
        return float(np.median(known[-3:])) >= p - 2 * math.sqrt(max(p * (1 - p), 1e-4) / rows)


class Underfitting(Rule):
    """A network that a linear model beats."""

    code = "underfitting"
    severities = ("warning", "note")
    remedies = ("train-longer", "larger-network", "less-regularization", "raise-learning-rate")
    errors = 3.0
    # Of the error, or of the accuracy.
    part = 0.1
    points = 0.02
    # A loss that still fell by so much of its way in the last quarter of the run is on its way.
    falling = 0.03

    def check(
        self,
        curves: tuple[Curve, ...],
        run_course: Course,
        linear_model: Callable[[], LinearScore | None],
    ) -> Said:
        """Compares the network with a linear model on rows that the linear model has not seen.

        Measures:
            The mean squared error, or the accuracy, of a ridge regression on half of a sample of
            rows, for the other half; and that of the network, in training and validation.
        Why it hurts:
            The network has not even found what a straight line finds.
        Looks like:
            Training and validation losses close together, and both high.
        False alarms:
            Both scores of the network must be worse, by three standard errors. A network that is
            better than nine tenths is not compared, nor is one with several inputs or outputs.
            A run that ended while the loss fell is a note: it was short.
        Remedies:
            More units or layers, more epochs, weaker penalties and less dropout.
        """
        if not run_course.is_over:
            yield Unclear("The run goes on.")
            return
        if len(curves) != 1 or run_course.is_weighted:
            yield Unclear("There are several outputs, or rows weigh differently.")
            return
        (curve,) = curves
        if curve.constant is None or curve.skill > 0.9:
            yield Number("part of a constant's loss that is gone", curve.skill)
            return
        linear = linear_model()
        if linear is None:
            yield Unclear("There are too few rows or too many columns for a linear model.")
        elif linear.is_accuracy:
            yield from self._by_accuracy(curve, run_course, linear)
        else:
            yield from self._by_error(curve, linear)

    def _by_accuracy(self, curve: Curve, course: Course, linear: LinearScore) -> Said:
        train, valid = _accuracy(course), _accuracy(course, "val_")
        if train is None:
            yield Unclear("There is no accuracy to compare with: type metrics=['accuracy'].")
            return
        own = float(np.max(train))
        if valid is not None:
            own = max(own, float(np.nanmax(valid)))
        numbers = (
            Number("accuracy of a linear model", linear.value),
            Number("its standard error", linear.error),
            Number("best accuracy of the network", own),
        )
        yield from numbers
        if linear.value - own > max(self.errors * linear.error, self.points):
            yield self._found(curve, numbers)

    def _by_error(self, curve: Curve, linear: LinearScore) -> Said:
        own = curve.best if curve.valid is None else min(curve.best, float(np.min(curve.valid)))
        numbers = (
            Number("squared error of a linear model", linear.value),
            Number("its standard error", linear.error),
            Number("lowest squared error of the network", own),
        )
        yield from numbers
        if own - linear.value > max(self.errors * linear.error, self.part * linear.value):
            yield self._found(curve, numbers)

    def _found(self, curve: Curve, numbers: tuple[Number, ...]) -> Finding:
        before = curve.train[-1 - max(1, len(curve.train) // 4)] if len(curve.train) > 1 else None
        is_on_its_way = before is None or before - curve.train[-1] > self.falling * curve.way
        return self.found(
            "note" if is_on_its_way else "warning",
            f"A linear model predicts {curve.name!r} better than the network, on rows that it has "
            "not seen" + ("; but the loss was still falling." if is_on_its_way else "."),
            *numbers,
            place=(curve.name,),
            remedies=("train-longer", "raise-learning-rate") if is_on_its_way else None,
        )


class BatchnormGap(Rule):
    """Batch normalization that does something else in predictions than in training."""

    code = "batchnorm-gap"
    severities = ("fault", "warning")
    remedies = ("batchnorm-momentum",)
    eases = ("train-longer", "larger-batches")
    errors = 4.0
    part = 0.1
    mostly = 0.5

    def check(
        self,
        batchnorms: tuple[LayerRecord, ...],
        curves: tuple[Curve, ...],
        run_course: Course,
    ) -> Said:
        """Compares the loss on training rows in the two modes of the network.

        Measures:
            The loss on training rows in inference mode, with moving averages, above the training
            loss of the last epoch, with each batch's own mean and variance; in parts of the way
            that the loss came down, and in standard errors.
        Why it hurts:
            Predictions are made with averages that do not fit the weights: they are worse than what
            the network has learned.
        Looks like:
            A validation loss that is high or jumps while the training loss falls smoothly.
        False alarms:
            Rows are the same on both sides, so that overfitting is no part of it. It is looked at
            only where validation is worse than training.
        Remedies:
            A smaller momentum (safe), more steps, or larger batches.
        """
        yield Number("batch normalizations", len(batchnorms), "layers")
        if not batchnorms or len(curves) != 1:
            return
        if run_course.inference_loss is None:
            yield Unclear("The loss in inference mode was not looked at: validation was no worse.")
            return
        (curve,) = curves
        last = float(curve.train[-1])
        gap = run_course.inference_loss - last
        error = 2 * abs(run_course.inference_loss) / math.sqrt(max(run_course.inference_rows, 1))
        numbers = (
            Number("loss on training rows in inference mode", run_course.inference_loss),
            Number("training loss", last),
            Number("standard error", error),
        )
        yield from numbers
        if gap > self.errors * error and gap > self.part * curve.way:
            yield self.found(
                "fault" if gap > self.mostly * curve.way else "warning",
                f"On training rows the loss is {last:.3g} in training mode and "
                f"{run_course.inference_loss:.3g} in inference mode: the moving averages do not "
                "fit.",
                *numbers,
                place=tuple(layer.name for layer in batchnorms),
            )


class RegularizationTooStrong(Rule):
    """Penalties or dropout that keep the network from learning."""

    code = "regularization-too-strong"
    remedies = ("less-regularization",)
    eases = ("train-longer",)
    # The penalty is then what the optimizer mostly works on.
    share = 0.5
    # And the network explains less than half of what there is.
    learned = 0.5
    # In training with dropout less than half of what it explains without.
    drowned = 0.5

    def check(
        self, curves: tuple[Curve, ...], run_course: Course, parts: tuple[LayerRecord, ...]
    ) -> Said:
        """Looks what part of the loss is penalty, and what dropout leaves of the skill.

        Measures:
            The penalty in parts of the whole loss in the last epochs; the part of a constant's
            loss that is gone, in training (with dropout) and in validation (without).
        Why it hurts:
            The optimizer is busy making weights small, or hears mostly noise.
        Looks like:
            A high training loss that stops falling; a validation loss far below it.
        False alarms:
            A large penalty beside a network that has learned is none: it must have left half of a
            constant's loss. A validation loss below the training loss is usual with dropout.
        Remedies:
            A tenth of the penalty, less dropout (safe with validation rows).
        """
        for curve in curves:
            if curve.constant is None or len(curve.train) < 3:
                yield Unclear("What a constant would score is not known, or the run is short.")
                continue
            yield from self._penalty(curve, run_course)
            yield from self._dropout(curve, parts)

    def _penalty(self, curve: Curve, course: Course) -> Said:
        loss, penalty = course.log("loss"), course.log("penalty")
        if loss is None or penalty is None or loss[-1] <= 0:
            yield Number("share of the penalty", 0.0, "of the loss")
            return
        share = float(np.median(penalty[-3:] / loss[-3:]))
        numbers = (
            Number("share of the penalty", share, "of the loss"),
            Number("part of a constant's loss that is gone", curve.skill),
        )
        yield from numbers
        if share > self.share and curve.skill < self.learned:
            yield self.found(
                "warning",
                f"The penalty is {share:.0%} of the loss, and the network has done away with "
                f"{max(curve.skill, 0):.0%} of what a constant scores.",
                *numbers,
                place=(curve.name,),
                confidence=0.8,
            )

    def _dropout(self, curve: Curve, parts: tuple[LayerRecord, ...]) -> Said:
        dropping = [p for p in parts if p.is_a(*DROPPING) and p.config.get("rate", 0) > 0]
        if not dropping or curve.valid is None or not curve.constant:
            return
        without = 1 - float(np.median(curve.valid[-3:])) / curve.constant
        numbers = (
            Number("skill with dropout", curve.skill),
            Number("skill without", without),
        )
        yield from numbers
        noise = 4 * curve.error(float(curve.valid[-1]), True) / curve.constant
        if without > 0.1 + noise and curve.skill < self.drowned * without:
            yield self.found(
                "warning",
                f"With dropout the network explains {max(curve.skill, 0):.0%} of what a constant "
                f"leaves, without it {without:.0%}: it learns from mostly noise.",
                *numbers,
                place=tuple(p.name for p in dropping),
                confidence=0.7,
            )
