"""Overfitting: a network that learns its training rows by heart, and what keeps it from that.

Two thousand pictures, a fifth of them with a wrong label, as hasty labelling leaves them. The
finding comes from the curves of the sick run. What it says to type first, early stopping, is the
cure; the other remedies that it names are tried alone beside it, under the same seeds. Test labels
are right. Run it: python examples/overfitting.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pictures import load, options_of

import evenkeel as ek


def network(rate: float = 0.0, penalty: float = 0.0) -> ek.Sequential:
    """Returns two wide hidden layers, with an L2 penalty and a dropout, compiled."""
    l2 = ek.regularizers.L2(penalty) if penalty else None
    hidden = [ek.layers.Dense(300, activation="relu", kernel_regularizer=l2) for _ in range(2)]
    answer = ek.layers.Dense(10, activation="softmax")
    model = ek.Sequential([*hidden, ek.layers.Dropout(rate), answer])
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    """Prints the sick run, the finding, and what each remedy does to the test rows."""
    options = options_of(__doc__.splitlines()[0], rows=2000, epochs=30, seeds=3)
    (x, y), test = load(options.data)
    x, y = x[: options.rows], y[: options.rows].copy()
    random = np.random.default_rng(0)
    wrong = random.random(len(y)) < 0.2
    y[wrong] = random.integers(0, 10, wrong.sum())
    how: dict[str, Any] = {"epochs": options.epochs, "validation_split": 0.2, "verbose": 0}

    ek.set_random_seed(0)
    history = network().fit(x, y, **how)
    for epoch in range(0, options.epochs, max(1, options.epochs // 6)):
        losses = (history.history[name][epoch] for name in ("loss", "val_loss"))
        print("epoch {}: loss {:.3f}, val_loss {:.3f}".format(epoch + 1, *losses))
    print(f"\n{history.checkup}\n")

    choices = {"sick": {}, "cured": {}, "with L2": {"penalty": 1e-4}, "with dropout": {"rate": 0.2}}
    for name, changes in choices.items():
        scores = []
        for seed in range(options.seeds):
            ek.set_random_seed(seed)
            model = network(**changes)
            stopping = ek.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
            model.fit(x, y, callbacks=[stopping] if name == "cured" else [], **how)
            scores.append(model.evaluate(*test, verbose=0))
        (loss, accuracy), (spread, deviation) = np.mean(scores, axis=0), np.std(scores, axis=0)
        print(
            f"{name}: test loss {loss:.2f} ± {spread:.2f}, accuracy {accuracy:.1%} ± "
            f"{deviation:.1%}, {options.seeds} seeds"
        )


if __name__ == "__main__":
    main()
