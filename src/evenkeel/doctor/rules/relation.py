"""What outputs have to do with inputs, with other rows, and with the targets."""

from __future__ import annotations

from collections.abc import Iterator

from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.patient import HeadRecord
from evenkeel.doctor.rule import Rule, Unclear
from evenkeel.doctor.signal import Signal

Said = Iterator[Finding | Number | Unclear]


class SamplesMixed(Rule):
    """An output for one row that depends on the rows beside it."""

    code = "samples-mixed"
    severities = ("fault",)
    remedies = ("keep-rows-apart",)
    # The rounding of float32 over sums in another order stays below 1e-5 of an output's deviation.
    rounding = 1e-3

    def check(self, signal: Signal, heads: tuple[HeadRecord, ...]) -> Said:
        """Puts other rows beside a row and looks whether its output stays.

        Measures:
            The largest change of an output when half of a batch is exchanged for other rows, in
            standard deviations of the outputs; the random draws are the same in both.
        Why it hurts:
            A prediction that depends on who else is asked is not one. In training it lets targets
            of other rows leak in, and validation scores mean nothing.
        Looks like:
            predict(x)[0] and predict(x[:1]) differ; mostly a reduction over axis 0, or a reshape
            that moves rows into features.
        False alarms:
            Batch normalization mixes rows in training by design: with one in the network only
            inference is looked at. Differences of rounding are passed over.
        Remedies:
            Reduce over axis=-1, or over all axes but the first; reshape with (batch, ...).
        """
        if signal.leak is None:
            yield Unclear("There are too few rows to set some beside others.")
            return
        yield Number("change by other rows", signal.leak, "deviations")
        if signal.leak > self.rounding:
            yield self.found(
                "fault",
                "A row's output changes when other rows stand beside it.",
                Number("change by other rows", signal.leak, "deviations"),
                place=tuple(head.name for head in heads),
                confidence=1.0,
            )
