"""Adam and its variants: momentum, divided by the recent size of the gradients."""

from __future__ import annotations

import math
from typing import Unpack

import jax
import jax.numpy as jnp

from evenkeel.errors import number_in
from evenkeel.network import Array
from evenkeel.optimizers.base import Optimizer, Params, Schedule, Slots, registry
from evenkeel.optimizers.surroundings import Around, AroundWithoutDecay, filled_like


class _Adaptive(Optimizer):
    """What Adam and its variants have in common: two decay rates, and an ε in the division."""

    _settings = ("beta_1", "beta_2", "epsilon")
    updates_elementwise = True

    def __init__(
        self,
        learning_rate: float | Schedule,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        **around: Unpack[Around],
    ):
        super().__init__(learning_rate, **around)
        where = type(self).__name__
        self.beta_1 = number_in(f"{where}(beta_1)", beta_1, 0, 1, high_open=True)
        self.beta_2 = number_in(f"{where}(beta_2)", beta_2, 0, 1, high_open=True)
        self.epsilon = number_in(f"{where}(epsilon)", epsilon, 0, math.inf, low_open=True)

    def init(self, params: Params) -> Slots:
        """Returns zero moments for each parameter."""
        return {
            "momentum": filled_like(params),
            "velocity": filled_like(params),
        }


@registry.register()
class Adam(_Adaptive):
    """Adaptive moment estimation: momentum, divided by the gradients' recent size.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        θ ← θ - η · sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (sqrt(v) + ε),    t = 1, 2, ...

    With `amsgrad`, the largest v so far takes the place of v. As in Keras, ε stands outside the
    root and is not corrected for bias (the paper's ε-hat); PyTorch and optax add it after the
    correction, which matters while sqrt(v) is near ε. A schedule that cycles the momentum sets β₁,
    and the correction uses the β₁ of the step, as PyTorch's does.

    Args:
        learning_rate: The η, at least 0, or a schedule.
        beta_1: The decay β₁ of the momentum, in [0, 1).
        beta_2: The decay β₂ of the squares, in [0, 1).
        epsilon: The ε that keeps the division finite, above 0.
        amsgrad: Whether to divide by the largest v so far, so that no step size grows again.
        **around: What every optimizer takes: weight decay, clipping and others; see `Optimizer`.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> Adam().learning_rate
        0.001

    References:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, section 2.
        https://arxiv.org/abs/1412.6980
        Reddi, Kale and Kumar, "On the Convergence of Adam and Beyond", ICLR 2018 (AMSGrad).
    """

    _settings = ("beta_1", "beta_2", "epsilon", "amsgrad")

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **around: Unpack[Around],
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **around)
        self.amsgrad = bool(amsgrad)

    def init(self, params: Params) -> Slots:
        """Returns zero moments for each parameter, and a zero maximum with `amsgrad`."""
        largest = {"velocity_hat": filled_like(params)} if self.amsgrad else {}
        return super().init(params) | largest

    def update(
        self, gradients: Params, slots: Slots, params: Params, rate: Array, step: Array
    ) -> tuple[Params, Slots]:
        """Returns the step and the next moments."""
        b1, b2, eps = self.momentum_at(step, self.beta_1), self.beta_2, self.epsilon
        t = (step + 1).astype(jnp.float32)
        eta = rate * jnp.sqrt(1.0 - b2**t) / (1.0 - b1**t)
        m = jax.tree.map(lambda m, g: m + (1.0 - b1) * (g - m), slots["momentum"], gradients)
        v = jax.tree.map(lambda v, g: v + (1.0 - b2) * (g * g - v), slots["velocity"], gradients)
        after, divisor = {"momentum": m, "velocity": v}, v
        if self.amsgrad:
            divisor = jax.tree.map(jnp.maximum, slots["velocity_hat"], v)
            after["velocity_hat"] = divisor
        updates = jax.tree.map(lambda m, v: -eta * m / (jnp.sqrt(v) + eps), m, divisor)
        return updates, after


@registry.register("adamw")
class AdamW(Adam):
    """Adam with decoupled weight decay: the weights shrink by themselves, apart from the gradient.

        θ ← θ - η w θ, then Adam's step

    In Adam an L2 penalty is divided by the size of the gradients, too, so that weights with large
    gradients hardly shrink; here all shrink alike.

    Args:
        learning_rate: The η, at least 0, or a schedule.
        weight_decay: The w, at least 0; 0.004 as in Keras (PyTorch has 0.01, optax 0.0001).
        beta_1: The decay β₁ of the momentum, in [0, 1).
        beta_2: The decay β₂ of the squares, in [0, 1).
        epsilon: The ε that keeps the division finite, above 0.
        amsgrad: Whether to divide by the largest v so far.
        **around: What every optimizer takes: clipping, averaging and others; see `Optimizer`.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> optimizer = AdamW(learning_rate=1e-3, weight_decay=0.01)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias"])

    References:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
        https://arxiv.org/abs/1711.05101
    """

    _settings = ("weight_decay", "beta_1", "beta_2", "epsilon", "amsgrad")

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **around: Unpack[AroundWithoutDecay],
    ):
        decay = number_in("AdamW(weight_decay)", weight_decay, 0, math.inf)
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=decay, **around
        )


