"""What the recipes reach: Fashion-MNIST and California housing, against the book's configurations.

Every side has the same training rows, validation rows and number of epochs, and its test rows are
looked at once for each seed. The recipes' numbers were chosen on validation rows. The book's
networks are 784-300-100-10 with ReLU, and 30 units of ReLU for the houses, both under plain SGD.

A second table measures the usual order of activations, on 12,000 rows: two layers, and ten without
a normalization. Only the activation changes, and with it the starting weights that belong to it.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import report

SEEDS = range(5)
BATCH = 32
VALIDATION_ROWS = 5000
HOUSES = Path(__file__).parents[2] / "shared" / "data" / "california_housing.csv"
PARTS = ("fashion", "houses", "activations")
SIDES = ("the book's", "default", "self_normalizing")
ACTIVATIONS = ("selu", "elu", "silu", "leaky_relu", "relu", "tanh", "sigmoid")
STACKS = {"300-100": (300, 100), "10 layers of 100": (100,) * 10}
ACTIVATION_ROWS, ACTIVATION_SEEDS = 12_000, range(3)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this claim takes besides."""
    parser.add_argument("--houses", type=Path, default=HOUSES, help="california_housing.csv")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what is measured")
    parser.add_argument("--epochs", type=int, default=10, help="the epochs of every training")


def fashion_rows() -> dict[str, Any]:
    """Fashion-MNIST as bytes: 55,000 rows to train on, 5,000 for validation, 10,000 as test."""
    from evenkeel.datasets import fashion_mnist

    (x, y), test = fashion_mnist.load_data()
    held, rows = slice(VALIDATION_ROWS), slice(VALIDATION_ROWS, None)
    return {"train": (x[rows], y[rows]), "validation": (x[held], y[held]), "test": test}


def house_rows(path: Path) -> dict[str, Any]:
    """California housing, raw prices; a fifth of the rows is the test, a tenth validation."""
    from evenkeel.datasets.csv_files import read_csv
    from evenkeel.datasets.splitting import split_rows

    data = read_csv(path, "median_house_value")
    x, y, x_held, y_held = split_rows(data.x_train, data.y_train, 0.1, 0, by_class=False)
    return {"train": (x, y), "validation": (x_held, y_held), "test": (data.x_test, data.y_test)}


def book_of_fashion(rows: Mapping[str, Any]) -> Any:
    """784-300-100-10: pixels in 0..1, ReLU, Keras's default weights, SGD 0.01."""
    import evenkeel as ek

    del rows
    layers = [
        ek.layers.Rescaling(1 / 255, input_shape=(28, 28)),
        ek.layers.Flatten(),
        ek.layers.Dense(300, activation="relu"),
        ek.layers.Dense(100, activation="relu"),
        ek.layers.Dense(10, activation="softmax"),
    ]
    model = ek.Sequential(layers)
    loss = "sparse_categorical_crossentropy"
    model.compile(ek.optimizers.SGD(0.01), loss=loss, metrics=["accuracy"])
    return model


def book_of_houses(rows: Mapping[str, Any]) -> Any:
    """30 units of ReLU on standardized columns, SGD 0.001, prices in 100,000 dollars inside."""
    import evenkeel as ek

    normalization = ek.layers.Normalization()
    normalization.adapt(rows["train"][0])
    layers = [
        normalization,
        ek.layers.Dense(30, activation="relu"),
        ek.layers.Dense(1),
        ek.layers.Rescaling(100_000.0),
    ]
    model = ek.Sequential(layers)
    loss = ek.losses.MeanSquaredError(scale=100_000.0)
    model.compile(ek.optimizers.SGD(1e-3), loss=loss, metrics=["rmse"])
    return model


def one_run(
    side: str, book: Callable[[Any], Any], rows: Mapping[str, Any], epochs: int, metric: str
) -> dict[str, float]:
    """Trains one side; returns its scores and how long it took, compilation included."""
    import evenkeel as ek

    started = time.perf_counter()
    if side == SIDES[0]:
        model = book(rows)
        model.fit(
            *rows["train"],
            batch_size=BATCH,
            epochs=epochs,
            validation_data=rows["validation"],
            verbose=0,
        )
    else:
        recipe = getattr(ek.recipes, side)(*rows["train"], epochs=epochs, batch_size=BATCH)
        model = recipe.fit(*rows["train"], validation_data=rows["validation"], verbose=0)
    seconds = time.perf_counter() - started
    scores = {
        part: model.evaluate(*rows[part], verbose=0, return_dict=True)[metric]
        for part in ("validation", "test")
    }
    return {**scores, "seconds": seconds}


