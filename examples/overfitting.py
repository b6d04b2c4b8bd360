"""Overfitting: a network that learns its training rows by heart, and what keeps it from that.

A wide network on two thousand pictures. The finding comes from the curves of the sick run; each
remedy that it names is then tried alone, under several seeds, on validation rows, and the best one
is shown on the test rows. Run it: python examples/overfitting.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pictures import load, options_of

import evenkeel as ek


def network(rate: float = 0.0, penalty: float = 0.0) -> ek.Sequential:
    """Returns two wide hidden layers, with dropout at the rate and an L2 penalty, compiled."""
    layers: list[ek.Layer] = []
    for _ in range(2):
        l2 = ek.regularizers.L2(penalty) if penalty else None
        layers += [
            ek.layers.Dense(
                300, activation="relu", kernel_initializer="he_normal", kernel_regularizer=l2
            ),
            ek.layers.Dropout(rate),
        ]
    model = ek.Sequential([*layers, ek.layers.Dense(10, activation="softmax")])
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def scores(rows: tuple[Any, Any], held_out: tuple[Any, Any], options: Any, **how: Any) -> str:
    """Trains under each seed; returns mean and deviation of the held-out loss and accuracy."""
    stops = how.pop("stops", False)
    found = []
    for seed in range(options.seeds):
        ek.set_random_seed(seed)
        model = network(**how)
        stopping = ek.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
        model.fit(
            *rows,
            epochs=options.epochs,
            validation_split=0.2,
            callbacks=[stopping] if stops else [],
            doctor=None,
            verbose=0,
        )
        found.append(model.evaluate(*held_out, verbose=0))
    (loss, accuracy), (spread, deviation) = np.mean(found, axis=0), np.std(found, axis=0)
    return f"loss {loss:.3f} ± {spread:.3f}, accuracy {accuracy:.1%} ± {deviation:.1%}"


def main() -> None:
    """Prints the sick run, the finding, and what each remedy does to the test rows."""
    options = options_of(__doc__.splitlines()[0], rows=2000, epochs=40, seeds=3)
    (x, y), test = load(options.data)
    rows = x[: options.rows], y[: options.rows]

    ek.set_random_seed(0)
    history = network().fit(*rows, epochs=options.epochs, validation_split=0.2, verbose=0)
    for epoch in range(0, options.epochs, max(1, options.epochs // 5)):
        losses = (history.history[name][epoch] for name in ("loss", "val_loss"))
        print("epoch {}: loss {:.3f}, val_loss {:.3f}".format(epoch + 1, *losses))
    print(f"\n{history.checkup}\n")

    choices: dict[str, dict[str, Any]] = {
        "as it was": {},
        "early stopping": {"stops": True},
        "L2": {"penalty": 1e-4},
        "dropout": {"rate": 0.2},
        "L2 1e-3": {"penalty": 1e-3},
        "dropout .5": {"rate": 0.5},
        "stop, dropout": {"rate": 0.5, "stops": True},
    }
    for name, how in choices.items():
        print(f"{name}: test {scores(rows, test, options, **how)}")


if __name__ == "__main__":
    main()
