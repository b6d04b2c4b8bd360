"""The self-normalizing configuration: a plain stack that keeps signals at mean 0, variance 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.recipes import prescribing
from evenkeel.recipes.choices import Deliberation
from evenkeel.recipes.profile import Inputs, Task, look_at
from evenkeel.recipes.recipe import Recipe

# What Klambauer et al. prove self-normalization for, besides a plain stack.
_CONDITIONS = {"activation": "selu", "kernel_initializer": "lecun_normal", "normalization": None}


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
    normalization, AlphaDropout where classes are to be told with few rows for so many weights,
    Nesterov momentum along a 1cycle. Asking for what would break these conditions is refused.

    Args:
        x: The training inputs: (rows, features) or images, raw.
        y: Their targets: class numbers, one-hot rows, 0 and 1, or numbers.
        task: "classification" or "regression"; seen from y when None.
        inputs: "pixels" if all features share a unit, "columns" if each has its own; seen from x
            when None.
        classes: How many classes there are, where y may lack some; counted when None.
        **asked: Choices that you make yourself, as for `default`.

    Returns:
        The recipe: print it for its choices and reasons; `build()` and `fit(x, y)` use them.

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
    prescribing.inputs(making, profile)
    hidden = prescribing.size(making)
    making.choose("activation", "selu", "with it a plain stack of dense layers normalizes itself")
    making.choose("kernel_initializer", "lecun_normal", "SELU keeps variance 1 with these weights")
    making.choose("normalization", None, "signals keep mean 0 and variance 1 without it")
    prescribing.regularization(making, profile, hidden, is_alpha=True)
    prescribing.answer(making, profile)
    prescribing.training(making, profile, "nesterov")
    return Recipe(name="self_normalizing", profile=profile, choices=tuple(making.made))


def _refuse_broken_conditions(asked: Mapping[str, Any]) -> None:
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
