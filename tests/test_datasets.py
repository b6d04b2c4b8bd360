"""Data sets: what is bundled, what is fetched and verified, and what a file may hold."""

from __future__ import annotations

import gzip
import hashlib
import struct

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.datasets import digits, fashion_mnist
from evenkeel.datasets.registry import canonical
from evenkeel.datasets.splitting import split_rows
from evenkeel.datasets.tables import read_npz
from evenkeel.errors import DatasetUnavailableError, InvalidArgumentError, InvalidDataError


class TestDigits:
    def test_shapes_types_and_ranges(self):
        (x_train, y_train), (x_test, y_test) = digits.load_data()
        assert x_train.shape == (1437, 64)
        assert x_test.shape == (360, 64)
        assert y_train.shape == (1437,)
        assert y_test.shape == (360,)
        assert x_train.dtype == np.float32
        assert (x_train.min(), x_train.max()) == (0, 16)
        assert set(y_train) == set(y_test) == set(range(10))

    def test_the_test_rows_are_a_fifth_of_every_class(self):
        """Stratified: a class's share of the test differs from a fifth by one row at most."""
        (_, y_train), (_, y_test) = digits.load_data()
        train, test = np.bincount(y_train), np.bincount(y_test)
        assert (np.abs(test - (train + test) / 5) <= 1).all()

    def test_the_split_is_always_the_same_and_independent_of_the_seed(self):
        first = digits.load_data()
        ek.set_random_seed(99)
        second = digits.load_data()
        for a, b in zip((*first[0], *first[1]), (*second[0], *second[1]), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_the_rows_are_those_that_scikit_learn_loads(self):
        from sklearn.datasets import load_digits

        for found, expected in zip(digits._rows(), load_digits(return_X_y=True), strict=True):
            np.testing.assert_array_equal(found, expected)

    def test_no_row_is_in_both_parts_more_often_than_in_the_whole(self):
        from sklearn.datasets import load_digits

        (x_train, _), (x_test, _) = digits.load_data()
        whole = np.asarray(load_digits().data, np.float32)
        parts = np.concatenate([x_train, x_test])
        np.testing.assert_array_equal(parts[np.lexsort(parts.T)], whole[np.lexsort(whole.T)])

    def test_it_loads_by_name(self):
        data = ek.datasets.load("digits")
        assert (data.name, data.task, data.classes) == ("digits", "classification", 10)
        assert data.class_names == tuple("0123456789")


class TestNames:
    @pytest.mark.parametrize(
        "name", ["fashion_mnist", "fashion-mnist", "Fashion_MNIST", " Digits "]
    )
    def test_underscores_capitals_and_spaces_do_not_matter(self, name):
        assert canonical(name) in {entry.name for entry in ek.datasets.entries()}

    def test_an_unknown_name_offers_the_nearest(self):
        with pytest.raises(InvalidArgumentError, match="Did you mean 'fashion-mnist'"):
            ek.datasets.load("fashion_mnis")

    def test_every_entry_says_what_it_is(self):
        names = [entry.name for entry in ek.datasets.entries()]
        assert names == sorted(names)
        assert all(entry.description for entry in ek.datasets.entries())


def idx(array):
    """Encodes an array of bytes in the IDX format."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def away(tmp_path, monkeypatch):
    """A machine without network: an empty cache, an empty system folder, a failing download."""
    home, system = tmp_path / "home", tmp_path / "system"
    system.mkdir()
    monkeypatch.setenv("EVENKEEL_CACHE", str(home))
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", system)

    def unreachable(*arguments, **keywords):
        raise OSError("no route to host")

    import pooch

    monkeypatch.setattr(pooch, "retrieve", unreachable)
    cache = fashion_mnist.cache_folder()
    cache.mkdir(parents=True)
    return cache, system


@pytest.fixture
def tiny(away, monkeypatch):
    """Four tiny files with checksums of their own; returns how to put them into a folder."""
    contents = {}
    for name in fashion_mnist.CONTENT_SHA256:
        rows = 6 if name.startswith("train") else 3
        shape = (rows, 2, 2) if "images" in name else (rows,)
        contents[name] = idx(np.arange(np.prod(shape)).reshape(shape) % 10)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(fashion_mnist, "CONTENT_SHA256", sums)

    def put(folder, level=9):
        for name, content in contents.items():
            (folder / name).write_bytes(gzip.compress(content, level))

    return put


class TestFashionMnist:
    def test_the_real_files_have_the_published_shapes(self):
        entry = next(e for e in ek.datasets.entries() if e.name == "fashion-mnist")
        if not entry.is_at_hand():
            pytest.skip("the Fashion-MNIST files are not at hand")
        (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
        assert x_train.shape == (60000, 28, 28)
        assert x_test.shape == (10000, 28, 28)
        assert x_train.dtype == np.uint8
        assert (np.bincount(y_train) == 6000).all()
        assert (np.bincount(y_test) == 1000).all()

    def test_missing_and_offline_says_what_to_do(self, away):
        cache, system = away
        with pytest.raises(DatasetUnavailableError) as caught:
            ek.datasets.load("fashion_mnist")
        message = str(caught.value)
        for word in (
            str(cache),
            str(system),
            "apt-get install dataset-fashion-mnist",
            "train-images-idx3-ubyte.gz",
            "digits",
        ):
            assert word in message
        assert isinstance(caught.value, OSError)

    def test_it_is_not_at_hand_when_a_file_is_missing(self, away, tiny):
        cache, _ = away
        entry = next(e for e in ek.datasets.entries() if e.name == "fashion-mnist")
        assert not entry.is_at_hand()
        tiny(cache)
        assert entry.is_at_hand()
        next(iter(cache.iterdir())).unlink()
        assert not entry.is_at_hand()

    def test_files_in_either_folder_are_decoded(self, away, tiny):
        for folder in away:
            tiny(folder)
            (x_train, y_train), (x_test, _) = fashion_mnist.load_data()
            np.testing.assert_array_equal(x_train, np.arange(24).reshape(6, 2, 2) % 10)
            np.testing.assert_array_equal(y_train, np.arange(6))
            assert x_test.shape == (3, 2, 2)
            for path in folder.iterdir():
                path.unlink()

    def test_the_compression_does_not_matter(self, away, tiny):
        tiny(away[0], level=1)
        assert ek.datasets.load("fashion-mnist").x_train.shape == (6, 2, 2)

    def test_the_cache_is_looked_into_before_the_system(self, away, tiny):
        """A damaged file in the system's folder is not even opened."""
        cache, system = away
        tiny(cache)
        for path in cache.iterdir():
            (system / path.name).write_bytes(b"damaged")
        fashion_mnist.load_data()
        for path in list(cache.iterdir()):
            path.unlink()
        with pytest.raises(DatasetUnavailableError, match="system"):
            fashion_mnist.load_data()

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: gzip.compress(gzip.decompress(content)[:-1] + b"\x07"),
            lambda content: gzip.compress(gzip.decompress(content) + b"\0"),
            lambda content: content[: len(content) // 2],
            lambda content: b"<html>Please sign in</html>",
            lambda content: b"",
            lambda content: content[:12] + bytes([content[12] ^ 255]) + content[13:],
        ],
        ids=["other content", "longer", "cut off", "a web page", "empty", "flipped"],
    )
    def test_a_damaged_file_is_refused_by_name(self, away, tiny, damage):
        cache, _ = away
        tiny(cache)
        path = cache / "t10k-labels-idx1-ubyte.gz"
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(DatasetUnavailableError) as caught:
            fashion_mnist.load_data()
        assert f"rm {path}" in str(caught.value)

    def test_what_is_downloaded_is_verified_as_well(self, away, tiny, monkeypatch):
        import pooch

        def intercepted(url, fname, path, **keywords):
            (path / fname).write_bytes(gzip.compress(b"something else"))
            return str(path / fname)

        monkeypatch.setattr(pooch, "retrieve", intercepted)
        with pytest.raises(DatasetUnavailableError, match="checksum"):
            fashion_mnist.load_data()

    def test_what_is_downloaded_well_is_used(self, away, tiny, monkeypatch, tmp_path):
        import pooch

        source = tmp_path / "server"
        source.mkdir()
        tiny(source)
        asked = []

        def retrieve(url, fname, path, **keywords):
            asked.append(url)
            (path / fname).write_bytes((source / fname).read_bytes())
            return str(path / fname)

        monkeypatch.setattr(pooch, "retrieve", retrieve)
        for _ in range(2):
            assert fashion_mnist.load_data()[0][0].shape == (6, 2, 2)
        files = [fashion_mnist.BASE_URL + name for name in fashion_mnist.CONTENT_SHA256]
        assert sorted(asked) == sorted(files)


