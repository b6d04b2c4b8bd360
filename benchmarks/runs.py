"""What `evenkeel train` reaches: test accuracy of the default settings, over seeds.

The settings were chosen on validation rows; every run looks at its test rows once, at its end.
"""

import dataclasses
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import report

EPOCHS = {"digits": 50, "fashion-mnist": 10}
SEEDS = range(5)


def accuracies(name: str, epochs: int) -> dict[str, list[float]]:
    """Trains with every seed; returns validation and test accuracies, and epochs run."""
    from evenkeel import datasets, runs
    from evenkeel.settings import Settings

    data = datasets.load(name)
    found: dict[str, list[float]] = {"validation": [], "test": [], "epochs": []}
    for seed in SEEDS:
        settings = dataclasses.replace(Settings(), epochs=epochs, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            result = runs.train(data, settings, Path(folder), source=name, verbose=0)
        found["validation"].append(runs.best_epoch(result.history)["accuracy"])
        found["test"].append(result.test["accuracy"])
        found["epochs"].append(len(result.history.epoch))
    return found


def run(
    *,
    rounds: int,
    batch_sizes: Sequence[int],
    samples: int | None,
    peers: Sequence[str] | None,
    out: Path,
) -> None:
    """Trains, prints the table and writes the record; the options of other claims do not apply.

    Args:
        rounds: Not used: there is one run for each seed.
        batch_sizes: Not used: the default settings have one.
        samples: Not used: all rows are.
        peers: Not used.
        out: Where the record goes.
    """
    del rounds, batch_sizes, samples, peers
    table = Table(title=f"Accuracy of the default settings, mean ± spread of {len(SEEDS)} seeds")
    for heading in ("data", "epochs at most", "validation", "test", "lowest test"):
        table.add_column(heading)
    record = {}
    for name, epochs in EPOCHS.items():
        found = record[name] = accuracies(name, epochs)
        spread = {k: (statistics.mean(v), statistics.stdev(v)) for k, v in found.items()}
        table.add_row(
            name,
            str(epochs),
            *("{:.4f} ± {:.4f}".format(*spread[part]) for part in ("validation", "test")),
            f"{min(found['test']):.4f}",
        )
    report.write({"claim": "runs", "machine": report.machine(), "accuracy": record}, out)
    Console().print(table)
