"""One step of training, and one of evaluation, as pure functions.

    step(plan, state, batch, sums, factor) -> (state, sums)

What must survive is in the state; what is worth seeing is added up beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.engine.objective import (
    PENALTY,
    losses_of,
    named_metrics,
    penalty_of,
    targets_of,
    total_of,
    weights_of,
)
from evenkeel.engine.plan import Plan
from evenkeel.engine.rows import take
from evenkeel.engine.state import State
from evenkeel.network import Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows of data: inputs, targets, and a weight for each row (or None).

    Rows on the device from which batches are taken may be held in a form of their own (`rows`).
    The targets of a network with several outputs are a tuple, head by head; the weights may be.
    """

    x: Any
    y: Any = None
    weight: Any = None

    @property
    def rows(self) -> int:
        """The number of rows."""
        return jax.tree.leaves(self.x)[0].shape[0]

    def take(self, rows: Array) -> Batch:
        """Returns the rows of these numbers, which must be in range."""
        return take(self, rows)

    def shapes(self, rows: int) -> Batch:
        """Returns the shapes and types of a batch of so many of these rows."""
        return jax.eval_shape(take, self, jax.ShapeDtypeStruct((rows,), np.int32))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Sums:
    """What an epoch adds up: the loss times the rows, the rows, and the metrics' states.

    `parts` holds, times the rows, what the loss is the sum of, where it is more than one number:
    the loss of each head, and the penalty.
    """

    loss: Array
    rows: Array
    parts: dict[str, Array]
    metrics: dict[str, Any]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What evaluating a batch brought up.

    Attributes:
        output: The network's output.
        parts: What the loss is the sum of, by name, where it is more than one number.
        others: The other variables' values afterwards.
        taps: What the taps recorded, by path; None unless asked for.
        tap_names: For a path under which the outputs of equal layers lie one upon another, theirs.
    """

    output: Any
    parts: dict[str, Array]
    others: dict[str, Array]
    taps: dict[str, Array] | None
    tap_names: dict[str, tuple[str, ...]] = field(metadata={"static": True})


def loss_of(
    plan: Plan,
    trained: dict[str, Array],
    others: dict[str, Array],
    batch: Batch,
    key: Array,
    *,
    training: bool = True,
    record: bool = False,
) -> tuple[Array, Evaluation]:
    """Returns the loss of a batch, and what evaluating it brought up."""
    output, others, scope = plan.evaluate(
        trained, others, batch.x, training=training, key=key, record=record
    )
    losses = losses_of(plan.heads, output, batch.y, batch.weight, scope)
    penalty = penalty_of([plan.trained[path] for path in trained], scope)
    parts = losses if len(plan.heads) > 1 else {}
    parts = parts if penalty is None else {**parts, PENALTY: penalty}
    evaluation = Evaluation(
        output=output, parts=parts, others=others, taps=scope.taps, tap_names=scope.tap_names
    )
    return total_of(plan.heads, losses, penalty), evaluation


def step(plan: Plan, state: State, batch: Batch, sums: Sums, factor: Array) -> tuple[State, Sums]:
    """Takes one training step.

    Args:
        plan: What to do.
        state: The state before the step.
        batch: The rows of this step.
        sums: The sums before the step.
        factor: The learning rate, or the factor on its schedule.

    Returns:
        The state and the sums after the step.
    """
    assert plan.optimizer is not None
    key = jax.random.fold_in(state.key, state.step)

    def objective(trained: dict[str, Array]) -> Any:
        return loss_of(plan, trained, state.others, batch, key)

    (loss, seen), gradients = jax.value_and_grad(objective, has_aux=True)(state.trained)
    trained, slots = plan.optimizer.advance(
        gradients,
        state.slots,
        state.trained,
        factor,
        state.step,
        plan.piled(state.trained),
    )
    after = State(
        trained=plan.constrained(trained),
        others=seen.others,
        slots=slots,
        step=state.step + 1,
        key=state.key,
    )
    return after, add(plan, sums, loss, batch, seen)


def evaluation_step(
    plan: Plan,
    trained: dict[str, Array],
    others: dict[str, Array],
    batch: Batch,
    sums: Sums,
    key: Array,
) -> Sums:
    """Adds one batch of an evaluation to the sums."""
    loss, seen = loss_of(plan, trained, others, batch, key, training=False)
    return add(plan, sums, loss, batch, seen)


def add(plan: Plan, sums: Sums, loss: Array, batch: Batch, seen: Evaluation) -> Sums:
    """Adds a batch's loss and metrics to the sums."""
    rows = float(batch.rows)
    outputs = jax.tree.leaves(seen.output)
    targets = targets_of(batch.y, plan.heads)
    weights = weights_of(batch.weight, plan.heads)
    return Sums(
        loss=sums.loss + loss * rows,
        rows=sums.rows + rows,
        parts={
            name: sums.parts[name] + seen.parts[name] * rows if name in seen.parts else total
            for name, total in sums.parts.items()
        },
        metrics={
            name: metric.update(
                sums.metrics[name],
                targets[n],
                outputs[n],
                weights[n] if metric.name in head.weighted else None,
            )
            for name, n, head, metric in named_metrics(plan.heads)
        },
    )


def no_sums(plan: Plan, data: Batch) -> Sums:
    """Returns the sums before any batch, in the shapes that the metrics settle into."""
    sample = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), data)
    trained, others = plan.read_values()
    initial = {name: metric.initial() for name, _, _, metric in named_metrics(plan.heads)}

    def settled(batch: Batch) -> Any:
        _, seen = loss_of(plan, trained, others, batch, jax.random.key(0))
        zero = {name: jnp.zeros(()) for name in seen.parts}
        before = Sums(loss=jnp.zeros(()), rows=jnp.zeros(()), parts=zero, metrics=initial)
        return add(plan, before, jnp.zeros(()), batch, seen)

    shapes = jax.eval_shape(settled, sample)
    return Sums(
        loss=jnp.zeros(()),
        rows=jnp.zeros(()),
        parts={name: jnp.zeros(()) for name in shapes.parts},
        metrics=jax.tree.map(lambda a, s: jnp.broadcast_to(a, s.shape), initial, shapes.metrics),
    )


def record_of(plan: Plan, sums: Sums) -> dict[str, Array]:
    """Returns the loss, its parts and the metrics that sums amount to."""
    rows = jnp.maximum(sums.rows, 1.0)
    return {
        "loss": sums.loss / rows,
        **{name: total / rows for name, total in sums.parts.items()},
        **{
            name: metric.value_of(sums.metrics[name])
            for name, _, _, metric in named_metrics(plan.heads)
        },
    }
