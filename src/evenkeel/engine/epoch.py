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
import numpy as np

from evenkeel.engine.compilation import Program, compiled
from evenkeel.engine.layout import column_cuts, in_columns, whole
from evenkeel.engine.plan import Plan
from evenkeel.engine.state import State
from evenkeel.engine.step import Batch, Sums, evaluation_step, record_of, step
from evenkeel.engine.telemetry import Look
from evenkeel.network import Array

Record = dict[str, Array]

# What a record calls whether all trained weights are finite.
FINITE = "finite"

# On a GPU, the host has to look after every turn of a loop whose length it does not know.
_BLOCK = 16


def steps_at_once() -> int:
    """How many steps come in a block, of which those that are not wanted are done in vain.

    Example:
        >>> steps_at_once() in (1, 16)
        True
    """
    return 1 if jax.default_backend() == "cpu" else _BLOCK


# So many parts at most a stretch has, with a sample of telemetry before each.
PARTS = 64

# With shorter rows of what a loop writes down, its time grew with the square of its length (jax
# issue 40101).
_SHORTEST_ROW = 128


def training_program(plan: Plan, look: Look | None = None) -> Program:
    """Compiles `run(state, sums, data, order, marks, parts, factor)`.

    Args:
        plan: What every step does.
        look: What looks inside; None does not.

    Returns:
        The program. `data` holds all rows, `order` (steps, batch) the row numbers; the steps
        from `marks[0]` to before `marks[parts]` are taken, where `marks` has `PARTS` + 1 numbers.
        It returns the state and sums afterwards; the loss and metrics since the sums began, with
        whether the weights are `FINITE`; and an array whose row n has what was seen at
        `marks[n]`, or None. The state handed in is used up.
    """

    def run(
        state: State,
        sums: Sums,
        data: Batch,
        order: Array,
        marks: Array,
        parts: Array,
        factor: Array,
    ) -> tuple[State, Sums, Record, Array | None]:
        def batch(i: Array) -> Batch:
            return data.take(jax.lax.dynamic_index_in_dim(order, i, keepdims=False))

        def body(i: Array, carry: tuple[State, Sums]) -> tuple[State, Sums]:
            return step(plan, carry[0], batch(i), carry[1], factor)

        def part(n: Array, carry: tuple[Any, Array | None]) -> tuple[Any, Array | None]:
            inside, seen = carry
            if look is not None and seen is not None:
                numbers = look(whole(inside[0], cuts), batch(marks[n]), factor)
                seen = jax.lax.dynamic_update_slice(seen, numbers[None], (n, 0))
            return _in_turn(body, marks[n], marks[n + 1], inside), seen

        cuts = column_cuts(plan, order.shape[1])
        seen = None
        if look is not None:
            (numbers,) = jax.eval_shape(look, state, jax.eval_shape(batch, 0), factor).shape
            seen = jnp.zeros((PARTS, max(numbers, _SHORTEST_ROW)), jnp.float32)
        carry = (in_columns(state, cuts), sums), seen
        (state, sums), seen = jax.lax.fori_loop(0, parts, part, carry)
        state = whole(state, cuts)
        # A loss is taken before its step, which may overflow: the weights are looked at, too.
        record = {**record_of(plan, sums), FINITE: _are_finite(state.trained)}
        return state, sums, record, seen

    return compiled(run, donate=(0,), name="training")


def marked(marks: list[int]) -> tuple[np.ndarray, int]:
    """Returns the marks of a stretch as a program takes them, and the number of its parts.

    Example:
        >>> marks, parts = marked([0, 8, 16])
        >>> marks[:4].tolist(), parts
        ([0, 8, 16, 0], 2)
    """
    padded = np.zeros(PARTS + 1, np.int32)
    padded[: len(marks)] = marks
    return padded, len(marks) - 1


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
