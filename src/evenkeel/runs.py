"""Runs: a data set, a network and a seed in; a folder with everything about it out.

This is what the command line does, as functions: `train` writes a run folder, `evaluate` and
`predict` read one. A folder holds `model.safetensors`, `history.csv` and `run.json`.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel import __version__, layers
from evenkeel.callbacks import EarlyStopping
from evenkeel.datasets.registry import Dataset, Task
from evenkeel.datasets.sources import load_data
from evenkeel.datasets.splitting import split_rows
from evenkeel.datasets.tables import read_arrays
from evenkeel.engine import intake
from evenkeel.engine.history import History
from evenkeel.engine.outcome import Outcome
from evenkeel.errors import (
    FileRefusedError,
    InvalidArgumentError,
    InvalidDataError,
    explain,
)
from evenkeel.examination import Checkup
from evenkeel.examination import checkup as examined
from evenkeel.models import Model, Sequential, load_model
from evenkeel.optimizers import get as get_optimizer
from evenkeel.randomness import set_random_seed
from evenkeel.settings import Settings

MODEL_FILE, HISTORY_FILE, RUN_FILE = "model.safetensors", "history.csv", "run.json"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run ended with.

    Attributes:
        folder: Where everything about it is.
        test: The loss and the metrics on the test rows.
        outcome: How the training ended.
        history: The record of the training.
    """

    folder: Path
    test: dict[str, float]
    outcome: Outcome
    history: History


def free_folder(out: Path | None, name: str, force: bool) -> Path:
    """Returns the folder for a run, refusing one that exists.

    Args:
        out: The folder asked for; when None, the first free one of runs/NAME, runs/NAME-2, ...
        name: The data set's name.
        force: Whether a folder that exists may be written into.

    Raises:
        InvalidArgumentError: If it exists and `force` is not set.
    """
    if out is None:
        number, out = 1, Path("runs") / name
        while out.exists():
            number += 1
            out = Path("runs") / f"{name}-{number}"
    elif out.exists() and not force:
        raise InvalidArgumentError(
            explain(
                f"{out} exists, and a run is never overwritten unasked.",
                "Give another --out, or add --force to replace what is in it.",
            )
        )
    return out


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Makes a run folder before the training, and takes it away again if that is refused."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except Exception:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()
        raise


def train(
    data: Dataset,
    settings: Settings,
    folder: Path,
    *,
    source: str,
    verbose: Any = "auto",
) -> Result:
    """Trains a network on a data set, tests it once, and writes the run folder."""
    set_random_seed(settings.seed)
    intake.targets(data.y_test, len(intake.inputs(data.x_test, "test x")), "test y", "test x")
    x, y, x_valid, y_valid = _hold_out(data, settings)
    scale = _target_scale(y) if data.task == "regression" else (1.0, 0.0)
    model = network_for(data, settings, x)
    started = time.perf_counter()
    with _made(folder):
        history = _fit(
            model, settings, (x, _scaled(y, scale)), (x_valid, _scaled(y_valid, scale)), verbose
        )
    seconds = time.perf_counter() - started
    if data.task == "regression":
        model = _in_raw_units(model, scale)
    model.save(folder / MODEL_FILE)
    test = model.evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)
    _write_history(folder / HISTORY_FILE, history)
    record = _record(data, settings, source, history, test, seconds)
    (folder / RUN_FILE).write_text(json.dumps(record, indent=2) + "\n")
    return Result(folder=folder, test=test, outcome=history.outcome, history=history)


def checkup(source: str, task: Task | None, settings: Settings, depth: str = "static") -> Checkup:
    """Examines what `train` would train on a data set, or the network and data of a run folder.

    Args:
        source: A run folder, the name of a built-in data set, or the path of an NPZ file.
        task: What is to be learned; seen from the targets when None.
        settings: How the run would train; a run folder has its own.
        depth: How deep to look: "static", "init" or "probe".
    """
    folder = Path(source)
    model = None
    if (folder / RUN_FILE).is_file():
        record, model = read_run(folder)
        source, task = record["data"]["source"], record["data"]["task"]
        plan = {name: value for name, value in record["plan"].items() if name != "hidden"}
        settings = Settings(**plan, hidden=tuple(record["plan"]["hidden"]))
    set_random_seed(settings.seed)
    data = load_data(source, task, settings.seed)
    x, y, x_valid, y_valid = _hold_out(data, settings)
    if model is None:
        scale = _target_scale(y) if data.task == "regression" else (1.0, 0.0)
        y, y_valid = _scaled(y, scale), _scaled(y_valid, scale)
        model = network_for(data, settings, x)
    return examined(
        model,
        x,
        y,
        validation_data=(x_valid, y_valid),
        depth=depth,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
    )