X = np.arange(40, dtype=np.float64).reshape(20, 2)
LABELS = np.arange(20) % 2


class TestNpz:
    def write(self, tmp_path, **arrays):
        path = tmp_path / "mine.npz"
        np.savez(path, **arrays)
        return path

    def test_x_and_y_are_split_by_the_seed(self, tmp_path):
        path = self.write(tmp_path, x=X, y=LABELS)
        one, again, other = (read_npz(path, seed=seed) for seed in (0, 0, 1))
        assert (one.name, one.task, one.classes) == ("mine", "classification", 2)
        assert one.x_train.shape == (16, 2)
        assert one.x_test.shape == (4, 2)
        assert np.bincount(one.y_test).tolist() == [2, 2]
        np.testing.assert_array_equal(one.x_test, again.x_test)
        assert not np.array_equal(one.x_test, other.x_test)

    def test_rows_stay_together(self, tmp_path):
        data = read_npz(self.write(tmp_path, x=X, y=X[:, 0]))
        np.testing.assert_array_equal(data.x_train[:, 0], data.y_train)
        np.testing.assert_array_equal(data.x_test[:, 0], data.y_test)

    def test_a_test_part_in_the_file_is_used(self, tmp_path):
        data = read_npz(self.write(tmp_path, x=X, y=LABELS, x_test=X[:3] + 1, y_test=LABELS[:3]))
        np.testing.assert_array_equal(data.x_train, X)
        np.testing.assert_array_equal(data.x_test, X[:3] + 1)

    @pytest.mark.parametrize(
        "rows", [[1, 5, 7], [[1, 5, 7], [0, 2, 3]], np.isin(np.arange(20), [1, 5, 7])],
        ids=["numbers", "first of several splits", "mask"],
    )  # fmt: skip
    def test_test_rows_in_the_file_are_used(self, tmp_path, rows):
        data = read_npz(self.write(tmp_path, x=X, y=LABELS, test_rows=np.array(rows)))
        np.testing.assert_array_equal(data.x_test, X[[1, 5, 7]])
        assert len(data.x_train) == 17

    @pytest.mark.parametrize(
        ("y", "task"),
        [
            (np.arange(20) % 2, "classification"),
            (np.arange(20) % 2 == 0, "classification"),
            ((np.arange(20) % 3).astype(np.uint8)[:, None], "classification"),
            (np.arange(20) % 2 - 1, "regression"),
            (np.arange(20) / 7, "regression"),
            ((np.arange(20) % 2).astype(float), "regression"),
            (np.stack([LABELS, LABELS], axis=1), "regression"),
        ],
        ids=["whole", "bool", "one column", "negative", "broken", "float", "two columns"],
    )
    def test_the_task_is_seen_from_y(self, tmp_path, y, task):
        assert read_npz(self.write(tmp_path, x=X, y=y)).task == task

    def test_more_than_a_hundred_whole_values_are_numbers(self, tmp_path):
        x = np.arange(202.0)[:, None]
        hundred, more = np.arange(202) % 100, np.arange(202) % 101
        assert read_npz(self.write(tmp_path, x=x, y=hundred)).task == "classification"
        assert read_npz(self.write(tmp_path, x=x, y=more)).task == "regression"

    def test_the_task_can_be_said(self, tmp_path):
        path = self.write(tmp_path, x=X, y=LABELS)
        assert read_npz(path, task="regression").task == "regression"
        assert read_npz(path, task="regression").classes == 0
        path = self.write(tmp_path, x=X, y=LABELS.astype(float))
        assert read_npz(path, task="classification").y_train.dtype == np.int64

    def test_numbers_are_no_classes_even_if_told_so(self, tmp_path):
        path = self.write(tmp_path, x=X, y=X[:, 0] / 7)
        with pytest.raises(InvalidArgumentError, match="--task regression"):
            read_npz(path, task="classification")

    @pytest.mark.parametrize(
        ("arrays", "words"),
        [
            ({"y": LABELS}, ["no array 'x'", "np.savez(path, x=x, y=y)"]),
            ({"x": X}, ["no array 'y'"]),
            ({"X": X, "y": LABELS}, ["no array 'x'", "Did you mean 'X'"]),
            ({}, ["no array 'x'"]),
            ({"x": X, "y": LABELS[:-1]}, ["20 rows", "19"]),
            ({"x": X[:1], "y": LABELS[:1]}, ["at least 2"]),
            ({"x": X, "y": LABELS, "x_test": X}, ["x_test", "y_test"]),
            ({"x": X, "y": LABELS, "y_test": LABELS}, ["x_test", "y_test"]),
            ({"x": X, "y": LABELS, "x_test": X, "y_test": LABELS[:4]}, ["x_test", "20", "4"]),
            ({"x": X, "y": LABELS, "x_test": X[:, :1], "y_test": LABELS}, ["x_test", "(20, 1)"]),
            ({"x": X, "y": LABELS, "test_rows": np.array([3, 20])}, ["test_rows", "20"]),
            ({"x": X, "y": LABELS, "test_rows": np.array([-1])}, ["test_rows", "-1"]),
            ({"x": X, "y": LABELS, "test_rows": np.arange(20)}, ["test_rows", "none to train"]),
            ({"x": X, "y": LABELS, "test_rows": np.array([], int)}, ["test_rows", "none to test"]),
            ({"x": np.array(3.0), "y": LABELS}, ["x has 1 rows", "20"]),
        ],
        ids=[
            "no x", "no y", "capital X", "nothing", "lengths", "one row", "x_test alone",
            "y_test alone", "test lengths", "test columns", "row too high", "row negative",
            "all rows", "no rows", "x a number",
        ],
    )  # fmt: skip
    def test_what_does_not_fit_is_refused(self, tmp_path, arrays, words):
        path = self.write(tmp_path, **arrays)
        with pytest.raises(InvalidDataError) as caught:
            read_npz(path)
        for word in (str(path), *words):
            assert word in str(caught.value)

    def test_python_objects_are_refused_unopened(self, tmp_path):
        path = self.write(tmp_path, x=X, y=np.array([{"a": 1}] * 20, dtype=object))
        with pytest.raises(InvalidDataError, match=r"np\.savez"):
            read_npz(path)

    @pytest.mark.parametrize(
        "content",
        [b"", b"x,y\n1,2\n", b"PK\x03\x04 and then nothing", b"\x80\x04K\x01."],
        ids=["empty", "csv", "half a zip", "pickle"],
    )
    def test_other_files_are_refused(self, tmp_path, content):
        path = tmp_path / "mine.npz"
        path.write_bytes(content)
        with pytest.raises(InvalidDataError, match=r"np\.savez"):
            read_npz(path)

    def test_a_lone_array_is_refused(self, tmp_path):
        path = tmp_path / "mine.npz"
        with path.open("wb") as file:
            np.save(file, X)
        with pytest.raises(InvalidDataError, match=r"np\.savez"):
            read_npz(path)


