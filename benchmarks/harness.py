"""Running the sides of a comparison: a process each, and turns taken A B C A B C.

Sides in one process would share thread pools and import each other's settings, so each has its
own; all but one wait on their input at any moment. What to run is in `peers/`, what to make of the
numbers in `report.py`.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.job import EPOCHS_A_CALL, Job
from benchmarks.peers import ALL, Spec

ANSWER_SECONDS = 600.0
SETTLE_SECONDS = 0.2
"""Pause between turns: OpenMP threads of the last side keep spinning for a while."""

NOT_INHERITED = (
    "JAX_COMPILATION_CACHE_DIR",
    *("OPENBLAS_CORETYPE", "OPENBLAS_VERBOSE", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE", "MKL_DYNAMIC"),
    *("MKL_ENABLE_INSTRUCTIONS", "NPY_DISABLE_CPU_FEATURES", "ATEN_CPU_CAPABILITY"),
    *("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "XLA_FLAGS"),
)
"""Variables of the caller that would warm a side up, or keep its library from its best kernels."""

MUCH_SLOWER = 1.5
"""A number of threads this many times slower than another one of the same side takes one turn."""


class WorkerFailedError(Exception):
    """A side could not do what it was told; its message is the reason shown in the table."""


class Worker:
    """The harness's end of one worker process.

    Args:
        spec: The side to start.
        threads: Threads it may use.
        caches: A folder for all caches of all sides; a fresh one makes first epochs cold.
    """

    def __init__(self, spec: Spec, threads: int, caches: Path) -> None:
        self.spec = spec
        self.threads = threads
        self.name = f"{spec.name}, {threads} thread{'s' if threads > 1 else ''}"
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        # A session of its own: a side's helper processes can be ended with it.
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.worker"),
                *(spec.target, json.dumps(dict(spec.options))),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=Path(__file__).parent.parent,
            env=_environment(spec, threads, caches),
            start_new_session=True,
        )

    def ask(
        self, command: str, *, slot: str = "", seconds: float = ANSWER_SECONDS, **content: Any
    ) -> dict[str, Any]:
        """Sends one command and waits for its answer.

        Args:
            command: What to do; `worker.py` has the list.
            slot: Which of the side's jobs it concerns.
            seconds: How long to wait; then the worker is ended.
            **content: What else the command says.

        Raises:
            WorkerFailedError: The side answered with an error, died, or took too long.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        alarm = threading.Timer(seconds, self.kill)
        alarm.start()
        try:
            stdin.write(json.dumps({"command": command, "slot": slot, **content}) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            alarm.cancel()
        answer = json.loads(line) if line else {"error": self._last_words(command)}
        if "error" in answer:
            raise WorkerFailedError(answer["error"])
        return answer

    def _last_words(self, command: str) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        return f"the worker ended (status {self._process.returncode}) during {command!r}"

    def errors(self, lines: int = 20) -> str:
        """The last lines of what it wrote to its error stream."""
        self._errors.seek(0)
        return "".join(self._errors.readlines()[-lines:])

    def kill(self) -> None:
        """Ends the process and its helpers at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def dismiss(self) -> None:
        """Ends the worker's input, upon which it ends itself when its work is done."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def close(self) -> None:
        """Waits for a dismissed worker, and kills what is left after 5 seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


@dataclasses.dataclass(kw_only=True)
class Measured:
    """What was learnt about one worker on one job.

    Args:
        spec: The side.
        threads: Threads it used.
        note: What it says about its settings.
        first: Measurements of the first round, compilation included, all caches empty.
        first_warm: The same in a new process that finds the caches of the first, if that was tried.
        rounds: Measurements of the later rounds: name → one value per round.
        skipped: Why there are none, or empty.
    """

    spec: Spec
    threads: int
    note: str = ""
    first: dict[str, float] = dataclasses.field(default_factory=dict)
    first_warm: dict[str, float] = dataclasses.field(default_factory=dict)
    rounds: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    skipped: str = ""


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _environment(spec: Spec, threads: int, caches: Path) -> dict[str, str]:
    """The worker's environment: its threads, and caches of its own so that nothing is warm."""
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    own = caches / f"{spec.name}-{threads}"
    folders = ("XDG_CACHE_HOME", "KERAS_HOME", "TORCHINDUCTOR_CACHE_DIR")
    inherited = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
    return {
        **inherited,
        **dict.fromkeys(counts, str(threads)),
        **{name: str(own / name.lower()) for name in folders},
        **spec.environment,
    }


@contextlib.contextmanager
def workers(specs: Iterable[Spec], caches: Path) -> Iterator[list[Worker]]:
    """Starts one worker per side and thread count, and ends them all whatever happens."""
    started: list[Worker] = []
    try:
        for spec in specs:
            counts = dict.fromkeys(cores() if t == ALL else t for t in spec.threads)
            started.extend(Worker(spec, threads, caches) for threads in counts)
        yield started
    finally:
        for worker in started:
            worker.dismiss()
        for worker in started:
            worker.close()


class Interleaved:
    """Prepares workers for one job and lets them take turns.

    A worker that fails is left out from then on, with its reason; the others go on.

    Args:
        workers: The sides, in the order of their turns.
        versions: Filled with the versions the workers report.
    """

    def __init__(self, workers: Sequence[Worker], versions: dict[str, str]) -> None:
        self._workers = workers
        self._versions = versions

    def measure(self, job: Job, rounds: int) -> list[Measured]:
        """Prepares, runs the first round apart, then `rounds` more; says so on the error stream."""
        able = [w for w in self._workers if job.optimizer in w.spec.optimizers]
        pairs = [(w, Measured(spec=w.spec, threads=w.threads)) for w in able]
        began, name = time.monotonic(), f"{job.optimizer}, batch {job.batch_size}"
        for worker, measured in pairs:
            _progress(f"{name}: first epoch of {worker.name}")
            self._guard(measured, lambda w=worker, m=measured: self._start(w, m, job))
        for number in range(rounds):
            for worker, measured in pairs:
                _progress(f"{name}: round {number + 1} of {rounds}, {worker.name}")
                if not _is_hopeless(measured, pairs):
                    self._guard(measured, lambda w=worker, m=measured: self._turn(w, m))
        _progress("")
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        return [measured for _, measured in pairs]

    def _guard(self, measured: Measured, act: Any) -> None:
        if measured.skipped:
            return
        try:
            act()
        except WorkerFailedError as failure:
            measured.skipped = str(failure)

    def _start(self, worker: Worker, measured: Measured, job: Job) -> None:
        answer = worker.ask("prepare", job=dataclasses.asdict(job))
        measured.note = answer["note"]
        self._versions.update(answer["versions"])
        measured.first = worker.ask("run", epochs=1)["measures"]

    def _turn(self, worker: Worker, measured: Measured) -> None:
        time.sleep(SETTLE_SECONDS)
        for name, value in worker.ask("run", epochs=EPOCHS_A_CALL)["measures"].items():
            measured.rounds.setdefault(name, []).append(value)


def _is_hopeless(measured: Measured, pairs: Iterable[tuple[Worker, Measured]]) -> bool:
    """Whether the first round showed that another number of threads is far better for the side."""
    first = _first_round(measured)
    others = [m for _, m in pairs if m.spec is measured.spec and m is not measured]
    known = [seconds for m in others if (seconds := _first_round(m)) is not None]
    return first is not None and bool(known) and first > MUCH_SLOWER * min(known)


def _first_round(measured: Measured) -> float | None:
    values = measured.rounds.get("epoch_seconds")
    return values[0] if values and not measured.skipped else None


def measure_all(
    specs: Sequence[Spec], jobs: Sequence[Job], rounds: int
) -> tuple[list[list[Measured]], dict[str, str]]:
    """Measures all sides on all jobs, then the first epoch of the first job with warm caches.

    Args:
        specs: The sides.
        jobs: What they do, one after another.
        rounds: Rounds after the first epochs.

    Returns:
        The results job by job, and the versions of the packages involved.
    """
    versions: dict[str, str] = {}
    trainers = [spec for spec in specs if spec.kind != "floor"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        caches = Path(folder)
        with workers(specs, caches) as started:
            interleaved = Interleaved(started, versions)
            cold = [interleaved.measure(job, rounds) for job in jobs]
        with workers(trainers, caches) as started:
            interleaved = Interleaved(started, versions)
            _attach_warm(cold[0], interleaved.measure(jobs[0], rounds=0))
    return cold, versions


def _attach_warm(results: Iterable[Measured], repeated: Iterable[Measured]) -> None:
    """Notes the warm first epochs beside the cold ones."""
    first = {(m.spec.name, m.threads): m.first for m in repeated}
    for measured in results:
        measured.first_warm = first.get((measured.spec.name, measured.threads), {})


def _progress(text: str) -> None:
    """One line that overwrites itself, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
