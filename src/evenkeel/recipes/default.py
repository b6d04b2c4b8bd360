"""The default configuration: needs little or no tuning, whatever the depth."""

from __future__ import annotations

from typing import Any

from evenkeel.recipes import prescribing
from evenkeel.recipes.choices import Deliberation
from evenkeel.recipes.profile import Inputs, Task, look_at
from evenkeel.recipes.recipe import Recipe


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
    network is deep; AdamW along a 1cycle; the best epoch's weights; dropout where classes are to be
    told with few rows for so many weights. Regressions are trained in standard deviations of the
    targets and answer in their unit.

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
    prescribing.inputs(making, profile)
    hidden = prescribing.size(making)
    prescribing.signals(making, len(hidden))
    prescribing.regularization(making, profile, hidden)
    prescribing.answer(making, profile)
    prescribing.training(making, profile, "adamw")
    return Recipe(name="default", profile=profile, choices=tuple(making.made))
