"""Networks built from the lower layers of another and a new head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from evenkeel.errors import (
    InvalidArgumentError,
    explain,
    integer_at_least,
    require,
)
from evenkeel.layers import (
    Flatten,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    Normalization,
)
from evenkeel.layers.base import Layer, get
from evenkeel.layers.symbolic import SymbolicTensor
from evenkeel.models import Functional, Model, Sequential, clone_model
from evenkeel.registry import serialize
from evenkeel.transfer.blocks import Block, blocks_of, leaves

# What makes rows of features out of images.
_COLLAPSING = (Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D)


def reuse(
    source: Model,
    head: Layer | Iterable[Layer],
    *,
    keep: int | None = None,
    replace: bool = False,
    share: bool = False,
    name: str | None = None,
) -> Any:
    """Builds a network from the lower layers of another and a new head.

    The more alike two tasks are, the more layers can be kept. The layers are copied, weights and
    all: training the new network leaves the source as it is, unless `share` is True.

    Where images are cut off below the layer that makes rows of features out of them (Flatten,
    global pooling), a copy of that layer comes between, so that the head fits. A head that has such
    a layer itself takes its place.

    Args:
        source: A built network, `Sequential` or `Functional`; its top layer with weights is its
            own head.
        head: The new layers on top: one, or several in order.
        keep: How many of the lowest layers with weights to keep, counted without normalizations
            and learned slopes, which belong to the layer below them. All but the source's head
            when None; 0 only together with `replace`.
        replace: Whether fresh layers of the same kinds stand in for the hidden layers that are not
            kept; they are dropped when False.
        share: Whether to use the source's very layers, so that training changes both.
        name: The name of the new network.

    Returns:
        The network, of the source's kind, not compiled.

    Raises:
        InvalidArgumentError: If there are not so many layers to keep, or the network cannot be cut
            there.
        InvalidDataError: If the head does not fit what comes out below it.

    Example:
        >>> import evenkeel as ek
        >>> source = ek.Sequential([ek.layers.Dense(30, "relu", input_shape=[8]),
        ...                         ek.layers.Dense(20, "relu"), ek.layers.Dense(10, "softmax")])
        >>> model = ek.transfer.reuse(source, head=[ek.layers.Dense(1, "sigmoid")], keep=1)
        >>> [layer.units for layer in model.layers]
        [30, 1]
    """
    head = _checked_head("reuse(head)", head)
    blocks, kept = _checked_cut(source, keep, replace, share)
    base = source if share else _copied(source, len(blocks) if not replace else kept)
    blocks = blocks_of(base)
    top = len(blocks) - 1 if replace else kept
    above = blocks[top].layers if top < len(blocks) else ()
    if isinstance(base, Sequential):
        return _stacked(base, above, head, name)
    return _connected(base, blocks[:top], above, head, name)


def _checked_head(where: str, head: Any) -> list[Layer]:
    layers = [head] if isinstance(head, Layer) else list(head)
    for layer in layers:
        require(
            isinstance(layer, Layer),
            f"{where}: got {layer!r}, expected layers.",
            "Type head=[ek.layers.Dense(1, activation='sigmoid')].",
        )
    require(
        bool(layers),
        f"{where}: got no layers, expected at least one.",
        "Type head=[ek.layers.Dense(1, activation='sigmoid')].",
    )
    return layers


def _checked_cut(
    source: Any, keep: int | None, replace: bool, share: bool
) -> tuple[list[Block], int]:
    """Returns the blocks of the source, and how many to keep."""
    require(
        isinstance(source, Sequential | Functional),
        f"reuse: got {source!r} as source, expected a Sequential or a Functional model.",
        "Of a model with a call of its own it is not known what comes after what. Put its layers "
        "into an ek.Sequential, or call them on an ek.Input.",
    )
    require(
        not (replace and share),
        "reuse: got replace=True and share=True, but fresh layers cannot be shared.",
        "Leave one of them out.",
    )
    blocks = blocks_of(source)
    hidden = len(blocks) - 1
    kept = hidden if keep is None else integer_at_least(0 if replace else 1, "reuse(keep)", keep)
    most = hidden if replace else len(blocks)
    require(
        (1 - replace) <= kept <= most,
        f"reuse(keep): got {kept}, but {source.name!r} has {len(blocks)} layers with weights: "
        f"{', '.join(block.name for block in blocks)}.",
        f"Type an integer from {1 - replace} to {most}."
        if most
        else "A network of one layer has nothing to reuse.",
    )
    return blocks, kept


def _copied(source: Model, kept: int) -> Any:
    """Returns a copy of a network: its lowest blocks with their weights, the others fresh.

    What normalizes by numbers learned from data before training keeps them wherever it stands.
    """
    copy = clone_model(source)
    old, new = list(leaves(source)), list(leaves(copy))
    with_weights = {id(layer) for block in blocks_of(source)[:kept] for layer in block.layers}
    for layer, its_copy in zip(old, new, strict=True):
        if id(layer) in with_weights or isinstance(layer, Normalization):
            its_copy.set_weights(layer.get_weights())
    return copy


def _stacked(
    base: Sequential, above: Sequence[Layer], head: list[Layer], name: str | None
) -> Sequential:
    """Returns a stack of what lies below the first layer above, and the head."""
    stack = _unfolded(base)
    first = _below_rows(stack, stack.index(above[0]) if above else len(stack), head)
    below, cut = stack[:first], stack[first:]
    shape: Any = base.build_shape
    for layer in below:
        shape = layer.compute_output_shape(shape)
    between = _collapsing(shape, cut, head)
    assert base.build_shape is not None
    model = Sequential(below, name=name)
    if not model.built:
        model.build(base.build_shape)
    for layer in [*between, *head]:
        model.add(layer)
    return model


def _unfolded(base: Sequential) -> list[Layer]:
    """Returns the layers of a stack, those of stacks inside it in their place."""
    found: list[Layer] = []
    for layer in base.layers:
        if isinstance(layer, Sequential):
            found += _unfolded(layer)
        elif isinstance(layer, Model):
            raise InvalidArgumentError(
                explain(
                    f"reuse: {base.name!r} holds the network {layer.name!r}, which is no plain "
                    "stack.",
                    f"Give that network as source: model.get_layer({layer.name!r}).",
                )
            )
        else:
            found.append(layer)
    return found


def _connected(
    base: Functional,
    kept: Sequence[Block],
    above: Sequence[Layer],
    head: list[Layer],
    name: str | None,
) -> Functional:
    """Returns a network between the source's inputs and the head, put on where it is cut."""
    layers = base.layers
    first = next((n for n, layer in enumerate(layers) if layer in above), len(layers))
    first = _below_rows(layers, first, head)
    tensor = base.nodes_of(layers[first - 1])[-1].outputs
    require(
        isinstance(tensor, SymbolicTensor),
        f"reuse: the layer {layers[first - 1].name!r} has several outputs, expected one to put the "
        "head on.",
        "Keep another number of layers, or build the network with ek.Model.",
    )
    wanted = [layer for block in kept for layer in block.layers]
    wanted += [inputs.node.layer for inputs in base.inputs]
    seen = _layers_behind(tensor)
    lost = [layer.name for layer in wanted if id(layer) not in seen]
    require(
        not lost,
        f"reuse: cut above {layers[first - 1].name!r}, the head would not see {', '.join(lost)}, "
        "which lead elsewhere.",
        "Keep another number of layers, or build the network with ek.Model.",
    )
    for layer in [*_collapsing(tensor.shape, layers[first:], head), *head]:
        tensor = layer(tensor)
    return Functional(base.input, tensor, name=name)


