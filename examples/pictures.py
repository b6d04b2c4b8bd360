"""The pictures that the examples learn: Fashion-MNIST, or handwritten digits where it is absent."""

from __future__ import annotations

import argparse

import numpy as np

import evenkeel as ek

Pair = tuple[np.ndarray, np.ndarray]


def options_of(description: str, **defaults: int) -> argparse.Namespace:
    """Reads the command line: --data, and an option for each number that makes a run shorter."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", choices=("fashion-mnist", "digits"), default="fashion-mnist")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"by default {value}")
    return parser.parse_args()


def load(name: str) -> tuple[Pair, Pair]:
    """Returns training and test rows, a row a picture, its pixels from 0 to 1."""
    if name == "fashion-mnist":
        try:
            return _rows(*ek.datasets.fashion_mnist.load_data())
        except ek.errors.DatasetUnavailableError as error:
            print(f"{error}\nThe digits take its place here; what is printed is about them.\n")
    return _rows(*ek.datasets.digits.load_data())


def _rows(train: Pair, test: Pair) -> tuple[Pair, Pair]:
    brightest = np.float32(train[0].max())
    return tuple((x.reshape(len(x), -1) / brightest, y) for x, y in (train, test))
