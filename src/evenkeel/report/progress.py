"""What a person sees while a run goes on: a progress display, or one line an epoch."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from evenkeel.engine.hooks import Callback, Logs
from evenkeel.errors import InvalidArgumentError, explain


def display_for(verbose: Any, label: str = "") -> list[Callback]:
    """Returns the display that a `verbose` argument asks for, as a list of none or one.

    Args:
        verbose: 0, 1, 2 or "auto": 1 in a terminal, 0 elsewhere.
        label: What stands in front of every line, such as a stage of which the run is a part.
    """
    if verbose == "auto":
        verbose = 1 if sys.stdout.isatty() else 0
    if verbose not in (0, 1, 2):
        raise InvalidArgumentError(
            explain(
                f"verbose: got {verbose!r}, expected 0, 1, 2 or 'auto'.",
                "Type verbose=0 for silence, 1 for a progress display, 2 for a line an epoch.",
            )
        )
    if verbose == 0:
        return []
    return [ProgressDisplay(label) if verbose == 1 and sys.stdout.isatty() else EpochLines(label)]


def say(line: str) -> None:
    """Prints a line about something that goes on, as it is.

    Args:
        line: The line.
    """
    Console(highlight=False, soft_wrap=True).print(line, markup=False)


class EpochLines(Callback):
    """One line an epoch: seconds, steps a second, and the logs.

    Args:
        label: What stands in front of every line.
    """

    def __init__(self, label: str = "") -> None:
        self._prefix = f"{label}  " if label else ""
        self._console = Console(highlight=False, soft_wrap=True)
        self._started = time.perf_counter()
        self._steps = 0
        self._in_epoch = False
        self._told_of_compiling = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Starts the clock."""
        self._in_epoch = True
        self._started = time.perf_counter()

    def on_progress(self, step: int, steps: int | None, logs: Logs | None = None) -> None:
        """Remembers how far the epoch is; the first time, says how long compiling took."""
        self._steps = step
        if not self._told_of_compiling:
            self._told_of_compiling = True
            self._tell_of_compiling()

    def _tell_of_compiling(self) -> None:
        history = getattr(self.model, "history", None)
        for compilation in [] if history is None else history.compilations:
            if compilation.program == "training":
                source = ", from the cache" if compilation.from_cache else ""
                line = f"Compiled in {compilation.seconds:.1f}s{source}"
                self._console.print(line, markup=False)
                return

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Prints the line."""
        seconds = time.perf_counter() - self._started
        self._console.print(
            f"{self._name_of(epoch)}  {seconds:.1f}s  {self._steps / seconds:,.0f} steps/s  "
            f"{as_text(logs)}",
            markup=False,
        )

    def on_notice(self, text: str) -> None:
        """Prints a line."""
        self._console.print(text, markup=False)

    def _name_of(self, epoch: int) -> str:
        total = (self.params or {}).get("epochs", epoch + 1)
        return f"{self._prefix}Epoch {epoch + 1}/{total}"

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Prints an evaluation's logs; a validation's are part of the epoch's line."""
        if not self._in_epoch:
            self._console.print(as_text(logs), markup=False)


# Drawing takes some milliseconds, which is longer than a short epoch.
_SECONDS_BETWEEN_DRAWINGS = 0.1


class ProgressDisplay(EpochLines):
    """A bar within the epoch, with rate, remaining time and the logs so far; then a line.

    Epochs that are over in a moment have the line alone.

    Args:
        label: What stands in front of every line.
    """

    def __init__(self, label: str = "") -> None:
        super().__init__(label)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[done]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[logs]}"),
            console=self._console,
            transient=True,
            auto_refresh=False,
        )
        self._task: TaskID | None = None
        self._drawn = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begins to wait for the first bar, in place of that of an epoch that is taken again."""
        self._take_away()
        super().on_epoch_begin(epoch, logs)
        self._epoch, self._drawn = epoch, self._started

    def on_progress(self, step: int, steps: int | None, logs: Logs | None = None) -> None:
        """Moves the bar, if it is time to."""
        super().on_progress(step, steps, logs)
        now = time.perf_counter()
        if now - self._drawn < _SECONDS_BETWEEN_DRAWINGS:
            return
        self._drawn = now
        rate = step / max(now - self._started, 1e-9)
        self._draw(step, f"{step}/{steps or '?'}  {rate:,.0f} steps/s", as_text(logs))

    def _draw(self, step: int, done: str, logs: str) -> None:
        if self._task is None:
            params = self.params or {}
            name = self._name_of(self._epoch)
            self._task = self._bar.add_task(name, total=params.get("steps"), done="", logs="")
            self._bar.start()
        self._bar.update(self._task, completed=step, done=done, logs=logs, refresh=True)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Replaces the bar by a line."""
        self._take_away()
        super().on_epoch_end(epoch, logs)

    def _take_away(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._bar.stop()
            self._task = None

    def close(self) -> None:
        """Takes the display down."""
        self._bar.stop()


def as_text(logs: Logs | None) -> str:
    """Writes logs as `loss 0.1234  accuracy 0.9876`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
