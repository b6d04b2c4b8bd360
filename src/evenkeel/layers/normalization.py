"""Layers that normalize what passes: BatchNormalization, LayerNormalization, RMSNormalization.

They keep the scale of activations, and so of gradients, from running away with depth. The one that
makes raw numbers fit for a network before training is in `preprocessing`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from evenkeel import constraints, initializers, regularizers
from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    explain,
    number_in,
)
from evenkeel.layers.base import Layer, Shape, as_float, describe, registry
from evenkeel.network import Array, Variable, current_scope


@partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def normalized(
    x: Array, gamma: Array, beta: Array, axes: tuple[int, ...], epsilon: float
) -> tuple[Array, Array, Array]:
    """Standardizes over axes, then scales and shifts; returns the mean and variance as well.

    The variance is the mean of squared deviations, which stays exact where the mean is large.

    Args:
        x: The values.
        gamma: The scale, with x's rank and size 1 along the axes.
        beta: The offset, of the same shape.
        axes: What mean and variance are taken over.
        epsilon: What is added to the variance.

    Returns:
        (x - mean) · gamma / sqrt(variance + epsilon) + beta, the mean, the variance.
    """
    mean = jnp.mean(x, axes, keepdims=True)
    centered = x - mean
    variance = jnp.mean(jnp.square(centered), axes, keepdims=True)
    return centered * (jax.lax.rsqrt(variance + epsilon) * gamma) + beta, mean, variance


@normalized.defjvp
def _(axes: tuple[int, ...], epsilon: float, primals: Any, tangents: Any) -> Any:
    """The derivative, arranged so that its transpose needs two sums over the batch.

    They are the gradients of gamma and beta; autodiff of the definition takes twice as many.
    """
    (x, gamma, beta), (dx, dgamma, dbeta) = primals, tangents
    mean = jnp.mean(x, axes, keepdims=True)
    centered = x - mean
    variance = jnp.mean(jnp.square(centered), axes, keepdims=True)
    inverse = jax.lax.rsqrt(variance + epsilon)
    scale, unit = inverse * gamma, centered * inverse
    dmean = jnp.mean(dx, axes, keepdims=True)
    dunit = jnp.mean(dx * unit, axes, keepdims=True)
    dy = scale * dx + (dbeta - scale * dmean) + unit * (dgamma - scale * dunit)
    return (centered * scale + beta, mean, variance), (dy, dmean, 2.0 * dunit / inverse)


class _Affine(Layer):
    """A normalization with a learned scale gamma and a learned offset beta."""

    gamma: Variable | None = None
    beta: Variable | None = None

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.epsilon = number_in(f"{type(self).__name__}(epsilon)", epsilon, 0, math.inf)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def _add_gamma_and_beta(self, shape: tuple[int | None, ...]) -> None:
        if self.scale:
            self.gamma = self.add_weight(
                shape,
                self.gamma_initializer,
                name="gamma",
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = self.add_weight(
                shape,
                self.beta_initializer,
                name="beta",
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )

    def _gamma_and_beta(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Returns both in a shape, 1 and 0 where the layer has none."""
        gamma = jnp.ones(shape) if self.gamma is None else self.gamma.value.reshape(shape)
        beta = jnp.zeros(shape) if self.beta is None else self.beta.value.reshape(shape)
        return gamma, beta

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the input's shape."""
        self.check_input_shape(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": describe(self.beta_initializer),
            "gamma_initializer": describe(self.gamma_initializer),
            "beta_regularizer": describe(self.beta_regularizer),
            "gamma_regularizer": describe(self.gamma_regularizer),
            "beta_constraint": describe(self.beta_constraint),
            "gamma_constraint": describe(self.gamma_constraint),
        }


