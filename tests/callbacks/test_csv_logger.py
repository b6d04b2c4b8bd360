"""`CSVLogger`: the file, row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evenkeel.callbacks import CSVLogger
from evenkeel.errors import InvalidArgumentError
from tests.callbacks.stubs import NAN, X, Y, linear


def written(logger, *logs, start=0):
    logger.on_train_begin({})
    for epoch, row in enumerate(logs, start):
        logger.on_epoch_end(epoch, row)
    return logger.filename.read_text().splitlines()


def test_a_run_is_read_back_as_the_history(tmp_path):
    path = tmp_path / "new" / "log.csv"
    history = linear(metrics=["mae"]).fit(
        X, Y, batch_size=5, epochs=3, validation_data=(X, Y), verbose=0, callbacks=[CSVLogger(path)]
    )
    table = pd.read_csv(path)
    assert list(table.columns) == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    assert table["epoch"].tolist() == [0, 1, 2]
    for name, values in history.history.items():
        np.testing.assert_allclose(table[name], values, rtol=1e-15)


def test_each_row_is_there_when_its_epoch_is_over(tmp_path):
    logger = CSVLogger(tmp_path / "log")
    logger.on_train_begin({})
    logger.on_epoch_end(0, {"loss": 0.5})
    assert logger.filename.read_text() == "epoch,loss\n0,0.5\n"


def test_columns_are_in_alphabetical_order_like_those_of_keras(tmp_path):
    lines = written(CSVLogger(tmp_path / "log"), {"loss": 1.0, "accuracy": 0.5, "val_loss": 2.0})
    assert lines == ["epoch,accuracy,loss,val_loss", "0,0.5,1.0,2.0"]


def test_a_log_that_comes_up_later_gets_a_column(tmp_path):
    rows = {"loss": 1.0}, {"loss": 0.5, "val_loss": 0.75}, {"loss": 0.25}
    lines = written(CSVLogger(tmp_path / "log"), *rows)
    assert lines == ["epoch,loss,val_loss", "0,1.0,NA", "1,0.5,0.75", "2,0.25,NA"]
    assert [p.name for p in tmp_path.iterdir()] == ["log"]


def test_what_is_not_a_number_is_written_as_it_is(tmp_path):
    assert written(CSVLogger(tmp_path / "log"), {"loss": NAN})[1] == "0,nan"


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_can_be_said(tmp_path, separator):
    lines = written(CSVLogger(tmp_path / "log", separator=separator), {"loss": 1.0})
    assert lines == [f"epoch{separator}loss", f"0{separator}1.0"]


def test_a_second_run_begins_the_file_anew(tmp_path):
    logger = CSVLogger(tmp_path / "log")
    written(logger, {"loss": 1.0})
    assert written(logger, {"mae": 2.0}) == ["epoch,mae", "0,2.0"]


class TestAppend:
    def test_rows_are_added_below(self, tmp_path):
        written(CSVLogger(tmp_path / "log"), {"loss": 1.0})
        lines = written(CSVLogger(tmp_path / "log", append=True), {"loss": 0.5}, start=1)
        assert lines == ["epoch,loss", "0,1.0", "1,0.5"]

    def test_the_columns_are_those_of_the_file(self, tmp_path):
        (tmp_path / "log").write_text("loss,epoch,note\n1.0,0,mine\n")
        lines = written(CSVLogger(tmp_path / "log", append=True), {"mae": 3.0, "loss": 0.5})
        assert lines == ["loss,epoch,note,mae", "1.0,0,mine,NA", "0.5,0,NA,3.0"]

    @pytest.mark.parametrize("empty", [True, False])
    def test_an_empty_or_missing_file_is_begun(self, tmp_path, empty):
        if empty:
            (tmp_path / "log").write_text("")
        lines = written(CSVLogger(tmp_path / "log", append=True), {"loss": 0.5})
        assert lines == ["epoch,loss", "0,0.5"]

    def test_a_last_line_without_an_end_is_not_written_on(self, tmp_path):
        (tmp_path / "log").write_text("epoch,loss\n0,1.0")
        lines = written(CSVLogger(tmp_path / "log", append=True), {"loss": 0.5}, start=1)
        assert lines == ["epoch,loss", "0,1.0", "1,0.5"]

    def test_a_file_with_another_separator_is_refused_and_left_alone(self, tmp_path):
        (tmp_path / "log").write_text("epoch;loss\n0;1.0\n")
        with pytest.raises(InvalidArgumentError, match="separator"):
            written(CSVLogger(tmp_path / "log", append=True), {"loss": 0.5})
        assert (tmp_path / "log").read_text() == "epoch;loss\n0;1.0\n"


@pytest.mark.parametrize("separator", ["", ", ", "\n", '"', 3])
def test_a_separator_that_cannot_separate_is_refused(separator):
    with pytest.raises(InvalidArgumentError, match="separator"):
        CSVLogger("log.csv", separator=separator)
