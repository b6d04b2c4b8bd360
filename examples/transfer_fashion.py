"""Does a small dense network gain from another one's layers? The book's task, told as it came out.

Network A learns eight classes of Fashion-MNIST, all but T-shirts and pullovers: five hidden layers
of SELU, 300-100-50-50-50. The task is T-shirt against pullover with 200 labels, of which 50 are the
validation set. Three ways, of the same budget of epochs, with five seeds that draw everything anew:
training from scratch; all hidden layers of A, by `ek.transfer.fine_tune`; and what
`ek.transfer.search` recommends, which splits the same 200 rows in its own way. Epochs, stages and
candidates are chosen on validation rows; the 2,000 test rows are looked at once, at the end of each
way. Run it: python examples/transfer_fashion.py

It printed, on a CPU:

    Test accuracy, 200 labels, mean ± standard deviation of 5 seeds:
    from scratch                0.9465 ± 0.0100
    the loop, all layers        0.9487 ± 0.0056
    what the search recommends  0.9492 ± 0.0026
    loop minus scratch, paired  +0.0022 ± 0.0131
    recommended: {'from scratch': 5}

No gain that is more than chance, and the search says so in all five seeds, "not worth it": as the
notes remark, reuse rarely helps small dense networks.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

import evenkeel as ek

LABELS, VALIDATION = 200, 50
PATIENCE, BATCH = 20, 25
NEW = (0, 2)  # T-shirt, pullover

Rows = tuple[np.ndarray, np.ndarray]


def both_tasks() -> tuple[Rows, Rows, Rows]:
    """Returns the rows of the eight classes, and training and test rows of the other two."""
    (x, y), (x_test, y_test) = ek.datasets.fashion_mnist.load_data()
    is_new, is_new_test = np.isin(y, NEW), np.isin(y_test, NEW)
    eight = np.searchsorted(np.setdiff1d(np.arange(10), NEW), y[~is_new])
    pairs = [(x[is_new], y[is_new] == NEW[1]), (x_test[is_new_test], y_test[is_new_test] == NEW[1])]
    (x_new, y_new), (x_held, y_held) = [(x, y.astype(np.int32)) for x, y in pairs]
    return (x[~is_new], eight.astype(np.int32)), (x_new, y_new), (x_held, y_held)


def network_a() -> ek.Sequential:
    """Builds the network of the first task."""
    hidden = [
        ek.layers.Dense(units, "selu", kernel_initializer="lecun_normal")
        for units in (300, 100, 50, 50, 50)
    ]
    first = [ek.layers.Flatten(input_shape=[28, 28]), ek.layers.Rescaling(1 / 255)]
    model = ek.Sequential([*first, *hidden, ek.layers.Dense(8, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def accuracy(model: ek.Model, rows: Rows) -> float:
    """Returns the fraction of rows that a network gets right."""
    return float(np.mean((model.predict(rows[0])[:, 0] > 0.5) == rows[1]))


def head() -> ek.Layer:
    """Returns a fresh output layer for the new task."""
    return ek.layers.Dense(1, "sigmoid")


def from_scratch(a: ek.Sequential, train: Rows, valid: Rows, epochs: int) -> ek.Model:
    """Trains A's architecture from fresh weights."""
    model = ek.transfer.reuse(a, head(), keep=0, replace=True)
    model.compile("adam", "binary_crossentropy")
    stopping = ek.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)
    settings = {"batch_size": BATCH, "callbacks": [stopping], "verbose": 0}
    model.fit(*train, epochs=epochs, validation_data=valid, **settings)
    return model


def by_the_loop(a: ek.Sequential, train: Rows, valid: Rows, epochs: int) -> ek.Model:
    """Reuses all hidden layers: frozen first, then unfrozen two at a time from the top."""
    model = ek.transfer.reuse(a, head())
    model.compile("adam", "binary_crossentropy")
    ek.transfer.fine_tune(
        model,
        *train,
        validation_data=valid,
        unfreeze=2,
        epochs=epochs // 2,
        total_epochs=epochs,
        patience=PATIENCE,
        batch_size=BATCH,
        verbose=0,
    )
    return model


def by_search(a: ek.Sequential, rows: Rows, epochs: int) -> ek.transfer.Search:
    """Tries which layers to keep, with three splits of the rows."""
    return ek.transfer.search(
        a,
        *rows,
        head=head(),
        loss="binary_crossentropy",
        validation_split=VALIDATION / LABELS,
        keep=(3, 5),
        unfreeze=None,
        seeds=3,
        epochs=epochs,
        patience=PATIENCE,
        batch_size=BATCH,
        verbose=0,
    )


def main() -> None:
    """Runs all seeds and prints the test accuracies, one table, and what was recommended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=200, help="the budget on the new task")
    parser.add_argument("--source-epochs", type=int, default=5)
    options = parser.parse_args()
    first, new, test = both_tasks()
    found: dict[str, list[float]] = {}
    recommended: Counter[str] = Counter()
    for seed in range(options.seeds):
        ek.set_random_seed(seed)
        a = network_a()
        a.fit(*first, epochs=options.source_epochs, verbose=0)
        drawn = np.random.Generator(np.random.Philox(seed)).permutation(len(new[1]))[:LABELS]
        x, y = new[0][drawn], new[1][drawn]
        train, valid = (x[VALIDATION:], y[VALIDATION:]), (x[:VALIDATION], y[:VALIDATION])
        search = by_search(a, (x, y), options.epochs)
        recommended[search.recommended.name] += 1
        if seed == 0:
            print(f"The search of seed 0, on validation rows:\n{search}\n", flush=True)
        models = {
            "from scratch": from_scratch(a, train, valid, options.epochs),
            "the loop, all layers": by_the_loop(a, train, valid, options.epochs),
            "what the search recommends": search.model,
        }
        for name, model in models.items():
            found.setdefault(name, []).append(accuracy(model, test))
        line = "  ".join(f"{name} {values[-1]:.4f}" for name, values in found.items())
        print(f"seed {seed}: {line}  ({search.recommended.name})", flush=True)
    print(f"\nTest accuracy, {LABELS} labels, mean ± standard deviation of {options.seeds} seeds:")
    for name, values in found.items():
        print(f"{name:28}{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}")
    loop = np.subtract(found["the loop, all layers"], found["from scratch"])
    print(f"loop minus scratch, paired  {np.mean(loop):+.4f} ± {np.std(loop, ddof=1):.4f}")
    print(f"recommended: {dict(recommended)}")


if __name__ == "__main__":
    main()
