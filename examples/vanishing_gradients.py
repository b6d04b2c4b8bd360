"""Vanishing gradients: twenty layers of sigmoid that stay at chance, and what is done about it.

The sick network is trained, and the doctor, which looks on, says what is wrong. `ek.repair` tries
what it prescribes, in short runs under several seeds, and keeps what is better on held-out rows.
Then the network with what stayed is trained as long as the sick one was, under several seeds.
Run it: python examples/vanishing_gradients.py
"""

from __future__ import annotations

import numpy as np
from pictures import load, options_of

import evenkeel as ek


def network(layers: int, **of_hidden: str) -> ek.Sequential:
    """Returns so many hidden layers of 100 units and an output layer, compiled."""
    hidden = [ek.layers.Dense(100, **of_hidden) for _ in range(layers)]
    model = ek.Sequential([*hidden, ek.layers.Dense(10, activation="softmax")])
    optimizer = ek.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    """Prints the finding, the treatment, and the test accuracy before and after."""
    options = options_of(__doc__.splitlines()[0], layers=20, epochs=5, budget=20_000, seeds=3)
    (x, y), (x_test, y_test) = load(options.data)
    sick = {"activation": "sigmoid"}
    cured = {"activation": "relu", "kernel_initializer": "he_normal"}  # as it says to type

    ek.set_random_seed(0)
    model = network(options.layers, **sick)
    history = model.fit(x, y, epochs=1, verbose=0)
    print(history.checkup)
    treatment = ek.repair(model, x, y, findings=history.checkup, budget=options.budget)
    print(f"\n{treatment}\n")

    for name, of_hidden in (("sick", sick), ("cured", cured)):
        accuracies = []
        for seed in range(options.seeds):
            ek.set_random_seed(seed)
            model = network(options.layers, **of_hidden)
            model.fit(x, y, epochs=options.epochs, verbose=0)
            scores = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
            accuracies.append(scores["accuracy"])
        print(
            f"{name}: test accuracy {np.mean(accuracies):.1%} ± {np.std(accuracies):.1%} after "
            f"{options.epochs} epochs, {options.seeds} seeds"
        )


if __name__ == "__main__":
    main()
