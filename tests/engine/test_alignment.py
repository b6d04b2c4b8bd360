"""Data comes in with one copy at most, and what the user holds stays the user's."""

import tracemalloc

import numpy as np
import pytest

import evenkeel as ek
from evenkeel import alignment
from evenkeel.engine import intake
from evenkeel.engine import rows as held
from evenkeel.engine.feed import ArrayFeed
from evenkeel.engine.step import Batch

ROWS, COLUMNS = 40, 6


def model():
    ek.set_random_seed(3)
    made = ek.Sequential([ek.Input((COLUMNS,)), ek.layers.Dense(4), ek.layers.Dense(1)])
    made.compile(ek.optimizers.SGD(0.01), loss="mse")
    return made


def weights_after_fit(x, y):
    fitted = model()
    fitted.fit(x, y, batch_size=16, verbose=0)
    return fitted.get_weights()


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def rows():
    random = np.random.Generator(np.random.Philox(1))
    x = alignment.empty((ROWS, COLUMNS), np.float32)
    x[:] = random.random((ROWS, COLUMNS), np.float32)
    return x, random.random(ROWS, np.float32)


def shifted(x):
    """Returns the same numbers, 4 bytes behind a multiple of 64."""
    memory = alignment.empty((x.size + 1,), x.dtype)
    memory[1:] = x.ravel()
    return memory[1:].reshape(x.shape)


@pytest.fixture
def nothing_is_small(monkeypatch):
    """Arrays of any size are used where they lie."""
    monkeypatch.setattr(held, "_LARGE", 0)


def peak_while(act):
    tracemalloc.start()
    try:
        kept = act()
        return tracemalloc.get_traced_memory()[1], kept
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("given", [np.float64, np.float16, np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("wanted", [np.float32, np.int32])
def test_conversion_gives_the_numbers_of_astype(given, wanted):
    # Large enough for two threads, and rows that two do not divide.
    array = (np.random.Generator(np.random.Philox(2)).random((1025, 1031)) * 200).astype(given)
    for source in (array, array[::-1], np.asfortranarray(array)):
        found = alignment.converted(source, wanted)
        assert alignment.is_aligned(found)
        assert found.dtype == wanted
        np.testing.assert_array_equal(found, source.astype(wanted))


def test_overflow_becomes_infinity_in_both_threads_without_a_warning():
    found = alignment.converted(np.full((1025, 1031), 1e300), np.float32)
    assert np.isinf(found).all()


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (3, 0)])
def test_small_shapes_are_kept(shape):
    assert alignment.converted(np.ones(shape), np.float32).shape == shape


def test_float64_is_converted_without_a_second_copy():
    x = np.random.Generator(np.random.Philox(4)).random((2000, 1000))
    peak, kept = peak_while(lambda: intake.inputs(x))
    assert kept.nbytes == x.nbytes // 2
    assert peak < 1.05 * kept.nbytes


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_the_checks_need_no_array_of_the_datas_size(dtype):
    x = np.ones((2000, 1000), dtype)
    peak, kept = peak_while(lambda: intake.inputs(x))
    assert np.shares_memory(kept, x)
    assert peak < 0.1 * x.nbytes


def test_ids_are_checked_without_an_array_of_their_size():
    ids = np.ones((2000, 1000), np.int32)
    layer = ek.layers.Embedding(4, 2)
    peak, _ = peak_while(lambda: layer.check_values(ids))
    assert peak < 0.1 * ids.nbytes


def test_training_is_the_same_wherever_and_however_the_numbers_lie(rows, tmp_path):
    x, y = rows
    np.save(tmp_path / "x.npy", x)
    expected = weights_after_fit(x, y)
    for same in (
        shifted(x),
        np.asfortranarray(x),
        x.astype(np.float64),
        x.tolist(),
        np.load(tmp_path / "x.npy", mmap_mode="r"),
    ):
        assert_same(weights_after_fit(same, y), expected)


@pytest.mark.parametrize("place", [lambda x: x, shifted], ids=["aligned", "elsewhere"])
def test_a_later_change_of_the_array_changes_no_earlier_run_and_counts_in_later_ones(rows, place):
    x, y = place(rows[0]), rows[1]
    fitted = model()
    fitted.fit(x, y, batch_size=16, verbose=0)
    before = [w.copy() for w in fitted.get_weights()]
    untouched = x.copy()
    np.testing.assert_array_equal(x, rows[0])
    x *= 2
    assert_same(fitted.get_weights(), before)
    assert_same(weights_after_fit(x, y), weights_after_fit(untouched * 2, y))


def test_outputs_are_the_users_own(rows):
    x, _ = rows
    fitted = model()
    found = fitted.predict(x, batch_size=16)
    expected = found.copy()
    x[:] = 0
    np.testing.assert_array_equal(found, expected)
    found[:] = 0  # may be written to


