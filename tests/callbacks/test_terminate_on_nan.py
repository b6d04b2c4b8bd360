"""`TerminateOnNaN`: beside an engine that ends such runs itself."""

from __future__ import annotations

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.callbacks import TerminateOnNaN
from evenkeel.engine.hooks import CallbackList
from evenkeel.engine.outcome import Outcome
from evenkeel.errors import NotFiniteError
from tests.callbacks.stubs import NAN, Stub, X, Y, linear

breaks = pytest.mark.filterwarnings("ignore:Epoch.*infinite or not a number")


@breaks
def test_a_run_that_breaks_ends_with_the_weights_it_began_with(capsys):
    model = linear(ek.optimizers.SGD(1e30))
    before = model.get_weights()
    history = model.fit(X, Y, batch_size=1, epochs=5, verbose=0, callbacks=[TerminateOnNaN()])
    assert history.epoch == [0]
    assert history.outcome is Outcome.NOT_FINITE
    assert "Epoch 1: the loss is" in capsys.readouterr().out
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@breaks
def test_it_can_raise_and_leaves_a_model_that_can_be_used():
    model = linear(ek.optimizers.SGD(1e30))
    before = model.get_weights()
    with pytest.raises(NotFiniteError, match="learning rate"):
        model.fit(X, Y, batch_size=1, epochs=5, verbose=0, callbacks=[TerminateOnNaN(True)])
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@breaks
def test_it_raises_also_where_only_a_weight_overflows():
    """One step: its loss was taken before it."""
    model = linear(ek.optimizers.SGD(3e38))
    x = np.full((4, 2), 1e3, np.float32)
    with pytest.raises(NotFiniteError, match="a weight is no longer finite"):
        model.fit(x, x[:, 0], batch_size=4, verbose=0, callbacks=[TerminateOnNaN(True)])


def test_it_can_be_used_again_after_a_run_that_broke():
    callback, model = TerminateOnNaN(raise_error=True), Stub()
    callback.set_model(model)
    callback.on_train_begin({})
    callback.on_progress(10, 20, {"loss": NAN})
    assert model.stop_training
    with pytest.raises(NotFiniteError, match="step 10"):
        callback.on_train_end({})
    callback.on_train_begin({})
    callback.on_train_end({})


@pytest.mark.parametrize("loss", [NAN, float("inf"), -float("inf")])
def test_what_is_not_finite_ends_the_run(loss):
    callback, model = TerminateOnNaN(), Stub()
    callback.set_model(model)
    callback.on_train_begin({})
    callback.on_epoch_end(0, {"loss": 1.0})
    assert not model.stop_training
    callback.on_epoch_end(1, {"loss": loss})
    assert model.stop_training


def test_it_listens_to_no_single_batches():
    assert CallbackList([TerminateOnNaN()], None, {}).wants_batches == []