@registry.register()
class BatchNormalization(_Affine):
    """Standardizes each feature over the batch, then gives it a learned scale and offset.

    It keeps activations and gradients in scale however deep the stack, permits larger learning
    rates and even saturating activations, and regularizes a little. As a first layer it stands in
    for a scaler. It works before or after an activation; a bias right before it has no effect,
    because the mean is subtracted (`use_bias=False`).

        y = γ · (x - μ) / sqrt(σ² + ε) + β

    In training μ and σ² are the mean and the biased variance of the batch, and moving averages of
    both are kept: moving ← momentum · moving + (1 - momentum) · batch. In inference, and where the
    layer is not trainable, μ and σ² are the moving averages. Only `fit` moves them; calling the
    model does not. In a training batch of one row every output is β.

    Shapes:
        x: (batch, ..., features) → the same; gamma, beta, moving_mean, moving_variance (features,).

    Args:
        axis: The axis of the features; -1 for tables and images with the channels last.
        momentum: How much of the moving averages is kept at each step, in [0, 1]; nearer to 1 for
            small batches. They need about 3 / (1 - momentum) steps to forget where they started.
        epsilon: What is added to the variance, at least 0.
        center: Whether there is a β.
        scale: Whether there is a γ; can be left out where a linear layer follows.
        beta_initializer: The rule for the starting β.
        gamma_initializer: The rule for the starting γ.
        moving_mean_initializer: The rule for the starting moving mean.
        moving_variance_initializer: The rule for the starting moving variance.
        beta_regularizer: A penalty on β that is added to the loss.
        gamma_regularizer: A penalty on γ.
        beta_constraint: A limit that β is put back into after each update.
        gamma_constraint: A limit on γ.
        **kwargs: `name`, `trainable`, `activity_regularizer`, `input_shape`.

    Raises:
        InvalidArgumentError: If the axis is the batch's, or a number out of range.

    Example:
        >>> layer = BatchNormalization(input_shape=[4])
        >>> layer.ensure_built((None, 4))
        >>> [(weight.name, weight.trainable) for weight in layer.weights][1:3]
        [('beta', True), ('moving_mean', False)]

    References:
        Ioffe and Szegedy, "Batch Normalization", ICML 2015. https://arxiv.org/abs/1502.03167
        Momentum and epsilon are the defaults of Keras.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            **kwargs,
        )
        self.axis = feature_axes("BatchNormalization", axis, one=True)[0]
        self.momentum = number_in("BatchNormalization(momentum)", momentum, 0, 1)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses inputs without the axis, or with another number of features."""
        (axis,) = positive_axes(self, [self.axis], input_shape)
        if self.built and input_shape[axis] != self.moving_mean.shape[0]:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, expected "
                    f"{self.moving_mean.shape[0]} features along axis {self.axis}.",
                    "Give inputs with as many features as the layer was built for.",
                )
            )

    def build(self, input_shape: Shape) -> None:
        """Adds gamma, beta and the moving averages."""
        features = (input_shape[self.axis],)
        self._add_gamma_and_beta(features)
        self.moving_mean = self.add_weight(
            features, self.moving_mean_initializer, name="moving_mean", trainable=False
        )
        self.moving_variance = self.add_weight(
            features, self.moving_variance_initializer, name="moving_variance", trainable=False
        )

    def call(self, inputs: Array, training: bool | None = None) -> Array:
        """Normalizes by the batch in training, by the moving averages otherwise."""
        x = as_float(inputs)
        axis = self.axis % x.ndim
        shape = tuple(n if d == axis else 1 for d, n in enumerate(x.shape))
        gamma, beta = self._gamma_and_beta(shape)
        if not training or self.is_frozen:
            inverse = jax.lax.rsqrt(self.moving_variance.value + self.epsilon).reshape(shape)
            # Not folded into scale · x + offset, which would cancel digits where means are large.
            return (x - self.moving_mean.value.reshape(shape)) * (inverse * gamma) + beta
        axes = tuple(d for d in range(x.ndim) if d != axis)
        output, mean, variance = normalized(x, gamma, beta, axes, self.epsilon)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return output

    def _move(self, average: Variable, of_batch: Array) -> None:
        scope = current_scope()
        if scope is None or not scope.holds(average):
            return  # nobody would carry it out: the layer is merely called
        news = jax.lax.stop_gradient(of_batch).reshape(-1)
        average.assign(average.value * self.momentum + news * (1.0 - self.momentum))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "moving_mean_initializer": describe(self.moving_mean_initializer),
            "moving_variance_initializer": describe(self.moving_variance_initializer),
        }


