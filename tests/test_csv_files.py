"""CSV files: how their lines become rows of numbers, and how they are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evenkeel.datasets.csv_files import Column, Form, read_csv, read_table
from evenkeel.errors import EvenkeelError, EvenkeelWarning

HOUSES = """rooms,sea,price
3,near,250000.5
,far,150000.0
5,near,350000.0
4,far,200000.0
NA,far,120000.0
""" + "".join(f"{n % 7},{('near', 'far')[n % 2]},{100_000 + n}.5\n" for n in range(45))


@pytest.fixture
def write(tmp_path):
    def written(text, name="houses.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_text(text, encoding=encoding)
        return path

    return written


def test_numbers_stay_and_texts_become_columns(write):
    data = read_csv(write(HOUSES), "price")
    assert (data.task, len(data.x_train), len(data.x_test)) == ("regression", 40, 10)
    names = [name for column in data.form.columns for name in column.names]
    assert names == ["rooms", "rooms is missing", "sea is far", "sea is near"]
    x = np.concatenate([data.x_train, data.x_test])
    np.testing.assert_array_equal(x[:, 2] + x[:, 3], 1)
    assert x[:, 1].sum() == 2


def test_holes_are_filled_with_the_median_of_the_training_rows(write):
    """The rows are those of the split, so that nothing of the test is used."""
    data = read_csv(write(HOUSES), "price")
    known = data.x_train[data.x_train[:, 1] == 0, 0]
    assert data.form.columns[0].fill == np.median(known)
    filled = np.concatenate([data.x_train, data.x_test])
    assert set(filled[filled[:, 1] == 1, 0]) == {data.form.columns[0].fill}


def test_a_form_survives_json_and_reads_the_same_rows(write):
    path = write(HOUSES)
    data = read_csv(path, "price")
    form = Form.from_dict(json.loads(json.dumps(data.form.to_dict())))
    assert form == data.form
    again = read_csv(path, "price", form=form)
    np.testing.assert_array_equal(again.x_test, data.x_test)


def test_a_value_that_was_never_seen_is_none_of_the_known(write):
    form = read_csv(write(HOUSES), "price").form
    with pytest.warns(EvenkeelWarning, match=r"new.csv: 1 rows .* such as 'on it'"):
        rows = form.inputs({"rooms": ["3"], "sea": ["on it"]}, "new.csv")
    np.testing.assert_array_equal(rows[0, 2:], 0)


def test_a_hole_where_no_training_row_had_one_is_told():
    form = Form(target="price", columns=(Column(name="rooms", fill=4.0),))
    with pytest.warns(EvenkeelWarning, match=r"1 rows have no 'rooms'. 4, the median"):
        rows = form.inputs({"rooms": ["3", ""]}, "new.csv")
    np.testing.assert_array_equal(rows, [[3], [4]])


@pytest.mark.parametrize(
    ("targets", "task", "names", "first"),
    [
        (["no", "yes"], None, ("no", "yes"), 0),
        (["0", "1"], None, (), 0),
        (["0", "1"], "regression", (), 0),
        (["-1", "1"], "classification", ("-1", "1"), 0),
        (["0.5", "1.5"], None, (), 0.5),
    ],
)
def test_targets_that_are_texts_are_numbered(write, targets, task, names, first):
    text = "a,y\n" + "".join(f"{n},{targets[n % 2]}\n" for n in range(20))
    data = read_csv(write(text), "y", task)
    assert data.class_names == names
    assert np.concatenate([data.y_train, data.y_test]).min() == first
    wanted = task or ("regression" if first == 0.5 else "classification")
    assert data.task == wanted


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_and_the_mark_of_the_encoding_are_seen(write, delimiter):
    text = f"a{delimiter}b\n1{delimiter}x\n\n2{delimiter}y\n"
    assert read_table(write(text, encoding="utf-8-sig")) == {"a": ["1", "2"], "b": ["x", "y"]}


BAD = (
    ("", "y", {}, "no rows"),
    ("a,y\n", "y", {}, "no rows"),
    ("a,y\n1,2\n1\n", "y", {}, "row 1 has 1 fields"),
    ("a,a\n1,2\n", "a", {}, "one name"),
    ("a,y\n1,2\n3,\n", "y", {}, "row 1 has no 'y'"),
    (HOUSES, "prize", {}, "Did you mean 'price'"),
    (HOUSES, None, {}, "--target price"),
    (HOUSES, "price", {"drop": ("rooms", "sea")}, "no column is left"),
    (HOUSES, "sea", {"task": "regression"}, "--task classification"),
    ("id,y\n" + "".join(f"n{n},{n}.5\n" for n in range(90)), "y", {}, "--drop id"),
)


@pytest.mark.parametrize(("text", "target", "more", "words"), BAD, ids=[b[3] for b in BAD])
def test_what_cannot_be_read_is_refused(write, text, target, more, words):
    with pytest.raises(EvenkeelError, match=words):
        read_csv(write(text), target, **more)


def test_later_files_are_held_to_the_form(write):
    form = read_csv(write(HOUSES), "price").form
    with pytest.raises(EvenkeelError, match="Did you mean 'room'"):
        form.inputs({"room": ["3"], "sea": ["far"]}, "new.csv")
    with pytest.raises(EvenkeelError, match="'three'"):
        form.inputs({"rooms": ["three"], "sea": ["far"]}, "new.csv")
    classes = read_csv(write("a,y\n" + "1,yes\n2,no\n" * 10), "y").form
    with pytest.raises(EvenkeelError, match="Did you mean 'yes'"):
        classes.targets(["yess"], "new.csv")
