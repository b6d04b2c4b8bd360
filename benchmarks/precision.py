"""The precision policy: what shorter products cost in accuracy, and what they bring in time.

Three tables. How far a product is off, which also shows what JAX does where nobody asks; the test
accuracy of two networks over several seeds; the time of a step beside that of float32. Everything
runs in one process, and the policies take turns. Accuracy is that on Fashion-MNIST, or on
digits where it is not at hand, as on a machine without a network.
"""

import functools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.job import EPOCHS_A_CALL

NETWORKS = {"the book's": (300, 100), "wider": (1024, 1024)}
EPOCHS, ACCURACY_BATCH_SIZE = 5, 128
VALIDATION_FRACTION = 0.1
# Long enough for a stretch of steps to count, short enough for many rounds.
STEPS_A_CALL = 256
INNER = 1024


def policies() -> list[str]:
    """The policies that differ on this device, float32 first."""
    import jax

    from evenkeel.precision import PRECISIONS

    is_gpu = jax.default_backend() == "gpu"
    return [name for name in PRECISIONS if is_gpu or name != "tensorfloat32"]


def errors_of_products() -> dict[str, float]:
    """The relative error, root mean square, of a product under each policy and JAX's default."""
    import jax
    import jax.numpy as jnp

    from evenkeel.precision import product

    random = np.random.default_rng(0)
    left, right = (random.standard_normal((512, INNER)), random.standard_normal((INNER, 512)))
    exact = left.astype(np.float32).astype(np.float64) @ right.astype(np.float32)
    acts: dict[str, Callable[[Any, Any], Any]] = {
        name: functools.partial(product, precision=name) for name in policies()
    }
    acts["where nobody asks (JAX's default)"] = jnp.matmul
    found = {}
    for name, act in acts.items():
        out = jax.jit(act)(left.astype(np.float32), right.astype(np.float32))
        wrong = np.asarray(out, np.float64) - exact
        found[name] = float(np.sqrt((wrong**2).mean() / (exact**2).mean()))
    return found


def data_at_hand() -> tuple[str, Any]:
    """Returns the name and the rows of the data set that accuracy is judged on."""
    from evenkeel.datasets.registry import entries, load

    names = {entry.name for entry in entries() if entry.is_at_hand()}
    name = "fashion-mnist" if "fashion-mnist" in names else "digits"
    return name, load(name)


def model_of(hidden: Sequence[int], shape: Sequence[int], scale: float, precision: str) -> Any:
    """Builds and compiles a network on inputs of this shape, which are divided by `scale`."""
    import evenkeel as ek

    stack = [ek.Input(tuple(shape)), ek.layers.Rescaling(1 / scale), ek.layers.Flatten()]
    stack += [
        ek.layers.Dense(units, activation="relu", kernel_initializer="he_normal")
        for units in hidden
    ]
    model = ek.Sequential([*stack, ek.layers.Dense(10, activation="softmax")])
    model.compile(
        ek.optimizers.SGD(0.01, 0.9, nesterov=True),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        precision=precision,
    )
    return model


def accuracies(hidden: Sequence[int], data: Any, seeds: int) -> dict[str, dict[str, list[float]]]:
    """Returns validation and test accuracies by policy, one for each seed.

    A seed gives all policies the same initial weights and the same order of rows.
    """
    import evenkeel as ek

    scale = float(data.x_train.max())
    found: dict[str, dict[str, list[float]]] = {
        name: {"validation": [], "test": []} for name in policies()
    }
    order = np.random.default_rng(0).permutation(len(data.x_train))
    x, y = data.x_train[order], data.y_train[order]
    for seed in range(seeds):
        for name, lists in found.items():
            ek.utils.set_random_seed(seed)
            model = model_of(hidden, x.shape[1:], scale, name)
            history = model.fit(
                x,
                y,
                batch_size=ACCURACY_BATCH_SIZE,
                epochs=EPOCHS,
                validation_split=VALIDATION_FRACTION,
                verbose=0,
            )
            lists["validation"].append(history.history["val_accuracy"][-1])
            lists["test"].append(model.evaluate(data.x_test, data.y_test, verbose=0)[1])
    return found


