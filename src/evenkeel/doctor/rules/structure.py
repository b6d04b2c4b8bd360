"""What can be wrong with the layers and how they stand together."""

from __future__ import annotations

import math
from collections.abc import Iterator

from evenkeel.doctor.finding import Finding, Number
from evenkeel.doctor.patient import (
    DROPPING,
    MAX_POOLING,
    MERGING,
    NOISY,
    NORMALIZING,
    PASSING,
    POOLING,
    SCALING,
    WEIGHTED,
    HeadRecord,
    LayerRecord,
    next_ones,
)
from evenkeel.doctor.rule import Rule, Unclear

Said = Iterator[Finding | Number | Unclear]
After = dict[str, list[LayerRecord]]
_STRAIGHT = PASSING | NOISY | SCALING | POOLING | WEIGHTED | {"BatchNormalization", "Activation"}
_STRAIGHT_MERGES = frozenset({"Add", "Average", "Concatenate", "Subtract"})


class NoHiddenNonlinearity(Rule):
    """Layers behind each other with nothing between them that bends."""

    code = "no-hidden-nonlinearity"
    severities = ("warning", "note")
    remedies = ("add-activation",)

    def check(
        self, layers: tuple[LayerRecord, ...], after: After, hidden: tuple[LayerRecord, ...]
    ) -> Said:
        """Looks for layers that together are one linear layer.

        Measures:
            The number of hidden layers with weights, and of those that are linear up to the next
            layer with weights.
        Why it hurts:
            A product of matrices is a matrix: layers without an activation between them can say
            no more than one layer.
        Looks like:
            A deep network that scores exactly like logistic or linear regression.
        False alarms:
            A single linear layer that is narrower than its neighbors squeezes on purpose, as in a
            linear autoencoder or a bottleneck; networks without a hidden layer, and behind an
            embedding, are silent; max pooling bends.
        Remedies:
            Give the hidden layers an activation, ReLU with He weights (safe).
        """
        yield Number("hidden layers", len(hidden), "layers")
        unknown = [
            layer
            for layer in layers
            if layer.activation is None
            and not layer.is_a(*_STRAIGHT, *MERGING, *MAX_POOLING, *NORMALIZING, "Embedding")
        ]
        straight = [layer for layer in hidden if self._is_straight(layer, after)]
        yield Number("linear hidden layers", len(straight), "layers")
        if not straight:
            return
        if len(straight) == len(hidden) and not self._bends(layers):
            if unknown:
                yield Unclear(f"What {unknown[0].name!r} ({unknown[0].kind}) computes is unknown.")
                return
            yield self._finding(straight, "warning", "the network is a linear model")
            return
        useless = [
            layer for layer in straight if layer.is_a("Dense") and self._is_wide(layer, after)
        ]
        if useless:
            yield self._finding(useless, "note", "it adds nothing to the next layer")

    def _finding(self, straight: list[LayerRecord], severity: str, means: str) -> Finding:
        names = ", ".join(repr(layer.name) for layer in straight[:3])
        return self.found(
            "warning" if severity == "warning" else "note",
            f"{names}{' and others' if len(straight) > 3 else ''} "
            f"{'have' if len(straight) > 1 else 'has'} no activation: {means}.",
            Number("linear hidden layers", len(straight), "layers"),
            place=(layer.name for layer in straight),
            confidence=1.0 if severity == "warning" else 0.7,
        )

    @staticmethod
    def _is_straight(layer: LayerRecord, after: After) -> bool:
        """Whether nothing bends between a layer and the next ones with weights."""
        if layer.activation != "linear":
            return False
        waiting = list(after.get(layer.name, []))
        met_one = False
        while waiting:
            other = waiting.pop()
            if other.is_a(*WEIGHTED):
                met_one = True
            elif other.activation not in (None, "linear") or not other.is_a(
                *_STRAIGHT, *_STRAIGHT_MERGES
            ):
                return False
            else:
                waiting += after.get(other.name, [])
        return met_one

    @staticmethod
    def _bends(layers: tuple[LayerRecord, ...]) -> bool:
        inner = [
            layer
            for layer in layers
            if layer.is_a(*MAX_POOLING, "Maximum", "Multiply", "Embedding")
        ]
        return bool(inner)

    @staticmethod
    def _is_wide(layer: LayerRecord, after: After) -> bool:
        """Whether a layer squeezes nothing: it is as wide as what is before or behind it."""
        if layer.kernel is None:
            return False
        fan_in, units = layer.kernel.shape[-2], layer.kernel.shape[-1]
        nexts = [o.kernel.shape[-1] for o in after.get(layer.name, []) if o.kernel is not None]
        return bool(nexts) and units >= min(fan_in, *nexts)


