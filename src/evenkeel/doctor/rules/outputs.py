"""What can be wrong between a network's output, its loss and its targets."""

from __future__ import annotations

from collections.abc import Iterator

from evenkeel.doctor.finding import Finding, Number, Severity
from evenkeel.doctor.outputs import LOSS_NAMES, Misfit, misfit
from evenkeel.doctor.patient import HeadRecord, LayerRecord, Patient, output_layer
from evenkeel.doctor.rule import Rule, Unclear
from evenkeel.doctor.statistics import HeadTargets

Said = Iterator[Finding | Number | Unclear]


def _misfit(patient: Patient, head: HeadRecord) -> tuple[LayerRecord, Misfit] | None:
    """Returns what does not suit at an output, or None."""
    layer = output_layer(patient, head)
    if layer is None or layer.activation in (None, "?"):
        return None
    found = misfit(head.kind, layer.activation or "", head.units, from_logits=head.from_logits)
    return None if found is None else (layer, found)


class OutputActivationMismatch(Rule):
    """An output whose activation does not suit its loss."""

    code = "output-activation-mismatch"
    severities = ("fault", "warning")
    remedies = ("change-output-activation", "change-loss")

    def check(self, patient: Patient, heads: tuple[HeadRecord, ...]) -> Said:
        """Compares the activation of each output with what its loss expects.

        Measures:
            The activation, the units, and the loss with its from_logits, as declared.
        Why it hurts:
            A cross-entropy takes logarithms of probabilities: of other numbers they are cut off,
            and no gradient is left. Softmax on one unit is always 1. A softmax that is applied
            twice is nearly flat.
        Looks like:
            A loss that stays where it is, or is nan; chance level in every epoch.
        False alarms:
            Silent with logits and from_logits=True, on a loss of your own, and on an activation
            that is not known.
        Remedies:
            Give the output the activation that the loss expects (safe), or let the loss apply it,
            from_logits=True (safe).
        """
        for head in heads:
            layer = output_layer(patient, head)
            if head.loss is not None and (layer is None or layer.activation == "?"):
                yield Unclear(f"The activation of the output {head.name!r} is not known.")
            found = _misfit(patient, head)
            yield Number("outputs that were compared", 1, "outputs")
            if found is not None and found[1].at_fault == "activation":
                place, wrong = found
                yield self.found(
                    "fault" if wrong.is_hopeless else "warning",
                    f"The output layer {place.name!r} ({place.kind}) {wrong.found}",
                    Number("units", head.units or 0, "units"),
                    place=(head.name, place.name),
                    confidence=1.0,
                    remedies=self._fitting(head, wrong),
                )

    def _fitting(self, head: HeadRecord, wrong: Misfit) -> tuple[str, ...]:
        if wrong.from_logits:
            return self.remedies[:1]
        # One unit of softmax says that the loss, the units and the targets were never compared.
        is_single = head.units == 1 and wrong.is_hopeless
        return self.remedies[::-1] if is_single else self.remedies


