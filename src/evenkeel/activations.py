"""Activations: what a unit makes of the weighted sum of its inputs.

Each is a function of one array, reachable by name wherever an `activation` is expected
(`Dense(300, activation="elu")`). Which one to take: SELU > ELU > leaky variants > ReLU > tanh >
logistic is the order of the book; `layers` holds those that have parameters of their own.

One is random while training: `rrelu` asks the scope under way whether it trains, and for a key.

`softmax` and `sigmoid` tell the scope from which logits their output was made, so that a
cross-entropy behind them is computed in log space.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from evenkeel.bits import octets
from evenkeel.errors import InvalidArgumentError, explain, nearest
from evenkeel.network import current_scope
from evenkeel.registry import Registry

Array = jax.Array
registry: Registry[Any] = Registry("activation")

# Klambauer et al. 2017, equation 14: the fixed point at mean 0 and variance 1.
SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _elu(x: Array, alpha: float) -> Array:
    """ELU with its own derivative.

    e^x - 1 is written with tanh, as 2t / (1 - t) with t = tanh(x/2): equal to the last digits,
    without cancellation near 0, and faster than expm1 in compiled CPU code.
    """
    t = jnp.tanh(0.5 * jnp.minimum(x, 0.0))
    return jnp.where(x > 0, x, (2.0 * alpha) * t / (1.0 - t))


@_elu.defjvp
def _(alpha: float, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    y = _elu(x, alpha)
    # Below 0 the slope α e^x is y + α: the backward pass needs the output alone.
    is_above = y > 0 if alpha > 0 else x > 0
    return y, jnp.where(is_above, 1.0, y + alpha) * dx


@registry.register()
def linear(x: Array) -> Array:
    """The identity.

    Example:
        >>> linear(jnp.array([-1.0, 2.0])).tolist()
        [-1.0, 2.0]
    """
    return x


@registry.register("logistic")
def sigmoid(x: Array) -> Array:
    """The logistic function 1 / (1 + e^-x); saturates at both ends.

    Example:
        >>> float(sigmoid(jnp.array(0.0)))
        0.5
    """
    y = jax.nn.sigmoid(x)
    _note_logits(y, "sigmoid", x)
    return y


@registry.register()
def tanh(x: Array) -> Array:
    """The hyperbolic tangent; saturates at -1 and 1, but is centred at 0.

    Example:
        >>> float(tanh(jnp.array(0.0)))
        0.0
    """
    return jnp.tanh(x)


@registry.register()
def relu(
    x: Array, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Array:
    """max(0, x). Units can die: where the sum is negative for every row, no gradient flows.

    With its settings it is negative_slope·(x - threshold) up to the threshold, x above it, and
    max_value where x is larger than that.

    Args:
        x: The input, any shape.
        negative_slope: The slope up to the threshold.
        max_value: The largest output; None for no cap.
        threshold: Where the unit starts to pass its input on.

    Example:
        >>> relu(jnp.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """
    if not negative_slope and not threshold:
        y = jax.nn.relu(x)
    else:
        y = jnp.where(x > threshold, x, negative_slope * (x - threshold))
    return y if max_value is None else jnp.minimum(y, max_value)


@registry.register()
def relu6(x: Array) -> Array:
    """min(max(0, x), 6).

    Example:
        >>> relu6(jnp.array([-1.0, 9.0])).tolist()
        [0.0, 6.0]
    """
    return jax.nn.relu6(x)


@registry.register()
def leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    """X above 0, `negative_slope`·x below: a unit that cannot die.

    Args:
        x: The input, any shape.
        negative_slope: The slope below 0; 0.2 here, while the layer's default is 0.3.

    Example:
        >>> leaky_relu(jnp.array([-1.0, 2.0]), negative_slope=0.5).tolist()
        [-0.5, 2.0]

    References:
        Maas et al., "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.
    """
    return jnp.where(x >= 0, x, negative_slope * x)


@registry.register()
def rrelu(x: Array, lower: float = 1 / 8, upper: float = 1 / 3) -> Array:
    """X above 0, a·x below, with a slope a drawn anew for each element while training.

        a ~ U(lower, upper) in training;  a = (lower + upper) / 2 in inference

    The noise regularizes, as dropout does. Slopes are the midpoints of 256 equal parts of the
    interval. Outside of a network's evaluation it is what it is in inference.

    Args:
        x: The input, any shape.
        lower: The smallest slope below 0.
        upper: The largest slope below 0.

    Example:
        >>> rrelu(jnp.array([-1.0, 2.0]), lower=0.2, upper=0.3).tolist()
        [-0.25, 2.0]

    References:
        Xu et al., "Empirical Evaluation of Rectified Activations in Convolutional Network", 2015.
        https://arxiv.org/abs/1505.00853
    """
    scope = current_scope()
    key = scope.next_key() if scope is not None and scope.training else None
    return rrelu_with(key, x, lower, upper)


def rrelu_with(key: Array | None, x: Array, lower: float, upper: float) -> Array:
    """Returns `rrelu` with the slopes that a key draws, or with the mean slope for None.

    Example:
        >>> rrelu_with(None, jnp.array([-1.0, 2.0]), 0.2, 0.3).tolist()
        [-0.25, 2.0]
    """
    if key is None:
        return jnp.where(x >= 0, x, (0.5 * (lower + upper)) * x)
    part = (upper - lower) / 256
    slopes = octets(key, x.shape).astype(x.dtype) * part + (lower + 0.5 * part)
    return jnp.where(x >= 0, x, slopes * x)


@registry.register()
def elu(x: Array, alpha: float = 1.0) -> Array:
    """X above 0, α(e^x - 1) below: mean outputs nearer to 0, and a gradient on both sides.

    Args:
        x: The input, any shape.
        alpha: The α that very negative inputs approach, as -α.

    Example:
        >>> elu(jnp.array([0.0, 2.0])).tolist()
        [0.0, 2.0]

    References:
        Clevert et al., "Fast and Accurate Deep Network Learning by Exponential Linear Units",
        ICLR 2016. https://arxiv.org/abs/1511.07289
    """
    return _elu(x, float(alpha))


@registry.register()
def selu(x: Array) -> Array:
    """λ·elu(x, α) with the λ and α at which a deep stack normalizes itself.

        λ = 1.0507009873554805,    α = 1.6732632423543772

    It needs standardized inputs, LeCun normal kernels and a plain stack of layers.

    Example:
        >>> round(float(selu(jnp.array(1.0))), 4)
        1.0507

    References:
        Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017.
        https://arxiv.org/abs/1706.02515
    """
    return SELU_SCALE * elu(x, SELU_ALPHA)


@registry.register()
def celu(x: Array, alpha: float = 1.0) -> Array:
    """X above 0, α(e^(x/α) - 1) below: an ELU whose slope has no jump at 0, whatever α is.

    Args:
        x: The input, any shape.
        alpha: The α that very negative inputs approach, as -α; not 0.

    Example:
        >>> celu(jnp.array([0.0, 2.0]), alpha=2.0).tolist()
        [0.0, 2.0]

    References:
        Barron, "Continuously Differentiable Exponential Linear Units", 2017.
        https://arxiv.org/abs/1704.07483
    """
    return alpha * _elu(x / alpha, 1.0)


@registry.register()
def exponential(x: Array) -> Array:
    """e^x.

    Example:
        >>> float(exponential(jnp.array(0.0)))
        1.0
    """
    return jnp.exp(x)


@registry.register()
def softplus(x: Array) -> Array:
    """log(1 + e^x), a smooth ReLU.

    Example:
        >>> round(float(softplus(jnp.array(0.0))), 4)
        0.6931
    """
    return jax.nn.softplus(x)


@registry.register()
def log_sigmoid(x: Array) -> Array:
    """log(1 / (1 + e^-x)), computed without overflow.

    Example:
        >>> round(float(log_sigmoid(jnp.array(0.0))), 4)
        -0.6931
    """
    return jax.nn.log_sigmoid(x)


@registry.register()
def hard_tanh(x: Array) -> Array:
    """min(max(-1, x), 1), a tanh of straight lines.

    Example:
        >>> hard_tanh(jnp.array([-3.0, 0.5])).tolist()
        [-1.0, 0.5]
    """
    return jax.nn.hard_tanh(x)


@registry.register()
def tanh_shrink(x: Array) -> Array:
    """X - tanh(x): almost nothing of small inputs, almost all of large ones.

    Example:
        >>> float(tanh_shrink(jnp.array(0.0)))
        0.0
    """
    return x - jnp.tanh(x)


@registry.register()
def softsign(x: Array) -> Array:
    """X / (1 + |x|).

    Example:
        >>> float(softsign(jnp.array(1.0)))
        0.5
    """
    return jax.nn.soft_sign(x)


@registry.register("swish")
def silu(x: Array) -> Array:
    """x·sigmoid(x), also called Swish; a good choice for deep networks.

    Example:
        >>> float(silu(jnp.array(0.0)))
        0.0

    References:
        Ramachandran et al., "Searching for Activation Functions", 2017.
        https://arxiv.org/abs/1710.05941
    """
    return jax.nn.silu(x)


@registry.register()
def gelu(x: Array, approximate: bool = False) -> Array:
    """x·Φ(x), with Φ the normal distribution function.

    Args:
        x: The input, any shape.
        approximate: Whether to use the tanh approximation.

    Example:
        >>> float(gelu(jnp.array(0.0)))
        0.0

    References:
        Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
        https://arxiv.org/abs/1606.08415
    """
    return jax.nn.gelu(x, approximate=approximate)


@registry.register()
def mish(x: Array) -> Array:
    """x·tanh(softplus(x)).

    Example:
        >>> float(mish(jnp.array(0.0)))
        0.0

    References:
        Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2019.
        https://arxiv.org/abs/1908.08681
    """
    return x * jnp.tanh(jax.nn.softplus(x))


@registry.register("hard_swish")
def hard_silu(x: Array) -> Array:
    """x·relu6(x + 3) / 6, a Swish of straight lines, also called HardSwish.

    Example:
        >>> float(hard_silu(jnp.array(3.0)))
        3.0

    References:
        Howard et al., "Searching for MobileNetV3", 2019. https://arxiv.org/abs/1905.02244
    """
    return jax.nn.hard_silu(x)


@registry.register()
def hard_sigmoid(x: Array) -> Array:
    """relu6(x + 3) / 6.

    Example:
        >>> float(hard_sigmoid(jnp.array(0.0)))
        0.5
    """
    return jax.nn.hard_sigmoid(x)


@registry.register()
def softmax(x: Array, axis: int = -1) -> Array:
    """e^x divided by its sum along `axis`: probabilities over classes.

    Args:
        x: The logits, (batch, ..., classes).
        axis: The axis of the classes.

    Example:
        >>> softmax(jnp.zeros((1, 4))).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """
    y = jax.nn.softmax(x, axis=axis)
    if axis in (-1, x.ndim - 1):
        _note_logits(y, "softmax", x)
    return y


@registry.register()
def log_softmax(x: Array, axis: int = -1) -> Array:
    """The logarithm of softmax, computed without overflow.

    Args:
        x: The logits, (batch, ..., classes).
        axis: The axis of the classes.

    Example:
        >>> [round(v, 4) for v in log_softmax(jnp.zeros((2,))).tolist()]
        [-0.6931, -0.6931]
    """
    return jax.nn.log_softmax(x, axis=axis)


def _note_logits(output: Array, kind: str, logits: Array) -> None:
    scope = current_scope()
    if scope is not None:
        scope.note_logits(output, kind, logits)


def get(identifier: Any) -> Any:
    """Returns the activation that a string, function, layer or None stands for.

    Args:
        identifier: `"elu"`, a function, a layer instance such as `LeakyReLU(0.2)`, or None
            for linear.

    Raises:
        InvalidArgumentError: If there is no such activation; the nearest name is offered.

    Example:
        >>> get("elu") is elu, get(None) is linear
        (True, True)
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return registry.lookup(identifier)
    if callable(identifier):
        return identifier
    raise InvalidArgumentError(
        explain(
            f"An activation cannot be {identifier!r}.",
            "Type a name such as 'elu', or a function. " + nearest("", registry.names),
        )
    )


def name_of(activation: Any) -> str | None:
    """Returns the name of a built-in activation, or None for anything else.

    Example:
        >>> name_of(elu)
        'elu'
    """
    return registry.name_of(activation)


def serialize(activation: Any) -> str | None:
    """Writes a built-in activation down as its name; None stays None.

    Raises:
        InvalidArgumentError: If it is a function of yours, which a configuration cannot hold.

    Example:
        >>> serialize(elu)
        'elu'
    """
    name = None if activation is None else name_of(activation)
    if activation is not None and name is None:
        raise InvalidArgumentError(
            explain(
                f"{activation!r} is no built-in activation, and a configuration holds no code.",
                "Write a Layer that computes it, and decorate the class with @ek.saving.register.",
            )
        )
    return name


# Keras's word for `get` where a configuration is read.
deserialize = get
swish, hard_swish, logistic = silu, hard_silu, sigmoid
