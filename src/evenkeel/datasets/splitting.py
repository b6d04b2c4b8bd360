"""Cutting rows in two, with the classes in proportion where there are any.

The rows drawn are those of scikit-learn's `train_test_split`, whose import alone takes longer than
training on a small table.
"""

from __future__ import annotations

import math

import numpy as np

from evenkeel.errors import InvalidDataError, explain


def split_rows(
    x: np.ndarray, y: np.ndarray, fraction: float, seed: int, *, by_class: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draws a fraction of the rows, as `train_test_split(random_state=seed)` does.

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
    # The generator of scikit-learn, so that the same seed draws the same rows.
    random = np.random.RandomState(seed)
    counts = np.unique(y, return_counts=True)[1] if by_class else np.zeros(1)
    if counts.min() >= 2 and drawn >= len(counts):
        rest, chosen = _draw_by_class(y, counts, math.ceil(drawn), random)
    else:
        order = random.permutation(len(y))
        rest, chosen = order[math.ceil(drawn) :], order[: math.ceil(drawn)]
    return x[rest], y[rest], x[chosen], y[chosen]


def _draw_by_class(
    y: np.ndarray, counts: np.ndarray, drawn: int, random: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the numbers of the remaining and of the drawn rows."""
    stay = _in_proportion(counts, len(y) - drawn, random)
    go = _in_proportion(counts - stay, drawn, random)
    rows = np.split(np.argsort(y, kind="stable"), np.cumsum(counts)[:-1])
    rest, chosen = [], []
    for of_class, kept, taken in zip(rows, stay, go, strict=True):
        order = of_class[random.permutation(len(of_class))]
        rest.append(order[:kept])
        chosen.append(order[kept : kept + taken])
    return random.permutation(np.concatenate(rest)), random.permutation(np.concatenate(chosen))


def _in_proportion(counts: np.ndarray, total: int, random: np.random.RandomState) -> np.ndarray:
    """Shares a number out in proportion to counts; what rounding leaves goes to the largest rests.

    Among equal rests lots are drawn.
    """
    exact = counts / counts.sum() * total
    shares = np.floor(exact).astype(np.int64)
    rests, left = exact - shares, int(total - np.floor(exact).sum())
    for rest in np.unique(rests)[::-1]:
        if left <= 0:
            break
        (equal,) = np.nonzero(rests == rest)
        lucky = random.choice(equal, size=min(len(equal), left), replace=False)
        shares[lucky] += 1
        left -= len(lucky)
    return shares
