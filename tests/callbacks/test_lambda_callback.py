"""`LambdaCallback`: the hooks given, and no others."""

from __future__ import annotations

import pytest

from evenkeel.callbacks import LambdaCallback
from evenkeel.errors import InvalidArgumentError
from tests.callbacks.stubs import X, Y, linear, slow


def test_functions_are_called_at_their_hooks():
    calls = []
    callback = LambdaCallback(
        lambda epoch, logs: calls.append(("begin", epoch)),
        lambda epoch, logs: calls.append(("end", epoch, sorted(logs))),
        on_train_begin=lambda logs: calls.append("train"),
        on_test_end=lambda logs: calls.append(("test", sorted(logs))),
        close=lambda: calls.append("close"),
    )
    # Warnings are errors here: nothing listens to batches.
    linear().fit(X, Y, batch_size=5, validation_data=(X, Y), verbose=0, callbacks=[callback])
    expected = ["train", ("begin", 0), ("test", ["loss"]), ("end", 0, ["loss", "val_loss"])]
    assert calls == [*expected, "close"]


@slow
def test_batches_are_listened_to_only_where_asked():
    batches = []
    callback = LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(batch))
    linear().fit(X, Y, batch_size=5, verbose=0, callbacks=[callback])
    assert batches == [0, 1]


def test_a_batch_function_is_said_to_be_slower():
    with pytest.warns(UserWarning, match="LambdaCallback"):
        linear().fit(
            X, Y, batch_size=5, verbose=0, callbacks=[LambdaCallback(on_batch_end=lambda *batch: 0)]
        )


def test_none_is_no_hook():
    linear().fit(
        X, Y, batch_size=5, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=None)]
    )  # warnings are errors here


def test_an_unknown_hook_is_refused_with_the_nearest():
    with pytest.raises(InvalidArgumentError, match="Did you mean 'on_epoch_end'"):
        LambdaCallback(on_epoch_ends=print)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(InvalidArgumentError, match="on_epoch_end"):
        LambdaCallback(on_epoch_end="print")
