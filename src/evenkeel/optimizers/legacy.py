"""The optimizers under their earlier Keras names, which accept `decay`.

    keras.optimizers.legacy.SGD(learning_rate=0.01, decay=1e-4)

They compute what they computed there, warn, and name what to type today. The equations are those
of the classes in `evenkeel.optimizers`, which they are.
"""

from __future__ import annotations

from typing import Any

from evenkeel.optimizers import adam, adaptive, sgd
from evenkeel.optimizers.base import Optimizer
from evenkeel.optimizers.legacy_decay import set_decay, warn_of_decay

__all__ = ["SGD", "Adagrad", "Adam", "Adamax", "Nadam", "RMSprop"]


class _Legacy(Optimizer):
    """Takes `decay` beside what the class behind it takes."""

    def __init__(self, *args: Any, decay: float = 0.0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        set_decay(self, decay)
        warn_of_decay(self, f"optimizers.legacy.{type(self).__name__}")


class SGD(_Legacy, sgd.SGD):
    """`optimizers.SGD`, with `decay`: the rate of step t is η / (1 + decay·t).

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     optimizer = SGD(learning_rate=0.5, decay=1e-4)
        >>> optimizer.iterations = 10_000
        >>> optimizer.learning_rate
        0.25
    """


class Adagrad(_Legacy, adaptive.Adagrad):
    """`optimizers.Adagrad`, with `decay`; see `legacy.SGD`.

    Example:
        >>> issubclass(Adagrad, adaptive.Adagrad)
        True
    """


class Adam(_Legacy, adam.Adam):
    """`optimizers.Adam`, with `decay`; see `legacy.SGD`.

    Example:
        >>> issubclass(Adam, adam.Adam)
        True
    """


class Adamax(_Legacy, adam.Adamax):
    """`optimizers.Adamax`, with `decay`; see `legacy.SGD`.

    Example:
        >>> issubclass(Adamax, adam.Adamax)
        True
    """


class Nadam(_Legacy, adam.Nadam):
    """`optimizers.Nadam`, with `decay`; see `legacy.SGD`.

    Example:
        >>> issubclass(Nadam, adam.Nadam)
        True
    """


class RMSprop(_Legacy, adaptive.RMSprop):
    """`optimizers.RMSprop`, with `decay`; see `legacy.SGD`.

    Example:
        >>> issubclass(RMSprop, adaptive.RMSprop)
        True
    """
