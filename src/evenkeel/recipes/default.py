"""The default configuration, and the self-normalizing one: what each chooses for data, and why.

Both are the doctor's knowledge turned around: what it would prescribe to a network that has this
data and nothing else yet. Limits that the doctor judges by are read from its rules.
"""

from __future__ import annotations

import math
from typing import Any

from evenkeel.doctor import moments
from evenkeel.doctor.rules.targets import ClassImbalance
from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.recipes.building import loss_name, output_activation
from evenkeel.recipes.choices import Deliberation
from evenkeel.recipes.profile import Inputs, Profile, Task, look_at
from evenkeel.recipes.recipe import Recipe
from evenkeel.recipes.signals import change_through, is_deep

BATCH_SIZE = 32
STEPS = 20_000
FEWEST_EPOCHS, MOST_EPOCHS = 10, 200
# Peak rates of 1cycle for batches of 32, and rates to start from without it; docs/decisions/0022.
RATES = {"adamw": (1e-3, 1e-3), "nesterov": (0.02, 0.01)}


def default(
    x: Any,
    y: Any,
    *,
    task: Task | None = None,
    inputs: Inputs | None = None,
    classes: int | None = None,
    **asked: Any,
) -> Recipe:
    """Returns the default configuration for data: a network that needs little or no tuning.

    Standardized inputs; He initialization with ELU, or Swish with batch normalization where the
    network is deep; AdamW along a 1cycle; the best epoch's weights; dropout and weight decay as the
    data needs them. Regressions are trained in standard deviations of the targets and answer in
    their unit.

    Args:
        x: The training inputs: (rows, features) or images, raw.
        y: Their targets: class numbers, one-hot rows, 0 and 1, or numbers.
        task: "classification" or "regression"; seen from y when None.
        inputs: "pixels" if all features share a unit, "columns" if each has its own; seen from x
            when None.
        classes: How many classes there are, where y may lack some; counted when None.
        **asked: Choices that you make yourself, by their names in the table: `hidden`,
            `activation`, `kernel_initializer`, `normalization`, `dropout`, `l1`, `optimizer`,
            `learning_rate`, `weight_decay`, `schedule`, `batch_size`, `epochs`, `patience`,
            `class_weight`, `precision`. The others follow.

    Returns:
        The recipe: print it for its choices and reasons; `build()` and `fit(x, y)` use them.

    Raises:
        InvalidDataError: If the data is not numbers or does not belong together.
        InvalidArgumentError: If y could mean two things and `task` does not say which, or a choice
            is unknown or impossible.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(500, 8))
        >>> recipe = default(x, 250_000 + 90_000 * x[:, 0], hidden=(20,) * 20)
        >>> recipe["activation"], recipe["normalization"], recipe["output"]
        ('silu', 'batch', '1 linear unit, in the unit of y')
    """
    profile = look_at(x, y, task, inputs, classes)
    making = Deliberation(asked)
    _data(making, profile)
    hidden = _size(making, profile)
    _signals(making, hidden)
    _noise(making, profile, hidden, "Dropout")
    _answer(making, profile)
    _training(making, profile, "adamw")
    return Recipe(name="default", profile=profile, choices=tuple(making.made))


def self_normalizing(
    x: Any,
    y: Any,
    *,
    task: Task | None = None,
    inputs: Inputs | None = None,
    classes: int | None = None,
    **asked: Any,
) -> Recipe:
    """Returns the self-normalizing configuration: a stack that keeps signals at mean 0, variance 1.

    Standardized inputs, SELU with LeCun normal weights in every hidden layer of a plain stack, no
    normalization, AlphaDropout where data is scarce, Nesterov momentum along a 1cycle. These are
    the conditions under which signals normalize themselves, and asking for something else is
    refused.

    Args:
        x: The training inputs: (rows, features) or images, raw.
        y: Their targets: class numbers, one-hot rows, 0 and 1, or numbers.
        task: "classification" or "regression"; seen from y when None.
        inputs: "pixels" if all features share a unit, "columns" if each has its own; seen from x
            when None.
        classes: How many classes there are, where y may lack some; counted when None.
        **asked: Choices that you make yourself, as for `default`.

    Raises:
        InvalidDataError: If the data is not numbers or does not belong together.
        InvalidArgumentError: If a choice would break self-normalization, is unknown or impossible.

    Example:
        >>> import numpy as np
        >>> recipe = self_normalizing(np.eye(60), np.arange(60) % 3, hidden=(30,) * 10)
        >>> recipe["activation"], recipe["kernel_initializer"], recipe["normalization"]
        ('selu', 'lecun_normal', None)

    References:
        Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017.
        https://arxiv.org/abs/1706.02515
    """
    profile = look_at(x, y, task, inputs, classes)
    making = Deliberation(asked)
    _refuse_broken_conditions(making.asked)
    _data(making, profile)
    hidden = _size(making, profile)
    making.choose(
        "activation", "selu", "with it a plain stack of dense layers normalizes itself"
    )
    making.choose("kernel_initializer", "lecun_normal", "SELU keeps variance 1 with these weights")
    making.choose("normalization", None, "signals keep mean 0 and variance 1 without it")
    _noise(making, profile, hidden, "AlphaDropout, which keeps mean and variance")
    _answer(making, profile)
    _training(making, profile, "nesterov")
    return Recipe(name="self_normalizing", profile=profile, choices=tuple(making.made))


_CONDITIONS = {"activation": "selu", "kernel_initializer": "lecun_normal", "normalization": None}


