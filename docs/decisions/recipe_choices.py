"""The measurements behind decision 22: variations of the default recipe, on validation rows.

    python docs/decisions/recipe_choices.py DATA

DATA is a folder with `california_housing.csv` and `uci/NAME.npz` (x, y); what is not there is left
out. A fifth of each table is never looked at. Prints the lowest validation loss, mean and deviation
of three seeds: in a regression the part of the variance that is left.
"""

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import evenkeel as ek
from evenkeel.datasets.csv_files import read_csv

SEEDS = range(3)
UCI = ("concrete", "energy", "wine")
VARIATIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "100-50": {"hidden": (100, 50)},
    "peak rate 1e-3": {"learning_rate": 1e-3},
    "dropout 0": {"dropout": 0.0},
    "dropout 0.1": {"dropout": 0.1},
    "dropout 0.2": {"dropout": 0.2},
    "weight decay 0.1": {"weight_decay": 0.1},
    "Nesterov": {"optimizer": "nesterov"},
}


def tables(folder: Path) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, int]]:
    """Yields names, tasks, training rows, and how many epochs to train them."""
    (x, y), _ = ek.datasets.digits.load_data()
    yield "digits", "classification", x, y, 60
    for name in UCI:
        if (folder / "uci" / f"{name}.npz").is_file():
            with np.load(folder / "uci" / f"{name}.npz") as file:
                x, y = file["x"], file["y"]
            rows = np.random.default_rng(5).permutation(len(x))[: int(0.8 * len(x))]
            yield name, "regression", x[rows], y[rows], 100
    if (folder / "california_housing.csv").is_file():
        data = read_csv(folder / "california_housing.csv", "median_house_value")
        yield "houses", "regression", data.x_train, data.y_train, 20


def main(folder: Path) -> None:
    """Trains every variation on every table and prints a line for each."""
    for name, task, x, y, epochs in tables(folder):
        for label, asked in VARIATIONS.items():
            losses = []
            for seed in SEEDS:
                ek.set_random_seed(seed)
                recipe = ek.recipes.default(x, y, task=task, epochs=epochs, **asked)
                model = recipe.fit(x, y, seed=seed, verbose=0)
                assert model.history is not None
                losses.append(min(model.history.history["val_loss"]))
            mean, deviation = statistics.mean(losses), statistics.stdev(losses)
            print(f"{name:9} {label:18} {mean:.4f} ± {deviation:.4f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