class RedundantBias(Rule):
    """A bias that a batch normalization takes away again."""

    code = "redundant-bias"
    severities = ("note",)
    remedies = ("drop-bias",)

    def check(self, layers: tuple[LayerRecord, ...], after: After) -> Said:
        """Looks for biases right before a batch normalization.

        Measures:
            The number of layers with a bias and no activation that only a batch normalization
            follows, and the parameters that this takes.
        Why it hurts:
            The normalization subtracts the mean, and the bias with it: it is trained in vain.
        Looks like:
            Nothing: accuracy is the same, some parameters and time are lost.
        False alarms:
            An activation between the two keeps the bias alive.
        Remedies:
            use_bias=False (safe).
        """
        biased = [
            layer
            for layer in layers
            if layer.is_a(*WEIGHTED) and layer.config.get("use_bias", True)
        ]
        yield Number("layers with a bias", len(biased), "layers")
        for layer in biased:
            behind = after.get(layer.name, [])
            is_alone = bool(behind) and all(o.is_a("BatchNormalization") for o in behind)
            if layer.activation == "linear" and is_alone:
                yield self.found(
                    "note",
                    f"The bias of {layer.name!r} has no effect: {behind[0].name!r} subtracts the "
                    "mean again.",
                    Number("parameters in vain", layer.features or 0, "parameters"),
                    place=(layer.name,),
                    confidence=1.0,
                )


class DropoutTooHigh(Rule):
    """Dropout that leaves less signal than noise."""

    code = "dropout-too-high"
    severities = ("fault", "warning")
    remedies = ("lower-dropout",)

    # At rate p a sum of dropped inputs has a noise of sqrt(p / (1 - p)) times itself, however wide
    # the layer: 1 at a half, the largest rate that Srivastava et al. 2014 recommend, and 1.5 at
    # 0.7.
    noise = 1.5

    def check(self, parts: tuple[LayerRecord, ...]) -> Said:
        """Compares the noise of each dropout with the signal.

        Measures:
            The noise that a rate p puts on the next sums, sqrt(p / (1 - p)) times the signal.
        Why it hurts:
            What a unit hears is mostly chance; the network underfits, and does far better in
            validation than in training.
        Looks like:
            A training loss well above the validation loss; training accuracy that does not rise.
        False alarms:
            Rates up to 0.69 are silent.
        Remedies:
            Rates of 0.2 to 0.5 (safe).
        """
        for layer in parts:
            rate = layer.config.get("rate")
            if not layer.is_a(*DROPPING) or not isinstance(rate, int | float):
                continue
            noise = math.sqrt(rate / (1 - rate)) if rate < 1 else math.inf
            yield Number(f"noise of {layer.name}", noise, "times the signal")
            if noise > self.noise:
                yield self.found(
                    "fault" if rate >= 0.95 else "warning",
                    f"{layer.name!r} drops {rate:.0%} of its inputs: "
                    + (
                        "nothing is left."
                        if rate >= 1
                        else f"noise is {noise:.2g} times the signal."
                    ),
                    Number("rate", float(rate), "of units"),
                    Number("noise", noise, "times the signal"),
                    place=(layer.name,),
                )


