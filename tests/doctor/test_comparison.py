"""Whether one arm is better: how often chance is taken for a cure, and what is given up early."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from evenkeel.doctor.comparison import WORTH, compare, is_hopeless, student_limit


def arms(random, seeds=3, rows=60, effect=0.0, of_seed=0.2, of_row=0.5, of_both=0.3):
    """Losses of two arms whose difference has noise of seeds, of rows, and of both."""
    difference = effect + (
        of_seed * random.normal(size=(seeds, 1))
        + of_row * random.normal(size=(1, rows))
        + of_both * random.normal(size=(seeds, rows))
    )
    before = random.random((seeds, rows))
    return before, before - difference


@pytest.mark.parametrize("degrees", [1, 2, 3, 9, 30])
def test_the_limit_is_a_percentile_of_students_t(degrees):
    """The area beyond the limit, by another rule of quadrature over the density itself."""
    t = student_limit(degrees) + np.geomspace(1e-6, 1e6, 400_001)
    log_density = (
        math.lgamma((degrees + 1) / 2)
        - math.lgamma(degrees / 2)
        - 0.5 * math.log(degrees * math.pi)
        - (degrees + 1) / 2 * np.log1p(t**2 / degrees)
    )
    density = np.exp(log_density)
    area = float(np.sum((density[1:] + density[:-1]) / 2 * np.diff(t)))
    assert area == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize(
    "noise",
    [
        {"of_seed": 0.5, "of_row": 0.0, "of_both": 0.1},
        {"of_seed": 0.0, "of_row": 1.0, "of_both": 0.1},
        {"of_seed": 0.3, "of_row": 1.0, "of_both": 0.3},
    ],
    ids=["seeds", "rows", "both"],
)
def test_chance_is_seldom_taken_for_a_cure(noise):
    """At most 5 % of 1,000 draws without an effect, and three standard deviations of that."""
    random = np.random.default_rng(1)
    taken = sum(compare(*arms(random, **noise)).is_better for _ in range(1000))
    assert taken <= 50 + 3 * math.sqrt(1000 * 0.05 * 0.95)


def test_a_cure_is_seen():
    random = np.random.default_rng(2)
    seen = sum(compare(*arms(random, effect=1.0, of_seed=0.1)).is_better for _ in range(200))
    assert seen > 190


def test_what_is_worse_is_never_better():
    random = np.random.default_rng(3)
    assert not any(compare(*arms(random, effect=-1.0)).is_better for _ in range(500))


def test_a_difference_that_is_worth_nothing_does_not_count():
    before = np.ones((3, 50))
    assert not compare(before, before - 0.9 * WORTH).is_better
    assert compare(before, before - 1.1 * WORTH).is_better


def test_what_one_of_few_rows_brings_is_noise():
    """Seeds agree to the last bit, and the mean rests on one row of forty."""
    before, after = np.zeros((3, 40)), np.zeros((3, 40))
    before[:, 7] = 4.0
    result = compare(before, after)
    assert result.difference == pytest.approx(0.1)
    assert not result.is_better


def test_what_is_given_up_would_have_been_rejected():
    """Every ending of two differences, over twelve orders of magnitude and both signs."""
    sizes = [0.0, *np.geomspace(1e-6, 1e6, 13)]
    values = [*sizes, *(-size for size in sizes)]
    for first in (0.5, 0.02, 0.0, -0.1):
        if not is_hopeless([first], 3):
            continue
        for rest in itertools.product(values, repeat=2):
            losses = -np.repeat(np.array([[first], *[[v] for v in rest]]), 30, axis=1)
            assert not compare(np.zeros((3, 30)), losses).is_better


@pytest.mark.parametrize(
    ("differences", "seeds", "expected"),
    [
        ([-0.1], 3, True),
        ([0.0], 3, True),
        ([0.3], 3, False),
        ([0.3, -0.01], 3, True),
        ([0.3, 0.25], 3, False),
        ([-0.1], 6, False),
        ([-0.1, -0.1, -0.1, -0.1], 6, True),
    ],
)
def test_arms_are_given_up_when_no_seed_can_save_them(differences, seeds, expected):
    assert is_hopeless(differences, seeds) is expected
