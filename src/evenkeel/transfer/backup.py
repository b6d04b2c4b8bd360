"""Where fine-tuning stands, and the file from which a run that broke off goes on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel import saving
from evenkeel.callbacks.monitored import MonitoredNumber
from evenkeel.engine.history import History
from evenkeel.engine.outcome import Outcome
from evenkeel.errors import FileRefusedError, explain
from evenkeel.transfer.stages import Stage, StagePlan

# What of a `Progress` is no plain data.
_ARRAYS = ("best_weights",)
_UNWRITTEN = ("telemetry", "compilations", "params", "outcome")
_ENTRY = "fine_tuning"


@dataclass(kw_only=True)
class Progress:
    """How far fine-tuning has come.

    Attributes:
        seed: From which the seeds of all stages follow.
        stages: The stages that ended.
        stage_began: How many epochs had been run when the stage under way began.
        epochs: How many epochs were run in all.
        history: The logs, by name, and the numbers of their epochs.
        best: The best value in any stage.
        best_weights: The weights of that moment.
        stage_best: The best value in the stage under way.
        stage_best_epoch: Its epoch.
        stage_best_logs: The logs of that epoch.
        gained: Whether the stage under way beat all before it.
        wait: For how many epochs it has not got better.
        telemetry: The samples taken, as in `History`.
        compilations: What was compiled, as in `History`.
        params: The settings of the last `fit`.
        outcome: How it ended.
    """

    seed: int
    stages: list[Stage] = field(default_factory=list)
    stage_began: int = 0
    epochs: int = 0
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    best: float | None = None
    best_weights: list[np.ndarray] | None = None
    stage_best: float | None = None
    stage_best_epoch: int | None = None
    stage_best_logs: dict[str, float] = field(default_factory=dict)
    gained: bool = False
    wait: int = 0
    telemetry: list[Any] = field(default_factory=list)
    compilations: list[Any] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = Outcome.COMPLETED

    def note(
        self,
        epoch: int,
        logs: dict[str, float],
        value: float | None,
        number: MonitoredNumber,
        model: Any,
    ) -> None:
        """Takes an epoch into account.

        Args:
            epoch: Its number, from 0.
            logs: Its logs.
            value: What was monitored in it.
            number: Which of two values is better.
            model: The model, as it is after the epoch.
        """
        self.epochs = epoch + 1
        self.history.append((epoch, {name: float(log) for name, log in logs.items()}))
        self.wait += 1
        if value is None or not math.isfinite(logs.get("loss", 0.0)):
            return
        if number.is_better(value, than=self.stage_best):
            self.wait = 0
            self.stage_best, self.stage_best_epoch = value, epoch
            self.stage_best_logs = self.history[-1][1]
        if number.is_better(value, than=self.best):
            self.best, self.best_weights, self.gained = value, model.get_weights(), True

    def take(self, history: History) -> None:
        """Takes over what a `fit` leaves beside the logs."""
        self.telemetry += history.telemetry
        self.compilations += history.compilations
        self.params, self.outcome = history.params, history.outcome

    def stage(self, plan: StagePlan, rate: float, parameters: int, outcome: str) -> Stage:
        """Returns the record of the stage that ended."""
        return Stage(
            number=plan.number,
            unfrozen=plan.names,
            parameters=parameters,
            rate=rate,
            epochs=self.epochs - self.stage_began,
            best=self.stage_best,
            best_epoch=self.stage_best_epoch,
            logs=self.stage_best_logs,
            gained=self.gained,
            outcome=outcome,
        )

    def end(self, stage: Stage) -> None:
        """Ends a stage, so that the next one can begin."""
        self.stages.append(stage)
        self.stage_began, self.wait, self.gained = self.epochs, 0, False
        self.stage_best = self.stage_best_epoch = None
        self.stage_best_logs = {}

    def whole_history(self, model: Any) -> History:
        """Returns the logs of all stages as one history."""
        history = History({**self.params, "epochs": self.epochs}, model)
        for epoch, logs in self.history:
            history.append(epoch, logs)
        history.outcome, history.telemetry = self.outcome, self.telemetry
        history.compilations = self.compilations
        return history


class Backup:
    """A file in which each epoch is kept: weights, slots, the best weights, and the progress.

    Args:
        path: The file.
    """

    def __init__(self, path: Path):
        self.path = path
        self._tensors: dict[str, np.ndarray] = {}
        self._iterations = 0

    def write(self, model: Any, progress: Progress, arguments: dict[str, Any]) -> None:
        """Replaces the file, completely or not at all.

        Args:
            model: The model, as it is after an epoch.
            progress: How far it has come.
            arguments: What a run that goes on must have in common with this one.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        best = {f"best/{n}": array for n, array in enumerate(progress.best_weights or [])}
        written = {
            f.name: getattr(progress, f.name)
            for f in fields(progress)
            if f.name not in (*_ARRAYS, *_UNWRITTEN)
        }
        written["stages"] = [asdict(stage) for stage in progress.stages]
        entry = {
            "arguments": arguments,
            "progress": written,
            "iterations": model.optimizer.iterations,
        }
        header = {"format": saving.FORMAT, "model": None, "compile": None, _ENTRY: entry}
        slots = saving.slot_tensors(model.optimizer.slots)
        saving.write_file(self.path, header, saving.weight_tensors(model) | slots | best)

    def read(self, model: Any, arguments: dict[str, Any]) -> Progress | None:
        """Returns how far the run that broke off had come; None if there is no file.

        Args:
            model: The model that is to go on.
            arguments: What the run must have in common with this one.

        Raises:
            FileRefusedError: If the file is damaged, or of another run.
        """
        if not self.path.exists():
            return None
        header, self._tensors = saving.read_file(self.path)
        entry = header.get(_ENTRY)
        if entry is None:
            raise FileRefusedError(
                explain(
                    f"{self.path} is no backup of fine-tuning.",
                    "Give another name as backup; this file was left alone.",
                )
            )
        for name, value in arguments.items():
            if entry["arguments"].get(name) != value:
                raise FileRefusedError(
                    explain(
                        f"{self.path} is the backup of another run: its {name} was "
                        f"{entry['arguments'].get(name)!r}, and this call has {value!r}.",
                        "To begin anew, delete the file. To go on, make the same call on the same "
                        "network.",
                    )
                )
        progress = _progress_from(entry["progress"])
        count = len(model.get_weights())
        if f"best/{count - 1}" in self._tensors:
            progress.best_weights = [self._tensors[f"best/{n}"] for n in range(count)]
        self._iterations = entry["iterations"]
        return progress

    def restore(self, model: Any) -> None:
        """Gives a model the weights and slots of the file.

        Args:
            model: The model, frozen as the stage demands.
        """
        weights = {n: a for n, a in self._tensors.items() if n.startswith("weights/")}
        saving.fill_weights(self.path, model, weights, "the model")
        model.optimizer.slots = None
        model.optimizer.slots = saving.filled_slots(self.path, model, self._tensors)
        model.optimizer.iterations = self._iterations

    def remove(self) -> None:
        """Removes the file, when the run has ended."""
        self.path.unlink(missing_ok=True)


def _progress_from(written: dict[str, Any]) -> Progress:
    stages = [
        Stage(**{**stage, "unfrozen": tuple(stage["unfrozen"])}) for stage in written["stages"]
    ]
    history = [(int(epoch), logs) for epoch, logs in written["history"]]
    return Progress(**{**written, "stages": stages, "history": history})
