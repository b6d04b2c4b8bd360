"""The claim about GPUs: microseconds per training step, beside PyTorch's fastest forms.

A GPU is told what to do kernel by kernel, and with small networks the telling takes longer than
the doing. So the peers are those that tell it least: CUDA graphs and `torch.compile`. All sides
keep their data on the GPU and multiply in the same precision, which a column names.

Everything is compiled first, several sides at a time; then they take turns. A turn trains one
epoch and then several, each in one call: the difference divided by its steps is the time of a
step, and the rest is what a call costs beside its steps.

`--device cpu --scale 0.05 --only nesterov-32` tries the command out where there is no GPU.
"""

import argparse
import contextlib
import dataclasses
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness, report
from benchmarks.job import LABELS, WIDTHS, Job
from benchmarks.peers import Spec

PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32"}
"""JAX's names for them; both libraries are told, because their defaults differ."""

DEEP_WIDTHS = (784, *[100] * 100, 10)
GRAPHED_STEPS = 16
"""Steps in a CUDA graph of PyTorch, beside one."""

COMPILING_LEAVES = 0.4
"""The part of the time budget that is kept for the rounds."""

# XLA's defaults, and loops: a whole stretch of steps is then one CUDA graph.
_LOOPS_AS_GRAPHS = "--xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One section of the table.

    Args:
        name: What the record calls it.
        job: What is trained.
        epochs: Epochs in the longer call of a turn, beyond the one of the shorter.
        precision: A key of `PRECISIONS`.
    """

    name: str
    job: Job
    epochs: int
    precision: str = "float32"

    @property
    def is_deep(self) -> bool:
        """Whether it is the deep network, which takes long to compile and gets own workers."""
        return self.job.widths != WIDTHS


def cases(batch_sizes: Sequence[int], scale: float) -> list[Case]:
    """The sections: the notes' network with two optimizers and precisions, and a deep one.

    Args:
        batch_sizes: Of the notes' network.
        scale: What to multiply the rows with, for a trial on a slow device.
    """

    def job(batch: int, **settings: Any) -> Job:
        rows = 16384 if batch <= 64 else 65536
        return Job(batch_size=batch, samples=_whole(rows * scale, batch), **settings)

    epochs = {batch: 2 if batch <= 64 else 4 if batch <= 512 else 32 for batch in batch_sizes}
    found = [
        Case(name=f"{optimizer}-{batch}", job=job(batch, optimizer=optimizer), epochs=epochs[batch])
        for optimizer in ("nesterov", "adam")
        for batch in batch_sizes
    ]
    found.extend(
        Case(name=f"tf32-nesterov-{b}", job=job(b), epochs=epochs[b], precision="tf32")
        for b in batch_sizes
    )
    deep = Job(
        batch_size=32,
        samples=_whole(2048 * scale, 32),
        widths=DEEP_WIDTHS,
        activation="selu",
        slowing=10.0,
    )
    return [*found, Case(name="deep-32", job=deep, epochs=2)]


def _whole(rows: float, batch: int) -> int:
    """The next number of rows that make whole graphs of `GRAPHED_STEPS` steps."""
    unit = batch * GRAPHED_STEPS
    return max(1, round(rows / unit)) * unit


def sides(device: str, precision: str) -> list[Spec]:
    """All sides in one precision, ours first."""
    platforms = "cuda,cpu" if device == "cuda" else device
    platform = {"JAX_PLATFORMS": platforms, "JAX_DEFAULT_MATMUL_PRECISION": PRECISIONS[precision]}
    # A small part of the memory for each JAX process: there are ten, and as many of PyTorch.
    jax = {**platform, "XLA_PYTHON_CLIENT_MEM_FRACTION": ".04", "TERM": "xterm"}
    graphs = {**jax, "XLA_FLAGS": _LOOPS_AS_GRAPHS}
    torch = {"device": device, "precision": precision}
    ours = {"target": "benchmarks.peers.evenkeel_side:EvenkeelSide"}
    scan = {"kind": "reference", "target": "benchmarks.peers.jax_scan:JaxScan"}
    eager = {"target": "benchmarks.peers.torch_eager:TorchEager"}
    graphed = {"target": "benchmarks.peers.torch_graphed:TorchGraphed"}
    compiled = {"target": "benchmarks.peers.torch_compiled:TorchCompiled"}
    found = [
        Spec(name="evenkeel", label="evenkeel", kind="ours", environment=jax, **ours),
        Spec(
            name="evenkeel-unseen",
            label="evenkeel, telemetry off",
            kind="reference",
            options={"telemetry": "off"},
            environment=jax,
            **ours,
        ),
        Spec(
            name="evenkeel-graphs",
            label="evenkeel, loops as CUDA graphs",
            kind="reference",
            environment=graphs,
            **ours,
        ),
        Spec(name="jax-scan", label="bare jax.lax.scan", environment=jax, **scan),
        Spec(
            name="jax-scan-graphs",
            label="bare jax.lax.scan, loops as CUDA graphs",
            environment=graphs,
            **scan,
        ),
        Spec(
            name="torch-eager",
            label="PyTorch eager, fused optimizer",
            options={"implementation": "fused", **torch},
            **eager,
        ),
        *(
            Spec(
                name=f"torch-graph-{steps}",
                label=f"PyTorch, CUDA graph of {steps} step{'s' if steps > 1 else ''}",
                options={"steps_per_graph": steps, "precision": precision},
                **graphed,
            )
            for steps in (1, GRAPHED_STEPS)
        ),
        Spec(
            name="torch-compiled",
            label="PyTorch, torch.compile, reduce-overhead",
            options=torch,
            environment={"TORCHINDUCTOR_COMPILE_THREADS": "4"},
            **compiled,
        ),
    ]
    only_float32 = ("evenkeel-unseen", "evenkeel-graphs", "jax-scan-graphs", "torch-eager")
    return [s for s in found if precision == "float32" or s.name not in only_float32]


@dataclasses.dataclass(kw_only=True)
class Entry:
    """One side of one section.

    Args:
        case: The section.
        spec: The side.
        worker: Its process.
        note: What it says about its settings.
        versions: Of the packages that it uses.
        first_epoch_seconds: Compilation and one epoch.
        microseconds: Per step, one value a round.
        call_milliseconds: What a call costs beside its steps, one value a round.
        losses: The mean training loss of each call's last epoch.
        skipped: Why it was left out, or empty.
    """

    case: Case
    spec: Spec
    worker: harness.Worker
    note: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    first_epoch_seconds: float | None = None
    microseconds: list[float] = dataclasses.field(default_factory=list)
    call_milliseconds: list[float] = dataclasses.field(default_factory=list)
    losses: list[float] = dataclasses.field(default_factory=list)
    skipped: str = ""

    @property
    def median(self) -> float | None:
        """Median microseconds per step."""
        return report.summary(self.microseconds)["median"] if self.microseconds else None

    @property
    def why_not(self) -> str:
        """Why there is no time."""
        return self.skipped or "no round within the time budget"

    def record(self) -> dict[str, Any]:
        """The entry as the JSON record keeps it."""
        if not self.microseconds:
            return {"label": self.spec.label, "skipped": self.why_not}
        return {
            "label": self.spec.label,
            "kind": self.spec.kind,
            "note": self.note,
            "first_epoch_seconds": self.first_epoch_seconds,
            "microseconds_per_step": self.microseconds,
            "median_microseconds_per_step": self.median,
            "call_milliseconds": self.call_milliseconds,
            "loss": self.losses,
            "skipped": self.skipped,
        }


class Budget:
    """A time by which everything has to be over.

    Args:
        seconds: From now.
    """

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._end - time.monotonic()


def guarded(entry: Entry, act: Callable[[Entry, Budget], None], budget: Budget) -> None:
    """Lets an entry act, unless it failed before or time is up; notes why it fails."""
    if entry.skipped:
        return
    if budget.left <= 0:
        entry.skipped = "not reached within the time budget"
        return
    try:
        act(entry, budget)
    except harness.WorkerFailedError as failure:
        entry.skipped = "not ready within the time budget" if budget.left <= 1 else str(failure)
        say(f"{entry.case.name}, {entry.spec.name}: {failure}\n{entry.worker.errors()}")


def first_epoch(entry: Entry, budget: Budget) -> None:
    """Prepares an entry and trains one epoch, in which its side compiles."""
    slot, job = entry.case.name, dataclasses.asdict(entry.case.job)
    answer = entry.worker.ask("prepare", slot=slot, seconds=budget.left, job=job)
    entry.note, entry.versions = answer["note"], answer["versions"]
    started = time.perf_counter()
    seconds = max(budget.left, 0.1)
    measures = entry.worker.ask("run", slot=slot, seconds=seconds, epochs=1)["measures"]
    entry.first_epoch_seconds = time.perf_counter() - started
    entry.losses.append(measures["loss"])
    say(f"{slot}, {entry.spec.name}: first epoch {entry.first_epoch_seconds:.1f} s")


def turn(entry: Entry, budget: Budget) -> None:
    """Trains one epoch, then one and several more."""
    seconds = []
    for epochs in (1, 1 + entry.case.epochs):
        measures = entry.worker.ask(
            "run", slot=entry.case.name, seconds=max(budget.left, 1.0), epochs=epochs
        )["measures"]
        seconds.append(measures["epoch_seconds"] * epochs)
    epoch = (seconds[1] - seconds[0]) / entry.case.epochs
    entry.microseconds.append(1e6 * epoch / entry.case.job.steps)
    entry.call_milliseconds.append(1e3 * (seconds[0] - epoch))
    entry.losses.append(measures["loss"])


def lanes(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Entries whose first epochs go one after another; the lanes run side by side.

    What compiles for long has a lane of its own. PyTorch's other sides share one.
    """
    found: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        own = entry.spec.name
        shared = "torch" if own.startswith(("torch-eager", "torch-graph")) else own
        found.setdefault((shared, entry.case.precision, str(entry.case.is_deep)), []).append(entry)
    return list(found.values())


