"""Random bits for masks and noise, from a generator that a CPU computes quickly.

`jax.random` draws with Threefry of 20 rounds, which JAX compiles for a CPU as a loop over rounds.
Here the rounds are written out, and there are 13 of them, for which its authors publish known
answers, too. What masks and noise need of chance is tested in `tests/test_bits.py`.
A word is a function of key and position alone, so that everything works under `jit`, `vmap` and
`scan`. Where keys come from is not known here: see `network.py`.

References:
    Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
    https://doi.org/10.1145/2063384.2063405
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.errors import integer_at_least

Array = jax.Array

_ROUNDS = 13
_PARITY = np.uint32(0x1BD11BDA)  # of Threefish, so that no key is all zeros
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)

# Words are made in a loop of two turns. A loop's result lies in memory; without it, XLA's CPU
# backend puts the rounds into the loop of whoever reads the bytes, and computes a word again for
# each of its four.
_TURNS = 2


def threefry(
    key: tuple[Array, Array], counter: tuple[Array, Array], rounds: int = _ROUNDS
) -> tuple[Array, Array]:
    """Scrambles counters: Threefry-2x32, a bijection of pairs of words for every key.

    Args:
        key: Two words (uint32), of shapes that broadcast with the counters'.
        counter: Two words (uint32), any shapes that broadcast.
        rounds: How often the words are mixed, at least 0.

    Returns:
        Two random words for each counter.

    Raises:
        InvalidArgumentError: If the number of rounds is negative.

    Example:
        >>> zero = jnp.uint32(0)
        >>> [hex(word) for word in threefry((zero, zero), (zero, zero))]
        ['0x9d1c5ec6', '0x8bd50731']
    """
    rounds = integer_at_least(0, "threefry(rounds)", rounds)
    schedule = (*key, key[0] ^ key[1] ^ _PARITY)
    x, y = counter[0] + key[0], counter[1] + key[1]
    for n in range(rounds):
        turn = _ROTATIONS[n % 8]
        x = x + y
        y = ((y << np.uint32(turn)) | (y >> np.uint32(32 - turn))) ^ x
        if n % 4 == 3:
            injection = n // 4 + 1
            x = x + schedule[injection % 3]
            y = y + schedule[(injection + 1) % 3] + np.uint32(injection)
    return x, y


def words(key: Array, count: int) -> Array:
    """Draws random 32-bit words.

    Args:
        key: A random key, used once.
        count: How many, from 0 to 2^32 - 1.

    Returns:
        The words (count,), uint32. Each is the first one of the pair that `threefry` makes of its
        position: one word a call costs less than joining two.

    Example:
        >>> words(jax.random.key(0), 5).shape
        (5,)
    """
    first, second = _key_words(key)
    length = -(-count // _TURNS)
    position = jnp.arange(length, dtype=jnp.uint32)

    def turn(number: Array) -> Array:
        counter = (number * np.uint32(length) + position, jnp.zeros_like(position))
        return threefry((first, second), counter)[0]

    return jax.lax.map(turn, jnp.arange(_TURNS, dtype=jnp.uint32)).reshape(-1)[:count]


def octets(key: Array, shape: Sequence[int]) -> Array:
    """Draws random bytes: where 8 bits are enough, one 32-bit word serves four elements.

    Args:
        key: A random key, used once.
        shape: The shape of the result, which is uint8.

    Example:
        >>> octets(jax.random.key(0), (2, 3)).dtype
        dtype('uint8')
    """
    size = math.prod(shape)
    drawn = jax.lax.bitcast_convert_type(words(key, -(-size // 4)), jnp.uint8)
    return drawn.reshape(-1)[:size].reshape(shape)


def uniforms(key: Array, shape: Sequence[int]) -> Array:
    """Draws from the multiples of 2⁻²⁴ from 0 to below 1, all equally likely, as float32.

    `uniforms(key, shape) < p` is true with the probability p, to the next such multiple.

    Args:
        key: A random key, used once.
        shape: The shape of the result.

    Example:
        >>> uniforms(jax.random.key(0), (2, 3)).shape
        (2, 3)
    """
    steps = words(key, math.prod(shape)) >> np.uint32(8)
    return (steps.astype(jnp.float32) * np.float32(2.0**-24)).reshape(shape)


def normals(key: Array, shape: Sequence[int]) -> Array:
    """Draws from the normal distribution with mean 0 and variance 1, as float32.

        z = sqrt(2) · erf⁻¹(u),    u uniform on the odd multiples of 2⁻²³ between -1 and 1

    The grid of u is symmetric and leaves out -1 and 1, so that z is finite, at most 5.3 in size.

    Args:
        key: A random key, used once.
        shape: The shape of the result.

    Example:
        >>> normals(jax.random.key(0), (2, 3)).shape
        (2, 3)
    """
    steps = words(key, math.prod(shape)) >> np.uint32(9)
    u = (2 * steps + 1).astype(jnp.float32) * np.float32(2.0**-23) - np.float32(1)
    return (np.float32(math.sqrt(2)) * jax.lax.erf_inv(u)).reshape(shape)


def _key_words(key: Array) -> tuple[Array, Array]:
    """Returns the two words of a key; of a key of another generator, two words that it draws."""
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    data = jax.random.key_data(key) if typed else key
    if data.shape != (2,):
        data = jax.random.bits(key, (2,), jnp.uint32)
    return data[0], data[1]
