"""The decisions of `EarlyStopping` and `ReduceLROnPlateau` against recorded ones of Keras."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import evenkeel as ek
from evenkeel.callbacks import EarlyStopping, ReduceLROnPlateau
from evenkeel.callbacks.monitored import MonitoredNumber
from tests.callbacks.stubs import Stub

RECORDED = json.loads((Path(__file__).parents[1] / "oracles" / "callbacks.json").read_text())


def each_case(family):
    return [
        pytest.param(case, id=f"{case['sequence']}-{json.dumps(case['settings'])}")
        for case in RECORDED[family]
    ]


def rates_of(callback, values):
    """Hands a callback one value an epoch until it stops; returns each epoch's learning rate."""
    model, rates = Stub(), []
    model.optimizer = ek.optimizers.SGD(1.0)
    callback.set_model(model)
    callback.on_train_begin({})
    for epoch, value in enumerate(values):
        logs = {"val_loss": float(value)}
        callback.on_epoch_end(epoch, logs)
        rates.append(logs.get("learning_rate"))
        if model.stop_training:
            break
    callback.on_train_end({})
    return rates


@pytest.mark.parametrize("case", each_case("early_stopping"))
def test_early_stopping_stops_where_keras_does(case):
    callback = EarlyStopping(**case["settings"])
    epochs = len(rates_of(callback, RECORDED["sequences"][case["sequence"]]))
    assert epochs == case["epochs"]
    assert (callback.best, callback.best_epoch) == (case["best"], case["best_epoch"])


@pytest.mark.parametrize("case", each_case("reduce_lr_on_plateau"))
def test_reduce_lr_on_plateau_lowers_the_rate_where_keras_does(case):
    """Keras holds the rate in float32."""
    callback = ReduceLROnPlateau(**case["settings"])
    rates = rates_of(callback, RECORDED["sequences"][case["sequence"]])
    assert rates == pytest.approx(case["rates"], rel=1e-6)


@pytest.mark.parametrize("name", RECORDED["directions"])
@pytest.mark.parametrize("prefix", ["", "val_"])
def test_names_of_metrics_tell_the_direction_that_keras_takes(name, prefix):
    number = MonitoredNumber("EarlyStopping", prefix + name)
    assert number.read({prefix + name: 0.5}, {}) == 0.5  # a guess would be warned of
    assert number.wants_more == (RECORDED["directions"][name] == "up")
