"""What `compile` said: losses, their weights and metrics, for one output or for several; precision.

Names are turned into things as soon as they are said, so that a wrong one is refused by `compile`.
Which output they belong to is settled when the network's outputs are known.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evenkeel import losses, metrics
from evenkeel.engine.objective import Head
from evenkeel.errors import InvalidArgumentError, explain, nearest, number_in
from evenkeel.losses import Loss
from evenkeel.metrics import Metric
from evenkeel.precision import Precision, checked
from evenkeel.registry import serialize


@dataclass(frozen=True, kw_only=True, eq=False)
class Declared:
    """What `compile` was given, with names turned into things.

    Attributes:
        loss: A loss for all outputs, a list of them in the outputs' order, or a dict by name.
        loss_weights: A factor on each loss, in the same forms; None means 1.
        metrics: A list of metrics, a list of such lists in the outputs' order, or a dict by name.
        weighted_metrics: The same, for metrics that take the rows' weights into account.
        precision: How exactly products are carried out.
    """

    loss: Any
    loss_weights: Any = None
    metrics: Any = None
    weighted_metrics: Any = None
    precision: Precision = "float32"

    @classmethod
    def of(
        cls,
        loss: Any,
        loss_weights: Any,
        measured: Any,
        weighted: Any,
        precision: Any = "float32",
    ) -> Declared:
        """Turns what `compile` was given into losses and metrics, or refuses it."""
        declared = cls(
            loss=_each(losses.get, loss),
            loss_weights=_each(_checked_weight, loss_weights),
            metrics=_each(metrics.get, measured),
            weighted_metrics=_each(metrics.get, weighted),
            precision=checked("compile(precision)", precision),
        )
        if loss is None:
            raise InvalidArgumentError(
                explain(
                    "compile(loss): got None, so there is nothing to train for.",
                    "Type a name such as loss='mse', or one for each output.",
                )
            )
        is_one = not isinstance(declared.loss, list | dict)
        if is_one and not any(isinstance(m, list | dict) for m in _parts(declared.metrics)):
            declared._refuse_twice(
                None,
                _flat(declared.metrics)
                + _apart(_flat(declared.metrics), _flat(declared.weighted_metrics)),
            )
        return declared

    def heads(self, outputs: Sequence[str]) -> tuple[Head, ...]:
        """Returns what is asked of each output.

        Args:
            outputs: The outputs' names, in order.

        Raises:
            InvalidArgumentError: If what was given does not fit the outputs.
        """
        count = len(outputs)
        found = _by_output("loss", self.loss, outputs)
        factors = _by_output("loss_weights", self.loss_weights, outputs)
        measured = _lists_by_output("metrics", self.metrics, outputs)
        weighted = _lists_by_output("weighted_metrics", self.weighted_metrics, outputs)
        heads = []
        for n, output in enumerate(outputs):
            weighted[n] = _apart(measured[n], weighted[n])
            self._refuse_twice(output if count > 1 else None, measured[n] + weighted[n])
            heads.append(
                Head(
                    name=None if count == 1 else output,
                    loss=found[n],
                    loss_weight=1.0 if factors[n] is None else factors[n],
                    metrics=(*measured[n], *weighted[n]),
                    weighted=frozenset(metric.name for metric in weighted[n]),
                )
            )
        if all(head.loss is None for head in heads):
            raise InvalidArgumentError(
                explain(
                    "compile(loss): no output has a loss, so there is nothing to train for.",
                    f"Name one for an output: loss={{{outputs[0]!r}: 'mse'}}.",
                )
            )
        return tuple(heads)

    def all_metrics(self) -> list[Metric]:
        """Returns all metrics, whichever output they belong to."""
        return _flat(self.metrics) + _flat(self.weighted_metrics)

    @staticmethod
    def _refuse_twice(output: str | None, found: Sequence[Metric]) -> None:
        names = [metric.name for metric in found]
        twice = sorted({name for name in names if names.count(name) > 1 or name == "loss"})
        if twice:
            where = "" if output is None else f" of the output {output!r}"
            raise InvalidArgumentError(
                explain(
                    f"compile: two metrics{where} are named {twice[0]!r}.",
                    "Give one of them another name, for example AUC(name='auc_1').",
                )
            )

    def get_config(self) -> dict[str, Any]:
        """Returns what was declared as plain data."""
        return {
            "loss": _each(_described, self.loss),
            "loss_weights": self.loss_weights,
            "metrics": _each(_described, self.metrics),
            "weighted_metrics": _each(_described, self.weighted_metrics),
            "precision": self.precision,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Declared:
        """Rebuilds what was declared from `get_config()`."""
        return cls.of(
            config["loss"],
            config["loss_weights"],
            config["metrics"],
            config["weighted_metrics"],
            config.get("precision", "float32"),
        )


def _described(thing: Loss | Metric) -> dict[str, Any]:
    return serialize(thing)


def _each(function: Any, given: Any) -> Any:
    """Applies a function to everything in lists and dicts; None stays None."""
    if given is None:
        return None
    if isinstance(given, dict) and "class_name" not in given:
        return {name: _each(function, part) for name, part in given.items()}
    if isinstance(given, list | tuple):
        return [_each(function, part) for part in given]
    return function(given)


def _checked_weight(value: Any) -> float:
    if isinstance(value, str | Metric) or callable(value):
        raise InvalidArgumentError(
            explain(
                f"compile(loss_weights): got {value!r}, expected a number.",
                "As in Keras, the third place is that of the loss weights.",
                "Name the argument: compile(optimizer, loss, metrics=[...]).",
            )
        )
    return number_in("compile(loss_weights)", value, 0, math.inf)


def _flat(given: Any) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, list):
        return [part for item in given for part in _flat(item)]
    if isinstance(given, dict):
        return [part for item in given.values() for part in _flat(item)]
    return [given]


def _parts(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _apart(measured: Sequence[Metric], weighted: Sequence[Metric]) -> list[Metric]:
    """Returns the weighted metrics, those that are measured without weights too renamed."""
    taken = {metric.name for metric in measured}
    found = []
    for metric in weighted:
        if metric.name in taken:
            metric = copy.copy(metric)
            metric.name = f"weighted_{metric.name}"
        found.append(metric)
    return found


def _by_output(word: str, given: Any, outputs: Sequence[str]) -> list[Any]:
    """Returns one thing for each output; what is not in a list or dict is for all of them."""
    if isinstance(given, dict):
        _refuse_unknown(word, given, outputs)
        return [given.get(name) for name in outputs]
    if not isinstance(given, list):
        return [given] * len(outputs)
    if len(given) != len(outputs):
        names = ", ".join(map(repr, outputs))
        raise InvalidArgumentError(
            explain(
                f"compile({word}): got {len(given)} for {len(outputs)} outputs: {names}.",
                f"Give one for each output, or a dict by name: {word}={{{outputs[0]!r}: ...}}.",
            )
        )
    return given


def _lists_by_output(word: str, given: Any, outputs: Sequence[str]) -> list[list[Any]]:
    """Returns a list for each output."""
    is_flat = not isinstance(given, list) or not any(isinstance(part, list) for part in given)
    if len(outputs) == 1 and is_flat and not isinstance(given, dict):
        return [_flat(given)]
    return [_flat(part) for part in _by_output(word, given, outputs)]


def _refuse_unknown(word: str, given: dict[str, Any], outputs: Sequence[str]) -> None:
    for name in given:
        if name not in outputs:
            raise InvalidArgumentError(
                explain(
                    f"compile({word}): the model has no output {name!r}.",
                    nearest(str(name), outputs),
                )
            )
