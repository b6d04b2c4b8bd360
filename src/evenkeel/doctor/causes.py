"""Cause over symptom: which findings would explain which others.

A finding that another one explains stands beneath it, so that what is named first is what to
change. Several causes may hold at once; a symptom stands beneath the one that is worst and surest.
"""

from __future__ import annotations

from collections.abc import Sequence

from evenkeel.doctor.finding import SEVERITIES, Finding
from evenkeel.doctor.vocabulary import CODES

_NO_LEARNING = (
    *("loss-not-decreasing", "slow-convergence", "underfitting", "cannot-fit-one-batch"),
    "inputs-ignored",
)
_BAD_SIGNAL = (
    "vanishing-gradients",
    "exploding-gradients",
    "vanishing-activations",
    "exploding-activations",
    "initial-loss-off",
)
_BLOWN_UP = ("diverging", "non-finite-loss", "non-finite-gradients", "non-finite-weights")

# What each code would explain, by the mechanism that its page describes.
EXPLAINS: dict[str, tuple[str, ...]] = {
    "inputs-not-finite": (
        "inputs-not-standardized",
        "train-validation-shift",
        *_BLOWN_UP,
        *_NO_LEARNING,
    ),
    "inputs-not-standardized": (
        *("dead-units", "saturated-units", "learning-rate-too-high", "oscillating-loss"),
        *("learning-rate-too-low", "selu-conditions", *_BAD_SIGNAL),
        *_BLOWN_UP,
        *_NO_LEARNING,
    ),
    "constant-feature": ("inputs-ignored",),
    "targets-constant": ("class-imbalance", "targets-not-scaled", "labels-unrelated"),
    "targets-not-scaled": (
        *("initial-loss-off", "exploding-gradients", "learning-rate-too-high", "dead-units"),
        "learning-rate-too-low",
        *_BLOWN_UP,
        *_NO_LEARNING,
    ),
    "targets-out-of-range": ("saturated-units", "vanishing-gradients", *_NO_LEARNING),
    "class-imbalance": ("slow-convergence",),
    "too-little-data": ("overfitting", "batchnorm-gap"),
    "ordered-validation-split": ("train-validation-shift", "overfitting", "labels-unrelated"),
    "train-validation-shift": ("overfitting", "batchnorm-gap"),
    "output-activation-mismatch": (
        *("targets-out-of-range", "vanishing-gradients", "saturated-units", "initial-loss-off"),
        *_BLOWN_UP,
        *_NO_LEARNING,
    ),
    "loss-mismatch": (
        *("targets-out-of-range", "output-activation-mismatch", "initial-loss-off"),
        *("targets-not-scaled", *_NO_LEARNING),
    ),
    "no-hidden-nonlinearity": ("underfitting",),
    "labels-unrelated": ("loss-not-decreasing", "underfitting", "overfitting"),
    "inputs-ignored": ("loss-not-decreasing", "underfitting", "cannot-fit-one-batch"),
    "cannot-fit-one-batch": ("loss-not-decreasing", "underfitting", "inputs-ignored"),
    "samples-mixed": ("labels-unrelated", "batchnorm-gap"),
    "dead-units": ("vanishing-gradients", "vanishing-activations", *_NO_LEARNING),
    "saturated-units": (
        *("vanishing-gradients", "vanishing-activations", "learning-rate-too-low"),
        *_NO_LEARNING,
    ),
    "vanishing-gradients": ("learning-rate-too-low", *_NO_LEARNING),
    "vanishing-activations": ("vanishing-gradients", *_NO_LEARNING),
    "exploding-activations": (
        *("exploding-gradients", "initial-loss-off", "saturated-units", "dead-units"),
        *("learning-rate-too-high", "oscillating-loss", *_BLOWN_UP),
    ),
    "exploding-gradients": ("learning-rate-too-high", "oscillating-loss", *_BLOWN_UP),
    "init-activation-mismatch": ("dead-units", "saturated-units", *_BAD_SIGNAL, *_NO_LEARNING),
    "init-scale": (
        *("init-activation-mismatch", "selu-conditions", "dead-units", "saturated-units"),
        *_BAD_SIGNAL,
        *_BLOWN_UP,
        *_NO_LEARNING,
    ),
    "constant-init": ("init-activation-mismatch", "selu-conditions", "dead-units", *_NO_LEARNING),
    "optimizer-settings": (
        *("learning-rate-too-high", "learning-rate-too-low", "oscillating-loss"),
        *_BLOWN_UP,
        *_NO_LEARNING,
    ),
    "selu-conditions": _BAD_SIGNAL,
    # What is dropped is noise in the gradients, and under more noise lower rates look better.
    "dropout-too-high": ("learning-rate-too-high", "oscillating-loss", *_NO_LEARNING),
    "dropout-misplaced": (
        *("batchnorm-gap", "learning-rate-too-high", "oscillating-loss"),
        *_NO_LEARNING,
    ),
    "batchnorm-horizon": ("batchnorm-gap",),
    "max-norm-axis": ("underfitting", "regularization-too-strong"),
    "learning-rate-too-high": (
        *("oscillating-loss", "dead-units", "batchnorm-gap"),
        *_BLOWN_UP,
        *_NO_LEARNING,
    ),
    "learning-rate-too-low": _NO_LEARNING,
    "loss-not-decreasing": ("underfitting", "slow-convergence"),
    "slow-convergence": ("underfitting",),
    "diverging": ("oscillating-loss", "overfitting", "underfitting"),
    "regularization-too-strong": _NO_LEARNING,
    "batchnorm-gap": ("oscillating-loss", "overfitting"),
    "schedule-horizon": ("slow-convergence", "learning-rate-too-low", "oscillating-loss"),
}


