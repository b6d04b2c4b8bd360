"""What can be wrong with how signals and gradients get through a network, as one pass shows it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from evenkeel.doctor.finding import Finding, Number, Severity
from evenkeel.doctor.outputs import LOSS_NAMES
from evenkeel.doctor.patient import HeadRecord, RunRecord
from evenkeel.doctor.rule import Rule, Unclear
from evenkeel.doctor.signal import Signal
from evenkeel.doctor.statistics import Flow

Said = Iterator[Finding | Number | Unclear]

# The factors that the rule of starting weights judges by, with its source: He et al. 2015 saw 22
# layers (a factor of 5e-4) converge later, and 30 (3e-5) not at all; below 1e-8 the rounding of
# float32 takes the rest.
SLOW, STUCK, LOST = 1e-3, 1e-4, 1e-8


def severity_of(factor: float) -> Severity | None:
    """Returns how bad a factor below 1 over the depth is; None where it does not matter.

    Example:
        >>> severity_of(0.1), severity_of(5e-4), severity_of(0.0)
        (None, 'note', 'fault')
    """
    if not factor < SLOW:
        return None
    return "fault" if factor < LOST else "warning" if factor < STUCK else "note"


def _is_cured_by_weights(flow: Flow, name: str) -> bool:
    """Whether the weights that the activations call for keep the factor at a place near 1."""
    reference = flow.reference.get(name)
    return reference is not None and SLOW <= reference <= 1 / SLOW


def _a_layer(factor: float, flow: Flow) -> Number:
    """Returns the factor that each layer contributes: the slope of the norm's logarithm."""
    steps = max(len(flow.factors), 1)
    return Number("factor a layer", max(factor, 1e-300) ** (1 / steps))


def _compared(flow: Flow, name: str) -> list[Number]:
    reference = flow.reference.get(name)
    return [] if reference is None else [Number("with fitting weights", reference)]


class VanishingGradients(Rule):
    """Gradients that die away before they reach the first layers."""

    code = "vanishing-gradients"
    severities = ("fault", "warning", "note")
    remedies = ("re-initialize", "change-activation", "insert-batchnorm")

    def check(self, gradient_flow: Flow, has_learned: bool) -> Said:
        """Follows the gradient from the output back to the first layers.

        Measures:
            The gradient's norm at the sums of each hidden layer that is trained, as a part of
            what the output layer gets, over a sample of rows; and the same with the weights that
            the activations call for.
        Why it hurts:
            What gets no gradient does not learn: the first layers stay as they were drawn, and
            what they destroyed the others cannot see.
        Looks like:
            A deep network at chance level for epochs, or one that learns by its last layers only.
        False alarms:
            Frozen layers, and branches and outputs that start at 0 on purpose, are passed over:
            those are looked at with weights drawn. A network that has learned well is left alone.
        Remedies:
            Draw weights by the activation's rule (safe before training); where those would not
            help either, as with deep sigmoid, another activation or batch normalization.
        """
        flow = gradient_flow
        name, factor = flow.least
        yield Number("least factor on gradients", factor)
        severity = severity_of(factor)
        if has_learned or severity is None:
            return
        is_cured = _is_cured_by_weights(flow, name)
        yield self.found(
            severity,
            f"No gradient reaches {name!r}."
            if factor == 0
            else f"Of the gradient at the output {factor:.1e} reaches {name!r}.",
            Number("factor on gradients", factor),
            _a_layer(factor, flow),
            *_compared(flow, name),
            Number("measured on", flow.rows, "rows"),
            place=tuple(n for n, f in flow.factors.items() if severity_of(f) is not None),
            remedies=self.remedies if is_cured else self.remedies[1:],
        )


