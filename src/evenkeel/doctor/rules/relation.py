"""What outputs have to do with inputs, with other rows, and with the targets."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist

from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.patient import HeadRecord
from evenkeel.doctor.probe import Probe, Relation
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


class LabelsUnrelated(Rule):
    """Targets that have nothing to do with the inputs, as far as anyone can learn."""

    code = "labels-unrelated"
    severities = ("warning",)
    remedies = ("check-pairing", "gather-data")
    # How often the strongest of all answers to pure noise is taken for a relation.
    missed = 0.01
    least_rows = 100

    def check(self, relations: tuple[Relation, ...]) -> Said:
        """Has the network, a linear model and trees learn, and asks them about held-out rows.

        Measures:
            The correlation of ranks between answers and targets on held-out rows, in standard
            deviations of what chance gives; and the score beside that of the best constant answer.
        Why it hurts:
            There is nothing to learn: a network can only learn the training rows by heart.
        Looks like:
            Training loss falls, validation loss rises from the first epoch on. Often the rows of
            x and y were shuffled or sorted apart.
        False alarms:
            Relations that only a long training finds, such as parities, look the same; so do weak
            ones on few rows, and with fewer than 100 it cannot tell.
        Remedies:
            Check that row n of x belongs to row n of y; gather rows, or features that bear on it.
        """
        for relation in relations:
            strongest = max((w.strength for w in relation.witnesses), default=0.0)
            answers = max(1, relation.columns * len(relation.witnesses))
            chance = NormalDist().inv_cdf(1 - self.missed / answers)
            yield Number(f"strongest relation to {relation.name}", strongest, "deviations")
            if strongest >= chance:
                continue
            if relation.rows < self.least_rows:
                yield Unclear(f"{relation.rows} held-out rows are too few to tell.")
                continue
            yield self.found(
                "warning",
                f"Nothing that was tried predicts {relation.name!r} better than chance.",
                Number("strongest relation", strongest, "deviations of chance"),
                Number("of noise up to", chance, "deviations of chance"),
                Number("score of a constant answer", relation.constant_score),
                *(Number(f"score of the {w.name}", w.score) for w in relation.witnesses),
                Number("judged by", relation.rows, "rows"),
                place=(relation.name,),
                confidence=0.8,
            )


class InputsIgnored(Rule):
    """A network that learns as much when its inputs are all 0."""

    code = "inputs-ignored"
    severities = ("fault",)
    remedies = ("re-initialize", "standardize-inputs", "change-activation")
    # In deviations of what chance gives: what others see clearly, and what the network does not.
    clear, chance = 6.0, 4.0
    # By so much of the best constant answer's loss a blind training must be worse.
    least_loss = 0.02

    def check(self, probe: Probe, relations: tuple[Relation, ...], learnable: float) -> Said:
        """Trains a copy with all inputs at 0 and compares it with one that sees.

        Measures:
            The held-out loss of both after some hundred steps at the best rate of those tried, and
            whether a linear model or trees see what the network does not.
        Why it hurts:
            The outputs are the same for all rows: only their bias is learned.
        Looks like:
            One class predicted for everything, a loss that falls to log(classes) and stays.
        False alarms:
            Silent where the targets have nothing to do with the inputs for others either, and
            where the network's answers do go with the targets.
        Remedies:
            It is a symptom of units that are dead or saturated, of signals that vanish, or of an
            input that is not connected: see what stands above it.
        """
        if probe.blind is None or probe.best.blew_up:
            yield Unclear("No training ended with a finite loss.")
            return
        gain = probe.blind.held_out - probe.best.held_out
        yield Number("loss that seeing saves", gain)
        for relation in relations:
            others = relation.strength("linear model", "trees")
            ours = relation.strength("network")
            if others < self.clear or ours >= self.chance or gain > self.least_loss * learnable:
                continue
            yield self.found(
                "fault",
                f"With all inputs at 0 the network learns {relation.name!r} as well; a linear "
                "model or trees do see a relation.",
                Number("held-out loss", probe.best.held_out),
                Number("with inputs at 0", probe.blind.held_out),
                Number("relation that others see", others, "deviations of chance"),
                Number("the network's", ours, "deviations of chance"),
                place=(relation.name,),
            )
