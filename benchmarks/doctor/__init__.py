"""The claim about the doctor's judgement: faulty programs, healthy ones, and how often it is right.

A case is a program as a person would type it (`program`, `cases`): faulty ones are healthy ones in
which something was changed, with the causes and fixes that count as right (`faulty`); healthy ones
must reach a score (`healthy`). Each is run under several seeds and verified by its outcome
(`judging`): what is not as sick, or as healthy, as it should be is reported and left out. The parts
"tuning" and "unseen" are split by the name of the case; rules are tuned on the first alone.
`--repairs` has some of the faulty programs of a part repaired, against a random search and a sweep
of the rate that may take as many steps (`repairing`).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.doctor import data
from benchmarks.doctor.cases import Case
from benchmarks.doctor.faulty import FAULTY
from benchmarks.doctor.healthy import HEALTHY
from benchmarks.doctor.judging import DEPTHS, judged
from benchmarks.doctor.repairing import contest, repair_tables
from benchmarks.doctor.scores import GOALS, PARTS, Rate, draw_of, rates

# In an order that is drawn by name, so that a run that is cut short has some of everything.
CASES: tuple[Case, ...] = tuple(sorted((*FAULTY, *HEALTHY), key=lambda case: draw_of(case.name)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this claim takes besides."""
    parser.add_argument("--part", choices=(*PARTS, "both"), default="tuning")
    parser.add_argument("--kind", choices=("faulty", "healthy", "both"), default="both")
    parser.add_argument("--only", nargs="+", default=[], help="cases whose name holds one of these")
    parser.add_argument("--depth", choices=DEPTHS, default="probe", help="of the checkup")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each case")
    parser.add_argument("--keep", action="store_true", help="leave what the record has")
    parser.add_argument("--repairs", type=int, default=0, help="faulty programs to repair")
    parser.add_argument("--budget", type=int, default=20_000, help="steps of each repair")
    parser.add_argument("--folder", type=Path, help="folder of california_housing.csv and uci/")


def run(
    *,
    rounds: int,
    batch_sizes: Sequence[int],
    samples: int | None,
    peers: Sequence[str] | None,
    out: Path,
    part: str = "tuning",
    kind: str = "both",
    only: Sequence[str] = (),
    depth: str = "probe",
    seeds: int = 3,
    keep: bool = False,
    repairs: int = 0,
    budget: int = 20_000,
    folder: Path | None = None,
) -> None:
    """Runs and judges the cases, prints the tables and writes the record after each case.

    Args:
        rounds: Not used: there is one run for each seed.
        batch_sizes: Not used: they are the programs'.
        samples: Not used: so are the rows.
        peers: Not used.
        out: Where the record goes; what it has of other cases stays.
        part: Which part is run.
        kind: Which kind of programs.
        only: Words of which a case's name must hold one; all cases when empty.
        depth: How deep the checkup before each run looks.
        seeds: Runs of each case.
        keep: Whether cases that the record has are left as they are.
        repairs: How many of the verified faulty programs are repaired.
        budget: The steps of each repair.
        folder: The folder of tables that are not bundled.

    Raises:
        ValueError: If fewer than two seeds are asked for.
    """
    del rounds, batch_sizes, samples, peers
    if seeds < 2:
        raise ValueError("a case is verified by the spread of its seeds.\nType --seeds 2 or more.")
    if folder is not None:
        data.TABLES[0] = folder
    record = report.read(out) if out.is_file() else {"claim": "doctor", "cases": {}, "repairs": {}}
    record["machine"] = report.machine()
    record["versions"] = {name: version(name) for name in ("evenkeel", "jax", "numpy")}
    record["rounds"] = seeds
    asked = [
        case
        for case in CASES
        if part in ("both", case.part)
        and kind in ("both", "faulty" if case.is_faulty else "healthy")
        and (not only or any(word in case.name for word in only))
    ]
    for number, case in enumerate(asked, 1):
        if not (keep and case.name in record["cases"]):
            started = time.perf_counter()
            found = {**judged(case, seeds, depth), "depth": depth}
            record["cases"][case.name] = found
            report.write(record, out)
            took = time.perf_counter() - started
            print(f"[{number}/{len(asked)}] {_line(found)} ({took:.0f} s)", file=sys.stderr)
    sick = [c for c in asked if c.is_faulty and record["cases"][c.name]["is_verified"]]
    for case in _spread(sick, repairs):
        if not (keep and case.name in record["repairs"]):
            record["repairs"][case.name] = found = {**contest(case, budget), "part": case.part}
            report.write(record, out)
            print(f"repair of {case.name}: {found['verdict']}", file=sys.stderr)
    report.show(tables(record))


