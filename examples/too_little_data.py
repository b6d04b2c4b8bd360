"""Too little data: eight pictures of each class, learned by heart, and what more rows would bring.

The doctor says it before anything is trained. More rows are the only cure: the learning curve, the
accuracy by the number of rows, says what gathering them is worth, and dropout what eases it.
Run it: python examples/too_little_data.py
"""

from __future__ import annotations

import numpy as np
from pictures import load, options_of

import evenkeel as ek


def network(rate: float = 0.0) -> ek.Sequential:
    """Returns 300-100-10 with dropout at the rate, compiled."""
    layers = [
        ek.layers.Dense(300, activation="relu", kernel_initializer="he_normal"),
        ek.layers.Dropout(rate),
        ek.layers.Dense(100, activation="relu", kernel_initializer="he_normal"),
        ek.layers.Dropout(rate),
        ek.layers.Dense(10, activation="softmax"),
    ]
    model = ek.Sequential(layers)
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    """Prints the finding, and the learning curve with and without dropout."""
    options = options_of(__doc__.splitlines()[0], rows=80, doublings=6, steps=1000, seeds=5)
    (x, y), test = load(options.data)
    few = slice(options.rows)
    ek.set_random_seed(0)
    model = network()
    print(ek.checkup(model, x[few], y[few], epochs=100))
    for n in range(options.doublings + 1):
        for rate in (0,.2,.5):
            rows = options.rows * 2**n
            epochs = max(1, options.steps * 32 // rows)
            found=[]
            for seed in range(options.seeds):
                ek.set_random_seed(seed)
                model=network(rate)
                order=np.random.default_rng(seed).permutation(len(x))[:rows]
                h=model.fit(x[order],y[order],epochs=epochs,doctor=None,verbose=0)
                found.append([h.history["accuracy"][-1],model.evaluate(*test,verbose=0)[1]])
            print(rows,rate,epochs,np.mean(found,0),np.std(found,0))


if __name__ == "__main__":
    main()
