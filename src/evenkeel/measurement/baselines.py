"""What little can do: the best constant answer, a linear model, trees.

A network that does no better has learned nothing; where even these do better than a constant, there
is something to be learned. Their losses are in the network's own terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.doctor.probe import Relation, Witness
from evenkeel.engine.objective import Head, targets_of
from evenkeel.engine.step import Batch
from evenkeel.losses import align

# Enough rows and features to see whether there is a relation, and few enough to take seconds.
_ROWS, _FEATURES, _TREES = 3000, 1024, 50
_MOST_COLUMNS = 100
_SMALL = 1e-7


def features_of(data: Batch) -> np.ndarray:
    """Returns all inputs side by side as (rows, features); of very many every n-th.

    Example:
        >>> features_of(Batch(x=[np.zeros((4, 2, 3)), np.ones((4, 1))])).shape
        (4, 7)
    """
    leaves = [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(data.x)]
    flat = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)
    return flat[:, :: -(-flat.shape[1] // _FEATURES)]


def constant_loss(loss: Any, target: np.ndarray) -> float | None:
    """Returns the loss of the best answer that is the same for all rows, where that is known.

    Args:
        loss: The loss.
        target: Targets as the loss takes them.

    Example:
        >>> import evenkeel as ek
        >>> round(constant_loss(ek.losses.MeanSquaredError(), np.array([[0.0], [2.0]])), 3)
        1.0
    """
    if loss.target_kind is None:
        return None
    flat = target.reshape(len(target), -1)
    if loss.target_kind == "numbers":
        answers = [target.mean(axis=0), np.median(target, axis=0)]
    else:
        classes = _one_hot(flat[:, 0]) if loss.target_kind == "classes" else flat
        answers = [_as_output(loss, classes.mean(axis=0))]
    repeated = (np.broadcast_to(a, (len(target), *np.atleast_1d(a).shape)) for a in answers)
    return min(loss_of_answers(loss, target, answer) for answer in repeated)


def loss_of_answers(loss: Any, target: np.ndarray, answers: np.ndarray) -> float:
    """Returns the mean loss of answers in the network's terms."""
    predicted = jnp.asarray(answers, jnp.float32)
    return float(jnp.mean(loss.values(align(jnp.asarray(target), predicted), predicted, None)))


def _one_hot(labels: np.ndarray, count: int | None = None) -> np.ndarray:
    numbers = labels.astype(int)
    return np.eye(count or int(numbers.max()) + 1)[numbers]


def _as_output(loss: Any, shares: np.ndarray) -> np.ndarray:
    """Returns probabilities as a network with this loss puts them out."""
    shares = np.clip(shares, _SMALL, 1 - _SMALL)
    if not getattr(loss, "from_logits", False):
        return shares
    return np.log(shares / (1 - shares)) if loss.target_kind == "binary" else np.log(shares)


# -- a few rows ----------------------------------------------------------------------------------


def few_rows(target: np.ndarray, count: int, kind: str) -> np.ndarray:
    """Returns the numbers of a few rows whose targets differ as much as they can.

    Example:
        >>> few_rows(np.array([0, 0, 0, 1, 2]), 3, "classes").tolist()
        [0, 3, 4]
    """
    flat = target.reshape(len(target), -1).astype(np.float64)
    if kind == "numbers":
        ranked = np.argsort(flat[:, 0], kind="stable")
        evenly = np.linspace(0, len(ranked) - 1, min(count, len(ranked)))
        return np.unique(ranked[evenly.astype(int)])
    labels = flat.argmax(axis=1) if flat.shape[1] > 1 else flat[:, 0]
    _, number = np.unique(labels, return_inverse=True)
    turn = np.zeros(len(number), int)
    for label in range(number.max() + 1):  # the first row of each class, then the second
        turn[number == label] = np.arange((number == label).sum())
    return np.sort(np.lexsort((number, turn))[:count])


def linear_loss(loss: Any, x: np.ndarray, target: np.ndarray) -> float | None:
    """Returns the loss of a linear model fitted to a few rows, on those rows."""
    from sklearn.linear_model import LinearRegression  # slow to import, and seldom needed

    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1)
    flat = target.reshape(len(target), -1)
    if loss.target_kind == "numbers":
        fitted = LinearRegression().fit(x, flat).predict(x).reshape(target.shape)
        return loss_of_answers(loss, target, fitted)
    if loss.target_kind == "binary":
        columns = [_probabilities(x, column) for column in flat.T]
        if flat.shape[1] > _MOST_COLUMNS or any(c is None for c in columns):
            return None
        return loss_of_answers(loss, target, _as_output(loss, np.stack(columns, axis=1)))  # type: ignore[arg-type]
    labels = flat.argmax(axis=1) if loss.target_kind == "one-hot" else flat[:, 0].astype(int)
    found = _probabilities(x, labels, flat.shape[1] if loss.target_kind == "one-hot" else None)
    return None if found is None else loss_of_answers(loss, target, _as_output(loss, found))


def _probabilities(x: np.ndarray, labels: np.ndarray, count: int | None = None) -> Any:
    """Returns the probability of 1, or of each class where there are more than two."""
    known = np.unique(labels)
    is_one_column = count is None and set(known.tolist()) <= {0.0, 1.0} and labels.dtype.kind == "f"
    if len(known) < 2:
        return labels.astype(float) if is_one_column else None
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=100.0, max_iter=300).fit(x, labels)
    found = model.predict_proba(x)
    if is_one_column:
        return found[:, 1]
    whole = np.zeros((len(x), count or int(known.max()) + 1))
    whole[:, known.astype(int)] = found
    return whole


