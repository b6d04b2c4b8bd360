"""How large signals and gradients become, as computed from starting weights and activations.

For a wide layer with random weights a unit's sum is close to normal. Its variance q, and what a
small change of the input does to it, then follow from one layer to the next:

    q' = gain² · E[f(√q z)²],    χ = gain² · E[f'(√q z)²],    z ~ N(0, 1)

with gain² = fan_in · mean square of the weights. Backwards, fan_out takes the place of fan_in.
(Poole et al., "Exponential expressivity in deep neural networks through transient chaos", 2016;
Schoenholz et al., "Deep Information Propagation", 2017.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
# Points and weights for an expectation over a unit normal.
_POINTS = np.linspace(-8.0, 8.0, 4001)
_WEIGHTS = np.exp(-0.5 * _POINTS**2) / np.exp(-0.5 * _POINTS**2).sum()


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, x)


def _elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _leaky(slope: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.where(x > 0, x, slope * x)


# What judgement needs of an activation is its curve; `tests/doctor` holds them to those that train.
CURVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: x,
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": _leaky(0.2),
    "rrelu": _leaky((1 / 8 + 1 / 3) / 2),
    "elu": _elu,
    "celu": _elu,
    "selu": lambda x: _SELU_SCALE * _elu(x, _SELU_ALPHA),
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "exponential": lambda x: np.exp(np.minimum(x, 300)),
    "log_sigmoid": lambda x: -_softplus(-x),
    "tanh_shrink": lambda x: x - np.tanh(x),
}

# What each activation calls for: an initializer, and the gain that it gives.
_SATURATING = (
    "sigmoid",
    "tanh",
    "softmax",
    "log_softmax",
    "softsign",
    "log_sigmoid",
    "tanh_shrink",
)
INITIALIZER_FOR: dict[str, str] = {
    **dict.fromkeys(("linear", "hard_tanh", "hard_sigmoid", *_SATURATING), "glorot_uniform"),
    "selu": "lecun_normal",
}

# The constants of the rules that scale by a fan: the scale, and which fan divides it.
SCALINGS: dict[str, tuple[float, str]] = {
    "GlorotNormal": (1.0, "fan_avg"),
    "GlorotUniform": (1.0, "fan_avg"),
    "LecunNormal": (1.0, "fan_in"),
    "LecunUniform": (1.0, "fan_in"),
    "HeNormal": (2.0, "fan_in"),
    "HeUniform": (2.0, "fan_in"),
}
_CLASSES = {
    "glorot_uniform": "GlorotUniform",
    "he_normal": "HeNormal",
    "lecun_normal": "LecunNormal",
}


def initializer_for(activation: str | None) -> str:
    """Returns the name of the initializer that an activation calls for.

    Example:
        >>> initializer_for("relu"), initializer_for("selu"), initializer_for("tanh")
        ('he_normal', 'lecun_normal', 'glorot_uniform')
    """
    return INITIALIZER_FOR.get(activation or "linear", "he_normal")


def rms_of(initializer: str, shape: tuple[int, ...]) -> float:
    """Returns the rms of the weights that an initializer draws for a kernel.

    Args:
        initializer: "he_normal", "lecun_normal" or "glorot_uniform".
        shape: The kernel's shape.

    Example:
        >>> rms_of("he_normal", (200, 10))
        0.1
    """
    scale, mode = SCALINGS[_CLASSES[initializer]]
    window = math.prod(shape[:-2])
    fan_in, fan_out = window * shape[-2], window * shape[-1]
    fan = fan_in if mode == "fan_in" else (fan_in + fan_out) / 2
    return math.sqrt(scale / max(fan, 1))


def curve_of(activation: str | None, config: Mapping[str, Any]) -> Any:
    """Returns an activation's curve as a function of an array, or None if it is not known.

    Args:
        activation: Its name.
        config: The arguments of the layer that it is, where it is one.

    Example:
        >>> curve_of("leaky_relu", {"negative_slope": 0.5})(np.array([-2.0])).tolist()
        [-1.0]
    """
    if activation == "leaky_relu" and "negative_slope" in config:
        return _leaky(float(config["negative_slope"]))
    return CURVES.get(activation or "linear")


@lru_cache(maxsize=4096)
def passed_on(curve: Callable[[np.ndarray], np.ndarray], variance: float) -> tuple[float, float]:
    """Returns the mean square of an activation and of its slope, for normal sums.

    Args:
        curve: The activation.
        variance: The variance of the sums.

    Example:
        >>> [round(value, 3) for value in passed_on(CURVES["relu"], 4.0)]
        [2.0, 0.5]
    """
    spread = math.sqrt(variance)
    with np.errstate(over="ignore"):
        values = curve(spread * _POINTS)
        slopes = np.gradient(values, max(spread, 1e-150) * (_POINTS[1] - _POINTS[0]))
        return float(_WEIGHTS @ values**2), float(_WEIGHTS @ slopes**2)


@lru_cache(maxsize=64)
def steepest(activation: str) -> float:
    """Returns the largest absolute slope that an activation has, on sums within ±8.

    Args:
        activation: Its name.

    Example:
        >>> round(steepest("sigmoid"), 3), round(steepest("tanh"), 3)
        (0.25, 1.0)
    """
    slopes = np.gradient(CURVES[activation](_POINTS), _POINTS[1] - _POINTS[0])
    return float(np.abs(slopes).max())
