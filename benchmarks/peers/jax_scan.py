"""Not a peer but a reference: the epoch as a bare `jax.lax.scan`, written by hand.

It shows what JAX itself costs above the floor; the distance from here to `evenkeel` is what the
library costs. Hidden layers of one shape are stacked and scanned over as well.
"""

import itertools
from typing import Any

import numpy as np

from benchmarks.job import (
    BETA_1,
    BETA_2,
    EPSILON,
    MOMENTUM,
    NADAM_DECAY,
    SLOTS,
    Job,
    images_and_labels,
)
from benchmarks.peers.base import TrainingSide


class JaxScan(TrainingSide):
    """One compiled call per epoch: data as an argument, state donated, shuffled on the host."""

    packages = ("jax", "jaxlib", "numpy")
    note = "hand-written epoch scan, one compiled call per epoch, with accuracy"

    def __init__(self) -> None:
        import jax

        self._jax = jax

    def prepare(self, job: Job) -> None:
        """Draws the weights and moves the data; the first epoch compiles."""
        self._job = job
        self._generator = np.random.Generator(np.random.Philox(key=job.seed + 1))
        images, labels = images_and_labels(job)
        put = self._jax.device_put
        self._data = put((images.reshape(job.samples, -1), labels))
        parameters = self._draw_parameters()
        slots = [self._jax.tree.map(np.zeros_like, parameters) for _ in range(SLOTS[job.optimizer])]
        self._state = put((parameters, slots, np.zeros((), np.float32), np.ones((), np.float32)))
        self._run_epoch = self._jax.jit(self._epoch_function(), donate_argnums=0)

    def _draw_parameters(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Normal kernels (*stack, inputs, units) and zero biases (*stack, units), by stretches."""
        parameters = []
        for (i, o), group in itertools.groupby(self._job.layers):
            count = len(list(group))
            stack = (count,) if count > 1 else ()
            kernel = self._generator.standard_normal((*stack, i, o), dtype=np.float32)
            scale = np.float32(np.sqrt(self._job.gain / i))
            parameters.append((kernel * scale, np.zeros((*stack, o), np.float32)))
        return parameters

    def _epoch_function(self):
        """The epoch as a function of (state, permutation by step, data)."""
        jax, jnp = self._jax, self._jax.numpy
        activation = getattr(jax.nn, self._job.activation)
        updated = _update_rule(jax, self._job)

        def hidden(x, layer):
            kernel, bias = layer
            return activation(x @ kernel + bias), None

        def loss_of(parameters, images, labels):
            for layer in parameters[:-1]:
                is_stack = layer[0].ndim == 3
                images, _ = (
                    jax.lax.scan(hidden, images, layer) if is_stack else hidden(images, layer)
                )
            kernel, bias = parameters[-1]
            logits = images @ kernel + bias
            losses = -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
            return losses.mean(), (logits.argmax(axis=1) == labels).mean()

        def epoch(state, permutation, data):
            def step(carry, rows):
                state, totals = carry
                batch = data[0][rows], data[1][rows]
                seen, g = jax.value_and_grad(loss_of, has_aux=True)(state[0], *batch)
                return (updated(state, g), jax.tree.map(jnp.add, totals, seen)), None

            start = (state, (jnp.zeros(()), jnp.zeros(())))
            (state, totals), _ = jax.lax.scan(step, start, permutation)
            return state, totals

        return epoch

    def epoch(self) -> float:
        """Shuffles on the host, runs the compiled epoch, waits for its loss."""
        job = self._job
        rows = self._generator.permutation(job.samples).astype(np.int32)
        rows = rows.reshape(job.steps, job.batch_size)
        self._state, (loss, _accuracy) = self._run_epoch(self._state, rows, self._data)
        self._jax.block_until_ready(self._state)
        return float(loss) / job.steps


def _update_rule(jax: Any, job: Job):
    """The optimizer: (parameters, slots, steps, product of momenta) and gradients → the next."""
    jnp, tree, rate = jax.numpy, jax.tree, job.learning_rate

    def nesterov(state, g):
        parameters, (m,), t, product = state
        m = tree.map(lambda m, g: MOMENTUM * m + g, m, g)
        parameters = tree.map(lambda p, m, g: p - rate * (g + MOMENTUM * m), parameters, m, g)
        return parameters, [m], t + 1, product

    def moments(slots, g):
        m = tree.map(lambda m, g: m + (1 - BETA_1) * (g - m), slots[0], g)
        v = tree.map(lambda v, g: v + (1 - BETA_2) * (g * g - v), slots[1], g)
        return m, v

    def adam(state, g):
        parameters, slots, t, product = state
        (m, v), t = moments(slots, g), t + 1
        eta = rate * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        parameters = tree.map(
            lambda p, m, v: p - eta * m / (jnp.sqrt(v) + EPSILON), parameters, m, v
        )
        return parameters, [m, v], t, product

    def nadam(state, g):
        parameters, slots, t, product = state
        (m, v), t = moments(slots, g), t + 1
        now, following = (BETA_1 * (1 - 0.5 * NADAM_DECAY**s) for s in (t, t + 1))
        product = product * now
        of_m, of_g = following / (1 - product * following), (1 - now) / (1 - product)
        correction = 1 - BETA_2**t

        def change(p, m, v, g):
            return p - rate * (of_m * m + of_g * g) / (jnp.sqrt(v / correction) + EPSILON)

        return tree.map(change, parameters, m, v, g), [m, v], t, product

    return {"nesterov": nesterov, "adam": adam, "nadam": nadam}[job.optimizer]
