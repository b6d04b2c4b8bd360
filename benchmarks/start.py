"""The claim about starting: seconds from a command typed to the end of the first epoch.

Goal P8 of the performance page is judged here. Every side is a whole process, from its start to
the line that says that the first epoch has ended; the sides take turns. A cold start finds an empty
cache folder, and the self-test of a new version runs beside it; a warm one finds the folder that
the cold one left.
"""

import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.harness import SETTLE_SECONDS

END_OF_EPOCH = "Epoch 1/1"
"""How the line begins that ends a measurement; the command line prints it."""

LONGEST_SECONDS = 300.0
_EVENKEEL = "from evenkeel.cli import main; main()"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Side:
    """A process to time.

    Args:
        name: What the record calls it.
        label: What the table calls it.
        arguments: What follows the interpreter's name.
        until: How the line begins at which the clock stops; the process's end when None.
        peer: What `--peers` calls it; None for our own.
        environment: Variables besides the caches.
        is_cold: Whether its cache folder is emptied before.
        most_seconds: Goal P8; None where it names no time.
    """

    name: str
    label: str
    arguments: Sequence[str]
    until: str | None = END_OF_EPOCH
    peer: str | None = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_cold: bool = False
    most_seconds: float | None = None


def _train(folder: str) -> list[str]:
    return ["-c", _EVENKEEL, "train", "fashion-mnist", "--epochs", "1", "--out", folder, "--force"]


def _keras(backend: str) -> Side:
    return Side(
        name=f"keras-{backend}",
        label=f"the book's network, Keras on {backend}",
        arguments=["-m", "benchmarks.first_epoch", "keras"],
        peer=f"keras-{backend}",
        environment={"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


_OURS = ["-m", "benchmarks.first_epoch", "evenkeel"]
SIDES = (
    Side(
        name="help",
        label="evenkeel --help",
        arguments=["-c", _EVENKEEL, "--help"],
        until=None,
        most_seconds=0.3,
    ),
    Side(
        name="train-cold",
        label="evenkeel train fashion-mnist, cold",
        arguments=_train("{folder}"),
        is_cold=True,
        most_seconds=6.0,
    ),
    Side(
        name="train-warm",
        label="evenkeel train fashion-mnist, warm",
        arguments=_train("{folder}"),
    ),
    Side(
        name="book-cold", label="the book's network, evenkeel, cold", arguments=_OURS, is_cold=True
    ),
    Side(name="book-warm", label="the book's network, evenkeel, warm", arguments=_OURS),
    _keras("jax"),
    _keras("tensorflow"),
)


def seconds_of(side: Side, cache: Path) -> float:
    """Returns how long a side takes from its start to its line.

    Raises:
        RuntimeError: The process ended, or 300 seconds passed, without it.
    """
    arguments = [argument.format(folder=cache / "run") for argument in side.arguments]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "EVENKEEL_"))}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env={**inherited, "EVENKEEL_CACHE": str(cache), "PYTHONUNBUFFERED": "1"}
        | dict(side.environment),
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    seconds = None
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if side.until is not None and line.startswith(side.until):
                seconds = time.perf_counter() - started
        process.wait(timeout=LONGEST_SECONDS)
        if side.until is None:
            seconds = time.perf_counter() - started
    finally:
        process.kill()
        process.wait()
    if process.returncode or seconds is None:
        raise RuntimeError(f"{side.label} ended with status {process.returncode}")
    return seconds


@contextlib.contextmanager
def _caches() -> Any:
    """Yields a function from a side to its cache folder, in which the data are at hand."""
    from evenkeel.caching import cache_folder

    data = cache_folder("datasets")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        made: dict[str, Path] = {}

        def folder_for(side: Side) -> Path:
            kind = side.name.partition("-")[0]
            if side.is_cold or kind not in made:
                made[kind] = Path(tempfile.mkdtemp(dir=place))
                if data.is_dir():
                    (made[kind] / "datasets").symlink_to(data)
            return made[kind]

        yield folder_for


def _versions() -> dict[str, str]:
    found = {}
    for package in ("evenkeel", "jax", "jaxlib", "keras", "tensorflow", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _chosen(peers: Sequence[str] | None) -> list[Side]:
    names = [side.peer for side in SIDES if side.peer]
    unknown = [name for name in peers or [] if name not in names]
    if unknown:
        raise ValueError(
            f"there is no peer named {', '.join(map(repr, unknown))}; the peers are: "
            f"{', '.join(names)}.\nType --peers {','.join(names)}"
        )
    return [side for side in SIDES if side.peer is None or peers is None or side.peer in peers]


def goal_of(side: Side, median: float) -> dict[str, Any] | None:
    """What P8 asks of a side, and whether it is met; None when nothing."""
    if side.most_seconds is None:
        return None
    return {"id": "P8", "asks": f"≤ {side.most_seconds:g} s", "met": median <= side.most_seconds}


def run(
    *,
    rounds: int,
    batch_sizes: Sequence[int],
    samples: int | None,
    peers: Sequence[str] | None,
    out: Path,
) -> None:
    """Measures, prints the table and writes the record.

    Args:
        rounds: How often each side runs.
        batch_sizes: Left out of account: all train at 32.
        samples: Left out of account: the data set has as many as it has.
        peers: Names of peers to include; None includes all.
        out: Where the record goes.

    Raises:
        ValueError: A peer is unknown.
    """
    sides, machine = _chosen(peers), report.machine()
    times: dict[str, list[float]] = {side.name: [] for side in sides}
    skipped: dict[str, str] = {}
    with _caches() as folder_for:
        for _ in range(rounds):
            for side in sides:
                time.sleep(SETTLE_SECONDS)
                try:
                    times[side.name].append(seconds_of(side, folder_for(side)))
                except RuntimeError as error:
                    skipped[side.name] = str(error)
    table = Table(title=f"Seconds from the start of the process, median of {rounds} rounds")
    for heading in ("side", "seconds", "min-max", "× book's network, warm", "goal"):
        table.add_column(heading, justify="left" if heading in ("side", "goal") else "right")
    base = times["book-warm"] and report.summary(times["book-warm"])["median"]
    record: dict[str, Any] = {}
    for side in sides:
        if not times[side.name]:
            table.add_row(side.label, f"skipped: {skipped[side.name]}")
            record[side.name] = {"label": side.label, "skipped": skipped[side.name]}
            continue
        spread = report.summary(times[side.name])
        goal = goal_of(side, spread["median"])
        verdict = "" if goal is None else f"P8 {goal['asks']}: {'met' if goal['met'] else 'missed'}"
        ratio = f"{spread['median'] / base:.2f}" if base and side.until else ""
        table.add_row(
            side.label,
            f"{spread['median']:.2f}",
            f"{spread['minimum']:.2f}-{spread['maximum']:.2f}",
            ratio,
            verdict,
        )
        seconds = {"label": side.label, "seconds": times[side.name], **spread, "goal": goal}
        record[side.name] = seconds
    report.write(
        {
            "claim": "start",
            "unit": "seconds from the start of a process to the end of its first epoch",
            "rounds": rounds,
            "machine": machine,
            "versions": _versions(),
            "sides": record,
        },
        out,
    )
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)