class ExplodingGradients(Rule):
    """Gradients that grow on their way to the first layers."""

    code = "exploding-gradients"
    severities = ("fault", "warning", "note")
    remedies = ("re-initialize", "insert-batchnorm", "change-activation")

    def check(self, gradient_flow: Flow) -> Said:
        """Follows the gradient from the output back to the first layers.

        Measures:
            The gradient's norm at the sums of each hidden layer that is trained, as a multiple of
            what the output layer gets, over a sample of rows.
        Why it hurts:
            A step that is right for the last layers throws the first ones far away; at a rate that
            suits the first ones the last ones stand still.
        Looks like:
            A loss that jumps or becomes nan within some steps, in a deep or recurrent network.
        False alarms:
            Large gradients that are large everywhere are no finding here: their size is that of
            the loss. Frozen layers are passed over.
        Remedies:
            Draw weights by the activation's rule (safe before training), or normalize between the
            layers; clipping (`clipnorm=1.0` in the optimizer) hides it.
        """
        flow = gradient_flow
        if not flow.is_finite:
            yield self.found(
                "fault",
                "Gradients are not finite before the first step.",
                Number("measured on", flow.rows, "rows"),
                place=tuple(flow.factors) or ("output",),
                confidence=1.0,
            )
            return
        name, factor = flow.most
        yield Number("largest factor on gradients", factor)
        severity = severity_of(1 / factor) if factor > 0 else None
        if severity is not None:
            yield self.found(
                severity,
                f"The gradient at {name!r} is {factor:.1e} times that at the output.",
                Number("factor on gradients", factor),
                _a_layer(factor, flow),
                *_compared(flow, name),
                Number("measured on", flow.rows, "rows"),
                place=tuple(n for n, f in flow.factors.items() if f > 1 / SLOW),
                remedies=self.remedies if _is_cured_by_weights(flow, name) else self.remedies[1:],
            )


class VanishingActivations(Rule):
    """Rows that become alike on their way through the network."""

    code = "vanishing-activations"
    severities = ("fault", "warning", "note")
    remedies = ("re-initialize", "change-activation", "insert-batchnorm")

    def check(self, signal_flow: Flow, has_learned: bool) -> Said:
        """Looks how far rows still lie apart behind each hidden layer.

        Measures:
            The deviation of a unit's outputs from row to row, as a root mean square over the
            units of each hidden layer, as a part of that behind the first.
        Why it hurts:
            Where all rows give the same outputs the layers behind have nothing to tell them
            apart by.
        Looks like:
            A deep network that predicts the same for every row, at log(classes).
        False alarms:
            Deep ReLU networks draw rows together slowly, by powers of the depth and not of ten.
            Networks that have learned well are left alone.
        Remedies:
            Draw weights by the activation's rule (safe before training); where those would not
            help either, another activation or batch normalization.
        """
        flow = signal_flow
        name, factor = flow.least
        yield Number("least factor on signals", factor)
        severity = severity_of(factor)
        if has_learned or severity is None or not flow.is_finite:
            return
        yield self.found(
            severity,
            f"Behind {name!r} all rows are the same."
            if factor == 0
            else f"Behind {name!r} rows lie {factor:.1e} times as far apart as behind the first "
            "layer.",
            Number("factor on signals", factor),
            _a_layer(factor, flow),
            *_compared(flow, name),
            Number("measured on", flow.rows, "rows"),
            place=tuple(n for n, f in flow.factors.items() if severity_of(f) is not None),
            remedies=self.remedies if _is_cured_by_weights(flow, name) else self.remedies[1:],
        )


class ExplodingActivations(Rule):
    """Signals that grow on their way through the network."""

    code = "exploding-activations"
    severities = ("fault", "warning", "note")
    remedies = ("re-initialize", "insert-batchnorm", "change-activation")

    def check(self, signal_flow: Flow) -> Said:
        """Looks how far rows lie apart behind each hidden layer.

        Measures:
            The deviation of a unit's outputs from row to row, as a root mean square over the
            units of each hidden layer, as a multiple of that behind the first; and whether all
            are finite.
        Why it hurts:
            The output is as large as the factor says, and with it the loss and every gradient;
            beyond 1e38 it is infinite, and the loss nan.
        Looks like:
            A first loss of thousands, or nan.
        False alarms:
            Large inputs alone are no finding here: the first layer has them as well.
        Remedies:
            Draw weights by the activation's rule (safe before training), or normalize between the
            layers.
        """
        flow = signal_flow
        name, factor = flow.most
        yield Number("largest factor on signals", factor)
        severity = severity_of(1 / factor) if factor > 0 else None
        if not flow.is_finite:
            severity = "fault"
        if severity is not None:
            yield self.found(
                severity,
                f"Behind {name!r} rows lie {factor:.1e} times as far apart as behind the first "
                "layer."
                if flow.is_finite
                else "Outputs of hidden layers are not finite before the first step.",
                Number("factor on signals", factor),
                _a_layer(factor, flow),
                *_compared(flow, name),
                Number("measured on", flow.rows, "rows"),
                place=tuple(n for n, f in flow.factors.items() if not f < 1 / SLOW)
                or (name or "output",),
                remedies=self.remedies if _is_cured_by_weights(flow, name) else self.remedies[1:],
            )


