"""What every exported callback obeys: it slows nothing down by itself, and can be used again."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.callbacks import Callback
from evenkeel.engine.hooks import CallbackList
from tests.laws import discovery

every_callback = pytest.mark.parametrize("cls", discovery.each(discovery.callbacks()))
X = np.linspace(-1, 1, 20, dtype=np.float32).reshape(10, 2)
Y = X[:, 0]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Callbacks that write files write them here."""
    monkeypatch.chdir(tmp_path)


def fit(callbacks, epochs=3):
    """Trains for some epochs, twice; returns the losses of both runs, and the model."""
    ek.set_random_seed(3)
    model = ek.Sequential([ek.layers.Dense(1, input_shape=[2])])
    model.compile(ek.optimizers.SGD(0.1), "mse")
    runs = [
        model.fit(
            X, Y, batch_size=5, epochs=epochs, validation_data=(X, Y), verbose=0,
            callbacks=callbacks,
        )
        for _ in range(2)
    ]  # fmt: skip
    return [run.history["loss"] for run in runs], model


@every_callback
def test_it_listens_to_no_single_batches_unless_asked(cls):
    listeners = CallbackList([discovery.construct(cls)], None, {})
    assert listeners.wants_batches == []
    assert listeners.wants_test_batches == []


@every_callback
def test_a_used_one_does_what_a_new_one_does(cls):
    """A callback that has seen another model's runs leads to the same numbers as a new one."""
    used = discovery.construct(cls)
    fit([used])
    again, used_model = fit([used])
    fresh, fresh_model = fit([discovery.construct(cls)])
    assert again == fresh
    for a, b in zip(used_model.get_weights(), fresh_model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@every_callback
def test_two_callbacks_share_nothing(cls):
    one, other = discovery.construct(cls), discovery.construct(cls)
    before = {name: repr(value) for name, value in vars(other).items() if name[:2] != "on"}
    fit([one])
    assert before == {name: repr(value) for name, value in vars(other).items() if name[:2] != "on"}


@every_callback
def test_it_is_a_callback_and_says_what_a_second_fit_does(cls):
    assert issubclass(cls, Callback)
    text = " ".join((cls.__doc__ or "").split())
    assert "second `fit`" in text or "between runs" in text


def test_callbacks_do_not_import_jax_themselves():
    """They read plain numbers."""
    for path in Path(next(iter(ek.callbacks.__path__))).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            assert not any(name.split(".")[0] == "jax" for name in names), path
