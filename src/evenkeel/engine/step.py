"""One step of training, and one of evaluation, as pure functions.

    step(plan, state, batch, sums, factor) -> (state, sums)

What must survive is in the state; what is worth seeing is added up beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from evenkeel.engine.plan import Plan
from evenkeel.engine.state import State
from evenkeel.losses import align, weighted_mean
from evenkeel.network import Array, Scope


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows of data: inputs, targets, and a weight for each row (or None)."""

    x: Any
    y: Any = None
    weight: Any = None

    @property
    def rows(self) -> int:
        """The number of rows."""
        return jax.tree.leaves(self.x)[0].shape[0]

    def take(self, rows: Array) -> Batch:
        """Returns the rows of these numbers, which must be in range."""
        return jax.tree.map(lambda a: a.at[rows].get(mode="promise_in_bounds"), self)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Sums:
    """What an epoch adds up: the loss times the rows, the rows, and the metrics' states."""

    loss: Array
    rows: Array
    metrics: dict[str, Any]


def loss_of(
    plan: Plan,
    trained: dict[str, Array],
    others: dict[str, Array],
    batch: Batch,
    key: Array,
    *,
    record: bool = False,
) -> tuple[Array, tuple[Array, dict[str, Array], Scope]]:
    """Returns the training loss of a batch, and what evaluating it brought up."""
    assert plan.loss is not None
    output, others, scope = plan.evaluate(
        trained, others, batch.x, training=True, key=key, record=record
    )
    values = plan.loss.values(align(batch.y, output), output, scope.logits_of(output))
    return weighted_mean(values, batch.weight), (output, others, scope)


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
        loss, (output, others, _) = loss_of(plan, trained, state.others, batch, key)
        return loss, (output, others)

    (loss, (output, others)), gradients = jax.value_and_grad(objective, has_aux=True)(state.trained)
    trained, slots = plan.optimizer.advance(
        gradients, state.slots, state.trained, factor, state.step
    )
    after = State(trained=trained, others=others, slots=slots, step=state.step + 1, key=state.key)
    return after, add(plan, sums, loss, batch, output)


def evaluation_step(
    plan: Plan,
    trained: dict[str, Array],
    others: dict[str, Array],
    batch: Batch,
    sums: Sums,
    key: Array,
) -> Sums:
    """Adds one batch of an evaluation to the sums."""
    assert plan.loss is not None
    output, _, scope = plan.evaluate(trained, others, batch.x, training=False, key=key)
    values = plan.loss.values(align(batch.y, output), output, scope.logits_of(output))
    return add(plan, sums, weighted_mean(values, batch.weight), batch, output)


def add(plan: Plan, sums: Sums, loss: Array, batch: Batch, output: Array) -> Sums:
    """Adds a batch's loss and metrics to the sums."""
    rows = float(batch.rows)
    return Sums(
        loss=sums.loss + loss * rows,
        rows=sums.rows + rows,
        metrics={
            metric.name: metric.update(
                sums.metrics[metric.name],
                batch.y,
                output,
                batch.weight if metric.name in plan.weighted else None,
            )
            for metric in plan.metrics
        },
    )


def no_sums(plan: Plan, data: Batch) -> Sums:
    """Returns the sums before any batch, in the shapes that the metrics settle into."""
    sample = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), data)
    trained, others = (
        {path: v._value for path, v in side.items()} for side in (plan.trained, plan.others)
    )

    def settled(batch: Batch) -> Any:
        key = jax.random.key(0)
        output, _, _ = plan.evaluate(trained, others, batch.x, training=False, key=key)
        return {m.name: m.update(m.initial(), batch.y, output, batch.weight) for m in plan.metrics}

    shapes = jax.eval_shape(settled, sample)
    initial = {metric.name: metric.initial() for metric in plan.metrics}
    return Sums(
        loss=jnp.zeros(()),
        rows=jnp.zeros(()),
        metrics=jax.tree.map(lambda a, s: jnp.broadcast_to(a, s.shape), initial, shapes),
    )


def record_of(plan: Plan, sums: Sums) -> dict[str, Array]:
    """Returns the loss and the metrics that sums amount to."""
    mean = sums.loss / jnp.maximum(sums.rows, 1.0)
    return {"loss": mean} | {
        metric.name: metric.value_of(sums.metrics[metric.name]) for metric in plan.metrics
    }
