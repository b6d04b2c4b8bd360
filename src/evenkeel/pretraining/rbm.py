"""Restricted Boltzmann machines, trained by contrastive divergence, an epoch in one program.

The equations stand in `boltzmann`; `greedy` stacks machines.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.engine import intake
from evenkeel.engine.compilation import Program, compiled
from evenkeel.engine.feed import ArrayFeed
from evenkeel.engine.step import Batch
from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    NotBuiltError,
    NotFiniteError,
    explain,
    nearest,
    number_in,
    positive_integer,
)
from evenkeel.network import Array, copied, random_key
from evenkeel.pretraining.boltzmann import (
    KINDS,
    KeyedChance,
    Machine,
    State,
    Visible,
    advanced,
    ascent,
    free_energy,
    hidden_mean,
    pseudo_likelihood,
    visible_mean,
)
from evenkeel.randomness import generator, next_seed

# Hinton's guide, sections 7 and 8: small random weights, and for Gaussian units a smaller rate.
_RATES = {"bernoulli": 0.05, "gaussian": 0.005}
_STARTING_DEVIATION = 0.01
# A pixel that is never on would start with an infinite bias.
_LEAST_FREQUENCY = 0.01
# Rows on which an epoch is judged.
_JUDGED_ROWS = 1024


@lru_cache(maxsize=16)
def _epoch_program(kind: Visible, steps: int, persistent: bool) -> Program:
    """Compiles `run(state, data, order, key, rate, momentum, decay)`: every batch of an order."""

    def run(
        state: State, data: Batch, order: Array, key: Array, rate: Any, momentum: Any, decay: Any
    ) -> State:
        def body(i: Array, state: State) -> State:
            v = data.take(jax.lax.dynamic_index_in_dim(order, i, keepdims=False)).x
            chance = KeyedChance(jax.random.fold_in(key, i))
            direction, chains = ascent(
                state.machine,
                state.chains,
                v,
                chance,
                kind=kind,
                steps=steps,
                persistent=persistent,
            )
            kept = chains if persistent else state.chains
            return advanced(state, direction, kept, rate, momentum, decay)

        return jax.lax.fori_loop(0, order.shape[0], body, state)

    return compiled(run, donate=(0,), name="contrastive divergence")


@lru_cache(maxsize=4)
def _judging_program(kind: Visible) -> Program:
    """Compiles `run(machine, v, flips)`: the reconstruction error and the pseudo-likelihood."""

    def run(machine: Machine, v: Array, flips: Array) -> dict[str, Array]:
        again = visible_mean(machine, hidden_mean(machine, v), kind)
        numbers = {"reconstruction_error": jnp.mean(jnp.square(v - again))}
        if kind == "bernoulli":
            numbers["pseudo_likelihood"] = jnp.mean(pseudo_likelihood(machine, v, flips))
        return numbers

    return compiled(run, name="judging")


@lru_cache(maxsize=8)
def _program_of(what: str, kind: Visible) -> Program:
    functions: dict[str, Callable[..., Array]] = {
        "hidden": hidden_mean,
        "visible": lambda machine, h: visible_mean(machine, h, kind),
        "free energy": lambda machine, v: free_energy(machine, v, kind),
    }
    return compiled(functions[what], name=what)


class RestrictedBoltzmannMachine:
    """A layer of visible and a layer of hidden units that learns how likely rows are.

        P(v, h) ∝ exp(a·v + b·h + v·W·h),    h of zeros and ones

    Gaussian visible units have -½‖v - a‖² + b·h + v·W·h in the exponent instead, and so the
    variance 1: standardize the rows. Training follows the gradient of the likelihood, whose second
    term is estimated by chains of alternating draws (contrastive divergence).

    Args:
        units: The number of hidden units, at least 1.
        visible: What the visible units are: `"bernoulli"` for values from 0 to 1, read as
            probabilities, `"gaussian"` for real values.
        steps: How often a chain goes back and forth (the k of CD-k), at least 1.
        persistent: Whether chains go on from step to step, rather than begin at the rows. As many
            are kept as rows in a batch.
        learning_rate: The size of a step, above 0; 0.05 for Bernoulli and 0.005 for Gaussian units
            when None.
        momentum: How much of the last step goes on, in [0, 1).
        weight_decay: The factor by which the kernel shrinks at each step, times the rate; at least
            0.

    Raises:
        InvalidArgumentError: If an argument is impossible.

    Example:
        >>> import evenkeel as ek
        >>> (x, y), _ = ek.datasets.digits.load_data()
        >>> machine = ek.pretraining.RestrictedBoltzmannMachine(30)
        >>> history = machine.fit(x / 16, epochs=3)
        >>> history["reconstruction_error"][-1] < history["reconstruction_error"][0]
        True
        >>> machine.hidden(x[:5] / 16).shape
        (5, 30)

    References:
        Hinton, "Training Products of Experts by Minimizing Contrastive Divergence", Neural
        Computation 2002; Tieleman, "Training Restricted Boltzmann Machines using Approximations to
        the Likelihood Gradient", ICML 2008, for persistent chains; Hinton, "A Practical Guide to
        Training Restricted Boltzmann Machines", 2010, for the settings.
    """

    def __init__(
        self,
        units: int,
        visible: Visible = "bernoulli",
        *,
        steps: int = 1,
        persistent: bool = False,
        learning_rate: float | None = None,
        momentum: float = 0.5,
        weight_decay: float = 1e-4,
    ):
        where = type(self).__name__
        if visible not in KINDS:
            raise InvalidArgumentError(
                explain(f"{where}(visible): got {visible!r}.", nearest(str(visible), KINDS))
            )
        self.units = positive_integer(f"{where}(units)", units)
        self.visible: Visible = visible
        self.steps = positive_integer(f"{where}(steps)", steps)
        self.persistent = bool(persistent)
        rate = _RATES[visible] if learning_rate is None else learning_rate
        self.learning_rate = number_in(f"{where}(learning_rate)", rate, 0, math.inf, low_open=True)
        self.momentum = number_in(f"{where}(momentum)", momentum, 0, 1, high_open=True)
        self.weight_decay = number_in(f"{where}(weight_decay)", weight_decay, 0, math.inf)
        self._state: State | None = None

    def fit(self, x: Any, epochs: int = 10, batch_size: int = 64) -> dict[str, list[float]]:
        """Trains, or goes on training, by contrastive divergence.

        Args:
            x: The rows (rows, features).
            epochs: How often each row is used, at least 1.
            batch_size: Rows a step, at least 1.

        Returns:
            One number an epoch, measured after it on up to 1,024 rows: `"reconstruction_error"`,
            the mean squared difference of the rows and E(v | E(h | v)), and for Bernoulli units
            `"pseudo_likelihood"` in nats a row.

        Raises:
            InvalidDataError: If the rows are not what the visible units can be.
            NotFiniteError: If the weights blow up; the machine is as it was before.
        """
        epochs = positive_integer("RestrictedBoltzmannMachine.fit(epochs)", epochs)
        batch_size = positive_integer("RestrictedBoltzmannMachine.fit(batch_size)", batch_size)
        rows = self._checked(x)
        feed = ArrayFeed(Batch(x=rows), batch_size, shuffle_seed=next_seed())
        key = random_key(next_seed())
        state, judge = self._starting_state(rows, feed.batch_size), self._judge(rows)
        train = _epoch_program(self.visible, self.steps, self.persistent)
        speed = tuple(map(np.float32, (self.learning_rate, self.momentum, self.weight_decay)))
        history: dict[str, list[float]] = {}
        for epoch in range(epochs):
            for part, segment in enumerate(feed.epoch(epoch)):
                part_key = jax.random.fold_in(key, 2 * epoch + part)
                state = train(state, segment.data, segment.order, part_key, *speed)
            for name, value in judge(state.machine).items():
                history.setdefault(name, []).append(float(value))
            self._require_finite(state, history, epoch)
        self._state = state
        return history

    def _starting_state(self, rows: np.ndarray, chains: int) -> State:
        """Returns copies of the numbers, which the compiled epoch uses up."""
        hidden = np.zeros((chains, self.units), np.float32)
        if self._state is None:
            return _resting(self._fresh(rows), hidden)
        fits = self._state.chains.shape == hidden.shape
        return copied(self._state if fits else self._state._replace(chains=copied(hidden)))

    def _fresh(self, rows: np.ndarray) -> list[np.ndarray]:
        """Returns small random weights, and the visible bias that gives each feature its mean."""
        random = generator(next_seed())
        mean = rows.mean(axis=0, dtype=np.float64)
        if self.visible == "bernoulli":
            mean = np.clip(mean, _LEAST_FREQUENCY, 1 - _LEAST_FREQUENCY)
            mean = np.log(mean / (1 - mean))
        kernel = _STARTING_DEVIATION * random.standard_normal((rows.shape[1], self.units))
        return [kernel, mean, np.zeros(self.units)]

    def _judge(self, rows: np.ndarray) -> Callable[[Machine], dict[str, Array]]:
        """Returns what measures a machine, on rows and flips that stay the same."""
        random = generator(next_seed())
        chosen = random.permutation(len(rows))[:_JUDGED_ROWS]
        flips = copied(random.integers(0, rows.shape[1], len(chosen)).astype(np.int32))
        v = copied(rows[np.sort(chosen)])
        program = _judging_program(self.visible)
        return lambda machine: program(machine, v, flips)

    def _require_finite(self, state: State, history: dict[str, list[float]], epoch: int) -> None:
        judged = all(math.isfinite(values[-1]) for values in history.values())
        if judged and np.isfinite(np.asarray(state.machine.kernel)).all():
            return
        is_gaussian = self.visible == "gaussian"
        raise NotFiniteError(
            explain(
                f"{type(self).__name__}.fit: the weights are no longer finite after epoch "
                f"{epoch + 1}, at learning_rate={self.learning_rate:g}.",
                "Gaussian units need standardized rows, and a smaller rate than Bernoulli units."
                if is_gaussian
                else None,
                f"Type learning_rate={self.learning_rate / 10:g}.",
            )
        )

    # -- what it knows ---------------------------------------------------------------------------

    def hidden(self, x: Any) -> np.ndarray:
        """Returns P(h = 1 | v) for rows, (rows, units): what the next layer sees."""
        return self._asked("hidden", x)

    def free_energy(self, x: Any) -> np.ndarray:
        """Returns F(v) for rows, (rows,): the lower, the likelier."""
        return self._asked("free energy", x)

    def reconstructed(self, x: Any) -> np.ndarray:
        """Returns E(v | E(h | v)) for rows, in their shape."""
        hidden = copied(self.hidden(x))
        return np.asarray(_program_of("visible", self.visible)(self._machine, hidden))

    def _asked(self, what: str, x: Any) -> np.ndarray:
        machine, rows = self._machine, self._checked(x)
        return np.asarray(_program_of(what, self.visible)(machine, copied(rows)))

    @property
    def _machine(self) -> Machine:
        if self._state is None:
            raise NotBuiltError(
                explain(
                    "RestrictedBoltzmannMachine: it has no weights yet.",
                    "Call fit(x), or set_weights([kernel, visible_bias, hidden_bias]).",
                )
            )
        return self._state.machine

    def get_weights(self) -> list[np.ndarray]:
        """Returns kernel (visible, hidden), visible bias and hidden bias."""
        return [np.array(value) for value in self._machine]

    def set_weights(self, weights: Any) -> None:
        """Replaces the weights; velocity and chains begin anew.

        Args:
            weights: Kernel (visible, hidden), visible bias, hidden bias.

        Raises:
            InvalidDataError: If the shapes do not fit each other.
        """
        arrays = [np.asarray(weight, np.float32) for weight in weights]
        shapes = [array.shape for array in arrays]
        features = shapes[0][0] if shapes and shapes[0] else 0
        expected = [(features, self.units), (features,), (self.units,)]
        if shapes != expected:
            raise InvalidDataError(
                explain(
                    f"RestrictedBoltzmannMachine.set_weights: got the shapes {shapes}, expected "
                    f"{expected}.",
                    "Give kernel (visible, hidden), visible bias and hidden bias.",
                )
            )
        self._state = _resting(arrays, np.zeros((0, self.units), np.float32))

    def _checked(self, x: Any) -> np.ndarray:
        rows = intake.inputs(x).astype(np.float32, copy=False)
        known = None if self._state is None else self._state.machine.kernel.shape[0]
        if rows.ndim != 2 or known not in (None, rows.shape[1]):
            raise InvalidDataError(
                explain(
                    f"RestrictedBoltzmannMachine: x has shape {rows.shape}, expected (rows, "
                    f"{'features' if known is None else known}).",
                    "Type x.reshape(len(x), -1)." if rows.ndim != 2 else None,
                )
            )
        if self.visible == "bernoulli":
            _require_fractions(rows)
        return rows


def _resting(weights: list[np.ndarray], chains: np.ndarray) -> State:
    """Returns a state of these weights that does not move yet."""
    arrays = [np.asarray(weight, np.float32) for weight in weights]
    machine, still = copied(arrays), copied([np.zeros_like(array) for array in arrays])
    return State(machine=Machine(*machine), velocity=Machine(*still), chains=copied(chains))


def _require_fractions(rows: np.ndarray) -> None:
    wrong = (rows < 0) | (rows > 1)
    if not wrong.any():
        return
    row, column = (int(n) for n in np.argwhere(wrong)[0])
    highest = float(rows.max())
    fix = (
        "Type visible='gaussian' after standardizing x, for example with ek.layers.Normalization()."
        if rows.min() < 0
        else f"Type x / {highest:g}, or put ek.layers.Rescaling(1 / {highest:g}) before it."
    )
    raise InvalidDataError(
        explain(
            f"RestrictedBoltzmannMachine: x row {row}, column {column} is {rows[row, column]:g}, "
            "expected values from 0 to 1.",
            "Bernoulli units are on or off; values between are read as probabilities.",
            fix,
        )
    )