class LossMismatch(Rule):
    """A loss that does not suit the targets or the output."""

    code = "loss-mismatch"
    severities = ("fault", "warning", "note")
    remedies = ("change-loss",)

    def check(
        self,
        patient: Patient,
        heads: tuple[HeadRecord, ...],
        head_targets: tuple[HeadTargets, ...],
    ) -> Said:
        """Compares each loss with the form of its targets, and with the output.

        Measures:
            Whether targets are class numbers, one-hot rows, 0 and 1, or other numbers; the loss;
            the output's units and activation.
        Why it hurts:
            The loss then asks another question than the one that is meant: one yes or no for each
            of a hundred classes is answered 99 % right by "no" everywhere; the square of a softmax
            is flat where the answer is wrong.
        Looks like:
            A refusal by `fit`; an accuracy of 98 % that means nothing; a very slow start.
        False alarms:
            Several ones in a row are labels that do not exclude each other: binary is then right.
            Numbers that look like classes may be counts or grades, which is a note at most.
        Remedies:
            Use the cross-entropy of the targets' form, with its activation (safe).
        """
        for head in heads:
            found = _misfit(patient, head)
            if found is not None and found[1].at_fault == "loss":
                yield self.found(
                    "warning",
                    f"The output layer {found[0].name!r} ({found[0].kind}) {found[1].found}",
                    Number("units", head.units or 0, "units"),
                    place=(head.name, found[0].name),
                    confidence=0.95,
                )
        for found in head_targets:
            yield Number("target columns", found.values.shape[1], "columns")
            said = self._of_targets(found)
            if said is not None:
                severity, sentence, confidence = said
                classes = 0 if found.labels is None else len(found.counts)
                yield self.found(
                    severity,
                    sentence,
                    Number("different classes", classes, "classes"),
                    Number("target columns", found.values.shape[1], "columns"),
                    place=(found.head.name, *([found.layer.name] if found.layer else [])),
                    confidence=confidence,
                )

    def _of_targets(self, found: HeadTargets) -> tuple[Severity, str, float] | None:
        head, name = found.head, found.head.name
        activation = None if found.layer is None else found.layer.activation
        columns, units = found.values.shape[1], head.units or 0
        classes = 0 if found.labels is None else len(found.counts)
        if head.kind in LOSS_NAMES and not found.is_whole:
            is_soft = head.kind != "classes" and self._are_probabilities(found)
            if not is_soft:
                return (
                    "fault",
                    (
                        f"The targets of {name!r} are numbers such as {self._broken(found):.4g}, "
                        f"and {head.loss!r} is for classes."
                    ),
                    1.0,
                )
        if head.kind == "classes" and found.is_one_hot:
            return (
                "fault",
                (
                    f"The targets of {name!r} are one-hot rows, and {head.loss!r} expects class "
                    "numbers."
                ),
                1.0,
            )
        if head.kind == "one-hot" and columns == 1 and units > 1:
            return (
                "fault",
                (
                    f"The targets of {name!r} are class numbers, and {head.loss!r} expects one-hot "
                    "rows."
                ),
                1.0,
            )
        if head.kind == "binary" and columns == 1 and units > 1:
            return (
                "fault",
                (
                    f"The targets of {name!r} are class numbers, and {head.loss!r} judges {units} "
                    "units one by one."
                ),
                1.0,
            )
        if head.kind == "binary" and found.is_one_hot and columns > 2 and activation != "softmax":
            zeros = 1 - 1 / columns
            return (
                "warning",
                (
                    f"Each row of {name!r} has exactly one of {columns} classes, and {head.loss!r} "
                    f"asks for each on its own: answering no everywhere is {zeros:.1%} right."
                ),
                0.9,
            )
        if head.kind == "binary" and units == 1 and found.labels is not None and classes > 2:
            return (
                "fault",
                f"{name!r} has {classes} classes, and one unit under {head.loss!r} tells yes from "
                "no.",
                1.0,
            )
        if head.is_regression and activation == "softmax" and units > 1:
            return (
                "warning",
                (
                    f"The output {name!r} is a softmax, whose gradient under {head.loss!r} "
                    "vanishes where it is most wrong."
                ),
                0.9,
            )
        if head.is_regression and activation == "sigmoid" and self._are_yes_or_no(found):
            return (
                "warning",
                (
                    f"The targets of {name!r} are 0 and 1, and the gradient of a sigmoid under "
                    f"{head.loss!r} vanishes where it is most wrong."
                ),
                0.8,
            )
        if head.is_regression and activation in (None, "linear") and self._are_yes_or_no(found):
            return (
                "note",
                (f"The targets of {name!r} are 0 and 1, and {head.loss!r} takes them for numbers."),
                0.6,
            )
        if head.is_regression and activation in (None, "linear") and self._look_like_classes(found):
            return (
                "note",
                f"The targets of {name!r} are {classes} whole numbers from 0 on, about equally "
                f"often: if they name classes, {head.loss!r} puts class 2 between 1 and 3.",
                0.5,
            )
        return None

    @staticmethod
    def _look_like_classes(found: HeadTargets) -> bool:
        """Whether whole numbers are 0..k-1, equally often; counts and grades are rarely so."""
        if found.labels is None or found.values.shape[1] > 1:
            return False
        counts = found.counts
        is_numbered = found.labels.min() == 0 and found.labels.max() == len(counts) - 1
        return bool(is_numbered and 3 <= len(counts) <= 20 and counts.max() < 2 * counts.min())

    @staticmethod
    def _are_yes_or_no(found: HeadTargets) -> bool:
        return found.labels is not None and set(found.labels.tolist()) == {0, 1}

    @staticmethod
    def _are_probabilities(found: HeadTargets) -> bool:
        return bool(((found.values >= 0) & (found.values <= 1)).all())

    @staticmethod
    def _broken(found: HeadTargets) -> float:
        return float(found.values[found.values % 1 != 0][0])
