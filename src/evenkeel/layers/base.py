"""The layer: a constructor that stores hyper-parameters, a `build`, and a `call`.

A layer reads its variables and asks for a key; it never mutates anything outside what it
declared. Subclass `Layer` to make your own; `skeletons/layer.py` is a start.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any
from weakref import WeakSet

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel import constraints, initializers, regularizers
from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    NotBuiltError,
    explain,
    nearest,
)
from evenkeel.layers.symbolic import Node, SymbolicTensor, is_symbolic
from evenkeel.network import (
    Array,
    Scope,
    Shape,
    Variable,
    current_scope,
    entered,
    is_shape,
)
from evenkeel.registry import Registry, serialize, snake_case

registry: Registry[Layer] = Registry("layer")

# What stands for the batch, and, in two traces, for any other size that is not known.
_BATCH_STAND_IN = 2
_SIZE_STAND_INS = (64, 96)


class Layer:
    """The contract of every layer, and of every network used as a layer.

    A subclass stores its hyper-parameters in `__init__`, adds variables in `build(input_shape)`
    with `add_weight`, and computes in `call(inputs)` or `call(inputs, training=None)`.

    Args:
        name: The name in its model; "dense", "dense_1", ... are given out when None.
        trainable: Whether training may change the variables. Can be set at any time; takes
            effect at the next `fit`.
        dtype: The type of the variables; only `"float32"`.
        activity_regularizer: A penalty on the layer's output, a name or a regularizer; the mean
            over the batch is added to the loss.
        input_shape: The shape of one input without the batch, for the first layer of a stack.

    Example:
        >>> class Scale(Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight(shape=(), initializer="ones")
        ...     def call(self, inputs):
        ...         return inputs * self.factor
        >>> Scale()(np.ones((2, 3))).shape
        (2, 3)
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
        activity_regularizer: Any = None,
        input_shape: Sequence[int | None] | int | None = None,
        **unknown: Any,
    ):
        if "input_dim" in unknown:
            input_shape = (unknown.pop("input_dim"),)
        if unknown:
            self._refuse_unknown(unknown)
        self._own_variables: list[Variable] = []
        self._nodes: list[Node] = []
        self._models: WeakSet[Any] = WeakSet()
        self._auto_named = name is None
        self.name = _checked_name(type(self), name)
        self.trainable = trainable
        self.dtype = _checked_dtype(type(self), dtype)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.built = False
        self.build_shape: Any = None  # one shape, or a list or dict of them
        self.declared_shape = _declared_shape(type(self), input_shape)

    # -- to be written by each layer ---------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Adds the variables. `input_shape` is (None, ...), the batch first."""

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Computes the output; reads variables, mutates nothing."""
        raise NotImplementedError(f"{type(self).__name__} must define call(self, inputs).")

    def check_input_shape(self, input_shape: Shape) -> None:
        """Raises `InvalidDataError` when inputs of that shape cannot go in."""

    def check_values(self, inputs: Any) -> None:
        """Raises `InvalidDataError` when inputs hold values that cannot go in.

        Called with NumPy arrays for the layers that a model's inputs go into, before a run.
        """

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data.

        A subclass with arguments of its own adds them: `{**super().get_config(), "k": self.k}`.
        """
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = describe(self.activity_regularizer)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Rebuilds the layer, without weights, from `get_config()`.

        A constructor of one's own need not take `name`, `trainable` and `dtype`; they are then
        set afterwards.
        """
        takes = inspect.signature(cls.__init__).parameters.values()
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes)
        known = {parameter.name for parameter in takes}
        later = set() if takes_any else {"name", "trainable", "dtype"} - known
        layer = cls(**{key: value for key, value in config.items() if key not in later})
        if "name" in later & set(config):
            layer.name, layer._auto_named = config["name"], False
        if "trainable" in later & set(config):
            layer.trainable = config["trainable"]
        return layer

    # -- variables ---------------------------------------------------------------------------

    def add_weight(
        self,
        shape: Sequence[int | None] = (),
        initializer: Any = "glorot_uniform",
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        regularizer: Any = None,
        constraint: Any = None,
    ) -> Variable:
        """Declares a variable of this layer.

        Args:
            shape: Its shape; every dimension must be known.
            initializer: A name, an instance, or a callable of a shape.
            name: Its name, `"kernel"` for example.
            trainable: Whether an optimizer may change it.
            dtype: The type of the elements; float32 when None.
            regularizer: A penalty on its size that is added to the loss while it is trained.
            constraint: A limit that it is put back into after each update.

        Returns:
            The variable.
        """
        if any(not isinstance(n, int | np.integer) or n < 0 for n in shape):
            raise InvalidArgumentError(
                explain(
                    f"{self._where()}: add_weight got the shape {tuple(shape)}, expected known "
                    "sizes of at least 0.",
                    "A dimension that is None has no size yet; give the model an input shape.",
                )
            )
        value = initializers.get(initializer)(
            tuple(int(n) for n in shape if n is not None), dtype=dtype
        )
        variable = Variable(
            value,
            name=name or f"variable_{len(self._own_variables)}",
            trainable=trainable,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        variable.belongs_to(self)
        self._own_variables.append(variable)
        return variable

    def add_loss(self, penalty: Any) -> None:
        """Adds a number to the loss; works inside `call`.

        Args:
            penalty: A scalar computed from what `call` works with.
        """
        scope = current_scope()
        if scope is None:
            raise RuntimeError(
                f"{self._where()}: add_loss works inside call() only. For a penalty on a weight "
                "type add_weight(..., regularizer='l2')."
            )
        scope.penalize(jnp.asarray(penalty, jnp.float32).reshape(()))

    def own_layers(self) -> list[Layer]:
        """Returns the layers that stand in attributes, alone or in lists, tuples and dicts."""
        found: dict[int, Layer] = {}
        for value in vars(self).values():
            if isinstance(value, Layer):
                found[id(value)] = value
            elif isinstance(value, (list, tuple, dict)):
                parts = value.values() if isinstance(value, dict) else value
                found |= {id(part): part for part in parts if isinstance(part, Layer)}
        return list(found.values())

    def children(self) -> list[tuple[str, Layer]]:
        """Returns the layers inside this one, each with the name it has in here."""
        return list(_uniquely_named(self.own_layers()))

    def walk(self, path: str = "", trainable: bool = True) -> Iterator[tuple[str, Variable, bool]]:
        """Yields (path, variable, effectively trainable) of this layer and those inside it."""
        here = trainable and self.trainable
        for variable in self._own_variables:
            yield f"{path}{variable.name}", variable, here and variable.trainable
        for name, child in self.children():
            yield from child.walk(f"{path}{name}/", here)

    def tree(self) -> Iterator[Layer]:
        """Yields this layer and all layers inside it, outer ones first."""
        yield self
        for _, child in self.children():
            yield from child.tree()

    @property
    def variables(self) -> list[Variable]:
        """All variables, each once: own ones in creation order, then those of inner layers."""
        return _each_once(variable for _, variable, _ in self.walk())

    weights = variables

    @property
    def trainable_weights(self) -> list[Variable]:
        """The variables that training changes."""
        return _each_once(variable for _, variable, trainable in self.walk() if trainable)

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The variables that training leaves alone: frozen ones and moving averages."""
        trained = {id(variable) for variable in self.trainable_weights}
        return [variable for variable in self.variables if id(variable) not in trained]

    non_trainable_variables = non_trainable_weights

    @property
    def losses(self) -> list[Array]:
        """The penalties on the weights that are trained now, one number for each regularizer."""
        return [v.regularizer(v.value) for v in self.trainable_weights if v.regularizer is not None]

    def count_params(self) -> int:
        """Returns the number of elements of all variables."""
        return sum(variable.size for variable in self.variables)

    def get_weights(self) -> list[np.ndarray]:
        """Returns copies of all variables' values, in creation order."""
        return [variable.numpy() for variable in self.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replaces all variables' values, all or none.

        Args:
            weights: One array for each variable, in the order of `get_weights()`.

        Raises:
            InvalidDataError: If the number of arrays or any shape differs; nothing is changed.
        """
        variables = self.variables
        shapes = [tuple(np.shape(weight)) for weight in weights]
        expected = [variable.shape for variable in variables]
        if shapes != expected:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: set_weights got {len(shapes)} arrays of shapes {shapes}, "
                    f"expected {len(expected)} of shapes {expected}.",
                    None if self.built else "The layer has no variables before it is built.",
                    "Give the arrays that get_weights() of an equal layer returns.",
                )
            )
        try:
            arrays = [
                np.asarray(weight, v.dtype) for weight, v in zip(weights, variables, strict=True)
            ]
        except (TypeError, ValueError) as error:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: set_weights got an array that holds no numbers ({error}).",
                    "Give the arrays that get_weights() of an equal layer returns.",
                )
            ) from None
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    # -- calling -----------------------------------------------------------------------------

    def __call__(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Computes the layer's output for a batch.

        Args:
            inputs: An array (batch, ...), or several if the layer takes several.
            *args: Whatever else `call` takes.
            training: Whether to behave as in training; None means as the surroundings do.
            **kwargs: Whatever else `call` takes.

        Returns:
            The output; a symbolic one for symbolic inputs, such as `ek.Input` makes.
        """
        if is_symbolic(inputs):
            return self._lay_out(inputs, args, training, kwargs)
        scope = current_scope()
        inputs = _as_inputs(inputs)
        if scope is None:
            # The scope speaks for all variables, so that what `call` assigns is not carried out.
            self.ensure_built(_shape_of(inputs))
            variables = self.variables
            values = [variable._value for variable in variables]
            with entered(Scope(variables, values, training=bool(training))):
                return self(inputs, *args, training=training, **kwargs)
        self.ensure_built(_shape_of(inputs))
        self.check_input_shape(_shape_of(inputs))
        mode = scope.training if training is None else bool(training)
        if self._call_takes_training:
            kwargs["training"] = mode
        with scope.inside(self.name, training=mode, frozen=not self.trainable):
            output = self.call(inputs, *args, **kwargs)
            if isinstance(output, jax.Array):
                scope.tap(output)
            if self.activity_regularizer is not None:
                for leaf in jax.tree.leaves(output):
                    scope.penalize(self.activity_regularizer(leaf) / max(1, leaf.shape[0]))
        return output

    def _lay_out(self, inputs: Any, args: Any, training: bool | None, kwargs: Any) -> Any:
        """Notes that the layer is applied to symbolic tensors; returns what stands for its output.

        Everything but the inputs becomes a fixed setting of this place in the network.
        """
        if args or is_symbolic(kwargs):
            raise InvalidArgumentError(
                explain(
                    f"{self._where()}: a layer called on symbolic tensors takes them as its first "
                    "argument.",
                    "Give several inputs as one list, layer([a, b]), and other arguments by name.",
                )
            )
        not_symbolic = [
            leaf for leaf in jax.tree.leaves(inputs) if not isinstance(leaf, SymbolicTensor)
        ]
        if not_symbolic:
            raise InvalidArgumentError(
                explain(
                    f"{self._where()}: got symbolic tensors together with "
                    f"{type(not_symbolic[0]).__name__}.",
                    "Make every part an ek.Input, or the output of a layer called on one.",
                )
            )
        shapes = jax.tree.map(lambda tensor: tensor.shape, inputs)
        self.ensure_built(shapes)
        self.check_input_shape(shapes)
        settings = kwargs if training is None else {**kwargs, "training": training}
        output = (
            self._traced_shape(shapes, settings) if kwargs else self.compute_output_shape(shapes)
        )
        node = Node(self, inputs, settings, output)
        self._nodes.append(node)
        return node.outputs

    @property
    def input(self) -> Any:
        """The symbolic tensors of the layer's first use in a network that was laid out."""
        return self._first_node("input").inputs

    @property
    def output(self) -> Any:
        """The symbolic output of the layer's first use in a network that was laid out."""
        return self._first_node("output").outputs

    def _first_node(self, wanted: str) -> Node:
        for model in self._models:
            if not self._nodes:
                model.lay_out()
        if not self._nodes:
            raise NotBuiltError(
                explain(
                    f"{self._where()} has no {wanted}: it was not called on a symbolic tensor.",
                    "Call it on one, layer(ek.Input(shape=...)), or put it into a model with an "
                    "input shape.",
                )
            )
        return self._nodes[0]

    @property
    def is_frozen(self) -> bool:
        """Whether the layer, or one around it in the evaluation under way, is not trainable."""
        scope = current_scope()
        return not self.trainable or (scope is not None and scope.frozen)

    @cached_property
    def _call_takes_training(self) -> bool:
        parameters = inspect.signature(self.call).parameters
        return "training" in parameters

    def ensure_built(self, input_shape: Any) -> None:
        """Builds the layer for an input shape unless it is built already."""
        if self.built:
            return
        self.check_input_shape(input_shape)
        self.build(input_shape)
        self.built = True
        self.build_shape = input_shape

    def _build_state(self) -> Any:
        """Returns what building changes, for `_restore_build_state`."""
        return dict(vars(self)), list(self._own_variables), list(self._nodes)

    def _restore_build_state(self, state: Any) -> None:
        """Makes the layer as built, or as little, as it was when the state was taken."""
        attributes, variables, nodes = state
        vars(self).clear()
        vars(self).update(attributes)
        self._own_variables[:] = variables
        self._nodes[:] = nodes

    def next_key(self) -> Array:
        """Returns a random key of this layer's own; each is used once."""
        scope = current_scope()
        if scope is None:
            raise RuntimeError(f"{self._where()}: next_key() works inside call() only.")
        return scope.next_key()

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the output's shape, the batch as None, for an input's shape.

        Layers whose output shape follows from their `call` need not write this.
        """
        self.ensure_built(input_shape)
        return self._traced_shape(input_shape, {})

    def _traced_shape(self, input_shape: Any, settings: dict[str, Any]) -> Any:
        """Returns the output's shape as tracing `call` shows it.

        A size that is not known is traced with two stand-ins: what differs is not known either.
        """

        def trace(inputs: Any) -> Any:
            with entered(Scope()):
                return self(inputs, **settings)

        def shapes_with(stand_in: int) -> Any:
            def concrete(shape: Shape) -> jax.ShapeDtypeStruct:
                sizes = [stand_in if n is None else n for n in shape[1:]]
                return jax.ShapeDtypeStruct((_BATCH_STAND_IN, *sizes), jnp.float32)

            filled = jax.tree.map(concrete, input_shape, is_leaf=is_shape)
            output = jax.eval_shape(trace, filled)
            return jax.tree.map(lambda leaf: (None, *leaf.shape[1:]), output)

        first = shapes_with(_SIZE_STAND_INS[0])
        if all(None not in shape[1:] for shape in jax.tree.leaves(input_shape, is_leaf=is_shape)):
            return first
        return jax.tree.map(
            lambda a, b: tuple(m if m == n else None for m, n in zip(a, b, strict=True)),
            first,
            shapes_with(_SIZE_STAND_INS[1]),
            is_leaf=is_shape,
        )

    # -- names and messages ------------------------------------------------------------------

    def adopt_name(self, model: Any, taken: set[str]) -> None:
        """Joins a model: an automatic name gives way to one that is free wherever it is used."""
        if self._auto_named:
            elsewhere = {
                other.name
                for m in self._models
                if m is not model
                for other in m.layers
                if other is not self
            }
            self.name = _free_name(self.name, snake_case(type(self).__name__), taken | elsewhere)
        elif self.name in taken:
            raise InvalidArgumentError(
                explain(
                    f"Two layers are named {self.name!r}; names are unique in a model.",
                    f"Type {type(self).__name__}(..., name='another_name').",
                )
            )
        self._models.add(model)

    @property
    def is_shared(self) -> bool:
        """Whether more than one model uses this very layer, and so its weights."""
        return len(self._models) > 1

    def _where(self) -> str:
        return f"Layer {self.name!r} ({type(self).__name__})"

    def _refuse_unknown(self, unknown: dict[str, Any]) -> None:
        names = [n for n in inspect.signature(type(self).__init__).parameters if n != "self"]
        common = {"name", "trainable", "dtype", "input_shape", "activity_regularizer"}
        valid = {*names, *common} - {"kwargs", "unknown"}
        first = next(iter(unknown))
        raise InvalidArgumentError(
            explain(
                f"{type(self).__name__} got the unknown argument {first!r}.",
                nearest(first, valid),
            )
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r} built={self.built}>"


def get(identifier: Any) -> Layer:
    """Returns the layer that a configuration stands for, or the layer itself.

    Raises:
        InvalidArgumentError: If it is neither; an unknown class name offers the nearest one.

    Example:
        >>> get({"class_name": "Dense", "config": {"units": 3}}).units
        3
    """
    if isinstance(identifier, Layer):
        return identifier
    if isinstance(identifier, dict) and "class_name" in identifier:
        return registry.build(identifier)
    raise InvalidArgumentError(
        explain(
            f"A layer cannot be {identifier!r}.",
            "Give a layer instance, such as ek.layers.Dense(10).",
        )
    )


def require_built(layer: Layer, wanted: str) -> None:
    """Raises `NotBuiltError` unless the layer's input shape is known."""
    if not layer.built:
        raise NotBuiltError(
            explain(
                f"{wanted} of {layer.name!r} is not known yet: no input shape was given.",
                "Put ek.Input(shape=(features,)) first, call model.build((None, features)), "
                "or fit the model once.",
            )
        )


def describe(layer: Any) -> Any:
    """Writes an initializer, regularizer, constraint or layer down for a configuration.

    A function of the user's own stays what it is: a clone can use it, and a file refuses it.
    """
    return serialize(layer) if hasattr(layer, "get_config") else layer


def _as_inputs(inputs: Any) -> Any:
    """Turns arrays into JAX arrays, one by one; nested lists of numbers are one array."""
    if any(isinstance(leaf, int | float) for leaf in jax.tree.leaves(inputs)):
        return _as_input(inputs)
    return jax.tree.map(_as_input, inputs)


def _as_input(value: Any) -> Array:
    if isinstance(value, jax.Array):
        return value
    given = np.asarray(value)
    if given.dtype.kind not in "iufb":
        raise InvalidDataError(
            explain(
                f"An input has the type {given.dtype}, expected numbers.",
                "Encode text and categories as numbers first.",
            )
        )
    is_wide = given.dtype.kind in "iu" and given.size and abs(given).max() > 2**31 - 1
    # The device counts in 32 bits; larger numbers become float32 rather than wrap around.
    return jnp.asarray(given.astype(np.float32) if given.dtype.kind == "f" or is_wide else given)


def as_float(value: Array) -> Array:
    """Returns the values as float32; integers (images, say) are converted as they are."""
    return value if value.dtype == jnp.float32 else value.astype(jnp.float32)


def _shape_of(inputs: Any) -> Any:
    return jax.tree.map(lambda leaf: (None, *leaf.shape[1:]) if leaf.ndim else (), inputs)


def _each_once(variables: Any) -> list[Variable]:
    return list({id(variable): variable for variable in variables}.values())


def _uniquely_named(layers: Sequence[Layer]) -> Iterator[tuple[str, Layer]]:
    taken: set[str] = set()
    for layer in layers:
        name = layer.name if layer.name not in taken else _free_name("", layer.name, taken)
        taken.add(name)
        yield name, layer


def _free_name(current: str, base: str, taken: set[str]) -> str:
    if current and current not in taken:
        return current
    candidates = (base if n == 0 else f"{base}_{n}" for n in range(len(taken) + 1))
    return next(name for name in candidates if name not in taken)


def _checked_name(cls: type, name: str | None) -> str:
    if name is None:
        return snake_case(cls.__name__)
    if not isinstance(name, str) or not name or "/" in name:
        raise InvalidArgumentError(
            explain(
                f"{cls.__name__}(name): got {name!r}, expected a non-empty text without '/'.",
                "Type a name such as 'hidden_1'.",
            )
        )
    return name


def _checked_dtype(cls: type, dtype: Any) -> str:
    if dtype is not None and dtype not in ("float32", np.float32, jnp.float32):
        raise InvalidArgumentError(
            explain(
                f"{cls.__name__}(dtype): got {dtype!r}, expected 'float32'.",
                "Leave dtype out: variables are float32. For products in half precision type "
                "model.compile(..., precision='bfloat16').",
            )
        )
    return "float32"


def _declared_shape(cls: type, shape: Sequence[int | None] | int | None) -> Shape | None:
    if shape is None:
        return None
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    wrong: list[Any] = [n for n in sizes if n is not None and not (isinstance(n, int) and n > 0)]
    if wrong:
        raise InvalidArgumentError(
            explain(
                f"{cls.__name__}(input_shape): got {tuple(sizes)}, expected positive integers, "
                "without the batch.",
                "Type input_shape=[28, 28] for images of 28 x 28.",
            )
        )
    return (None, *sizes)
