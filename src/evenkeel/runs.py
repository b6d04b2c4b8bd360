"""Runs: a data set, a network and a seed in; a folder with everything about it out.

This is what the command line does, as functions: `train` writes a run folder, `evaluate` and
`predict` read one. A folder holds `model.safetensors`, `history.csv`, `run.json` and
`report.html`.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel import __version__, recipes
from evenkeel.datasets.csv_files import Form, read_csv, read_table
from evenkeel.datasets.registry import Dataset, Task
from evenkeel.datasets.sources import is_table, load_data
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
from evenkeel.models import Model, load_model
from evenkeel.randomness import set_random_seed
from evenkeel.recipes import Recipe
from evenkeel.report.run import page_of_run
from evenkeel.settings import Settings
from evenkeel.treatment import Treatment
from evenkeel.treatment import repair as treated

MODEL_FILE, HISTORY_FILE, RUN_FILE = "model.safetensors", "history.csv", "run.json"
REPORT_FILE = "report.html"


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


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a run is about to do.

    Attributes:
        recipe: The choices, with their reasons.
        train: The inputs and targets to learn from.
        validation: Those by which the best epoch is told.
    """

    recipe: Recipe
    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]


def prepare(data: Dataset, settings: Settings) -> Prepared:
    """Keeps validation rows back and has a recipe choose what was not asked for."""
    x, y, x_valid, y_valid = split_rows(
        data.x_train,
        data.y_train,
        settings.validation_fraction,
        settings.seed,
        by_class=data.task == "classification",
    )
    asked = settings.asked
    made = _RECIPES[settings.recipe](
        x,
        y,
        task=data.task,
        inputs=None if data.pixel_range is None else "pixels",
        classes=data.classes or None,
        **asked,
    )
    for name in settings.adapt:
        made = _ADAPTATIONS[name](made).having(**asked)
    return Prepared(recipe=made, train=(x, y), validation=(x_valid, y_valid))


_RECIPES = {"default": recipes.default, "self-normalizing": recipes.self_normalizing}
_ADAPTATIONS = {
    "sparse": recipes.sparse,
    "low-latency": recipes.low_latency,
    "risk-sensitive": recipes.risk_sensitive,
}


def train(
    data: Dataset,
    settings: Settings,
    folder: Path,
    *,
    source: str,
    verbose: Any = "auto",
    tell: Callable[[Recipe], Any] = lambda recipe: None,
) -> Result:
    """Trains a network on a data set, tests it once, and writes the run folder.

    Args:
        data: The data set.
        settings: What was asked for; a recipe chooses the rest.
        folder: Where the run is written.
        source: What the data set was called.
        verbose: As in `Model.fit`.
        tell: Called with the recipe before the training.
    """
    set_random_seed(settings.seed)
    intake.targets(data.y_test, len(intake.inputs(data.x_test, "test x")), "test y", "test x")
    prepared = prepare(data, settings)
    model = prepared.recipe.build()
    tell(prepared.recipe)
    started = time.perf_counter()
    with _made(folder):
        history = _fit(model, prepared, verbose)
    seconds = time.perf_counter() - started
    model.save(folder / MODEL_FILE)
    test = model.evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)
    _write_history(folder / HISTORY_FILE, history)
    record = _record(data, settings, source, history, test, seconds)
    record["recipe"] = prepared.recipe.to_dict()
    (folder / RUN_FILE).write_text(json.dumps(record, indent=2) + "\n")
    _write_report(folder / REPORT_FILE, record, history)
    return Result(folder=folder, test=test, outcome=history.outcome, history=history)


def checkup(
    source: str,
    task: Task | None,
    settings: Settings,
    depth: str = "static",
    target: str | None = None,
    drop: Sequence[str] = (),
) -> Checkup:
    """Examines what `train` would train on a data set, or the network and data of a run folder.

    Args:
        source: A run folder, the name of a built-in data set, or the path of a file.
        task: What is to be learned; seen from the targets when None.
        settings: How the run would train; a run folder has its own.
        depth: How deep to look: "static", "init" or "probe".
        target: The column of a CSV file that is to be predicted.
        drop: Its columns that are left out.
    """
    folder, model = Path(source), None
    if (folder / RUN_FILE).is_file():
        record, model = read_run(folder)
        settings = _settings_of(record)
        data = _data_of(record)
    else:
        data = load_data(source, task, settings.seed, target, drop)
    set_random_seed(settings.seed)
    prepared = prepare(data, settings)
    return examined(
        prepared.recipe.build() if model is None else model,
        *prepared.train,
        validation_data=prepared.validation,
        depth=depth,
        batch_size=prepared.recipe["batch_size"],
        epochs=prepared.recipe["epochs"],
    )


