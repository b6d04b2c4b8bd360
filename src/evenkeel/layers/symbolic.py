"""Networks laid out before there is data: symbolic tensors, and the nodes that they come from.

Calling a layer on a `SymbolicTensor` computes nothing. It notes a `Node`, which layer was applied
to what, and returns the tensors that stand for its outputs. A functional model is what lies between
some of them (`evenkeel.models.functional`).
"""

from __future__ import annotations

import itertools
from typing import Any, NoReturn

import jax

from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.network import Shape, is_shape

_serial = itertools.count()


class SymbolicTensor:
    """The place of an array in a network that is being laid out: its shape and where it comes from.

    `ek.Input(shape)` makes one, and every layer that is called on one returns another.

    Args:
        shape: The shape, the batch as None.
        node: What it comes from.
        index: Its number among the node's outputs.
        dtype: The type of the elements.

    Example:
        >>> import evenkeel as ek
        >>> x = ek.Input(shape=(8,))
        >>> ek.layers.Dense(3)(x).shape
        (None, 3)
    """

    def __init__(self, shape: Shape, node: Node, index: int, dtype: str = "float32"):
        self.shape = shape
        self.dtype = dtype
        self.node = node
        self.index = index

    @property
    def name(self) -> str:
        """The name of the layer that it comes from."""
        return self.node.layer.name

    @property
    def ndim(self) -> int:
        """The number of axes, the batch included."""
        return len(self.shape)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise InvalidArgumentError(
            explain(
                f"{self!r} stands for data that is not there yet, so only layers can work on it.",
                "Of arithmetic, a + b, a - b, a * b and numbers in their place work, as "
                "ek.layers.Add, Subtract, Multiply and Rescaling; for the rest write a Layer whose "
                "call does it.",
            )
        )

    # Sums, differences and products stand for the layers that compute them.

    def _joined(self, name: str, other: Any, scale: float, offset: float) -> SymbolicTensor:
        """Returns what a merging layer makes of two tensors, or a rescaling of one and a number."""
        from evenkeel.layers import merging, preprocessing

        if isinstance(other, SymbolicTensor):
            return getattr(merging, name)()([self, other])
        return preprocessing.Rescaling(scale, offset)(self)

    def __add__(self, other: Any) -> SymbolicTensor:
        return self._joined("Add", other, 1.0, other)

    def __sub__(self, other: Any) -> SymbolicTensor:
        return self._joined("Subtract", other, 1.0, other if _is_tensor(other) else -other)

    def __rsub__(self, other: Any) -> SymbolicTensor:
        return self._joined("Subtract", other, -1.0, other)

    def __mul__(self, other: Any) -> SymbolicTensor:
        return self._joined("Multiply", other, other, 0.0)

    def __truediv__(self, other: Any) -> SymbolicTensor:
        if _is_tensor(other):
            return self._refuse()
        return self._joined("Multiply", other, 1.0 / other, 0.0)

    def __neg__(self) -> SymbolicTensor:
        return self._joined("Subtract", None, -1.0, 0.0)

    __radd__, __rmul__ = __add__, __mul__
    __rtruediv__ = __pow__ = __matmul__ = __rmatmul__ = __getitem__ = _refuse
    __array__ = __jax_array__ = __float__ = __bool__ = __iter__ = __len__ = _refuse

    def __repr__(self) -> str:
        return f"<SymbolicTensor shape={self.shape} from {self.name!r}>"


def _is_tensor(value: Any) -> bool:
    return isinstance(value, SymbolicTensor)


class Node:
    """One use of a layer: what it was applied to and what that gave.

    Args:
        layer: The layer.
        inputs: Symbolic tensors, alone or in lists, tuples and dicts; None for an input layer.
        settings: The other arguments of the call, by name.
        shapes: The shapes of the outputs, alone or in lists, tuples and dicts.
        dtype: The type of the outputs' elements.
    """

    def __init__(
        self, layer: Any, inputs: Any, settings: dict[str, Any], shapes: Any, dtype: str = "float32"
    ):
        self.layer = layer
        self.inputs = inputs
        self.settings = settings
        self.serial = next(_serial)
        leaves, structure = jax.tree.flatten(shapes, is_leaf=is_shape)
        tensors = [SymbolicTensor(shape, self, i, dtype) for i, shape in enumerate(leaves)]
        self.outputs = jax.tree.unflatten(structure, tensors)

    def parents(self) -> list[Node]:
        """Returns the nodes that the inputs come from."""
        return [tensor.node for tensor in tensors_in(self.inputs)]


def tensors_in(tree: Any) -> list[SymbolicTensor]:
    """Returns the symbolic tensors in lists, tuples and dicts, in JAX's order.

    Example:
        >>> import evenkeel as ek
        >>> a, b = ek.Input(shape=(1,)), ek.Input(shape=(2,))
        >>> [tensor.shape for tensor in tensors_in({"second": b, "first": a})]
        [(None, 1), (None, 2)]
    """
    return [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, SymbolicTensor)]


def is_symbolic(inputs: Any) -> bool:
    """Whether inputs are symbolic tensors, alone or in lists, tuples and dicts.

    Example:
        >>> import evenkeel as ek
        >>> is_symbolic([ek.Input(shape=(1,))]), is_symbolic([1.0])
        (True, False)
    """
    if isinstance(inputs, list | tuple | dict):
        return bool(tensors_in(inputs))
    return isinstance(inputs, SymbolicTensor)
