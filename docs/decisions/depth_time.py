"""How long the depths of a checkup take: 784-300-100-10 on Fashion-MNIST.

Run `python docs/decisions/depth_time.py`; it prints seconds on the clock and of the processor.
"""

from __future__ import annotations

import time

import evenkeel as ek


def network() -> ek.Sequential:
    """Returns the network, compiled."""
    hidden = [
        ek.layers.Dense(units, activation="relu", kernel_initializer="he_normal")
        for units in (300, 100)
    ]
    scaling = ek.layers.Rescaling(1 / 255, input_shape=(28, 28))
    last = ek.layers.Dense(10, activation="softmax")
    model = ek.Sequential([scaling, ek.layers.Flatten(), *hidden, last])
    model.compile(ek.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
    return model


def main() -> None:
    """Prints the seconds of each depth."""
    (x, y), held_out = ek.datasets.fashion_mnist.load_data()
    for depth in ("static", "init", "probe"):
        ek.set_random_seed(1)
        clock, processor = time.perf_counter(), time.process_time()
        result = ek.checkup(network(), x, y, validation_data=held_out, epochs=10, depth=depth)
        spent = time.perf_counter() - clock, time.process_time() - processor
        print(f"{result!r}: {spent[0]:.1f} s on the clock, {spent[1]:.1f} s of the processor")


if __name__ == "__main__":
    main()