class DropoutMisplaced(Rule):
    """Dropout where it destroys what it should protect."""

    code = "dropout-misplaced"
    severities = ("fault", "warning", "note")
    remedies = ("move-dropout",)

    def check(
        self, layers: tuple[LayerRecord, ...], after: After, heads: tuple[HeadRecord, ...]
    ) -> Said:
        """Looks at what stands around each dropout.

        Measures:
            Whether a dropout is the last layer, stands between the last sums and their softmax,
            before an embedding, or before a batch normalization.
        Why it hurts:
            Behind the output it deletes predictions and targets are missed whatever the weights.
            Before an embedding it turns words into word 0. Before a batch normalization it
            changes the variance in training only, and validation sees another (Li et al.,
            "Understanding the Disharmony between Dropout and Batch Normalization", CVPR 2019).
        Looks like:
            A training loss that cannot fall below a floor; validation far off from training.
        False alarms:
            Dropout right before the output layer is usual. Before a batch normalization it is a
            note.
        Remedies:
            Move it before the last layer with weights; behind the normalization; or take it out.
        """
        outputs = {head.layer for head in heads}
        dropping = [layer for layer in layers if layer.is_a(*DROPPING) and layer.config.get("rate")]
        yield Number("dropout layers", len(dropping), "layers")
        for layer in dropping:
            behind = next_ones(layer, after, PASSING)
            is_last = not behind
            rate = Number("rate", float(layer.config["rate"]), "of units")
            if is_last and layer.name in outputs | {layers[-1].name}:
                yield self.found(
                    "fault",
                    f"{layer.name!r} stands behind the output and drops {rate.value:.0%} of the "
                    "predictions in training.",
                    rate,
                    place=(layer.name,),
                    confidence=1.0,
                )
            elif any(o.is_a("Embedding") for o in behind):
                yield self.found(
                    "fault",
                    f"{layer.name!r} stands before the embedding {behind[0].name!r} and turns what "
                    "it drops into number 0.",
                    rate,
                    place=(layer.name,),
                    confidence=1.0,
                )
            elif any(o.activation == "softmax" and not o.is_a(*WEIGHTED) for o in behind):
                yield self.found(
                    "warning",
                    f"{layer.name!r} stands between the last sums and their softmax and drops "
                    "whole classes.",
                    rate,
                    place=(layer.name,),
                )
            elif any(o.is_a("BatchNormalization") for o in behind):
                yield self.found(
                    "note",
                    f"{layer.name!r} stands before {behind[0].name!r}, which then sees another "
                    "variance in training than in validation.",
                    rate,
                    place=(layer.name, behind[0].name),
                    confidence=0.7,
                )


class MaxNormAxis(Rule):
    """A limit on norms that are not those of the units."""

    code = "max-norm-axis"
    remedies = ("unit-axis",)

    def check(self, parts: tuple[LayerRecord, ...]) -> Said:
        """Compares the axes of norm constraints with those over which a unit sums.

        Measures:
            The axis of MaxNorm, UnitNorm and MinMaxNorm on kernels: all but the last belong to
            one unit.
        Why it hurts:
            Along other axes the norm is that of an input, or of a piece of a filter: units are
            not limited, and inputs are, by how many units they feed.
        Looks like:
            A network that underfits, or overfits in spite of the limit.
        False alarms:
            Embeddings have a row for each word, so that their axis is the last one.
        Remedies:
            axis=0 for a dense kernel, axis=[0, 1, 2] for a convolution's (safe).
        """
        for layer in parts:
            written = layer.config.get("kernel_constraint")
            if not layer.is_a(*WEIGHTED) or not isinstance(written, dict):
                continue
            settings = written.get("config", {})
            if "axis" not in settings:
                continue
            rank = 2 if layer.is_a("Dense") else 4
            axis = settings["axis"]
            given = {a % rank for a in (axis if isinstance(axis, list | tuple) else [axis])}
            wanted = set(range(rank - 1))
            yield Number(f"axes of the limit of {layer.name}", len(given), "axes")
            if given != wanted:
                right = "0" if rank == 2 else "[0, 1, 2]"
                yield self.found(
                    "warning",
                    f"{written['class_name']} of {layer.name!r} ({layer.kind}) takes norms over "
                    f"axis {axis}; a unit's weights lie along {right}.",
                    Number("axes given", len(given), "axes"),
                    Number("axes of a unit", rank - 1, "axes"),
                    place=(layer.name,),
                    confidence=0.95,
                )
