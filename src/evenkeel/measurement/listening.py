"""Listening to a forward pass: what each activation is given and what it makes of it.

Calling a layer calls its activation. For the time of one evaluation each activation is replaced by
one that notes its argument and its value, and that adds a probe to the argument: a zero, whose
gradient is the gradient of the loss with respect to the sums.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from evenkeel.layers.base import Layer
from evenkeel.network import Array

# Layers that are an activation; they have none of their own, so their `call` is listened to.
_ACTIVATIONS = ("ReLU", "LeakyReLU", "PReLU", "RReLU", "ELU")

_ear: ContextVar[Ear | None] = ContextVar("ear", default=None)


class Ear:
    """What is heard in one evaluation, by place.

    Args:
        probes: What to add to the sums of a place; nothing where it has none.

    Attributes:
        sums: What each activation was given.
        outputs: What it made of it.
    """

    def __init__(self, probes: Mapping[str, Array] | None = None):
        self._probes = probes or {}
        self._uses: dict[int, int] = {}
        self.sums: dict[str, Array] = {}
        self.outputs: dict[str, Array] = {}

    def hear(self, names: Sequence[str], activation: Callable[..., Any], sums: Any) -> Any:
        """Passes sums through an activation, and notes both; one of the names for each use."""
        use = self._uses.get(id(names), 0)
        self._uses[id(names)] = use + 1
        name = names[min(use, len(names) - 1)]
        if name in self._probes:
            sums = sums + self._probes[name]
        output = activation(sums)
        self.sums[name], self.outputs[name] = sums, output
        return output


@contextlib.contextmanager
def heard(ear: Ear) -> Iterator[Ear]:
    """Lets an ear hear what is evaluated inside."""
    token = _ear.set(ear)
    try:
        yield ear
    finally:
        _ear.reset(token)


@contextlib.contextmanager
def listening(places: Sequence[tuple[str, Layer]]) -> Iterator[None]:
    """Makes the activations at these places audible for a while.

    Args:
        places: Names and layers, as `description.places_of` returns them.
    """
    names: dict[int, list[str]] = {}
    layers: dict[int, Layer] = {}
    for name, layer in places:
        names.setdefault(id(layer), []).append(name)
        layers[id(layer)] = layer
    replaced: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for key, layer in layers.items():
            own = vars(layer)
            attribute = _audible(layer)
            if attribute is None:
                continue
            replaced.append((own, attribute, own.get(attribute, _NOTHING)))
            own[attribute] = _audibly(getattr(layer, attribute), names[key])
        yield
    finally:
        for own, attribute, before in replaced:
            if before is _NOTHING:
                del own[attribute]
            else:
                own[attribute] = before


_NOTHING = object()


def _audible(layer: Layer) -> str | None:
    """Returns which attribute of a layer is its activation; None if it has none."""
    if any(cls.__name__ in _ACTIVATIONS for cls in type(layer).__mro__):
        return "call"
    return "activation" if callable(vars(layer).get("activation")) else None


def _audibly(activation: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    @functools.wraps(activation, assigned=("__name__", "__doc__"), updated=())
    def audible(sums: Any, *args: Any, **kwargs: Any) -> Any:
        ear = _ear.get()
        if ear is None or not hasattr(sums, "dtype"):
            return activation(sums, *args, **kwargs)
        return ear.hear(names, lambda z: activation(z, *args, **kwargs), sums)

    return audible
