"""Optimizers that divide by the size of past gradients, all of them or the recent ones."""

from __future__ import annotations

import math
from typing import Unpack

import jax
import jax.numpy as jnp

from evenkeel.errors import number_in
from evenkeel.network import Array
from evenkeel.optimizers.base import Optimizer, Params, Schedule, Slots, registry
from evenkeel.optimizers.surroundings import Around, filled_like


@registry.register()
class Adagrad(Optimizer):
    """Adaptive gradients: steep dimensions get a lower rate than gentle ones.

        s ← s + g²
        θ ← θ - η g / sqrt(s + ε)

    The path bends earlier towards the minimum, and η needs less tuning. But s only grows: in a
    deep network the rate is often gone before the minimum is reached.

    Args:
        learning_rate: The η, at least 0, or a schedule.
        initial_accumulator_value: The s before the first step, at least 0.
        epsilon: The ε under the root, above 0 (optax also has it there, PyTorch outside).
        **around: What every optimizer takes: weight decay, clipping and others; see `Optimizer`.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> Adagrad(learning_rate=0.01)
        Adagrad(learning_rate=0.01, initial_accumulator_value=0.1, epsilon=1e-07)

    References:
        Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
        Optimization", JMLR 12, 2011.
    """

    _settings = ("initial_accumulator_value", "epsilon")
    updates_elementwise = True

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **around: Unpack[Around],
    ):
        super().__init__(learning_rate, **around)
        self.initial_accumulator_value = number_in(
            "Adagrad(initial_accumulator_value)", initial_accumulator_value, 0, math.inf
        )
        self.epsilon = number_in("Adagrad(epsilon)", epsilon, 0, math.inf, low_open=True)

    def init(self, params: Params) -> Slots:
        """Returns the initial accumulator for each parameter."""
        start = self.initial_accumulator_value
        return {"accumulator": filled_like(params, start)}

    def update(
        self, gradients: Params, slots: Slots, params: Params, rate: Array, step: Array
    ) -> tuple[Params, Slots]:
        """Returns the step and the next accumulators."""
        s = jax.tree.map(lambda s, g: s + g * g, slots["accumulator"], gradients)
        updates = jax.tree.map(lambda s, g: -rate * g / jnp.sqrt(s + self.epsilon), s, gradients)
        return updates, {"accumulator": s}


@registry.register("rmsprop")
class RMSprop(Optimizer):
    """Divides by the root of the mean square of recent gradients: Adagrad that forgets.

        v ← ρ v + (1 - ρ) g²
        a ← ρ a + (1 - ρ) g                   (a = 0 unless centered)
        m ← β m + η g / sqrt(v - a² + ε)
        θ ← θ - m

    Args:
        learning_rate: The η, at least 0, or a schedule.
        rho: The decay ρ of the averages, in [0, 1).
        momentum: The β, in [0, 1); at 0 there is none. A schedule that cycles the momentum sets it
            if it is above 0.
        epsilon: The ε under the root, above 0 (PyTorch has it outside).
        centered: Whether to divide by the recent standard deviation instead.
        **around: What every optimizer takes: weight decay, clipping and others; see `Optimizer`.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> RMSprop(learning_rate=1e-3, rho=0.9).rho
        0.9

    References:
        Tieleman and Hinton, "Lecture 6.5: rmsprop", Coursera, 2012. Centered: Graves, "Generating
        Sequences With Recurrent Neural Networks", 2013.
    """

    _settings = ("rho", "momentum", "epsilon", "centered")
    updates_elementwise = True

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **around: Unpack[Around],
    ):
        super().__init__(learning_rate, **around)
        self.rho = number_in("RMSprop(rho)", rho, 0, 1, high_open=True)
        self.momentum = number_in("RMSprop(momentum)", momentum, 0, 1, high_open=True)
        self.epsilon = number_in("RMSprop(epsilon)", epsilon, 0, math.inf, low_open=True)
        self.centered = bool(centered)

    def init(self, params: Params) -> Slots:
        """Returns zero averages, and zero momenta if there is momentum, for each parameter."""
        names = ["velocity"]
        names += ["average_gradient"] if self.centered else []
        names += ["momentum"] if self.momentum else []
        return {name: filled_like(params) for name in names}

    def update(
        self, gradients: Params, slots: Slots, params: Params, rate: Array, step: Array
    ) -> tuple[Params, Slots]:
        """Returns the step, the next averages and the next momenta."""
        rho, eps = self.rho, self.epsilon
        v = jax.tree.map(lambda v, g: rho * v + (1.0 - rho) * g * g, slots["velocity"], gradients)
        after, spread = {"velocity": v}, v
        if self.centered:
            a = jax.tree.map(
                lambda a, g: rho * a + (1.0 - rho) * g, slots["average_gradient"], gradients
            )
            # A variance is never negative, but the rounding of this difference may be.
            spread = jax.tree.map(lambda v, a: jnp.maximum(v - a * a, 0.0), v, a)
            after["average_gradient"] = a
        updates = jax.tree.map(lambda g, s: -rate * g / jnp.sqrt(s + eps), gradients, spread)
        if self.momentum:
            beta = self.momentum_at(step, self.momentum)
            # With the sign of the step, as in SGD: what is added to the parameters.
            updates = jax.tree.map(lambda m, u: beta * m + u, slots["momentum"], updates)
            after["momentum"] = updates
        return updates, after
