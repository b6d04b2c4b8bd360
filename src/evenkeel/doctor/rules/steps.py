"""What short trainings of copies show: whether it learns at all, and at which rate."""

from __future__ import annotations

import math
from collections.abc import Iterator

from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.patient import HeadRecord, OptimizerRecord, RunRecord
from evenkeel.doctor.probe import OneBatch, Probe, RateSearch, Trial
from evenkeel.doctor.rule import Rule, Unclear

Said = Iterator[Finding | Number | Unclear]


def _learned(trial: Trial, beginning: float) -> float:
    """Returns how far a training got below a loss; 0 if it did not."""
    return max(0.0, beginning - trial.held_out) if math.isfinite(trial.held_out) else 0.0


def _names(heads: tuple[HeadRecord, ...]) -> tuple[str, ...]:
    return tuple(head.name for head in heads if head.loss is not None)


class LearningRateTooHigh(Rule):
    """A learning rate at which steps overshoot."""

    code = "learning-rate-too-high"
    severities = ("fault", "warning")
    remedies = ("rate-from-search",)
    # Between neighboring rates around the best one, a factor of three apart, up to 6 % of what was
    # learned in 300 steps came and went (Fashion-MNIST, digits and a regression, under SGD,
    # momentum and Adam); three times above the best one under momentum it was 12 %.
    costs, ruins = 0.08, 0.5

    def check(
        self, probe: Probe, optimizer: OptimizerRecord, learnable: float, has_learned: bool
    ) -> Said:
        """Trains copies at the declared rate and at lower ones, with the same rows and seeds.

        Measures:
            Of what the best training at a lower rate learned in some hundred steps, as the fall
            of the held-out loss below that of the best constant answer, the part that is lost at
            the declared rate. A short training favors high rates; one that loses is too high.
        Why it hurts:
            Steps jump over the valley: the loss blows up, or stays above what it could be; units
            die on the way.
        Looks like:
            nan, a loss that leaps and settles at log(classes), or one that keeps trembling.
        False alarms:
            What held-out rows tell by chance is allowed for. Schedules are followed in short, so
            that a warmup counts. Silent where lower rates learn nothing either.
        Remedies:
            The best rate of those tried (safe); a warmup or clipping allow for more.
        """
        rate = probe.declared.rate
        lower = [trial for trial in probe.others if trial.rate < rate]
        if not lower:
            yield Unclear("No lower rate was tried.")
            return
        best = min(lower, key=lambda trial: trial.held_out)
        theirs, ours = _learned(best, learnable), _learned(probe.declared, learnable)
        lost = 1 - ours / theirs if theirs > 0 else 0.0
        yield Number("lost at the declared rate", max(lost, 0.0), "of what was learned")
        allowed = self.costs + 1 / math.sqrt(max(probe.held_out_rows, 1))
        enough = 0.05 * learnable  # below it there is nothing to lose
        if theirs < enough or lost < allowed or (has_learned and not probe.declared.blew_up):
            return
        is_factor = optimizer.rate is None
        yield self.found(
            "fault" if lost > self.ruins else "warning",
            f"At the learning rate {rate:.3g}{' times its own' if is_factor else ''} the loss "
            + ("blows up" if probe.declared.blew_up else "stays higher than it need")
            + f"; at {best.rate:.3g} it falls.",
            Number("learning rate", rate),
            Number("a better one", best.rate),
            Number("lost", lost, "of what was learned"),
            Number("held-out loss", probe.declared.held_out),
            Number("held-out loss at the better one", best.held_out),
            place=(optimizer.kind,),
            confidence=0.95 if lost > self.ruins else 0.8,
        )


class LearningRateTooLow(Rule):
    """A learning rate at which the run ends before it has begun."""

    code = "learning-rate-too-low"
    severities = ("warning",)
    remedies = ("rate-from-search",)
    # Rates within a factor of a hundred of the better one make up for it by more steps, as the
    # usual 0.01 of SGD does. Where the run's length is known it is enough to go a tenth of the way
    # that the probe goes at the better rate, rate times steps: its loss falls early on that way.
    most_times, some_times = 100.0, 10.0
    least_way = 0.1
    least_part = 0.5

    def check(
        self,
        probe: Probe,
        optimizer: OptimizerRecord,
        search: RateSearch,
        run: RunRecord,
        steps: int | None,
    ) -> Said:
        """Compares the declared rate with the one that a sweep suggests, by training at both.

        Measures:
            The fall of the held-out loss in some hundred steps, as a part of that at the suggested
            rate; and the way that the whole run goes, rate times steps, as a part of that which
            the probe goes there.
        Why it hurts:
            The loss falls so slowly that the run ends high up; early stopping takes it for done.
        Looks like:
            A smooth loss that hardly falls, the same in training and validation.
        False alarms:
            Up to a factor of a hundred, or a tenth of the way where the run's length is known, is
            silent: more steps make up for it. A network that is trained further is passed over.
        Remedies:
            The best rate of those tried (safe).
        """
        if run.steps_taken:
            yield Number("steps taken before", run.steps_taken, "steps")
            return
        suggested = search.suggestion
        rate = probe.declared.rate
        faster = [trial for trial in probe.others if trial.rate > rate]
        if suggested is None or not faster:
            yield Number("learning rate", rate)
            return
        best = min(faster, key=lambda trial: trial.held_out)
        theirs, ours = _learned(best, probe.start), _learned(probe.declared, probe.start)
        part = ours / theirs if theirs > 0 else 1.0
        way = None if steps is None else rate * steps / (best.rate * probe.steps)
        times = best.rate / rate
        yield Number("learned", part, "of what a faster rate learns")
        if way is None:
            is_short = times > self.most_times
        else:
            is_short = times > self.some_times and way < self.least_way
        if part < self.least_part and is_short:
            yield self.found(
                "warning",
                f"At the learning rate {rate:.3g} hardly anything is learned; at {best.rate:.3g} "
                f"it is {1 / max(part, 1e-3):,.2g} times as much in as many steps.",
                Number("learning rate", rate),
                Number("a better one", best.rate),
                Number("learned", part, "of what that learns"),
                *([] if way is None else [Number("way of the run", way, "of the probe's")]),
                *(
                    Number(f"update of {path}", ratio, "of its size")
                    for path, ratio in list(probe.update_ratios.items())[:2]
                ),
                place=(optimizer.kind,),
            )


