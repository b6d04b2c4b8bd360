"""A hundred hidden layers, by SELU and by ReLU: does a deep stack start to learn at all?

The book's network: 100 hidden layers of 100 units, standardized pixels, plain SGD at rate 0.001,
batches of 32, five epochs on Fashion-MNIST. SELU with LeCun normal kernels normalizes itself;
ReLU with He normal kernels is the usual alternative. The last 5,000 training images are the
validation set. Run it: python examples/hundred_layers.py
"""

from __future__ import annotations

import argparse

import numpy as np

import evenkeel as ek

CHOICES = {"SELU, LeCun": ("selu", "lecun_normal"), "ReLU, He": ("relu", "he_normal")}


def standardized() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Returns training and validation rows, each pixel at mean 0 and variance 1 in training."""
    (x, y), _ = ek.datasets.fashion_mnist.load_data()
    x = x.astype(np.float32) / 255
    train, held_out = x[:-5000], x[-5000:]
    mean, std = train.mean(axis=0), train.std(axis=0)
    std = np.where(std > 0, std, 1)
    return ((train - mean) / std, y[:-5000]), ((held_out - mean) / std, y[-5000:])


def network(activation: str, kernel_initializer: str, layers: int) -> ek.Sequential:
    """Builds and compiles the stack."""
    model = ek.Sequential([ek.layers.Flatten(input_shape=[28, 28])])
    for _ in range(layers):
        model.add(
            ek.layers.Dense(100, activation=activation, kernel_initializer=kernel_initializer)
        )
    model.add(ek.layers.Dense(10, activation="softmax"))
    model.compile(
        optimizer=ek.optimizers.SGD(learning_rate=0.001),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def main() -> None:
    """Trains every choice with every seed and prints the validation accuracy of each epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    train, held_out = standardized()
    for name, (activation, kernel_initializer) in CHOICES.items():
        best = []
        for seed in range(options.seeds):
            ek.set_random_seed(seed)
            model = network(activation, kernel_initializer, options.layers)
            history = model.fit(
                *train, epochs=options.epochs, validation_data=held_out, verbose=0
            ).history
            curve = "  ".join(f"{value:.4f}" for value in history["val_accuracy"])
            print(f"{name}, seed {seed}: validation accuracy by epoch  {curve}", flush=True)
            best.append(max(history["val_accuracy"]))
        print(f"{name}: best {np.mean(best):.4f} ± {np.std(best):.4f} over {len(best)} seeds")


if __name__ == "__main__":
    main()
