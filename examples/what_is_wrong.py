"""A network that cannot learn, what the doctor says about it, and the same network treated.

Twenty hidden layers of sigmoid units on the raw pixels of the bundled digits, and what its checkup
says to type. Both are trained for ten epochs with the same seed; the test rows are looked at once.
"""

from __future__ import annotations

import evenkeel as ek


def network(first: list[ek.Layer], activation: str, initializer: str) -> ek.Sequential:
    """Returns twenty hidden layers behind whatever comes first, compiled."""
    hidden = [
        ek.layers.Dense(100, activation=activation, kernel_initializer=initializer)
        for _ in range(20)
    ]
    model = ek.Sequential([*first, *hidden, ek.layers.Dense(10, activation="softmax")])
    optimizer = ek.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    """Prints both checkups and both accuracies."""
    (x, y), (x_test, y_test) = ek.datasets.digits.load_data()
    normalization = ek.layers.Normalization()
    normalization.adapt(x)
    sick = ([], "sigmoid", "glorot_uniform")
    treated = ([normalization], "relu", "he_normal")
    for parts in (sick, treated):
        ek.set_random_seed(42)
        model = network(*parts)
        print(ek.checkup(model, x, y, epochs=10))
        model.fit(x, y, epochs=10, verbose=0)
        scores = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
        print(f"Test accuracy after ten epochs: {scores['accuracy']:.1%}\n")


if __name__ == "__main__":
    main()
