"""Pretraining on a side task: one for which labels are easy to come by.

Faces with names are few, but whether two pictures show the same person is known for many; so the
side task built in here is "the same or not?", with one trunk that sees both (a siamese network).
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from evenkeel.engine import intake
from evenkeel.errors import (
    InvalidDataError,
    explain,
    integer_at_least,
    number_in,
    positive_integer,
)
from evenkeel.layers import Dense, Flatten, Input, Layer
from evenkeel.layers.base import as_float, registry
from evenkeel.models import Model, Sequential
from evenkeel.network import Array
from evenkeel.pretraining.parts import Trunk, copied_layers, layers_of, numbers_of
from evenkeel.pretraining.result import Pretrained, Stage
from evenkeel.randomness import generator, next_seed

_WHERE = "pretraining.auxiliary"


def auxiliary(
    layers: Any,
    x: Any,
    y: Any,
    *,
    head: Any = None,
    loss: Any = None,
    metrics: Any = None,
    optimizer: Any = "adam",
    epochs: int = 10,
    batch_size: int = 128,
    **settings: Any,
) -> Pretrained:
    """Trains layers on a side task with labels of its own, and hands them over without its output.

    With a pair of inputs the layers are a trunk for both. What it makes of them, a and b, is
    compared by |a - b| and a·b, unit by unit, and a sigmoid unit says whether they belong together.

    The layers given are copied, weights and all, and left untouched.

    Args:
        layers: The layers to train: a list, or a `Sequential`.
        x: The inputs of the side task: an array, or a tuple of two arrays for a task about pairs,
            such as `pairs_from_labels` makes.
        y: Its labels: class numbers (integers), any numbers, or for pairs 1 for the same and 0 for
            not.
        head: The layers on top for the side task. When None, a softmax unit for each class number,
            a linear unit for each column of other numbers, one sigmoid unit for pairs.
        loss: The loss; the one that fits when None. Give one with a `head` of your own.
        metrics: What to measure; the accuracy when None, where there are classes.
        optimizer: A name, an optimizer, or an optax transformation.
        epochs: How often each row is used.
        batch_size: Rows a step.
        **settings: Whatever else `fit` takes: `callbacks`, `validation_data`, `verbose`.

    Returns:
        The layers, ready for `.then(...)`; the network of the side task is `.networks["task"]`.

    Raises:
        InvalidArgumentError: If an argument is impossible.
        InvalidDataError: If there are no labels, too few classes, or something does not fit.

    Example:
        >>> import evenkeel as ek
        >>> (x, y), _ = ek.datasets.digits.load_data()
        >>> layers = [ek.layers.Rescaling(1 / 16), ek.layers.Dense(30, activation="relu")]
        >>> pairs, same = ek.pretraining.pairs_from_labels(x, y, count=2000)
        >>> pretrained = ek.pretraining.auxiliary(layers, pairs, same, epochs=5)
        >>> pretrained.history["accuracy"][-1] > 0.5
        True
        >>> model = pretrained.then(ek.layers.Dense(10, activation="softmax"))

    References:
        Bromley, Guyon, LeCun, Säckinger and Shah, "Signature Verification using a 'Siamese' Time
        Delay Neural Network", NIPS 1993, has the shared trunk.
    """
    labels = _labels(y)
    is_pair = isinstance(x, tuple)
    parts = _pair(x) if is_pair else (x,)
    trunk = Trunk(_WHERE, layers, parts[0])
    ending, fitting_loss, fitting_metrics = _task_of(labels, is_pair)
    head = [ending] if head is None else copied_layers(layers_of(f"{_WHERE}, head", head))
    network = _siamese(trunk, parts[0].shape[1:], head) if is_pair else _stack(trunk, head)
    network.compile(
        optimizer,
        loss=fitting_loss if loss is None else loss,
        metrics=fitting_metrics if metrics is None else metrics,
    )
    settings = {"verbose": 0, **settings}
    inputs = list(parts) if is_pair else parts[0]
    history = network.fit(inputs, labels, epochs=epochs, batch_size=batch_size, **settings)
    return Pretrained(
        method="a side task about pairs" if is_pair else "a side task",
        layers=trunk.layers,
        stages=(Stage(name="side task", history=numbers_of(history)),),
        networks={"task": network},
    )


def _labels(y: Any) -> np.ndarray:
    if y is None:
        raise InvalidDataError(
            explain(
                f"{_WHERE}(y): got None, expected the labels of the side task.",
                "Give what is easy to know of each row. Without any labels type "
                "ek.pretraining.autoencoder(layers, x).",
            )
        )
    return intake.inputs(y, "y")


def _pair(x: tuple[Any, ...]) -> tuple[Any, Any]:
    arrays = [intake.inputs(part, f"x[{n}]") for n, part in enumerate(x)]
    shapes = [array.shape for array in arrays]
    if len(arrays) != 2 or shapes[0] != shapes[1]:
        raise InvalidDataError(
            explain(
                f"{_WHERE}(x): got a tuple of arrays of the shapes {shapes}, expected two of one "
                "shape.",
                "One trunk sees both members of each pair.",
                "Type pairs, same = ek.pretraining.pairs_from_labels(x, y).",
            )
        )
    return arrays[0], arrays[1]


def _task_of(labels: np.ndarray, is_pair: bool) -> tuple[Layer, str, list[str]]:
    """Returns the last layer, the loss and the metrics that fit labels."""
    if labels.dtype.kind not in "iub" and not is_pair:
        return Dense(labels.shape[1] if labels.ndim > 1 else 1), "mse", []
    if len(np.unique(labels)) < 2:
        raise InvalidDataError(
            explain(
                f"{_WHERE}(y): every label is {labels.ravel()[0]}, expected at least two classes.",
                "Nothing can be learned from a question that always has the same answer.",
            )
        )
    if is_pair:
        return Dense(1, activation="sigmoid"), "binary_crossentropy", ["accuracy"]
    classes = int(labels.max()) + 1
    return Dense(classes, activation="softmax"), "sparse_categorical_crossentropy", ["accuracy"]


def _stack(trunk: Trunk, head: list[Layer]) -> Sequential:
    flat = [Flatten()] if len(trunk.output_shape) > 1 and isinstance(head[0], Dense) else []
    return Sequential([*trunk.layers, *flat, *head])


def _siamese(trunk: Trunk, shape: tuple[int, ...], head: list[Layer]) -> Any:
    flat = [Flatten()] if len(trunk.output_shape) > 1 else []
    shared = Sequential([*trunk.layers, *flat], name="trunk")
    first, second = Input(shape, name="first"), Input(shape, name="second")
    output = PairComparison()([shared(first), shared(second)])
    for layer in head:
        output = layer(output)
    return Model(inputs=[first, second], outputs=output)


@registry.register()
class PairComparison(Layer):
    """Compares two rows unit by unit: how far they are apart, and how far both are active.

        y = (|a - b|, a·b)

    Shapes:
        [a, b]: both (batch, units) → (batch, 2 · units).

    Args:
        **kwargs: `name`.

    Example:
        >>> PairComparison()([np.array([[1.0, 3.0]]), np.array([[2.0, 2.0]])]).tolist()
        [[1.0, 1.0, 2.0, 6.0]]
    """

    def call(self, inputs: Any) -> Array:
        """Returns distances and products."""
        a, b = (as_float(part) for part in inputs)
        return jnp.concatenate([jnp.abs(a - b), a * b], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns twice the units."""
        first = input_shape[0]
        return (*first[:-1], 2 * first[-1])


