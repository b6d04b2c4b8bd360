"""Too little data: eight pictures a class, learned by heart, and what more of them would bring.

The doctor says it before anything is trained. More rows are the only cure. The learning curve, the
test accuracy by the number of rows, says what gathering them is worth: each network is trained for
as many steps, under several seeds that also draw the rows.
Run it: python examples/too_little_data.py
"""

from __future__ import annotations

import numpy as np
from pictures import load, options_of

import evenkeel as ek


def network() -> ek.Sequential:
    """Returns 300-100-10, compiled."""
    layers = [
        ek.layers.Dense(300, activation="relu", kernel_initializer="he_normal"),
        ek.layers.Dense(100, activation="relu", kernel_initializer="he_normal"),
        ek.layers.Dense(10, activation="softmax"),
    ]
    model = ek.Sequential(layers)
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    """Prints the finding, and the learning curve from the sick run to the cured one."""
    options = options_of(__doc__.splitlines()[0], rows=80, doublings=6, steps=1000, seeds=3)
    (x, y), test = load(options.data)
    print(ek.checkup(network(), x[: options.rows], y[: options.rows], epochs=100), end="\n\n")

    for doubling in range(options.doublings + 1):
        rows = min(options.rows * 2**doubling, len(x))
        epochs = max(1, round(options.steps * 32 / rows))
        known, unknown = [], []
        for seed in range(options.seeds):
            ek.set_random_seed(seed)
            drawn = np.random.default_rng(seed).permutation(len(x))[:rows]
            model = network()
            model.fit(x[drawn], y[drawn], epochs=epochs, verbose=0)
            known.append(model.evaluate(x[drawn], y[drawn], verbose=0)[1])
            unknown.append(model.evaluate(*test, verbose=0)[1])
        name = {0: "sick, ", options.doublings: "cured, "}.get(doubling, "")
        print(
            f"{name}{rows:,} rows: test accuracy {np.mean(unknown):.1%} ± {np.std(unknown):.1%}, "
            f"of the training rows {np.mean(known):.1%}, {options.seeds} seeds"
        )


if __name__ == "__main__":
    main()
