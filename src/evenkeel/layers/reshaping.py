"""Layers that lay numbers out in another shape: Flatten, Reshape, Permute, RepeatVector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    explain,
    positive_integer,
    require,
)
from evenkeel.layers.base import Layer, Shape, registry
from evenkeel.network import Array


@registry.register()
class Flatten(Layer):
    """Lays every input out as one row of numbers.

    Shapes:
        x: (batch, *sizes) → (batch, product of sizes); (batch,) → (batch, 1).

    Args:
        **kwargs: `name`, `input_shape`.

    Example:
        >>> Flatten().compute_output_shape((None, 28, 28))
        (None, 784)
    """

    def call(self, inputs: Array) -> Array:
        """Reshapes to (batch, features)."""
        return inputs.reshape(inputs.shape[0], -1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns (batch, product of the other sizes)."""
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(n for n in rest if n))


@registry.register()
class Reshape(Layer):
    """Gives every input another shape with as many elements.

    Shapes:
        x: (batch, *sizes) → (batch, *target_shape).

    Args:
        target_shape: The new shape without the batch; one size may be -1, meaning the rest.
        **kwargs: `name`, `input_shape`.

    Example:
        >>> Reshape((28, 28, 1)).compute_output_shape((None, 784))
        (None, 28, 28, 1)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)
        sizes = [n for n in self.target_shape if n != -1]
        if self.target_shape.count(-1) > 1 or any(not isinstance(n, int) or n < 1 for n in sizes):
            raise InvalidArgumentError(
                explain(
                    f"Reshape(target_shape): got {self.target_shape}, expected positive "
                    "integers, of which one may be -1.",
                    "Type the shape without the batch, such as Reshape((28, 28, 1)).",
                )
            )

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses inputs with another number of elements."""
        if None not in input_shape[1:]:
            self._resolve(math.prod(n for n in input_shape[1:] if n is not None), input_shape)

    def call(self, inputs: Array) -> Array:
        """Reshapes every input."""
        return inputs.reshape(inputs.shape[0], *self.target_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns (batch, *target_shape) with -1 worked out."""
        size = math.prod(n for n in input_shape[1:] if n is not None)
        return (input_shape[0], *self._resolve(size, input_shape))

    def _resolve(self, size: int, input_shape: Shape) -> tuple[int, ...]:
        known = math.prod(n for n in self.target_shape if n != -1)
        fits = size % known == 0 if -1 in self.target_shape else size == known
        if not fits:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, {size} elements a row, "
                    f"which do not fit into {self.target_shape}.",
                    "Give a target_shape with as many elements.",
                )
            )
        return tuple(size // known if n == -1 else n for n in self.target_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "target_shape": list(self.target_shape)}


@registry.register()
class Permute(Layer):
    """Puts the axes of every input in another order.

    Shapes:
        x: (batch, *sizes) → (batch, *sizes in the new order).

    Args:
        dims: The new order of the axes, counted from 1; the batch stays where it is.
        **kwargs: `name`, `input_shape`.

    Raises:
        InvalidArgumentError: If `dims` is not an order of 1, 2, ...

    Example:
        >>> Permute((2, 1)).compute_output_shape((None, 10, 64))
        (None, 64, 10)
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.dims = tuple(dims) if isinstance(dims, list | tuple) else ()
        require(
            bool(self.dims) and sorted(self.dims) == list(range(1, len(self.dims) + 1)),
            f"Permute(dims): got {dims!r}, expected each of 1, 2, ... once.",
            "Axes are counted from 1, the first behind the batch.",
            "Type Permute((2, 1)) to swap the two axes of a matrix.",
        )

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses inputs with another number of axes."""
        if len(input_shape) != len(self.dims) + 1:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, expected the batch and "
                    f"{len(self.dims)} more axes for dims={self.dims}.",
                    "Give an order of all the axes behind the batch.",
                )
            )

    def call(self, inputs: Array) -> Array:
        """Transposes every input."""
        return inputs.transpose(0, *self.dims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the sizes in the new order."""
        self.check_input_shape(input_shape)
        return (input_shape[0], *(input_shape[d] for d in self.dims))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "dims": list(self.dims)}


@registry.register()
class RepeatVector(Layer):
    """Repeats every input row n times, along a new axis.

    Shapes:
        x: (batch, features) → (batch, n, features).

    Args:
        n: How often, at least 1.
        **kwargs: `name`, `input_shape`.

    Raises:
        InvalidArgumentError: If `n` is no positive integer.

    Example:
        >>> RepeatVector(3).compute_output_shape((None, 32))
        (None, 3, 32)
    """

    def __init__(self, n: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.n = positive_integer("RepeatVector(n)", n)

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses inputs that are no rows of features."""
        if len(input_shape) != 2:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, expected (batch, features).",
                    "Put ek.layers.Flatten() before it.",
                )
            )

    def call(self, inputs: Array) -> Array:
        """Repeats every row."""
        return jnp.repeat(inputs[:, None, :], self.n, axis=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns (batch, n, features)."""
        self.check_input_shape(input_shape)
        return (input_shape[0], self.n, input_shape[1])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "n": self.n}
