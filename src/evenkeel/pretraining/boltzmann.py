"""The equations of restricted Boltzmann machines, as pure functions.

Each takes a `Machine`, which is its numbers, rows, and where chance comes from. `rbm` has epochs of
them, compiled, and the face.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, get_args

import jax
import jax.numpy as jnp

from evenkeel.bits import normals, uniforms
from evenkeel.network import Array
from evenkeel.precision import product

Visible = Literal["bernoulli", "gaussian"]
KINDS: tuple[Visible, ...] = get_args(Visible)


class Machine(NamedTuple):
    """The numbers of a machine: the kernel W (visible, hidden), and the biases a and b."""

    kernel: Array
    visible_bias: Array
    hidden_bias: Array


class State(NamedTuple):
    """What must survive to the next step: the machine, its velocity, the chains' hidden units."""

    machine: Machine
    velocity: Machine
    chains: Array


class Chance(Protocol):
    """Where random numbers come from, in the order in which they are asked for."""

    def uniform(self, shape: tuple[int, ...]) -> Array:
        """Returns numbers from [0, 1)."""
        ...

    def normal(self, shape: tuple[int, ...]) -> Array:
        """Returns numbers from the normal distribution."""
        ...


class KeyedChance:
    """Random numbers that depend on a key and on how many draws came before.

    Args:
        key: A random key, used for nothing else.
    """

    def __init__(self, key: Array):
        self._key = key
        self._draws = 0

    def _next(self) -> Array:
        self._draws += 1
        return jax.random.fold_in(self._key, self._draws)

    def uniform(self, shape: tuple[int, ...]) -> Array:
        """Returns numbers from [0, 1)."""
        return uniforms(self._next(), shape)

    def normal(self, shape: tuple[int, ...]) -> Array:
        """Returns numbers from the normal distribution."""
        return normals(self._next(), shape)


def hidden_mean(machine: Machine, v: Array) -> Array:
    """Returns P(h = 1 | v) = σ(v·W + b)."""
    return jax.nn.sigmoid(product(v, machine.kernel, "float32") + machine.hidden_bias[None])


def visible_mean(machine: Machine, h: Array, kind: Visible) -> Array:
    """Returns E(v | h): σ(h·Wᵀ + a) of Bernoulli units, h·Wᵀ + a of Gaussian ones."""
    sums = product(h, machine.kernel.T, "float32") + machine.visible_bias[None]
    return jax.nn.sigmoid(sums) if kind == "bernoulli" else sums


def tossed(mean: Array, chance: Chance) -> Array:
    """Returns 1 with the probability `mean`, else 0."""
    return (chance.uniform(mean.shape) < mean).astype(jnp.float32)


def sampled_visible(machine: Machine, h: Array, kind: Visible, chance: Chance) -> Array:
    """Draws v given h; Gaussian units have the variance 1."""
    mean = visible_mean(machine, h, kind)
    return tossed(mean, chance) if kind == "bernoulli" else mean + chance.normal(mean.shape)


def free_energy(machine: Machine, v: Array, kind: Visible) -> Array:
    """Returns F(v), for which P(v) ∝ exp(-F(v)), row by row.

    F(v) = -a·v - Σⱼ softplus(v·W + b)ⱼ, and with ½‖v - a‖² in place of -a·v for Gaussian units.
    """
    sums = product(v, machine.kernel, "float32") + machine.hidden_bias[None]
    hidden = jnp.sum(jax.nn.softplus(sums), axis=1)
    if kind == "bernoulli":
        return -jnp.sum(v * machine.visible_bias[None], axis=1) - hidden
    return 0.5 * jnp.sum(jnp.square(v - machine.visible_bias[None]), axis=1) - hidden


def ascent(
    machine: Machine,
    chains: Array,
    v: Array,
    chance: Chance,
    *,
    kind: Visible,
    steps: int,
    persistent: bool,
) -> tuple[Machine, Array]:
    """Returns the direction in which the rows become likelier, and where the chains end.

        ΔW = ⟨vᵀ·P(h|v)⟩ of the rows - ⟨vᵀ·P(h|v)⟩ of the chains, and so for the biases

    Args:
        machine: The numbers as they are.
        chains: The hidden units of the chains, used if they persist.
        v: The rows.
        chance: Where random numbers come from.
        kind: What the visible units are.
        steps: How often the chains go to the visible units and back.
        persistent: Whether they go on from `chains`, rather than begin at the rows.
    """
    positive = hidden_mean(machine, v)
    h = chains if persistent else tossed(positive, chance)
    fantasy, negative = v, positive
    for _ in range(steps):
        fantasy = sampled_visible(machine, h, kind, chance)
        negative = hidden_mean(machine, fantasy)
        h = tossed(negative, chance)
    rows, length = v.shape[0], fantasy.shape[0]
    direction = Machine(
        kernel=product(v.T, positive, "float32") / rows
        - product(fantasy.T, negative, "float32") / length,
        visible_bias=jnp.mean(v, axis=0) - jnp.mean(fantasy, axis=0),
        hidden_bias=jnp.mean(positive, axis=0) - jnp.mean(negative, axis=0),
    )
    return direction, h


def advanced(
    state: State, direction: Machine, chains: Array, rate: Array, momentum: Array, decay: Array
) -> State:
    """Takes a step: velocity = momentum·velocity + rate·(Δ - decay·W); biases do not decay."""
    held = direction._replace(kernel=direction.kernel - decay * state.machine.kernel)
    velocity = jax.tree.map(lambda u, d: momentum * u + rate * d, state.velocity, held)
    machine = jax.tree.map(jnp.add, state.machine, velocity)
    return State(machine=machine, velocity=velocity, chains=chains)


def pseudo_likelihood(machine: Machine, v: Array, flips: Array) -> Array:
    """Returns an estimate of Σᵢ log P(vᵢ | the others), row by row, for Bernoulli units.

        n · log σ(F(v with unit i flipped) - F(v)),    n units, i drawn at random

    Args:
        machine: The numbers.
        v: The rows.
        flips: The number i of a unit for each row.
    """
    units = v.shape[1]
    hot = jax.nn.one_hot(flips, units, dtype=jnp.float32)
    flipped = v * (1 - hot) + (1 - v) * hot
    gap = free_energy(machine, flipped, "bernoulli") - free_energy(machine, v, "bernoulli")
    return units * jax.nn.log_sigmoid(gap)
