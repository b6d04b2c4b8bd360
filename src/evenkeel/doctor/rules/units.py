"""What can be wrong with single units: those that say nothing, and those that cannot change."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.rule import Rule, Unclear
from evenkeel.doctor.statistics import Units

Said = Iterator[Finding | Number | Unclear]


def _beyond_chance(share: float, units: int) -> float:
    """Returns the largest part of so many units that chance alone makes of an expected share."""
    return min(share + 3 * math.sqrt(share * (1 - share) / units), 0.999)


class DeadUnits(Rule):
    """Units that put out 0 for every row and get no gradient."""

    code = "dead-units"
    severities = ("fault", "warning")
    remedies = ("change-activation", "re-initialize", "insert-batchnorm")
    # Where rows have become alike, as deep in a network, the sign of a unit's sum is the toss of a
    # coin: half of the units may be off for all of them.
    coin = 0.5
    # With so few left nothing of what a row is gets through.
    nearly_all = 0.95

    def check(self, units: tuple[Units, ...]) -> Said:
        """Counts the units of each hidden layer that are off for good.

        Measures:
            The part of units whose output and whose gradient are both 0 in every row of a sample.
            Sparse outputs are not dead: a unit that is on in one row lives.
        Why it hurts:
            A dead unit has no gradient by which it could come back: the network is that much
            smaller. A dead layer stops everything.
        Looks like:
            A ReLU network that stops learning after a few steps, often after too high a rate;
            equal predictions for all rows.
        False alarms:
            Up to half of a layer, and what chance adds to it, passes: deep in a network units are
            on or off for all rows alike. Frozen layers are passed over.
        Remedies:
            A unit that cannot die, such as ELU or leaky ReLU (safe); new weights by their rule
            (safe before training); batch normalization. Lower the rate if it happens in training.
        """
        yield Number("hidden layers", len(units), "layers")
        for layer in units:
            yield Number(f"dead part of {layer.layer}", layer.dead, "of units")
            count = len(layer.silent)
            if layer.dead < 1 and layer.dead <= _beyond_chance(self.coin, count):
                continue
            evidence = [
                Number("dead units", int(layer.silent.sum()), "units"),
                Number("of", count, "units"),
                Number("measured on", layer.rows, "rows"),
            ]
            if layer.reference is not None:
                evidence.append(Number("dead with fitting weights", layer.reference, "of units"))
            yield self.found(
                "fault" if layer.dead >= self.nearly_all else "warning",
                f"{layer.dead:.0%} of the units of {layer.layer!r} put out 0 for every row and "
                "get no gradient.",
                *evidence,
                place=(layer.layer,),
                confidence=1.0 if layer.dead == 1 else 0.9,
            )


class SaturatedUnits(Rule):
    """Units whose activation is flat wherever the data puts them."""

    code = "saturated-units"
    severities = ("fault", "warning")
    remedies = ("re-initialize", "standardize-inputs", "change-activation", "insert-batchnorm")
    # A sum of ±4.9 has a twentieth of the sigmoid's steepest slope, ±2.2 of tanh's.
    flat = 0.05
    # Sums of deviation 1, which fitting weights give, put no unit there for all rows; a quarter of
    # the units is far from that and leaves the network slow, nearly all leave it stuck.
    share = 0.25
    nearly_all = 0.9
    # These are flat at exactly 0 where they are, which is another finding, or nowhere.
    never = ("relu", "relu6", "leaky_relu", "rrelu", "linear", None)

    def check(self, units: tuple[Units, ...]) -> Said:
        """Measures the slopes of the activations where the data puts the units.

        Measures:
            The mean absolute derivative of each unit's activation over a sample of rows, as a part
            of the largest that the activation has; a unit below 5 % is saturated.
        Why it hurts:
            The gradient is multiplied by the slope: what stands on a flat part learns slowly or
            not at all, and so does all before it.
        Looks like:
            A sigmoid or tanh network, or one of ELU units, whose loss hardly moves; outputs at 0
            and 1 only.
        False alarms:
            Some saturated units are how a trained network decides; below a quarter of a layer is
            silent. ReLU is judged by dead units. Frozen layers and outputs are passed over.
        Remedies:
            Weights by the activation's rule (safe before training), standardized inputs (safe),
            another activation, batch normalization.
        """
        yield Number("hidden layers", len(units), "layers")
        for layer in units:
            if layer.slope is None or layer.activation in self.never:
                continue
            count = len(layer.slope)
            part = float(np.mean(layer.slope < self.flat))
            yield Number(f"saturated part of {layer.layer}", part, "of units")
            if part < 1 and part <= _beyond_chance(self.share, count):
                continue
            yield self.found(
                "fault" if part >= self.nearly_all else "warning",
                f"{part:.0%} of the units of {layer.layer!r} ({layer.activation}) are on a flat "
                "part of their activation in nearly every row.",
                Number("saturated units", int((layer.slope < self.flat).sum()), "units"),
                Number("of", count, "units"),
                Number("mean slope", float(np.mean(layer.slope)), "of the steepest"),
                Number("measured on", layer.rows, "rows"),
                place=(layer.layer,),
            )
