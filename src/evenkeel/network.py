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
from evenkeel.precision import Precision, product
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
        self._held: Array | tuple[Any, int] = _as_array(value)
        self._layer: weakref.ref[Any] | None = None

    @property
    def _value(self) -> Array:
        """The value outside all scopes."""
        held = self._held
        return held[0].row(held[1]) if isinstance(held, tuple) else held

    @_value.setter
    def _value(self, array: Array) -> None:
        self._held = array

    @property
    def row(self) -> tuple[Any, int] | None:
        """The pile (`evenkeel.stack`) that holds the value, and the row; None if none does."""
        return self._held if isinstance(self._held, tuple) else None

    def lean_on(self, pile: Any, row: int) -> None:
        """Leaves the value to a pile of which it is a row."""
        self._held = pile, row

    @property
    def is_used_up(self) -> bool:
        """Whether a compiled program took the value's memory over and did not give it back."""
        held = self._held
        return (held[0].array if isinstance(held, tuple) else held).is_deleted()

    @property
    def value(self) -> Array:
        """The current value; inside a scope, the value which that scope holds."""
        scope = current_scope()
        return self._value if scope is None else scope.read(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, which never changes."""
        held = self._held
        return tuple(held[0].array.shape[1:] if isinstance(held, tuple) else held.shape)

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements."""
        held = self._held
        return np.dtype((held[0].array if isinstance(held, tuple) else held).dtype)

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
            scope.write(self, jnp.asarray(value, self.dtype))
        else:
            self._value = _as_array(value, self.dtype)

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
    given = np.asarray(value)
    if dtype is None:
        dtype = given.dtype if given.dtype.kind in "iub" else np.float32
    # Layers are sometimes built while their surroundings are traced; values stay real.
    with jax.ensure_compile_time_eval():
        return copied(given.astype(dtype, copy=False))


def copied(tree: Any) -> Any:
    """Returns a copy of arrays on the device.

    `jnp.array` and `jnp.copy` compile a small program for each shape, which adds up before the
    first step; moving the bytes needs none. NumPy's arrays are copied by NumPy, since JAX may take
    over the memory of some (those that begin at a multiple of 64 bytes) whatever it is told.

    Args:
        tree: An array, of NumPy or JAX, or a tree of them.

    Example:
        >>> copied({"bias": np.zeros(3)})["bias"].shape
        (3,)
    """

    def own(leaf: Any) -> Any:
        return np.array(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf

    return jax.device_put(jax.tree.map(own, tree), may_alias=False)


def random_key(seed: int) -> Array:
    """Returns `jax.random.key(seed)` for a 32-bit seed, without compiling a program for it.

    Example:
        >>> bool(random_key(7) == jax.random.key(7))
        True
    """
    config: Any = jax.config
    if config.jax_default_prng_impl != "threefry2x32":
        return jax.random.key(seed)
    return jax.random.wrap_key_data(copied(np.array([0, seed], np.uint32)))


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
        precision: How exactly products are carried out.
        stacks: The runs of layers (`evenkeel.stack.Stack`) whose values lie one upon another, held
            in the name of the first block's variables.
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
        precision: Precision = "float32",
        stacks: Sequence[Any] = (),
    ):
        self.stacks = {id(stack.blocks[0][0]): stack for stack in stacks}
        # Of each variable in a stack: in whose name the values are held, and its row in them.
        self._rows = {
            id(variable): (members[0], row)
            for stack in stacks
            for members in stack.variables
            for row, variable in enumerate(members)
        }
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
        self.precision: Precision = precision
        self.taps: dict[str, Array] | None = {} if record else None
        self.tap_names: dict[str, tuple[str, ...]] = {}
        self._address: Callable[[str, int], Any] = _address_of

    def inner(
        self,
        variables: Sequence[Variable],
        values: Sequence[Array],
        address: Callable[[str, int], Any],
    ) -> Scope:
        """Returns a scope at the same place, for some variables, with random keys of its own.

        Args:
            variables: The variables that it speaks for.
            values: Their values.
            address: Returns what to fold into the key for a path and a number of draws there.
        """
        scope = Scope(
            variables,
            values,
            training=self.training,
            key=self.key,
            record=self.taps is not None,
            complete=self._complete,
            precision=self.precision,
        )
        scope._path, scope.frozen, scope._address = list(self._path), self.frozen, address
        return scope

    def holds(self, variable: Variable) -> bool:
        """Whether the scope speaks for a variable."""
        return id(variable) in self._values or id(variable) in self._rows

    def is_stacked(self, variable: Variable) -> bool:
        """Whether the scope holds, in a variable's name, the values of a run of variables."""
        leader, row = self._rows.get(id(variable), (None, 0))
        return leader is variable and row == 0

    def whole(self, variable: Variable) -> Array:
        """Returns the values of the run of variables that is held in a variable's name."""
        value = self._values[id(variable)]
        assert not isinstance(value, tuple)
        return value

    def write_whole(self, variable: Variable, values: Array) -> None:
        """Notes new values of the run of variables that is held in a variable's name."""
        self._values[id(variable)] = self._updates[id(variable)] = values

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
        if id(variable) in self._rows:
            leader, row = self._rows[id(variable)]
            return (self.whole(leader)[row],)
        held = id(variable) in self._values
        value = self._values[id(variable)] if held else variable._value
        return value if isinstance(value, tuple) else (value,)

    def write(self, variable: Variable, value: Array) -> None:
        """Notes a new value; reads in the same evaluation already see it."""
        if id(variable) in self._rows:
            leader, row = self._rows[id(variable)]
            self.write_whole(leader, self.whole(leader).at[row].set(value))
        else:
            self._values[id(variable)] = self._updates[id(variable)] = value

    def updates(self, variables: Sequence[Variable]) -> list[Array]:
        """Returns the values after this evaluation, updated or as they were, as they are held."""
        return [
            self._updates[id(v)] if id(v) in self._updates else self._as_held(v) for v in variables
        ]

    def _as_held(self, variable: Variable) -> Array:
        return self.whole(variable) if self.is_stacked(variable) else self.read(variable)

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
            self.key = random_key(next_seed())
        return jax.random.fold_in(self.key, self._address(self.path, draw))

    def tap(self, value: Array) -> None:
        """Keeps a layer's output under its path, if this scope records."""
        if self.taps is not None:
            self.taps[self.path] = value

    def tap_stack(self, path: str, names: tuple[str, ...], values: Array) -> None:
        """Keeps the outputs of equal layers, one upon another, under the first one's path."""
        if self.taps is not None:
            self.taps[path] = values
            self.tap_names[path] = names

    def penalize(self, penalty: Array) -> None:
        """Adds a number to the loss of this evaluation."""
        self.penalties.append(penalty)

    def note_logits(self, output: Array, kind: str, logits: Array) -> None:
        """Remembers from which logits a softmax or sigmoid output was made."""
        self._logits.append((output, kind, logits))

    def logits_of(self, output: Array) -> tuple[str, Array] | None:
        """Returns the kind (`"softmax"`, `"sigmoid"`) and the logits of an output, if noted."""
        return next((pair[1:] for pair in self._logits if pair[0] is output), None)


def _address_of(path: str, draw: int) -> int:
    return zlib.crc32(f"{path}:{draw}".encode())


def times(inputs: Array, matrix: Variable) -> Array:
    """Multiplies inputs (batch, ..., n) by a variable (n, m), in the blocks that the scope holds.

    The engine may hold a large matrix as blocks of columns, whose products can run at the same
    time on several cores; the result is the same.
    """
    scope = current_scope()
    blocks = (matrix.value,) if scope is None else scope.columns(matrix)
    products = [product(inputs, block, current_precision()) for block in blocks]
    return products[0] if len(products) == 1 else jnp.concatenate(products, axis=-1)


_scope: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("scope", default=None)


def current_scope() -> Scope | None:
    """Returns the scope of the evaluation under way, or None."""
    return _scope.get()


def current_precision() -> Precision:
    """Returns how exactly products are carried out in the evaluation under way."""
    scope = current_scope()
    return "float32" if scope is None else scope.precision


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
