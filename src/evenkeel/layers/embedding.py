"""The layer that looks numbers up: Embedding."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from evenkeel import constraints, initializers, regularizers
from evenkeel.errors import (
    InvalidDataError,
    explain,
    positive_integer,
    require,
)
from evenkeel.layers.base import Layer, Shape, describe, registry
from evenkeel.network import Array


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
        # The usual whole numbers are told without arrays as large as the data.
        is_within = ids.size == 0 or (ids.min() >= 0 and ids.max() < self.input_dim)
        if is_within and ids.dtype.kind in "iub":
            return
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
