"""What a run leaves to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evenkeel.engine.compilation import Compilation
from evenkeel.engine.outcome import Outcome


class History:
    """The record of a run, as `fit` returns it.

    Attributes:
        history: By name ("loss", "accuracy", "val_loss", ...), one float an epoch.
        epoch: The epochs' numbers, from 0.
        params: The run's settings: epochs, steps, batch_size.
        outcome: How the run ended.
        telemetry: The samples taken inside the run, in order; empty unless asked for, or
            in a long run.
        compilations: The programs that were compiled for the run, each with its seconds and
            whether it came from the cache; empty where an earlier run had compiled them.
        breaks: Where the run stopped being finite, and what was done about it; mostly empty.
        findings: What the doctor found before and during the run, the worst cause first.
        write_up: Makes `checkup`; None without a doctor.
        model: The model that was trained.
    """

    def __init__(self, params: dict[str, Any], model: Any = None):
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.params = params
        self.outcome = Outcome.COMPLETED
        self.telemetry: list[Any] = []
        self.compilations: list[Compilation] = []
        self.breaks: list[Any] = []
        self.findings: tuple[Any, ...] = ()
        self.write_up: Callable[[], Any] | None = None
        self.model = model

    @property
    def checkup(self) -> Any:
        """All that the doctor has to say of the run, also what is well; None without a doctor.

        Printing it shows one screen, and `history.checkup.to_html(path)` writes a page.
        """
        return None if self.write_up is None else self.write_up()

    def append(self, epoch: int, logs: dict[str, float]) -> None:
        """Adds one epoch's numbers."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4f}" for name, values in self.history.items())
        return f"<History epochs={len(self.epoch)} outcome={self.outcome.name} {last}>"
