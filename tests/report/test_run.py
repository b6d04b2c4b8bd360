"""The page of a run: from plain data, opened without a network."""

from __future__ import annotations

import math

from evenkeel.report.run import chart_of, page_of_run

RECORD = {
    "data": {"name": "digits<script>", "rows": {"train": 1500, "test": 297}},
    "outcome": {"name": "COMPLETED", "sentence": "All epochs were run."},
    "epochs": 2,
    "seconds": 1.5,
    "validation": {"epoch": 2, "loss": 0.25},
    "test": {"loss": 0.3, "accuracy": 0.96},
}
HISTORY = {"loss": [2.0, 1.0], "val_loss": [2.5, math.nan], "accuracy": [0.5, 0.9]}


def test_it_has_numbers_curves_and_what_happened():
    page = page_of_run(RECORD, HISTORY, None, ["Epoch 1, batch 3: the loss is infinite."])
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") == 2
    assert page.count("<polyline") == 3
    assert "batch 3" in page
    assert "0.96" in page


def test_names_are_text_and_nothing_is_loaded():
    page = page_of_run(RECORD, HISTORY, None)
    assert "<script" not in page
    assert "src=" not in page
    assert "href=" not in page


def test_points_run_from_the_highest_value_down():
    chart = chart_of("loss", {"loss": [2.0, 1.0]})
    first, last = (point.split(",") for point in chart["lines"][0]["points"].split())
    assert float(first[1]) < float(last[1])
    assert float(first[0]) < float(last[0])


def test_what_is_not_finite_is_left_out():
    chart = chart_of("loss", {"loss": [math.nan, math.inf]})
    assert chart["lines"][0]["points"] == ""
