"""What stopped being finite in a run: the loss, gradients or weights, by layer and batch."""

from __future__ import annotations

from collections.abc import Iterator

from evenkeel.doctor.course import BreakRecord, Course
from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.rule import Rule

Said = Iterator[Finding | Number]


class _NotFinite(Rule):
    """What the three rules share: they differ in where the first number that is none stands."""

    severities = ("fault", "warning")
    remedies = ("lower-learning-rate", "clip-gradients")
    kinds: tuple[str, ...] = ()

    def _findings(self, course: Course) -> Said:
        breaks = [broken for broken in course.breaks if broken.what in self.kinds]
        yield Number("breaks", len(breaks), "breaks")
        if not breaks:
            return
        first, last = breaks[0], breaks[-1]
        went_on = last.next_rate is not None
        evidence = [
            Number("breaks", len(breaks), "breaks"),
            Number("epoch", first.epoch + 1),
            Number("learning rate", first.rate),
        ]
        if first.batch is not None:
            evidence.insert(2, Number("batch", first.batch + 1))
        if went_on and last.next_rate is not None:
            evidence.append(Number("learning rate that held", last.next_rate))
        yield self.found(
            "warning" if went_on else "fault",
            f"{_where(first)}, {self._words(first)} was infinite or not a number{_done(last)}",
            *evidence,
            place=(first.layer,),
            confidence=1.0,
            remedies=self.remedies if last.cause == "rate" else ("standardize-inputs",),
        )

    def _words(self, broken: BreakRecord) -> str:
        raise NotImplementedError


def _where(broken: BreakRecord) -> str:
    batch = "" if broken.batch is None else f", batch {broken.batch + 1}"
    return f"In epoch {broken.epoch + 1}{batch}"


def _done(last: BreakRecord) -> str:
    if last.cause == "data":
        return "; the data itself is not finite there."
    if last.cause == "batch":
        return "; the batch does that to the weights of the epoch's beginning, too."
    if last.next_rate is None:
        return "; the run ended with the weights of the epoch's beginning."
    return f"; the epoch was taken again, in the end with the rate {last.next_rate:.3g}."


class NonFiniteLoss(_NotFinite):
    """A loss that became infinite or not a number."""

    code = "non-finite-loss"
    remedies = ("lower-learning-rate", "clip-gradients", "standardize-inputs")
    kinds = ("output", "loss", "data", "")

    def check(self, run_course: Course) -> Said:
        """Looks where the run broke: at the first output, or the loss, that was no number.

        Measures:
            The epoch, the batch and the layer whose output was the first to be infinite or NaN;
            how often the run broke, and with which learning rate it went on.
        Why it hurts:
            From one NaN on, every weight is NaN.
        Looks like:
            A loss of nan or inf, mostly in the first epochs, often after it rose.
        False alarms:
            None: it is seen, not concluded. A warning where a lower rate cured it, a fault where
            the run ended.
        Remedies:
            A lower learning rate or clipped gradients (safe); where one batch breaks good weights,
            too, its rows, or a logarithm or division of 0 in a layer or a loss.
        """
        yield from self._findings(run_course)

    def _words(self, broken: BreakRecord) -> str:
        if broken.what == "output":
            return f"the output of {broken.layer!r}"
        if broken.what == "data":
            return f"a value of {broken.place}"
        return "the loss"


class NonFiniteGradients(_NotFinite):
    """Gradients that became infinite or not a number while the loss was finite."""

    code = "non-finite-gradients"
    kinds = ("gradient",)

    def check(self, run_course: Course) -> Said:
        """Looks where the run broke: at the first gradient that was no number.

        Measures:
            The epoch, the batch and the variable, counted from the output on, whose gradient was
            infinite or NaN although the loss was a number.
        Why it hurts:
            The step that follows makes every weight behind it NaN.
        Looks like:
            A loss that is well until one step, and NaN from then on.
        False alarms:
            None: it is seen, not concluded.
        Remedies:
            A lower learning rate, clipped gradients (safe). In a layer of one's own, a square root
            or division at 0, whose gradient is infinite.
        """
        yield from self._findings(run_course)

    def _words(self, broken: BreakRecord) -> str:
        return f"the gradient of {broken.place!r}"


class NonFiniteWeights(_NotFinite):
    """Weights that became infinite or not a number by their update."""

    code = "non-finite-weights"
    kinds = ("weights",)

    def check(self, run_course: Course) -> Said:
        """Looks where the run broke: at the first weight that its update made no number.

        Measures:
            The epoch, the batch and the variable whose new value was infinite or NaN although its
            gradient was a number.
        Why it hurts:
            The network puts out no numbers any more.
        Looks like:
            A loss that is well at its last step; the next epoch is NaN.
        False alarms:
            None: it is seen, not concluded.
        Remedies:
            A lower learning rate (safe): only a rate of absurd size does this.
        """
        yield from self._findings(run_course)

    def _words(self, broken: BreakRecord) -> str:
        return f"the new value of {broken.place!r}"
