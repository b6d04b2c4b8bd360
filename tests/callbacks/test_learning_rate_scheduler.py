"""`LearningRateScheduler`: which functions it takes, what it gives them, what it does with it."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.callbacks import LearningRateScheduler
from evenkeel.errors import InvalidArgumentError
from tests.callbacks.stubs import X, Y, linear


def rates(schedule, optimizer=None, epochs=3, **arguments):
    model = linear(optimizer or ek.optimizers.SGD(0.8))
    callback = LearningRateScheduler(schedule)
    history = model.fit(
        X, Y, batch_size=5, epochs=epochs, verbose=0, callbacks=[callback], **arguments
    )
    return history.history["learning_rate"]


def test_a_function_of_the_epoch_sets_the_rate():
    assert rates(lambda epoch: 0.1 / (1 + epoch)) == [0.1, 0.05, 0.1 / 3]


def test_a_function_of_epoch_and_rate_gets_the_current_rate():
    assert rates(lambda epoch, lr: lr / 2) == [0.4, 0.2, 0.1]


def test_epochs_are_counted_from_initial_epoch():
    assert rates(lambda epoch: float(epoch), initial_epoch=1) == [1, 2]


def test_a_second_run_goes_on_from_the_rate_that_there_is():
    model, callback = linear(ek.optimizers.SGD(0.8)), LearningRateScheduler(lambda e, lr: lr / 2)
    for expected in ([0.4, 0.2], [0.1, 0.05]):
        history = model.fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[callback])
        assert history.history["learning_rate"] == expected


def with_default(epoch, drop=0.5):
    return drop**epoch


def with_rate_by_name(epoch, lr=None):
    return lr / 2


class Method:
    def schedule(self, epoch, current):
        return current / 2


def keyword_only(epoch, *, scale=2.0):
    return scale / 2


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (with_default, [1, 0.5]),
        (with_rate_by_name, [0.4, 0.2]),
        (Method().schedule, [0.4, 0.2]),
        (keyword_only, [1, 1]),
        (functools.partial(with_default, drop=0.25), [1, 0.25]),
        (lambda *epoch: 0.1 * (1 + len(epoch)), [0.2, 0.2]),
        (lambda epoch: np.float32(0.5), [0.5, 0.5]),
        (lambda epoch: np.array(0.5), [0.5, 0.5]),
        (lambda epoch: 0, [0, 0]),
    ],
)
def test_the_parameters_tell_what_it_is_given(schedule, expected):
    assert rates(schedule, epochs=2) == pytest.approx(expected)


def test_a_type_error_inside_the_function_is_not_taken_for_a_signature():
    """Keras catches TypeError to tell the two kinds of functions apart, and hides this one."""

    def broken(epoch, lr):
        return lr + "0.1"

    with pytest.raises(TypeError, match="unsupported operand"):
        rates(broken)


def test_the_rate_is_trained_with():
    """w = 0 on one row x = 1, y = 1: each step takes 1 - w to (1 - w)(1 - 2·rate)."""
    layer = ek.layers.Dense(1, use_bias=False, kernel_initializer="zeros", input_shape=[1])
    model = ek.Sequential([layer])
    model.compile("sgd", "mse")
    one = np.ones((1, 1), np.float32)
    callback = LearningRateScheduler(lambda epoch: [0.1, 0.0, 0.25][epoch])
    model.fit(one, one, epochs=3, verbose=0, callbacks=[callback])
    assert float(model.get_weights()[0][0, 0]) == pytest.approx(1 - 0.8 * 0.5, rel=1e-5)


def test_new_rates_compile_nothing():
    """One program serves all epochs: a second trace would call the loss again."""
    calls = []

    def loss(y, p):
        calls.append(1)
        return (y - p) ** 2

    model = ek.Sequential([ek.layers.Dense(1, input_shape=[2])])
    model.compile("sgd", loss)
    callback = LearningRateScheduler(lambda epoch: 0.1 / (1 + epoch))
    model.fit(X, Y[:, None], batch_size=5, epochs=1, verbose=0, callbacks=[callback])
    before = len(calls)
    model.fit(X, Y[:, None], batch_size=5, epochs=5, verbose=0, callbacks=[callback])
    assert len(calls) == before


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -0.1, "fast", [0.1, 0.2]])
def test_what_is_no_rate_is_refused_with_the_functions_name(value):
    def my_decay(epoch):
        return value if epoch == 1 else 0.1

    with pytest.raises(InvalidArgumentError, match=r"my_decay\(1\)"):
        rates(my_decay)


def test_an_optimizer_with_a_schedule_is_refused_with_what_to_type():
    optimizer = ek.optimizers.SGD(learning_rate=lambda step: 0.1 * 0.99**step)
    with pytest.raises(InvalidArgumentError, match=r"SGD\(learning_rate=0.01\)"):
        rates(lambda epoch: 0.1, optimizer)
    assert optimizer.iterations == 0


@pytest.mark.parametrize(
    "schedule", [0.1, None, lambda: 0.1, lambda a, b, c: 0.1, lambda *, epoch: 0.1]
)
def test_what_cannot_be_called_with_an_epoch_is_refused(schedule):
    with pytest.raises(InvalidArgumentError, match="schedule"):
        LearningRateScheduler(schedule)


def test_it_says_the_rate_when_asked(capsys):
    callback = LearningRateScheduler(lambda epoch: 0.125, verbose=1)
    linear().fit(X, Y, batch_size=5, verbose=0, callbacks=[callback])
    assert "Epoch 1: the learning rate is 0.125" in capsys.readouterr().out
