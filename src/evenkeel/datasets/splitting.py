"""Cutting rows in two, by scikit-learn, with the classes in proportion where there are any."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

from evenkeel.errors import InvalidDataError, explain


def split_rows(
    x: np.ndarray, y: np.ndarray, fraction: float, seed: int, *, by_class: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draws a fraction of the rows.

    Args:
        x: Inputs, rows first.
        y: Targets, rows first.
        fraction: The fraction to draw, in (0, 1).
        seed: The seed of the draw.
        by_class: Whether y are classes: each is then drawn in proportion, where every class has
            two rows at least and the draw has room for one of each.

    Returns:
        x and y of the remaining rows, then x and y of the drawn ones.

    Raises:
        InvalidDataError: If there are too few rows.

    Example:
        >>> parts = split_rows(np.eye(4), np.array([0, 0, 1, 1]), 0.5, 0, by_class=True)
        >>> sorted(parts[3].tolist())
        [0, 1]
    """
    drawn = fraction * len(y)
    if not 1 <= drawn < len(y):
        raise InvalidDataError(
            explain(
                f"{len(y)} rows are too few to keep {fraction:g} of them apart.",
                "Give more rows, or a larger fraction.",
            )
        )
    counts = np.unique(y, return_counts=True)[1] if by_class else np.zeros(1)
    stratify = y if counts.min() >= 2 and drawn >= len(counts) else None
    x_rest, x_drawn, y_rest, y_drawn = train_test_split(
        x, y, test_size=fraction, random_state=seed, stratify=stratify
    )
    return np.asarray(x_rest), np.asarray(y_rest), np.asarray(x_drawn), np.asarray(y_drawn)
