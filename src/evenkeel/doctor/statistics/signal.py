"""Numbers of a network that was run: how far signals and gradients get, and how units fare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from evenkeel.doctor.patient import (
    NOISY,
    NORMALIZING,
    PASSING,
    LayerRecord,
    RunRecord,
    next_ones,
)
from evenkeel.doctor.signal import Signal
from evenkeel.doctor.statistics.base import statistic

After = Mapping[str, list[LayerRecord]]


@dataclass(frozen=True, kw_only=True)
class Flow:
    """How something gets through the depth: its size at each hidden layer, against where it starts.

    Attributes:
        factors: The factor at each hidden layer that is trained, in an order in which they run.
        reference: The same with the weights that the activations call for; empty if not known.
        rows: Over how many rows it was measured.
        is_finite: Whether everything was finite.

    Example:
        >>> Flow(factors={"a": 0.01, "b": 0.5}, rows=100).least
        ('a', 0.01)
    """

    factors: dict[str, float]
    reference: dict[str, float] = field(default_factory=dict)
    rows: int
    is_finite: bool = True

    @property
    def least(self) -> tuple[str, float]:
        """Where the factor is smallest, and how small; 1 where there is no depth."""
        return min(self.factors.items(), key=lambda item: item[1], default=("", 1.0))

    @property
    def most(self) -> tuple[str, float]:
        """Where the factor is largest, and how large; 1 where there is no depth."""
        return max(self.factors.items(), key=lambda item: item[1], default=("", 1.0))


@statistic
def has_learned(signal: Signal, run: RunRecord) -> bool:
    """Whether the network was trained and does clearly better than the best constant answer."""
    known = [head for head in signal.heads if head.constant_loss is not None]
    return bool(run.steps_taken and known) and all(
        head.loss < 0.5 * (head.constant_loss or 0) for head in known
    )


@statistic
def gradient_flow(
    signal: Signal, hidden: tuple[LayerRecord, ...], layers: tuple[LayerRecord, ...]
) -> Flow:
    """The gradient's norm at each hidden layer, as a part of what the output layers get.

    A norm of a row's whole gradient: it does not depend on a layer's width.
    """
    inside = {layer.name for layer in hidden}
    # A fixed last layer, which puts a unit back, is no end: its scale is that of the targets.
    weighted = [layer for layer in layers if layer.kernel is not None and layer.name not in inside]
    ends = [layer.name for layer in weighted if layer.is_trainable]
    names = [layer.name for layer in hidden if layer.is_trainable]
    found = _gradients(signal, names, ends)
    reference = {} if signal.reference is None else _gradients(signal.reference, names, ends)
    norms = [layer.gradient_norm for layer in signal.layers]
    return Flow(
        factors=found,
        reference=reference,
        rows=signal.rows,
        is_finite=bool(np.isfinite(norms).all()),
    )


def _gradients(signal: Signal, names: list[str], ends: list[str]) -> dict[str, float]:
    at_ends = (signal.layer(name) for name in ends)
    start = math.hypot(*(layer.gradient_norm for layer in at_ends if layer is not None))
    found = {}
    for name in names:
        layer = signal.layer(name)
        if layer is not None:
            found[name] = layer.gradient_norm / start if start > 0 else 0.0
    return found


@statistic
def signal_flow(signal: Signal, hidden: tuple[LayerRecord, ...], after: After) -> Flow:
    """How far rows lie apart at each hidden layer, as a part of what they do at the first.

    Measured behind the activations: what raw inputs do to the first layer's sums is not its depth.
    """
    names = [_bearer(layer, after).name for layer in hidden]
    found = _spreads(signal, names)
    return Flow(
        factors=found,
        reference={} if signal.reference is None else _spreads(signal.reference, names),
        rows=signal.rows,
        is_finite=all(layer.is_finite for layer in signal.layers),
    )


def _spreads(signal: Signal, names: list[str]) -> dict[str, float]:
    layers = [layer for name in names if (layer := signal.layer(name)) is not None]
    start = layers[0].output_spread if layers else 0.0
    return {layer.name: layer.output_spread / start if start > 0 else 0.0 for layer in layers}


@dataclass(frozen=True, kw_only=True, eq=False)
class Units:
    """The units of one hidden layer over a sample of rows.

    Attributes:
        layer: The layer that has their weights.
        activation: Its activation.
        silent: Of each unit, whether output and gradient are 0 in the whole sample.
        slope: Of each unit, the mean absolute derivative of its activation, as a part of the
            largest that it can have; None where that is not known.
        rows: How many rows were looked at.
        reference: The part that is silent with the weights that the activation calls for; None
            where that is not known.

    Example:
        >>> Units(layer="a", activation="relu", silent=np.array([True, False]), rows=9).dead
        0.5
    """

    layer: str
    activation: str | None
    silent: np.ndarray
    slope: np.ndarray | None = None
    rows: int
    reference: float | None = None

    @property
    def dead(self) -> float:
        """The part of the units that are silent."""
        return float(np.mean(self.silent))


@statistic
def units(signal: Signal, hidden: tuple[LayerRecord, ...], after: After) -> tuple[Units, ...]:
    """The units of each hidden layer that is trained; those of frozen ones are as they should."""
    found = []
    for layer in hidden:
        bearer = _bearer(layer, after)
        seen = signal.layer(bearer.name)
        if seen is None or not layer.is_trainable:
            continue
        compared = None if signal.reference is None else signal.reference.layer(bearer.name)
        found.append(
            Units(
                layer=layer.name,
                activation=bearer.activation,
                silent=seen.silent,
                slope=seen.slope,
                rows=signal.rows,
                reference=None if compared is None else compared.silent_fraction,
            )
        )
    return tuple(found)


def _bearer(layer: LayerRecord, after: After) -> LayerRecord:
    """Returns the place that has a layer's activation: itself, or an activation behind it."""
    if layer.activation != "linear":
        return layer
    behind = next_ones(layer, dict(after), PASSING | NOISY | NORMALIZING)
    is_bare = len(behind) == 1 and behind[0].kernel is None and behind[0].activation is not None
    return behind[0] if is_bare else layer