def _layers_behind(tensor: SymbolicTensor) -> set[int]:
    """Returns the identities of the layers that a symbolic tensor depends on."""
    waiting, met = [tensor.node], {id(tensor.node): tensor.node}
    while waiting:
        for parent in waiting.pop().parents():
            if id(parent) not in met:
                met[id(parent)] = parent
                waiting.append(parent)
    return {id(node.layer) for node in met.values()}


def _below_rows(layers: Sequence[Layer], first: int, head: Sequence[Layer]) -> int:
    """Moves a cut down to below the layer that makes rows of images, if the head does that itself.

    Args:
        layers: The layers, in order.
        first: The number of the first layer above the cut.
        head: The new layers.
    """
    if not any(isinstance(layer, _COLLAPSING) for layer in head):
        return first
    for place in range(first - 1, 0, -1):
        if layers[place].variables:
            break
        if isinstance(layers[place], _COLLAPSING):
            return place
    return first


def _collapsing(shape: Any, cut: Iterable[Layer], head: Sequence[Layer]) -> list[Layer]:
    """Returns a copy of what makes rows of images, if that was cut off and the head lacks it."""
    if len(shape) <= 2 or any(isinstance(layer, _COLLAPSING) for layer in head):
        return []
    collapsing = next((layer for layer in cut if isinstance(layer, _COLLAPSING)), None)
    return [] if collapsing is None else fresh([collapsing])


def fresh(layers: Iterable[Layer]) -> list[Layer]:
    """Returns layers of the same settings that were not built yet; given names stay, others not.

    Example:
        >>> import evenkeel as ek
        >>> [layer.units for layer in fresh([ek.layers.Dense(3)])]
        [3]
    """
    made = []
    for layer in layers:
        written = serialize(layer)
        if layer._auto_named:
            del written["config"]["name"]
        made.append(get(written))
    return made
