"""The API pages build without complaints, and the build complains of what is wrong."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import evenkeel as ek

REASON = "the API pages need the extra docs: pip install '.[docs]'"
griffe = pytest.importorskip("griffe", reason=REASON)
pytest.importorskip("pdoc", reason=REASON)

SCRIPT = Path(__file__).parents[2] / "docs" / "api" / "build.py"


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_api_pages", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The pages, and what the command printed; in a process of its own, as a user runs it."""
    folder = tmp_path_factory.mktemp("api")
    command = [sys.executable, "-W", "error", SCRIPT, folder]
    return folder, subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def pages(finished, tmp_path):
    return Path(shutil.copytree(finished[0], tmp_path / "api"))


def test_the_pages_build_without_complaints(finished):
    _, run = finished
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""


def test_every_family_is_on_the_index_with_its_first_sentence(finished):
    text = (finished[0] / "index.html").read_text()
    for name in ("activations", "initializers", "layers", "optimizers"):
        assert f"evenkeel/{name}.html" in text
        assert getattr(ek, name).__doc__.split(":")[0] in text


def test_a_page_has_what_its_family_defines_and_not_what_it_imports(finished):
    text = (finished[0] / "evenkeel" / "activations.html").read_text()
    assert '<section id="elu">' in text
    assert '<section id="Array">' not in text


def test_a_family_without_a_page_is_reported(build, pages):
    (pages / "evenkeel" / "losses.html").unlink()
    assert "evenkeel.losses has no page." in build.page_faults(pages)


@pytest.mark.parametrize(
    ("found", "instead", "fault"),
    [
        ('id="Dense"', "", "evenkeel.layers.Dense is not on its page"),
        ("</main>", '<a href="#Dens">it</a></main>', "the link #Dens leads nowhere"),
        ("</main>", '<a href="gone.html">it</a></main>', "the link gone.html leads nowhere"),
        ("</main>", "<code>ek.layers.Dens</code></main>", "`ek.layers.Dens` names nothing"),
    ],
)
def test_a_missing_name_or_target_is_reported(build, pages, found, instead, fault):
    page = pages / "evenkeel" / "layers.html"
    text = page.read_text()
    assert found in text
    page.write_text(text.replace(found, instead, 1))
    assert any(fault in line for line in build.page_faults(pages))


@pytest.mark.parametrize(
    ("signature", "fault"),
    [
        ("rate, seed=None", None),
        ("rate, seed=None, **others", None),
        ("rate", "Args has seed, which is no parameter."),
        ("rate, seed=None, noise=0", "Args leaves out noise."),
    ],
)
def test_arguments_are_compared_with_the_signature(build, signature, fault):
    code = f'''
def drop({signature}):
    """Drops.

    Args:
        rate: The fraction.
        seed: The seed.
    """
'''
    module = griffe.visit(
        "example",
        filepath=Path("example.py"),
        code=code,
        docstring_parser="google",
        docstring_options={"warn_missing_types": False, "warn_unknown_params": False},
    )
    faults = list(build.mismatches(module["drop"]))
    assert [re.sub(r"^.*: ", "", line) for line in faults] == ([fault] if fault else [])