def _refuse_broken_conditions(asked: dict[str, Any]) -> None:
    for name, needed in _CONDITIONS.items():
        if name in asked and asked[name] != needed:
            raise InvalidArgumentError(
                explain(
                    f"self_normalizing({name}): got {asked[name]!r}, expected {needed!r}.",
                    "Signals keep mean 0 and variance 1 only with SELU, LeCun normal weights and "
                    "no other normalization.",
                    f"Leave {name} out, or use ek.recipes.default(x, y, {name}={asked[name]!r}).",
                )
            )


def _data(making: Deliberation, profile: Profile) -> None:
    if profile.inputs == "pixels":
        how = "all pixels together" if profile.axis is None else "each channel"
        why = "pixels share a unit, and borders that hardly vary must not be blown up"
    else:
        how, why = "each column", "columns have units of their own, and weights expect size 1"
    making.choose("inputs", f"standardized, {how}", f"{why}; inside the model, which takes raw rows")


def _size(making: Deliberation, profile: Profile) -> tuple[int, ...]:
    if profile.rows >= 5000:
        hidden = (300, 100)
        reason = f"{profile.rows:,} rows and {profile.features:,} features feed two layers"
    else:
        hidden = (100, 50)
        reason = f"{profile.rows:,} rows cannot fill more"
    return making.choose("hidden", hidden, reason)


def _signals(making: Deliberation, hidden: tuple[int, ...]) -> None:
    """Chooses activation, starting weights and normalization by what depth does to gradients."""
    layers = f"{len(hidden)} layer{'s' if len(hidden) > 1 else ''}"
    deep = is_deep(len(hidden))
    change = f"through {layers} of ELU gradients grow {change_through(len(hidden)):.2g} times"
    activation = making.choose(
        "activation",
        "silu" if deep else "elu",
        "smooth, and in deep networks ahead of ELU once signals are normalized"
        if deep
        else "it cannot die, its mean output is near 0, and it needs no normalization at this depth",
    )
    making.choose(
        "kernel_initializer",
        moments.initializer_for(activation),
        f"{activation} keeps the size of signals with these weights",
    )
    making.choose(
        "normalization",
        "batch" if deep else None,
        f"{change}: {'too uneven for one rate' if deep else 'even enough without'}",
    )


def _parameters(profile: Profile, hidden: tuple[int, ...]) -> int:
    sizes = (profile.features, *hidden, profile.outputs)
    return sum((a + 1) * b for a, b in zip(sizes, sizes[1:], strict=False))


def _noise(
    making: Deliberation, profile: Profile, hidden: tuple[int, ...], kind: str
) -> None:
    parameters = _parameters(profile, hidden)
    ratio = parameters / profile.rows
    need = f"{parameters:,} parameters for {profile.rows:,} rows"
    making.choose(
        "dropout", 0.1 if ratio > 1 else 0.0, f"{need}: {kind if ratio > 1 else 'none is needed'}"
    )
    making.choose("l1", 0.0, "all weights may stay; ek.recipes.sparse(recipe) asks for few")


def _answer(making: Deliberation, profile: Profile) -> None:
    units = f"{profile.outputs} {output_activation(profile) or 'linear'} unit"
    units += "s" if profile.outputs > 1 else ""
    targets = {
        "binary": "y is 0 and 1",
        "labels": "y has columns of 0 and 1, several of them 1",
        "classes": f"y holds class numbers up to {profile.outputs - 1}",
        "one-hot": "y holds one-hot rows",
        "numbers": "y holds numbers",
    }[profile.kind]
    if profile.kind == "numbers":
        units += ", in the unit of y"
        targets += "; the last layer puts the unit back"
    making.choose("output", units, targets)
    making.choose(
        "loss",
        loss_name(profile),
        "measured in standard deviations of y, so that gradients have size 1"
        if profile.kind == "numbers"
        else "the cross-entropy of this form of targets",
    )
    if profile.imbalance > ClassImbalance.ratio or "class_weight" in making.asked:
        reason = f"the commonest class has {profile.imbalance:,.3g} times the rows of the rarest; "
        reason += "weights ('balanced') would find more of the rare, with probabilities too high"
    else:
        reason = "no class is much rarer than another"
    making.choose("class_weight", None, reason)


def _training(making: Deliberation, profile: Profile, optimizer: str) -> None:
    batch = making.choose("batch_size", BATCH_SIZE, "small batches find flat minima")
    steps = math.ceil(max(1, 0.9 * profile.rows) / batch)
    epochs = making.choose(
        "epochs",
        min(max(math.ceil(STEPS / steps), FEWEST_EPOCHS), MOST_EPOCHS),
        f"about {STEPS:,} steps, and from {FEWEST_EPOCHS} to {MOST_EPOCHS} epochs",
    )
    reasons = {
        "adamw": "its steps are of one size whatever the gradients', so that one rate suits most",
        "nesterov": "momentum, measured ahead: it generalizes best where signals are normalized",
    }
    optimizer = making.choose("optimizer", optimizer, reasons[optimizer])
    schedule = making.choose(
        "schedule", "1cycle", "up and far down within the run: fewer epochs, and no tuning of the end"
    )
    _rate(making, optimizer, schedule, batch)
    making.choose("weight_decay", 0.01 if optimizer == "adamw" else 0.0, "x")
    making.choose(
        "patience",
        epochs if schedule == "1cycle" else 20,
        "a cycle gains most at its end, so it is not cut short; the best epoch's weights are kept"
        if schedule == "1cycle"
        else "four halvings of the rate without a gain end the run; the best weights are kept",
    )
    making.choose("precision", "float32", "exact on every device")


def _rate(making: Deliberation, optimizer: str, schedule: str | None, batch: int) -> None:
    peak, plain = RATES.get(optimizer, RATES["nesterov" if "sgd" in optimizer else "adamw"])
    rate = peak if schedule == "1cycle" else plain
    making.choose("learning_rate", rate, "measured")