def _spread(cases: Sequence[Case], count: int) -> list[Case]:
    """Returns so many cases from all over the list."""
    step = max(1.0, len(cases) / count) if count else 1.0
    return [cases[int(i * step)] for i in range(min(count, len(cases)))]


def _line(found: Mapping[str, Any]) -> str:
    if not found["is_verified"]:
        return f"{found['name']}: left out, {found['why']}"
    said = [run["findings"][0]["code"] if run["findings"] else "-" for run in found["runs"]]
    keys = ("is_cause_first", "is_cause_named") if found["is_faulty"] else ("is_flagged",)
    marks = ", ".join(f"{key[3:]} {sum(run[key] for run in found['runs'])}" for key in keys)
    return f"{found['name']}: {', '.join(said)}; {marks} of {len(said)}; {found['why']}"


def tables(record: Mapping[str, Any]) -> list[report.Table]:
    """What the record amounts to: rates by part, kinds of data, misses, cases left out."""
    cases = list(record["cases"].values())
    by_part = {part: rates([c for c in cases if c["part"] == part]) for part in PARTS}
    rows = []
    for name, goal in GOALS.items():
        cells = []
        for part in PARTS:
            found = by_part[part][name]
            if isinstance(found, Rate):
                cells += [str(found), f"{found.n} / {found.runs}"]
            else:
                cells += ["none" if found != found else f"{100 * found:.1f} %", ""]
        rows.append([name, *cells, goal])
    made = [
        report.Table(
            title="What the doctor says of programs, share (Wilson interval, 95 %)",
            headings=["", "tuning", "programs / runs", "unseen", "programs / runs", "goal"],
            rows=rows,
        ),
        _by_data(cases),
        _wrong(cases),
        _left_out(cases),
    ]
    return [table for table in made if table.rows] + repair_tables(record.get("repairs", {}))


def _by_data(cases: Sequence[Mapping[str, Any]]) -> report.Table:
    rows = []
    for name in dict.fromkeys(case["data"] for case in cases):
        found = rates([case for case in cases if case["data"] == name])
        rows.append([name, *(str(value) for value in list(found.values())[:4])])
    return report.Table(title="By data set", headings=["data", *list(GOALS)[:4]], rows=rows)


def _wrong(cases: Sequence[Mapping[str, Any]]) -> report.Table:
    """The cases in which the doctor was wrong under some seed."""
    rows = []
    for case in cases:
        runs = case["runs"]
        key = "is_cause_first" if case["is_faulty"] else "is_flagged"
        wrong = [run for run in runs if run[key] != case["is_faulty"]]
        if case["is_verified"] and wrong:
            said = dict.fromkeys(
                f["code"] for run in wrong for f in run["findings"][:1] if f["severity"] != "note"
            )
            named = sum(run["is_cause_named"] for run in runs)
            rows.append(
                [
                    case["name"],
                    case["part"],
                    ", ".join(case["causes"][:2]) or "healthy",
                    ", ".join(said) or "nothing",
                    f"{len(wrong)} of {len(runs)}",
                    f"{named}" if case["is_faulty"] else "",
                ]
            )
    return report.Table(
        title="Where it was wrong",
        headings=["case", "part", "right", "said first", "runs", "named in"],
        rows=rows,
    )


def _left_out(cases: Sequence[Mapping[str, Any]]) -> report.Table:
    return report.Table(
        title="Left out: not as sick, or as healthy, as it should be",
        headings=["case", "part", "why"],
        rows=[[c["name"], c["part"], c["why"]] for c in cases if not c["is_verified"]],
    )
