"""What a small convolutional network gains from another one's layers, with few labels.

Network A learns eight classes of Fashion-MNIST, all but T-shirts and shirts, the pair that is
hardest to tell apart. The task is T-shirt against shirt with 80 labels, of which 20 are the
validation set. From scratch, or with A's two convolutions and its hidden layer by
`ek.transfer.fine_tune`: the same rows, the same budget of epochs, five seeds that draw everything
anew. Stages and epochs are chosen on validation rows; the 2,000 test rows are looked at once. Run
it: python examples/transfer_convolutional.py
"""

from __future__ import annotations

import argparse

import numpy as np

import evenkeel as ek

NEW = (0, 6)  # T-shirt, shirt
VALIDATION = 20
PATIENCE, BATCH = 10, 20

Rows = tuple[np.ndarray, np.ndarray]


def both_tasks() -> tuple[Rows, Rows, Rows]:
    """Returns the rows of the eight classes, and training and test rows of the other two."""
    (x, y), (x_test, y_test) = ek.datasets.fashion_mnist.load_data()
    x, x_test = x[..., None], x_test[..., None]
    is_new, is_new_test = np.isin(y, NEW), np.isin(y_test, NEW)
    eight = np.searchsorted(np.setdiff1d(np.arange(10), NEW), y[~is_new])
    pairs = [(x[is_new], y[is_new] == NEW[1]), (x_test[is_new_test], y_test[is_new_test] == NEW[1])]
    (x_new, y_new), (x_held, y_held) = [(x, y.astype(np.int32)) for x, y in pairs]
    return (x[~is_new], eight.astype(np.int32)), (x_new, y_new), (x_held, y_held)


def network_a() -> ek.Sequential:
    """Builds the network of the first task."""
    model = ek.Sequential(
        [
            ek.layers.Rescaling(1 / 255, input_shape=(28, 28, 1)),
            ek.layers.Conv2D(16, 3, activation="relu", kernel_initializer="he_normal"),
            ek.layers.MaxPooling2D(),
            ek.layers.Conv2D(32, 3, activation="relu", kernel_initializer="he_normal"),
            ek.layers.MaxPooling2D(),
            ek.layers.Flatten(),
            ek.layers.Dense(64, "relu", kernel_initializer="he_normal"),
            ek.layers.Dense(8, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def accuracy(model: ek.Model, rows: Rows) -> float:
    """Returns the fraction of rows that a network gets right."""
    return float(np.mean((model.predict(rows[0])[:, 0] > 0.5) == rows[1]))


def from_scratch(a: ek.Sequential, train: Rows, valid: Rows, epochs: int) -> ek.Model:
    """Trains A's architecture from fresh weights."""
    model = ek.transfer.reuse(a, ek.layers.Dense(1, "sigmoid"), keep=0, replace=True)
    model.compile("adam", "binary_crossentropy")
    stopping = ek.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)
    settings = {"batch_size": BATCH, "callbacks": [stopping], "verbose": 0}
    model.fit(*train, epochs=epochs, validation_data=valid, **settings)
    return model


def by_the_loop(a: ek.Sequential, train: Rows, valid: Rows, epochs: int) -> ek.transfer.FineTuning:
    """Reuses all hidden layers: frozen first, then unfrozen one at a time from the top."""
    model = ek.transfer.reuse(a, ek.layers.Dense(1, "sigmoid"))
    model.compile("adam", "binary_crossentropy")
    return ek.transfer.fine_tune(
        model,
        *train,
        validation_data=valid,
        epochs=epochs // 2,
        total_epochs=epochs,
        patience=PATIENCE,
        batch_size=BATCH,
        verbose=0,
    )


def main() -> None:
    """Runs all seeds and prints the test accuracies and one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60, help="the budget on the new task")
    parser.add_argument("--source-epochs", type=int, default=2)
    parser.add_argument("--labels", type=int, default=80)
    options = parser.parse_args()
    first, new, test = both_tasks()
    found: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        ek.set_random_seed(seed)
        a = network_a()
        a.fit(*first, epochs=options.source_epochs, batch_size=64, verbose=0)
        drawn = np.random.Generator(np.random.Philox(seed)).permutation(len(new[1]))
        x, y = new[0][drawn[: options.labels]], new[1][drawn[: options.labels]]
        train, valid = (x[VALIDATION:], y[VALIDATION:]), (x[:VALIDATION], y[:VALIDATION])
        tuning = by_the_loop(a, train, valid, options.epochs)
        if seed == 0:
            print(f"The stages of seed 0, on validation rows:\n{tuning}\n", flush=True)
        scratch = from_scratch(a, train, valid, options.epochs)
        for name, model in (("from scratch", scratch), ("reuse, the loop", tuning.model)):
            found.setdefault(name, []).append(accuracy(model, test))
        line = "  ".join(f"{name} {values[-1]:.4f}" for name, values in found.items())
        print(f"seed {seed}: {line}", flush=True)
    print(f"\nTest accuracy, {options.labels} labels, mean ± standard deviation:")
    for name, values in found.items():
        print(f"{name:28}{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}")
    gain = np.subtract(found["reuse, the loop"], found["from scratch"])
    print(f"reuse minus scratch, paired {np.mean(gain):+.4f} ± {np.std(gain, ddof=1):.4f}")


if __name__ == "__main__":
    main()
