"""What can be wrong with the rows: how many, in which order, and how they were split."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.ordering import unseen_if_ordered
from evenkeel.doctor.patient import InputData, RunRecord, TargetData
from evenkeel.doctor.rule import Rule, Unclear
from evenkeel.doctor.statistics import (
    HeadTargets,
    InputMoments,
)

Said = Iterator[Finding | Number | Unclear]


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
