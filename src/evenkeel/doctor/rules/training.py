"""What can be wrong with the optimizer, its rate over the run, and what needs many steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.patient import LayerRecord, OptimizerRecord
from evenkeel.doctor.rule import Rule, Unclear

Said = Iterator[Finding | Number | Unclear]
_UNKNOWN_LENGTH = Unclear("The length of the run is not known: type checkup(..., epochs=10).")


class OptimizerSettings(Rule):
    """Settings of an optimizer outside of any useful range."""

    code = "optimizer-settings"
    severities = ("fault", "warning", "note")
    remedies = ("usual-optimizer-settings",)
    eases = ("rate-from-range-test",)

    # An epsilon above the size of gradients takes the adaptation out: weights then move by
    # rate · m / epsilon. Gradients of a network in health are rarely above 0.01 an element; of old
    # 0.1 and 1 were given for one large image network, with rates to match.
    largest_epsilon = 1e-2
    # sqrt(v) in float32 is lost below 1e-19: an epsilon under it no longer holds anything.
    smallest_epsilon = 1e-19
    # A momentum β remembers 1/(1 - β) steps and multiplies the rate by as much: 1000 at 0.999.
    largest_momentum = 0.995
    # Adam's analysis needs β₁ < sqrt(β₂) (Kingma and Ba 2015; Zhang et al. 2022), and a β₂ of 0.9
    # remembers ten steps, which says little about a gradient's size.
    smallest_beta_2 = 0.9
    # With these optimizers a weight moves by about the rate. At the size of the starting weights
    # themselves nothing of them is left after one step; a thousandth of it is usual.
    largest_move = 1.0

    def check(self, optimizer: OptimizerRecord, parts: tuple[LayerRecord, ...]) -> Said:
        """Compares the settings with the ranges in which they can do their work.

        Measures:
            The learning rate, for optimizers that move each weight by about the rate also in
            parts of the weights' own size; epsilon; the steps that momentum and betas remember;
            the fraction of the weights that decay takes at each step.
        Why it hurts:
            A large epsilon turns Adam into plain descent with a tiny rate. Momentum of 0.999 runs
            a thousand steps on. A rate of the size of the weights replaces them at each step.
        Looks like:
            A loss that hardly falls, swings, or jumps up in the first steps.
        False alarms:
            The defaults and what papers recommend are inside with room. A rate is only judged
            where its effect is known beforehand: SGD's depends on the gradients.
        Remedies:
            The optimizer's usual settings (safe); for the rate `find_learning_rate`.
        """
        settings, kind = optimizer.settings, optimizer.kind
        for name, value, wrong, means in self._judged(settings):
            yield Number(name, value)
            if wrong:
                yield self.found(
                    "warning",
                    f"{kind}({name}={value:g}): {means}.",
                    Number(name, value),
                    place=(kind,),
                )
        yield from self._rate(optimizer, parts)

    def _judged(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, float, bool, str]]:
        given = {n: float(v) for n, v in settings.items() if isinstance(v, int | float)}
        if "epsilon" in given:
            value = given["epsilon"]
            yield (
                "epsilon",
                value,
                not self.smallest_epsilon <= value <= self.largest_epsilon,
                "it outweighs the gradients, which are then no longer brought to one size"
                if value > self.largest_epsilon
                else "it is too small for float32 to hold anything up",
            )
        for name in ("momentum", "beta_1"):
            if name in given:
                value = given[name]
                memory = 1 / max(1 - value, 1e-12)
                yield name, value, value > self.largest_momentum, f"it runs {memory:,.0f} steps on"
        if "beta_2" in given:
            value = given["beta_2"]
            is_low = value < self.smallest_beta_2
            is_below = given.get("beta_1", 0.0) >= math.sqrt(value)
            yield (
                "beta_2",
                value,
                is_low or is_below,
                f"a gradient's size is then known from {1 / max(1 - value, 1e-12):.3g} steps, "
                "fewer than the momentum runs on"
                if is_below
                else f"a gradient's size is then known from {1 / max(1 - value, 1e-12):.3g} steps",
            )
        if "rho" in given:
            value = given["rho"]
            yield "rho", value, not 0.5 <= value <= 0.9999, "it forgets at once, or never"

    def _rate(self, optimizer: OptimizerRecord, parts: tuple[LayerRecord, ...]) -> Said:
        rate, kind = optimizer.rate, optimizer.kind
        if rate is None:
            yield Unclear("The learning rate is not known: the optimizer is not one of evenkeel's.")
            return
        yield Number("learning rate", rate)
        if rate == 0:
            yield self.found(
                "fault",
                f"{kind}(learning_rate=0): nothing is trained.",
                Number("learning rate", 0.0),
                place=(kind,),
                confidence=1.0,
            )
            return
        decay = float(optimizer.settings.get("weight_decay") or 0.0) * rate
        if decay > 0.01:
            yield self.found(
                "warning",
                f"{kind}(weight_decay=...) takes {decay:.2%} of each weight at every step: what "
                "was learned a hundred steps ago is gone.",
                Number("decay at a step", decay, "of a weight"),
                place=(kind,),
            )
        sizes = [p.kernel.rms for p in parts if p.kernel is not None and p.is_trainable]
        if not optimizer.is_adaptive or not sizes or not max(sizes):
            return
        move = rate / float(np.median([size for size in sizes if size]))
        yield Number("move of a weight at a step", move, "of its size")
        if move > self.largest_move:
            yield self.found(
                "warning",
                f"{kind} moves each weight by about its rate {rate:g} at a step, {move:.3g} times "
                "the size that weights start with.",
                Number("learning rate", rate),
                Number("move of a weight at a step", move, "of its size"),
                place=(kind,),
                confidence=0.85,
            )


class BatchnormHorizon(Rule):
    """Moving averages that a run is too short for."""

    code = "batchnorm-horizon"
    severities = ("fault", "warning")
    remedies = ("batchnorm-momentum",)

    # An average with momentum m still has mᵏ of its start after k steps. A twentieth is three time
    # constants; above 1/e the start outweighs most of what was seen.
    left = 0.05
    mostly = 1 / math.e

    def check(self, parts: tuple[LayerRecord, ...], steps: int | None) -> Said:
        """Compares the memory of the moving averages with the length of the run.

        Measures:
            momentum^steps: how much of the starting mean 0 and variance 1 is left in the moving
            averages at the end.
        Why it hurts:
            In training batches are normalized by themselves; validation and predictions use the
            averages, which are then still mostly where they began.
        Looks like:
            A good training accuracy beside a validation accuracy near chance.
        False alarms:
            Silent from 3/(1 - momentum) steps on: 300 for 0.99. Frozen layers are passed over.
        Remedies:
            A smaller momentum (safe), or more steps.
        """
        learning = [p for p in parts if p.is_a("BatchNormalization") and p.is_trainable]
        yield Number("batch normalizations", len(learning), "layers")
        for layer in learning:
            momentum = layer.config.get("momentum")
            if momentum is None or steps is None:
                yield _UNKNOWN_LENGTH
                continue
            left = float(momentum) ** steps
            yield Number(f"left of the start in {layer.name}", left, "of the average")
            if left > self.left:
                yield self.found(
                    "fault" if left > self.mostly else "warning",
                    f"After {steps:,} steps the averages of {layer.name!r} (momentum "
                    f"{momentum:g}) still consist of {left:.0%} of where they began: predictions "
                    "will not match the training.",
                    Number("left of the start", left, "of the average"),
                    Number("steps", steps, "steps"),
                    Number("steps needed", 3 / max(1 - float(momentum), 1e-12), "steps"),
                    place=(layer.name,),
                )


class ScheduleHorizon(Rule):
    """A schedule of another length than the run."""

    code = "schedule-horizon"
    severities = ("fault", "warning")
    remedies = ("fit-schedule-to-run",)

    # At a thousandth of its peak a rate no longer trains: 1cycle ends there on purpose, in its
    # last tenth, so that up to a third of the run is let pass.
    negligible = 1e-3
    idle = 0.34
    mostly_idle = 0.9

    def check(self, optimizer: OptimizerRecord, steps: int | None) -> Said:
        """Follows the learning rate over the run.

        Measures:
            The fraction of the steps in which the rate is below a thousandth of its peak; how far
            up a rate that begins low comes; whether a schedule with an end comes there.
        Why it hurts:
            A schedule that is over early leaves a run that learns nothing any more; one that is
            too long never comes down, or not even up.
        Looks like:
            Curves that go flat at one step; or a loss that still swings at the last epoch.
        False alarms:
            Schedules whose length is a fraction of the run fit by themselves. Decays without an
            end are judged by the rate alone. Without the number of epochs it cannot tell.
        Remedies:
            Give the length as a fraction of the run, ek.optimizers.schedules.fraction(1.0) (safe).
        """
        schedule = optimizer.schedule
        if schedule is None or schedule.is_of_the_run:
            yield Number("schedules of a length of their own", 0, "schedules")
            return
        if steps is None:
            yield _UNKNOWN_LENGTH
            return
        rates = schedule.within(steps)
        idle = float((rates < self.negligible * schedule.peak).mean())
        reached = float(rates.max() / schedule.peak) if schedule.peak else 1.0
        length = schedule.length or 0
        evidence = (
            Number("steps of the run", steps, "steps"),
            Number("steps of the schedule", length, "steps"),
            Number("idle", idle, "of the run"),
        )
        yield from evidence
        kind = schedule.kind
        if schedule.begins_low and reached < 0.5:
            sentence = f"{kind} climbs for longer than the {steps:,} steps of the run: the rate "
            sentence += f"comes to {reached:.0%} of its peak."
            yield self.found("warning", sentence, *evidence, place=(kind,), confidence=0.95)
        elif idle > self.idle:
            yield self.found(
                "fault" if idle > self.mostly_idle else "warning",
                f"{kind} is below a thousandth of its peak in {idle:.0%} of the {steps:,} steps of "
                "the run, which then learn nothing.",
                *evidence,
                place=(kind,),
            )
        elif schedule.has_end and length > 1.25 * steps and rates[-1] > 2 * schedule.rates[-1]:
            yield self.found(
                "warning",
                f"{kind} is made for {length:,} steps and the run has {steps:,}: the rate ends at "
                f"{rates[-1] / schedule.peak:.0%} of its peak and never comes down.",
                *evidence,
                place=(kind,),
                confidence=0.8,
            )