def repair(source: str, data: str | None, task: Task | None, **settings: Any) -> Treatment:
    """Repairs the network of a run folder or of a model file.

    Args:
        source: A run folder, or a file that `model.save` wrote, with its loss and optimizer.
        data: The name of a built-in data set, or the path of a file; that of the run when None.
        task: What is to be learned; seen from the targets, or from the run, when None.
        **settings: Arguments of `evenkeel.repair`.

    Raises:
        InvalidArgumentError: If there is no data, or the model was saved without its loss.
    """
    folder = Path(source)
    if (folder / RUN_FILE).is_file():
        record, model = read_run(folder)
        prepared = prepare(_data_of(record, data), _settings_of(record))
        settings = {"batch_size": prepared.recipe["batch_size"], **settings}
        return treated(model, *prepared.train, validation_data=prepared.validation, **settings)
    model = load_model(folder)
    if data is None:
        raise InvalidArgumentError(
            explain(
                f"{source} is a model file, which holds no data.",
                f"Name the data: evenkeel repair {source} mydata.npz",
            )
        )
    if model.declared is None:
        raise InvalidArgumentError(
            explain(
                f"{source} was saved without its loss and optimizer.",
                "Compile the model and save it again: model.save(path).",
            )
        )
    rows = load_data(data, task, settings.get("seed", 0))
    return treated(model, rows.x_train, rows.y_train, **settings)


def _settings_of(record: dict[str, Any]) -> Settings:
    plan = record["plan"]
    hidden = None if plan["hidden"] is None else tuple(plan["hidden"])
    return Settings(**{**plan, "hidden": hidden, "adapt": tuple(plan["adapt"])})


def _data_of(record: dict[str, Any], source: str | None = None) -> Dataset:
    """Loads the data of a run, or other data of the same form."""
    of_run = record["data"]
    path = Path(source or of_run["source"])
    if of_run["form"] is None or not is_table(path) or not path.is_file():
        return load_data(source or of_run["source"], of_run["task"], record["seed"])
    form = Form.from_dict(of_run["form"])
    return read_csv(path, form.target, of_run["task"], record["seed"], form=form)


def _fit(model: Model, prepared: Prepared, verbose: Any) -> History:
    try:
        return model.fit(
            *prepared.train,
            validation_data=prepared.validation,
            verbose=verbose,
            **prepared.recipe.fit_arguments(),
        )
    except KeyboardInterrupt:
        # The weights of the last finished steps are kept; the run says how it ended.
        assert model.history is not None
        return model.history


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
            "form": None if data.form is None else data.form.to_dict(),
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
        "findings": [] if history.checkup is None else history.checkup.to_dict()["findings"],
        "breaks": [broken.to_dict() for broken in history.breaks],
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


def _write_report(path: Path, record: dict[str, Any], history: History) -> None:
    checkup = None if history.checkup is None else history.checkup.to_dict()
    breaks = [broken.sentence for broken in history.breaks]
    path.write_text(page_of_run(record, history.history, checkup, breaks), encoding="utf-8")


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
    data = _data_of(record, source)
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
    """Applies a run's saved model to the rows of a file; where it has targets, scores them too.

    Args:
        folder: The run folder.
        file: An NPZ file with `x`, or a CSV file with the columns of the training.
    """
    record, model = read_run(folder)
    x, y = _rows_of(record, file)
    outputs = model.predict(x)
    scores = None if y is None else model.evaluate(x, y, verbose=0, return_dict=True)
    return Predictions(
        outputs=outputs,
        classes=_classes_of(outputs) if record["data"]["task"] == "classification" else None,
        scores=scores,
    )


def _classes_of(outputs: np.ndarray) -> np.ndarray:
    """Returns the most probable class of each row; a single output is that of class 1."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > 0.5).astype(np.int64)
    return outputs.argmax(axis=-1)


def _rows_of(record: dict[str, Any], file: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads inputs, and targets if there are any."""
    if record["data"]["form"] is not None and is_table(file):
        form, table = Form.from_dict(record["data"]["form"]), _table_of(file)
        y = form.targets(table[form.target], str(file)) if form.target in table else None
        return form.inputs(table, str(file)), y
    arrays = read_arrays(file)
    if "x" not in arrays:
        raise InvalidDataError(
            explain(
                f"{file} has no array 'x'; it has {sorted(arrays)}.",
                "Write the file with np.savez(path, x=x).",
            )
        )
    return arrays["x"], arrays.get("y")


def _table_of(file: Path) -> dict[str, list[str]]:
    if not file.is_file():
        raise InvalidArgumentError(explain(f"There is no file {file}.", "Give a CSV file."))
    return read_table(file)
