"""Data comes in with one copy at most, and what the user holds stays the user's."""

import tracemalloc

import numpy as np
import pytest

import evenkeel as ek
from evenkeel import alignment
from evenkeel.engine import intake
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
