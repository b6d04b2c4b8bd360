"""What every public name obeys: it exists, says what it is, and shows how to use it."""

from __future__ import annotations

import doctest
import inspect
import re

import pytest

import evenkeel as ek
from tests.laws import discovery

MODULES = discovery.public_modules()
NAMES = [(module, name) for module in MODULES for name in discovery.public_names(module)]
every_module = pytest.mark.parametrize("module", discovery.each(MODULES))
every_name = pytest.mark.parametrize(
    ("module", "name"),
    [pytest.param(module, name, id=f"{module.__name__}.{name}") for module, name in NAMES],
)
PLACEHOLDERS = re.compile(r"\b(TODO|FIXME|XXX|TBD|lorem ipsum|coming soon)\b", re.IGNORECASE)


def has_example(thing):
    """Whether a docstring has an `Example:` section with something to run in it."""
    text = inspect.getdoc(thing) or ""
    _, found, example = text.partition("Example:")
    return bool(found) and bool(doctest.DocTestParser().get_examples(example))


def own_docstring(thing):
    """Returns the docstring written for a thing, not one inherited from its base class."""
    return inspect.cleandoc(thing.__doc__) if thing.__doc__ else None


@every_name
def test_exists_and_is_documented(module, name):
    """A module's, class's or function's first line is one sentence."""
    text = own_docstring(getattr(module, name))
    assert text, f"{module.__name__}.{name} has no docstring"
    paragraph = text.split("\n\n")[0]
    assert re.match(r"[\w`\"'½λ(<>\-+|/]", paragraph[0]), paragraph
    assert paragraph.splitlines()[0].endswith("."), "the first line is one whole sentence"


@every_name
def test_shows_an_example(module, name):
    """Modules show theirs in their members; exceptions are shown by whatever raises them."""
    thing = getattr(module, name)
    if inspect.ismodule(thing) or (inspect.isclass(thing) and issubclass(thing, Exception)):
        return
    assert has_example(thing), f"{module.__name__}.{name} has no `Example:` that runs"


@every_name
def test_names_no_unfinished_work(module, name):
    thing = getattr(module, name)
    assert not PLACEHOLDERS.search(inspect.getdoc(thing) or "")
    try:
        source = inspect.getsource(thing)
    except (OSError, TypeError):
        return  # made by a call, without source text of its own
    assert not PLACEHOLDERS.search(source)


@every_module
def test_a_public_module_lists_what_it_exports_once(module):
    names = discovery.public_names(module)
    assert names
    assert len(names) == len(set(names))
    assert all(hasattr(module, name) for name in names)


def test_listing_the_package_shows_its_names():
    assert set(ek.__all__) <= set(dir(ek))
    assert "__version__" in dir(ek)


def test_the_names_are_sorted():
    assert sorted(ek.__all__) == ek.__all__


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("layres", "layers"), ("Sequentail", "Sequential"), ("optimisers", "optimizers")],
)
def test_an_unknown_attribute_is_refused_with_the_nearest_name(wrong, meant):
    with pytest.raises(AttributeError, match=f"{wrong}.*{meant!r}"):
        getattr(ek, wrong)


@pytest.mark.parametrize(
    "family",
    [
        ek.activations,
        ek.constraints,
        ek.initializers,
        ek.losses,
        ek.metrics,
        ek.optimizers,
        ek.regularizers,
    ],
)
def test_every_family_has_one_way_to_ask_for_a_member(family):
    """`get` refuses what is no member, and names the members that there are."""
    with pytest.raises(ek.errors.InvalidArgumentError, match="Valid: "):
        family.get(3.5)
    with pytest.raises(ek.errors.InvalidArgumentError, match="Valid: "):
        family.get("zzz")
