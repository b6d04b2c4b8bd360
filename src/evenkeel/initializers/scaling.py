"""Variance-scaling rules: they differ in a scale, the fan that divides it, and a distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from evenkeel.errors import InvalidArgumentError, explain, nearest, number_in
from evenkeel.initializers.base import (
    TRUNCATED_NORMAL_STDDEV,
    Initializer,
    fans,
    registry,
    truncated_draw,
)


@registry.register()
class VarianceScaling(Initializer):
    """Values whose variance is `scale` divided by a fan, so that signals keep their size.

        n = fan_in, fan_out or fan_avg = (fan_in + fan_out) / 2
        normal:   N(0, scale / n);      uniform:   U(-r, r) with r = sqrt(3 scale / n)

    Args:
        scale: The numerator of the variance, above 0.
        mode: `"fan_in"` keeps the forward signal, `"fan_out"` the gradient, `"fan_avg"` a
            compromise between both.
        distribution: `"truncated_normal"` (at two standard deviations, rescaled to the exact
            variance), `"untruncated_normal"` or `"uniform"`; `"normal"` means truncated.
        seed: With an integer, every call returns the same values.

    Example:
        >>> he_avg = VarianceScaling(scale=2.0, mode="fan_avg", distribution="uniform", seed=1)
        >>> he_avg((100, 50)).shape
        (100, 50)

    References:
        He et al., "Delving Deep into Rectifiers", ICCV 2015. https://arxiv.org/abs/1502.01852
    """

    _settings = ("scale", "mode", "distribution")
    _modes = ("fan_in", "fan_out", "fan_avg")
    _distributions = ("normal", "truncated_normal", "uniform", "untruncated_normal")

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ):
        super().__init__(seed)
        self.scale = number_in("VarianceScaling(scale)", scale, 0, math.inf, low_open=True)
        self.mode = _one_of("VarianceScaling(mode)", mode, self._modes)
        self.distribution = _one_of(
            "VarianceScaling(distribution)", distribution, self._distributions
        )

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Draws values with variance scale / fan."""
        fan_in, fan_out = fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return random.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return random.normal(0.0, math.sqrt(variance), shape)
        return truncated_draw(shape, random) * (math.sqrt(variance) / TRUNCATED_NORMAL_STDDEV)


class _NamedScaling(VarianceScaling):
    """A variance-scaling rule with a name: its constants are fixed, only the seed is free."""

    _settings = ()
    _constants: ClassVar[tuple[float, str, str]]

    def __init__(self, seed: int | None = None):
        scale, mode, distribution = self._constants
        super().__init__(scale, mode, distribution, seed)


@registry.register()
class GlorotNormal(_NamedScaling):
    """Variance 1 / fan_avg, truncated normal: for tanh, sigmoid, softmax and linear layers.

    Args:
        seed: With an integer, every call returns the same values.

    Example:
        >>> GlorotNormal(seed=0)((2, 3)).dtype
        dtype('float32')

    References:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
        networks", AISTATS 2010. https://proceedings.mlr.press/v9/glorot10a.html
    """

    _constants = (1.0, "fan_avg", "truncated_normal")


@registry.register()
class GlorotUniform(_NamedScaling):
    """Variance 1 / fan_avg, uniform within ±sqrt(3 / fan_avg): the default of every kernel.

    Args:
        seed: With an integer, every call returns the same values.

    Example:
        >>> bool(abs(GlorotUniform(seed=0)((4, 2))).max() <= 1.0)
        True

    References:
        Glorot and Bengio, AISTATS 2010. https://proceedings.mlr.press/v9/glorot10a.html
    """

    _constants = (1.0, "fan_avg", "uniform")


@registry.register()
class LecunNormal(_NamedScaling):
    """Variance 1 / fan_in, truncated normal: the rule that SELU needs.

    Args:
        seed: With an integer, every call returns the same values.

    Example:
        >>> LecunNormal(seed=0)((5, 5)).shape
        (5, 5)

    References:
        LeCun et al., "Efficient BackProp", 1998; Klambauer et al., "Self-Normalizing Neural
        Networks", NeurIPS 2017. https://arxiv.org/abs/1706.02515
    """

    _constants = (1.0, "fan_in", "truncated_normal")


@registry.register()
class LecunUniform(_NamedScaling):
    """Variance 1 / fan_in, uniform within ±sqrt(3 / fan_in).

    Args:
        seed: With an integer, every call returns the same values.

    Example:
        >>> LecunUniform(seed=0)((5, 5)).shape
        (5, 5)

    References:
        LeCun et al., "Efficient BackProp", 1998.
    """

    _constants = (1.0, "fan_in", "uniform")


@registry.register()
class HeNormal(_NamedScaling):
    """Variance 2 / fan_in, truncated normal: for ReLU and its variants, ELU and Swish.

    Args:
        seed: With an integer, every call returns the same values.

    Example:
        >>> HeNormal(seed=0)((5, 5)).shape
        (5, 5)

    References:
        He et al., "Delving Deep into Rectifiers", ICCV 2015. https://arxiv.org/abs/1502.01852
    """

    _constants = (2.0, "fan_in", "truncated_normal")


@registry.register()
class HeUniform(_NamedScaling):
    """Variance 2 / fan_in, uniform within ±sqrt(6 / fan_in).

    Args:
        seed: With an integer, every call returns the same values.

    Example:
        >>> HeUniform(seed=0)((5, 5)).shape
        (5, 5)

    References:
        He et al., "Delving Deep into Rectifiers", ICCV 2015. https://arxiv.org/abs/1502.01852
    """

    _constants = (2.0, "fan_in", "uniform")


def _one_of(where: str, value: str, valid: Sequence[str]) -> str:
    if value not in valid:
        raise InvalidArgumentError(explain(f"{where}: got {value!r}.", nearest(str(value), valid)))
    return value