def network_for(data: Dataset, settings: Settings, x: np.ndarray) -> Sequential:
    """Builds and compiles the network for a data set: standardized inputs, a dense stack."""
    stack: list[layers.Layer] = [layers.Flatten(input_shape=x.shape[1:])]
    stack.append(_preprocessing(data, x))
    for units in settings.hidden:
        stack.append(
            layers.Dense(units, activation=settings.activation, kernel_initializer="he_normal")
        )
        if settings.dropout:
            stack.append(layers.Dropout(settings.dropout))
    outputs = data.y_train.shape[1] if data.y_train.ndim == 2 else 1
    last = (
        layers.Dense(data.classes, activation="softmax")
        if data.task == "classification"
        else layers.Dense(outputs)
    )
    model = Sequential([*stack, last], name=data.name.replace("/", "-"))
    optimizer = get_optimizer(settings.optimizer)
    if settings.learning_rate is not None:
        optimizer.learning_rate = settings.learning_rate
    _compile(model, optimizer, data.task, settings.precision)
    return model


def _compile(model: Model, optimizer: Any, task: Task, precision: Any) -> None:
    loss, metrics = (
        ("sparse_categorical_crossentropy", ["accuracy"])
        if task == "classification"
        else ("mse", ["rmse", "mae", "r2"])
    )
    model.compile(optimizer, loss=loss, metrics=metrics, precision=precision)


def _preprocessing(data: Dataset, x: np.ndarray) -> layers.Layer:
    """Pixels share one unit and are divided by their range; columns are standardized apart."""
    if data.pixel_range is not None:
        return layers.Rescaling(1 / data.pixel_range)
    normalization = layers.Normalization()
    normalization.adapt(x.reshape(len(x), -1))
    return normalization


def _hold_out(data: Dataset, settings: Settings) -> tuple[np.ndarray, ...]:
    return split_rows(
        data.x_train,
        data.y_train,
        settings.validation_fraction,
        settings.seed,
        by_class=data.task == "classification",
    )


def _fit(model: Model, settings: Settings, train_rows: Any, held_out: Any, verbose: Any) -> History:
    stopping = EarlyStopping(patience=settings.patience, restore_best_weights=True)
    try:
        return model.fit(
            *train_rows,
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            validation_data=held_out,
            callbacks=[stopping],
            verbose=verbose,
        )
    except KeyboardInterrupt:
        # The weights of the last finished steps are kept; the run says how it ended.
        assert model.history is not None
        return model.history


def _target_scale(y: np.ndarray) -> tuple[Any, Any]:
    spread = y.std(axis=0, dtype=np.float64)
    return np.where(spread > 0, spread, 1.0), y.mean(axis=0, dtype=np.float64)


def _scaled(y: np.ndarray, scale: tuple[Any, Any]) -> np.ndarray:
    return y if scale == (1.0, 0.0) else (y - scale[1]) / scale[0]


def _in_raw_units(model: Sequential, scale: tuple[Any, Any]) -> Sequential:
    """Returns the network with a last layer that undoes the scaling of the targets."""
    spread, mean = np.atleast_1d(scale[0]), np.atleast_1d(scale[1])
    undo = layers.Dense(len(spread), name="raw_units", trainable=False)
    whole = Sequential([*model.layers, undo], name=model.name)
    undo.set_weights([np.diag(spread), mean])
    assert model.optimizer is not None
    fresh = type(model.optimizer).from_config(model.optimizer.get_config())
    _compile(whole, fresh, "regression", model.precision)
    return whole


def _record(
    data: Dataset,
    settings: Settings,
    source: str,
    history: History,
    test: dict[str, float],
    seconds: float,
) -> dict[str, Any]:
    is_file = Path(source).is_file()
    return {
        "data": {
            "name": data.name,
            "source": str(Path(source).resolve()) if is_file else data.name,
            "task": data.task,
            "class_names": list(data.class_names),
            "rows": {"train": len(data.x_train), "test": len(data.x_test)},
            "fingerprint": fingerprint(data),
        },
        "plan": asdict(settings),
        "seed": settings.seed,
        "versions": {
            "python": platform.python_version(),
            "evenkeel": __version__,
            **{name: version(name) for name in ("jax", "numpy", "scikit-learn")},
        },
        "outcome": {"name": history.outcome.name, "sentence": history.outcome.sentence},
        "epochs": len(history.epoch),
        "seconds": round(seconds, 3),
        "validation": best_epoch(history),
        "test": test,
    }


