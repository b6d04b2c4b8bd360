"""`ReduceLROnPlateau`: what it does to the rate, also where the rate is a schedule."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.callbacks import LearningRateScheduler, ReduceLROnPlateau
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError
from tests.callbacks.stubs import NAN, Stub, X, Y, linear


def decaying(step):
    return 0.1 * 0.99 ** step.astype(jnp.float32)


def lowered(values, optimizer=None, monitor="val_loss", **settings):
    """Feeds one value an epoch; returns the callback and the rate in each epoch's logs."""
    callback, model, rates = ReduceLROnPlateau(monitor=monitor, **settings), Stub(), []
    model.optimizer = optimizer or ek.optimizers.SGD(1.0)
    callback.set_model(model)
    callback.on_train_begin({})
    for epoch, value in enumerate(values):
        logs = {monitor: value}
        callback.on_epoch_end(epoch, logs)
        rates.append(logs["learning_rate"])
    return callback, rates


def test_the_rate_falls_after_patience_and_the_logs_have_that_of_the_epoch():
    _, rates = lowered([3, 2, 2, 2, 2, 2], factor=0.5, patience=2)
    assert rates == [1, 1, 1, 1, 0.5, 0.5]


def test_numbers_below_zero_are_judged_like_others():
    """-2 to -3 is a fall: nothing to lower. -3, -2, -2 is a plateau."""
    assert lowered([-1, -2, -3, -4], factor=0.5, patience=1)[1] == [1, 1, 1, 1]
    assert lowered([-3, -2, -2, -2], factor=0.5, patience=1)[1] == [1, 1, 0.5, 0.25]


def test_small_gains_are_none():
    """The default min_delta is 1e-4."""
    _, rates = lowered([1, 0.99995, 0.9999, 0.98], factor=0.5, patience=1)
    assert rates == [1, 1, 0.5, 0.25]


def test_a_nan_in_the_first_epoch_is_not_the_best():
    callback, rates = lowered([NAN, 3, 2, NAN, 1], factor=0.5, patience=2)
    assert callback.best == 1
    assert rates == [1] * 5


def test_the_rate_stays_above_min_lr():
    _, rates = lowered([1] * 6, factor=0.5, patience=1, min_lr=0.3)
    assert rates == [1, 1, 0.5, 0.3, 0.3, 0.3]


def test_a_rate_below_min_lr_is_not_raised():
    _, rates = lowered([1] * 4, ek.optimizers.SGD(0.1), patience=1, min_lr=0.5)
    assert rates == [0.1] * 4


def test_it_starts_afresh_in_the_next_run_but_the_rate_stays():
    optimizer = ek.optimizers.SGD(1.0)
    callback, _ = lowered([1, 1, 1], optimizer, factor=0.5, patience=2, cooldown=9)
    callback.on_train_begin({})
    assert (callback.best, callback.wait, callback.cooldown_counter) == (None, 0, 0)
    assert optimizer.learning_rate == 0.5


class TestSchedule:
    def test_a_schedule_is_scaled(self):
        """The schedule stands still where no steps are taken."""
        optimizer = ek.optimizers.SGD(learning_rate=decaying)
        _, rates = lowered([1] * 4, optimizer, factor=0.5, patience=1)
        assert rates == pytest.approx([0.1, 0.1, 0.05, 0.025], rel=1e-6)
        assert optimizer.rate_factor == pytest.approx(0.125, rel=1e-6)

    def test_min_lr_is_about_the_effective_rate(self):
        optimizer = ek.optimizers.SGD(learning_rate=decaying)
        _, rates = lowered([1] * 5, optimizer, factor=0.5, patience=1, min_lr=0.04)
        assert rates == pytest.approx([0.1, 0.1, 0.05, 0.04, 0.04], rel=1e-6)

    def test_in_a_run_the_schedule_goes_on_scaled(self):
        """Two steps an epoch; nothing beats the best by 100, so every epoch halves."""
        model = linear(ek.optimizers.SGD(learning_rate=decaying))
        reduce = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100)
        history = model.fit(X, Y, batch_size=5, epochs=4, verbose=0, callbacks=[reduce])
        factors = {2: 1, 4: 1, 6: 0.5, 8: 0.25}
        expected = [0.1 * 0.99**steps * factor for steps, factor in factors.items()]
        assert history.history["learning_rate"] == pytest.approx(expected, rel=1e-5)
        assert model.optimizer.learning_rate == pytest.approx(expected[-1] / 2, rel=1e-5)

    def test_in_a_run_steps_are_taken_with_the_scaled_rate(self):
        """w = 0 on one row x = 1, y = 1: each step takes 1 - w to (1 - w)(1 - 2·rate)."""
        layer = ek.layers.Dense(1, use_bias=False, kernel_initializer="zeros", input_shape=[1])
        model = ek.Sequential([layer])
        model.compile(ek.optimizers.SGD(learning_rate=lambda step: jnp.float32(0.1)), "mse")
        one = np.ones((1, 1), np.float32)
        reduce = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100)
        model.fit(one, one, epochs=3, verbose=0, callbacks=[reduce])
        expected = 1 - (1 - 0.2) * (1 - 0.2) * (1 - 0.1)
        assert float(model.get_weights()[0][0, 0]) == pytest.approx(expected, rel=1e-5)


def test_the_logs_have_the_rate_of_the_epoch_also_behind_another_callback():
    """Whichever comes first, the epoch was trained with what the schedule said."""
    for order in (1, -1):
        both = [
            LearningRateScheduler(lambda epoch: 0.1),
            ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100),
        ][::order]
        history = linear().fit(X, Y, batch_size=5, epochs=3, verbose=0, callbacks=both)
        assert history.history["learning_rate"] == [0.1, 0.1, 0.1]


def test_it_says_so_when_asked(capsys):
    lowered([1, 1], factor=0.5, patience=1, verbose=1)
    assert "from 1 to 0.5" in capsys.readouterr().out


def test_a_missing_monitor_is_said_once_and_lowers_nothing():
    callback, model = ReduceLROnPlateau(patience=1), Stub()
    model.optimizer = ek.optimizers.SGD(1.0)
    callback.set_model(model)
    with pytest.warns(EvenkeelWarning, match="validation_data"):
        callback.on_epoch_end(0, {"loss": 1.0})
    for epoch in range(1, 4):
        callback.on_epoch_end(epoch, {"loss": 1.0})  # warnings are errors here
    assert model.optimizer.learning_rate == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"factor": 1.0}, "factor"),
        ({"factor": 0}, "factor"),
        ({"patience": -1}, "patience"),
        ({"cooldown": 0.5}, "cooldown"),
        ({"min_lr": -1}, "min_lr"),
        ({"mode": "least"}, "mode"),
    ],
)
def test_impossible_settings_are_refused(arguments, word):
    with pytest.raises(InvalidArgumentError, match=word):
        ReduceLROnPlateau(**arguments)