def compared(
    book: Callable[[Any], Any], rows: Mapping[str, Any], epochs: int, metric: str
) -> dict[str, dict[str, list[float]]]:
    """Trains every side with every seed, the sides taking turns."""
    import evenkeel as ek

    found: dict[str, dict[str, list[float]]] = {side: {} for side in SIDES}
    for seed in SEEDS:
        for side in SIDES:
            ek.set_random_seed(seed)
            for name, value in one_run(side, book, rows, epochs, metric).items():
                found[side].setdefault(name, []).append(value)
            print(f"{side}, seed {seed}: {found[side]['test'][-1]:.4g}", flush=True)
    return found


def activations(rows: Mapping[str, Any], epochs: int) -> dict[str, dict[str, list[float]]]:
    """Validation accuracy of each activation in each stack."""
    import evenkeel as ek

    x, y = (part[:ACTIVATION_ROWS] for part in rows["train"])
    found: dict[str, dict[str, list[float]]] = {}
    for label, hidden in STACKS.items():
        found[label] = {name: [] for name in ACTIVATIONS}
        for name in ACTIVATIONS:
            recipe = ek.recipes.default(
                x, y, hidden=hidden, activation=name, normalization=None, dropout=0.0, epochs=epochs
            )
            for seed in ACTIVATION_SEEDS:
                ek.set_random_seed(seed)
                model = recipe.fit(x, y, validation_data=rows["validation"], verbose=0)
                scores = model.evaluate(*rows["validation"], verbose=0, return_dict=True)
                found[label][name].append(scores["accuracy"])
            print(f"{label}, {name}: {statistics.mean(found[label][name]):.4f}", flush=True)
    return found


def _spread(values: Sequence[float], form: str, factor: float = 1.0) -> str:
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    return f"{factor * mean:{form}} ± {factor * deviation:{form}}"


def tables(record: Mapping[str, Any]) -> list[report.Table]:
    """What the record amounts to."""
    epochs, seeds = record["epochs"], len(SEEDS)
    made = []
    for key, name, form, factor in (
        ("fashion", "Fashion-MNIST, accuracy in %", ".2f", 100.0),
        ("houses", "California housing, RMSE in dollars", ",.0f", 1.0),
    ):
        if key in record:
            made.append(
                report.Table(
                    title=f"{name}, {epochs} epochs, mean ± deviation of {seeds} seeds",
                    headings=("configuration", "validation", "test", "worst test", "seconds"),
                    rows=[
                        (
                            side,
                            _spread(found["validation"], form, factor),
                            _spread(found["test"], form, factor),
                            f"{factor * (min if factor > 1 else max)(found['test']):{form}}",
                            f"{statistics.median(found['seconds']):.1f}",
                        )
                        for side, found in record[key].items()
                    ],
                )
            )
    if "activations" in record:
        made.append(_activation_table(record["activations"], epochs))
    return made


def _activation_table(found: Mapping[str, Any], epochs: int) -> report.Table:
    return report.Table(
        title=f"Activations, validation accuracy in %, {ACTIVATION_ROWS:,} rows, {epochs} epochs, "
        f"{len(ACTIVATION_SEEDS)} seeds",
        headings=("activation", *found),
        rows=[
            (name, *(_spread(scores[name], ".2f", 100) for scores in found.values()))
            for name in ACTIVATIONS
        ],
    )


def run(
    *,
    rounds: int,
    batch_sizes: Sequence[int],
    samples: int | None,
    peers: Sequence[str] | None,
    out: Path,
    houses: Path = HOUSES,
    epochs: int = 10,
    parts: Sequence[str] = PARTS,
) -> None:
    """Trains, prints the tables and writes the record, which keeps the parts not measured anew.

    Args:
        rounds: Not used: there is one run for each seed.
        batch_sizes: Not used: batches have 32 rows.
        samples: Not used: all rows are.
        peers: Not used.
        out: Where the record goes.
        houses: The file of California housing, which is left out where it is not at hand.
        epochs: The epochs of every training.
        parts: Which of the tables are measured.
    """
    del rounds, batch_sizes, samples, peers
    before = report.read(out) if out.is_file() else {}
    record: dict[str, Any] = {
        **{part: before[part] for part in PARTS if part in before and part not in parts},
        "claim": "recipes",
        "machine": report.machine(),
        "versions": {name: version(name) for name in ("evenkeel", "jax", "numpy")},
        "rounds": len(SEEDS),
        "epochs": epochs,
    }
    rows = fashion_rows()
    if "fashion" in parts:
        record["fashion"] = compared(book_of_fashion, rows, epochs, "accuracy")
        report.write(record, out)
    if "houses" in parts and houses.is_file():
        record["houses"] = compared(book_of_houses, house_rows(houses), epochs, "rmse")
        report.write(record, out)
    if "activations" in parts:
        record["activations"] = activations(rows, epochs)
        report.write(record, out)
    report.show(tables(record))
