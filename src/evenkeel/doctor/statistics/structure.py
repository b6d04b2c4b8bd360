"""Numbers of the network as it stands: what follows what, and what its depth does to signals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from evenkeel.doctor import moments
from evenkeel.doctor.patient import (
    NOISY,
    PASSING,
    WEIGHTED,
    InputData,
    LayerRecord,
    Patient,
    RunRecord,
    followers,
)
from evenkeel.doctor.signal import Signal
from evenkeel.doctor.statistics.base import statistic


@statistic
def after(layers: tuple[LayerRecord, ...]) -> dict[str, list[LayerRecord]]:
    """For each place those that take its output."""
    return followers(layers)


@statistic
def hidden(
    layers: tuple[LayerRecord, ...], after: dict[str, list[LayerRecord]]
) -> tuple[LayerRecord, ...]:
    """The layers with weights that have another such layer behind them, which is trained.

    A fixed last layer, which puts a unit back, makes no hidden layer of the one before it.
    """

    def leads_on(name: str) -> bool:
        return any(
            (other.is_a(*WEIGHTED) and other.is_trainable) or leads_on(other.name)
            for other in after.get(name, [])
        )

    return tuple(layer for layer in layers if layer.is_a(*WEIGHTED) and leads_on(layer.name))


@statistic
def steps(run: RunRecord, inputs: tuple[InputData, ...]) -> int | None:
    """How many steps the run has; None if that is not known, which few rules need."""
    return run.steps(len(inputs[0].values))


@dataclass(frozen=True, kw_only=True)
class Depth:
    """A stretch of layers in which nothing brings signals back to size, and what it does to them.

    Attributes:
        layers: The layers with weights, in order.
        forward: The factor on the signal's size from the first layer's sums to the last one's.
        backward: The factor on the gradient's size, from the last one to the first.
        measured_rows: Over how many rows the factors were measured; 0 where they are computed
            from the starting weights.
    """

    layers: tuple[LayerRecord, ...]
    forward: float
    backward: float
    measured_rows: int = 0


@statistic
def depths(
    patient: Patient, hidden: tuple[LayerRecord, ...], after: dict[str, list[LayerRecord]]
) -> tuple[Depth, ...]:
    """What starting weights and activations do to signals along each plain stretch.

    Only layers that are trained and start at random count. The output layer does not: it may start
    as small as one likes. Where the network was run the factors are the measured ones, which hold
    for narrow layers and trained biases as well; they take the place of what theory expects.
    """
    members = {
        layer.name
        for layer in hidden
        if layer.is_trainable and layer.kernel is not None and not layer.kernel.is_alike
    }
    taken: set[str] = set()
    found = []
    for layer in hidden:
        if layer.name in members - taken:
            stretch = _stretch(layer, after, members)
            taken |= {member.name for member, _ in stretch}
            if len(stretch) > 1:
                measured = None if patient.signal is None else _measured(stretch, patient.signal)
                found.append(measured or _depth(stretch))
    return tuple(depth for depth in found if depth is not None)


def _measured(stretch: list[tuple[LayerRecord, LayerRecord]], signal: Signal) -> Depth | None:
    """Returns the factors along a stretch as they were measured, if they were."""
    ends = [
        (signal.layer(layer.name), signal.layer(bearer.name))
        for layer, bearer in (stretch[0], stretch[-1])
    ]
    (first, first_out), (last, last_out) = ends
    if first is None or last is None or first_out is None or last_out is None:
        return None
    sizes = [math.hypot(out.output_mean, out.output_deviation) for out in (first_out, last_out)]
    if not (0 < last.gradient_size < math.inf and 0 < sizes[0] < math.inf):
        return None  # as where the output layer stops everything, which is not the stretch's doing
    return Depth(
        layers=tuple(layer for layer, _ in stretch),
        forward=min(max(sizes[1] / sizes[0], 1e-300), 1e300),
        backward=min(max(first.gradient_size / last.gradient_size, 1e-300), 1e300),
        measured_rows=signal.rows,
    )


def _stretch(
    layer: LayerRecord, after: Mapping[str, list[LayerRecord]], members: set[str]
) -> list[tuple[LayerRecord, LayerRecord]]:
    """Returns the layers of a plain stretch, each with the place that has its activation."""
    found = []
    current: LayerRecord | None = layer
    while current is not None:
        bearer = current
        nexts = after.get(current.name, [])
        found.append((current, bearer))
        current = None
        while len(nexts) == 1:
            other = nexts[0]
            if other.name in members:
                current = other
                break
            if other.is_a(*WEIGHTED):
                break
            if other.activation is not None and bearer.activation == "linear":
                bearer = other
                found[-1] = (found[-1][0], bearer)
            elif not other.is_a(*PASSING, *NOISY):
                break  # a merge, a normalization or a pooling: signals are not those of the rule
            nexts = after.get(other.name, [])
    return found


def _depth(stretch: list[tuple[LayerRecord, LayerRecord]]) -> Depth | None:
    first = stretch[0][0].kernel
    assert first is not None
    variance = max(first.gain**2, 1e-300)  # of the sums of inputs of size 1
    start, slopes = variance, 1.0
    for (layer, bearer), (other, _) in pairwise(stretch):
        curve = moments.curve_of(bearer.activation, bearer.config)
        if curve is None or layer.kernel is None or other.kernel is None:
            return None
        square, slope = moments.passed_on(curve, float(f"{variance:.6g}"))
        backward = other.kernel.rms**2 * other.kernel.fan_out
        slopes *= max(slope * backward, 1e-300)
        variance = min(max(other.kernel.gain**2 * square, 1e-300), 1e300)
        if not 1e-290 < slopes < 1e290:
            break
    return Depth(
        layers=tuple(layer for layer, _ in stretch),
        forward=math.sqrt(variance / start),
        backward=math.sqrt(slopes),
    )
