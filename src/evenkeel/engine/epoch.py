"""Compiled stretches of an epoch: many steps in one call.

A program takes the data set, the order of the rows, and from where to where in it to go. The
bounds are numbers, not shapes, so that one program serves every stretch of every epoch; the last
partial batch, which has another shape, is one more. Where the stretches are cut changes nothing
in the results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from evenkeel.engine.compilation import Program, compiled
from evenkeel.engine.layout import column_cuts, in_columns, whole
from evenkeel.engine.plan import Plan
from evenkeel.engine.state import State
from evenkeel.engine.step import Batch, Sums, evaluation_step, record_of, step
from evenkeel.network import Array

Record = dict[str, Array]

# What a record calls whether all trained weights are finite.
FINITE = "finite"

# On a GPU, the host has to look after every turn of a loop whose length it does not know.
_BLOCK = 32


def steps_at_once() -> int:
    """How many steps come in a block, of which those that are not wanted are done in vain.

    Example:
        >>> steps_at_once() in (1, 32)
        True
    """
    return 1 if jax.default_backend() == "cpu" else _BLOCK


def training_program(plan: Plan) -> Program:
    """Compiles `run(state, sums, data, order, first, last, factor)`.

    Args:
        plan: What every step does.

    Returns:
        The program. `data` holds all rows, `order` (steps, batch) the row numbers; the steps
        from `first` to before `last` are taken. It returns the state and sums afterwards, and
        the loss and metrics since the sums began, with whether the weights are `FINITE`. The
        state handed in is used up.
    """

    def run(
        state: State,
        sums: Sums,
        data: Batch,
        order: Array,
        first: Array,
        last: Array,
        factor: Array,
    ) -> tuple[State, Sums, Record]:
        def body(i: Array, carry: tuple[State, Sums]) -> tuple[State, Sums]:
            rows = jax.lax.dynamic_index_in_dim(order, i, keepdims=False)
            return step(plan, carry[0], data.take(rows), carry[1], factor)

        cuts = column_cuts(plan, order.shape[1])
        carry = _in_turn(body, first, last, (in_columns(state, cuts), sums))
        state, sums = whole(carry[0], cuts), carry[1]
        # A loss is taken before its step, which may overflow: the weights are looked at, too.
        record = {**record_of(plan, sums), FINITE: _are_finite(state.trained)}
        return state, sums, record

    return compiled(run, donate=(0,), name="training")


def evaluation_program(plan: Plan) -> Program:
    """Compiles `run(trained, others, sums, data, order)`, one pass over `order`'s batches."""

    def run(
        trained: dict[str, Array], others: dict[str, Array], sums: Sums, data: Batch, order: Array
    ) -> tuple[Sums, Record]:
        # Of use only to layers that are random in inference, too: the same for every pass.
        key = jax.random.key(0)

        def body(i: Any, sums: Sums) -> Sums:
            rows = jax.lax.dynamic_index_in_dim(order, i, keepdims=False)
            batch, batch_key = data.take(rows), jax.random.fold_in(key, i)
            return evaluation_step(plan, trained, others, batch, sums, batch_key)

        sums = jax.lax.fori_loop(0, order.shape[0], body, sums)
        return sums, record_of(plan, sums)

    return compiled(run, name="evaluation")


def _in_turn(body: Callable[[Array, Any], Any], first: Array, last: Array, carry: Any) -> Any:
    """Calls `carry = body(i, carry)` for i from `first` to before `last`."""
    size = steps_at_once()
    if size == 1:
        return jax.lax.fori_loop(first, last, body, carry)

    def one(i: Array, carry: Any) -> Any:
        after = body(jnp.minimum(i, last - 1), carry)
        return jax.tree.map(lambda new, old: jnp.where(i < last, new, old), after, carry)

    def block(n: Array, carry: Any) -> Any:
        return jax.lax.fori_loop(0, size, lambda j, c: one(first + n * size + j, c), carry)

    return jax.lax.fori_loop(0, (last - first + size - 1) // size, block, carry)


def _are_finite(arrays: dict[str, Array]) -> Array:
    finite = [jnp.isfinite(array).all() for array in arrays.values()]
    return jnp.stack(finite).all() if finite else jnp.array(True)