def best_epoch(history: History) -> dict[str, float]:
    """Returns the logs of the epoch with the lowest validation loss, and its number from 1."""
    losses = history.history.get("val_loss", [])
    if not losses or not np.isfinite(losses).any():
        return {}
    best = int(np.nanargmin(losses))
    logs = {k: v[best] for k, v in history.history.items() if k.startswith("val_")}
    return {"epoch": best + 1, **{k.removeprefix("val_"): v for k, v in logs.items()}}


def fingerprint(data: Dataset) -> str:
    """Returns a SHA-256 over all rows of a data set: equal data, equal text."""
    digest = hashlib.sha256()
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _write_history(path: Path, history: History) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history.history])
        for row, epoch in enumerate(history.epoch):
            values = [v[row] if row < len(v) else "" for v in history.history.values()]
            writer.writerow([epoch + 1, *values])


def read_run(folder: Path) -> tuple[dict[str, Any], Any]:
    """Opens a run folder: its record and its model.

    Raises:
        InvalidArgumentError: If it is no run folder.
        FileRefusedError: If a file in it is damaged.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        raise InvalidArgumentError(
            explain(
                f"{folder} is no run folder: it has no {RUN_FILE}.",
                "Give the folder that 'evenkeel train' printed at its end.",
            )
        )
    try:
        record = json.loads(path.read_text())
    except ValueError as error:
        raise FileRefusedError(
            explain(f"{path} is damaged ({error}).", "Train again, or take another copy.")
        ) from None
    return record, load_model(folder / MODEL_FILE)


def evaluate(folder: Path, source: str | None = None) -> dict[str, float]:
    """Tests a run's saved model on its test rows, or on those of another data set.

    Raises:
        InvalidDataError: If the run's own data has changed since.
    """
    record, model = read_run(folder)
    data = load_data(source or record["data"]["source"], record["data"]["task"], record["seed"])
    if source is None and fingerprint(data) != record["data"]["fingerprint"]:
        raise InvalidDataError(
            explain(
                f"The data of this run, {record['data']['source']}, has changed since.",
                f"Its test result was {record['test']}. To test on the new data, name it: "
                f"evenkeel evaluate {folder} {record['data']['source']}",
            )
        )
    return model.evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A saved model's answers for the rows of a file.

    Attributes:
        outputs: What the network puts out, (rows, outputs).
        classes: The most probable class of each row; None in a regression.
        scores: The loss and metrics, where the file also has y; None otherwise.
    """

    outputs: np.ndarray
    classes: np.ndarray | None
    scores: dict[str, float] | None

    def write(self, path: Path) -> None:
        """Writes the answers to a CSV or NPZ file."""
        if path.suffix == ".npz":
            classes = np.array([]) if self.classes is None else self.classes
            np.savez(path, outputs=self.outputs, classes=classes)
            return
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            count = self.outputs.shape[1]
            label = [] if self.classes is None else ["class"]
            writer.writerow(["row", *label, *(f"output_{i}" for i in range(count))])
            for row, output in enumerate(self.outputs):
                first = [] if self.classes is None else [self.classes[row]]
                writer.writerow([row, *first, *(f"{value:.9g}" for value in output)])


def predict(folder: Path, file: Path) -> Predictions:
    """Applies a run's saved model to the `x` of an NPZ file; with `y` in it, scores it too."""
    record, model = read_run(folder)
    arrays = read_arrays(file)
    if "x" not in arrays:
        raise InvalidDataError(
            explain(
                f"{file} has no array 'x'; it has {sorted(arrays)}.",
                "Write the file with np.savez(path, x=x).",
            )
        )
    outputs = model.predict(arrays["x"])
    is_classes = record["data"]["task"] == "classification"
    scores = None
    if "y" in arrays:
        scores = model.evaluate(arrays["x"], arrays["y"], verbose=0, return_dict=True)
    return Predictions(
        outputs=outputs,
        classes=outputs.argmax(axis=-1) if is_classes else None,
        scores=scores,
    )
