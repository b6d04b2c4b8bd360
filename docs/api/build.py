"""Builds the API pages, one a family, from the docstrings: `python docs/api/build.py`.

The pages go to `build/api`; nothing is fetched. What has a page follows from `__all__`, and so does
what is on it. A build that has anything to complain of lists all of it and exits with 1:

- what pdoc or griffe warn of: a name that does not resolve, a section in the wrong shape;
- an argument that is documented and no parameter, or a parameter left out where others are listed;
- a page that a public module lacks, or a public name that its page lacks;
- a link to nowhere, and a full name in backticks that names nothing.

`docs/decisions` says why pdoc, and why griffe beside it.
"""

from __future__ import annotations

import argparse
import inspect
import logging
import pkgutil
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import griffe
import jax
import pdoc
import pdoc.docstrings
import pdoc.render
from pdoc.doc import Class, Doc, Function, Module, Variable

import evenkeel

TEMPLATES = Path(__file__).parent / "templates"
TARGET = Path(__file__).parents[2] / "build" / "api"
FULL_NAME = re.compile(r"(?:evenkeel|ek)(?:\.[A-Za-z_]\w*)+")


def public_modules(module: ModuleType = evenkeel) -> list[ModuleType]:
    """Returns a module and all modules that it exports, however deep."""
    exported = [getattr(module, name) for name in getattr(module, "__all__", ())]
    inner = [thing for thing in exported if inspect.ismodule(thing)]
    return [module, *(found for child in inner for found in public_modules(child))]


def public_names(module: ModuleType) -> list[str]:
    """Returns a module's `__all__`, or else what it defines without an underscore in front."""
    declared = getattr(module, "__all__", None)
    if declared is not None:
        return list(declared)
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]


# --- What the templates ask for.


def literal_stars(docstring: str) -> str:
    """Keeps the stars of `*args` and `**kwargs` at the head of an entry from meaning bold."""
    return re.sub(
        r"^(\s+)(\*{1,2})(?=\w+:)",
        lambda match: match[1] + match[2].replace("*", r"\*"),
        docstring,
        flags=re.MULTILINE,
    )


def visible_bases(cls: type) -> list[str]:
    """Returns the full names of a class's bases; one without a page stands for its own bases."""
    public = {id(getattr(page, name)) for page in public_modules() for name in public_names(page)}
    names = []
    for base in cls.__bases__:
        if base.__module__ == "builtins":
            names += [base.__name__] if base is not object else []
        elif id(base) in public:
            names.append(f"{base.__module__}.{base.__qualname__}")
        else:
            names += visible_bases(base)
    return list(dict.fromkeys(names))


def constructor_of(cls: Class) -> Function | None:
    """Returns the constructor that the docstring of a class describes, where it takes anything."""
    written = cls.obj.__init__  # not __new__, which may stand before it and take anything
    if not inspect.isfunction(written):
        return None
    constructor = Function(cls.modulename, f"{cls.qualname}.__init__", written, cls.taken_from)
    return constructor if constructor.signature_without_self.parameters else None


def is_told_elsewhere(member: Doc[Any], page: Module) -> bool:
    """Whether a method is left to the class that it comes from, or whose contract it fulfils.

    That is so if a class on another page has it, or if it overrides a method explained on this
    page and has no more than a sentence to add.
    """
    owner, _, name = member.qualname.rpartition(".")
    cls = page.get(owner) if owner else None
    if not isinstance(cls, Class):
        return False
    if member.taken_from[1] != member.qualname:
        return page.get(member.taken_from[1]) is None
    contracts = [base.__name__ for base in cls.obj.__mro__[1:] if name in vars(base)]
    is_known = any(not base.startswith("_") and page.get(base) for base in contracts)
    return is_known and "\n\n" not in member.docstring


def alias_of(member: Doc[Any], page: Module) -> str:
    """Returns the name of the class on the page that another name stands for, or ""."""
    thing = member.default_value if isinstance(member, Variable) else member.obj
    is_alias = inspect.isclass(thing) and thing.__name__ != member.name
    return thing.__name__ if is_alias and page.get(thing.__name__) else ""


# --- The pages.


def write_pages(folder: Path) -> list[str]:
    """Renders all pages and returns what pdoc warned of."""
    modules = public_modules()
    for module in modules:  # pdoc looks names up where lazily imported ones are not yet
        for name in getattr(module, "__all__", ()):
            setattr(module, name, getattr(module, name))
    for module in modules:  # without __all__, pdoc would also show what is only imported by name
        vars(module)["__all__"] = public_names(module)
    jax.Array.__qualname__ = "Array"  # signatures say what one types, not where it is defined
    if "Shapes" not in pdoc.docstrings.GOOGLE_LIST_SECTIONS:
        pdoc.docstrings.GOOGLE_LIST_SECTIONS.append("Shapes")
    pdoc.render.configure(
        docformat="google",
        include_undocumented=False,
        show_source=False,
        template_directory=TEMPLATES,
    )
    pdoc.render.env.filters["literal_stars"] = literal_stars
    pdoc.render.env.globals.update(
        alias_of=alias_of,
        constructor_of=constructor_of,
        is_told_elsewhere=is_told_elsewhere,
        visible_bases=visible_bases,
    )
    chosen = "|".join(re.escape(module.__name__) for module in modules)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pdoc.pdoc("evenkeel", f"!(?!({chosen})$)", output_directory=folder)
    return [str(warning.message) for warning in caught]


