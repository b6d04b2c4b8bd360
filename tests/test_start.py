"""What a program imports before it does anything, and where caches are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evenkeel.caching import cache_folder


def modules_after(program):
    """The names of the modules that a fresh interpreter has loaded after a program."""
    result = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stdout.splitlines()[-1].split())


def test_importing_the_package_imports_nothing_heavy():
    heavy = {"jax", "numpy", "sklearn", "scipy", "rich", "pooch", "click"}
    assert not heavy & modules_after("import evenkeel")


def test_help_imports_nothing_heavy():
    program = "from evenkeel.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not {"jax", "numpy", "sklearn", "rich", "pooch"} & modules_after(program)


def test_a_training_imports_neither_scikit_learn_nor_what_downloads(tmp_path):
    """Both take longer to import than a small table takes to train on."""
    program = f"""
from evenkeel.cli import main
try:
    main(["train", "--out", r"{tmp_path / "run"}", "--epochs", "1", "--hidden", "4", "--quiet"])
except SystemExit:
    pass
"""
    loaded = modules_after(program)
    assert "jax" in loaded
    assert (tmp_path / "run" / "run.json").is_file()
    assert not {"sklearn", "pandas", "pooch", "scipy.stats"} & loaded


def test_data_can_be_read_without_the_engine():
    """So that the command line reads them while JAX is imported."""
    assert "jax" not in modules_after("import evenkeel.datasets.sources")


class TestCacheFolder:
    def test_the_variable_names_it(self, monkeypatch, tmp_path):
        monkeypatch.setenv("EVENKEEL_CACHE", str(tmp_path))
        assert cache_folder("programs") == tmp_path / "programs"

    def test_a_home_folder_is_understood(self, monkeypatch):
        monkeypatch.setenv("EVENKEEL_CACHE", "~/kept")
        assert cache_folder("programs") == Path.home() / "kept" / "programs"

    @pytest.mark.skipif(sys.platform != "linux", reason="where Linux has it")
    def test_else_it_is_where_the_platform_has_it(self, monkeypatch, tmp_path):
        monkeypatch.delenv("EVENKEEL_CACHE", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_folder("programs") == tmp_path / "evenkeel" / "programs"
