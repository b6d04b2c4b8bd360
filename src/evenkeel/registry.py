"""Names to things and back: strings, configurations, and classes that users register.

A family (layers, losses, ...) is a `Registry`. Its members can be asked for by string, by class,
by instance or by configuration, and everything with `get_config` can be written down and rebuilt
without running any code from the file. Which members exist is decided where they are defined.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from evenkeel.errors import InvalidArgumentError, explain, nearest

T = TypeVar("T")


def snake_case(name: str) -> str:
    """Turns a class name into the name that its instances get.

    Example:
        >>> snake_case("MaxPooling2D"), snake_case("MCDropout"), snake_case("LeakyReLU")
        ('max_pooling2d', 'mc_dropout', 'leaky_re_lu')
    """
    spaced = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def _loose(name: str) -> str:
    return name.lower().replace("_", "")


class Registry(Generic[T]):
    """One family of things that users ask for by name.

    Args:
        family: The singular word for a member, used in messages: `"activation"`.
    """

    def __init__(self, family: str):
        self.family = family
        self._members: dict[str, Any] = {}

    def register(self, *names: str) -> Callable[[Any], Any]:
        """Decorator: makes a class or function reachable by its own name and by `names`."""

        def enrol(member: Any) -> Any:
            own = member.__name__
            for name in (own, snake_case(own), *names):
                self._members[name] = member
            return member

        return enrol

    def alias(self, name: str, member: Any) -> None:
        """Makes `member` reachable by one more name."""
        self._members[name] = member

    @property
    def names(self) -> list[str]:
        """The lower-case names a user may type, sorted."""
        return sorted(name for name in self._members if name == name.lower())

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def lookup(self, name: str) -> Any:
        """Returns the class or function of that name; case and underscores do not matter.

        Raises:
            InvalidArgumentError: If there is none; the message offers the nearest name.
        """
        loosely = {_loose(known): member for known, member in self._members.items()}
        member = self._members.get(name) or custom_class(name) or loosely.get(_loose(name))
        if member is None:
            raise InvalidArgumentError(
                explain(f"Unknown {self.family} {name!r}.", nearest(name, self.names))
            )
        return member

    def name_of(self, member: Any) -> str | None:
        """Returns the first registered lower-case name of a member, or None."""
        names = (n for n, m in self._members.items() if m is member and n == n.lower())
        return next(names, None)

    def build(self, config: Mapping[str, Any]) -> Any:
        """Rebuilds an instance from `{"class_name": ..., "config": {...}}`."""
        if set(config) - {"class_name", "config", "registered_name"} or "class_name" not in config:
            raise InvalidArgumentError(
                explain(
                    f"A {self.family} configuration has the keys {sorted(config)}, expected "
                    "'class_name' and 'config'.",
                    f"Write {{'class_name': {self.names[0]!r}, 'config': {{}}}} or pass an "
                    "instance.",
                )
            )
        member = self.lookup(config["class_name"])
        settings = dict(config.get("config") or {})
        rebuild = getattr(member, "from_config", None)
        return rebuild(settings) if rebuild else member(**settings)


class Configurable:
    """Something that its constructor's arguments, kept under their own names, describe wholly.

    A subclass lists them in `_settings`.

    Example:
        >>> class Scale(Configurable):
        ...     _settings = ("factor",)
        ...     def __init__(self, factor=1.0):
        ...         self.factor = factor
        >>> Scale.from_config(Scale(2.0).get_config())
        Scale(factor=2.0)
    """

    _settings: ClassVar[tuple[str, ...]] = ()

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data."""
        return {name: getattr(self, name) for name in self._settings}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Rebuilds the object from `get_config()`."""
        return cls(**config)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._settings)
        return f"{type(self).__name__}({settings})"


def serialize(thing: Any) -> Any:
    """Writes an object with `get_config` down as plain data that JSON can hold; None stays None.

    Example:
        >>> from evenkeel.regularizers import L2
        >>> serialize(L2(0.1))
        {'class_name': 'L2', 'config': {'l2': 0.1}}
    """
    if thing is None:
        return None
    return {"class_name": registered_name(type(thing)), "config": thing.get_config()}


_custom: dict[str, type] = {}
_lent: dict[str, type] = {}  # by the last word of the name, while `custom_objects` lasts


def register(
    cls: type | None = None, *, package: str = "custom", name: str | None = None
) -> Callable[[type], type] | Any:
    """Registers a class of yours, so that files naming it can be loaded again.

    A model file holds names and numbers, never code; the class must exist in the program that
    opens the file, under the same name.

    Args:
        cls: The class, when used as a bare decorator.
        package: A word that keeps your names apart from others'.
        name: The name in files; the class's own by default.

    Example:
        >>> @register
        ... class Doubling:
        ...     def get_config(self):
        ...         return {}
        >>> registered_name(Doubling)
        'custom>Doubling'
    """

    def enrol(target: type) -> type:
        _custom[f"{package}>{name or target.__name__}"] = target
        return target

    if isinstance(cls, str):  # keras style: register("package")
        package = cls
        return enrol
    return enrol(cls) if cls is not None else enrol


def custom_class(name: str) -> type | None:
    """Returns the class registered by a user under a name, or None."""
    return _custom.get(name) or _lent.get(name.rpartition(">")[2])


@contextlib.contextmanager
def custom_objects(classes: Mapping[str, type]) -> Iterator[None]:
    """Makes classes known to all families for a while, whatever package a name begins with."""
    before = dict(_lent)
    _lent.update({name.rpartition(">")[2]: cls for name, cls in classes.items()})
    try:
        yield
    finally:
        _lent.clear()
        _lent.update(before)


def registered_name(cls: type) -> str:
    """Returns the name under which a class stands in files."""
    return next((name for name, known in _custom.items() if known is cls), cls.__name__)
