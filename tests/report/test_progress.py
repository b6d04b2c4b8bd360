"""What a run prints at each `verbose`."""

from __future__ import annotations

import pytest

from tests.callbacks.stubs import X, Y, linear


class TestDisplays:
    def test_two_prints_one_line_an_epoch(self, capsys):
        linear(metrics=["mae"]).fit(X, Y, batch_size=5, epochs=3, validation_data=(X, Y), verbose=2)
        lines = capsys.readouterr().out.strip().splitlines()
        assert len(lines) == 3
        assert lines[0].startswith("Epoch 1/3")
        for word in ("loss", "mae", "val_loss", "val_mae", "steps/s"):
            assert word in lines[2]

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
