"""Variables and the memory that they own."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from evenkeel.network import Variable, copied, random_key


def starting_at(offset, size=1000):
    """An array of ones that begins so many bytes behind a multiple of 64."""
    memory = np.zeros(4 * size + 128, np.uint8)
    first = -memory.ctypes.data % 64 + offset
    array = memory[first : first + 4 * size].view(np.float32)
    array[:] = 1
    return array


@pytest.mark.parametrize("offset", [0, 4, 16, 32])
def test_a_variable_keeps_its_value_when_the_array_that_it_came_from_changes(offset):
    """JAX takes over NumPy's memory where it begins at a multiple of 64 bytes, on a CPU."""
    given = starting_at(offset)
    variable = Variable(given)
    assigned = Variable(np.zeros_like(given))
    assigned.assign(given)
    given[:] = 2
    assert variable.numpy().max() == assigned.numpy().max() == 1


@pytest.mark.parametrize("offset", [0, 4])
def test_copies_are_of_arrays_of_both_libraries(offset):
    given = starting_at(offset)
    theirs = jax.device_put(given)
    copies = copied({"numpy": given, "jax": theirs})
    given[:] = 2
    assert all(np.asarray(copy).max() == 1 for copy in copies.values())
    assert copies["jax"].unsafe_buffer_pointer() != theirs.unsafe_buffer_pointer()


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_random_keys_are_those_of_jax(seed):
    """Also where another generator is chosen."""
    assert random_key(seed) == jax.random.key(seed)
    with jax.default_prng_impl("rbg"):
        assert random_key(seed) == jax.random.key(seed)
