"""What is chosen for data, one matter after another: inputs, size, signals, answer, training.

Limits that the doctor judges by are read from its rules, and its theory of signals says what depth
needs. Where a number was measured, docs/decisions/0022 has the measurement.
"""

from __future__ import annotations

import math
from itertools import pairwise

from evenkeel.doctor import moments
from evenkeel.doctor.rules.targets import ClassImbalance
from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.recipes.building import loss_name, output_activation
from evenkeel.recipes.choices import Deliberation
from evenkeel.recipes.profile import Profile
from evenkeel.recipes.signals import change_through, is_deep

HIDDEN = (300, 100)
DROPOUT = 0.1
# Weights a row from which on dropout is chosen. AlphaDropout costs more than it saves at 5.
_NEEDED, _ALPHA_NEEDED = 1.0, 10.0
# A run of this many steps, in no fewer and no more epochs than these.
STEPS = 20_000
FEWEST_EPOCHS, MOST_EPOCHS = 10, 200
BATCH_SIZE = 32
# For batches of 32: the peak of a 1cycle, and a rate to start from without one.
_RATES = {"adamw": (3e-3, 1e-3), "nesterov": (0.02, 0.01)}


def inputs(making: Deliberation, profile: Profile) -> None:
    """Chooses how inputs are standardized."""
    if profile.inputs == "pixels":
        how = "all pixels together" if profile.axis is None else "each channel"
        why = "pixels share a unit, and borders that hardly vary must not be blown up"
    else:
        how, why = "each column", "columns have units of their own, and weights expect size 1"
    why += "; inside the model, which takes raw rows"
    making.choose("inputs", f"standardized, {how}", why)


def size(making: Deliberation) -> tuple[int, ...]:
    """Chooses the hidden layers."""
    reason = "wide enough for most tables and small images; what is too much, the best epoch spares"
    return making.choose("hidden", HIDDEN, reason)


def signals(making: Deliberation, hidden_layers: int) -> None:
    """Chooses activation, starting weights and normalization by what depth does to gradients."""
    deep = is_deep(hidden_layers)
    layers = f"{hidden_layers} layer{'s' if hidden_layers > 1 else ''}"
    change = f"through {layers} of ELU gradients grow {change_through(hidden_layers):.3g} times"
    activation = making.choose(
        "activation",
        "silu" if deep else "elu",
        "smooth throughout, and ahead of ELU where signals are normalized"
        if deep
        else "its units cannot die, and their mean stays near 0",
    )
    making.choose(
        "kernel_initializer",
        moments.initializer_for(activation),
        f"what {activation} needs to keep signals of one size",
    )
    making.choose(
        "normalization",
        "batch" if deep else None,
        f"{change}: {'too much for one rate to suit both ends' if deep else 'even enough without'}",
    )


def regularization(
    making: Deliberation, profile: Profile, hidden: tuple[int, ...], *, is_alpha: bool = False
) -> None:
    """Chooses dropout and penalties by the task, and by how many weights there are for a row."""
    weights = sum((a + 1) * b for a, b in pairwise((profile.features, *hidden, profile.outputs)))
    if profile.kind == "numbers":
        rate, reason = 0.0, "its noise costs a regression more than it saves"
    elif weights > (_ALPHA_NEEDED if is_alpha else _NEEDED) * profile.rows:
        kind = "AlphaDropout" if is_alpha else "Dropout"
        rate = DROPOUT
        reason = f"{kind} eases overfitting: {weights:,} weights for {profile.rows:,} rows"
    else:
        rate, reason = 0.0, f"{profile.rows:,} rows are enough for {weights:,} weights"
    making.choose("dropout", rate, reason)
    making.choose("l1", 0.0, "weights that help little may stay; see ek.recipes.sparse")


_TARGETS = {
    "binary": "y is 0 and 1",
    "labels": "y has columns of 0 and 1, several of them 1 in a row",
    "classes": "y holds class numbers",
    "one-hot": "y holds one-hot rows",
    "numbers": "y holds numbers; the last layer puts their unit back",
}


def answer(making: Deliberation, profile: Profile) -> None:
    """States the output and the loss, which follow from the targets, and weighs classes."""
    units = f"{profile.outputs} {output_activation(profile) or 'linear'} unit"
    units += "s" if profile.outputs > 1 else ""
    units += ", in the unit of y" if profile.kind == "numbers" else ""
    making.choose("output", units, _TARGETS[profile.kind])
    why = "the cross-entropy of such targets"
    if profile.kind == "numbers":
        why = "measured in standard deviations of y, so that gradients have size 1"
    making.choose("loss", loss_name(profile), why)
    if profile.kind in ("labels", "numbers"):
        _refuse_class_weight(making, profile)
        return
    reason = "no class is far rarer than another"
    if profile.imbalance > ClassImbalance.ratio:
        reason = f"the commonest class has {profile.imbalance:,.3g} times the rows of the rarest, "
        reason += "but weights would distort probabilities; 'balanced' asks for them"
    making.choose("class_weight", None, reason)


def _refuse_class_weight(making: Deliberation, profile: Profile) -> None:
    if making.asked.get("class_weight"):
        raise InvalidArgumentError(
            explain(
                f"recipe(class_weight): got 'balanced', but {_TARGETS[profile.kind]}.",
                "Leave it out; fit takes sample_weight.",
            )
        )


def training(making: Deliberation, profile: Profile, optimizer: str) -> None:
    """Chooses how the network is trained."""
    batch = making.choose("batch_size", BATCH_SIZE, "many small steps an epoch")
    steps = math.ceil(max(1.0, 0.9 * profile.rows) / batch)
    epochs = making.choose(
        "epochs",
        min(max(math.ceil(STEPS / steps), FEWEST_EPOCHS), MOST_EPOCHS),
        f"about {STEPS:,} steps, within {FEWEST_EPOCHS} to {MOST_EPOCHS} epochs",
    )
    kind = making.choose(
        "optimizer",
        optimizer,
        "steps of one size whatever the gradients', so that one rate suits most data"
        if optimizer == "adamw"
        else "momentum with a look ahead; signals of one size let one rate suit all layers",
    )
    schedule = making.choose("schedule", "1cycle", "up, down and far down within the run")
    _rate(making, kind, schedule, batch)
    making.choose(
        "weight_decay",
        0.01 if kind == "adamw" else 0.0,
        "AdamW's own" if kind == "adamw" else "not needed",
    )
    making.choose(
        "patience",
        epochs if schedule == "1cycle" else 20,
        "a cycle gains most at its end, so it is not cut short; the best epoch's weights are kept"
        if schedule == "1cycle"
        else "four lower rates without a gain end the run; the best epoch's weights are kept",
    )
    making.choose("precision", "float32", "exact on every device")


def _rate(making: Deliberation, optimizer: str, schedule: str | None, batch: int) -> None:
    """Chooses the rate, which grows with the batch: as it does for momentum, by its root else."""
    is_descent = optimizer in ("nesterov", "sgd")
    peak, plain = _RATES["nesterov" if is_descent else "adamw"]
    factor = batch / BATCH_SIZE if is_descent else math.sqrt(batch / BATCH_SIZE)
    rate = (peak if schedule == "1cycle" else plain) * factor
    making.choose(
        "learning_rate",
        rate,
        ("the highest of the cycle; " if schedule == "1cycle" else "")
        + f"suits standardized inputs and batches of {batch}",
    )
