"""Metrics: numbers for people, accumulated over batches and never part of the gradient.

A metric is three pure functions of a small state (`initial`, `update`, `value_of`), which is what
lets the engine accumulate it inside a compiled epoch. The same object also serves by hand, in
Keras's words: `update_state`, `result`, `reset_state`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.errors import InvalidArgumentError, explain, integer_at_least, nearest, number_in
from evenkeel.losses import Loss, align, one_hot_mask
from evenkeel.losses import get as get_loss
from evenkeel.losses import registry as loss_registry
from evenkeel.network import Array
from evenkeel.registry import Registry, snake_case
from evenkeel.registry import serialize as serialize

registry: Registry[Metric] = Registry("metric")
State = dict[str, Array]

# Divides where the denominator may be 0, as Keras's metrics do: 0 / 0 = 0.
_TINY = 1e-7


class Metric:
    """The contract: pure `initial`, `update` and `value_of`; names as in Keras by hand.

    Args:
        name: The name in histories; the snake-case class name when None.

    Example:
        >>> metric = MeanAbsoluteError()
        >>> metric.update_state([[0.0]], [[1.0]])
        >>> metric.update_state([[0.0]], [[3.0]])
        >>> float(metric.result())
        2.0
    """

    _settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str | None = None):
        self.name = name or snake_case(type(self).__name__)
        self._state: State | None = None

    def add_weight(self, *_: Any, **__: Any) -> Any:
        """Refuses: a metric here is three pure functions, and keeps nothing in variables."""
        raise InvalidArgumentError(
            explain(
                f"{type(self).__name__}: a metric has no variables here, because it is added up "
                "inside a compiled epoch.",
                "Write initial(), update(state, y_true, y_pred, weight) and value_of(state); or "
                "row_values(y_true, y_pred) in a subclass of ek.metrics.MeanMetric.",
            )
        )

    def initial(self) -> State:
        """Returns the state before any batch."""
        raise NotImplementedError(f"{type(self).__name__} must define initial().")

    def update(self, state: State, y_true: Array, y_pred: Array, weight: Array | None) -> State:
        """Returns the state after one more batch; `weight` is (batch,) or None."""
        raise NotImplementedError(f"{type(self).__name__} must define update(...).")

    def value_of(self, state: State) -> Array:
        """Returns the metric's value for a state."""
        raise NotImplementedError(f"{type(self).__name__} must define value_of(state).")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes one more batch into account."""
        weight = None if sample_weight is None else jnp.asarray(sample_weight, jnp.float32)
        state = self.initial() if self._state is None else self._state
        self._state = self.update(
            state, jnp.asarray(y_true), jnp.asarray(y_pred, jnp.float32), weight
        )

    def result(self) -> Array:
        """Returns the value over all batches since the last reset."""
        return self.value_of(self.initial() if self._state is None else self._state)

    def reset_state(self) -> None:
        """Forgets all batches."""
        self._state = None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Array:
        """Takes one more batch into account and returns the value so far."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"name": self.name, **{name: getattr(self, name) for name in self._settings}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Rebuilds the metric from `get_config()`."""
        return cls(**config)

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={getattr(self, key)!r}" for key in self._settings)
        return f"{type(self).__name__}({settings})"


class MeanMetric(Metric):
    """A weighted mean of one value a row; most metrics are one with their own `row_values`.

    Args:
        name: The name in histories.

    Example:
        >>> class WithinOne(MeanMetric):
        ...     def row_values(self, y_true, y_pred):
        ...         return jnp.all(jnp.abs(y_true - y_pred) <= 1.0, axis=-1)
        >>> float(WithinOne()([[0.0], [0.0]], [[0.5], [1.5]]))
        0.5
    """

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """Returns one value a row."""
        raise NotImplementedError(f"{type(self).__name__} must define row_values(...).")

    def initial(self) -> State:
        """Returns zero sums."""
        return {"total": jnp.zeros(()), "count": jnp.zeros(())}

    def update(self, state: State, y_true: Array, y_pred: Array, weight: Array | None) -> State:
        """Adds the batch's values and weights."""
        values = self.row_values(align(y_true, y_pred), y_pred).astype(jnp.float32)
        total, count = _weighted_sums(values, weight)
        return {"total": state["total"] + total, "count": state["count"] + count}

    def value_of(self, state: State) -> Array:
        """Returns the mean, 0 before any batch."""
        return _safe_divide(state["total"], state["count"])


