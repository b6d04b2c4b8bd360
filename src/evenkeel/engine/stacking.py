"""Finds the runs of equal blocks of layers in a network, which programs compute as one loop.

Whatever is not certain to be the same computation in every block is left alone: layers of the
user's own, layers that are used more than once, blocks of which one is frozen. Nothing outside the
engine knows of it: variables that lie in a pile read as their own rows, and the slots of an
optimizer are taken apart when somebody asks for them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evenkeel.network import Variable
from evenkeel.optimizers.base import Optimizer
from evenkeel.stack import Stack, rows_of, stacked

# Shorter runs are faster written out, and compile as quickly.
SHORTEST_RUN = 16

# A block has at most so many layers.
_LONGEST_BLOCK = 8


def stacks_in(
    network: Any,
    trained: Mapping[str, Variable],
    others: Mapping[str, Variable],
    optimizer: Optimizer | None,
) -> tuple[Stack, ...]:
    """Returns the runs of a network that can be held as stacks, in no part twice.

    Args:
        network: The network.
        trained: The variables that the optimizer changes, by path.
        others: The other variables, by path.
        optimizer: The optimizer, if there is one. One that looks at more than a number and its
            slots at a time needs each variable by itself.
    """
    if optimizer is not None and not optimizer.updates_elementwise:
        return ()
    kinds = _Kinds(network, trained, others, optimizer)
    found: list[Stack] = []
    covered: set[int] = set()
    for owner in network.tree():
        layers = getattr(owner, "_stack", None)
        if layers is None or id(owner) in covered or len(layers) < SHORTEST_RUN:
            continue
        for first, size, count in _runs([kinds.of(layer) for layer in layers]):
            run = layers[first : first + size * count]
            blocks = tuple(tuple(run[start : start + size]) for start in range(0, len(run), size))
            stack = _stack_of(blocks)
            if stack is not None:
                found.append(stack)
                covered.update(id(inner) for layer in run for inner in layer.tree())
    return tuple(found)


def _runs(kinds: Sequence[str | None]) -> Iterator[tuple[int, int, int]]:
    """Yields (first, layers of a block, blocks) of runs that do not overlap, each the longest."""
    first = 0
    while first < len(kinds):
        best = 0, 0
        for size in range(1, _LONGEST_BLOCK + 1):
            block, count = kinds[first : first + size], 1
            if len(block) < size or None in block:
                break
            while kinds[first + count * size : first + (count + 1) * size] == block:
                count += 1
            if count >= SHORTEST_RUN and count * size > best[0] * best[1]:
                best = size, count
        if best[1]:
            size, count = best
            yield first, size, count
            first += size * count
        else:
            first += 1


class _Kinds:
    """Words for layers that are equal exactly if the layers compute the same."""

    def __init__(
        self,
        network: Any,
        trained: Mapping[str, Variable],
        others: Mapping[str, Variable],
        optimizer: Optimizer | None,
    ):
        self._optimizer = optimizer
        layers = list(network.tree())
        self._uses = Counter(id(layer) for layer in layers)
        once = {id(layer): layer for layer in layers}.values()
        self._owners = Counter(id(v) for layer in once for v in _variables_of(layer))
        self._sides = {id(v): self._side(path) for path, v in trained.items()}
        self._sides |= {id(v): "other" for v in others.values()}
        # The layer that an output comes from noted its logits, which a loop would not hand out.
        self._last = {id(layer) for layer in _last_layers(network)}

    def _side(self, path: str) -> str:
        """Returns a word for how a variable is trained."""
        if self._optimizer is None:
            return "trained"
        decays = not any(re.search(pattern, path) for pattern in self._optimizer.decays_not)
        multipliers = self._optimizer.surroundings.multipliers
        factor = 1.0 if multipliers is None else multipliers.of(path)
        return f"trained, decay {decays}, rate times {factor!r}"

    def of(self, layer: Any) -> str | None:
        """Returns the word for a layer; None if it is to stand alone."""
        tree = list(layer.tree())
        if any(
            not type(inner).__module__.startswith("evenkeel.")
            or self._uses[id(inner)] > 1
            or id(inner) in self._last
            or any(self._owners[id(v)] > 1 for v in _variables_of(inner))
            for inner in tree
        ):
            return None
        variables = [
            (v.name, v.shape, str(v.dtype), self._sides.get(id(v)), *map(_told, _limits(v)))
            for _, v, _ in layer.walk()
        ]
        flags = [(type(inner).__name__, inner.trainable) for inner in tree]
        config = _nameless(layer.get_config())
        return json.dumps([config, flags, variables], sort_keys=True, default=repr)


def _variables_of(layer: Any) -> list[Variable]:
    """Returns the variables that a layer holds itself: some may belong to another one, too."""
    attributes = [value for value in vars(layer).values() if isinstance(value, Variable)]
    return list({id(v): v for v in [*layer._own_variables, *attributes]}.values())


def _limits(variable: Variable) -> tuple[Any, Any]:
    return variable.regularizer, variable.constraint


def _told(thing: Any) -> Any:
    """Returns what tells two regularizers or constraints apart."""
    config = getattr(thing, "get_config", None)
    return [type(thing).__qualname__, repr(thing) if config is None else config()]


def _last_layers(network: Any) -> list[Any]:
    last = getattr(network, "last_layers", None)
    return [network] if last is None else last()


def _nameless(config: Any) -> Any:
    """Returns a configuration without what computing does not depend on: names, first values."""
    if isinstance(config, dict):
        return {
            key: _nameless(value)
            for key, value in config.items()
            if key != "name" and not str(key).endswith("_initializer")
        }
    if isinstance(config, (list, tuple)):
        return [_nameless(value) for value in config]
    return config


def _stack_of(blocks: tuple[tuple[Any, ...], ...]) -> Stack | None:
    by_block = [
        [variable for layer in block for _, variable, _ in layer.walk()] for block in blocks
    ]
    every = [id(variable) for variables in by_block for variable in variables]
    if not every or len(set(every)) < len(every):
        return None
    names = [[path for layer in block for path in _paths(layer)] for block in blocks]
    return Stack(
        blocks=blocks,
        variables=tuple(zip(*by_block, strict=True)),
        names=dict(zip(names[0], zip(*names, strict=True), strict=True)),
    )


def _paths(layer: Any) -> Iterator[str]:
    yield layer.name
    for _, child in layer.children():
        for path in _paths(child):
            yield f"{layer.name}/{path}"


@dataclass(eq=False)
class StackedSlots:
    """An optimizer's slots as programs hold them, until somebody asks for each variable's own.

    Attributes:
        slots: Dicts by variable path, in which the first block's path stands for a run.
        paths: For each such path, those of all blocks.
    """

    slots: Any
    paths: dict[str, tuple[str, ...]]
    _whole: Any = field(default=None, init=False)

    @classmethod
    def of(cls, slots: Any, paths: dict[str, tuple[str, ...]]) -> StackedSlots:
        """Puts each variable's slots one upon another."""
        followers = {path for members in paths.values() for path in members[1:]}

        def one(slot: Any) -> Any:
            if not isinstance(slot, dict):
                return slot
            return {
                path: stacked([slot[member] for member in paths[path]]) if path in paths else value
                for path, value in slot.items()
                if path not in followers
            }

        return cls({name: one(slot) for name, slot in slots.items()}, paths)

    def whole(self) -> Any:
        """Returns each variable's slots under its own path."""
        if self._whole is None:
            self._whole = {name: self._apart(slot) for name, slot in self.slots.items()}
        return self._whole

    def _apart(self, slot: Any) -> Any:
        if not isinstance(slot, dict):
            return slot
        apart: dict[str, Any] = {}
        for path, value in slot.items():
            if path in self.paths:
                apart |= dict(zip(self.paths[path], rows_of(value), strict=True))
            else:
                apart[path] = value
        return apart
