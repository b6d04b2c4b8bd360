"""Repairs of faulty programs, against a random search and a sweep of the rate of equal steps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.doctor.cases import Case
from benchmarks.doctor.program import Prepared, Program, score
from benchmarks.doctor.scores import PARTS, Rate, rate

SEEDS = range(3)
# Scores as near as this are a draw.
DRAW = 0.01
BETTER, WORSE, SAME = "better", "worse", "no better"


def contest(case: Case, budget: int) -> dict[str, Any]:
    """Has a faulty program repaired, and lets two searches take as many steps.

    The rows that judge in the end are seen neither by the repair nor by the searches, which have
    the program's validation rows. The repair counts as better, or worse, where its score is off the
    mean of the untreated program by more than twice the seeds' standard deviation and 0.02.

    Args:
        case: The case.
        budget: The steps that the repair may take; the searches take as many as it took.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = [_outcome(case.program, seed)[1] for seed in SEEDS]
        treated, steps, chain = _repaired(case.program, budget)
        steps = max(steps, _steps(case.program))
        random = _searched(_random_programs(case.program), case.program, steps)
        sweep = _searched(_rates(case.program, steps), case.program, steps)
    limit = max(0.02, 2 * float(np.std(before, ddof=1)))
    gain = treated - float(np.mean(before))
    return {
        "before": before,
        "after": treated,
        "accepted": chain,
        "steps": steps,
        "random search": random,
        "sweep of the rate": sweep,
        "verdict": BETTER if gain > limit else WORSE if gain < -limit else SAME,
    }


def _outcome(program: Program, seed: int) -> tuple[float, float]:
    """Returns the scores on validation rows and on those of the bench; a constant's of an error."""
    import evenkeel as ek

    rows = program.rows()
    ek.set_random_seed(seed)
    try:
        model = program.model(rows)
        program.fit(model, rows, doctor=None)
        return score(model, _validated(rows)), score(model, rows)
    except ValueError:
        trivial = 0.0 if rows.classes is None else 1 / rows.classes
        return -math.inf, trivial


def _validated(rows: Prepared) -> Prepared:
    x, y = rows.valid
    truth = y.argmax(axis=1) if y.ndim > 1 else y
    return replace(rows, x_test=x, truth=truth)


def _repaired(program: Program, budget: int) -> tuple[float, int, list[list[str]]]:
    import evenkeel as ek

    rows = program.rows()
    ek.set_random_seed(0)
    try:
        model = program.model(rows)
        treatment = ek.repair(
            model,
            *rows.train,
            validation_data=None if program.splits else rows.valid,
            budget=budget,
            depth="init",
            batch_size=program.batch_size,
            epochs=program.epochs,
        )
    except ValueError as error:
        trivial = 0.0 if rows.classes is None else 1 / rows.classes
        return trivial, 0, [[f"refused: {str(error).splitlines()[0]}"]]
    chain = [list(attempt.remedies) for attempt in treatment.accepted]
    return score(treatment.model, rows), treatment.steps, chain


def _steps(program: Program) -> int:
    rows = len(program.rows().train[0])
    return program.epochs * math.ceil(rows / program.batch_size)


def _random_programs(program: Program) -> Iterable[Program]:
    """Draws what a person would search over: rate, optimizer, weights, activation, inputs."""
    draw = np.random.Generator(np.random.Philox(13))
    usual: list[tuple[str, dict[str, float]]] = [
        ("Adam", {}),
        ("SGD", {"momentum": 0.9}),
        ("RMSprop", {}),
    ]
    while True:
        optimizer, settings = usual[draw.integers(len(usual))]
        yield replace(
            program,
            rate=float(10 ** draw.uniform(-5, 0)),
            optimizer=optimizer,
            settings=settings,
            activation=str(draw.choice(["relu", "elu", "selu", "tanh", program.activation])),
            initializer=str(draw.choice(["he_normal", "glorot_uniform", "lecun_normal"])),
            normalization=[None, 0.9, program.normalization][draw.integers(3)],
            batch_size=int(draw.choice([16, 32, 64, program.batch_size])),
        )


def _rates(program: Program, steps: int) -> Sequence[Program]:
    count = max(1, steps // _steps(program))
    rates = np.geomspace(1e-5, 1.0, count) if count > 1 else [1e-3]
    return [replace(program, rate=float(rate)) for rate in rates]


def _searched(programs: Iterable[Program], program: Program, steps: int) -> float:
    """Returns the score of the program that validates best, within so many steps.

    The program as it is takes part; its own run does not count against the steps.
    """
    best = _outcome(program, 0)
    for other in programs:
        steps -= _steps(other)
        if steps < 0:
            break
        best = max(best, _outcome(other, 0))
    return best[1]


def repair_tables(repairs: Mapping[str, Mapping[str, Any]]) -> list[report.Table]:
    """The tables of the repairs that a record has."""
    if not repairs:
        return []
    rows = []
    for title, answers in _answers(repairs).items():
        cells = []
        for part in PARTS:
            found: Rate = rate([a] for p, a in answers if p == part)
            cells += [str(found), str(found.n)]
        rows.append([title, *cells, _GOALS[title]])
    detail = [
        [
            name,
            f"{np.mean(found['before']):.3f}",
            f"{found['after']:.3f}",
            f"{found['random search']:.3f}",
            f"{found['sweep of the rate']:.3f}",
            f"{found['steps']:,}",
            "; ".join(" + ".join(names) for names in found["accepted"]) or "nothing",
        ]
        for name, found in repairs.items()
    ]
    return [
        report.Table(
            title="Repairs, judged on rows that nobody saw (Wilson interval, 95 %)",
            headings=["", "tuning", "programs", "unseen", "programs", "goal"],
            rows=rows,
        ),
        report.Table(
            title="Scores: balanced accuracy, or part of the variance explained",
            headings=["case", "before", "repaired", "random", "sweep", "steps", "accepted"],
            rows=detail,
        ),
    ]


_GOALS = {
    "repaired: better than before": ">= 80 %",
    "worse than before": "none",
    "better than random search": ">= 70 %",
    "at least as good as random search": "",
    "better than a sweep of the rate": ">= 70 %",
    "at least as good as a sweep of the rate": "",
}


def _answers(repairs: Mapping[str, Mapping[str, Any]]) -> dict[str, list[tuple[str, bool]]]:
    every = list(repairs.values())

    def beats(side: str, margin: float) -> list[tuple[str, bool]]:
        return [(r["part"], r["after"] > r[side] + margin) for r in every]

    answers = (
        [(r["part"], r["verdict"] == BETTER) for r in every],
        [(r["part"], r["verdict"] == WORSE) for r in every],
        beats("random search", DRAW),
        beats("random search", -DRAW),
        beats("sweep of the rate", DRAW),
        beats("sweep of the rate", -DRAW),
    )
    return dict(zip(_GOALS, answers, strict=True))