def by_cause(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Returns the causes, the worst first, each with what it explains beneath it.

    Example:
        >>> cause = Finding(
        ...     code="init-scale", severity="warning", sentence="", explains=("dead-units",)
        ... )
        >>> symptom = Finding(code="dead-units", severity="fault", sentence="")
        >>> [len(finding.symptoms) for finding in by_cause([symptom, cause])]
        [1]
    """
    ranked = sorted(findings, key=_rank)
    parents: dict[int, Finding] = {}
    for symptom in ranked:
        causes = (c for c in ranked if symptom.code in c.explains and _concerns(c, symptom))
        cause = next((c for c in causes if not _descends(c, symptom, parents)), None)
        if cause is not None:
            parents[id(symptom)] = cause

    def with_symptoms(finding: Finding) -> Finding:
        beneath = [s for s in ranked if parents.get(id(s)) is finding]
        return finding.with_symptoms(tuple(map(with_symptoms, beneath)))

    return tuple(with_symptoms(finding) for finding in ranked if id(finding) not in parents)


def _rank(finding: Finding) -> tuple[int, float, int]:
    """Worst, then surest; a fault among the symptoms does not make a cause worse."""
    return SEVERITIES.index(finding.severity), -finding.confidence, CODES.index(finding.code)


def _concerns(cause: Finding, symptom: Finding) -> bool:
    """Whether a cause can be the symptom's: of one code only where both are about one output."""
    if cause is symptom:
        return False
    if (cause.code, symptom.code) == ("inputs-not-standardized", "selu-conditions"):
        return cause.place[0] in symptom.place  # of the inputs, and not of the weights
    at_outputs = ("output-activation-mismatch", "loss-mismatch", "targets-out-of-range")
    are_both = cause.code in at_outputs and symptom.code in at_outputs
    return not are_both or not set(cause.place).isdisjoint(symptom.place)


def _descends(finding: Finding, ancestor: Finding, parents: dict[int, Finding]) -> bool:
    while id(finding) in parents:
        finding = parents[id(finding)]
        if finding is ancestor:
            return True
    return False
