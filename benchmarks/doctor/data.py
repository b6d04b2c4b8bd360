"""The data sets of the bench: real ones as far as they are at hand, and synthetic ones.

Each gives the same training, validation and test rows every time, raw: how inputs and targets are
prepared is a matter of the programs. What is not at hand leaves out the cases that need it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Where tables lie that cannot be bundled; `--folder` names another folder.
TABLES = [Path(__file__).parents[2] / "shared" / "data"]
# Enough for each network's compilation not to be all that a run costs, and few enough to be quick.
MOST_ROWS = 3000


@dataclass(frozen=True, kw_only=True)
class Source:
    """Rows of a data set.

    Attributes:
        x: Inputs, (rows, columns) or (rows, height, width).
        y: Class numbers or numbers, (rows,).
        classes: How many classes; None for a regression.
    """

    x: np.ndarray
    y: np.ndarray
    classes: int | None


def _random(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def _digits() -> Source:
    from evenkeel.datasets import digits

    (x, y), (x_test, y_test) = digits.load_data()
    return Source(x=np.concatenate([x, x_test]), y=np.concatenate([y, y_test]), classes=10)


def _fashion() -> Source:
    from evenkeel.datasets.registry import entries, load

    if not any(entry.name == "fashion-mnist" and entry.is_at_hand() for entry in entries()):
        raise FileNotFoundError("Fashion-MNIST is not at hand")
    data = load("fashion-mnist")
    rows = _random(1).permutation(len(data.x_train))[:MOST_ROWS]
    return Source(x=data.x_train[rows].astype(np.float32), y=data.y_train[rows], classes=10)


def _bundled(name: str, classes: int | None) -> Source:
    import sklearn.datasets

    x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    return Source(x=x.astype(np.float32), y=y, classes=classes)


def _houses() -> Source:
    from evenkeel.datasets.csv_files import read_csv

    path = TABLES[0] / "california_housing.csv"
    if not path.is_file():
        raise FileNotFoundError("california_housing.csv is not at hand")
    data = read_csv(path, "median_house_value")
    rows = _random(2).permutation(len(data.x_train))[:MOST_ROWS]
    x = np.nan_to_num(np.asarray(data.x_train[rows], np.float32))
    return Source(x=x, y=np.asarray(data.y_train[rows], np.float32).ravel(), classes=None)


def _uci(name: str) -> Source:
    path = TABLES[0] / "uci" / f"{name}.npz"
    if not path.is_file():
        raise FileNotFoundError(f"uci/{name}.npz is not at hand")
    with np.load(path) as held:
        x, y = np.asarray(held["x"], np.float32), np.asarray(held["y"], np.float32)
    rows = _random(3).permutation(len(x))[:MOST_ROWS]
    return Source(x=x[rows], y=y[rows].ravel(), classes=None)


def _moons() -> Source:
    draw = _random(4)
    y = np.arange(800) % 2
    angle = draw.uniform(0, np.pi, 800)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x[y == 1] = [1.0, 0.5] - x[y == 1]
    return Source(x=(x + 0.15 * draw.normal(size=x.shape)).astype(np.float32), y=y, classes=2)


def _spirals() -> Source:
    draw = _random(5)
    y = np.arange(1200) % 3
    radius = draw.uniform(0.1, 1.0, 1200)
    angle = 4 * radius + 2 * np.pi * y / 3 + 0.15 * draw.normal(size=1200)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return Source(x=x.astype(np.float32), y=y, classes=3)


def _friedman() -> Source:
    """Friedman, "Multivariate Adaptive Regression Splines", 1991: ten columns, five used."""
    draw = _random(6)
    x = draw.random((1500, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y = y + 10 * x[:, 3] + 5 * x[:, 4] + draw.normal(size=len(x))
    return Source(x=x.astype(np.float32), y=y.astype(np.float32), classes=None)


def _teacher(rows: int, classes: int, seed: int) -> Source:
    """Classes that a network of one hidden layer gives to normal inputs."""
    draw = _random(seed)
    x = draw.normal(size=(rows, 20))
    inner = np.maximum(x @ draw.normal(size=(20, 12)) / 4, 0)
    scores = (inner - inner.mean(axis=0)) @ draw.normal(size=(12, classes))
    return Source(x=x.astype(np.float32), y=scores.argmax(axis=1), classes=classes)


def _rare() -> Source:
    """Two classes of which one has a twentieth of the rows, and can be told."""
    draw = _random(8)
    x = draw.normal(size=(3000, 10))
    score = x[:, 0] + x[:, 1] * x[:, 2] + 0.2 * draw.normal(size=len(x))
    return Source(
        x=x.astype(np.float32), y=(score > np.quantile(score, 0.95)).astype(int), classes=2
    )


def _stripes() -> Source:
    """Pictures of 12 x 12: in which of four directions stripes run, under noise."""
    draw = _random(9)
    y = np.arange(1600) % 4
    across, down = np.meshgrid(np.arange(12), np.arange(12))
    way = np.stack([across, down, across + down, across - down])[y]
    phase = draw.uniform(0, 2 * np.pi, (len(y), 1, 1))
    x = 0.5 + 0.5 * np.sin(2 * np.pi * way / 4 + phase) + 0.5 * draw.normal(size=way.shape)
    return Source(x=(100 * x).astype(np.float32), y=y, classes=4)


SOURCES: dict[str, Callable[[], Source]] = {
    "digits": _digits,
    "fashion": _fashion,
    "iris": functools.partial(_bundled, "iris", 3),
    "wine": functools.partial(_bundled, "wine", 3),
    "cancer": functools.partial(_bundled, "breast_cancer", 2),
    "diabetes": functools.partial(_bundled, "diabetes", None),
    "houses": _houses,
    "concrete": functools.partial(_uci, "concrete"),
    "energy": functools.partial(_uci, "energy"),
    "yacht": functools.partial(_uci, "yacht"),
    "power": functools.partial(_uci, "power"),
    "moons": _moons,
    "spirals": _spirals,
    "friedman": _friedman,
    "teacher": functools.partial(_teacher, 2500, 5, 7),
    "many": functools.partial(_teacher, 20_000, 5, 10),
    "rare": _rare,
    "stripes": _stripes,
}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of three parts, in random order: half for training, the rest for two kinds of judging.

    Attributes:
        train: Inputs and targets to train on.
        valid: Those for validation, which the program sees.
        test: Those that only the bench sees.
        classes: How many classes; None for a regression.
    """

    train: tuple[np.ndarray, np.ndarray]
    valid: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    classes: int | None


@functools.cache
def rows_of(name: str) -> Rows:
    """Returns the rows of a data set, always the same.

    Raises:
        FileNotFoundError: If the data set is not at hand.
    """
    source = SOURCES[name]()
    order = _random(11).permutation(len(source.x))
    cuts = int(0.6 * len(order)), int(0.8 * len(order))
    parts: list[Any] = [(source.x[part], source.y[part]) for part in np.split(order, cuts)]
    return Rows(train=parts[0], valid=parts[1], test=parts[2], classes=source.classes)
