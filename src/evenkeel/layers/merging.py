"""Layers that make one array of several: Add, Concatenate and their kin.

They take a list of inputs: `Add()([a, b])`. Each also has a lower-case function, `add([a, b])`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import jax.numpy as jnp

from evenkeel.errors import InvalidDataError, explain, require
from evenkeel.layers.base import Layer, Shape, as_float, registry
from evenkeel.network import Array


class _Merge(Layer):
    """Several inputs, joined element by element.

    Inputs of lower rank get axes of size 1 behind the batch; sizes of 1 are repeated as needed.
    """

    def check_input_shape(self, input_shape: Any) -> None:
        """Refuses fewer than two inputs, and shapes that do not fit each other."""
        check_several(self, input_shape)
        reduce(self._broadcast, map(tuple, input_shape))

    def _broadcast(self, first: Shape, second: Shape) -> Shape:
        rank = max(len(first), len(second))
        return tuple(
            self._common(a, b, first, second)
            for a, b in zip(_ranked(first, rank), _ranked(second, rank), strict=True)
        )

    def _common(self, a: int | None, b: int | None, first: Shape, second: Shape) -> int | None:
        if a == b or b == 1:
            return a
        if a == 1:
            return b
        if a is None or b is None:
            return None
        raise InvalidDataError(
            explain(
                f"{self._where()}: inputs have the shapes {first} and {second}, which do not fit: "
                f"{a} is neither {b} nor 1.",
                "Bring them to one size first, for example with ek.layers.Dense, or join them "
                "with ek.layers.Concatenate().",
            )
        )

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Returns the common shape of all inputs."""
        self.check_input_shape(input_shape)
        return reduce(self._broadcast, map(tuple, input_shape))

    def call(self, inputs: Sequence[Array]) -> Array:
        """Joins the inputs, from the first to the last."""
        rank = max(value.ndim for value in inputs)
        values = [as_float(v).reshape(_ranked(v.shape, rank)) for v in inputs]
        return self._join(values)

    def _join(self, values: list[Array]) -> Array:
        raise NotImplementedError


def _ranked(shape: tuple[Any, ...], rank: int) -> tuple[Any, ...]:
    return (*shape[:1], *(1,) * (rank - len(shape)), *shape[1:])


def check_several(layer: Layer, input_shape: Any) -> None:
    """Raises `InvalidDataError` unless a layer is given a list of at least two inputs."""
    several = isinstance(input_shape, list | tuple) and all(
        isinstance(shape, list | tuple) for shape in input_shape
    )
    count = len(input_shape) if several else 1
    if count >= 2:
        return
    alone = input_shape if not several else input_shape[0] if count else "nothing"
    raise InvalidDataError(
        explain(
            f"{layer._where()}: got {'one input' if count else 'no inputs'}, of shape {alone}, "
            "expected a list of at least two.",
            f"Type {type(layer).__name__}()([a, b]).",
        )
    )


@registry.register()
class Add(_Merge):
    """The sum of its inputs; with a layer's own input among them, a skip connection.

    Shapes:
        x: a list of (batch, *features) → (batch, *features).

    Args:
        **kwargs: `name`.

    Example:
        >>> Add()([jnp.array([[1.0]]), jnp.array([[2.0]])]).item()
        3.0
    """

    def _join(self, values: list[Array]) -> Array:
        return reduce(jnp.add, values)


@registry.register()
class Subtract(_Merge):
    """The first input minus the second.

    Shapes:
        x: a list of two (batch, *features) → (batch, *features).

    Args:
        **kwargs: `name`.

    Example:
        >>> Subtract()([jnp.array([[1.0]]), jnp.array([[2.0]])]).item()
        -1.0
    """

    def check_input_shape(self, input_shape: Any) -> None:
        """Refuses any number of inputs but two."""
        super().check_input_shape(input_shape)
        if len(input_shape) != 2:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: got {len(input_shape)} inputs, expected two.",
                    "Add up first what is to be subtracted: Subtract()([a, Add()([b, c])]).",
                )
            )

    def _join(self, values: list[Array]) -> Array:
        return values[0] - values[1]


@registry.register()
class Multiply(_Merge):
    """The product of its inputs, element by element; a gate, when one is between 0 and 1.

    Shapes:
        x: a list of (batch, *features) → (batch, *features).

    Args:
        **kwargs: `name`.

    Example:
        >>> Multiply()([jnp.array([[3.0]]), jnp.array([[2.0]])]).item()
        6.0
    """

    def _join(self, values: list[Array]) -> Array:
        return reduce(jnp.multiply, values)


@registry.register()
class Average(_Merge):
    """The mean of its inputs: the vote of an ensemble.

    Shapes:
        x: a list of (batch, *features) → (batch, *features).

    Args:
        **kwargs: `name`.

    Example:
        >>> Average()([jnp.array([[1.0]]), jnp.array([[2.0]])]).item()
        1.5
    """

    def _join(self, values: list[Array]) -> Array:
        return reduce(jnp.add, values) / len(values)


