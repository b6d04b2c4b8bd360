"""Which output suits which loss: what `fit` warns about and what the doctor judges.

Pure knowledge about names, for whoever has a layer's activation and a loss's kind of targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid")
LOSS_NAMES = {
    "binary": "binary_crossentropy",
    "one-hot": "categorical_crossentropy",
    "classes": "sparse_categorical_crossentropy",
}
# Between which values an activation's outputs lie; what is not here is not bounded.
RANGES: dict[str, tuple[float, float]] = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu": (0.0, float("inf")),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, float("inf")),
    "exponential": (0.0, float("inf")),
    "log_sigmoid": (-float("inf"), 0.0),
    "log_softmax": (-float("inf"), 0.0),
}


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """An output that does not suit its loss.

    Attributes:
        at_fault: What to change first: the activation or the loss.
        is_hopeless: Whether nothing right can be learned so.
        found: What is wrong, as the end of a sentence that begins with the layer.
        fix: What to type.
        activation: The activation that would suit.
        loss: The name of the loss that would suit.
        from_logits: What the loss's `from_logits` should be.

    Example:
        >>> misfit("classes", "linear", 10, from_logits=False).activation
        'softmax'
    """

    at_fault: Literal["activation", "loss"]
    is_hopeless: bool
    found: str
    fix: str
    activation: str
    loss: str
    from_logits: bool = False


def misfit(
    kind: str | None, activation: str, units: int | None, *, from_logits: bool
) -> Misfit | None:
    """Returns what is wrong with an output under a loss, or None.

    Args:
        kind: What the loss expects as targets: "binary", "one-hot", "classes" or "numbers"; None
            where that is not known.
        activation: The name of the activation that the output ends with.
        units: How many units it has; None if that is not known.
        from_logits: Whether the loss applies the activation itself.

    Example:
        >>> misfit("binary", "sigmoid", 1, from_logits=False) is None
        True
        >>> print(misfit("binary", "relu", 1, from_logits=False).fix)
        Type activation='sigmoid' in that layer, or loss=ek.losses.BinaryCrossentropy(from_logits=True).
    """  # noqa: E501  # doctest compares the line as it is
    if activation == "softmax" and units == 1:
        return Misfit(
            at_fault="activation",
            is_hopeless=True,
            found="applies softmax to one unit, whose output is then always 1.",
            fix="Type Dense(1, activation='sigmoid') with loss='binary_crossentropy', or one unit "
            "for each class.",
            activation="sigmoid" if kind in LOSS_NAMES else "linear",
            loss="binary_crossentropy" if kind in LOSS_NAMES else "mean_squared_error",
        )
    if kind not in LOSS_NAMES:
        return None
    loss = LOSS_NAMES[kind]
    fitting = "sigmoid" if kind == "binary" else "softmax"
    if from_logits:
        if activation not in PROBABILITIES:
            return None
        return Misfit(
            at_fault="activation",
            is_hopeless=False,
            found=f"already applies {activation!r}, and the loss has from_logits=True, so that it "
            "is applied twice.",
            fix=f"Type loss={loss!r}, or leave the activation out.",
            activation="linear",
            loss=loss,
            from_logits=True,
        )
    if activation not in PROBABILITIES:
        return Misfit(
            at_fault="activation",
            is_hopeless=True,
            found=f"ends with the activation {activation!r}, but the loss {loss!r} expects "
            "probabilities.",
            fix=f"Type activation={fitting!r} in that layer, or "
            f"loss=ek.losses.{_class_name(loss)}(from_logits=True).",
            activation=fitting,
            loss=loss,
        )
    if kind != "binary" and activation != "softmax":
        return Misfit(
            at_fault="activation",
            is_hopeless=False,
            found=f"ends with {activation!r}, whose outputs do not add up to 1, but the loss "
            f"{loss!r} expects one probability a class.",
            fix="Type activation='softmax', or loss='binary_crossentropy' if a row can belong to "
            "several classes.",
            activation="softmax",
            loss=loss,
        )
    if kind == "binary" and activation == "softmax":
        return Misfit(
            at_fault="loss",
            is_hopeless=False,
            found="ends with 'softmax', but the loss 'binary_crossentropy' judges each unit on its "
            "own.",
            fix="Type loss='categorical_crossentropy', or activation='sigmoid' if a row can belong "
            "to several classes.",
            activation="softmax",
            loss="categorical_crossentropy",
        )
    return None


def _class_name(loss: str) -> str:
    return "".join(word.capitalize() for word in loss.split("_"))
