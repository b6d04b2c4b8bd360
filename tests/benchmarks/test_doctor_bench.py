"""The bench of patients: right answers are words that exist, and rates are what they say."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("benchmarks", reason="the bench stands beside the package, not in it")

from benchmarks.doctor import CASES
from benchmarks.doctor.cases import Case
from benchmarks.doctor.faulty import FAULTY
from benchmarks.doctor.healthy import HEALTHY
from benchmarks.doctor.judging import verified
from benchmarks.doctor.program import Program
from benchmarks.doctor.scores import PARTS, part_of, rate, rates, wilson
from evenkeel.doctor.remedies import REMEDIES
from evenkeel.doctor.vocabulary import CODES


def test_right_answers_are_words_of_the_vocabulary():
    for case in FAULTY:
        assert set() < set(case.causes) <= set(CODES), case.name
        assert set() < set(case.fixes) <= set(REMEDIES), case.name


def test_the_bench_is_as_large_as_its_claim():
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(FAULTY) >= 60
    assert len({case.program.data for case in FAULTY}) >= 8
    # Two runs of each are a hundred runs and more.
    assert len(HEALTHY) >= 50
    for part in PARTS:
        assert sum(case.part == part for case in FAULTY) >= 20


def test_the_part_of_a_program_is_its_name_s_alone():
    """The parts were fixed before anything was run: these must not move."""
    names = ("digits: rate 10x too high", "iris, dense", "fashion: rate 10x too high")
    assert [part_of(name) for name in names] == ["tuning", "tuning", "unseen"]


def test_wilson_s_interval_solves_its_equation():
    """Its ends are the p with (s - p)² = z² p (1 - p) / n."""
    for successes, n in ((3, 10), (57, 60), (0, 25)):
        share = successes / n
        for end in wilson(successes, n):
            assert math.isclose((share - end) ** 2, 1.959964**2 * end * (1 - end) / n, abs_tol=1e-9)


def test_a_program_counts_once_whatever_its_seeds():
    found = rate([[True, True, True], [False]])
    assert (found.share, found.n, found.runs) == (0.5, 2, 4)


def test_cases_that_are_not_what_they_say_are_left_out_of_rates():
    answers = ("is_flagged", "is_cause_first", "is_cause_named", "is_fix_named", "is_fix_first")
    case = {"is_faulty": True, "runs": [dict.fromkeys(answers, True)]}
    found = rates([{**case, "is_verified": True}, {**case, "is_verified": False}])
    assert found["faulty runs detected"].n == 1


def test_a_fault_must_cost_more_than_the_seeds_noise():
    twin = Program(data="digits")
    case = Case(name="x", program=twin, twin=twin, causes=("init-scale",))
    assert verified(case, [0.5, 0.51], [0.9, 0.91])[0]
    assert not verified(case, [0.5, 0.9], [0.8, 0.81])[0]
    assert not verified(case, [0.9, 0.9], [0.91, 0.91])[0]
    assert verified(case, [None, 0.9], [0.9, 0.9])[0]


def test_a_healthy_program_must_reach_its_score_under_every_seed():
    case = Case(name="x", program=Program(data="digits"), reaches=0.9)
    assert verified(case, [0.91, 0.95], ())[0]
    assert not verified(case, [0.99, 0.89], ())[0]
    assert not verified(case, [0.99, None], ())[0]