@registry.register()
class Maximum(_Merge):
    """The largest of its inputs, element by element.

    Shapes:
        x: a list of (batch, *features) → (batch, *features).

    Args:
        **kwargs: `name`.

    Example:
        >>> Maximum()([jnp.array([[1.0]]), jnp.array([[2.0]])]).item()
        2.0
    """

    def _join(self, values: list[Array]) -> Array:
        return reduce(jnp.maximum, values)


@registry.register()
class Minimum(_Merge):
    """The smallest of its inputs, element by element.

    Shapes:
        x: a list of (batch, *features) → (batch, *features).

    Args:
        **kwargs: `name`.

    Example:
        >>> Minimum()([jnp.array([[1.0]]), jnp.array([[2.0]])]).item()
        1.0
    """

    def _join(self, values: list[Array]) -> Array:
        return reduce(jnp.minimum, values)


@registry.register()
class Concatenate(Layer):
    """Its inputs side by side.

    Shapes:
        x: a list of (batch, ..., features) → (batch, ..., sum of features).

    Args:
        axis: The axis along which to join; all other sizes must be equal. Not 0, the batch.
        **kwargs: `name`.

    Raises:
        InvalidArgumentError: If the axis is no integer, or the batch.

    Example:
        >>> Concatenate()([jnp.array([[1.0]]), jnp.array([[2.0, 3.0]])]).tolist()
        [[1.0, 2.0, 3.0]]
    """

    def __init__(self, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        require(
            isinstance(axis, int) and not isinstance(axis, bool) and axis != 0,
            f"Concatenate(axis): got {axis!r}, expected an integer other than 0, the batch.",
            "Type axis=-1 for the last axis.",
        )
        self.axis = axis

    def check_input_shape(self, input_shape: Any) -> None:
        """Refuses fewer than two inputs, and sizes that differ off the axis."""
        check_several(self, input_shape)
        first = input_shape[0]
        for other in input_shape[1:]:
            if not self._fit(first, other):
                raise InvalidDataError(
                    explain(
                        f"{self._where()}: inputs have the shapes {tuple(first)} and "
                        f"{tuple(other)}, expected equal ones but for axis {self.axis}.",
                        "Flatten or reshape them first, or join them along another axis.",
                    )
                )

    def _fit(self, first: Shape, other: Shape) -> bool:
        rank = len(first)
        return (
            len(other) == rank
            and -rank < self.axis < rank
            and all(
                a == b or a is None or b is None or d == self.axis % rank
                for d, (a, b) in enumerate(zip(first, other, strict=True))
            )
        )

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Returns the first input's shape, with the sum of all sizes along the axis."""
        self.check_input_shape(input_shape)
        joined = self.axis % len(input_shape[0])
        columns = list(zip(*input_shape, strict=True))
        return tuple(
            (None if None in sizes else sum(sizes))
            if d == joined
            else next((n for n in sizes if n is not None), None)
            for d, sizes in enumerate(columns)
        )

    def call(self, inputs: Sequence[Array]) -> Array:
        """Joins the inputs."""
        return jnp.concatenate([as_float(value) for value in inputs], axis=self.axis)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "axis": self.axis}


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Returns the sum of inputs: `Add()(inputs)`.

    Example:
        >>> add([jnp.array([[1.0]]), jnp.array([[2.0]])]).item()
        3.0
    """
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Returns the first of two inputs minus the second: `Subtract()(inputs)`.

    Example:
        >>> subtract([jnp.array([[1.0]]), jnp.array([[2.0]])]).item()
        -1.0
    """
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Returns the product of inputs: `Multiply()(inputs)`.

    Example:
        >>> multiply([jnp.array([[3.0]]), jnp.array([[2.0]])]).item()
        6.0
    """
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Returns the mean of inputs: `Average()(inputs)`.

    Example:
        >>> average([jnp.array([[1.0]]), jnp.array([[2.0]])]).item()
        1.5
    """
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Returns the largest of inputs, element by element: `Maximum()(inputs)`.

    Example:
        >>> maximum([jnp.array([[1.0]]), jnp.array([[2.0]])]).item()
        2.0
    """
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Returns the smallest of inputs, element by element: `Minimum()(inputs)`.

    Example:
        >>> minimum([jnp.array([[1.0]]), jnp.array([[2.0]])]).item()
        1.0
    """
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """Returns inputs side by side: `Concatenate(axis)(inputs)`.

    Example:
        >>> concatenate([jnp.array([[1.0]]), jnp.array([[2.0]])]).tolist()
        [[1.0, 2.0]]
    """
    return Concatenate(axis, **kwargs)(inputs)
