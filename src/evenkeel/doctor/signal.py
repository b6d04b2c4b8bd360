"""What one forward and backward pass over a sample of rows showed, as plain records.

Who has a network runs it (`evenkeel.measurement`); tests write these by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerSignal:
    """What passed one place: a layer's sums, what its activation made of them, and the gradient.

    A unit's sums are those of all rows of the sample and, in a convolution, of all positions. The
    gradient is that of the loss with respect to the sums.

    Attributes:
        name: The place.
        output_mean: The mean of all outputs.
        output_deviation: Their standard deviation.
        output_spread: How far rows lie apart: the deviation of each unit's outputs, as the root
            mean square over the units.
        sum_size: The root mean square of the sums.
        gradient_size: The root mean square of the gradient.
        gradient_norm: Its L2 norm in a row, as the root mean square over the rows.
        silent: Of each unit, whether output and gradient are 0 in the whole sample.
        slope: Of each unit, the mean absolute derivative of the activation, as a part of the
            largest that it can have; None where the activation has none that is known.
        kernel_gradient: The L2 norm of the kernel's gradient; None without a kernel.
        kernel_norm: The L2 norm of the kernel.
        is_finite: Whether all sums and outputs are finite.

    Example:
        >>> LayerSignal(name="hidden", silent=np.array([True, False])).silent_fraction
        0.5
    """

    name: str
    output_mean: float = 0.0
    output_deviation: float = 1.0
    output_spread: float = 1.0
    sum_size: float = 1.0
    gradient_size: float = 1.0
    gradient_norm: float = 1.0
    silent: np.ndarray = field(default_factory=lambda: np.zeros(1, bool))
    slope: np.ndarray | None = None
    kernel_gradient: float | None = None
    kernel_norm: float | None = None
    is_finite: bool = True

    @property
    def silent_fraction(self) -> float:
        """The part of the units that are silent."""
        return float(np.mean(self.silent))


@dataclass(frozen=True, kw_only=True)
class HeadSignal:
    """The loss of one output before anything is learned.

    Attributes:
        name: The output.
        loss: The mean loss of the sample's rows.
        constant_loss: The loss of the best answer that is the same for all rows: the classes'
            shares, the mean; None where that is not known.

    Example:
        >>> HeadSignal(name="y", loss=2.4, constant_loss=2.3).loss
        2.4
    """

    name: str
    loss: float
    constant_loss: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Signal:
    """One forward and backward pass over a sample of the training rows, the network untouched.

    Attributes:
        rows: How many rows the sample has.
        layers: What passed each place that has an activation, in an order in which they can run.
        heads: The loss of each output.
        reference: The same network with the weights that its activations call for; None where
            no weights are drawn, or the pass is that reference.
        leak: By how much of its own deviation a row's output changed when other rows were put
            beside it; None where that was not looked at.

    Example:
        >>> Signal(rows=10, layers=(LayerSignal(name="a"),)).layer("a").name
        'a'
    """

    rows: int
    layers: tuple[LayerSignal, ...] = ()
    heads: tuple[HeadSignal, ...] = ()
    reference: Signal | None = None
    leak: float | None = None

    def layer(self, name: str | None) -> LayerSignal | None:
        """Returns what passed a place, or None."""
        return next((layer for layer in self.layers if layer.name == name), None)
