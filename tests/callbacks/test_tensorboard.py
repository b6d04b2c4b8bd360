"""`TensorBoard`: the event files, read back."""

from __future__ import annotations

import struct
import sys

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.callbacks import LambdaCallback, TensorBoard
from evenkeel.errors import InvalidArgumentError, MissingPackageError
from tests.callbacks.stubs import X, Y, linear, slow

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")


def values_of(folder):
    """Yields (step, value) of all event files; a record is its length, a checksum of that, the
    content, and a checksum of it.
    """
    for path in sorted(folder.iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            at += 12 + length + 4
            yield from ((event.step, value) for value in event.summary.value)


def scalars(folder):
    """Returns (step, number) pairs by tag."""
    found = {}
    for step, value in values_of(folder):
        if not value.HasField("histo"):
            found.setdefault(value.tag, []).append((step, value.simple_value))
    return found


def numbers(pairs):
    return [number for _, number in pairs]


def test_epochs_are_written_under_the_names_of_keras(tmp_path):
    model = linear(ek.optimizers.SGD(0.25), metrics=["mae"])
    history = model.fit(
        X, Y, batch_size=5, epochs=3, validation_data=(X, Y), verbose=0,
        callbacks=[TensorBoard(tmp_path)],
    ).history  # fmt: skip
    train, validation = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    assert set(train) == {"epoch_loss", "epoch_mae", "epoch_learning_rate"}
    assert [step for step, _ in train["epoch_loss"]] == [0, 1, 2]
    assert numbers(train["epoch_loss"]) == pytest.approx(history["loss"], rel=1e-6)
    assert numbers(train["epoch_learning_rate"]) == [0.25] * 3
    assert numbers(validation["epoch_loss"]) == pytest.approx(history["val_loss"], rel=1e-6)
    assert numbers(validation["epoch_mae"]) == pytest.approx(history["val_mae"], rel=1e-6)
    by_steps = validation["evaluation_loss_vs_iterations"]
    assert [step for step, _ in by_steps] == [2, 4, 6]
    assert numbers(by_steps) == pytest.approx(history["val_loss"], rel=1e-6)


def test_without_validation_there_is_no_folder_of_it(tmp_path):
    linear().fit(X, Y, batch_size=5, verbose=0, callbacks=[TensorBoard(tmp_path / "a" / "b")])
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["train"]


def test_histograms_hold_every_weight(tmp_path):
    weights = {}
    remember = LambdaCallback(on_epoch_end=lambda e, logs: weights.update({e: m.get_weights()}))
    m = linear()
    callbacks = [remember, TensorBoard(tmp_path, histogram_freq=2)]
    m.fit(X, Y, batch_size=5, epochs=4, verbose=0, callbacks=callbacks)
    found = {
        (value.tag, step): value.histo
        for step, value in values_of(tmp_path / "train")
        if value.HasField("histo")
    }
    kernel, bias = (f"{m.layers[0].name}/{name}/histogram" for name in ("kernel", "bias"))
    assert sorted(found) == sorted((tag, step) for tag in (kernel, bias) for step in (0, 2))
    for step in (0, 2):
        expected = weights[step][0].astype(np.float64)
        histogram = found[kernel, step]
        assert histogram.num == expected.size
        assert histogram.min == pytest.approx(expected.min())
        assert histogram.sum == pytest.approx(expected.sum())
        assert histogram.sum_squares == pytest.approx((expected**2).sum())


@slow
@pytest.mark.parametrize(
    ("freq", "steps"), [("batch", [1, 2, 3, 4]), (1, [1, 2, 3, 4]), (2, [2, 4])]
)
def test_batches_are_written_where_asked(tmp_path, freq, steps):
    board = TensorBoard(tmp_path, update_freq=freq)
    history = linear().fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[board]).history
    found = scalars(tmp_path / "train")["batch_loss"]
    assert [step for step, _ in found] == steps
    # The second batch ends the epoch, and its logs are the epoch's.
    assert dict(found)[2] == pytest.approx(history["loss"][0], rel=1e-6)


def test_steps_per_second_are_written_where_asked(tmp_path):
    board = TensorBoard(tmp_path, write_steps_per_second=True)
    linear().fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[board])
    found = numbers(scalars(tmp_path / "train")["epoch_steps_per_second"])
    assert len(found) == 2
    assert all(0 < rate < 1e6 for rate in found)


def test_a_second_run_at_once_adds_files_and_loses_none(tmp_path):
    model, board = linear(), TensorBoard(tmp_path)
    for _ in range(2):
        model.fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[board])
    assert len(list((tmp_path / "train").iterdir())) == 2
    assert [step for step, _ in scalars(tmp_path / "train")["epoch_loss"]] == [0, 1, 0, 1]


def test_an_evaluation_of_its_own_is_written_too(tmp_path):
    model = linear()
    loss = model.evaluate(X, Y, verbose=0, callbacks=[TensorBoard(tmp_path)])
    found = scalars(tmp_path / "validation")["evaluation_loss_vs_iterations"]
    assert found == [(0, pytest.approx(loss, rel=1e-6))]


@pytest.mark.filterwarnings("ignore:Epoch.*infinite or not a number")
def test_a_run_that_breaks_is_written_to_its_end(tmp_path):
    board = TensorBoard(tmp_path, histogram_freq=1)
    linear(ek.optimizers.SGD(1e30)).fit(X, Y, batch_size=1, verbose=0, callbacks=[board])
    assert not np.isfinite(numbers(scalars(tmp_path / "train")["epoch_loss"])).any()


def test_arguments_that_ask_for_nothing_may_stay():
    TensorBoard(write_graph=False, write_images=False, profile_batch=0, embeddings_freq=0)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"write_graph": True}, "write_graph=False"),
        ({"profile_batch": 2}, "profile_batch=0"),
        ({"histogram_frequency": 1}, "Did you mean 'histogram_freq'"),
        ({"histogram_freq": -1}, "histogram_freq"),
        ({"update_freq": "step"}, "update_freq"),
        ({"update_freq": 0}, "update_freq"),
    ],
)
def test_what_would_have_no_effect_is_refused(arguments, word):
    with pytest.raises(InvalidArgumentError, match=word):
        TensorBoard(**arguments)


def test_a_missing_package_is_named_with_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingPackageError, match=r'pip install "evenkeel\[tensorboard\]"'):
        TensorBoard()
    assert issubclass(MissingPackageError, ImportError)
