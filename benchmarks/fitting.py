"""A process whose memory is measured: it makes data, does one thing with them, prints the peak.

`python -m benchmarks.fitting SIDE DATA ACT` ends with a line of JSON: mebibytes before the act, at
the peak, and what the weights and slots take.
"""

import itertools
import json
import resource
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

ROWS, SIZES = 60_000, (28, 28)
TABLE_COLUMNS = 256
TABLE_ROWS = (1 << 30) // (4 * TABLE_COLUMNS)
HIDDEN, CLASSES, BATCH = (300, 100), 10, 32
DATA = {
    "none": None,
    "uint8": (np.uint8, (ROWS, *SIZES)),
    "float32": (np.float32, (ROWS, *SIZES)),
    "float64": (np.float64, (ROWS, *SIZES)),
    "table": (np.float32, (TABLE_ROWS, TABLE_COLUMNS)),
    "mapped": (np.float32, (TABLE_ROWS, TABLE_COLUMNS)),
}
"""Type and shape by name; `mapped` is the table in a file, opened with `mmap_mode="r"`."""

MIB = 1 << 20


def peak() -> float:
    """The most memory that the process held so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB


def made(name: str, path: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Makes inputs and class numbers, part by part, so that nothing else is ever as large."""
    dtype, shape = DATA[name]
    if name == "mapped":
        assert path is not None
        x = np.lib.format.open_memmap(path, "w+", dtype, shape)
    else:
        x = np.empty(shape, dtype)
    random = np.random.Generator(np.random.Philox(0))
    for start in range(0, len(x), 4096):
        part = x[start : start + 4096]
        if dtype is np.uint8:
            part[:] = random.integers(0, 256, part.shape, np.uint8)
        else:
            part[:] = random.random(part.shape, np.float32)
    if name == "mapped":
        x.flush()
        del x, part
        x = np.load(path, mmap_mode="r")
    return x, random.integers(0, CLASSES, len(x)).astype(np.int32)


def evenkeel_side(shape: tuple[int, ...], dtype: Any) -> dict[str, Callable[..., Any]]:
    """Returns our acts."""
    import evenkeel as ek

    scale = [ek.layers.Rescaling(1 / 255)] if dtype is np.uint8 else []
    hidden = [ek.layers.Dense(units, activation="relu") for units in HIDDEN]
    last = ek.layers.Dense(CLASSES, activation="softmax")
    model = ek.Sequential([ek.Input(shape), *scale, ek.layers.Flatten(), *hidden, last])
    model.compile(ek.optimizers.Adam(), loss="sparse_categorical_crossentropy")
    return _acts(model)


def keras_side(shape: tuple[int, ...], dtype: Any) -> dict[str, Callable[..., Any]]:
    """Returns Keras's acts, on the backend of the environment."""
    import keras

    scale = [keras.layers.Rescaling(1 / 255)] if dtype is np.uint8 else []
    hidden = [keras.layers.Dense(units, activation="relu") for units in HIDDEN]
    last = keras.layers.Dense(CLASSES, activation="softmax")
    model = keras.Sequential([keras.Input(shape), *scale, keras.layers.Flatten(), *hidden, last])
    model.compile("adam", loss="sparse_categorical_crossentropy")
    return _acts(model)


def _acts(model: Any) -> dict[str, Callable[..., Any]]:
    return {
        "fit": lambda x, y: model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0),
        "evaluate": lambda x, y: model.evaluate(x, y, verbose=0),
        "predict": lambda x, y: model.predict(x, verbose=0),
    }


def torch_side(shape: tuple[int, ...], dtype: Any) -> dict[str, Callable[..., Any]]:
    """Returns a plain loop over a DataLoader."""
    import torch

    units = [int(np.prod(shape)), *HIDDEN, CLASSES]
    layers: list[Any] = [torch.nn.Flatten()]
    for taken, given in itertools.pairwise(units[:-1]):
        layers += [torch.nn.Linear(taken, given), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(units[-2], units[-1]))
    scale = 1 / 255 if dtype is np.uint8 else 1.0

    def fit(x: np.ndarray, y: np.ndarray) -> None:
        data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y).long())
        optimizer = torch.optim.Adam(model.parameters())
        for inputs, targets in torch.utils.data.DataLoader(data, BATCH, shuffle=True):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs.float() * scale), targets)
            loss.backward()
            optimizer.step()

    return {"fit": fit}


SIDES = {
    "evenkeel": evenkeel_side,
    "keras-jax": keras_side,
    "keras-tensorflow": keras_side,
    "torch": torch_side,
}


def parameters(columns: int) -> int:
    """The number of weights of the network."""
    units = [columns, *HIDDEN, CLASSES]
    return sum(a * b + b for a, b in itertools.pairwise(units))


def main(side: str, name: str, act: str, path: str | None = None) -> None:
    """Does one act and prints the peaks."""
    if name == "none":
        import jax

        import evenkeel  # noqa: F401 (its memory is what is measured)

        jax.block_until_ready(jax.jit(lambda a: a + 1)(np.zeros(3, np.float32)))
        print(json.dumps({"before": peak(), "peak": peak()}))
        return
    dtype, shape = DATA[name]
    x, y = made(name, path)
    chosen = SIDES[side](shape[1:], dtype)[act]
    before = peak()
    chosen(x, y)
    print(json.dumps({"before": before, "peak": peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
