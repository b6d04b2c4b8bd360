"""Where a network begins: the declared shape of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.layers.base import Layer, registry
from evenkeel.layers.symbolic import Node, SymbolicTensor
from evenkeel.network import Array


@registry.register()
class InputLayer(Layer):
    """The declared shape of a network's input; computes nothing.

    Shapes:
        x: (batch, *shape) → the same.

    Args:
        shape: The shape of one input without the batch; a size that varies is None.
        name: The name in its model.
        dtype: The type of the input's elements, `"int32"` for class numbers and token ids.

    Raises:
        InvalidArgumentError: If a size is no positive integer.

    Example:
        >>> InputLayer(shape=(8,)).declared_shape
        (None, 8)
    """

    def __init__(
        self,
        shape: Sequence[int | None] | int,
        name: str | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(input_shape=shape, name=name, **kwargs)
        self.dtype = str(np.dtype(dtype or "float32"))
        assert self.declared_shape is not None
        self.build_shape = self.declared_shape
        self.built = True
        self._nodes.append(Node(self, None, {}, self.declared_shape, self.dtype))

    def call(self, inputs: Array) -> Array:
        """Returns the input."""
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        assert self.declared_shape is not None
        return {**super().get_config(), "shape": list(self.declared_shape[1:])}


def Input(  # noqa: N802  # Keras's name for it
    shape: Sequence[int | None] | int, name: str | None = None, dtype: str | None = None
) -> SymbolicTensor:
    """Declares an input of a network: the first item of a `Sequential`, or a graph's beginning.

    Args:
        shape: The shape of one input without the batch: `(8,)` for a table of 8 columns. A size
            that varies from batch to batch is None.
        name: The input's name, by which `fit` finds it in a dict of inputs.
        dtype: The type of its elements, `"int32"` for class numbers and token ids.

    Returns:
        A symbolic tensor, on which layers can be called.

    Raises:
        InvalidArgumentError: If a size is no positive integer.

    Example:
        >>> Input(shape=[28, 28]).shape
        (None, 28, 28)
    """
    if shape is None:
        raise InvalidArgumentError(
            explain(
                "Input(shape): got None, expected the shape of one input without the batch.",
                "Type Input(shape=(8,)) for a table of 8 columns.",
            )
        )
    return InputLayer(shape=shape, name=name, dtype=dtype)._nodes[0].outputs
