"""Blocks: the units in which layers are kept, frozen and unfrozen.

A layer with weights and the normalizations and learned slopes behind it belong together: the notes
unfreeze "one or two layers", and a batch normalization that goes on learning above a frozen kernel,
or stays behind when its kernel learns, would be neither.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evenkeel.errors import (
    InvalidArgumentError,
    explain,
    integer_at_least,
    nearest,
    require,
)
from evenkeel.layers import (
    BatchNormalization,
    LayerNormalization,
    Normalization,
    PReLU,
    RMSNormalization,
)
from evenkeel.layers.base import Layer, require_built
from evenkeel.models import Model

# These belong to the layer below them.
_FOLLOWERS = (
    BatchNormalization,
    LayerNormalization,
    Normalization,
    PReLU,
    RMSNormalization,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """A layer with weights, and the normalizations and slopes that belong to it.

    Attributes:
        layers: The layers, in order.
        name: The name of the layer itself.
    """

    layers: tuple[Layer, ...]
    name: str


def leaves(model: Model) -> Iterator[Layer]:
    """Yields the layers of a model in order, those of models inside it in their place."""
    for layer in model.layers:
        if isinstance(layer, Model):
            yield from leaves(layer)
        else:
            yield layer


def blocks_of(model: Model) -> list[Block]:
    """Returns the blocks of a model, the lowest first.

    Layers without weights are in none. What normalizes the inputs belongs to the first block.

    Example:
        >>> import evenkeel as ek
        >>> layers = [ek.layers.Dense(3, input_shape=[2]), ek.layers.BatchNormalization()]
        >>> model = ek.Sequential([*layers, ek.layers.Activation("relu"), ek.layers.Dense(1)])
        >>> [[layer.name for layer in block.layers] for block in blocks_of(model)]
        [['dense', 'batch_normalization'], ['dense_1']]
    """
    require_built(model, "The set of weights")
    found: list[list[Layer]] = []
    waiting: list[Layer] = []
    for layer in leaves(model):
        if not layer.variables:
            continue
        if isinstance(layer, _FOLLOWERS):
            (found[-1] if found else waiting).append(layer)
        else:
            found.append([*waiting, layer])
            waiting = []
    if waiting:
        found.append(waiting)
    return [Block(layers=tuple(layers), name=_name_of(layers)) for layers in found]


def _name_of(layers: Sequence[Layer]) -> str:
    own = [layer for layer in layers if not isinstance(layer, _FOLLOWERS)]
    return (own or layers)[0].name


def reused_blocks(where: str, model: Model, reused: Any) -> list[Block]:
    """Returns the blocks that an argument `reused` speaks of, the lowest first.

    Args:
        where: The argument as a user knows it.
        model: The model.
        reused: How many of the lowest blocks; or names of layers; None for all but the top one.

    Raises:
        InvalidArgumentError: If there are not so many, or no such layers.
    """
    blocks = blocks_of(model)
    if reused is None:
        require(
            len(blocks) >= 2,
            f"{where}: {model.name!r} has {len(blocks)} layers with weights, expected at least 2: "
            "the reused ones and a head.",
            "Build it with ek.transfer.reuse(source, head=[...]).",
        )
        return blocks[:-1]
    if isinstance(reused, str) or not hasattr(reused, "__iter__"):
        count = integer_at_least(1, where, reused)
        require(
            count < len(blocks),
            f"{where}: got {count}, but {model.name!r} has {len(blocks)} layers with weights, and "
            "the top one must be new.",
            f"Type an integer from 1 to {len(blocks) - 1}." if len(blocks) > 1 else None,
        )
        return blocks[:count]
    return _named_blocks(where, blocks, [getattr(item, "name", item) for item in reused])


def _named_blocks(where: str, blocks: list[Block], names: list[Any]) -> list[Block]:
    known = {layer.name: block for block in blocks for layer in block.layers}
    for name in names:
        if name not in known:
            raise InvalidArgumentError(
                explain(f"{where}: no layer with weights is {name!r}.", nearest(str(name), known))
            )
    chosen = [block for block in blocks if any(known[name] is block for name in names)]
    require(
        0 < len(chosen) < len(blocks),
        f"{where}: got {len(chosen)} of the {len(blocks)} layers with weights, expected at least "
        "one, and one that is new.",
        "Leave out the layers of the new head.",
    )
    return chosen


@contextlib.contextmanager
def flags_put_back(model: Model) -> Iterator[None]:
    """Puts back afterwards which layers were trainable and how fast the optimizer went."""
    flags = [(layer, layer.trainable) for layer in model.tree()]
    optimizer: Any = model.optimizer
    rate, multipliers = optimizer.rate_factor, optimizer.rate_multipliers
    try:
        yield
    finally:
        for layer, flag in flags:
            layer.trainable = flag
        optimizer.rate_factor = rate
        optimizer.multiply_rates(multipliers)


def freeze(model: Model, reused: Sequence[Block], unfrozen: Sequence[Block]) -> None:
    """Makes the reused blocks learn that are unfrozen, and no others of them.

    A frozen model inside is opened, so that its layers decide; those of them that are not reused
    stay frozen.

    Args:
        model: The model.
        reused: The reused blocks.
        unfrozen: Those of them that are to learn.
    """
    within = {id(layer) for block in reused for layer in block.layers}
    open_ones = {id(layer) for block in unfrozen for layer in block.layers}
    for inner in model.tree():
        if id(inner) in within:
            inner.trainable = id(inner) in open_ones
        elif isinstance(inner, Model) and any(id(part) in within for part in inner.tree()):
            if inner is not model and not inner.trainable:
                for part in inner.tree():
                    part.trainable = False
            inner.trainable = True


def paths_in(model: Model, blocks: Sequence[Block]) -> dict[str, int]:
    """Returns for each variable's path in the model the number of the block that it belongs to."""
    owner = {
        id(variable): number
        for number, block in enumerate(blocks)
        for layer in block.layers
        for variable in layer.variables
    }
    return {path: owner[id(v)] for path, v, _ in model.walk() if id(v) in owner}
