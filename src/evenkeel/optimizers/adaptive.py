"""Optimizers with a step size of its own for every parameter: Adam."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from evenkeel.errors import number_in
from evenkeel.network import Array
from evenkeel.optimizers.base import Optimizer, Params, Schedule, Slots, registry


@registry.register()
class Adam(Optimizer):
    """Adaptive moment estimation: momentum, divided by the gradients' recent size.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        θ ← θ - η · sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (sqrt(v) + ε),    t = 1, 2, ...

    As in Keras, ε stands outside the root and is not corrected for bias (the paper's ε-hat);
    PyTorch and optax add it after the correction, which matters while sqrt(v) is near ε.

    Args:
        learning_rate: The η, at least 0, or a schedule.
        beta_1: The decay β₁ of the momentum, in [0, 1).
        beta_2: The decay β₂ of the squares, in [0, 1).
        epsilon: The ε that keeps the division finite, above 0.
        name: The name in messages and files.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> Adam().learning_rate
        0.001

    References:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, section 2.
        https://arxiv.org/abs/1412.6980
    """

    _settings = ("beta_1", "beta_2", "epsilon")
    is_elementwise = True

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str | None = None,
    ):
        super().__init__(learning_rate, name)
        self.beta_1 = number_in("Adam(beta_1)", beta_1, 0, 1, high_open=True)
        self.beta_2 = number_in("Adam(beta_2)", beta_2, 0, 1, high_open=True)
        self.epsilon = number_in("Adam(epsilon)", epsilon, 0, math.inf, low_open=True)

    def init(self, params: Params) -> Slots:
        """Returns zero moments for each parameter."""
        return {
            "momentum": jax.tree.map(jnp.zeros_like, params),
            "velocity": jax.tree.map(jnp.zeros_like, params),
        }

    def update(
        self, gradients: Params, slots: Slots, params: Params, rate: Array, step: Array
    ) -> tuple[Params, Slots]:
        """Returns the step and the next moments."""
        b1, b2, eps = self.beta_1, self.beta_2, self.epsilon
        t = (step + 1).astype(jnp.float32)
        eta = rate * jnp.sqrt(1.0 - b2**t) / (1.0 - b1**t)
        m = jax.tree.map(lambda m, g: m + (1.0 - b1) * (g - m), slots["momentum"], gradients)
        v = jax.tree.map(lambda v, g: v + (1.0 - b2) * (g * g - v), slots["velocity"], gradients)
        updates = jax.tree.map(lambda m, v: -eta * m / (jnp.sqrt(v) + eps), m, v)
        return updates, {"momentum": m, "velocity": v}
