"""What can be wrong with data and targets, seen before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.ordering import unseen_if_ordered
from evenkeel.doctor.outputs import RANGES
from evenkeel.doctor.patient import InputData, LayerRecord, RunRecord, TargetData
from evenkeel.doctor.rule import Rule, Unclear
from evenkeel.doctor.statistics import (
    Arriving,
    HeadTargets,
    InputMoments,
    NotFinite,
)

Said = Iterator[Finding | Number | Unclear]
# Activations that saturate, or that hold the signal only around size 1.
_SENSITIVE = ("sigmoid", "tanh", "selu", "softsign", "hard_sigmoid", "hard_tanh", "exponential")


class InputsNotFinite(Rule):
    """Inputs or targets that are NaN or infinite."""

    code = "inputs-not-finite"
    severities = ("fault",)
    remedies = ("drop-rows-not-finite",)

    def check(self, not_finite: tuple[NotFinite, ...]) -> Said:
        """Looks for NaN and infinity in all rows of inputs and targets.

        Measures:
            The number of rows with a value that is no finite number.
        Why it hurts:
            One such value makes the loss, every gradient and with them every weight NaN at the
            first step.
        Looks like:
            The loss is nan from the first epoch on; `fit` refuses the data.
        False alarms:
            None: no arithmetic survives it.
        Remedies:
            Drop those rows (safe where they are few), or fill the holes with scikit-learn's
            SimpleImputer.
        """
        yield Number("rows not finite", sum(place.rows for place in not_finite), "rows")
        for place in not_finite:
            columns = f" in {', '.join(place.columns)}" if place.columns else ""
            yield self.found(
                "fault",
                f"{place.name} is NaN or infinite{columns} in {place.rows:,} rows, the first of "
                f"them row {place.first}; one such value makes every weight NaN.",
                Number("rows not finite", place.rows, "rows"),
                place=(place.name,),
                confidence=1.0,
            )


class InputsNotStandardized(Rule):
    """Inputs of a size or of sizes that starting weights and rates are not made for."""

    code = "inputs-not-standardized"
    remedies = ("standardize-inputs",)

    # Starting weights are made for inputs of mean square 1 (Glorot and Bengio 2010; He et al.
    # 2015). At size s the first sums are s times too large and the loss is s² times as curved
    # along the first weights, so that the largest rate that works falls by s² (LeCun et al. 1998,
    # section 5). Where a unit saturates or must keep size 1, 3 is past the bend; elsewhere 10 costs
    # a factor of 100. Images in 0..1 have 0.3 to 0.6, z-scores 1.
    largest = 10.0
    largest_where_sensitive = 3.0
    # Small inputs slow the first layer by 1/s². One-hot features are small on average and healthy,
    # so only features that are mostly not 0 count.
    smallest = 0.01
    # Gradient descent needs as many steps more as the largest curvature exceeds the smallest: the
    # square of the ratio of deviations (LeCun et al. 1998, section 4.2). At 100 that is 10,000.
    spread = 100.0
    # A mean of m deviations makes one direction (1 + m²) times as curved as the others.
    offset = 30.0

    def check(self, arriving: tuple[Arriving, ...]) -> Said:
        """Compares the size of inputs with the size 1 that starting weights are made for.

        Measures:
            The root mean square of all features, as they reach the first layer that learns; the
            ratio of the largest to the smallest standard deviation of the columns of a table; and
            the largest mean in standard deviations. Features that are mostly 0 do not count in the
            last two. A sample of rows is read.
        Why it hurts:
            Sums of the first layer are too large by that factor: units saturate or die, and the
            rates that still work are smaller by its square. Columns of unlike sizes need as many
            steps more as the square of their ratio says.
        Looks like:
            A loss that starts huge, falls at once and then hardly; dead or saturated units; chance
            level under SELU on pixels in 0..255.
        False alarms:
            Silent on z-scores, on images in 0..1 or -1..1, on one-hot and other sparse features,
            on numbers that an embedding looks up, and behind a normalization.
        Remedies:
            Standardize inside the network, with a Normalization layer, or Rescaling(1 / 255) for
            pixels (safe: saved models then take raw data).
        """
        for found in arriving:
            yield from self._judge(found)

    def _judge(self, found: Arriving) -> Said:
        if found.is_normalized or found.is_looked_up:
            yield Number("rows looked at", found.raw.rows, "rows")
            return
        moments, name = found.moments, found.raw.data.name
        if moments is None:
            yield Unclear(f"What {name!r} goes through before the first layer is not known.")
            return
        size = moments.size
        activation = None if found.layer is None else found.layer.activation
        limit = self.largest_where_sensitive if activation in _SENSITIVE else self.largest
        evidence = [
            Number("size of the inputs (root mean square)", size),
            Number("rows looked at", moments.rows, "rows"),
        ]
        place = (name, *(() if found.layer is None else (found.layer.name,)))
        yield from evidence
        dense = moments.dense
        if size > limit:
            sums = f"its sums are {size:.3g} times too large"
            yield self._large(found, moments, evidence, place, sums)
            return
        if dense.mean() > 0.5 and 0 < size < self.smallest:
            sentence = f"{name!r} has size {size:.3g}, and starting weights are made for 1"
            sentence += ": the first layer hardly sees it."
            yield self.found("warning", sentence, *evidence, place=place)
            return
        if moments.data.values.ndim != 2 or not dense.any():
            return
        yield from self._columns(moments, dense, place)

    def _large(
        self,
        found: Arriving,
        moments: InputMoments,
        evidence: list[Number],
        place: tuple[str, ...],
        sums: str,
    ) -> Finding:
        column = int(np.argmax(moments.square))
        low, high = float(moments.low.min()), float(moments.high.max())
        largest = math.sqrt(moments.square[column])
        name = moments.data.name
        reached = f"the layer {place[1]!r}" if len(place) > 1 else "the network"
        return self.found(
            "warning",
            f"{name!r} reaches {reached} with values from {low:.3g} to {high:.3g}, where starting "
            f"weights are made for size 1: {sums}.",
            *evidence,
            Number(f"size of {moments.data.column(column)}, the largest", largest),
            place=place,
        )

    def _columns(self, moments: InputMoments, dense: np.ndarray, place: tuple[str, ...]) -> Said:
        numbers = np.flatnonzero(dense)
        deviations = moments.deviation[numbers]
        # The sampling error of a deviation is a few hundredths at most; the limits are far from 1.
        ratio = float(deviations.max() / deviations.min())
        means = np.abs(moments.mean[numbers]) / deviations
        yield Number("largest to smallest standard deviation", ratio)
        yield Number("largest mean in standard deviations", float(means.max()))
        if ratio > self.spread:
            small, large = (numbers[int(pick(deviations))] for pick in (np.argmin, np.argmax))
            yield self.found(
                "warning",
                f"In {moments.data.name!r} {moments.data.column(large)} varies {ratio:,.3g} times "
                f"as much as {moments.data.column(small)}, which training will hardly see.",
                Number("largest to smallest standard deviation", ratio),
                Number("rows looked at", moments.rows, "rows"),
                place=place,
            )
        elif means.max() > self.offset:
            column = numbers[int(np.argmax(means))]
            yield self.found(
                "warning",
                f"In {moments.data.name!r} {moments.data.column(column)} lies {means.max():.3g} "
                "standard deviations from 0: its mean drowns what varies in it.",
                Number("largest mean in standard deviations", float(means.max())),
                Number("rows looked at", moments.rows, "rows"),
                place=place,
                confidence=0.8,
            )


class ConstantFeature(Rule):
    """Features that have the same value in every row."""

    code = "constant-feature"
    severities = ("fault", "note")
    remedies = ("drop-constant-features",)

    def check(self, input_moments: tuple[InputMoments, ...]) -> Said:
        """Looks for features that never vary.

        Measures:
            The number of features whose largest value equals their smallest, in all rows.
        Why it hurts:
            A constant carries nothing: it acts as a second bias. Where all features are constant
            there is nothing to learn from, and data was probably lost on the way.
        Looks like:
            A column of a table that was filled with one value; inputs that are all zero.
        False alarms:
            Pixels at the border are 0 in every image and harmless, so zeros are passed over where
            the features share one range, as pixels do.
        Remedies:
            Drop the columns (safe). With nothing else left, look at how the data was read.
        """
        for moments in input_moments:
            constant = moments.high == moments.low
            columns = self._confirmed(moments, np.flatnonzero(constant))
            if len(columns) == len(moments.mean):
                if len(moments.data.values) > 1:
                    yield self._all(moments)
                continue
            is_pixels = bool((moments.low >= 0).all()) and self._share_a_range(moments)
            if is_pixels or moments.data.values.ndim > 2:
                columns = [c for c in columns if moments.high[c] != 0]
            yield Number("constant features", len(columns), "features")
            if columns and moments.data.values.ndim == 2:
                shown = ", ".join(moments.data.column(c) for c in columns[:3])
                more = f" and {len(columns) - 3:,} more" if len(columns) > 3 else ""
                yield self.found(
                    "note",
                    f"In {moments.data.name!r} {shown}{more} never varies and carries nothing.",
                    Number("constant features", len(columns), "features"),
                    Number("rows looked at", len(moments.data.values), "rows"),
                    place=(moments.data.name,),
                    confidence=1.0,
                )

    def _all(self, moments: InputMoments) -> Finding:
        return self.found(
            "fault",
            f"Every row of {moments.data.name!r} is the same: there is nothing to learn from.",
            Number("constant features", len(moments.mean), "features"),
            Number("rows looked at", len(moments.data.values), "rows"),
            place=(moments.data.name,),
            confidence=1.0,
            remedies=("gather-data",),
        )

    @staticmethod
    def _confirmed(moments: InputMoments, columns: np.ndarray) -> list[int]:
        """Returns those that are constant in all rows, not only in the sample."""
        flat = moments.data.values.reshape(len(moments.data.values), -1)
        if moments.rows >= len(flat) or not len(columns):
            return columns.tolist()
        return [int(c) for c in columns if (flat[:, c] == flat[0, c]).all()]

    @staticmethod
    def _share_a_range(moments: InputMoments) -> bool:
        highest = moments.high[moments.high > moments.low]
        if len(moments.mean) <= 16 or not len(highest):
            return False
        return float(np.median(highest)) >= 0.2 * float(highest.max())


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


class TooLittleData(Rule):
    """Too few rows to learn from, or to judge by."""

    code = "too-little-data"
    severities = ("warning", "note")
    remedies = ("gather-data",)
    eases = ("early-stopping", "l2", "dropout")
    rows_of_a_class = 10
    least_rows = 50
    # The standard error of an accuracy from m rows is at most 0.5/sqrt(m): 5 points at 100.
    validation_rows = 100

    def check(self, inputs: tuple[InputData, ...], head_targets: tuple[HeadTargets, ...]) -> Said:
        """Counts rows, by class, and those of the validation.

        Measures:
            Rows, rows of the rarest class, rows for validation. The standard error of an accuracy
            from m rows is up to 0.5/sqrt(m).
        Why it hurts:
            A network fits a few dozen rows by heart, whatever they say; and from a few dozen
            validation rows no two runs can be told apart.
        Looks like:
            Training accuracy 100 %, validation scores that jump by several points.
        False alarms:
            Silent from 50 rows and 10 a class on, and with 100 validation rows: few rows can do
            where layers are taken from another network.
        Remedies:
            Gather more rows (the only cure); meanwhile early stopping, l2, dropout (they ease it).
        """
        rows = len(inputs[0].values)
        rarest = [
            int(found.counts.min())
            for found in head_targets
            if found.labels is not None and not found.head.is_regression
        ]
        yield Number("rows", rows, "rows")
        evidence = [Number("rows", rows, "rows")]
        evidence += [Number("rows of the rarest class", min(rarest), "rows")] if rarest else []
        a_class = min(
            (
                float(found.counts.mean())
                for found in head_targets
                if found.labels is not None and not found.head.is_regression
            ),
            default=math.inf,
        )
        if rows < self.least_rows or a_class < self.rows_of_a_class:
            yield self.found(
                "warning",
                f"There are {rows:,} rows"
                + (f", {a_class:.3g} a class" if a_class < self.rows_of_a_class else "")
                + ": a network can learn them by heart.",
                *evidence,
                place=(inputs[0].name,),
            )
        held_out = inputs[0].validation
        if held_out is not None and len(held_out) < self.validation_rows:
            error = 0.5 / math.sqrt(max(len(held_out), 1))
            yield self.found(
                "note",
                f"{len(held_out)} validation rows tell an accuracy to ±{100 * error:.2g} points "
                "only: differences below that say nothing.",
                Number("validation rows", len(held_out), "rows"),
                Number("standard error of an accuracy, at most", error),
                place=("validation_data",),
                confidence=1.0,
                remedies=("gather-data",),
            )


class OrderedValidationSplit(Rule):
    """Rows in the order of their classes, of which the last ones are kept for validation."""

    code = "ordered-validation-split"
    severities = ("fault", "warning", "note")
    remedies = ("shuffle-rows",)

    def check(
        self,
        head_targets: tuple[HeadTargets, ...],
        targets: tuple[TargetData, ...],
        run: RunRecord,
    ) -> Said:
        """Looks whether rows are ordered by class where the order matters.

        Measures:
            Whether labels only rise or only fall from row to row, and the classes that only the
            rows kept back have. Regressions: the same of the targets.
        Why it hurts:
            `validation_split` keeps the last rows back before shuffling, so that training and
            validation see different classes. Without shuffling, batches are of one class each.
        Looks like:
            A validation accuracy near 0 while the training accuracy is near 1.
        False alarms:
            An order in time is none by class. Without a split and with shuffling an order does no
            harm: it is then a note.
        Remedies:
            Shuffle x and y together before (safe unless rows are a time series).
        """
        rows = len(next(t.values for t in targets if t.values is not None))
        is_given = any(target.validation is not None for target in targets)
        is_split = run.validation_split > 0 and not is_given
        cut = int(rows * (1 - run.validation_split)) if is_split else rows
        for found in head_targets:
            unseen = self._unseen(found, cut)
            yield Number("rows kept back", rows - cut, "rows")
            if unseen is None or rows < 20:
                continue
            name = found.head.name
            evidence = (
                Number("rows kept back", rows - cut, "rows"),
                Number("classes that only they have", len(unseen), "classes"),
            )
            if is_split:
                lacking = f"; the rows before lack {len(unseen)} of the classes" if unseen else ""
                yield self.found(
                    "fault" if unseen else "warning",
                    f"The rows are ordered by {name!r}, and validation_split keeps the last "
                    f"{rows - cut:,} back before shuffling{lacking}.",
                    *evidence,
                    place=(name,),
                )
            elif not is_given or not run.shuffle:
                yield self.found(
                    "note" if run.shuffle else "warning",
                    f"The rows are ordered by {name!r}: "
                    + (
                        "a validation_split would keep the last ones back."
                        if run.shuffle
                        else "without shuffling, each batch has one kind of rows."
                    ),
                    *evidence,
                    place=(name,),
                    confidence=0.7,
                )

    @staticmethod
    def _unseen(found: HeadTargets, cut: int) -> list[float] | None:
        if found.labels is not None:
            return unseen_if_ordered(found.labels, cut)
        if found.values.shape[1] > 1:
            return None
        steps = np.diff(found.values[:, 0])
        is_ordered = bool(((steps >= 0).all() or (steps <= 0).all()) and steps.any())
        return [] if is_ordered else None


class TrainValidationShift(Rule):
    """Validation rows that are unlike the training rows."""

    code = "train-validation-shift"
    severities = ("fault", "warning")
    remedies = ("prepare-validation-alike", "split-again")

    # Inputs that were scaled on one side only differ by far more; samples of one source by less.
    ratio = 3.0
    # Half a standard deviation is Cohen's medium effect. It must also be 6 standard errors, which
    # is 2e-9 for one feature: 1e-5 for ten thousand.
    effect = 0.5
    errors = 6.0
    least_rows = 30

    def check(
        self,
        input_moments: tuple[InputMoments, ...],
        validation_moments: tuple[InputMoments, ...],
        head_targets: tuple[HeadTargets, ...],
    ) -> Said:
        """Compares training and validation rows, feature by feature and class by class.

        Measures:
            The ratio of their sizes; the largest difference of a feature's means, in standard
            deviations, counted from half a deviation and six standard errors on; classes that
            training rows lack.
        Why it hurts:
            The validation score then says nothing about the training: early stopping and schedules
            follow a number that means something else.
        Looks like:
            A validation loss far above the training loss from the first epoch on.
        False alarms:
            Sampling noise is counted, so that small validation sets stay silent; features that
            are mostly 0 are left out. A split by time may shift on purpose.
        Remedies:
            Prepare validation rows like the training rows (safe where one factor explains it), or
            put all rows together, shuffle and split again.
        """
        for train, held_out in zip(input_moments, validation_moments, strict=True):
            if train.mean.shape == held_out.mean.shape and held_out.rows >= self.least_rows:
                yield from self._inputs(train, held_out)
        for found in head_targets:
            if found.labels is None or found.validation is None or found.head.is_regression:
                continue
            values = found.validation
            labels = values.argmax(axis=1) if found.is_one_hot else values[:, 0]
            unseen = np.setdiff1d(labels, found.labels)
            yield Number("classes that only validation rows have", len(unseen), "classes")
            if len(unseen):
                yield self.found(
                    "fault",
                    f"{len(unseen)} classes of {found.head.name!r} stand in the validation rows "
                    "only, so they cannot be learned.",
                    Number("classes that only validation rows have", len(unseen), "classes"),
                    place=(found.head.name,),
                    confidence=1.0,
                    remedies=("split-again",),
                )

    def _inputs(self, train: InputMoments, held_out: InputMoments) -> Said:
        if train.size == 0 or held_out.size == 0:
            return
        ratio = max(train.size / held_out.size, held_out.size / train.size)
        yield Number("ratio of sizes", ratio)
        sizes = (
            Number("size of the training rows", train.size),
            Number("size of the validation rows", held_out.size),
        )
        if ratio > self.ratio and train.dense.mean() + held_out.dense.mean() > 0:
            yield self.found(
                "fault",
                f"Validation rows of {train.data.name!r} are {ratio:,.3g} times as "
                f"{'large' if held_out.size > train.size else 'small'} as the training rows: one "
                "of them was scaled, the other not.",
                *sizes,
                place=(train.data.name, "validation_data"),
                remedies=("prepare-validation-alike",),
            )
            return
        dense = train.dense & held_out.dense
        if not dense.any():
            return
        pooled = np.sqrt((train.deviation[dense] ** 2 + held_out.deviation[dense] ** 2) / 2)
        effect = np.abs(train.mean[dense] - held_out.mean[dense]) / pooled
        noise = math.sqrt(1 / train.rows + 1 / held_out.rows)
        largest = float(effect.max())
        yield Number("largest difference of means", largest, "standard deviations")
        if largest > max(self.effect, self.errors * noise):
            column = int(np.flatnonzero(dense)[int(np.argmax(effect))])
            yield self.found(
                "warning",
                f"{train.data.column(column).capitalize()} of {train.data.name!r} differs between "
                f"training and validation rows by {largest:.2g} standard deviations, "
                f"{largest / noise:.3g} times what chance would do.",
                Number("largest difference of means", largest, "standard deviations"),
                Number("its standard error", noise, "standard deviations"),
                place=(train.data.name, "validation_data"),
                confidence=0.8,
                remedies=("split-again",),
            )
