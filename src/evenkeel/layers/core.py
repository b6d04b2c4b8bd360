"""The layers that most networks are made of: Dense, Embedding, Activation, and changes of shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from evenkeel import activations, constraints, initializers, regularizers
from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    explain,
    nearest,
    positive_integer,
    require,
)
from evenkeel.layers.activation import PReLU
from evenkeel.layers.base import Layer, Shape, as_float, describe, registry
from evenkeel.layers.base import get as get_layer
from evenkeel.network import Array, times


@registry.register()
class Dense(Layer):
    """A fully connected layer: each unit sums all inputs, weighted, and applies an activation.

        y = activation(x · kernel + bias)

    Shapes:
        x: (batch, ..., inputs) → (batch, ..., units); kernel (inputs, units), bias (units,).

    Args:
        units: The number of units, at least 1.
        activation: A name, a function, or a layer such as `LeakyReLU(0.2)`; None is linear.
            `"prelu"` gives the layer slopes of its own that it learns.
        use_bias: Whether to add a bias; leave it out before a batch normalization.
        kernel_initializer: The rule for the starting kernel; Glorot uniform by default, He for
            ReLU and its variants, LeCun normal for SELU.
        bias_initializer: The rule for the starting bias; zeros by default.
        kernel_regularizer: A penalty on the kernel that is added to the loss, such as `"l2"`.
        bias_regularizer: A penalty on the bias.
        kernel_constraint: A limit that the kernel is put back into after each update, such as
            `MaxNorm(2.0)`.
        bias_constraint: A limit on the bias.
        **kwargs: `name`, `trainable`, `activity_regularizer`, `input_shape`.

    Raises:
        InvalidArgumentError: If `units` is no positive integer or a name is unknown.

    Example:
        >>> layer = Dense(10, activation="relu", kernel_initializer="he_normal")
        >>> layer.kernel_initializer
        HeNormal()
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = positive_integer("Dense(units)", units)
        self.activation = activation_from(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel: Any = None
        self.bias: Any = None

    def check_input_shape(self, input_shape: Shape) -> None:
        """Refuses inputs without features, and inputs of another width than it was built for."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, expected (batch, features).",
                    "A dense layer needs to know how many features a row has.",
                    "Reshape x to (rows, features), for example with x.reshape(-1, 1).",
                )
            )
        if self.built and input_shape[-1] != self.kernel.shape[0]:
            flat = math.prod(n or 0 for n in input_shape[1:])
            raise InvalidDataError(
                explain(
                    f"{self._where()}: input has shape {input_shape}, expected "
                    f"(batch, {self.kernel.shape[0]}).",
                    "Put ek.layers.Flatten() before it."
                    if flat == self.kernel.shape[0]
                    else f"Give inputs with {self.kernel.shape[0]} features, or build a new "
                    "network for this input.",
                )
            )

    def build(self, input_shape: Shape) -> None:
        """Adds the kernel and the bias."""
        self.kernel = self.add_weight(
            (input_shape[-1], self.units),
            self.kernel_initializer,
            name="kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                name="bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        build_activation(self.activation, (*input_shape[:-1], self.units))

    def call(self, inputs: Array) -> Array:
        """Computes activation(x · kernel + bias)."""
        outputs = times(as_float(inputs), self.kernel)
        if self.use_bias:
            outputs = outputs + self.bias.value.reshape((1,) * (outputs.ndim - 1) + (-1,))
        return self.activation(outputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Replaces the last dimension by `units`."""
        self.check_input_shape(input_shape)
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": describe_activation(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": describe(self.kernel_initializer),
            "bias_initializer": describe(self.bias_initializer),
            "kernel_regularizer": describe(self.kernel_regularizer),
            "bias_regularizer": describe(self.bias_regularizer),
            "kernel_constraint": describe(self.kernel_constraint),
            "bias_constraint": describe(self.bias_constraint),
        }


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