def step_times(hidden: Sequence[int], batch_size: int, rounds: int) -> dict[str, list[float]]:
    """Returns microseconds per step by policy, one for each round, on uint8 images."""
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (STEPS_A_CALL * batch_size, 28, 28), np.uint8)
    y = random.integers(0, 10, len(x), np.int32)
    fits = {}
    for name in policies():
        model = model_of(hidden, x.shape[1:], 255.0, name)
        fits[name] = functools.partial(model.fit, x, y, batch_size=batch_size, verbose=0)
        fits[name](epochs=2)
    found: dict[str, list[float]] = {name: [] for name in fits}
    for _ in range(rounds):
        for name, fit in fits.items():
            start = time.perf_counter()
            fit(epochs=EPOCHS_A_CALL)
            seconds = time.perf_counter() - start
            found[name].append(1e6 * seconds / (EPOCHS_A_CALL * STEPS_A_CALL))
    return found


def run(
    *,
    rounds: int,
    batch_sizes: Sequence[int],
    samples: int | None,
    peers: Sequence[str] | None,
    out: Path,
) -> None:
    """Measures, prints the tables and writes the record.

    Args:
        rounds: Seeds of the accuracies, and rounds of the times.
        batch_sizes: Of the times.
        samples: Training rows of the accuracies; None takes all.
        peers: Must be None: there are none here.
        out: Where the record goes.

    Raises:
        ValueError: If peers are named.
    """
    import dataclasses

    import jax

    if peers is not None:
        raise ValueError("it compares our own policies.\nLeave --peers out.")
    machine, console = report.machine(), Console()
    console = console if console.is_terminal else Console(width=110)
    errors = errors_of_products()
    table = Table(title=f"Relative error of a product, {INNER} terms a sum")
    table.add_column("policy")
    table.add_column("error", justify="right")
    for name, error in errors.items():
        table.add_row(name, f"{error:.1e}")
    console.print(table)

    data_name, data = data_at_hand()
    if samples is not None:
        data = dataclasses.replace(
            data, x_train=data.x_train[:samples], y_train=data.y_train[:samples]
        )
    table = Table(title=f"Accuracy on {data_name} after {EPOCHS} epochs, {rounds} seeds")
    for heading in ("network", "policy", "validation", "test", "test, same seed: minus float32"):
        table.add_column(heading, justify="left" if heading in ("network", "policy") else "right")
    accuracy = {}
    for network, hidden in NETWORKS.items():
        accuracy[network] = found = accuracies(hidden, data, rounds)
        for name, lists in found.items():
            differences = np.subtract(lists["test"], found["float32"]["test"])
            table.add_row(network, name, *map(_spread, (*lists.values(), differences.tolist())))
    console.print(table)

    table = Table(title=f"Step on {jax.devices()[0].device_kind}, median of {rounds} rounds")
    for heading in ("network", "batch", "policy", "µs", "× float32"):
        table.add_column(heading, justify="left" if heading in ("network", "policy") else "right")
    times: dict[str, Any] = {}
    for network, hidden in NETWORKS.items():
        for batch_size in batch_sizes:
            found = step_times(hidden, batch_size, rounds)
            times[f"{network}, batch {batch_size}"] = found
            full = statistics.median(found["float32"])
            for name, values in found.items():
                middle = statistics.median(values)
                row = (f"{middle:.0f}", f"{middle / full:.2f}")
                table.add_row(network, str(batch_size), name, *row)
    console.print(table)
    report.write(
        {
            "claim": "precision",
            "rounds": rounds,
            "machine": machine,
            "device": jax.devices()[0].device_kind,
            "versions": {"jax": jax.__version__, "numpy": np.__version__},
            "networks": NETWORKS,
            "errors_of_products": errors,
            "accuracy": {
                "data": data_name,
                "rows": len(data.x_train),
                "epochs": EPOCHS,
                "batch_size": ACCURACY_BATCH_SIZE,
                "found": accuracy,
            },
            "microseconds_per_step": times,
        },
        out,
    )


def _spread(values: Sequence[float]) -> str:
    """Mean and standard deviation over the seeds, in per cent."""
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return f"{100 * statistics.mean(values):.2f} ± {100 * deviation:.2f}"