@registry.register()
class BinaryAccuracy(MeanMetric):
    """The fraction of outputs on the right side of a threshold.

    Args:
        threshold: Outputs above it count as 1; use 0 for logits.
        name: The name in histories.

    Example:
        >>> float(BinaryAccuracy()([[1], [0]], [[0.7], [0.6]]))
        0.5
    """

    _settings = ("threshold",)

    def __init__(self, threshold: float = 0.5, name: str | None = None):
        super().__init__(name)
        self.threshold = number_in("BinaryAccuracy(threshold)", threshold, -np.inf, np.inf)

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """Returns the fraction of right outputs of each row."""
        right = (y_pred > self.threshold) == (y_true.astype(y_pred.dtype) > 0.5)
        return jnp.mean(right.astype(jnp.float32), axis=-1)


@registry.register()
class CategoricalAccuracy(MeanMetric):
    """The fraction of rows whose largest output is the one-hot target's class.

    Args:
        name: The name in histories.

    Example:
        >>> float(CategoricalAccuracy()([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]]))
        0.5
    """

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """Returns 1 for right rows, 0 for wrong ones."""
        return _largest(y_true) == _largest(y_pred)


@registry.register()
class SparseCategoricalAccuracy(MeanMetric):
    """The fraction of rows whose largest output is the integer target.

    Args:
        name: The name in histories.

    Example:
        >>> float(SparseCategoricalAccuracy()([1, 0], [[0.2, 0.8], [0.4, 0.6]]))
        0.5
    """

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """Returns 1 for right rows, 0 for wrong ones."""
        labels = y_true[..., 0] if y_true.ndim == y_pred.ndim else y_true
        return labels.astype(jnp.int32) == _largest(y_pred)


@registry.register("accuracy", "acc")
class Accuracy(MeanMetric):
    """The fraction of exact matches; as the string "accuracy" it becomes the fitting kind.

    In `compile(metrics=["accuracy"])`, binary, categorical or sparse accuracy is chosen by the
    shapes of targets and output, and keeps the name "accuracy".

    Args:
        name: The name in histories.

    Example:
        >>> float(Accuracy()([[1], [2]], [[1], [3]]))
        0.5
    """

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """Returns the fraction of exact matches of each row."""
        return jnp.mean((y_true.astype(y_pred.dtype) == y_pred).astype(jnp.float32), axis=-1)