class LossNotDecreasing(Rule):
    """A training loss that does not fall."""

    code = "loss-not-decreasing"
    severities = ("fault",)
    remedies = ("rate-from-search", "re-initialize", "standardize-inputs")
    # As `find_learning_rate` counts a fall: by so much of itself, and so many deviations of noise.
    least_fall, least_deviations = 0.02, 4.0

    def check(
        self,
        declared_trial: Trial,
        heads: tuple[HeadRecord, ...],
        has_learned: bool,
    ) -> Said:
        """Trains a copy as it is declared, in short, and looks at its loss.

        Measures:
            The fall of the mean training loss from the first ten steps to the last fifth of some
            hundred, as a part of the first.
        Why it hurts:
            Nothing is learned.
        Looks like:
            A flat loss, mostly at log(classes) or at the variance of the targets.
        False alarms:
            A fall of 2 % counts, if it is beyond the noise from step to step. Networks that have
            learned well before are passed over.
        Remedies:
            It is a symptom: see what stands above it. The best rate of those tried, weights by
            their rule, standardized inputs.
        """
        trial = declared_trial
        if has_learned:
            yield Number("loss", trial.start)
            return
        count = max(1, len(trial.losses) // 5)
        fall = trial.start - trial.end
        needed = max(
            self.least_fall * abs(trial.start),
            self.least_deviations * trial.noise / math.sqrt(count),
        )
        if math.isfinite(fall):
            yield Number("fall of the loss", fall)
        if trial.blew_up or not fall > needed:
            yield self.found(
                "fault",
                "The training loss blows up."
                if trial.blew_up
                else f"The training loss does not fall: from {trial.start:.4g} to {trial.end:.4g}.",
                Number("first loss", trial.start),
                Number("last loss", trial.end),
                Number("noise", trial.noise),
                place=_names(heads),
            )


class CannotFitOneBatch(Rule):
    """A network that cannot even learn a few rows by heart."""

    code = "cannot-fit-one-batch"
    severities = ("fault",)
    remedies = ("re-initialize", "change-activation", "standardize-inputs", "rate-from-search")
    # A linear model fits a few rows that differ; any network that works gets more than half there.
    least_part = 0.5
    # Where not even a linear model gains so much on them, the rows do not differ.
    least_gain = 0.2

    def check(self, one_batch: OneBatch, heads: tuple[HeadRecord, ...]) -> Said:
        """Trains a copy on eight rows, some hundred times, at the declared rate and the best one.

        Measures:
            How far the loss falls below the best constant answer to these rows, as a part of what
            a linear model fitted to them gains.
        Why it hurts:
            What cannot fit eight rows will fit no data: the fault is in the network, the loss or
            the steps, and not in the amount of data.
        Looks like:
            A loss that stays at log(classes), however long it is trained.
        False alarms:
            Rows that a linear model cannot tell apart either are no evidence. Noise, such as
            dropout's, is allowed for by the half.
        Remedies:
            It is a symptom: see what stands above it. Weights by their rule, another activation,
            standardized inputs, the best rate of those tried.
        """
        possible = one_batch.constant_loss - one_batch.linear_loss
        if possible < self.least_gain * abs(one_batch.constant_loss) or possible <= 0:
            yield Unclear("A linear model cannot fit the few rows either.")
            return
        gained = one_batch.constant_loss - one_batch.end
        part = gained / possible if math.isfinite(gained) else 0.0
        yield Number("gained on a few rows", part, "of what a linear model gains")
        if part < self.least_part:
            yield self.found(
                "fault",
                f"On {one_batch.rows} rows, seen again and again, the loss stays at "
                f"{one_batch.end:.3g}; a linear model brings it to {one_batch.linear_loss:.3g}.",
                Number("loss on a few rows", one_batch.end),
                Number("of a constant answer", one_batch.constant_loss),
                Number("of a linear model", one_batch.linear_loss),
                place=_names(heads),
            )
