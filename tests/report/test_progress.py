"""What a run prints at each `verbose`."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from evenkeel.engine.compilation import Compilation
from evenkeel.engine.history import History
from evenkeel.report.progress import EpochLines
from tests.callbacks.stubs import X, Y, linear


class TestDisplays:
    def test_what_there_is_to_say_is_a_line_of_its_own(self, capsys):
        """Ten rows are few: the doctor says so, in a line before the first epoch's."""
        linear(metrics=["mae"]).fit(X, Y, batch_size=5, epochs=1, verbose=2)
        said, *rest = capsys.readouterr().out.strip().splitlines()
        assert said.startswith("Doctor: too-little-data")
        assert rest[-1].startswith("Epoch 1/1")

    def test_two_prints_one_line_an_epoch(self, capsys):
        model = linear(metrics=["mae"])
        settings = {"batch_size": 5, "epochs": 3, "verbose": 2, "doctor": None}
        model.fit(X, Y, validation_data=(X, Y), **settings)
        compiling, *lines = capsys.readouterr().out.strip().splitlines()
        assert compiling.startswith("Compiled in ")
        assert len(lines) == 3
        assert lines[0].startswith("Epoch 1/3")
        for word in ("loss", "mae", "val_loss", "val_mae", "steps/s"):
            assert word in lines[2]

    def test_only_what_was_compiled_is_spoken_of(self, capsys):
        model = linear()
        for _ in range(2):
            capsys.readouterr()
            model.fit(X, Y, batch_size=5, verbose=2)
        assert "Compiled" not in capsys.readouterr().out

    def test_what_the_cache_had_is_said_to_come_from_there(self, capsys):
        lines = EpochLines()
        lines.model = SimpleNamespace(history=History({}))
        for program, seconds in (("telemetry", 5.0), ("training", 0.25), ("training", 7.0)):
            lines.model.history.compilations.append(
                Compilation(program=program, seconds=seconds, from_cache=True)
            )
        lines.on_progress(1, 5)
        lines.on_progress(2, 5)
        assert capsys.readouterr().out == "Compiled in 0.2s, from the cache\n"

    @pytest.mark.parametrize("verbose", [0, "auto"])
    def test_zero_and_auto_outside_a_terminal_are_silent(self, capsys, verbose):
        model = linear()
        model.fit(X, Y, batch_size=5, verbose=verbose)
        model.evaluate(X, Y, verbose=verbose)
        captured = capsys.readouterr()
        assert captured.out == captured.err == ""

    def test_evaluate_prints_its_numbers_when_asked(self, capsys):
        linear(metrics=["mae"]).evaluate(X, Y, verbose=2)
        out = capsys.readouterr().out
        assert "loss" in out
        assert "mae" in out
