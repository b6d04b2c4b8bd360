"""One case: run under several seeds, verified by its outcome, and what the doctor said judged."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.doctor.cases import Case
from benchmarks.doctor.data import rows_of
from benchmarks.doctor.program import Program, score

DEPTHS = ("static", "init", "probe")
# What a faulty program must lose at least to be called faulty, and in units of the seeds' spread.
LEAST_LOSS, SPREADS = 0.02, 2.0


def run_once(program: Program, seed: int, doctor: Any) -> dict[str, Any]:
    """Trains under a seed; returns the score, what the doctor in `fit` said, and the ending.

    An error that `fit` or the network raises is the program's ending, with no score.
    """
    import evenkeel as ek

    rows = program.rows()
    ek.set_random_seed(seed)
    found: dict[str, Any] = {"score": None, "verdicts": (), "error": None, "outcome": None}
    try:
        model = program.model(rows)
        history = program.fit(model, rows, doctor=doctor)
        found["outcome"] = history.outcome.name
        if history.checkup is not None:
            found["verdicts"] = history.checkup.diagnosis.verdicts
        found["score"] = score(model, rows)
    except ValueError as error:
        found["error"] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return found


def examined(program: Program, seed: int, depth: str) -> tuple[Any, ...]:
    """Returns the verdicts of a checkup before the run."""
    import evenkeel as ek

    rows = program.rows()
    ek.set_random_seed(seed)
    model = program.model(rows)
    held: dict[str, Any] = {"validation_split": 0.2} if program.splits else {}
    result = ek.checkup(
        model,
        *rows.train,
        validation_data=None if program.splits else rows.valid,
        depth=depth,
        batch_size=program.batch_size,
        epochs=program.epochs,
        **held,
    )
    return result.diagnosis.verdicts


@functools.cache
def twin_scores(index: int, seeds: int) -> tuple[float, ...]:
    """Returns the scores of a healthy twin under each seed; `TWINS` holds the twins."""
    runs = [run_once(TWINS[index], seed, None) for seed in range(seeds)]
    return tuple(-1.0 if run["score"] is None else run["score"] for run in runs)


# Programs hold mappings, which have no hash; twins are few.
TWINS: list[Program] = []


def _twin_scores(program: Program, seeds: int) -> tuple[float, ...]:
    if program not in TWINS:
        TWINS.append(program)
    return twin_scores(TWINS.index(program), seeds)


def judged(case: Case, seeds: int, depth: str) -> dict[str, Any]:
    """Runs a case and judges what the doctor said of it.

    Args:
        case: The case.
        seeds: Under how many seeds.
        depth: How deep the checkup before the run looks.

    Returns:
        Scores, verification, and by seed what was said and whether it was right; as plain data.
    """
    try:
        rows_of(case.program.data)
    except FileNotFoundError as error:
        return {**_head(case), "is_verified": False, "why": str(error), "runs": []}
    runs, scores, errors = [], [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(seeds):
            ended = run_once(case.program, seed, "default")
            scores.append(ended["score"])
            errors.append(ended["error"])
            try:
                before = examined(case.program, seed, depth)
            except ValueError as error:
                errors[-1] = errors[-1] or f"checkup: {str(error).splitlines()[0]}"
                before = ()
            runs.append(_said(case, before, ended))
        twins = _twin_scores(case.twin, seeds) if case.twin is not None else ()
    is_verified, why = verified(case, scores, twins)
    return {
        **_head(case),
        "is_verified": is_verified,
        "why": why,
        "scores": scores,
        "twin_scores": list(twins),
        "errors": [error for error in errors if error],
        "runs": runs,
    }


def _head(case: Case) -> dict[str, Any]:
    return {
        "name": case.name,
        "part": case.part,
        "is_faulty": case.is_faulty,
        "data": case.program.data,
        "causes": list(case.causes),
        "fixes": list(case.fixes),
    }


def verified(
    case: Case, scores: Sequence[float | None], twins: Sequence[float]
) -> tuple[bool, str]:
    """Returns whether a case is what it says it is, by its scores, and why.

    A healthy program must reach its score under each seed. A faulty one must end in an error or
    score below its twin, in the mean, by more than twice the seeds' standard deviation and 0.02.
    """
    known = [value for value in scores if value is not None]
    if case.twin is None:
        worst = min(known) if len(known) == len(scores) else -math.inf
        return worst >= case.reaches, f"worst score {worst:.3f}, asked {case.reaches:g}"
    if len(known) < len(scores):
        return True, "it ends in an error"
    loss = float(np.mean(twins) - np.mean(known))
    spread = math.sqrt((_variance(known) + _variance(twins)) / 2)
    limit = max(LEAST_LOSS, SPREADS * spread)
    return loss > limit, f"{loss:.3f} below its twin, asked {limit:.3f}"


def _variance(values: Sequence[float]) -> float:
    return float(np.var(values, ddof=1)) if len(values) > 1 else 0.0


def arranged(before: Sequence[Any], run: Sequence[Any]) -> tuple[Any, ...]:
    """Returns the findings of a checkup and of a run as one list, causes first.

    What `fit` asked before its first step, the checkup has asked as well, and looked deeper.
    """
    from evenkeel.doctor.causes import by_cause
    from evenkeel.doctor.rules import STATIC_RULES

    every = [*before, *run[len(STATIC_RULES) :]] if before else run
    return by_cause([finding for verdict in every for finding in verdict.findings])


def _said(case: Case, before: Sequence[Any], ended: dict[str, Any]) -> dict[str, Any]:
    findings = arranged(before, ended["verdicts"])
    loud = [f for f in findings if f.severity != "note"]
    every = [inner for f in findings for inner in f.everything if inner.severity != "note"]
    first = loud[0] if loud else None
    return {
        "is_flagged": bool(every),
        "is_cause_first": first is not None and first.code in case.causes,
        "is_cause_named": any(f.code in case.causes for f in every),
        "is_fix_named": first is not None and any(r in case.fixes for r in first.remedies),
        "is_fix_first": first is not None and bool(set(first.remedies[:1]) & set(case.fixes)),
        "findings": [_written(finding) for finding in findings],
    }


def _written(finding: Any) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "confidence": round(finding.confidence, 2),
        "remedies": list(finding.remedies),
        "sentence": finding.sentence,
        "symptoms": [inner.code for inner in finding.everything[1:]],
    }