class InitialLossOff(Rule):
    """A first loss far above that of a guess."""

    code = "initial-loss-off"
    severities = ("fault", "warning")
    remedies = ("re-initialize", "scale-targets", "standardize-inputs")

    # A guess over the classes costs log(classes). Outputs of deviation 1 to 1.4, which fitting
    # weights give, add 0.5 to 1; 3 more mean that the right class gets a twentieth of what a guess
    # would give it. Beyond 30 the sigmoid and the softmax are at their ends in float32.
    most_nats, far_too_many_nats = 3.0, 30.0
    # Of errors: those of an untrained network beside those of the mean. Up to four is usual for
    # targets of mean 2 and deviation 1.
    most_times, far_too_many_times = 10.0, 1000.0

    def check(self, signal: Signal, heads: tuple[HeadRecord, ...], run: RunRecord) -> Said:
        """Compares the loss before the first step with that of the best constant answer.

        Measures:
            With classes: the loss less log(classes), in nats. With numbers: the error as a
            multiple of that of the mean. Over a sample of rows.
        Why it hurts:
            The network is sure of what it cannot know. The first hundreds of steps are spent on
            undoing that, by large gradients, which kill units and blow weights up.
        Looks like:
            A first loss of 50 where log(10) = 2.3 is due, or of millions in a regression.
        False alarms:
            Rare classes: a network that guesses evenly is above their entropy, and not off.
            Networks that were trained are passed over, and so are losses of one's own.
        Remedies:
            Draw the weights by their rule, scale targets, standardize inputs (safe); start a last
            layer at kernel_initializer="zeros", where the loss is that of a guess.
        """
        if run.steps_taken:
            yield Number("steps taken before", run.steps_taken, "steps")
            return
        by_name = {head.name: head for head in heads}
        for seen in signal.heads:
            head = by_name.get(seen.name)
            if head is None or seen.constant_loss is None:
                yield Unclear(f"What a guess costs under the loss of {seen.name!r} is not known.")
                continue
            yield Number(f"first loss of {seen.name}", seen.loss)
            if head.kind in LOSS_NAMES:
                yield from self._of_classes(head, seen.loss)
            else:
                yield from self._of_numbers(head, seen.loss, seen.constant_loss)

    def _of_classes(self, head: HeadRecord, loss: float) -> Said:
        units = head.units or 1
        guess = math.log(2 if head.kind == "binary" or units == 1 else units)
        excess = loss - guess
        if excess < self.most_nats:
            return
        yield self.found(
            "warning" if excess < self.far_too_many_nats else "fault",
            f"The first loss of {head.name!r} is {loss:.3g}, where a guess has {guess:.3g}.",
            Number("first loss", loss, "nats"),
            Number("loss of a guess", guess, "nats"),
            place=_place(head),
            remedies=("re-initialize", "standardize-inputs"),
        )

    def _of_numbers(self, head: HeadRecord, loss: float, constant: float) -> Said:
        if not constant > 0:
            return
        ratio = loss / constant
        times = math.sqrt(ratio) if "squared" in (head.loss or "") and ratio > 0 else ratio
        if times < self.most_times:
            return
        yield self.found(
            "warning" if times < self.far_too_many_times else "fault",
            f"The first errors of {head.name!r} are {times:,.3g} times those of the mean.",
            Number("first loss", loss),
            Number("loss of the mean", constant),
            place=_place(head),
        )


def _place(head: HeadRecord) -> tuple[str, ...]:
    return (head.name,) if head.layer is None else (head.name, head.layer)
