"""What can be wrong with the weights that training starts from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from evenkeel.doctor import moments
from evenkeel.doctor.finding import Finding, Number, Severity
from evenkeel.doctor.patient import (
    NOISY,
    NORMALIZING,
    PASSING,
    LayerRecord,
    RunRecord,
    next_ones,
)
from evenkeel.doctor.rule import Rule, Unclear
from evenkeel.doctor.statistics import Arriving, Depth

Said = Iterator[Finding | Number | Unclear]
After = dict[str, list[LayerRecord]]


def _started(run: RunRecord) -> bool:
    return run.steps_taken == 0


class InitScale(Rule):
    """Starting weights that are too large or too small for any activation."""

    code = "init-scale"
    remedies = ("re-initialize",)

    # Gains that some activation calls for run from 1 (LeCun, SELU) over √2 (He) to 5/3 (tanh in
    # older texts). Glorot's rule gives √2 at most, and less where a layer widens: 0.045 from 1
    # input to 1000 units, which is healthy.
    largest = 5.0
    smallest = 0.02

    def check(
        self,
        layers: tuple[LayerRecord, ...],
        after: After,
        hidden: tuple[LayerRecord, ...],
        run: RunRecord,
    ) -> Said:
        """Compares each layer's starting weights with what any activation could call for.

        Measures:
            The gain: by which factor a unit's sum is larger than its inputs, sqrt(fan_in) times
            the root mean square of the weights. Activations call for 1 to 1.7.
        Why it hurts:
            Too large weights saturate units or blow signals up, layer by layer; too small ones
            let them die away.
        Looks like:
            RandomNormal(stddev=1): a first loss far above log(classes), or nan. stddev=0.0001:
            a loss that does not move.
        False alarms:
            Silent before a normalization, which takes the scale out; on small output layers and on
            branches that start at 0, which are deliberate; and on weights that were trained.
        Remedies:
            Draw the weights by the rule of the layer's activation (safe before training).
        """
        names = {layer.name for layer in hidden}
        for layer in layers:
            if layer.kernel is None or not layer.is_trainable or not _started(run):
                continue
            gain = layer.kernel.gain
            yield Number(f"gain of {layer.name}", gain)
            behind = next_ones(layer, after, PASSING | NOISY)
            if any(other.is_a(*NORMALIZING) for other in behind) or layer.kernel.is_zero:
                continue
            is_small = gain < self.smallest and layer.name in names
            if gain > self.largest or is_small:
                yield self.found(
                    "warning",
                    f"The starting weights of {layer.name!r} make its sums "
                    + (
                        f"{gain:.3g} times as large as its inputs"
                        if gain > 1
                        else f"{1 / gain:,.3g} times smaller than its inputs"
                    )
                    + "; no activation calls for that.",
                    Number("gain", gain),
                    Number("inputs of a unit", layer.kernel.fan_in, "inputs"),
                    place=(layer.name,),
                )


class ConstantInit(Rule):
    """Units that start alike and so stay alike."""

    code = "constant-init"
    severities = ("fault", "warning")
    remedies = ("re-initialize",)

    def check(
        self,
        layers: tuple[LayerRecord, ...],
        after: After,
        hidden: tuple[LayerRecord, ...],
        run: RunRecord,
    ) -> Said:
        """Looks for hidden layers whose units all have the same starting weights.

        Measures:
            The number of hidden layers, of at least two units, whose columns are all equal, and
            whether the layer behind them is alike as well.
        Why it hurts:
            Equal units get equal gradients and remain equal: a layer of a hundred works as one of
            one unit. At zero a ReLU passes no gradient at all.
        Looks like:
            A loss that falls a little and stops, or never moves.
        False alarms:
            Output layers may start at 0, and so may the last layer of a branch that is added to a
            skip connection; frozen layers and weights that were trained are passed over.
        Remedies:
            Draw the weights at random, by the rule of the layer's activation (safe).
        """
        yield Number("hidden layers", len(hidden), "layers")
        for layer in hidden:
            kernel = layer.kernel
            if kernel is None or not kernel.is_alike or kernel.shape[-1] < 2:
                continue
            behind = next_ones(layer, after, PASSING | NOISY | NORMALIZING)
            if not layer.is_trainable or not _started(run) or any(o.is_a("Add") for o in behind):
                continue
            weighted = next_ones(layer, after, frozenset({"Activation"}) | PASSING | NOISY)
            is_twice = any(o.kernel is not None and o.kernel.is_alike for o in weighted)
            is_dead = kernel.is_zero and layer.activation in ("relu", "relu6")
            yield self.found(
                "fault" if is_twice or is_dead else "warning",
                f"All {kernel.shape[-1]} units of {layer.name!r} start with the same weights"
                + (
                    ", at which a ReLU passes no gradient."
                    if is_dead
                    else " and get the same gradients: they stay one unit."
                    if is_twice
                    else ": only the layer behind can tell them apart."
                ),
                Number("units that start alike", kernel.shape[-1], "units"),
                place=(layer.name,),
                confidence=1.0 if is_twice or is_dead else 0.8,
            )


class InitActivationMismatch(Rule):
    """Starting weights and activations that do not carry signals through the depth."""

    code = "init-activation-mismatch"
    severities = ("fault", "warning", "note")
    remedies = ("re-initialize", "change-activation", "insert-batchnorm")

    # He et al. 2015 (section 2.2, figures 2 and 3): ReLU under Glorot's rule halves the variance in
    # each layer. With 22 layers (a factor of 5e-4) it converges, but later; with 30 (3e-5) not at
    # all. Below 1e-8 a gradient is lost in the rounding of float32.
    slow = 1e-3
    stuck = 1e-4
    lost = 1e-8

    def check(self, depths: tuple[Depth, ...], run: RunRecord) -> Said:
        """Looks at what starting weights and activations do to signals and gradients.

        Measures:
            The factor on the size of signals and of gradients along each stretch of layers without
            normalization or skip connection: computed for wide layers with random weights, and
            measured where the network was run, which overrules what was computed. An
            initialization that suits the activation keeps both near 1.
        Why it hurts:
            A factor a little below 1 in each layer leaves nothing after twenty: the first layers
            do not learn. A factor above 1 blows up.
        Looks like:
            A deep network at chance level, or one whose loss is nan within a few steps.
        False alarms:
            Shallow networks are silent: Glorot under ReLU costs a factor of 0.7 a layer, which
            three layers do not mind. Frozen and trained weights are passed over. A computed
            factor is that of wide layers; narrow ones scatter around it, as measuring shows.
        Remedies:
            Draw weights by the activation's rule (safe); where no rule helps, as with deep
            sigmoid, change the activation (He with ReLU), or normalize between the layers.
        """
        if not depths:
            yield Number("stretches of several layers", 0, "stretches")
        for depth in depths:
            if not _started(run):
                continue
            yield Number("factor on gradients", depth.backward)
            yield Number("factor on signals", depth.forward)
            worst = min(depth.backward, 1 / depth.backward, depth.forward, 1 / depth.forward)
            if worst < self.slow:
                yield self._finding(depth, worst)

    def _finding(self, depth: Depth, worst: float) -> Finding:
        severity: Severity = (
            "fault" if worst < self.lost else "warning" if worst < self.stuck else "note"
        )
        is_gradient = worst in (depth.backward, 1 / depth.backward)
        factor = depth.backward if is_gradient else depth.forward
        what = "gradients" if is_gradient else "signals"
        first, last = depth.layers[0], depth.layers[-1]
        activations = ", ".join(dict.fromkeys(str(layer.activation) for layer in depth.layers[:-1]))
        return self.found(
            severity,
            f"Through the {len(depth.layers)} layers from {first.name!r} to {last.name!r} "
            f"({activations}) {what} {'shrink' if factor < 1 else 'grow'} to {factor:.1e} of their "
            "size at these starting weights" + (", as measured." if depth.measured_rows else "."),
            Number(f"factor on {what}", factor),
            Number("layers", len(depth.layers), "layers"),
            *([Number("measured on", depth.measured_rows, "rows")] if depth.measured_rows else []),
            place=tuple(layer.name for layer in depth.layers),
            confidence=0.9 if worst < self.stuck else 0.7,
            remedies=self.remedies if self._is_cured_by_rule(depth) else self.remedies[1:],
        )

    def _is_cured_by_rule(self, depth: Depth) -> bool:
        """Whether the rule of the activations alone would keep gradients up."""
        factor = 1.0
        variance = 1.0
        for layer, other in pairwise(depth.layers):
            curve = moments.curve_of(layer.activation, layer.config)
            if curve is None or other.kernel is None:
                return False
            rms = moments.rms_of(moments.initializer_for(other.activation), other.kernel.shape)
            square, slope = moments.passed_on(curve, float(f"{variance:.6g}"))
            factor *= slope * rms**2 * other.kernel.fan_out
            variance = min(max(square * rms**2 * other.kernel.fan_in, 1e-300), 1e300)
        return self.slow < math.sqrt(factor) < 1 / self.slow


class SeluConditions(Rule):
    """A SELU network that cannot normalize itself."""

    code = "selu-conditions"
    severities = ("warning", "note")
    remedies = ("re-initialize", "alpha-dropout", "standardize-inputs", "change-activation")

    # Klambauer et al. 2017: theorem 1 has variances from 0.8 to 1.5 drawn to 1; theorems 2 and 3
    # have larger ones fall above 3 and smaller ones rise below 0.24. Images in 0..1 have 0.1 to
    # 0.4, which layers bring up; above 3 the first layers work outside.
    largest_variance = 3.0
    # LeCun's rule has the gain 1; a kernel of a hundred numbers scatters by 7 %.
    tolerance = 0.3

    def check(
        self,
        layers: tuple[LayerRecord, ...],
        after: After,
        hidden: tuple[LayerRecord, ...],
        run: RunRecord,
        arriving: tuple[Arriving, ...],
    ) -> Said:
        """Checks what SELU needs to keep mean 0 and variance 1 by itself.

        Measures:
            The gain of each hidden SELU layer (LeCun normal: 1); the variance of the inputs; skip
            connections; dropout other than AlphaDropout behind SELU.
        Why it hurts:
            Self-normalization is a fixed point of mean 0 and variance 1. Other weights, a jump
            around layers, or zeros from dropout move signals away from it, and with depth they
            vanish or explode as with any other activation.
        Looks like:
            A SELU network that does no better than ELU, or worse.
        False alarms:
            Networks without SELU; weights that were trained. Images in 0..1 are let pass: their
            variance is drawn up to 1.
        Remedies:
            kernel_initializer="lecun_normal" (safe), AlphaDropout (safe), standardized inputs
            (safe); with skip connections take another activation (changes the network).
        """
        selu = [layer for layer in hidden if layer.activation == "selu"]
        yield Number("hidden layers with SELU", len(selu), "layers")
        if not selu:
            return
        for layer in selu if _started(run) else []:
            yield from self._weights(layer)
        behind = {
            other.name: other
            for layer in layers
            if layer.activation == "selu"
            for other in next_ones(layer, after, PASSING)
        }
        for other in behind.values():
            if other.is_a("Dropout", "SpatialDropout2D", "GaussianDropout"):
                yield self.found(
                    "warning",
                    f"{other.name!r} ({other.kind}) behind SELU sets units to 0 where SELU's own "
                    "low end is -1.76: mean and variance move.",
                    Number("rate", float(other.config.get("rate", 0)), "of units"),
                    place=(other.name,),
                    remedies=("alpha-dropout",),
                )
            elif other.is_a("Add", "Concatenate", "Average"):
                yield self.found(
                    "note",
                    f"SELU layers feed {other.name!r} ({other.kind}): beside skip connections the "
                    "network does not normalize itself.",
                    Number("inputs joined", len(other.sources), "inputs"),
                    place=(other.name,),
                    confidence=0.8,
                    remedies=("change-activation",),
                )
        for found in arriving:
            yield from self._inputs(found)

    def _weights(self, layer: LayerRecord) -> Said:
        if layer.kernel is None or not layer.is_trainable:
            return
        gain = layer.kernel.gain
        count = layer.kernel.fan_in * layer.kernel.shape[-1]
        slack = self.tolerance / 2 + 3 / math.sqrt(2 * count)  # the sampling error of an rms
        yield Number(f"gain of {layer.name}", gain)
        if abs(gain - 1) > slack:
            yield self.found(
                "warning" if abs(math.log(max(gain, 1e-9))) > 0.25 else "note",
                f"{layer.name!r} has SELU and starting weights of gain {gain:.3g}: LeCun normal, "
                "which SELU needs, has 1.",
                Number("gain", gain),
                Number("its tolerance", slack),
                place=(layer.name,),
                remedies=("re-initialize",),
            )

    def _inputs(self, found: Arriving) -> Said:
        if found.moments is None or found.is_normalized or found.is_looked_up:
            return
        if found.layer is None or found.layer.activation != "selu":
            return
        variance = found.moments.size**2
        yield Number("mean square of the inputs", variance)
        if variance > self.largest_variance:
            yield self.found(
                "warning" if variance > 3 * self.largest_variance else "note",
                f"{found.raw.data.name!r} reaches SELU with mean square {variance:.3g}; it needs "
                "standardized inputs.",
                Number("mean square of the inputs", variance),
                place=(found.raw.data.name, found.layer.name),
                remedies=("standardize-inputs",),
            )
