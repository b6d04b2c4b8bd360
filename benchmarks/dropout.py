"""The claim about dropout and Nadam: what random masks and a second moment add to a step.

Our own `fit` only, in one process: the job of `step` without dropout, with Dropout(0.2) before
every dense layer or before all but the first, and with Nadam, interleaved.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.job import EPOCHS_A_CALL, MOMENTUM, WIDTHS, Job, images_and_labels
from benchmarks.step import default_samples

RATE = 0.2
BASE = "momentum, no dropout"
SIDES = {
    BASE: (None, "momentum"),
    "dropout in hidden layers": (1, "momentum"),
    "dropout before every layer": (0, "momentum"),
    "Nadam, no dropout": (None, "nadam"),
}
"""By name: the first dense layer that has dropout before it, and the optimizer."""

GOALS = {
    "dropout in hidden layers": 1.1,
    "dropout before every layer": 1.1,
    "Nadam, no dropout": 1.2,
}
"""P4: at most so many times the step of the base."""


def _network(first: int | None, optimizer: str) -> Any:
    import evenkeel as ek

    layers: list[Any] = [ek.layers.Flatten(input_shape=[28, 28])]
    for number, units in enumerate(WIDTHS[1:]):
        if first is not None and number >= first:
            layers.append(ek.layers.Dropout(RATE))
        last = number == len(WIDTHS) - 2
        layers.append(ek.layers.Dense(units, activation="softmax" if last else "elu"))
    model = ek.Sequential(layers)
    model.compile(
        ek.optimizers.Nadam()
        if optimizer == "nadam"
        else ek.optimizers.SGD(0.01, momentum=MOMENTUM, nesterov=True),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def prepared(job: Job, name: str) -> Callable[[], float]:
    """Returns a function that trains some epochs and returns microseconds per step.

    The first call, which compiles, is made here.
    """
    import evenkeel as ek

    ek.set_random_seed(job.seed)
    model = _network(*SIDES[name])
    images, labels = images_and_labels(job)

    def train(epochs: int) -> float:
        start = time.perf_counter()
        model.fit(images, labels, batch_size=job.batch_size, epochs=epochs, verbose=0)
        return 1e6 * (time.perf_counter() - start) / (epochs * job.steps)

    train(1)
    return lambda: train(EPOCHS_A_CALL)


def run(
    *,
    rounds: int,
    batch_sizes: Sequence[int],
    samples: int | None,
    peers: Sequence[str] | None,
    out: Path,
) -> None:
    """Measures, prints the table and writes the record.

    Args:
        rounds: Interleaved rounds.
        batch_sizes: One section of the table each.
        samples: Rows per epoch; None chooses by batch size.
        peers: Must be None: there are none here.
        out: Where the record goes.

    Raises:
        ValueError: If peers are named.
    """
    if peers is not None:
        raise ValueError("it compares our own steps.\nLeave --peers out.")
    import jax

    machine = report.machine()
    sections: dict[str, Any] = {}
    for size in batch_sizes:
        job = Job(batch_size=size, samples=samples or default_samples(size))
        sides = {name: prepared(job, name) for name in SIDES}
        times: dict[str, list[float]] = {name: [] for name in SIDES}
        for number in range(rounds):
            # The one after whom a run comes matters on a small machine: the order turns round.
            for name in SIDES if number % 2 else reversed(SIDES):
                times[name].append(sides[name]())
        sections[str(size)] = {
            name: {
                "microseconds_per_step": taken,
                "ratio": report.summary([a / b for a, b in zip(taken, times[BASE], strict=True)]),
            }
            for name, taken in times.items()
        }
    record = {
        "claim": "dropout",
        "rounds": rounds,
        "machine": machine,
        "versions": {"jax": jax.__version__},
        "batch_sizes": sections,
    }
    report.write(record, out)
    report.show(tables(record))


def tables(record: Mapping[str, Any]) -> list[report.Table]:
    """The table of a record."""
    rows = []
    for size, sides in record["batch_sizes"].items():
        for name, found in sides.items():
            ratio, goal = found["ratio"], GOALS.get(name)
            verdict = "" if goal is None else "met" if ratio["median"] <= goal else "missed"
            rows.append(
                [
                    f"batch {size}, {name}",
                    f"{report.summary(found['microseconds_per_step'])['median']:.0f}",
                    f"{ratio['median']:.3f}",
                    f"{ratio['lower_quartile']:.3f}-{ratio['upper_quartile']:.3f}",
                    "" if goal is None else f"≤ {goal}: {verdict}",
                ]
            )
    headings = ["step", "µs", "× the one without", "quartiles", "P4"]
    return [report.Table(title="A step with dropout, or with Nadam", headings=headings, rows=rows)]
