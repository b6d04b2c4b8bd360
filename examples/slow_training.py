"""Slow training: a rate at which a run ends before it has begun, and the rate that a sweep finds.

The doctor, which looks on, says so from how little the weights have moved; `ek.find_learning_rate`
is what it says to type. Both runs have the same seeds and number of steps.
Run it: python examples/slow_training.py
"""

from __future__ import annotations

import numpy as np
from pictures import load, options_of

import evenkeel as ek

SICK = 1e-5


def network(learning_rate: float) -> ek.Sequential:
    """Returns 300-100-10, compiled with SGD at the rate."""
    layers = [
        ek.layers.Dense(300, activation="relu", kernel_initializer="he_normal"),
        ek.layers.Dense(100, activation="relu", kernel_initializer="he_normal"),
        ek.layers.Dense(10, activation="softmax"),
    ]
    model = ek.Sequential(layers)
    optimizer = ek.optimizers.SGD(learning_rate)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    """Prints the sick run, the finding, the rate, and the test accuracy before and after."""
    options = options_of(__doc__.splitlines()[0], rows=20_000, epochs=8, seeds=3)
    (x, y), (x_test, y_test) = load(options.data)
    x, y = x[: options.rows], y[: options.rows]

    ek.set_random_seed(0)
    model = network(SICK)
    history = model.fit(x, y, epochs=options.epochs, verbose=0)
    for epoch in range(0, options.epochs, max(1, options.epochs // 4)):
        print(f"epoch {epoch + 1}: loss {history.history['loss'][epoch]:.3f}")
    print(f"\n{history.checkup}\n")
    search = ek.find_learning_rate(network(SICK), x, y)
    print(f"{search.sentence}\n")
    if search.suggestion is None:
        return

    for name, rate in (("sick", SICK), ("cured", search.suggestion)):
        accuracies = []
        for seed in range(options.seeds):
            ek.set_random_seed(seed)
            model = network(rate)
            model.fit(x, y, epochs=options.epochs, verbose=0)
            scores = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
            accuracies.append(scores["accuracy"])
        print(
            f"{name}: test accuracy {np.mean(accuracies):.1%} ± {np.std(accuracies):.1%} after "
            f"{options.epochs} epochs at the rate {rate:.3g}, {options.seeds} seeds"
        )


if __name__ == "__main__":
    main()
