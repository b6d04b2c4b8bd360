"""What a network is made of: variables, and the scope in which a network is a pure function.

Layers own `Variable`s, because layers that are shared between models must share weights. For the
engine the same network is a pure function of its variables' values: inside one `Scope` the
variables read the values that the scope holds (traced ones, when compiling), random layers draw
from a key folded with their own path, updates of moving averages are collected instead of
carried out, and taps record what passes when asked. Nothing here knows of training.
"""

from __future__ import annotations

import contextlib
import contextvars
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.errors import InvalidArgumentError, InvalidDataError, explain
from evenkeel.randomness import next_seed

Array = jax.Array
Shape = tuple[int | None, ...]


class Variable:
    """A named array that a layer owns.

    Args:
        value: The starting value; copied into a float32 array unless it is an integer one.
        name: The variable's own name, such as `"kernel"`.
        trainable: Whether an optimizer may change it (if its layer is trainable, too).
        regularizer: Returns the penalty that the value adds to the loss; None for none.
        constraint: Returns what takes the value's place after each update; None for none.

    Example:
        >>> kernel = Variable(np.zeros((2, 3)), name="kernel")
        >>> kernel.shape, kernel.trainable
        ((2, 3), True)
    """

    def __init__(
        self,
        value: Any,
        *,
        name: str = "variable",
        trainable: bool = True,
        regularizer: Callable[[Array], Any] | None = None,
        constraint: Callable[[Array], Any] | None = None,
    ):
        self.name = name
        self.trainable = trainable
        self.regularizer = regularizer
        self.constraint = constraint
        self._value = _as_array(value)
        self._layer: weakref.ref[Any] | None = None

    @property
    def value(self) -> Array:
        """The current value; inside a scope, the value which that scope holds."""
        scope = current_scope()
        return self._value if scope is None else scope.read(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, which never changes."""
        return tuple(self._value.shape)

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements."""
        return np.dtype(self._value.dtype)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def assign(self, value: Any) -> None:
        """Replaces the value; inside a scope, notes the replacement for whoever opened it.

        Raises:
            InvalidDataError: If the shape differs.
        """
        if tuple(np.shape(value)) != self.shape:
            raise InvalidDataError(
                explain(
                    f"Variable {self.name!r}: got a value of shape {tuple(np.shape(value))}, "
                    f"expected {self.shape}.",
                    "Give an array of the variable's own shape.",
                )
            )
        scope = current_scope()
        if scope is not None and scope.holds(self):
            scope.write(self, jnp.asarray(value, self._value.dtype))
        else:
            self._value = _as_array(value, self._value.dtype)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def path(self) -> str:
        """The layer's name and the variable's own: `"dense/kernel"`."""
        layer = None if self._layer is None else self._layer()
        return self.name if layer is None else f"{layer.name}/{self.name}"

    def belongs_to(self, layer: Any) -> None:
        """Remembers whose variable it is."""
        self._layer = weakref.ref(layer)

    def assign_add(self, value: Any) -> None:
        """Adds to the value, as `assign` replaces it."""
        self.assign(self.value + value)

    def assign_sub(self, value: Any) -> None:
        """Subtracts from the value, as `assign` replaces it."""
        self.assign(self.value - value)

    def bind(self, array: Array) -> None:
        """Adopts an array that a compiled program returned, without checks or copies."""
        self._value = array

    def numpy(self) -> np.ndarray:
        """Returns a NumPy copy of the value."""
        return np.array(self.value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.value, dtype=dtype)

    def __jax_array__(self) -> Array:
        return self.value

    # Arithmetic is that of the value, so that `call` of a layer can be written with either.

    def __getitem__(self, index: Any) -> Array:
        return self.value[index]

    def __float__(self) -> float:
        return float(self.value)

    def __neg__(self) -> Array:
        return -self.value

    def __add__(self, other: Any) -> Array:
        return self.value + _value_of(other)

    def __radd__(self, other: Any) -> Array:
        return _value_of(other) + self.value

    def __sub__(self, other: Any) -> Array:
        return self.value - _value_of(other)

    def __rsub__(self, other: Any) -> Array:
        return _value_of(other) - self.value

    def __mul__(self, other: Any) -> Array:
        return self.value * _value_of(other)

    def __rmul__(self, other: Any) -> Array:
        return _value_of(other) * self.value

    def __truediv__(self, other: Any) -> Array:
        return self.value / _value_of(other)

    def __rtruediv__(self, other: Any) -> Array:
        return _value_of(other) / self.value

    def __pow__(self, other: Any) -> Array:
        return self.value ** _value_of(other)

    def __matmul__(self, other: Any) -> Array:
        return self.value @ _value_of(other)

    def __rmatmul__(self, other: Any) -> Array:
        return _value_of(other) @ self.value

    def __repr__(self) -> str:
        return (
            f"<Variable {self.name!r} shape={self.shape} dtype={self.dtype} "
            f"trainable={self.trainable}>"
        )


def _value_of(operand: Any) -> Any:
    return operand.value if isinstance(operand, Variable) else operand


def _as_array(value: Any, dtype: Any = None) -> Array:
    if dtype is None:
        given = np.asarray(value).dtype
        dtype = given if given.kind in "iub" else np.float32
    # Layers are sometimes built while their surroundings are traced; values stay real.
    with jax.ensure_compile_time_eval():
        return jnp.array(value, dtype=dtype)


class Scope:
    """One evaluation of a network as a pure function.

    Args:
        values: The value of each variable, in the order of `variables`, whole or as a tuple
            of blocks of columns; variables that are not listed read their own value.
        variables: The variables that the scope speaks for.
        training: Whether layers behave as in training, unless a call says otherwise.
        key: The random key of this evaluation; drawn when first needed if None.
        record: Whether taps keep what passes.
        complete: Whether `variables` are all that there are, so that reading another is an error.
    """

    def __init__(
        self,
        variables: Sequence[Variable] = (),
        values: Sequence[Array | tuple[Array, ...]] = (),
        *,
        training: bool = False,
        key: Array | None = None,
        record: bool = False,
        complete: bool = False,
    ):
        self._values: dict[int, Array | tuple[Array, ...]] = {
            id(v): value for v, value in zip(variables, values, strict=True)
        }
        self._complete = complete
        self._updates: dict[int, Array] = {}
        self._draws: dict[str, int] = {}
        self._logits: list[tuple[Array, str, Array]] = []
        self._path: list[str] = []
        self.penalties: list[Array] = []
        self.training = training
        self.frozen = False
        self.key = key
        self.taps: dict[str, Array] | None = {} if record else None

    def holds(self, variable: Variable) -> bool:
        """Whether the scope speaks for a variable."""
        return id(variable) in self._values

    def read(self, variable: Variable) -> Array:
        """Returns what a variable is worth in here."""
        blocks = self.columns(variable)
        return blocks[0] if len(blocks) == 1 else jnp.concatenate(blocks, axis=-1)

    def columns(self, variable: Variable) -> tuple[Array, ...]:
        """Returns a variable's value as the blocks of columns in which the scope holds it."""
        if self._complete and not self.holds(variable):
            raise InvalidArgumentError(
                explain(
                    f"The layer at {self.path!r} is used, but is not an attribute of the model, "
                    f"so its variable {variable.name!r} would never be trained or saved.",
                    "Make layers in __init__ and keep them as attributes, alone or in a list: "
                    "self.blocks = [...].",
                )
            )
        value = self._values.get(id(variable), variable._value)
        return value if isinstance(value, tuple) else (value,)

    def write(self, variable: Variable, value: Array) -> None:
        """Notes a new value; reads in the same evaluation already see it."""
        self._values[id(variable)] = self._updates[id(variable)] = value

    def updates(self, variables: Sequence[Variable]) -> list[Array]:
        """Returns the values after this evaluation, updated or as they were."""
        return [self._updates.get(id(v), self.read(v)) for v in variables]

    @contextlib.contextmanager
    def inside(self, name: str, *, training: bool, frozen: bool) -> Iterator[None]:
        """Enters a layer: its name becomes part of the path.

        Args:
            name: The layer's name.
            training: Whether it and what is inside it behave as in training.
            frozen: Whether it may not be trained; what is inside it may not either.
        """
        outside = self.training, self.frozen
        self._path.append(name)
        self.training, self.frozen = training, self.frozen or frozen
        try:
            yield
        finally:
            self._path.pop()
            self.training, self.frozen = outside

    @property
    def path(self) -> str:
        """Where the evaluation stands: `"sequential/dense_1"`."""
        return "/".join(self._path)

    def next_key(self) -> Array:
        """Returns a key that depends on the scope's key, the path and the draws made there."""
        draw = self._draws.get(self.path, 0)
        self._draws[self.path] = draw + 1
        if self.key is None:
            self.key = jax.random.key(next_seed())
        address = zlib.crc32(f"{self.path}:{draw}".encode())
        return jax.random.fold_in(self.key, address)

    def tap(self, value: Array) -> None:
        """Keeps a layer's output under its path, if this scope records."""
        if self.taps is not None:
            self.taps[self.path] = value

    def penalize(self, penalty: Array) -> None:
        """Adds a number to the loss of this evaluation."""
        self.penalties.append(penalty)

    def note_logits(self, output: Array, kind: str, logits: Array) -> None:
        """Remembers from which logits a softmax or sigmoid output was made."""
        self._logits.append((output, kind, logits))

    def logits_of(self, output: Array) -> tuple[str, Array] | None:
        """Returns the kind (`"softmax"`, `"sigmoid"`) and the logits of an output, if noted."""
        return next((pair[1:] for pair in self._logits if pair[0] is output), None)


def times(inputs: Array, matrix: Variable) -> Array:
    """Multiplies inputs (batch, ..., n) by a variable (n, m), in the blocks that the scope holds.

    The engine may hold a large matrix as blocks of columns, whose products can run at the same
    time on several cores; the result is the same.
    """
    scope = current_scope()
    blocks = (matrix.value,) if scope is None else scope.columns(matrix)
    products = [inputs @ block for block in blocks]
    return products[0] if len(products) == 1 else jnp.concatenate(products, axis=-1)


_scope: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("scope", default=None)


def current_scope() -> Scope | None:
    """Returns the scope of the evaluation under way, or None."""
    return _scope.get()


@contextlib.contextmanager
def entered(scope: Scope) -> Iterator[Scope]:
    """Makes a scope the current one for a while."""
    token = _scope.set(scope)
    try:
        yield scope
    finally:
        _scope.reset(token)


def named_variables(layer: Any, *, wanted: Mapping[str, bool] | None = None) -> dict[str, Variable]:
    """Returns the variables of a layer or model by path, each once, in creation order.

    Args:
        layer: Anything with `walk()`, which yields (path, variable, effectively trainable).
        wanted: `{"trainable": True}` keeps the trainable ones, `False` the others.
    """
    keep = None if wanted is None else wanted["trainable"]
    found: dict[int, tuple[str, Variable]] = {}
    for path, variable, trainable in layer.walk():
        if keep is None or trainable == keep:
            found.setdefault(id(variable), (path, variable))
    return dict(found.values())


def is_shape(value: Any) -> bool:
    """Whether something is one shape, and not a list or dict of them.

    Example:
        >>> is_shape((None, 3)), is_shape([(None, 3)])
        (True, False)
    """
    return isinstance(value, tuple) and all(n is None or isinstance(n, int) for n in value)
