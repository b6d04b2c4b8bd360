"""A network that cannot learn, repaired: what was tried, what stayed, and the code to get it.

Ten hidden layers of sigmoid units on the raw pixels of the bundled digits. A part of the training
rows is held out to judge the remedies; the test rows are looked at once.
"""

from __future__ import annotations

import evenkeel as ek


def network() -> ek.Sequential:
    """Returns the sick network, compiled."""
    hidden = [ek.layers.Dense(50, activation="sigmoid") for _ in range(10)]
    model = ek.Sequential([*hidden, ek.layers.Dense(10, activation="softmax")])
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    """Prints the treatment, the code of the repaired network, and its accuracy."""
    (x, y), (x_test, y_test) = ek.datasets.digits.load_data()
    treatment = ek.repair(network(), x, y, budget=10_000)
    print(treatment)
    print()
    print(treatment.code)
    scores = treatment.model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    print(f"Test accuracy: {scores['accuracy']:.1%}")


if __name__ == "__main__":
    main()
