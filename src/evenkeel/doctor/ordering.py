"""Whether rows stand in the order of their classes: what `fit` warns about and a rule judges."""

from __future__ import annotations

import numpy as np

# Whole numbers with more different values than this are taken for a regression's targets.
MOST_CLASSES = 100


def unseen_if_ordered(labels: np.ndarray, cut: int) -> list[float] | None:
    """Returns which classes only the rows from `cut` on have, if rows are ordered by class.

    Rows are ordered where the labels only rise or only fall, or where the last rows have classes
    that the first ones lack. None means that they are not, or that there are no classes.

    Args:
        labels: The class of each row.
        cut: The first row that is kept back.

    Example:
        >>> unseen_if_ordered(np.array([0, 0, 1, 1, 2]), 4), unseen_if_ordered(np.array([1, 0, 1, 0]), 2)
        ([2], None)
    """  # noqa: E501  # doctest compares the line as it is
    values = np.unique(labels)
    if not 2 <= len(values) <= MOST_CLASSES or (values != np.floor(values)).any():
        return None
    steps = np.diff(labels.astype(np.float64))
    unseen = sorted(set(labels[cut:].tolist()) - set(labels[:cut].tolist()))
    return unseen if unseen or (steps >= 0).all() or (steps <= 0).all() else None
