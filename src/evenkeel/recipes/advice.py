"""Which activation to use: the usual order, with the conditions under which each comes first."""

from __future__ import annotations

from evenkeel.doctor.moments import initializer_for
from evenkeel.errors import positive_integer
from evenkeel.recipes.choices import Choice
from evenkeel.recipes.signals import is_deep


def activation_advice(
    hidden_layers: int = 2,
    *,
    is_plain_stack: bool = True,
    is_standardized: bool = True,
    is_normalized: bool = False,
    latency_matters: bool = False,
    speed_matters: bool = False,
    overfits: bool = False,
    has_much_data: bool = False,
) -> Choice:
    """Returns the activation to use in hidden layers, and the reason.

    The usual order is SELU, ELU, leaky ReLU and its kin, ReLU, tanh, logistic. SELU comes first
    where the network can normalize itself, leaky ReLU where every microsecond of an answer counts,
    ReLU where speed comes before all else, Swish where depth needs a normalization anyway; ELU
    elsewhere. tanh and logistic saturate, and never come first.

    Args:
        hidden_layers: How many hidden layers the network has, at least 1.
        is_plain_stack: Whether it is dense layers one behind the other, without skip connections,
            recurrences or convolutions.
        is_standardized: Whether inputs have mean 0 and variance 1.
        is_normalized: Whether batch or layer normalization stands between the layers.
        latency_matters: Whether a single answer must come fast.
        speed_matters: Whether speed comes before everything else, accuracy included.
        overfits: Where latency matters: whether a leaky network overfits, which random slopes ease.
        has_much_data: Where latency matters: whether there are rows enough to learn slopes from.

    Returns:
        A choice: `value` is the activation's name; `reason` ends with the initializer it needs.

    Raises:
        InvalidArgumentError: If the number of layers is impossible.

    Example:
        >>> activation_advice(10).value, activation_advice(latency_matters=True).value
        ('selu', 'leaky_relu')
        >>> print(activation_advice(speed_matters=True).reason)
        it is the fastest, and what libraries and hardware are made for; start from he_normal

    References:
        Géron, "Hands-On Machine Learning", chapter 11.
    """
    depth = positive_integer("activation_advice(hidden_layers)", hidden_layers)
    if speed_matters:
        return _advice("relu", "it is the fastest, and what libraries and hardware are made for")
    if latency_matters:
        return _leaky(overfits, has_much_data)
    obstacle = _obstacle(is_plain_stack, is_standardized, is_normalized)
    layers = f"{depth} layer{'s' if depth > 1 else ''}"
    if obstacle is None:
        return _advice(
            "selu", f"{layers} in a plain stack on standardized inputs: it normalizes itself"
        )
    if is_deep(depth):
        return _advice(
            "silu",
            f"{obstacle}, and {layers} need batch normalization between them, where it is smooth "
            "throughout",
        )
    return _advice("elu", f"{obstacle}, and ELU is smooth and cannot die")


def _leaky(overfits: bool, has_much_data: bool) -> Choice:
    """Chooses among the leaky ones, which cost hardly more than ReLU."""
    fast = "it costs hardly more than ReLU and cannot die"
    if overfits:
        return _advice("rrelu", f"{fast}; its random slopes hold overfitting back")
    if has_much_data:
        return _advice("prelu", f"{fast}; there are rows enough to learn its slopes from")
    return _advice("leaky_relu", fast)


def _obstacle(is_plain_stack: bool, is_standardized: bool, is_normalized: bool) -> str | None:
    """Returns what keeps a SELU network from normalizing itself, or None."""
    if not is_plain_stack:
        return "beside skip connections and the like a SELU network does not normalize itself"
    if not is_standardized:
        return "a SELU network normalizes itself only on standardized inputs"
    if is_normalized:
        return "behind a normalization SELU has nothing left to do"
    return None


def _advice(activation: str, reason: str) -> Choice:
    return Choice("activation", activation, f"{reason}; start from {initializer_for(activation)}")
