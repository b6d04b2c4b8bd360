"""Runs of equal blocks of layers, computed as one loop over values that lie one upon another.

A hundred equal layers, written out, are a program a hundred times as long, which takes a hundred
times as long to compile. Held in a `Stack`, their values are one array for each variable of a
block, and the program has one block in a loop. Layers know nothing of it: in the loop the first
block's layers run, in a scope in which they are each block in turn, with its values and its random
keys. The scope says which runs it holds so; without any, layers are called one by one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.network import Array, Scope, Variable, copied, current_scope, entered


@dataclass(frozen=True, eq=False)
class Stack:
    """A run of blocks of layers that differ in nothing but their values and names.

    Attributes:
        blocks: The layers, block by block.
        variables: For each variable of a block, that of each block in turn.
        names: For the path of each layer inside the first block, the paths in all blocks.
    """

    blocks: tuple[tuple[Any, ...], ...]
    variables: tuple[tuple[Variable, ...], ...]
    names: dict[str, tuple[str, ...]]

    @property
    def count(self) -> int:
        """The number of blocks."""
        return len(self.blocks)

    @property
    def leaders(self) -> list[Variable]:
        """The first block's variables, in whose name the scope holds all values."""
        return [members[0] for members in self.variables]

    def address(self, path: str, draw: int, outside: str, block: Array) -> Array:
        """Returns what a random key of a block's layer is folded with, as if it stood alone.

        Args:
            path: The path of the first block's layer, with what is around the run.
            draw: How many keys the layer drew before.
            outside: The path of what is around the run.
            block: The number of the block.
        """
        before = f"{outside}/" if outside else ""
        names = self.names[path.removeprefix(before)]
        words = [zlib.crc32(f"{before}{name}:{draw}".encode()) for name in names]
        return jnp.asarray(words, jnp.uint32)[block]


def through(layers: Sequence[Any], inputs: Any) -> Any:
    """Passes inputs through layers, run by run where the scope holds runs as stacks."""
    scope = current_scope()
    remaining = list(layers)
    while remaining:
        stack = None if scope is None else scope.stacks.get(id(remaining[0]))
        if scope is None or stack is None:
            inputs = remaining.pop(0)(inputs)
        else:
            inputs = _repeat(scope, stack, inputs)
            del remaining[: stack.count * len(stack.blocks[0])]
    return inputs


def _repeat(scope: Scope, stack: Stack, inputs: Any) -> Any:
    """Passes inputs through all blocks of a stack."""
    leaders, draws, outside = stack.leaders, dict(scope._draws), scope.path
    held = [scope.whole(leader) for leader in leaders]

    def block(inputs: Any, values: Sequence[Array], number: Array) -> tuple[Any, dict[str, Any]]:
        inner = scope.inner(
            leaders, values, lambda path, draw: stack.address(path, draw, outside, number)
        )
        inner._draws.update(draws)
        with entered(inner):
            for layer in stack.blocks[0]:
                inputs = layer(inputs)
        drawn.update(inner._draws)
        updated = {
            str(n): inner._updates[id(leader)]
            for n, leader in enumerate(leaders)
            if id(leader) in inner._updates
        }
        penalty = sum(inner.penalties[1:], inner.penalties[0]) if inner.penalties else None
        return inputs, {"updated": updated, "penalty": penalty, "taps": inner.taps}

    drawn: dict[str, int] = {}
    numbers = jnp.arange(stack.count)
    inputs, seen = _scanned(block, inputs, held, numbers)
    scope._draws.update(drawn)
    for n, values in seen["updated"].items():
        scope.write_whole(leaders[int(n)], values)
    if seen["penalty"] is not None:
        scope.penalize(jnp.sum(seen["penalty"]))
    if scope.taps is not None:
        before = f"{outside}/" if outside else ""
        for path, outputs in seen["taps"].items():
            names = stack.names[path.removeprefix(before)]
            scope.tap_stack(path, tuple(f"{before}{name}" for name in names), outputs)
    return inputs


def _scanned(block: Any, inputs: Any, held: Sequence[Array], numbers: Array) -> tuple[Any, Any]:
    """Runs a block over all values: as a loop, if what comes out fits what goes in."""

    def body(inputs: Any, values: Any) -> tuple[Any, Any]:
        return block(inputs, *values)

    first = ([values[0] for values in held], numbers[0])
    outputs, _ = jax.eval_shape(body, inputs, first)
    if _kind(outputs) == _kind(inputs):
        return jax.lax.scan(body, inputs, (list(held), numbers))
    seen = []
    for number in range(len(numbers)):
        values = [values[number] for values in held]
        inputs, more = body(inputs, (values, numbers[number]))
        seen.append(more)
    return inputs, jax.tree.map(lambda *parts: jnp.stack(parts), *seen)


def _kind(values: Any) -> Any:
    leaves, structure = jax.tree.flatten(values)
    return structure, [(leaf.shape, jnp.result_type(leaf)) for leaf in leaves]


# -- values that lie one upon another ------------------------------------------------------------


class Pile:
    """An array whose rows are the values of several variables.

    Args:
        array: The values, (rows, ...).
    """

    def __init__(self, array: Array):
        self._array = array
        self._rows: dict[int, Array] = {}

    @property
    def array(self) -> Array:
        """All values."""
        return self._array

    def put(self, array: Array) -> None:
        """Replaces all values."""
        self._array = array
        self._rows.clear()

    def row(self, number: int) -> Array:
        """Returns a row as an array of its own, made when somebody first asks for it."""
        if number not in self._rows:
            with jax.ensure_compile_time_eval():  # somebody may ask while a program is traced
                row = jax.lax.dynamic_index_in_dim(self._array, number, keepdims=False)
            self._rows[number] = row
        return self._rows[number]


def piled(variables: Sequence[Variable]) -> Pile | None:
    """Returns the pile whose rows, in order, are the values of these variables; None without."""
    rows = [variable.row for variable in variables]
    if rows[0] is None:
        return None
    pile = rows[0][0]
    whole = len(rows) == len(pile.array) and all(
        row is not None and row[0] is pile and row[1] == n for n, row in enumerate(rows)
    )
    return pile if whole else None


def pile_up(variables: Sequence[Variable], values: Array | None = None) -> Pile:
    """Makes the values of variables rows of one pile, if they are not yet.

    Args:
        variables: The variables, of one shape.
        values: The values that they are to have, (variables, ...); None keeps their own.
    """
    pile = piled(variables)
    if pile is None:
        if values is None:
            values = stacked([variable._value for variable in variables])
        pile = Pile(values)
        for number, variable in enumerate(variables):
            variable.lean_on(pile, number)
    elif values is not None:
        pile.put(values)
    return pile


def stacked(arrays: Sequence[Array]) -> Array:
    """Returns arrays of one shape, one upon another."""
    # By NumPy: a program that takes a thousand arrays takes seconds to compile.
    return copied(np.stack([np.asarray(array) for array in arrays]))


def rows_of(array: Array) -> Iterator[Array]:
    """Yields the rows of an array as arrays of their own."""
    pile = Pile(array)
    for number in range(len(array)):
        yield pile.row(number)
