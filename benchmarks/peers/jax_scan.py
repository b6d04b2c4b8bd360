"""Not a peer but a reference: the epoch as a bare `jax.lax.scan`, written by hand.

It shows what JAX itself costs above the floor; the distance from here to `evenkeel` is what the
library costs.
"""

import itertools

import numpy as np

from benchmarks.job import LEARNING_RATE, MOMENTUM, WIDTHS, Job, images_and_labels
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
        momentum = [tuple(np.zeros_like(a) for a in layer) for layer in parameters]
        self._state = put((parameters, momentum))
        self._run_epoch = self._jax.jit(self._epoch_function(), donate_argnums=0)

    def _draw_parameters(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """He-normal kernels (inputs, units) and zero biases."""
        return [
            (
                self._generator.standard_normal((i, o), dtype=np.float32)
                * np.float32(np.sqrt(2 / i)),
                np.zeros(o, np.float32),
            )
            for i, o in itertools.pairwise(WIDTHS)
        ]

    def _epoch_function(self):
        """The epoch as a function of (state, permutation by step, data)."""
        jax, jnp = self._jax, self._jax.numpy

        def loss_of(parameters, images, labels):
            for kernel, bias in parameters[:-1]:
                images = jax.nn.elu(images @ kernel + bias)
            kernel, bias = parameters[-1]
            logits = images @ kernel + bias
            losses = -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
            return losses.mean(), (logits.argmax(axis=1) == labels).mean()

        def epoch(state, permutation, data):
            def step(carry, rows):
                (parameters, momentum), totals = carry
                batch = data[0][rows], data[1][rows]
                seen, g = jax.value_and_grad(loss_of, has_aux=True)(parameters, *batch)
                momentum = jax.tree.map(lambda m, g: MOMENTUM * m + g, momentum, g)
                parameters = jax.tree.map(
                    lambda p, m, g: p - LEARNING_RATE * (g + MOMENTUM * m), parameters, momentum, g
                )
                return ((parameters, momentum), jax.tree.map(jnp.add, totals, seen)), None

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
