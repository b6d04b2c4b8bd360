"""Values that know nothing of the kernel: constants, and draws of a fixed spread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from evenkeel.errors import number_in
from evenkeel.initializers.base import Initializer, registry, truncated_draw


@registry.register("zero")
class Zeros(Initializer):
    """All zeros: the usual start of biases.

    Example:
        >>> Zeros()((2,))
        array([0., 0.], dtype=float32)
    """

    def __init__(self) -> None:
        super().__init__(None)

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Returns zeros."""
        return np.zeros(shape, np.float32)

    def get_config(self) -> dict[str, Any]:
        """Returns no arguments."""
        return {}


@registry.register("one")
class Ones(Zeros):
    """All ones: the usual start of scales.

    Example:
        >>> Ones()((2,))
        array([1., 1.], dtype=float32)
    """

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Returns ones."""
        return np.ones(shape, np.float32)


@registry.register()
class Constant(Initializer):
    """One value everywhere; in a kernel it makes all units of a layer alike (no learning).

    Args:
        value: The value.

    Example:
        >>> Constant(0.1)((2,))
        array([0.1, 0.1], dtype=float32)
    """

    def __init__(self, value: float = 0.0):
        super().__init__(None)
        self.value = number_in("Constant(value)", value, -math.inf, math.inf)

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Returns the value, repeated."""
        return np.full(shape, self.value, np.float32)

    def get_config(self) -> dict[str, Any]:
        """Returns the value."""
        return {"value": self.value}


@registry.register("normal")
class RandomNormal(Initializer):
    """Normal values of a fixed standard deviation, whatever the fans.

    Args:
        mean: The mean.
        stddev: The standard deviation, at least 0.
        seed: With an integer, every call returns the same values.

    Example:
        >>> RandomNormal(stddev=1.0, seed=0)((2, 2)).shape
        (2, 2)
    """

    _settings = ("mean", "stddev")

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        super().__init__(seed)
        self.mean = number_in(f"{type(self).__name__}(mean)", mean, -math.inf, math.inf)
        self.stddev = number_in(f"{type(self).__name__}(stddev)", stddev, 0, math.inf)

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Draws from N(mean, stddev²)."""
        return random.normal(self.mean, self.stddev, shape)


@registry.register()
class TruncatedNormal(RandomNormal):
    """Normal values redrawn when more than two standard deviations from the mean.

    As in Keras, `stddev` is that of the normal before truncation.

    Args:
        mean: The mean.
        stddev: The standard deviation before truncation, at least 0.
        seed: With an integer, every call returns the same values.

    Example:
        >>> bool(abs(TruncatedNormal(stddev=1.0, seed=0)((100,))).max() <= 2.0)
        True
    """

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Draws from the truncated normal."""
        return self.mean + self.stddev * truncated_draw(shape, random)


@registry.register("uniform")
class RandomUniform(Initializer):
    """Uniform values between two bounds.

    Args:
        minval: The lower bound.
        maxval: The upper bound, above the lower one.
        seed: With an integer, every call returns the same values.

    Example:
        >>> RandomUniform(0.0, 1.0, seed=0)((3,)).shape
        (3,)
    """

    _settings = ("minval", "maxval")

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None):
        super().__init__(seed)
        self.minval = number_in("RandomUniform(minval)", minval, -math.inf, math.inf)
        self.maxval = number_in("RandomUniform(maxval)", maxval, self.minval, math.inf)

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Draws from U(minval, maxval)."""
        return random.uniform(self.minval, self.maxval, shape)
