"""Starting values: rules that keep signals and gradients at an even size through many layers.

An initializer is called with a shape and returns float32 values. The family of variance-scaling
rules differs only in constants: a scale, which fan divides it, and a distribution. Strings work
wherever an initializer is expected (`kernel_initializer="he_normal"`).

Draws come from counter-based NumPy generators: no compilation, the same numbers on every device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from evenkeel.errors import (
    InvalidArgumentError,
    explain,
    integer_at_least,
    nearest,
    number_in,
)
from evenkeel.randomness import generator, next_seed
from evenkeel.registry import Registry

registry: Registry[Initializer] = Registry("initializer")

# The standard deviation of a unit normal truncated at two standard deviations; dividing by it
# gives the truncated draw the variance that was asked for.
TRUNCATED_NORMAL_STDDEV = 0.87962566103423978


class Initializer:
    """The contract: `initializer(shape)` returns a float32 array of that shape.

    Subclass it and write `draw(shape, random)`; arguments of the constructor kept under their own
    names make up the configuration.

    Args:
        seed: With an integer of at least 0, every call returns the same values; with None, each
            call draws on.

    Example:
        >>> class Alternating(Initializer):
        ...     def draw(self, shape, random):
        ...         return (np.arange(math.prod(shape)) % 2).reshape(shape)
        >>> Alternating()((3,))
        array([0., 1., 0.], dtype=float32)
    """

    _settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, seed: int | None = None):
        where = f"{type(self).__name__}(seed)"
        self.seed = None if seed is None else integer_at_least(0, where, seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        """Draws values.

        Args:
            shape: The shape of the array.
            dtype: The type of its elements; float32 when None.
        """
        random = generator(self.seed if self.seed is not None else next_seed())
        return np.asarray(self.draw(tuple(shape), random), dtype=dtype or np.float32)

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Draws values of a shape from a generator; to be written by each initializer."""
        raise NotImplementedError(f"{type(self).__name__} must define draw(shape, random).")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {name: getattr(self, name) for name in (*self._settings, "seed")}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """Rebuilds the initializer from `get_config()`."""
        return cls(**config)

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items() if v is not None)
        return f"{type(self).__name__}({settings})"


def fans(shape: Sequence[int]) -> tuple[float, float]:
    """Returns the number of inputs and outputs that an element's unit is connected to.

    For a convolution kernel (*window, inputs, outputs) both count the receptive field: window
    size times channels. A vector of n elements has fan_in = fan_out = n.

    Example:
        >>> fans((3, 3, 16, 32))
        (144.0, 288.0)
    """
    if len(shape) < 2:
        n = float(shape[0]) if shape else 1.0
        return n, n
    window = math.prod(shape[:-2])
    return float(window * shape[-2]), float(window * shape[-1])


def _truncated_draw(
    shape: tuple[int, ...], random: np.random.Generator, limit: float = 2.0
) -> np.ndarray:
    """Draws from a unit normal and redraws whatever lies beyond `limit` standard deviations."""
    values = random.standard_normal(shape, dtype=np.float32)
    outside = np.abs(values) > limit
    while outside.any():
        values[outside] = random.standard_normal(int(outside.sum()), dtype=np.float32)
        outside = np.abs(values) > limit
    return values


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
        return _truncated_draw(shape, random) * (math.sqrt(variance) / TRUNCATED_NORMAL_STDDEV)


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


@registry.register()
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


@registry.register()
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


@registry.register()
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
        return self.mean + self.stddev * _truncated_draw(shape, random)


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


def get(identifier: Any) -> Any:
    """Returns the initializer that a string, class, configuration or callable stands for.

    Args:
        identifier: `"he_normal"`, `HeNormal`, `HeNormal()`, a configuration, or any callable
            `(shape, dtype) -> array`.

    Raises:
        InvalidArgumentError: If it is none of these; the nearest valid name is offered.

    Example:
        >>> get("he_normal")
        HeNormal()
    """
    if isinstance(identifier, str):
        return registry.lookup(identifier)()
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if isinstance(identifier, dict):
        return registry.build(identifier)
    if callable(identifier):
        return identifier
    raise InvalidArgumentError(
        explain(
            f"An initializer cannot be {identifier!r}.",
            "Type a name such as 'he_normal', or an instance such as HeNormal(seed=1). "
            + nearest("", registry.names),
        )
    )


def _one_of(where: str, value: str, valid: Sequence[str]) -> str:
    if value not in valid:
        raise InvalidArgumentError(explain(f"{where}: got {value!r}.", nearest(str(value), valid)))
    return value


# The names under which Keras also knows them.
glorot_normal, glorot_uniform = GlorotNormal, GlorotUniform
lecun_normal, lecun_uniform = LecunNormal, LecunUniform
he_normal, he_uniform = HeNormal, HeUniform
zeros, ones, constant = Zeros, Ones, Constant
random_normal, random_uniform = RandomNormal, RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
