"""What can be wrong with targets, seen before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.outputs import RANGES
from evenkeel.doctor.patient import LayerRecord, RunRecord
from evenkeel.doctor.rule import Rule, Unclear
from evenkeel.doctor.statistics import (
    HeadTargets,
)

Said = Iterator[Finding | Number | Unclear]


class TargetsConstant(Rule):
    """Targets that are the same in every row."""

    code = "targets-constant"
    severities = ("fault", "warning")
    remedies = ("gather-data",)

    def check(self, head_targets: tuple[HeadTargets, ...]) -> Said:
        """Looks for targets that never vary.

        Measures:
            The number of target columns that have one value in all rows, and of classes.
        Why it hurts:
            The best answer is that one value, whatever the inputs: nothing is learned from them.
        Looks like:
            Perfect accuracy, or a loss of 0, within an epoch, and useless predictions.
        False alarms:
            Single rows are passed over.
        Remedies:
            Look at how y was made, filtered or encoded: no setting of a network helps (advice).
        """
        for found in head_targets:
            rows = len(found.values)
            constant = np.ptp(found.values, axis=0) == 0
            is_alone = found.is_one_hot and len(found.counts) == 1
            yield Number("constant target columns", int(constant.sum()), "columns")
            if rows < 2 or not constant.any() or (found.is_one_hot and not is_alone):
                continue
            is_all = bool(constant.all())
            yield self.found(
                "fault" if is_all else "warning",
                f"The targets of {found.head.name!r} are {found.values[0, 0]:g} in every row, so "
                "that there is nothing to learn."
                if is_all and not is_alone
                else f"The targets of {found.head.name!r} are of one class."
                if is_alone
                else f"{int(constant.sum())} of the {len(constant)} target columns of "
                f"{found.head.name!r} never vary.",
                Number("constant target columns", int(constant.sum()), "columns"),
                Number("rows looked at", rows, "rows"),
                place=(found.head.name,),
                confidence=1.0,
            )


class TargetsNotScaled(Rule):
    """Regression targets of another size than a network starts with."""

    code = "targets-not-scaled"
    severities = ("fault", "warning")
    remedies = ("scale-targets",)

    # A network starts with outputs of size about 1. Gradients of the layers below grow with the
    # error, so at size s they are s times those that usual rates are made for; rates that move
    # weights by themselves (Adam) need about s / (rate · units) steps to get there at all. At 10
    # a run of usual length still arrives; at 1000 it does not, or blows up under SGD.
    largest = 10.0
    hopeless = 1000.0
    # Below, the starting outputs are a hundred times the targets: all that is learned at first is
    # to be silent.
    smallest = 0.01

    def check(self, head_targets: tuple[HeadTargets, ...]) -> Said:
        """Compares the size of regression targets with the size 1 of starting outputs.

        Measures:
            The root mean square of each target column, and its standard deviation.
        Why it hurts:
            Errors in the hundreds of thousands make gradients that blow weights up; optimizers
            that move each weight by about the rate need as many steps as the distance says.
        Looks like:
            A loss in the billions that falls by a hair an epoch, or nan; predictions that are all
            nearly the same.
        False alarms:
            Silent between 0.01 and 10, on outputs that a fixed last layer scales, and where the
            loss is for classes.
        Remedies:
            Scale the targets to mean 0 and deviation 1, and scale predictions back (safe).
        """
        for found in head_targets:
            if not found.head.is_regression or self._is_scaled_inside(found.layer):
                continue
            size = np.sqrt(np.mean(np.square(found.values), axis=0))
            deviation = found.values.std(axis=0)
            column = int(np.argmax(size))
            evidence = (
                Number("size of the targets (root mean square)", float(size[column])),
                Number("standard deviation", float(deviation[column])),
                Number("rows looked at", len(found.values), "rows"),
            )
            yield from evidence
            name = found.head.name
            if size[column] > self.largest:
                yield self.found(
                    "fault" if size[column] > self.hopeless else "warning",
                    f"The targets of {name!r} have size {size[column]:,.3g}, and outputs start at "
                    "about 1: errors, and with them gradients, are that much too large.",
                    *evidence,
                    place=(name,),
                )
            elif 0 < deviation.max() < self.smallest:
                yield self.found(
                    "warning",
                    f"The targets of {name!r} vary by {deviation.max():.2g} only, and outputs "
                    "start at about 1: what varies in them drowns.",
                    *evidence,
                    place=(name,),
                )

    @staticmethod
    def _is_scaled_inside(layer: LayerRecord | None) -> bool:
        return layer is not None and (
            layer.is_a("Rescaling", "Normalization") or not layer.is_trainable
        )


class TargetsOutOfRange(Rule):
    """Targets that the output can never reach."""

    code = "targets-out-of-range"
    severities = ("fault", "warning")
    remedies = ("change-output-activation", "enough-units")

    def check(self, head_targets: tuple[HeadTargets, ...]) -> Said:
        """Compares targets with what the output's activation or number of units can give.

        Measures:
            The fraction of targets outside the range of the output's activation, or of class
            numbers outside 0..units-1.
        Why it hurts:
            The output saturates at its end and stays wrong there: a ReLU never answers below 0, a
            sigmoid never above 1.
        Looks like:
            A loss that stops early at a high value; predictions pinned to one end.
        False alarms:
            Targets at the very ends are within. Below 1 % outside it is a warning.
        Remedies:
            Change the output's activation, linear for a regression (safe); give the output as
            many units as there are classes (safe).
        """
        for found in head_targets:
            if found.head.kind == "classes":
                yield from self._classes(found)
                continue
            activation = None if found.layer is None else found.layer.activation
            low, high = RANGES.get(activation or "linear", (-math.inf, math.inf))
            if found.head.kind in ("binary", "one-hot"):
                low, high = 0.0, 1.0  # what a cross-entropy is made for
            outside = float(((found.values < low) | (found.values > high)).mean())
            yield Number("targets out of range", outside, "of all")
            if outside > 0:
                smallest, largest = float(found.values.min()), float(found.values.max())
                of = f"{activation!r}" if found.head.is_regression else f"{found.head.loss!r}"
                yield self.found(
                    "fault" if outside >= 0.01 else "warning",
                    f"The targets of {found.head.name!r} run from {smallest:.4g} to {largest:.4g}, "
                    f"and the range of {of} is {low:g} to {high:g}.",
                    Number("targets out of range", outside, "of all"),
                    place=(found.head.name, *self._layer_name(found)),
                    confidence=1.0,
                    remedies=("change-output-activation",)
                    if found.head.is_regression
                    else ("change-loss",),
                )

    def _classes(self, found: HeadTargets) -> Said:
        units = found.head.units
        if units is None or found.values.shape[1] != 1:
            return
        outside = float(((found.values < 0) | (found.values >= units)).mean())
        yield Number("class numbers out of range", outside, "of all")
        if outside:
            yield self.found(
                "fault",
                f"The classes of {found.head.name!r} run from {found.values.min():g} to "
                f"{found.values.max():g}, and its {units} units stand for 0 to {units - 1}.",
                Number("class numbers out of range", outside, "of all"),
                place=(found.head.name, *self._layer_name(found)),
                confidence=1.0,
                remedies=("enough-units",),
            )

    @staticmethod
    def _layer_name(found: HeadTargets) -> tuple[str, ...]:
        return () if found.layer is None else (found.layer.name,)


class ClassImbalance(Rule):
    """Classes of very unlike frequency."""

    code = "class-imbalance"
    severities = ("note",)
    remedies = ("weigh-classes",)
    eases = ("stratify",)
    # Accuracy misleads from here on: always naming the commonest of two classes scores 91 %.
    ratio = 10.0

    def check(self, head_targets: tuple[HeadTargets, ...], run: RunRecord) -> Said:
        """Compares the frequencies of the classes.

        Measures:
            The ratio of the commonest to the rarest class, and the accuracy of always naming the
            commonest: the baseline that a network must beat.
        Why it hurts:
            A network that always says the same scores well; rare classes hardly move weights.
        Looks like:
            A good accuracy from the first epoch on, and a recall near 0 for the rare class.
        False alarms:
            Imbalanced classes can be learned well, so this is only a note; and it is silent where
            rows or classes are weighted.
        Remedies:
            Weigh the classes in fit (mind: probabilities are then no longer calibrated); split by
            class; look at recall or AUC beside the accuracy.
        """
        for found in head_targets:
            if found.head.is_regression or found.labels is None or len(found.counts) < 2:
                continue
            counts = found.counts
            ratio = float(counts.max() / counts.min())
            baseline = float(counts.max() / counts.sum())
            evidence = (
                Number("commonest to rarest class", ratio),
                Number("accuracy of naming the commonest", baseline),
                Number("rows of the rarest class", int(counts.min()), "rows"),
            )
            yield from evidence
            # Counts of few rows scatter: the ratio must exceed the limit by two standard errors.
            noise = ratio * math.sqrt(1 / counts.min() + 1 / counts.max())
            if ratio - 2 * noise > self.ratio and not run.class_weight:
                yield self.found(
                    "note",
                    f"The commonest class of {found.head.name!r} has {ratio:,.3g} times as many "
                    f"rows as the rarest: always naming it scores {baseline:.1%}.",
                    *evidence,
                    place=(found.head.name,),
                )
