"""Measures decision 0004: what telemetry costs, and that it leaves the weights bit-identical.

Run: python docs/decisions/telemetry_cost.py
"""

from __future__ import annotations

import statistics
import time

import numpy as np

import evenkeel as ek
from evenkeel.engine.telemetry import LEVELS, Level

ROWS, EPOCHS, ROUNDS = 32_000, 2, 5
UNITS = (300, 100)


def trained(level: Level, x: np.ndarray, y: np.ndarray) -> tuple[ek.Model, list[float]]:
    """Returns a network trained at a level, and the seconds of its later, warm runs."""
    ek.set_random_seed(1)
    hidden = [ek.layers.Dense(n, activation="elu", kernel_initializer="he_normal") for n in UNITS]
    model = ek.Sequential([ek.Input((784,)), *hidden, ek.layers.Dense(10, activation="softmax")])
    optimizer = ek.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", telemetry=level)
    model.fit(x, y, verbose=0)
    return model, []


def main() -> None:
    """Prints the time of each level over that of "off", and whether the weights are equal."""
    random = np.random.Generator(np.random.Philox(0))
    x = random.random((ROWS, 784), dtype=np.float32)
    y = random.integers(0, 10, ROWS)
    models = {level: trained(level, x, y) for level in LEVELS}
    for round_number in range(ROUNDS):
        for model, seconds in models.values():
            ek.set_random_seed(round_number)
            began = time.perf_counter()
            model.fit(x, y, epochs=EPOCHS, verbose=0)
            seconds.append(time.perf_counter() - began)
    off, base = models["off"]
    for level, (model, seconds) in models.items():
        ratios = [own / other for own, other in zip(seconds, base, strict=True)]
        pairs = zip(model.get_weights(), off.get_weights(), strict=True)
        equal = all(np.array_equal(ours, theirs) for ours, theirs in pairs)
        print(
            f"{level:8} time over off: median {statistics.median(ratios):.3f}, from "
            f"{min(ratios):.3f} to {max(ratios):.3f}; weights bit-identical: {equal}"
        )


if __name__ == "__main__":
    main()