def test_a_loader_may_use_its_buffer_again(rows):
    x, y = rows

    class Loader:
        def __len__(self):
            return 2

        def __iter__(self):
            buffer = alignment.empty((ROWS // 2, COLUMNS), np.float32)
            for half in (slice(0, ROWS // 2), slice(ROWS // 2, ROWS)):
                buffer[:] = x[half]
                yield buffer.copy() if self.fresh else buffer, y[half]

    reused, fresh = Loader(), Loader()
    reused.fresh, fresh.fresh = False, True
    by_loader = []
    for loader in (reused, fresh):
        fitted = model()
        fitted.fit(loader, verbose=0)
        by_loader.append(fitted.get_weights())
    assert_same(*by_loader)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.bool_])
def test_the_feed_keeps_the_type(dtype):
    feed = ArrayFeed(Batch(x=np.ones((8, 3), dtype), y=np.ones(8, np.float32)), 4)
    assert feed.sample().x.dtype == dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_memory_from_the_boundary_holds_the_array_and_keeps_it_alive(dtype):
    memory = alignment.empty((97,), dtype)
    memory[:] = np.arange(97)
    before = 12 // memory.itemsize
    found, start = alignment.from_boundary(memory[before:].reshape(-1, 1))
    assert start == before
    assert found.ctypes.data == memory.ctypes.data
    assert not found.flags.writeable
    del memory
    np.testing.assert_array_equal(found[start:], np.arange(before, 97))


@pytest.mark.parametrize("array", [np.ones((4, 4), np.float32).T, np.ones(9, np.float32)[::2]])
def test_memory_in_pieces_has_no_boundary(array):
    with pytest.raises(ValueError, match="in one piece"):
        alignment.from_boundary(array)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.bool_])
@pytest.mark.parametrize("row_shape", [(), (1,), (7,), (2, 3)])
def test_rows_are_taken_from_where_they_lie(nothing_is_small, dtype, row_shape):
    shape = (50, *row_shape)
    x = shifted((np.random.Generator(np.random.Philox(5)).random(shape) * 9).astype(dtype))
    device = held.on_device(x)
    assert isinstance(device, held.Shifted)
    assert device.memory.unsafe_buffer_pointer() == x.ctypes.data // 64 * 64
    rows = np.array([49, 0, 7, 7], np.int32)
    found = held.take(device, rows)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, x[rows])


def test_a_large_array_is_not_copied_and_a_small_one_is():
    large = shifted(np.zeros((9, 1 << 20), np.float32))
    assert isinstance(held.on_device(large), held.Shifted)
    assert not isinstance(held.on_device(shifted(np.zeros((9, 4), np.float32))), held.Shifted)


def test_training_evaluating_and_predicting_where_the_numbers_lie(rows, monkeypatch):
    def results(x):
        fitted = ek.models.clone_model(model())
        ek.set_random_seed(8)
        fitted.compile(ek.optimizers.SGD(0.01, momentum=0.9), loss="mse")
        # Targets of several numbers a row can be as large as the inputs.
        history = fitted.fit(x, x[:, :1], batch_size=16, verbose=0, validation_split=0.3)
        score = fitted.evaluate(x, x[:, :1], verbose=0, return_dict=True)
        return [*fitted.get_weights(), history.history["val_loss"], *score.values()]

    expected = results(rows[0])
    monkeypatch.setattr(held, "_LARGE", 0)
    assert_same(results(shifted(rows[0])), expected)


def test_several_inputs_and_outputs_where_the_numbers_lie(rows, monkeypatch):
    def results(x, y):
        ek.set_random_seed(4)
        left, right = ek.Input((COLUMNS,)), ek.Input((COLUMNS,))
        joined = ek.layers.Concatenate()([left, right])
        outputs = [ek.layers.Dense(COLUMNS)(joined), ek.layers.Dense(1)(joined)]
        fitted = ek.Model(inputs=[left, right], outputs=outputs)
        fitted.compile("sgd", loss=["mse", "mse"])
        fitted.fit([x, x[::-1].copy()], [x, y], batch_size=16, verbose=0)
        return fitted.get_weights()

    expected = results(*rows)
    monkeypatch.setattr(held, "_LARGE", 0)
    assert_same(results(shifted(rows[0]), shifted(rows[1])), expected)


@pytest.mark.filterwarnings("ignore:Epoch.*infinite or not a number")
def test_a_run_that_breaks_is_looked_at_where_the_numbers_lie(rows, monkeypatch):
    def breaks(x):
        ek.set_random_seed(4)
        fitted = ek.models.clone_model(model())
        fitted.compile(ek.optimizers.SGD(1e30), loss="mse")
        fitted.fit(x, x[:, :1], batch_size=16, verbose=0)
        return [(broken.batches, broken.cause) for broken in fitted.history.breaks]

    expected = breaks(rows[0])
    monkeypatch.setattr(held, "_LARGE", 0)
    assert expected == breaks(shifted(rows[0]))
    assert expected
