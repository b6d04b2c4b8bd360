"""What a run makes small and what it measures: for each output a loss, its weight, and metrics.

A network with one output has one `Head` without a name; one with several has a head for each, and
its logs carry the head's name: `price_loss`, `price_mae`. What regularizers add is the `penalty`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from evenkeel.losses import Loss, align, weighted_mean
from evenkeel.metrics import Metric
from evenkeel.network import Array, Scope, Variable

# What the logs call the sum of what regularizers and `add_loss` put on top of the losses.
PENALTY = "penalty"


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """One output of a network, and what is asked of it.

    Attributes:
        name: The output's name, which its logs begin with; None for an only output.
        loss: How wrong it is; None if it is only measured, or not used at all.
        loss_weight: The factor on its loss in the sum over all heads.
        metrics: What is measured.
        weighted: The names of the metrics that take the rows' weights into account.
    """

    name: str | None = None
    loss: Loss | None = None
    loss_weight: float = 1.0
    metrics: tuple[Metric, ...] = ()
    weighted: frozenset[str] = frozenset()

    @property
    def needs_targets(self) -> bool:
        """Whether anything is asked of this output."""
        return self.loss is not None or bool(self.metrics)

    def log_name(self, name: str) -> str:
        """Returns how the logs call something of this head."""
        return name if self.name is None else f"{self.name}_{name}"


def named_metrics(heads: Sequence[Head]) -> Iterator[tuple[str, int, Head, Metric]]:
    """Yields (name in the logs, number of the head, head, metric) for all metrics."""
    for number, head in enumerate(heads):
        for metric in head.metrics:
            yield head.log_name(metric.name), number, head, metric


def targets_of(y: Any, heads: Sequence[Head]) -> tuple[Any, ...]:
    """Returns the targets head by head; an only head's stand alone in a batch."""
    return y if len(heads) > 1 else (y,)


def weights_of(weight: Any, heads: Sequence[Head]) -> tuple[Any, ...]:
    """Returns the rows' weights head by head; one array is for all heads."""
    return weight if isinstance(weight, tuple) else (weight,) * len(heads)


def losses_of(
    heads: Sequence[Head], output: Any, y: Any, weight: Any, scope: Scope
) -> dict[str, Array]:
    """Returns the loss of every head that has one, by its name in the logs."""
    found: dict[str, Array] = {}
    rows = zip(
        heads,
        jax.tree.leaves(output),
        targets_of(y, heads),
        weights_of(weight, heads),
        strict=True,
    )
    for head, predicted, target, row_weight in rows:
        if head.loss is not None:
            aligned = align(target, predicted)
            values = head.loss.values(aligned, predicted, scope.logits_of(predicted))
            found[head.log_name("loss")] = weighted_mean(values, row_weight)
    return found


def penalty_of(trained: Sequence[Variable], scope: Scope) -> Array | None:
    """Returns what regularizers and `add_loss` put on top of the losses, or None without any."""
    penalties = [_penalty_on(v, scope) for v in trained if v.regularizer is not None]
    penalties += scope.penalties
    return sum(penalties[1:], jnp.asarray(penalties[0])) if penalties else None


def _penalty_on(variable: Variable, scope: Scope) -> Any:
    """Returns the penalty on a variable, or on all those in whose name the scope holds it."""
    assert variable.regularizer is not None
    if not scope.is_stacked(variable):
        return variable.regularizer(scope.read(variable))
    return jnp.sum(jax.vmap(variable.regularizer)(scope.whole(variable)))


def total_of(heads: Sequence[Head], losses: dict[str, Array], penalty: Array | None) -> Array:
    """Returns the one number that training lowers: weighted losses and penalty."""
    weighted = [
        losses[head.log_name("loss")] * head.loss_weight
        if head.loss_weight != 1
        else losses[head.log_name("loss")]
        for head in heads
        if head.loss is not None
    ]
    total = sum(weighted[1:], weighted[0])
    return total if penalty is None else total + penalty
