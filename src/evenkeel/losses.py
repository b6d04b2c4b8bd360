"""Losses: how wrong an output is, for each row and as the one number that training lowers.

The reduction is Keras's: the sum of the (weighted) values divided by their number, also with
sample weights. A softmax or sigmoid output under a cross-entropy is computed in log space: the
engine hands the logits over, and no probability is ever rounded to 0 before its logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.errors import InvalidArgumentError, explain, nearest, number_in
from evenkeel.network import Array
from evenkeel.registry import Registry, snake_case
from evenkeel.registry import serialize as serialize

registry: Registry[Loss] = Registry("loss")

# What a loss expects as targets; the engine checks data against it before the first step.
TargetKind = Literal["numbers", "binary", "one-hot", "classes"]

# Keras's fuzz factor: probabilities are clipped to [1e-7, 1 - 1e-7] before a logarithm.
EPSILON = 1e-7


def align(y_true: Array, y_pred: Array) -> Array:
    """Gives targets (batch,) the shape of an output (batch, 1), and the other way round.

    Without it, arithmetic between the two would silently broadcast to (batch, batch).

    Example:
        >>> align(jnp.zeros((8,)), jnp.zeros((8, 1))).shape
        (8, 1)
    """
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        return y_true[..., None]
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        return y_true[..., 0]
    return y_true


def weighted_mean(values: Array, weight: Array | None) -> Array:
    """Reduces values (batch, ...) to their weighted sum over their number.

    Example:
        >>> float(weighted_mean(jnp.array([1.0, 2.0]), jnp.array([1.0, 0.5])))
        1.0
    """
    if weight is None:
        return jnp.mean(values)
    spread = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
    weighted = values * spread.astype(values.dtype)  # a scalar value stands for every row
    return jnp.sum(weighted) / weighted.size


class Loss:
    """The contract: `values(y_true, y_pred)` gives one value a row; calling reduces them.

    Args:
        name: The name in messages; the snake-case class name when None.
        reduction: Only `"sum_over_batch_size"`.

    Example:
        >>> class Quartic(Loss):
        ...     def values(self, y_true, y_pred, noted=None):
        ...         return jnp.mean((y_true - y_pred) ** 4, axis=-1)
        >>> float(Quartic()([[0.0]], [[2.0]]))
        16.0
    """

    target_kind: ClassVar[TargetKind | None] = None
    log_space: ClassVar[str | None] = None
    _settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str | None = None, reduction: str = "sum_over_batch_size"):
        if reduction != "sum_over_batch_size":
            raise InvalidArgumentError(
                explain(
                    f"{type(self).__name__}(reduction): got {reduction!r}, expected "
                    "'sum_over_batch_size'.",
                    "Leave reduction out; values(y_true, y_pred) gives the unreduced values.",
                )
            )
        self.name = name or snake_case(type(self).__name__)

    def values(self, y_true: Array, y_pred: Array, noted: tuple[str, Array] | None = None) -> Array:
        """Returns the loss of each row.

        Args:
            y_true: The targets.
            y_pred: The network's output.
            noted: The kind and logits from which the output was made, where that is known.
        """
        own = getattr(self, "call", None)  # as losses for Keras are written
        if own is None:
            raise NotImplementedError(f"{type(self).__name__} must define values(y_true, y_pred).")
        return own(align(y_true, y_pred), y_pred)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Array:
        """Returns the reduced loss, a scalar."""
        weight = None if sample_weight is None else jnp.asarray(sample_weight, jnp.float32)
        outputs = jnp.asarray(y_pred, jnp.float32)
        return weighted_mean(self.values(align(jnp.asarray(y_true), outputs), outputs), weight)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"name": self.name, **{name: getattr(self, name) for name in self._settings}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """Rebuilds the loss from `get_config()`."""
        return cls(**config)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._settings)
        return f"{type(self).__name__}({settings})"


@registry.register("mse")
class MeanSquaredError(Loss):
    """The mean over the outputs of ((y - ŷ)/s)².

    With the standard deviation of the targets as s, a network that answers in raw units, 250,000
    say, is trained as if on standardized targets: gradients are of size 1, and a loss of 1 is that
    of always answering the mean.

    Args:
        scale: The s, above 0, in the targets' unit: a number, or one for each output; 1 when None,
            as in Keras, which has no scale.
        **kwargs: `name`.

    Example:
        >>> float(MeanSquaredError()([[0.0], [2.0]], [[1.0], [2.0]]))
        0.5
        >>> float(MeanSquaredError(scale=100.0)([[300.0]], [[500.0]]))
        4.0
    """

    target_kind = "numbers"
    _settings = ("scale",)

    def __init__(self, *, scale: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = None if scale is None else _scale(scale)

    def values(self, y_true: Array, y_pred: Array, noted: Any = None) -> Array:
        """Returns the mean squared difference of each row."""
        error = _numbers(y_true, y_pred) - y_pred
        if self.scale is not None:
            scale = jnp.asarray(self.scale, error.dtype)
            error = error / scale.reshape((1,) * (error.ndim - 1) + (-1,))
        return jnp.mean(jnp.square(error), axis=-1)

    def __repr__(self) -> str:
        return "MeanSquaredError()" if self.scale is None else super().__repr__()


@registry.register("mae")
class MeanAbsoluteError(Loss):
    """The mean over the outputs of |y - ŷ|: less moved by outliers.

    Example:
        >>> float(MeanAbsoluteError()([[0.0], [2.0]], [[1.0], [2.0]]))
        0.5
    """

    target_kind = "numbers"

    def values(self, y_true: Array, y_pred: Array, noted: Any = None) -> Array:
        """Returns the mean absolute difference of each row."""
        return jnp.mean(jnp.abs(_numbers(y_true, y_pred) - y_pred), axis=-1)


@registry.register()
class Huber(Loss):
    """Quadratic for errors up to δ, linear beyond: ½e² or δ|e| - ½δ².

    Args:
        delta: The δ at which the quadratic becomes a line, above 0, in the targets' unit.
        **kwargs: `name`.

    Example:
        >>> float(Huber(delta=1.0)([[0.0]], [[3.0]]))
        2.5

    References:
        Huber, "Robust Estimation of a Location Parameter", 1964.
    """

    target_kind = "numbers"
    _settings = ("delta",)

    def __init__(self, delta: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.delta = number_in("Huber(delta)", delta, 0, math.inf, low_open=True)

    def values(self, y_true: Array, y_pred: Array, noted: Any = None) -> Array:
        """Returns the mean Huber loss of each row."""
        error = jnp.abs(_numbers(y_true, y_pred) - y_pred)
        quadratic = jnp.minimum(error, self.delta)
        return jnp.mean(0.5 * quadratic**2 + self.delta * (error - quadratic), axis=-1)


class _CrossEntropy(Loss):
    """What the three cross-entropies share: logits, log space, label smoothing."""

    _settings = ("from_logits", "label_smoothing")

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.from_logits = bool(from_logits)
        self.label_smoothing = number_in(
            f"{type(self).__name__}(label_smoothing)", label_smoothing, 0, 1
        )

    def logits(self, y_pred: Array, noted: tuple[str, Array] | None) -> Array | None:
        """Returns the logits behind an output, or None if only probabilities are known."""
        if self.from_logits:
            return y_pred
        return noted[1] if noted is not None and noted[0] == self.log_space else None


@registry.register("bce")
class BinaryCrossentropy(_CrossEntropy):
    """-[y log p + (1 - y) log(1 - p)], the mean over the outputs of a row.

    Args:
        from_logits: Whether the network's output is logits; a sigmoid output is recognized and
            computed in log space anyway.
        label_smoothing: The s in y(1 - s) + s/2, in [0, 1].
        **kwargs: `name`.

    Example:
        >>> round(float(BinaryCrossentropy()([[1.0]], [[0.5]])), 4)
        0.6931
    """

    target_kind = "binary"
    log_space = "sigmoid"

    def values(self, y_true: Array, y_pred: Array, noted: tuple[str, Array] | None = None) -> Array:
        """Returns the binary cross-entropy of each row."""
        y = _numbers(y_true, y_pred)
        s = self.label_smoothing
        y = y * (1.0 - s) + 0.5 * s if s else y
        z = self.logits(y_pred, noted)
        if z is not None:
            return jnp.mean(jnp.maximum(z, 0.0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))), axis=-1)
        p = jnp.clip(y_pred, EPSILON, 1.0 - EPSILON)
        return -jnp.mean(y * jnp.log(p) + (1.0 - y) * jnp.log(1.0 - p), axis=-1)


@registry.register("cce")
class CategoricalCrossentropy(_CrossEntropy):
    """-Σ y log p over classes, for one-hot (or soft) targets.

    Args:
        from_logits: Whether the network's output is logits; a softmax output is recognized and
            computed in log space anyway.
        label_smoothing: The s in y(1 - s) + s/classes, in [0, 1].
        **kwargs: `name`.

    Example:
        >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
        0.6931
    """

    target_kind = "one-hot"
    log_space = "softmax"

    def values(self, y_true: Array, y_pred: Array, noted: tuple[str, Array] | None = None) -> Array:
        """Returns the cross-entropy of each row."""
        y = _numbers(y_true, y_pred)
        s = self.label_smoothing
        y = y * (1.0 - s) + s / y_pred.shape[-1] if s else y
        return -jnp.sum(y * _log_probabilities(y_pred, self.logits(y_pred, noted)), axis=-1)


@registry.register()
class SparseCategoricalCrossentropy(_CrossEntropy):
    """-log p of the true class, for integer targets.

    Args:
        from_logits: Whether the network's output is logits; a softmax output is recognized and
            computed in log space anyway.
        label_smoothing: The s that spreads s/classes over all classes, in [0, 1].
        **kwargs: `name`.

    Example:
        >>> round(float(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
        0.6931
    """

    target_kind = "classes"
    log_space = "softmax"

    def values(self, y_true: Array, y_pred: Array, noted: tuple[str, Array] | None = None) -> Array:
        """Returns the cross-entropy of each row."""
        log_p = _log_probabilities(y_pred, self.logits(y_pred, noted))
        hit = one_hot_mask(y_true, y_pred)
        # A comparison with all classes compiles into the loop around it; a gather and its
        # scatter-gradient do not.
        value = -jnp.sum(jnp.where(hit, log_p, 0.0), axis=-1)
        s = self.label_smoothing
        return value * (1.0 - s) - s * jnp.mean(log_p, axis=-1) if s else value


def one_hot_mask(labels: Array, y_pred: Array) -> Array:
    """Returns True where a class is the label's, in the shape of the output.

    Example:
        >>> one_hot_mask(jnp.array([1]), jnp.zeros((1, 3))).tolist()
        [[False, True, False]]
    """
    if labels.ndim == y_pred.ndim:
        labels = labels[..., 0]
    classes = jax.lax.broadcasted_iota(jnp.int32, y_pred.shape, y_pred.ndim - 1)
    return classes == labels.astype(jnp.int32)[..., None]


def _scale(given: Any) -> Any:
    """Checks scales and returns them as plain numbers, which a file can hold."""
    scale = np.asarray(given, np.float64)
    if scale.ndim > 1 or not bool(((scale > 0) & np.isfinite(scale)).all()):
        raise InvalidArgumentError(
            explain(
                f"MeanSquaredError(scale): got {given!r}, expected numbers above 0.",
                "Give the standard deviation of the targets: scale=y.std(axis=0).",
            )
        )
    return scale.tolist()


def _numbers(y_true: Array, y_pred: Array) -> Array:
    return align(y_true, y_pred).astype(y_pred.dtype)


def _log_probabilities(y_pred: Array, logits: Array | None) -> Array:
    if logits is not None:
        return jax.nn.log_softmax(logits, axis=-1)
    p = y_pred / jnp.sum(y_pred, axis=-1, keepdims=True)
    return jnp.log(jnp.clip(p, EPSILON, 1.0 - EPSILON))


class FunctionLoss(Loss):
    """A function of yours, `f(y_true, y_pred)`, as a loss.

    Args:
        function: Returns one value a row, or a scalar that is taken as it is.
        name: The name in messages; the function's own when None.

    Example:
        >>> cubic = FunctionLoss(lambda y, p: jnp.mean(jnp.abs(y - p) ** 3, axis=-1))
        >>> float(cubic([[0.0]], [[2.0]]))
        8.0
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None):
        super().__init__(name or getattr(function, "__name__", "loss"))
        self.function = function

    def values(self, y_true: Array, y_pred: Array, noted: Any = None) -> Array:
        """Returns what the function returns."""
        return jnp.asarray(self.function(align(y_true, y_pred), y_pred))

    def get_config(self) -> dict[str, Any]:
        """Refuses: a file holds no code."""
        raise InvalidArgumentError(
            explain(
                f"The loss function {self.name!r} cannot be written to a file: files hold no code.",
                "Save without the loss, model.save(path, include_compile=False), and compile "
                "after loading.",
            )
        )


def get(identifier: Any) -> Loss:
    """Returns the loss that a string, class, instance, configuration or function stands for.

    Raises:
        InvalidArgumentError: If there is no such loss; the nearest name is offered.

    Example:
        >>> get("mse")
        MeanSquaredError()
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str):
        return registry.lookup(identifier)()
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if isinstance(identifier, dict):
        return registry.build(identifier)
    if callable(identifier):
        return _loss_of_function.get(identifier) or FunctionLoss(identifier)
    raise InvalidArgumentError(
        explain(
            f"A loss cannot be {identifier!r}.",
            "Type a name such as 'mse', a loss instance, or a function of (y_true, y_pred). "
            + nearest("", registry.names),
        )
    )


def _as_function(loss: Loss, targets: str = "[[0.0, 1.0]]") -> Callable[[Any, Any], Array]:
    def function(y_true: Any, y_pred: Any) -> Array:
        return loss.values(jnp.asarray(y_true), jnp.asarray(y_pred, jnp.float32))

    function.__name__ = loss.name
    function.__doc__ = f"""The values of `{type(loss).__name__}`, one a row, unreduced.

    Example:
        >>> {loss.name}({targets}, [[0.5, 0.5]]).shape
        (1,)
    """
    return function


# The same losses as functions that return one value a row, as Keras has them.
mean_squared_error = _as_function(MeanSquaredError())
mean_absolute_error = _as_function(MeanAbsoluteError())
huber = _as_function(Huber())
binary_crossentropy = _as_function(BinaryCrossentropy())
categorical_crossentropy = _as_function(CategoricalCrossentropy())
sparse_categorical_crossentropy = _as_function(SparseCategoricalCrossentropy(), "[1]")

_loss_of_function: dict[Any, Loss] = {
    mean_squared_error: MeanSquaredError(),
    mean_absolute_error: MeanAbsoluteError(),
    huber: Huber(),
    binary_crossentropy: BinaryCrossentropy(),
    categorical_crossentropy: CategoricalCrossentropy(),
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy(),
}

# Keras's word for `get` where a configuration is read.
deserialize = get