@registry.register()
class LayerNormalization(_Affine):
    """Standardizes each row over its features, then gives each feature a scale and an offset.

    Rows do not depend on each other, so that it is the same in training and inference, at any
    batch size:

        y = γ · (x - mean) / sqrt(variance + ε) + β

    Shapes:
        x: (batch, ..., features) → the same; gamma, beta as large as x along the axes.

    Args:
        axis: The axis, or axes, over which a row is standardized.
        epsilon: What is added to the biased variance, at least 0; Keras's default.
        center: Whether there is a β.
        scale: Whether there is a γ.
        beta_initializer: The rule for the starting β.
        gamma_initializer: The rule for the starting γ.
        beta_regularizer: A penalty on β that is added to the loss.
        gamma_regularizer: A penalty on γ.
        beta_constraint: A limit that β is put back into after each update.
        gamma_constraint: A limit on γ.
        **kwargs: `name`, `trainable`, `activity_regularizer`, `input_shape`.

    Raises:
        InvalidArgumentError: If an axis is the batch's, or a number out of range.

    Example:
        >>> LayerNormalization(epsilon=0.0)(jnp.array([[1.0, 3.0]])).tolist()
        [[-1.0, 1.0]]

    References:
        Ba et al., "Layer Normalization", 2016. https://arxiv.org/abs/1607.06450
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            **kwargs,
        )
        self.axis = feature_axes("LayerNormalization", axis)

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses inputs without the axes."""
        positive_axes(self, self.axis, input_shape)

    def build(self, input_shape: Shape) -> None:
        """Adds gamma and beta."""
        axes = positive_axes(self, self.axis, input_shape)
        self._add_gamma_and_beta(tuple(input_shape[a] for a in axes))

    def call(self, inputs: Array) -> Array:
        """Normalizes each row."""
        x = as_float(inputs)
        axes = positive_axes(self, self.axis, x.shape)
        shape = tuple(n if d in axes else 1 for d, n in enumerate(x.shape))
        centered = x - jnp.mean(x, axes, keepdims=True)
        variance = jnp.mean(jnp.square(centered), axes, keepdims=True)
        gamma, beta = self._gamma_and_beta(shape)
        return centered * jax.lax.rsqrt(variance + self.epsilon) * gamma + beta

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "axis": list(self.axis)}


@registry.register()
class RMSNormalization(Layer):
    """Divides each row by the root of its mean square, then scales each feature.

    Cheaper than layer normalization, because no mean is subtracted:

        y = scale · x / sqrt(mean(x²) + ε)

    Shapes:
        x: (batch, ..., features) → the same; scale as large as x along the axes.

    Args:
        axis: The axis, or axes, over which the mean is taken.
        epsilon: What is added to the mean square, at least 0; Keras's default.
        **kwargs: `name`, `trainable`, `activity_regularizer`, `input_shape`.

    Raises:
        InvalidArgumentError: If an axis is the batch's, or a number out of range.

    Example:
        >>> RMSNormalization(epsilon=0.0)(jnp.array([[2.0, -2.0]])).tolist()
        [[1.0, -1.0]]

    References:
        Zhang and Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019.
        https://arxiv.org/abs/1910.07467
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = feature_axes("RMSNormalization", axis)
        self.epsilon = number_in("RMSNormalization(epsilon)", epsilon, 0, math.inf)

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses inputs without the axes."""
        positive_axes(self, self.axis, input_shape)

    def build(self, input_shape: Shape) -> None:
        """Adds the scale."""
        axes = positive_axes(self, self.axis, input_shape)
        self.scale = self.add_weight(tuple(input_shape[a] for a in axes), "ones", name="scale")

    def call(self, inputs: Array) -> Array:
        """Normalizes each row."""
        x = as_float(inputs)
        axes = positive_axes(self, self.axis, x.shape)
        shape = tuple(n if d in axes else 1 for d, n in enumerate(x.shape))
        square = jnp.mean(jnp.square(x), axes, keepdims=True)
        return x * jax.lax.rsqrt(square + self.epsilon) * self.scale.value.reshape(shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the input's shape."""
        self.check_input_shape(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "axis": list(self.axis), "epsilon": self.epsilon}


def feature_axes(name: str, axis: Any, *, one: bool = False) -> tuple[int, ...]:
    """Checks an `axis` argument: integers, none of them the batch's.

    Args:
        name: The layer's class, for the message.
        axis: What was given.
        one: Whether exactly one axis is wanted.

    Returns:
        The axes.
    """
    several: tuple[Any, ...] = (axis,)
    if isinstance(axis, list | tuple) and not one:
        several = tuple(axis)
    if not several or any(not isinstance(a, int) or isinstance(a, bool) or a == 0 for a in several):
        raise InvalidArgumentError(
            explain(
                f"{name}(axis): got {axis!r}, expected an integer"
                + ("" if one else " or several")
                + " other than 0, the batch.",
                "Type axis=-1 for features, or channels, that come last.",
            )
        )
    return several


def positive_axes(layer: Layer, axes: Sequence[int], shape: Shape) -> tuple[int, ...]:
    """Returns axes counted from the front, sorted, once a shape is known to have them all."""
    rank = len(shape)
    counted = sorted({axis % rank for axis in axes}) if rank else []
    if any(not -rank <= axis < rank for axis in axes) or 0 in counted or len(counted) < len(axes):
        raise InvalidDataError(
            explain(
                f"{layer._where()}: input has shape {shape}, and axis is "
                f"{axes[0] if len(axes) == 1 else tuple(axes)}, expected axes of the input, each "
                "once, behind the batch.",
                "Type axis=-1 for features, or channels, that come last.",
            )
        )
    return tuple(counted)