# -- is there a relation -------------------------------------------------------------------------


def relations(
    heads: Sequence[Head],
    train: Batch,
    held_out: Batch,
    answers: Sequence[np.ndarray] | None,
) -> tuple[Relation, ...]:
    """Returns, for each output, how well others learn its targets, and how well the network did.

    Args:
        heads: The outputs.
        train: The rows to learn from.
        held_out: The rows to judge by.
        answers: The network's outputs for the held-out rows; None where it has none.
    """
    from sklearn.linear_model import Ridge

    x, x_held = _standardized(features_of(train)[:_ROWS], features_of(held_out))
    found = []
    parts = zip(heads, targets_of(train.y, heads), targets_of(held_out.y, heads), strict=True)
    for number, (head, y, y_held) in enumerate(parts):
        kind = None if head.loss is None else head.loss.target_kind
        if kind is None:
            continue
        ours = None if answers is None else _as_guesses(head.loss, answers[number])
        width = ours.shape[1] if kind == "classes" and ours is not None else None
        wanted, wanted_held = (_columns(target, kind, width) for target in (y, y_held))
        if wanted.shape[1] > _MOST_COLUMNS or wanted.shape[1] != wanted_held.shape[1]:
            continue
        wanted = wanted[:_ROWS]
        guesses = {
            "network": ours,
            "linear model": _guessed(Ridge(alpha=0.1 * len(x)), x, wanted, x_held),
            "trees": _guessed(_trees(), x, wanted, x_held),
        }
        found.append(
            Relation(
                name="y" if head.name is None else head.name,
                rows=len(wanted_held),
                constant_score=_SCORES[kind](
                    wanted_held, np.broadcast_to(wanted.mean(axis=0), wanted_held.shape)
                ),
                columns=wanted.shape[1],
                witnesses=tuple(
                    _witness(name, kind, wanted_held, answer)
                    for name, answer in guesses.items()
                    if answer is not None and _can_be_judged(answer, wanted_held)
                ),
            )
        )
    return tuple(found)


def _standardized(x: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns both with the mean and the deviation of the first taken out."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    return (x - mean) / spread, (other - mean) / spread


def _can_be_judged(answers: np.ndarray, wanted: np.ndarray) -> bool:
    return answers.shape == wanted.shape and bool(np.isfinite(answers).all())


def _witness(name: str, kind: str, wanted: np.ndarray, answers: np.ndarray) -> Witness:
    score = _SCORES[kind](wanted, answers)
    return Witness(name=name, score=score, strength=strength_of(wanted, answers))


def _as_guesses(loss: Any, answers: np.ndarray) -> np.ndarray:
    """Returns a network's outputs as columns; logits of yes and no as probabilities."""
    flat = np.asarray(answers, np.float64).reshape(len(answers), -1)
    if loss.target_kind == "binary" and getattr(loss, "from_logits", False):
        return 0.5 * (1 + np.tanh(0.5 * flat))
    return flat


def _columns(target: Any, kind: str, count: int | None) -> np.ndarray:
    """Returns targets as columns of numbers: one for each class, or for each output."""
    flat = np.asarray(target).reshape(len(target), -1)
    return _one_hot(flat[:, 0], count) if kind == "classes" else flat.astype(np.float64)


def _trees() -> Any:
    from sklearn.ensemble import ExtraTreesRegressor

    # Squares of 0 and 1 are Gini's impurity: the same trees for classes and for numbers.
    settings: dict[str, Any] = {"min_samples_leaf": 3, "max_features": "sqrt", "random_state": 0}
    return ExtraTreesRegressor(_TREES, **settings)


def _guessed(model: Any, x: np.ndarray, y: np.ndarray, x_held: np.ndarray) -> np.ndarray:
    model.fit(x, y[:, 0] if y.shape[1] == 1 else y)
    return np.asarray(model.predict(x_held)).reshape(len(x_held), -1)


def _right(wanted: np.ndarray, guesses: np.ndarray) -> float:
    """Returns the part of rows whose class is right."""
    return float(np.mean(wanted.argmax(axis=1) == guesses.argmax(axis=1)))


def _on_the_right_side(wanted: np.ndarray, guesses: np.ndarray) -> float:
    """Returns the part of yes and no, each on its own, that is right."""
    return float(np.mean((wanted > 0.5) == (guesses > 0.5)))


def _explained(wanted: np.ndarray, guesses: np.ndarray) -> float:
    """Returns the part of the variance that guesses explain."""
    variance = float(np.mean(np.square(wanted - wanted.mean(axis=0))))
    return 1 - float(np.mean(np.square(wanted - guesses))) / max(variance, 1e-300)


_SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "classes": _right,
    "one-hot": _right,
    "binary": _on_the_right_side,
    "numbers": _explained,
}


def strength_of(wanted: np.ndarray, guesses: np.ndarray) -> float:
    """Returns the correlation of ranks of the best column, in deviations of what chance gives.

    Of unrelated columns it has the deviation 1/sqrt(rows - 1); the best of several is higher, which
    the limits of the rules leave room for.
    """
    found = [_rank_correlation(w, g) for w, g in zip(wanted.T, guesses.T, strict=True)]
    return max(found, default=0.0) * math.sqrt(max(len(wanted) - 1, 1))


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    ranks = [_ranks(v) for v in (a, b)]
    spreads = [r.std() for r in ranks]
    if min(spreads) == 0:
        return 0.0
    product = np.mean((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean()))
    return float(product / (spreads[0] * spreads[1]))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Returns the rank of each value; equal ones share the mean of theirs."""
    _, number, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - counts / 2)[number]