# -- pairs ---------------------------------------------------------------------------------------


def pairs_from_labels(
    x: Any,
    y: Any,
    *,
    count: int = 10_000,
    same_fraction: float = 0.5,
    seed: int | None = None,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Draws pairs of rows, and says of each whether both have the same label.

    The first row of a pair is drawn from all rows (for pairs of the same label, from those whose
    label another row has, too), the second from the rows that it may be paired with; all are
    equally likely, and no row is paired with itself.

    Args:
        x: The rows.
        y: A label for each: a class, a person, the number of the picture that a view was made from.
        count: How many pairs, at least 1.
        same_fraction: The fraction of pairs with the same label, in [0, 1], rounded to whole pairs.
        seed: The seed of the draw; one of `set_random_seed`'s row when None.

    Returns:
        The two rows of each pair, as a tuple of arrays in the type of x, and 1 for the same or 0
        for not (float32), in random order: what `auxiliary` takes.

    Raises:
        InvalidDataError: If there are fewer than two labels to tell apart, or no label that two
            rows have.
        InvalidArgumentError: If an argument is impossible.

    Example:
        >>> x, y = np.arange(6.0).reshape(6, 1), np.array([0, 0, 0, 1, 1, 1])
        >>> (first, second), same = pairs_from_labels(x, y, count=100, seed=0)
        >>> bool((((first < 3) == (second < 3))[:, 0] == same).all()), float(same.mean())
        (True, 0.5)
    """
    where = "pretraining.pairs_from_labels"
    rows, labels = intake.inputs(x), intake.inputs(y, "y")
    intake.same_rows(len(rows), len(labels), "x", "y")
    count = positive_integer(f"{where}(count)", count)
    alike = round(count * number_in(f"{where}(same_fraction)", same_fraction, 0, 1))
    random = generator(next_seed() if seed is None else integer_at_least(0, f"{where}(seed)", seed))
    _, group, sizes = np.unique(
        labels.reshape(len(labels), -1)[:, 0], return_inverse=True, return_counts=True
    )
    _require_pairs(where, sizes, alike, count - alike)
    first, second = _partners(random, group, sizes, alike, count - alike)
    same = (np.arange(count) < alike).astype(np.float32)
    order = random.permutation(count)
    return (rows[first[order]], rows[second[order]]), same[order]


def _require_pairs(where: str, sizes: np.ndarray, alike: int, unlike: int) -> None:
    if unlike and len(sizes) < 2:
        raise InvalidDataError(
            explain(
                f"{where}(y): has {len(sizes)} label, expected at least two for pairs that differ.",
                "Give rows of several classes, or same_fraction=1.",
            )
        )
    if alike and sizes.max() < 2:
        raise InvalidDataError(
            explain(
                f"{where}(y): no two of the {sizes.sum()} rows have the same label.",
                "Give several rows of each class, or same_fraction=0.",
            )
        )


def _partners(
    random: np.random.Generator, group: np.ndarray, sizes: np.ndarray, alike: int, unlike: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws row numbers: `alike` pairs within a group, then `unlike` pairs across groups."""
    order = np.argsort(group, kind="stable")  # rows of one group are neighbors
    start = np.cumsum(sizes) - sizes
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group))
    shared = np.flatnonzero(sizes[group] > 1)

    a = shared[random.integers(0, len(shared), alike)] if alike else np.empty(0, np.int64)
    size, begin = sizes[group[a]], start[group[a]]
    b = order[begin + (place[a] - begin + random.integers(1, np.maximum(size, 2))) % size]

    c = random.integers(0, len(group), unlike)
    size, begin = sizes[group[c]], start[group[c]]
    other = random.integers(0, np.maximum(len(group) - size, 1))
    d = order[other + np.where(other >= begin, size, 0)] if unlike else c
    return np.concatenate([a, c]), np.concatenate([b, d])
