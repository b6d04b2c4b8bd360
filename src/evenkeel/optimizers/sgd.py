"""Stochastic gradient descent: plain, with momentum, and Nesterov's."""

from __future__ import annotations

from typing import Unpack

import jax

from evenkeel.errors import InvalidArgumentError, explain, number_in
from evenkeel.network import Array
from evenkeel.optimizers.base import Optimizer, Params, Schedule, Slots, registry
from evenkeel.optimizers.legacy_decay import set_decay, warn_of_decay
from evenkeel.optimizers.surroundings import Around, filled_like


@registry.register()
class SGD(Optimizer):
    """Gradient descent on batches, with or without momentum.

        plain:     θ ← θ - η g
        momentum:  m ← β m - η g;   θ ← θ + m
        Nesterov:  m ← β m - η g;   θ ← θ + β m - η g

    With constant gradients, momentum reaches the terminal velocity η g / (1 - β): at β = 0.9
    ten times the plain step. A schedule that cycles the momentum, such as `OneCycle`, sets β.

    Args:
        learning_rate: The η, at least 0, or a schedule.
        momentum: The β, in [0, 1); 0 is plain descent.
        nesterov: Whether to measure the gradient ahead; needs momentum.
        decay: What earlier Keras had: the rate becomes η / (1 + decay·t). Warns, and names the
            schedule that says so today.
        **around: What every optimizer takes: weight decay, clipping and others; see `Optimizer`.

    Raises:
        InvalidArgumentError: If a setting is out of range, or Nesterov without momentum.

    Example:
        >>> SGD(learning_rate=0.01, momentum=0.9, nesterov=True)
        SGD(learning_rate=0.01, momentum=0.9, nesterov=True)

    References:
        Polyak, "Some methods of speeding up the convergence of iteration methods", 1964;
        Nesterov, 1983; Sutskever et al., "On the importance of initialization and momentum in
        deep learning", ICML 2013.
    """

    _settings = ("momentum", "nesterov")
    updates_elementwise = True

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        *,
        decay: float | None = None,
        **around: Unpack[Around],
    ):
        super().__init__(learning_rate, **around)
        self.momentum = number_in("SGD(momentum)", momentum, 0, 1, high_open=True)
        self.nesterov = bool(nesterov)
        if decay is not None:
            set_decay(self, decay)
            warn_of_decay(self, "SGD(decay=...)")
        if self.nesterov and self.momentum == 0 and not self.cycles_momentum:
            raise InvalidArgumentError(
                explain(
                    "SGD: nesterov=True with momentum=0 has no effect.",
                    "Type SGD(learning_rate=0.01, momentum=0.9, nesterov=True).",
                )
            )

    @property
    def _has_momentum(self) -> bool:
        return self.momentum > 0 or self.cycles_momentum

    def init(self, params: Params) -> Slots:
        """Returns a zero momentum for each parameter, or nothing for plain descent."""
        return {"momentum": filled_like(params)} if self._has_momentum else {}

    def update(
        self, gradients: Params, slots: Slots, params: Params, rate: Array, step: Array
    ) -> tuple[Params, Slots]:
        """Returns the step and the next momenta."""
        if not self._has_momentum:
            return jax.tree.map(lambda g: -rate * g, gradients), slots
        beta = self.momentum_at(step, self.momentum)
        m = jax.tree.map(lambda m, g: beta * m - rate * g, slots["momentum"], gradients)
        ahead = jax.tree.map(lambda m, g: beta * m - rate * g, m, gradients)
        return (ahead if self.nesterov else m), {"momentum": m}