@registry.register()
class Identity(Layer):
    """Passes its input on as it is: a place to look at, or one to fill in later.

    Shapes:
        x: (batch, *features) → the same.

    Args:
        **kwargs: `name`, `input_shape`.

    Example:
        >>> Identity()(jnp.array([[1.0, 2.0]])).tolist()
        [[1.0, 2.0]]
    """

    def call(self, inputs: Any) -> Any:
        """Returns the input."""
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape."""
        return input_shape


@registry.register()
class Embedding(Layer):
    """A learned vector for each of a number of ids, such as words or categories.

        y[..., :] = embeddings[id]

    Ids are whole numbers; floats that hold whole numbers are taken as well. An id outside the
    table is refused where data comes in; one that only arises inside the network gives NaN.

    Shapes:
        x: (batch, *sizes) → (batch, *sizes, output_dim); embeddings (input_dim, output_dim).

    Args:
        input_dim: The number of ids, at least 1; ids are 0 to input_dim - 1.
        output_dim: The length of a vector, at least 1.
        embeddings_initializer: The rule for the starting vectors; uniform in ±0.05 by default.
        embeddings_regularizer: A penalty on all vectors that is added to the loss.
        embeddings_constraint: A limit that the vectors are put back into after each update.
        **kwargs: `name`, `trainable`, `activity_regularizer`, `input_shape`. There are no masks;
            `mask_zero` is refused.

    Raises:
        InvalidArgumentError: If a size is no positive integer, or `mask_zero` is asked for.

    Example:
        >>> Embedding(1000, 16)(jnp.array([[4, 20]])).shape
        (1, 2, 16)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        **kwargs: Any,
    ):
        require(
            not kwargs.pop("mask_zero", False),
            "Embedding(mask_zero): got True, expected False.",
            "Layers here pass no masks on, so that id 0 would count like any other.",
            "Leave mask_zero out.",
        )
        super().__init__(**kwargs)
        self.input_dim = positive_integer("Embedding(input_dim)", input_dim)
        self.output_dim = positive_integer("Embedding(output_dim)", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)

    def check_values(self, inputs: Any) -> None:
        """Raises `InvalidDataError` where an id of a batch on the host is not in the table.

        Args:
            inputs: The ids, an array (rows, ...).
        """
        ids = np.asarray(inputs)
        wrong = (ids < 0) | (ids > self.input_dim - 1) | (ids != np.floor(ids))
        if not wrong.any():
            return
        where = [int(n) for n in np.argwhere(wrong)[0]]
        value = ids[tuple(where)]
        column = f", column {', '.join(str(n) for n in where[1:])}" if len(where) > 1 else ""
        raise InvalidDataError(
            explain(
                f"{self._where()}: row {where[0]}{column} holds {value.item()!r}, expected whole "
                f"numbers from 0 to {self.input_dim - 1}"
                f" ({int(wrong.sum())} of {ids.size} values are not).",
                f"Type Embedding(input_dim={int(ids.max()) + 1}, ...), or number the ids from 0."
                if np.isfinite(ids).all() and ids.min() >= 0 and value == np.floor(value)
                else "Number the ids from 0.",
            )
        )

    def build(self, input_shape: Shape) -> None:
        """Adds the table of vectors."""
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            name="embeddings",
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )

    def call(self, inputs: Array) -> Array:
        """Looks the vectors up."""
        ids = inputs.astype(jnp.int32)
        # A compiled program cannot raise; NaN is at least seen, another id's vector would not be.
        return self.embeddings.value.at[ids].get(
            mode="fill", fill_value=jnp.nan, wrap_negative_indices=False
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Appends the length of a vector."""
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": describe(self.embeddings_initializer),
            "embeddings_regularizer": describe(self.embeddings_regularizer),
            "embeddings_constraint": describe(self.embeddings_constraint),
        }


@registry.register()
class Activation(Layer):
    """An activation as a layer of its own, for example behind a batch normalization.

    Shapes:
        x: (batch, *features) → the same.

    Args:
        activation: A name, a function, or a layer; `"prelu"` makes a new one.
        **kwargs: `name`, `input_shape`.

    Example:
        >>> Activation("elu").activation.__name__
        'elu'
    """

    def __init__(self, activation: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.activation = activation_from(activation)

    def build(self, input_shape: Shape) -> None:
        """Builds the activation, if it is a layer."""
        build_activation(self.activation, input_shape)

    def call(self, inputs: Array) -> Array:
        """Applies the activation."""
        return self.activation(as_float(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "activation": describe_activation(self.activation)}


def describe_activation(activation: Any) -> Any:
    """Writes an activation down: a name, a layer's configuration, or the user's own function."""
    return activations.name_of(activation) or describe(activation)


# Activations with weights of their own: their name stands for a new layer, each time it is used.
_LEARNED = {"prelu": PReLU}


def activation_from(identifier: Any) -> Any:
    """Returns the activation that a name, configuration, function or layer stands for.

    Args:
        identifier: Whatever `activations.get` takes, a layer's configuration as
            `describe_activation` wrote it down, or `"prelu"`, which gives a new layer.

    Raises:
        InvalidArgumentError: If there is no such activation; the nearest name is offered.
    """
    if isinstance(identifier, dict):
        return get_layer(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Layer):
        return identifier()
    if not isinstance(identifier, str):
        return activations.get(identifier)
    learned = _LEARNED.get(identifier.lower().replace("_", ""))
    if learned is not None:
        return learned()
    try:
        return activations.get(identifier)
    except InvalidArgumentError:
        known = [*activations.registry.names, *_LEARNED]
        raise InvalidArgumentError(
            explain(f"Unknown activation {identifier!r}.", nearest(identifier, known))
        ) from None


def build_activation(activation: Any, shape: Shape) -> None:
    """Builds an activation that is a layer, for what will come in."""
    if isinstance(activation, Layer):
        activation.ensure_built(shape)
