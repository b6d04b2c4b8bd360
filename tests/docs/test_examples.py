"""The examples of the four problems run, and name the cause that they are about."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SHORT = {
    "vanishing_gradients": "--epochs 1 --seeds 1 --budget 400",
    "too_little_data": "--doublings 1 --steps 20 --seeds 2",
    "slow_training": "--rows 1000 --epochs 5 --seeds 1",
    "overfitting": "--rows 1437 --epochs 60 --seeds 1",
}
CODES = {
    "vanishing_gradients": "init-activation-mismatch",
    "too_little_data": "too-little-data",
    "slow_training": "learning-rate-too-low",
    "overfitting": "overfitting",
}


@pytest.fixture
def run(monkeypatch, capsys):
    """Returns what an example prints when it is run as a script."""

    def printed(name, *arguments):
        monkeypatch.syspath_prepend(EXAMPLES)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return printed


QUICK = "vanishing_gradients"


@pytest.mark.parametrize(
    "name", [QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in SHORT if n != QUICK)]
)
def test_a_problem_is_found_and_cured(run, name):
    text = run(name, "--data", "digits", *SHORT[name].split())
    findings = re.findall(r"^(?:FAULT|WARNING|NOTE)  (\S+)", text, re.MULTILINE)
    assert findings[0] == CODES[name]
    accuracies = re.findall(r"^(sick|cured)\b.*? accuracy ([\d.]+)%", text, re.MULTILINE)
    (sick, before), (cured, after) = accuracies
    assert (sick, cured) == ("sick", "cured")
    assert name == "overfitting" or float(before) < float(after)  # its gain is the test loss


def houses(path):
    """Rows like those of the file, whose price follows from income, rooms and the sea."""
    random = np.random.Generator(np.random.Philox(3))
    lines = ["total_rooms,median_income,median_house_value,ocean_proximity"]
    for rooms, income in zip(
        random.uniform(100, 8000, 300), random.uniform(1, 9, 300), strict=True
    ):
        sea = random.random() < 0.5
        price = 30_000 + 40_000 * income + 5 * rooms + 50_000 * sea
        lines.append(f"{rooms:.0f},{income:.3f},{price:.0f},{'NEAR BAY' if sea else 'INLAND'}")
    path.write_text("\n".join(lines))
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::evenkeel.errors.EvenkeelWarning")  # the sick run breaks
def test_raw_prices_are_repaired_in_dollars(run, tmp_path):
    text = run("california_housing", houses(tmp_path / "h.csv"), "--epochs", 3, "--budget", 2000)
    assert re.search(r"^FAULT  targets-not-scaled", text, re.MULTILINE)
    sick, repaired = (
        float(re.search(rf"The {name} network is ([\d,]+) dollars", text)[1].replace(",", ""))
        for name in ("sick", "repaired")
    )
    assert repaired < sick / 2


def test_without_the_file_of_houses_the_example_says_so(run, tmp_path):
    assert "give the path" in run("california_housing", tmp_path / "absent.csv")
