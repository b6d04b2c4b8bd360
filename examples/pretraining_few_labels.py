"""Few labels, many pictures: does pretraining beat a tuned network that starts from scratch?

Fashion-MNIST with labels for a few rows, as many of each class, and thousands of rows without. The
network is 784-300-100-10. Every way of pretraining, and the network from scratch, has choices
(rate, dropout, activation, frozen layers); each is tried with the tuning seeds, and the one with
the best mean accuracy on validation rows is trained with the other seeds. Only what was chosen
meets the test rows, once. A seed decides the labelled rows, the starting weights, the pretraining.

Run it: python examples/pretraining_few_labels.py --labels 500
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

import evenkeel as ek
from evenkeel import pretraining
from evenkeel.layers import Dense, Dropout

Rows = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How a network is trained on the labelled rows."""

    learning_rate: float = 0.001
    dropout: float = 0.0
    activation: str = "relu"
    freeze: bool = False

    def __str__(self) -> str:
        frozen = ", frozen" if self.freeze else ""
        return f"{self.activation}, rate {self.learning_rate:g}, dropout {self.dropout:g}{frozen}"


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way of starting: what to do with the rows without labels, and what to choose from."""

    activation: str
    pretrain: Callable[[Data, Rows, Any], pretraining.Pretrained] | None
    needs_labels: bool = False

    @property
    def choices(self) -> list[Choice]:
        """Returns what is tried: as many choices for each way."""
        if self.pretrain is None:
            grid = product(("relu", "elu"), (0.0, 0.3, 0.5), (0.001,))
            return [
                *(Choice(activation=a, dropout=d, learning_rate=r) for a, d, r in grid),
                Choice(dropout=0.3, learning_rate=0.0003),
            ]
        grid = product((0.0, 0.3, 0.5), (0.001, 0.0003))
        return [
            *(Choice(activation=self.activation, dropout=d, learning_rate=r) for d, r in grid),
            Choice(activation=self.activation, freeze=True),
        ]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Fashion-MNIST in parts; pixels from 0 to 1."""

    pool: Rows
    validation: Rows
    test: Rows
    unlabelled: np.ndarray = field(repr=False)

    def few(self, count: int, seed: int) -> Rows:
        """Returns labelled rows, as many of each class."""
        random = np.random.Generator(np.random.Philox(seed))
        x, y = self.pool
        chosen = [random.choice(np.flatnonzero(y == c), count // 10, False) for c in range(10)]
        return x[np.concatenate(chosen)], y[np.concatenate(chosen)]


def load(unlabelled: int) -> Data:
    """Returns the parts: the last 5,000 training pictures hold the validation rows."""
    (x, y), (x_test, y_test) = ek.datasets.fashion_mnist.load_data()
    x, x_test = (rows.reshape(-1, 784).astype(np.float32) / 255 for rows in (x, x_test))
    return Data(
        pool=(x[:-5000], y[:-5000]),
        validation=(x[-5000:-3000], y[-5000:-3000]),
        test=(x_test, y_test),
        unlabelled=x[:unlabelled],
    )


# -- the ways ------------------------------------------------------------------------------------


def hidden(activation: str, dropout: float = 0.0) -> list[ek.Layer]:
    """Returns the hidden layers: 300 and 100 units."""
    initializer = "glorot_uniform" if activation == "sigmoid" else "he_normal"
    layers: list[ek.Layer] = []
    for units in (300, 100):
        layers.append(Dense(units, activation=activation, kernel_initializer=initializer))
        layers += [Dropout(dropout)] if dropout else []
    return layers


def views(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns each picture moved by up to two pixels, mirrored or not, brighter or darker."""
    square = images.reshape(-1, 28, 28)
    padded = np.pad(square, ((0, 0), (2, 2), (2, 2)))
    moved = np.empty_like(square)
    shifts = random.integers(0, 5, (len(square), 2))
    mirrored = random.integers(0, 2, len(square)).astype(bool)
    for shift in np.unique(shifts, axis=0):
        rows = (shifts == shift).all(axis=1)
        moved[rows] = padded[rows, shift[0] : shift[0] + 28, shift[1] : shift[1] + 28]
    moved[mirrored] = moved[mirrored, :, ::-1]
    brightness = random.uniform(0.7, 1.3, (len(square), 1))
    return np.clip(moved.reshape(images.shape) * brightness, 0, 1).astype(np.float32)


def same_class(data: Data, labelled: Rows, options: Any) -> pretraining.Pretrained:
    """Pretrains on pairs of labelled rows: the same class or not?"""
    pairs, same = pretraining.pairs_from_labels(*labelled, count=options.unlabelled)
    return pretraining.auxiliary(hidden("relu"), pairs, same, epochs=options.epochs // 2)


def same_garment(data: Data, labelled: Rows, options: Any) -> pretraining.Pretrained:
    """Pretrains on pairs of changed pictures without labels: the same garment or not?"""
    random = np.random.Generator(np.random.Philox(options.seed))
    both = np.concatenate([views(data.unlabelled, random) for _ in range(2)])
    numbers = np.tile(np.arange(len(data.unlabelled)), 2)
    pairs, same = pretraining.pairs_from_labels(both, numbers, count=2 * options.unlabelled)
    return pretraining.auxiliary(hidden("relu"), pairs, same, epochs=options.epochs)


WAYS = {
    "from scratch": Way(activation="relu", pretrain=None),
    "autoencoder": Way(
        activation="relu",
        pretrain=lambda data, _, options: pretraining.autoencoder(
            hidden("relu"), data.unlabelled, noise=0.3, epochs=options.epochs
        ),
    ),
    "greedy autoencoder": Way(
        activation="relu",
        pretrain=lambda data, _, options: pretraining.greedy(
            hidden("relu"), data.unlabelled, noise=0.3, epochs=options.epochs, batch_size=128
        ),
    ),
    "greedy RBM": Way(
        activation="sigmoid",
        pretrain=lambda data, _, options: pretraining.greedy(
            hidden("sigmoid"), data.unlabelled, method="rbm", epochs=options.epochs
        ),
    ),
    "GAN": Way(
        activation="leaky_relu",
        pretrain=lambda data, _, options: pretraining.gan(
            hidden("leaky_relu"), data.unlabelled, epochs=2 * options.epochs
        ),
    ),
    "pairs: same class?": Way(activation="relu", pretrain=same_class, needs_labels=True),
    "pairs: same garment?": Way(activation="relu", pretrain=same_garment),
}


# -- training and choosing -----------------------------------------------------------------------


def start(way: Way, choice: Choice, pretrained: pretraining.Pretrained | None) -> ek.Sequential:
    """Returns the network before it sees a label."""
    output = Dense(10, activation="softmax")
    if pretrained is None:
        return ek.Sequential([*hidden(choice.activation, choice.dropout), output])
    if not choice.dropout:
        return pretrained.then(output, freeze=choice.freeze)
    layers = pretrained.then(output).layers
    dropped = [[layer, Dropout(choice.dropout)] for layer in layers[:-1]]
    return ek.Sequential([*(layer for pair in dropped for layer in pair), layers[-1]])


def trained(model: ek.Sequential, rows: Rows, choice: Choice, data: Data) -> tuple[Any, float]:
    """Trains until the validation accuracy stops rising; returns the best model and its score."""
    model.compile(
        ek.optimizers.Adam(choice.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    stopping = ek.callbacks.EarlyStopping(
        monitor="val_accuracy", patience=10, restore_best_weights=True
    )
    history = model.fit(
        *rows, epochs=60, validation_data=data.validation, callbacks=[stopping], verbose=0
    )
    return model, max(history.history["val_accuracy"])


def run(name: str, count: int, data: Data, options: Any, cache: dict[Any, Any]) -> np.ndarray:
    """Returns the test accuracy of one way with one number of labels, seed by seed."""
    way = WAYS[name]

    def attempt(choice: Choice, seed: int) -> tuple[Any, float]:
        rows = data.few(count, seed)
        ek.set_random_seed(seed)
        options.seed = seed
        pretrained = None
        if way.pretrain is not None:
            key = (name, seed, count if way.needs_labels else None)
            if key not in cache:
                cache[key] = way.pretrain(data, rows, options)
            pretrained = cache[key]
        ek.set_random_seed(100 + seed)
        return trained(start(way, choice, pretrained), rows, choice, data)

    tried = {
        choice: [attempt(choice, seed) for seed in range(options.tuning_seeds)]
        for choice in way.choices
    }
    best = max(tried, key=lambda choice: np.mean([score for _, score in tried[choice]]))
    rest = [attempt(best, seed) for seed in range(options.tuning_seeds, options.seeds)]
    chosen = [*tried[best], *rest]
    for stage in () if way.pretrain is None else cache_stages(cache, name):
        print(f"    pretraining, seed 0: {stage.sentence}")
    print(f"    chosen: {best}; validation {np.mean([score for _, score in chosen]):.4f}")
    scores = [model.evaluate(*data.test, verbose=0, return_dict=True) for model, _ in chosen]
    return np.array([score["accuracy"] for score in scores])


def cache_stages(cache: dict[Any, Any], name: str) -> tuple[Any, ...]:
    """Returns what was measured in the last pretraining of seed 0."""
    return [result for key, result in cache.items() if key[:2] == (name, 0)][-1].stages


def report(accuracy: dict[str, np.ndarray]) -> None:
    """Prints a row for each way: its accuracy, and its lead over scratch with the same seeds."""
    scratch = accuracy.get("from scratch")
    for name, values in accuracy.items():
        line = f"  {name:22} test accuracy {values.mean():.4f} ± {values.std(ddof=1):.4f}"
        if scratch is not None and name != "from scratch":
            lead = values - scratch
            line += f", lead over scratch {lead.mean():+.4f} ± {lead.std(ddof=1):.4f}"
        print(line, flush=True)


def main() -> None:
    """Runs every way with every number of labels and prints a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 500, 2000])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tuning-seeds", type=int, default=2)
    parser.add_argument("--unlabelled", type=int, default=20_000, help="rows without labels")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of pretraining")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    options = parser.parse_args()
    data, cache = load(options.unlabelled), {}
    print(
        f"{options.unlabelled:,} rows without labels, {options.epochs} epochs of pretraining, "
        f"{options.seeds} seeds of which {options.tuning_seeds} choose, 2,000 validation rows"
    )
    for count in options.labels:
        print(f"{count} labels", flush=True)
        accuracy = {}
        for name in options.ways:
            began = time.monotonic()
            print(f"  {name}", flush=True)
            accuracy[name] = run(name, count, data, options, cache)
            print(f"    {time.monotonic() - began:.0f} s", flush=True)
        print(f"{count} labels:")
        report(accuracy)


if __name__ == "__main__":
    main()
