"""Times ways to draw the bits of dropout and the noise of GaussianDropout, for decision 15.

    python docs/decisions/random_bits.py

Each draw stands with its use in a compiled loop over arrays of 32 × 784. Processor time of this
process is taken, the least of some interleaved rounds, so that other programs matter less; on
Linux the process keeps to one core, where waiting threads use no time.
"""

import math
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from evenkeel import bits

SHAPE = (32, 784)
STEPS, ROUNDS = 400, 9


def halves(key: Any, count: int, rounds: int) -> Any:
    """Both words of each pair, with no loop around them."""
    data, position = jax.random.key_data(key), jnp.arange(count, dtype=jnp.uint32)
    return bits.threefry((data[0], data[1]), (position, jnp.zeros_like(position)), rounds)


def in_turns(key: Any, shape: Any, rounds: int) -> Any:
    """Bytes of words that are made in a loop of two turns, as `bits.octets` makes them."""
    data, length = jax.random.key_data(key), math.prod(shape) // 8
    position = jnp.arange(length, dtype=jnp.uint32)

    def turn(number: Any) -> Any:
        counter = (number * jnp.uint32(length) + position, jnp.zeros_like(position))
        return bits.threefry((data[0], data[1]), counter, rounds)[0]

    return as_bytes(jax.lax.map(turn, jnp.arange(2, dtype=jnp.uint32)), shape)


def as_bytes(words: Any, shape: Any) -> Any:
    """The bytes of words, in a shape of as many elements."""
    return jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(shape)


def box_muller(key: Any, shape: Any) -> Any:
    """Pairs of normal numbers from a radius and an angle."""
    words = (bits.words(key, math.prod(shape)) >> jnp.uint32(8)).reshape(2, -1)
    radius = jnp.sqrt(-2 * jnp.log((words[0].astype(jnp.float32) + 0.5) * 2**-24))
    angle = words[1].astype(jnp.float32) * (2 * math.pi * 2**-24)
    return jnp.concatenate([radius * jnp.cos(angle), radius * jnp.sin(angle)]).reshape(shape)


MASKS: dict[str, Callable[[Any, Any], Any]] = {
    "`bits.octets`": bits.octets,
    "the same, 20 rounds": lambda key, shape: in_turns(key, shape, 20),
    "a word for each element, no loop": lambda key, shape: (
        (halves(key, math.prod(shape), 13)[0] >> jnp.uint32(24)).astype(jnp.uint8).reshape(shape)
    ),
    "first words, no loop": lambda key, shape: as_bytes(
        halves(key, math.prod(shape) // 4, 13)[0], shape
    ),
    "both words joined, no loop": lambda key, shape: as_bytes(
        jnp.concatenate(halves(key, math.prod(shape) // 8, 13)), shape
    ),
    "`jax.random.bits`": lambda key, shape: as_bytes(
        jax.random.bits(key, (math.prod(shape) // 4,), jnp.uint32), shape
    ),
    "no draw": lambda key, shape: jnp.full(shape, 7, jnp.uint8),
}
NORMALS = {
    "`bits.normals`": bits.normals,
    "`jax.random.normal`": jax.random.normal,
    "Box-Muller": box_muller,
}


def program(draw: Callable[[Any, Any], Any], *, masks: bool) -> Any:
    """A loop that draws in every step and uses what it drew."""

    def body(i: Any, total: Any, x: Any, key: Any) -> Any:
        drawn = draw(jax.random.fold_in(key, i), SHAPE)
        used = jnp.where(drawn < 205, x * 1.25, 0.0) if masks else x * (1 + 0.5 * drawn)
        return total * 0.5 + used

    return jax.jit(
        lambda x, key: jax.lax.fori_loop(0, STEPS, lambda i, total: body(i, total, x, key), x)
    )


def main() -> None:
    """Measures all draws in turns, and prints a table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    x, key = jnp.ones(SHAPE), jax.random.key(0)
    programs = {name: program(draw, masks=True) for name, draw in MASKS.items()}
    programs |= {name: program(draw, masks=False) for name, draw in NORMALS.items()}
    least = dict.fromkeys(programs, math.inf)
    for number in range(ROUNDS + 1):  # the first compiles
        for name, run in programs.items():
            start = time.process_time()
            run(x, key).block_until_ready()
            if number:
                taken = 1e6 * (time.process_time() - start) / STEPS
                least[name] = min(least[name], taken)
    print("| draw | µs |\n|---|---|")
    for name, taken in least.items():
        print(f"| {name} | {taken:.0f} |")


if __name__ == "__main__":
    main()
