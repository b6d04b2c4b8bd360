"""An optimizer to start from. `python -m doctest skeletons/optimizer.py` runs the example.

CONTRIBUTING.md, "Add an optimizer", says where the class goes.
"""

from __future__ import annotations

from typing import Unpack

import jax
import jax.numpy as jnp

from evenkeel.errors import number_in
from evenkeel.network import Array
from evenkeel.optimizers.base import Optimizer, Params, Schedule, Slots, registry
from evenkeel.optimizers.surroundings import Around


# Known by its name; case and underscores do not matter. An abbreviation would be an argument.
@registry.register()
class HeavyBall(Optimizer):
    """Momentum with the learning rate outside of it, as PyTorch's SGD has it.

        m ← β m + g
        θ ← θ - η m

    At a constant η these are the steps of `SGD(momentum=β)`. When η changes, all of m follows at
    once; in `SGD` what was gathered before keeps its old rate.

    Args:
        learning_rate: The η, at least 0, or a schedule.
        momentum: The β, in [0, 1); at 0 this is plain gradient descent.
        **around: What every optimizer takes: weight decay, clipping and others; see `Optimizer`.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> HeavyBall(momentum=0.5)
        HeavyBall(learning_rate=0.01, momentum=0.5)

    References:
        Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """

    # The constructor's own settings besides learning_rate: the configuration is made of them, and
    # compiled steps with equal settings are shared.
    _settings = ("momentum",)
    # Each element's step depends on its own gradient and slots alone, so that the engine may
    # hold a matrix in blocks. Leave it out for an update that looks at norms or whole rows.
    updates_elementwise = True

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.9,
        **around: Unpack[Around],
    ):
        super().__init__(learning_rate, **around)
        self.momentum = number_in("HeavyBall(momentum)", momentum, 0, 1, high_open=True)

    def init(self, params: Params) -> Slots:
        """Returns a zero momentum for each parameter."""
        # A dict of slot names, each shaped like `params`; {} for an optimizer without memory.
        return {"momentum": jax.tree.map(jnp.zeros_like, params)}

    def update(
        self, gradients: Params, slots: Slots, params: Params, rate: Array, step: Array
    ) -> tuple[Params, Slots]:
        """Returns the step, to be added, and the next momentum."""
        # Pure: no attribute is written here. `step` counts updates from 0.
        # A schedule such as OneCycle may set the momentum; without one this is self.momentum.
        beta = self.momentum_at(step, self.momentum)
        m = jax.tree.map(lambda m, g: beta * m + g, slots["momentum"], gradients)
        return jax.tree.map(lambda m: -rate * m, m), {"momentum": m}
