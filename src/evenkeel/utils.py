"""Small things that Keras programs type: `utils.set_random_seed`, `utils.to_categorical`."""

from __future__ import annotations

from typing import Any

import numpy as np

from evenkeel.errors import InvalidDataError, explain, positive_integer
from evenkeel.randomness import set_random_seed
from evenkeel.registry import register as register_keras_serializable

__all__ = ["register_keras_serializable", "set_random_seed", "to_categorical"]


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Turns class numbers into one-hot rows.

    With class numbers as they are, `loss="sparse_categorical_crossentropy"` does the same and
    needs less memory.

    Args:
        x: Class numbers from 0, an array of any shape; a last axis of size 1 is dropped.
        num_classes: The number of classes; one more than the largest number when None.

    Returns:
        A float32 array of shape (*x.shape, num_classes).

    Raises:
        InvalidDataError: If something is no whole number from 0 to `num_classes` - 1.

    Example:
        >>> to_categorical([0, 2], num_classes=3).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    given = np.asarray(x)
    if given.ndim > 1 and given.shape[-1] == 1:
        given = given[..., 0]
    is_number = given.dtype.kind in "iufb"
    wrong = ~np.isfinite(given) | (given != np.floor(given)) | (given < 0) if is_number else None
    if wrong is None or wrong.any():
        found = f"values of type {given.dtype}" if wrong is None else f"{given[wrong].flat[0]!r}"
        raise InvalidDataError(
            explain(
                f"to_categorical: x has {found}, expected whole class numbers from 0.",
                "Number the classes first: np.unique(x, return_inverse=True)[1].",
            )
        )
    labels = given.astype(np.int64)
    top = int(labels.max()) if labels.size else 0
    classes = top + 1 if num_classes is None else num_classes
    classes = positive_integer("to_categorical(num_classes)", classes)
    if top >= classes:
        raise InvalidDataError(
            explain(
                f"to_categorical: x has the class number {top}, expected less than "
                f"num_classes={classes}.",
                f"Type num_classes={top + 1}.",
            )
        )
    return np.eye(classes, dtype=np.float32)[labels]