def compile_all(entries: Sequence[Entry], budget: Budget) -> None:
    """Runs all first epochs; what would hardly be ready in time is left out."""

    def go(lane: Sequence[Entry]) -> None:
        longest = 0.0
        for entry in lane:
            if longest > budget.left:  # running out of time would end the worker and its other jobs
                entry.skipped = "would not be ready within the time budget"
                continue
            began = time.monotonic()
            guarded(entry, first_epoch, budget)
            longest = max(longest, time.monotonic() - began)

    threads = [threading.Thread(target=go, args=(lane,)) for lane in lanes(entries)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def hardware() -> dict[str, Any]:
    """The machine, and the GPU as its driver names it."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        gpu = found.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        gpu = "none"
    return {**report.machine(), "gpu": gpu}


def tables(record: Mapping[str, Any]) -> list[report.Table]:
    """The tables of a record: one for each section."""
    return [_table(name, case) for name, case in record["cases"].items()]


def _table(name: str, case: Mapping[str, Any]) -> report.Table:
    """One section, ours in bold."""
    sides = case["sides"].values()
    medians = [side.get("median_microseconds_per_step") for side in sides]
    ours = next((m for m, s in zip(medians, sides, strict=True) if s.get("kind") == "ours"), None)
    rows = [
        _row(side, median, ours)
        if median
        else [side["label"], "-", "", "", "", "", side["skipped"]]
        for side, median in zip(sides, medians, strict=True)
    ]
    job, layers = case["job"], len(case["job"]["widths"]) - 1
    title = (
        f"{name}: microseconds per step, {LABELS[job['optimizer']]}, batch {job['batch_size']}, "
        f"{layers} layers, {case['precision']} products"
    )
    headings = ["side", "µs", "spread", "× ours", "a call, ms", "1st epoch, s", "loss"]
    bold = [n for n, side in enumerate(sides) if side.get("kind") == "ours"]
    return report.Table(title=title, headings=headings, rows=rows, bold=bold)


def _row(side: Mapping[str, Any], median: float, ours: float | None) -> list[str]:
    times = side["microseconds_per_step"]
    return [
        side["label"],
        f"{median:.1f}",
        f"{100 * (max(times) - min(times)) / median:.0f} %",
        f"{median / ours:.2f}" if ours else "-",
        f"{report.summary(side['call_milliseconds'])['median']:.1f}",
        f"{side['first_epoch_seconds']:.1f}",
        f"{side['loss'][-1]:.3f}",
    ]


@contextlib.contextmanager
def started(
    chosen: Iterable[Case], device: str, names: Sequence[str] | None, caches: Path
) -> Iterator[list[Entry]]:
    """Starts a worker for each side, precision and depth; yields an entry for each case of each."""
    found: dict[tuple[str, bool], list[Case]] = {}
    for case in chosen:
        found.setdefault((case.precision, case.is_deep), []).append(case)
    with contextlib.ExitStack() as stack:
        entries = []
        for (precision, is_deep), group in found.items():
            specs = [s for s in sides(device, precision) if _is_wanted(s, names, is_deep)]
            own = caches / f"{precision}-{'deep' if is_deep else 'small'}"
            workers = stack.enter_context(harness.workers(specs, own))
            entries.extend(
                Entry(case=case, spec=worker.spec, worker=worker)
                for case in group
                for worker in workers
            )
        yield entries


def _is_wanted(spec: Spec, names: Sequence[str] | None, is_deep: bool) -> bool:
    """Ours always; the forms of ours with one setting changed only where they compile quickly."""
    if names is not None and spec.kind != "ours" and spec.name not in names:
        return False
    return not (is_deep and spec.name in ("evenkeel-unseen", "jax-scan-graphs"))


def take_turns(
    entries: Sequence[Entry], rounds: int, budget: Budget, keep: Callable[[], None]
) -> None:
    """Lets all entries take turns, round after round, while there is time.

    Args:
        entries: Who takes turns, in the order of the table.
        rounds: How often.
        budget: When to stop.
        keep: Called after every round, so that nothing is lost if the next one is cut off.
    """
    for number in range(rounds):
        began = time.monotonic()
        for entry in entries:
            if budget.left <= 0:
                break
            guarded(entry, turn, budget)
        took = time.monotonic() - began
        say(f"round {number + 1} of {rounds}: {took:.0f} s, {budget.left:.0f} s left")
        keep()
        if took > budget.left:
            break


def say(text: str) -> None:
    """One line about how far it is, for a log."""
    print(text, file=sys.stderr, flush=True)


def by_case(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Entries by the name of their section, in order."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.case.name, []).append(entry)
    return found


def record_of(entries: Sequence[Entry], machine: Mapping[str, Any], rounds: int) -> dict[str, Any]:
    """Everything as the JSON record keeps it."""
    versions = {name: version for e in entries for name, version in e.versions.items()}
    return {
        "claim": "gpu",
        "rounds": rounds,
        "unit": "microseconds per step = difference of two calls / steps between them",
        "optimizers": LABELS,
        "machine": machine,
        "versions": dict(sorted(versions.items())),
        "cases": {
            name: {
                **dataclasses.asdict(group[0].case),
                "sides": {entry.spec.name: entry.record() for entry in group},
            }
            for name, group in by_case(entries).items()
        },
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this claim."""
    parser.set_defaults(batch_sizes=[32, 256, 4096])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a trial")
    parser.add_argument("--budget", type=float, default=300.0, help="seconds for everything")
    parser.add_argument("--scale", type=float, default=1.0, help="of the rows, for a trial")
    parser.add_argument("--only", help="comma-separated beginnings of the sections' names")


def run(
    *,
    rounds: int,
    batch_sizes: Sequence[int],
    samples: int | None,
    peers: Sequence[str] | None,
    out: Path,
    device: str,
    budget: float,
    scale: float,
    only: str | None,
) -> None:
    """Measures, prints the table and writes the record.

    Args:
        rounds: Rounds after the first epochs.
        batch_sizes: Of the notes' network.
        samples: Must be None: each section has its own rows.
        peers: Names of sides to include beside ours; None includes all.
        out: Where the record goes.
        device: "cuda", or "cpu" to try the command out.
        budget: Seconds after which nothing new begins.
        scale: What to multiply the rows with.
        only: Beginnings of the names of the sections to measure, comma-separated; None: all.

    Raises:
        ValueError: If samples are given, or no section has such a name.
    """
    if samples is not None:
        raise ValueError("each section has rows of its own.\nLeave --samples out, type --scale.")
    clock, machine = Budget(budget), hardware()
    beginnings = tuple(only.split(",")) if only else ("",)
    every = cases(batch_sizes, scale)
    chosen = [case for case in every if case.name.startswith(beginnings)]
    if not chosen:
        raise ValueError(f"the sections are {', '.join(c.name for c in every)}.\nType --only adam")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        started(chosen, device, peers, Path(folder)) as entries,
    ):
        compile_all(entries, Budget(clock.left - COMPILING_LEAVES * budget))
        say(f"first epochs done, {clock.left:.0f} s left")

        def keep() -> None:
            report.write(record_of(entries, machine, rounds), out)

        keep()
        take_turns(entries, rounds, clock, keep)
        report.show(tables(record_of(entries, machine, rounds)))