# --- The checks.


class _Heard(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def docstring_faults() -> list[str]:
    """Returns what is wrong with the sections of the docstrings, by griffe's reading of them."""
    heard = _Heard()
    logger = logging.getLogger("griffe")
    logger.addHandler(heard)
    logger.propagate = False
    try:
        source = Path(evenkeel.__file__).parents[1]
        package = griffe.load(
            "evenkeel",
            search_paths=[source],
            docstring_parser="google",
            # A signature's types are in its annotations; its names are compared below.
            docstring_options={"warn_missing_types": False, "warn_unknown_params": False},
        )
        assert isinstance(package, griffe.Module)
        unlike = [fault for thing in _documented(package) for fault in mismatches(thing)]
    finally:
        logger.removeHandler(heard)
    return heard.messages + unlike


def _documented(parent: griffe.Module | griffe.Class) -> Iterator[griffe.Class | griffe.Function]:
    """Yields the classes and functions below a module or class that have a docstring."""
    for member in parent.members.values():
        if isinstance(member, griffe.Alias):
            continue
        if isinstance(member, griffe.Class | griffe.Function) and member.docstring:
            yield member
        if isinstance(member, griffe.Module | griffe.Class):
            yield from _documented(member)


def mismatches(thing: griffe.Class | griffe.Function) -> Iterator[str]:
    """Compares the `Args` of a docstring with the parameters."""
    assert thing.docstring is not None
    sections = [section for section in thing.docstring.parsed if section.kind.value == "parameters"]
    documented = {argument.name for section in sections for argument in section.value}
    if not documented:
        return
    kinds = griffe.ParameterKind
    stars = {None: "", kinds.var_positional: "*", kinds.var_keyword: "**"}
    in_class = thing.is_class or isinstance(thing.parent, griffe.Class)
    receiver = {"self", "cls"} if in_class else set()
    parameters = {stars.get(p.kind, "") + p.name for p in thing.parameters} - receiver
    where = f"{thing.path} (line {thing.docstring.lineno})"
    inherits = isinstance(thing, griffe.Class) and "__init__" not in thing.members
    # In a class without a constructor of its own, **kwargs stands for what the base takes.
    unknown = documented - parameters - ({"**kwargs"} if inherits else set())
    if unknown:
        yield f"{where}: Args has {', '.join(sorted(unknown))}, which is no parameter."
    missing = {name for name in parameters - documented if not name.startswith("**")}
    if missing and not unknown and not (inherits and "**kwargs" in documented):
        yield f"{where}: Args leaves out {', '.join(sorted(missing))}."


class _Page(HTMLParser):
    """The anchors, the links and the words in backticks of one page."""

    def __init__(self, path: Path):
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.codes: set[str] = set()
        self._in_code = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._in_code = self._in_code or tag == "code"
        if values.get("id"):
            self.anchors.add(str(values["id"]))
        if tag == "a" and values.get("href"):
            self.links.add(str(values["href"]))

    def handle_endtag(self, tag: str) -> None:
        self._in_code = self._in_code and tag != "code"

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.codes.add(data.strip())


def page_faults(folder: Path) -> list[str]:
    """Returns the pages and names that are missing and the references that lead nowhere."""
    pages = {path: _Page(path) for path in sorted(folder.rglob("*.html"))}
    faults = []
    for module in public_modules():
        page = pages.get(folder / f"{module.__name__.replace('.', '/')}.html")
        if page is None:
            faults.append(f"{module.__name__} has no page.")
            continue
        faults += [
            f"{module.__name__}.{name} is not on its page: it has no docstring."
            for name in public_names(module)
            if name not in page.anchors and not inspect.ismodule(getattr(module, name))
        ]
    for path, page in pages.items():
        where = path.relative_to(folder)
        for link in sorted(page.links):
            file, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = pages.get((path.parent / unquote(file)).resolve() if file else path)
            if target is None or (anchor and unquote(anchor) not in target.anchors):
                faults.append(f"{where}: the link {link} leads nowhere.")
        faults += [
            f"{where}: `{code}` names nothing."
            for code in sorted(page.codes)
            if (named := FULL_NAME.match(code)) and not _exists(named[0])
        ]
    return faults


def _exists(name: str) -> bool:
    try:
        pkgutil.resolve_name(re.sub(r"^ek\.", "evenkeel.", name))
    except (ImportError, AttributeError):
        return False
    return True


def main() -> int:
    """Builds and checks the pages; returns the exit status."""
    parser = argparse.ArgumentParser(description="Builds the API pages from the docstrings.")
    parser.add_argument("folder", nargs="?", type=Path, default=TARGET, help="where they go")
    folder = parser.parse_args().folder.resolve()
    if folder == TARGET:
        shutil.rmtree(folder, ignore_errors=True)  # no page of a family that is gone
    faults = [*write_pages(folder), *docstring_faults(), *page_faults(folder)]
    for fault in faults:
        print(fault, file=sys.stderr)
    pages = len(list(folder.rglob("*.html")))
    print(f"{pages} pages, {len(faults)} complaints: {folder / 'index.html'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