class TestSplitting:
    @pytest.mark.parametrize("seed", range(12))
    def test_the_rows_drawn_are_those_of_scikit_learn(self, seed):
        """`train_test_split` is run beside it, on classes of different sizes and at odd sizes."""
        from sklearn.model_selection import train_test_split

        random = np.random.Generator(np.random.Philox(seed))
        rows, fraction = int(random.integers(40, 400)), float(random.uniform(0.15, 0.7))
        x, y = np.arange(rows), random.integers(0, int(random.integers(2, 6)), rows)
        for by_class in (True, False):
            found = split_rows(x, y, fraction, seed, by_class=by_class)
            expected = train_test_split(
                x, y, test_size=fraction, random_state=seed, stratify=y if by_class else None
            )
            for part, other in zip(found, (expected[n] for n in (0, 2, 1, 3)), strict=True):
                np.testing.assert_array_equal(part, other)

    def test_every_row_is_in_one_part(self):
        parts = split_rows(X, LABELS, 0.25, 3, by_class=True)
        assert sorted(np.concatenate([parts[0], parts[2]])[:, 0]) == X[:, 0].tolist()
        assert len(parts[2]) == 5

    def test_classes_are_drawn_in_proportion(self):
        y = np.repeat([0, 1], [90, 10])
        drawn = split_rows(np.arange(100), y, 0.2, 0, by_class=True)[3]
        assert np.bincount(drawn).tolist() == [18, 2]

    def test_a_class_of_one_row_is_no_obstacle(self):
        y = np.array([0] * 19 + [1])
        assert len(split_rows(X, y, 0.2, 0, by_class=True)[3]) == 4

    def test_the_seed_decides(self):
        one, two, three = (split_rows(X, LABELS, 0.2, s, by_class=False)[2] for s in (0, 0, 1))
        np.testing.assert_array_equal(one, two)
        assert not np.array_equal(one, three)

    @pytest.mark.parametrize(("rows", "fraction"), [(3, 0.1), (1, 0.5), (0, 0.5)])
    def test_too_few_rows_are_refused(self, rows, fraction):
        with pytest.raises(InvalidDataError, match="more rows"):
            split_rows(X[:rows], LABELS[:rows], fraction, 0, by_class=False)
