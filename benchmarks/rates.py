"""Whether the suggestion of `find_learning_rate` trains as well as the best rate of a grid.

The notes' network 784-300-100-10 (ELU, He) on Fashion-MNIST, with each optimizer at ten rates and
at the suggested one, over seeds. The best rate of the grid is chosen on the mean validation
accuracy, and so was the rule behind the suggestion; the test rows show what that came to.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import report

SEEDS = range(5)
VALIDATION_ROWS = 5000
GRIDS = {
    "SGD": np.logspace(-3, 0, 10),
    "SGD, Nesterov momentum 0.9": np.logspace(-4, -1, 10),
    "Adam": np.logspace(-5, -2, 10),
}


def _optimizer(name: str, rate: float) -> Any:
    from evenkeel import optimizers

    if name == "Adam":
        return optimizers.Adam(rate)
    if name == "SGD":
        return optimizers.SGD(rate)
    return optimizers.SGD(rate, momentum=0.9, nesterov=True)


def _network(optimizer: Any, seed: int) -> Any:
    import evenkeel as ek

    ek.set_random_seed(seed)
    layers = [
        ek.layers.Flatten(input_shape=[28, 28]),
        ek.layers.Dense(300, activation="elu", kernel_initializer="he_normal"),
        ek.layers.Dense(100, activation="elu", kernel_initializer="he_normal"),
        ek.layers.Dense(10, activation="softmax"),
    ]
    model = ek.Sequential(layers)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def compare(name: str, grid: np.ndarray, data: dict[str, Any], epochs: int) -> dict[str, Any]:
    """Trains at every rate of the grid and at the suggestion, with every seed."""
    import evenkeel as ek

    suggestions: list[float] = []
    rates: dict[str, list[float]] = {f"{rate:.3g}": [float(rate)] * len(SEEDS) for rate in grid}
    for seed in SEEDS:
        model = _network(_optimizer(name, 0.01), seed)
        search = ek.find_learning_rate(model, *data["train"], seed=seed)
        suggestions.append(float(search.suggestion or 0.0))
    rates["suggestion"] = suggestions
    validation: dict[str, list[float]] = {}
    test: dict[str, list[float]] = {}
    for label, values in rates.items():
        validation[label], test[label] = [], []
        for seed, rate in zip(SEEDS, values, strict=True):
            model = _network(_optimizer(name, rate), seed)
            model.fit(*data["train"], epochs=epochs, verbose=0)
            for part, found in (("validation", validation), ("test", test)):
                found[label].append(model.evaluate(*data[part], verbose=0)[1])
    best = max(rates.keys() - {"suggestion"}, key=lambda r: statistics.mean(validation[r]))
    return {
        "suggestions": suggestions,
        "best": best,
        "validation": validation,
        "test": {label: test[label] for label in (best, "suggestion")},
    }


def run(
    *,
    rounds: int,
    batch_sizes: Sequence[int],
    samples: int | None,
    peers: Sequence[str] | None,
    out: Path,
) -> None:
    """Trains, prints the table and writes the record.

    Args:
        rounds: The epochs of each training.
        batch_sizes: Not used: batches have 32 rows.
        samples: How many training rows are used; all but the validation rows when None.
        peers: Not used.
        out: Where the record goes.
    """
    from evenkeel.datasets import fashion_mnist

    del batch_sizes, peers
    (x, y), test = fashion_mnist.load_data()
    held, rows = slice(VALIDATION_ROWS), slice(VALIDATION_ROWS, None)
    x, x_test = x / np.float32(255), test[0] / np.float32(255)
    data = {
        "train": (x[rows][:samples], y[rows][:samples]),
        "validation": (x[held], y[held]),
        "test": (x_test, test[1]),
    }
    table = Table(title=f"Accuracy after {rounds} epochs, mean ± spread of {len(SEEDS)} seeds")
    headings = ("optimizer", "best of ten rates", "validation", "test", "suggestions")
    for heading in (*headings, "validation", "test", "points behind (test)"):
        table.add_column(heading)
    record = {}
    for name, grid in GRIDS.items():
        found = record[name] = compare(name, grid, data, rounds)
        best, part = found["best"], {}
        for label in (best, "suggestion"):
            part[label] = [
                f"{100 * statistics.mean(v):.2f} ± {100 * statistics.stdev(v):.2f}"
                for v in (found["validation"][label], found["test"][label])
            ]
        behind = statistics.mean(found["test"][best]) - statistics.mean(found["test"]["suggestion"])
        low, high = min(found["suggestions"]), max(found["suggestions"])
        table.add_row(
            name,
            best,
            *part[best],
            f"{low:.2g} to {high:.2g}",
            *part["suggestion"],
            f"{100 * behind:.2f}",
        )
    report.write(
        {"claim": "rates", "machine": report.machine(), "epochs": rounds, "rates": record}, out
    )
    Console().print(table)
