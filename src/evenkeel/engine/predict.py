"""Outputs for data: compiled forward passes over batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from evenkeel.engine.compilation import compiled
from evenkeel.engine.hooks import CallbackList
from evenkeel.engine.plan import Plan
from evenkeel.network import Array


def forward_program(plan: Plan, training: bool) -> Callable[..., Array]:
    """Compiles `run(trained, others, x, key)`, one forward pass."""

    def run(
        trained: dict[str, Array], others: dict[str, Array], x: Any, key: Array | None
    ) -> Array:
        output, _, _ = plan.evaluate(trained, others, x, training=training, key=key)
        return output

    return compiled(run, name="prediction")


def draws_randomness(plan: Plan, x: Any, *, training: bool) -> bool:
    """Whether a forward pass asks for random keys, as MC dropout does also in inference."""
    trained, others = plan.read_values()
    drawn: list[bool] = []

    def trace(x: Any) -> None:
        key = jax.random.key(0)
        _, _, scope = plan.evaluate(trained, others, x, training=training, key=key)
        drawn.append(bool(scope._draws))

    jax.eval_shape(trace, x)
    return drawn[0]


def predict(
    run: Callable[[Any], Array], x: Any, batch_size: int, callbacks: CallbackList
) -> np.ndarray:
    """Runs a forward pass over all rows, batch by batch.

    The last batch is filled up with copies of its last row to a size that was compiled before
    (or to the next power of two), and the filling is cut off the result.

    Args:
        run: The forward pass of one batch.
        x: The inputs, all rows.
        batch_size: How many rows at a time.
        callbacks: Who listens.

    Returns:
        The outputs of all rows, in order.
    """
    rows = len(jax.tree.leaves(x)[0])
    outputs: Any = None
    for batch, start in enumerate(range(0, rows, batch_size)):
        callbacks.call("on_predict_batch_begin", batch, {})
        part = jax.tree.map(lambda a, s=start: a[s : s + batch_size], x)
        count = len(jax.tree.leaves(part)[0])
        size = batch_size if rows > batch_size else min(batch_size, _power_of_two(count))
        filled = jax.tree.map(lambda a, n=size: _fill(a, n), part)
        answer = run(filled)
        if outputs is None:
            outputs = jax.tree.map(lambda o: np.empty((rows, *o.shape[1:]), o.dtype), answer)
        for whole, output in zip(jax.tree.leaves(outputs), jax.tree.leaves(answer), strict=True):
            whole[start : start + count] = np.asarray(output)[:count]
        callbacks.call("on_predict_batch_end", batch, {})
    return outputs


def _fill(array: Any, size: int) -> Array:
    missing = size - len(array)
    if missing:
        array = np.concatenate([array, np.repeat(np.asarray(array[-1:]), missing, axis=0)])
    return jax.device_put(array)  # jnp.asarray would copy twice


def _power_of_two(n: int) -> int:
    return 1 << max(0, n - 1).bit_length()
