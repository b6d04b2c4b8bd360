"""The contract of an initializer, the fans of a kernel, and how one is asked for by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import numpy as np

from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    explain,
    integer_at_least,
    nearest,
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


def truncated_draw(
    shape: tuple[int, ...], random: np.random.Generator, limit: float = 2.0
) -> np.ndarray:
    """Draws from a unit normal and redraws whatever lies beyond `limit` standard deviations."""
    values = random.standard_normal(shape, dtype=np.float32)
    outside = np.abs(values) > limit
    while outside.any():
        values[outside] = random.standard_normal(int(outside.sum()), dtype=np.float32)
        outside = np.abs(values) > limit
    return values


def get(identifier: Any) -> Any:
    """Returns the initializer that a string, class, configuration, callable or array stands for.

    Args:
        identifier: `"he_normal"`, `HeNormal`, `HeNormal()`, a configuration, any callable
            `(shape, dtype) -> array`, or an array of the very values to start from.

    Raises:
        InvalidArgumentError: If it is none of these; the nearest valid name is offered.

    Example:
        >>> get("he_normal")
        HeNormal()
        >>> get(np.eye(2))((2, 2))
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """
    if isinstance(identifier, str):
        return registry.lookup(identifier)()
    if isinstance(identifier, type):
        return get(identifier())
    if isinstance(identifier, dict):
        return registry.build(identifier)
    if isinstance(identifier, np.ndarray | jax.Array):
        return _giving(np.array(identifier))
    if callable(identifier):
        return identifier
    raise InvalidArgumentError(
        explain(
            f"An initializer cannot be {identifier!r}.",
            "Type a name such as 'he_normal', or an instance such as HeNormal(seed=1). "
            + nearest("", registry.names),
        )
    )


def _giving(values: np.ndarray) -> Callable[..., np.ndarray]:
    """Returns an initializer that always gives the same array."""

    def given(shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if tuple(shape) != values.shape:
            raise InvalidDataError(
                explain(
                    f"An initializer was given as an array of shape {values.shape}, but the "
                    f"variable has the shape {tuple(shape)}.",
                    "Give an array of the variable's own shape.",
                )
            )
        return values.astype(dtype or np.float32)

    return given
