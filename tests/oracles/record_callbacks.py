"""Records what Keras's callbacks decide on sequences of monitored values, in `callbacks.json`.

The file maps `versions`; `sequences`, the values by name, one an epoch; `early_stopping`, a list
of cases with `settings`, `sequence`, the number of epochs run (`epochs`), `best` and `best_epoch`;
`reduce_lr_on_plateau`, a list of cases with `settings`, `sequence` and `rates`, the learning rate
in each epoch's logs, from 1.0; and `directions`, by the name that a metric has in the logs, whether
Keras takes more ("up") or less ("down") to be better.

All values are finite: Keras takes a NaN in the first epoch for the best, which evenkeel does not.
Where there is a `baseline`, the value of the first epoch beats it: Keras does not end a run in an
epoch that improves without beating the baseline, evenkeel does.

Run: python tests/oracles/record_callbacks.py
"""

import inspect
import json

import numpy as np
from libraries import FOLDER, keras, versions

# Smooth falls, plateaus, noise, values below zero, a rise, and one that steps by min_delta.
SEQUENCES = {
    "falling": [1 / (1 + epoch) for epoch in range(12)],
    "plateau": [3.0, 2.0, 1.5] + [1.5] * 12,
    "noisy": [5, 3, 4, 2, 2.5, 2.25, 1.75, 1.9, 1.8, 1.85, 1.7, 1.72, 1.71, 1.69, 1.75, 1.8],
    "below_zero": [-1, -2, -1.5, -2.5, -2.45, -2.4, -2.5, -2.5, -2.4, -3, -2.9, -2.8, -2.7],
    "through_zero": [1, 0.5, 0, -0.5, -0.25, 0, 0.25, -0.5, -0.75, -0.5, -0.25, 0.5],
    "rising": [0.1, 0.3, 0.5, 0.4, 0.6, 0.6, 0.6, 0.55, 0.7, 0.65, 0.6, 0.5, 0.4],
    "steps": [4, 3.75, 3.5, 3.25, 3, 2.5, 2, 1.75, 1.5, 1.5, 1.25, 1, 0.75],
}
EARLY_STOPPING = [
    {},
    {"patience": 1},
    {"patience": 2},
    {"patience": 4},
    {"patience": 2, "min_delta": 0.25},
    {"patience": 3, "mode": "max"},
    {"patience": 1, "min_delta": 0.125, "mode": "max"},
    {"patience": 2, "start_from_epoch": 3},
    {"patience": 2, "baseline": 6.0},
]
REDUCE_LR_ON_PLATEAU = [
    {"patience": 0},
    {"patience": 1, "factor": 0.5},
    {"patience": 2, "factor": 0.5},
    {"patience": 2, "factor": 0.5, "cooldown": 2},
    {"patience": 1, "factor": 0.25, "cooldown": 1, "min_lr": 0.125},
    {"patience": 2, "factor": 0.5, "min_delta": 0.25},
    {"patience": 2, "factor": 0.5, "mode": "max"},
    {"patience": 3, "factor": 0.1, "min_lr": 0.05, "min_delta": 0},
]


def run(callback, values):
    """Hands a callback one value an epoch until it stops; returns each epoch's learning rate."""
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.stop_training = False
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch)
        logs = {"val_loss": float(value)}
        callback.on_epoch_end(epoch, logs)
        rates.append(logs.get("learning_rate"))
        if model.stop_training:
            break
    callback.on_train_end()
    return rates


def early_stopping(settings, values):
    """Returns how many epochs are run, and which was best."""
    callback = keras.callbacks.EarlyStopping(**settings)
    epochs = len(run(callback, values))
    return {"epochs": epochs, "best": callback.best, "best_epoch": callback.best_epoch}


def reduce_lr_on_plateau(settings, values):
    """Returns the learning rate of every epoch."""
    return {"rates": run(keras.callbacks.ReduceLROnPlateau(**settings), values)}


def cases(decide, all_settings):
    """Returns what a callback decides with all settings on all sequences."""
    return [
        {"settings": settings, "sequence": name, **decide(settings, values)}
        for settings in all_settings
        for name, values in SEQUENCES.items()
    ]


def directions():
    """Returns Keras's direction of every metric that can be made without arguments and has one."""
    found = {}
    for _, kind in inspect.getmembers(keras.metrics, inspect.isclass):
        try:
            metric = kind()
        except TypeError:
            continue
        direction = getattr(metric, "_direction", None)
        if direction is not None:
            found[metric.name] = direction
    return found


def plain(value):
    """Turns a NumPy number into Python's, for the file."""
    return value.item() if isinstance(value, np.generic) else float(value)


def main():
    """Runs everything and writes the file."""
    record = {
        "versions": versions(),
        "sequences": SEQUENCES,
        "early_stopping": cases(early_stopping, EARLY_STOPPING),
        "reduce_lr_on_plateau": cases(reduce_lr_on_plateau, REDUCE_LR_ON_PLATEAU),
        "directions": directions(),
    }
    lines = [
        f'"{name}": {json.dumps(part, default=plain)}'
        if isinstance(part, dict)
        else f'"{name}": [\n' + ",\n".join(json.dumps(c, default=plain) for c in part) + "\n]"
        for name, part in record.items()
    ]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    assert json.loads(text)["versions"] == record["versions"]
    (FOLDER / "callbacks.json").write_text(text)
    print({name: len(part) for name, part in record.items()}, record["directions"])


if __name__ == "__main__":
    main()
