"""The claim about dropout and Nadam: what random masks and a second moment add to a step.

Our own `fit` only, in one process: the job of `step` without dropout, with Dropout(0.2) before
every dense layer or before all but the first, and with Nadam, interleaved.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.job import EPOCHS_A_CALL, LEARNING_RATE, MOMENTUM, WIDTHS, Job, images_and_labels
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
        else ek.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM, nesterov=True),
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
    jobs = [Job(batch_size=size, samples=samples or default_samples(size)) for size in batch_sizes]
    table = Table(title=f"A step with dropout or Nadam, median of {rounds} interleaved rounds")
    for heading in ("batch", "side", "µs/step", "× base", "quartiles", "goal"):
        table.add_column(heading, justify="left" if heading == "side" else "right")
    record: dict[str, Any] = {}
    for job in jobs:
        sides = {name: prepared(job, name) for name in SIDES}
        times: dict[str, list[float]] = {name: [] for name in SIDES}
        for number in range(rounds):
            # The one after whom a run comes matters on a small machine: the order turns round.
            for name in SIDES if number % 2 else reversed(SIDES):
                times[name].append(sides[name]())
        found = record[str(job.batch_size)] = {}
        for name, taken in times.items():
            ratio = report.summary([a / b for a, b in zip(taken, times[BASE], strict=True)])
            goal = GOALS.get(name)
            met = None if goal is None else ratio["median"] <= goal
            found[name] = {"microseconds_per_step": taken, "ratio": ratio, "goal": goal, "met": met}
            table.add_row(
                str(job.batch_size),
                name,
                f"{statistics.median(taken):.0f}",
                f"{ratio['median']:.3f}",
                f"{ratio['lower_quartile']:.3f}-{ratio['upper_quartile']:.3f}",
                "" if goal is None else f"P4 ≤ {goal}: {'met' if met else 'missed'}",
            )
        table.add_section()
    report.write({"claim": "dropout", "machine": report.machine(), "sides": record}, out)
    console = Console()
    # A pipe has no width of its own, and a narrow guess would fold every cell.
    (console if console.is_terminal else Console(width=120)).print(table)
