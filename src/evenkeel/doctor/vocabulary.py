"""The words for what can be wrong, by family. They are stable: tools and reports use them.

The whole vocabulary stands here, also the codes that need a look at a network while it runs.
"""

from __future__ import annotations

FAMILIES: dict[str, tuple[str, ...]] = {
    "data": (
        "inputs-not-finite",
        "inputs-not-standardized",
        "constant-feature",
        "targets-constant",
        "targets-not-scaled",
        "targets-out-of-range",
        "class-imbalance",
        "too-little-data",
        "ordered-validation-split",
        "train-validation-shift",
        "inputs-ignored",
        "labels-unrelated",
        "samples-mixed",
    ),
    "structure": (
        "output-activation-mismatch",
        "loss-mismatch",
        "no-hidden-nonlinearity",
        "init-activation-mismatch",
        "init-scale",
        "constant-init",
        "optimizer-settings",
        "selu-conditions",
        "redundant-bias",
        "dropout-too-high",
        "dropout-misplaced",
        "batchnorm-horizon",
        "max-norm-axis",
        "schedule-horizon",
    ),
    "signal": (
        "vanishing-gradients",
        "exploding-gradients",
        "vanishing-activations",
        "exploding-activations",
        "initial-loss-off",
        "cannot-fit-one-batch",
    ),
    "units": ("dead-units", "saturated-units"),
    "steps": (
        "learning-rate-too-high",
        "learning-rate-too-low",
        "loss-not-decreasing",
        "oscillating-loss",
        "diverging",
        "slow-convergence",
    ),
    "generalization": ("overfitting", "underfitting", "batchnorm-gap", "regularization-too-strong"),
    "numerics": ("non-finite-loss", "non-finite-gradients", "non-finite-weights"),
}

CODES: tuple[str, ...] = tuple(code for codes in FAMILIES.values() for code in codes)


def family_of(code: str) -> str:
    """Returns the family that a code belongs to.

    Example:
        >>> family_of("dead-units")
        'units'
    """
    return next(family for family, codes in FAMILIES.items() if code in codes)
