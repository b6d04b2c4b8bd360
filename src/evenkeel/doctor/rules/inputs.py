"""What can be wrong with inputs, seen before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.rule import Rule, Unclear
from evenkeel.doctor.statistics import (
    Arriving,
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