class LossMetric(MeanMetric):
    """The mean of a loss's values, as a metric.

    Args:
        loss: The loss.
        name: The name in histories; the loss's when None.

    Example:
        >>> from evenkeel.losses import Huber
        >>> float(LossMetric(Huber(delta=1.0))([[0.0]], [[3.0]]))
        2.5
    """

    def __init__(self, loss: Loss, name: str | None = None):
        super().__init__(name or loss.name)
        self.loss = loss

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """Returns the loss of each row."""
        return self.loss.values(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Returns the loss's class and configuration."""
        return {
            "name": self.name,
            "loss": {"class_name": type(self.loss).__name__, "config": self.loss.get_config()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Rebuilds the metric from `get_config()`."""
        return cls(get_loss(config["loss"]), config["name"])


registry.alias("LossMetric", LossMetric)


@registry.register("mse")
class MeanSquaredError(MeanMetric):
    """The mean squared error.

    Args:
        name: The name in histories.

    Example:
        >>> float(MeanSquaredError()([[0.0], [2.0]], [[1.0], [2.0]]))
        0.5
    """

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """Returns the mean squared difference of each row."""
        return jnp.mean(jnp.square(y_true.astype(y_pred.dtype) - y_pred), axis=-1)


@registry.register("rmse")
class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean squared error, in the targets' unit.

    Args:
        name: The name in histories.

    Example:
        >>> float(RootMeanSquaredError()([[0.0], [0.0]], [[3.0], [3.0]]))
        3.0
    """

    def value_of(self, state: State) -> Array:
        """Returns the root of the mean."""
        return jnp.sqrt(super().value_of(state))


@registry.register("mae")
class MeanAbsoluteError(MeanMetric):
    """The mean absolute error, in the targets' unit.

    Args:
        name: The name in histories.

    Example:
        >>> float(MeanAbsoluteError()([[0.0], [2.0]], [[1.0], [2.0]]))
        0.5
    """

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """Returns the mean absolute difference of each row."""
        return jnp.mean(jnp.abs(y_true.astype(y_pred.dtype) - y_pred), axis=-1)


@registry.register("r2")
class R2Score(Metric):
    """The fraction of the targets' variance that the output explains: 1 - SS_res / SS_tot.

    1 is perfect, 0 is as good as the mean, below 0 is worse than the mean. Several outputs are
    averaged. Accumulated around the first batch's mean, so that large targets lose no digits.

    Args:
        name: The name in histories.

    Example:
        >>> float(R2Score()([[1.0], [2.0], [3.0]], [[1.0], [2.0], [3.0]]))
        1.0
    """

    def initial(self) -> State:
        """Returns zero sums."""
        names = ("count", "origin", "total", "squares", "residual")
        return {name: jnp.zeros(()) if name == "count" else jnp.zeros((1,)) for name in names}

    def update(self, state: State, y_true: Array, y_pred: Array, weight: Array | None) -> State:
        """Adds the batch's weighted sums, output by output."""
        outputs = y_pred.shape[-1]
        y = align(y_true, y_pred).astype(y_pred.dtype).reshape(-1, outputs)
        p = y_pred.reshape(-1, outputs)
        w = _row_weights(weight, len(y))[:, None]
        old = {name: jnp.broadcast_to(state[name], (outputs,)) for name in state if name != "count"}
        mean = jnp.sum(w * y, axis=0) / jnp.maximum(jnp.sum(w), _TINY)
        origin = jnp.where(state["count"] > 0, old["origin"], mean)
        shifted = y - origin[None]
        return {
            "count": state["count"] + jnp.sum(w),
            "origin": origin,
            "total": old["total"] + jnp.sum(w * shifted, axis=0),
            "squares": old["squares"] + jnp.sum(w * jnp.square(shifted), axis=0),
            "residual": old["residual"] + jnp.sum(w * jnp.square(y - p), axis=0),
        }

    def value_of(self, state: State) -> Array:
        """Returns the mean R² over outputs."""
        count = jnp.maximum(state["count"], _TINY)
        spread = state["squares"] - jnp.square(state["total"]) / count
        return jnp.mean(1.0 - _safe_divide(state["residual"], spread))


class _Confusion(Metric):
    """What precision, recall and F1 share: counts of true and false positives, by class."""

    _settings = ("threshold", "class_id")

    def __init__(
        self, threshold: float = 0.5, class_id: int | None = None, name: str | None = None
    ):
        super().__init__(name)
        where = f"{type(self).__name__}(threshold)"
        self.threshold = number_in(where, threshold, 0, 1)
        self.class_id = class_id

    def initial(self) -> State:
        """Returns zero counts."""
        return {name: jnp.zeros(()) for name in ("hits", "predicted", "actual")}

    def update(self, state: State, y_true: Array, y_pred: Array, weight: Array | None) -> State:
        """Adds the batch's counts."""
        y, p = self._sides(y_true, y_pred)
        w = _row_weights(weight, len(y)).reshape((-1,) + (1,) * (y.ndim - 1))
        return {
            "hits": state["hits"] + jnp.sum(w * y * p),
            "predicted": state["predicted"] + jnp.sum(w * p),
            "actual": state["actual"] + jnp.sum(w * y),
        }

    def _sides(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        y, p = _one_hot_pair(y_true, y_pred)
        p = (p > self.threshold).astype(jnp.float32)
        if self.class_id is not None:
            y, p = y[..., self.class_id], p[..., self.class_id]
        return y, p


class _AboveThreshold(_Confusion):
    """Precision and recall: what counts is above one threshold, which Keras calls `thresholds`."""

    _settings = ("thresholds", "class_id")

    def __init__(
        self, thresholds: float = 0.5, class_id: int | None = None, name: str | None = None
    ):
        where = f"{type(self).__name__}(thresholds)"
        self.thresholds = number_in(where, thresholds, 0, 1)
        super().__init__(self.thresholds, class_id, name)


@registry.register()
class Precision(_AboveThreshold):
    """Of the outputs above the threshold, the fraction that should be.

    Args:
        thresholds: Outputs above it count as positive, in [0, 1]; one number, so that a
            history can hold the result.
        class_id: Count this class only; None counts all outputs together.
        name: The name in histories.

    Example:
        >>> float(Precision()([[1], [0]], [[0.9], [0.8]]))
        0.5
    """

    def value_of(self, state: State) -> Array:
        """Returns hits / predicted, 0 where nothing was predicted."""
        return _safe_divide(state["hits"], state["predicted"])


@registry.register()
class Recall(_AboveThreshold):
    """Of the outputs that should be above the threshold, the fraction that are.

    Args:
        thresholds: Outputs above it count as positive, in [0, 1]; one number, so that a
            history can hold the result.
        class_id: Count this class only; None counts all outputs together.
        name: The name in histories.

    Example:
        >>> float(Recall()([[1], [1]], [[0.9], [0.2]]))
        0.5
    """

    def value_of(self, state: State) -> Array:
        """Returns hits / actual, 0 where there was nothing to find."""
        return _safe_divide(state["hits"], state["actual"])


@registry.register("f1")
class F1Score(_Confusion):
    """The harmonic mean of precision and recall, by class and averaged.

    Args:
        average: `"macro"` is the mean over classes, `"weighted"` weighs them by their number of
            rows, `"micro"` counts all outputs together. (Keras's default, one number a class,
            does not fit a history, which holds single numbers.)
        threshold: Outputs above it count as positive; None takes the largest output of a row,
            or 0.5 for a single output.
        name: The name in histories.

    Example:
        >>> float(F1Score()([0, 1], [[0.9, 0.1], [0.2, 0.8]]))
        1.0
    """

    _settings = ("average", "threshold")
    _averages = ("macro", "micro", "weighted")

    def __init__(
        self, average: str = "macro", threshold: float | None = None, name: str | None = None
    ):
        super().__init__(0.5, None, name)
        if average not in self._averages:
            raise InvalidArgumentError(
                explain(
                    f"F1Score(average): got {average!r}; a history holds single numbers.",
                    nearest(str(average), self._averages),
                )
            )
        self.average = average
        self.threshold = (
            None if threshold is None else number_in("F1Score(threshold)", threshold, 0, 1)
        )

    def initial(self) -> State:
        """Returns zero counts."""
        return {name: jnp.zeros((1,)) for name in ("hits", "predicted", "actual")}

    def update(self, state: State, y_true: Array, y_pred: Array, weight: Array | None) -> State:
        """Adds the batch's counts, class by class."""
        y, p = _one_hot_pair(y_true, y_pred)
        y, p = y.reshape(-1, y.shape[-1]), p.reshape(-1, p.shape[-1])
        if self.threshold is None and p.shape[-1] > 1:
            p = one_hot_mask(_largest(p), p).astype(jnp.float32)
        else:
            p = (p > (0.5 if self.threshold is None else self.threshold)).astype(jnp.float32)
        w = _row_weights(weight, len(y))[:, None]
        sums = {"hits": w * y * p, "predicted": w * p, "actual": w * y}
        return {
            name: jnp.broadcast_to(state[name], (y.shape[-1],)) + jnp.sum(value, axis=0)
            for name, value in sums.items()
        }

    def value_of(self, state: State) -> Array:
        """Returns the averaged F1."""
        hits, predicted, actual = state["hits"], state["predicted"], state["actual"]
        if self.average == "micro":
            hits, predicted, actual = jnp.sum(hits), jnp.sum(predicted), jnp.sum(actual)
        f1 = _safe_divide(2.0 * hits, predicted + actual)
        if self.average == "weighted":
            return jnp.sum(f1 * _safe_divide(actual, jnp.sum(actual)[None]))
        return jnp.mean(f1)


@registry.register("auc")
class AUC(Metric):
    """The area under the ROC curve (or the precision-recall curve), by thresholds.

    Counts at `num_thresholds` evenly spaced thresholds stand for the curve, as in Keras; 200
    of them are exact to about 0.005.

    Args:
        num_thresholds: The number of thresholds, at least 3.
        curve: `"ROC"` or `"PR"`.
        name: The name in histories.

    Example:
        >>> round(float(AUC()([[0], [1]], [[0.1], [0.9]])), 3)
        1.0
    """

    _settings = ("num_thresholds", "curve")

    def __init__(self, num_thresholds: int = 200, curve: str = "ROC", name: str | None = None):
        super().__init__(name)
        self.num_thresholds = integer_at_least(3, "AUC(num_thresholds)", num_thresholds)
        if curve not in ("ROC", "PR"):
            raise InvalidArgumentError(
                explain(f"AUC(curve): got {curve!r}.", nearest(str(curve), ("ROC", "PR")))
            )
        self.curve = curve
        inner = np.linspace(0, 1, self.num_thresholds)[1:-1]
        self._thresholds = np.array([-_TINY, *inner, 1 + _TINY], np.float32)

    def initial(self) -> State:
        """Returns zero counts at each threshold, and zero totals."""
        n = self.num_thresholds
        return {
            "hits": jnp.zeros((n,)),
            "alarms": jnp.zeros((n,)),
            "positives": jnp.zeros(()),
            "negatives": jnp.zeros(()),
        }

    def update(self, state: State, y_true: Array, y_pred: Array, weight: Array | None) -> State:
        """Adds the batch's counts above each threshold."""
        y, p = _one_hot_pair(y_true, y_pred)
        w = _row_weights(weight, len(y)).reshape((-1,) + (1,) * (y.ndim - 1))
        w = jnp.broadcast_to(w, y.shape).reshape(-1)
        y, p = y.reshape(-1), p.reshape(-1)
        above = (p[None, :] > self._thresholds[:, None]).astype(jnp.float32)
        return {
            "hits": state["hits"] + above @ (w * y),
            "alarms": state["alarms"] + above @ (w * (1.0 - y)),
            "positives": state["positives"] + jnp.sum(w * y),
            "negatives": state["negatives"] + jnp.sum(w * (1.0 - y)),
        }

    def value_of(self, state: State) -> Array:
        """Returns the area."""
        recall = _safe_divide(state["hits"], state["positives"][None])
        if self.curve == "PR":
            return self._precision_recall_area(state)
        alarm_rate = _safe_divide(state["alarms"], state["negatives"][None])
        return jnp.sum((alarm_rate[:-1] - alarm_rate[1:]) * (recall[:-1] + recall[1:]) / 2.0)

    def _precision_recall_area(self, state: State) -> Array:
        # Interpolates true positives between thresholds, not precision (Davis & Goadrich 2006).
        hits, predicted = state["hits"], state["hits"] + state["alarms"]
        d_hits, d_predicted = hits[:-1] - hits[1:], predicted[:-1] - predicted[1:]
        slope = _safe_divide(d_hits, jnp.maximum(d_predicted, 0.0))
        intercept = hits[1:] - slope * predicted[1:]
        both = (predicted[:-1] > 0) & (predicted[1:] > 0)
        ratio = jnp.where(both, _safe_divide(predicted[:-1], jnp.maximum(predicted[1:], 0.0)), 1.0)
        area = slope * (d_hits + intercept * jnp.log(ratio))
        return jnp.sum(_safe_divide(area, jnp.maximum(state["positives"], 0.0)[None]))


class FunctionMetric(MeanMetric):
    """A function of yours, `f(y_true, y_pred)`, as a metric: the mean of what it returns.

    Args:
        function: Returns one value a row, or a scalar for the batch.
        name: The name in histories; the function's own when None.

    Example:
        >>> largest = FunctionMetric(lambda y, p: jnp.max(jnp.abs(y - p), axis=-1))
        >>> float(largest([[0.0, 0.0]], [[1.0, -2.0]]))
        2.0
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None):
        super().__init__(name or getattr(function, "__name__", "metric"))
        self.function = function

    def row_values(self, y_true: Array, y_pred: Array) -> Array:
        """Returns the function's values; a scalar stands for every row of the batch."""
        values = jnp.asarray(self.function(y_true, y_pred), jnp.float32)
        return jnp.broadcast_to(values, (y_pred.shape[0],)) if values.ndim == 0 else values

    def get_config(self) -> dict[str, Any]:
        """Refuses: a file holds no code."""
        raise InvalidArgumentError(
            explain(
                f"The metric function {self.name!r} cannot be written to a file: files hold no "
                "code.",
                "Save without it, model.save(path, include_compile=False), and compile after "
                "loading.",
            )
        )


def get(identifier: Any) -> Metric:
    """Returns the metric that a string, class, instance, configuration or function stands for.

    Losses count as metrics, by name and as instances.

    Raises:
        InvalidArgumentError: If there is no such metric; the nearest name is offered.

    Example:
        >>> get("rmse").name
        'rmse'
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        if identifier not in registry and identifier in loss_registry:
            return LossMetric(get_loss(identifier), identifier)
        cls = registry.lookup(identifier)
        return cls(name=identifier)
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if isinstance(identifier, Loss):
        return LossMetric(identifier)
    if isinstance(identifier, dict):
        return registry.build(identifier)
    if callable(identifier):
        return FunctionMetric(identifier)
    raise InvalidArgumentError(
        explain(
            f"A metric cannot be {identifier!r}.",
            "Type a name such as 'accuracy', or a metric instance. " + nearest("", registry.names),
        )
    )


def fitting_accuracy(
    metric: Metric,
    target_shape: tuple[Any, ...],
    output_shape: tuple[Any, ...],
    loss: Loss | None,
) -> Metric:
    """Returns the kind of accuracy that fits the shapes, under the name "accuracy".

    Args:
        metric: Any metric; all but a plain `Accuracy` are returned as they are.
        target_shape: The shape of the targets, the batch first.
        output_shape: The shape of the output, the batch first.
        loss: The loss, if there is one; under logits, a binary output is cut at 0 rather than at
            0.5.

    Example:
        >>> loss = get_loss("sparse_categorical_crossentropy")
        >>> fitting_accuracy(get("accuracy"), (None,), (None, 10), loss)
        SparseCategoricalAccuracy()
    """
    if type(metric) is not Accuracy:
        return metric
    if output_shape[-1] == 1 or (loss is not None and loss.target_kind == "binary"):
        return BinaryAccuracy(0.0 if getattr(loss, "from_logits", False) else 0.5, metric.name)
    same = len(target_shape) == len(output_shape) and target_shape[-1] == output_shape[-1]
    return CategoricalAccuracy(metric.name) if same else SparseCategoricalAccuracy(metric.name)


def _largest(values: Array) -> Array:
    """Returns the index of the largest value along the last axis, the first of equals.

    The same as argmax, as two plain reductions: they compile into vector code on a CPU, where
    argmax does not and took a twentieth of a small network's step.
    """
    indices = jax.lax.broadcasted_iota(jnp.int32, values.shape, values.ndim - 1)
    is_top = values == jnp.max(values, axis=-1, keepdims=True)
    return jnp.min(jnp.where(is_top, indices, values.shape[-1]), axis=-1)


def _safe_divide(a: Array, b: Array) -> Array:
    return jnp.where(b == 0, 0.0, a / jnp.where(b == 0, 1.0, b))


def _row_weights(weight: Array | None, rows: int) -> Array:
    return jnp.ones((rows,)) if weight is None else weight.astype(jnp.float32).reshape(rows)


def _weighted_sums(values: Array, weight: Array | None) -> tuple[Array, Array]:
    if weight is None:
        return jnp.sum(values), jnp.asarray(float(values.size), jnp.float32)
    spread = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
    spread = jnp.broadcast_to(spread, values.shape)
    return jnp.sum(values * spread), jnp.sum(spread)


def _one_hot_pair(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Returns targets and outputs of one shape: integer labels of several classes as one-hot."""
    y = align(y_true, y_pred)
    if y.ndim == y_pred.ndim - 1 or (y.ndim == y_pred.ndim and y.shape != y_pred.shape):
        return one_hot_mask(y, y_pred).astype(jnp.float32), y_pred
    return (y.astype(y_pred.dtype) > 0.5).astype(jnp.float32), y_pred


# Keras's word for `get` where a configuration is read.
deserialize = get
