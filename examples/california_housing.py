"""California housing with raw inputs and raw targets: a regression that breaks, and its repair.

Rooms in thousands, incomes around four and prices in hundreds of thousands of dollars reach the
network as they are in the file, a CSV with a column `median_house_value`, one row a district.
Run it: python examples/california_housing.py california_housing.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import evenkeel as ek
from evenkeel.datasets.csv_files import read_csv


def network() -> ek.Sequential:
    """Returns the sick network, compiled."""
    hidden = [ek.layers.Dense(30, activation="relu") for _ in range(2)]
    model = ek.Sequential([*hidden, ek.layers.Dense(1)])
    model.compile(ek.optimizers.SGD(0.01), loss="mse", metrics=["rmse"])
    return model


def main() -> None:
    """Prints how the sick network fares, the findings, the treatment, and the errors in dollars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", default=Path("california_housing.csv"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--budget", type=int, default=60_000)
    options = parser.parse_args()
    if not options.file.is_file():
        print(f"{options.file} is not there, so nothing is shown: give the path of the CSV file.")
        return
    data = read_csv(options.file, "median_house_value")
    x, y = data.x_train, data.y_train
    guess = ((data.y_test - y.mean()) ** 2).mean() ** 0.5
    print(f"The mean of the training rows is {guess:,.0f} dollars off on the test rows.")

    ek.set_random_seed(0)
    sick = network()
    history = sick.fit(x, y, epochs=options.epochs, verbose=0)
    print(history.outcome.sentence)
    scores = sick.evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)
    print(f"The sick network is {scores['rmse']:,.0f} dollars off on the test rows.\n")
    print(history.checkup)

    treatment = ek.repair(sick, x, y, budget=options.budget)
    print(f"\n{treatment}\n\n{treatment.code}")
    scores = treatment.model.evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)
    print(f"The repaired network is {scores['rmse']:,.0f} dollars off on the test rows.")


if __name__ == "__main__":
    main()