@registry.register()
class Adamax(_Adaptive):
    """Adam with the largest recent gradient in place of their mean square.

        m ← β₁ m + (1 - β₁) g
        u ← max(β₂ u, |g|)
        θ ← θ - η / (1 - β₁ᵗ) · m / (u + ε),    t = 1, 2, ...

    Steadier than Adam where gradients are rare and large, as those of embeddings are.

    Args:
        learning_rate: The η, at least 0, or a schedule.
        beta_1: The decay β₁ of the momentum, in [0, 1).
        beta_2: The decay β₂ of the maximum, in [0, 1).
        epsilon: The ε that keeps the division finite, above 0. Keras adds it; PyTorch puts it
            into the maximum.
        **around: What every optimizer takes: weight decay, clipping and others; see `Optimizer`.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> Adamax(learning_rate=1e-3)
        Adamax(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-07)

    References:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, section 7.
        https://arxiv.org/abs/1412.6980
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **around: Unpack[Around],
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **around)

    def init(self, params: Params) -> Slots:
        """Returns a zero momentum and a zero maximum for each parameter."""
        return {
            "momentum": filled_like(params),
            "norm": filled_like(params),
        }

    def update(
        self, gradients: Params, slots: Slots, params: Params, rate: Array, step: Array
    ) -> tuple[Params, Slots]:
        """Returns the step, the next momenta and maxima."""
        b1, b2, eps = self.momentum_at(step, self.beta_1), self.beta_2, self.epsilon
        t = (step + 1).astype(jnp.float32)
        eta = rate / (1.0 - b1**t)
        m = jax.tree.map(lambda m, g: m + (1.0 - b1) * (g - m), slots["momentum"], gradients)
        u = jax.tree.map(lambda u, g: jnp.maximum(b2 * u, jnp.abs(g)), slots["norm"], gradients)
        updates = jax.tree.map(lambda m, u: -eta * m / (u + eps), m, u)
        return updates, {"momentum": m, "norm": u}


@registry.register()
class Nadam(_Adaptive):
    """Adam with Nesterov's momentum: the momentum of the next step counts already in this one.

        μ_t = β₁ (1 - ½ · 0.96ᵗ),    Π_t = μ_1 μ_2 ... μ_t
        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        m̂ = μ_{t+1} m / (1 - Π_{t+1}) + (1 - μ_t) g / (1 - Π_t)
        θ ← θ - η m̂ / (sqrt(v / (1 - β₂ᵗ)) + ε),    t = 1, 2, ...

    Args:
        learning_rate: The η, at least 0, or a schedule.
        beta_1: The decay β₁ of the momentum, in [0, 1).
        beta_2: The decay β₂ of the squares, in [0, 1).
        epsilon: The ε that keeps the division finite, above 0.
        **around: What every optimizer takes: weight decay, clipping and others; see `Optimizer`.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> Nadam(learning_rate=1e-3)
        Nadam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-07)

    References:
        Dozat, "Incorporating Nesterov Momentum into Adam", ICLR 2016 workshop; the factor 0.96
        is from there.
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **around: Unpack[Around],
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **around)

    def init(self, params: Params) -> Slots:
        """Returns zero moments for each parameter, and the empty product of momenta."""
        return super().init(params) | {"momentum_product": jnp.ones((), jnp.float32)}

    def update(
        self, gradients: Params, slots: Slots, params: Params, rate: Array, step: Array
    ) -> tuple[Params, Slots]:
        """Returns the step, the next moments and the next product."""
        # Rounded once: 1 - β and 1 - βᵗ then have the same rounding, which cancels at t = 1.
        b1, next_b1, b2 = (
            jnp.asarray(beta, jnp.float32)
            for beta in (
                self.momentum_at(step, self.beta_1),
                self.momentum_at(step + 1, self.beta_1),
                self.beta_2,
            )
        )
        t = (step + 1).astype(jnp.float32)
        mu, next_mu = b1 * (1.0 - 0.5 * 0.96**t), next_b1 * (1.0 - 0.5 * 0.96 ** (t + 1.0))
        product = slots["momentum_product"] * mu
        of_m, of_g = next_mu / (1.0 - product * next_mu), (1.0 - mu) / (1.0 - product)
        m = jax.tree.map(lambda m, g: m + (1.0 - b1) * (g - m), slots["momentum"], gradients)
        v = jax.tree.map(lambda v, g: v + (1.0 - b2) * (g * g - v), slots["velocity"], gradients)
        correction = 1.0 - b2**t

        def change(m: Array, v: Array, g: Array) -> Array:
            return -rate * (of_m * m + of_g * g) / (jnp.sqrt(v / correction) + self.epsilon)

        after = {"momentum": m, "velocity": v, "momentum_product": product}
        return jax.tree.map(change, m, v, gradients), after
