"""What every test runs under: strict types, strict ranks, and a seed of its own."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

import evenkeel as ek

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def seed() -> None:
    """Starts every test from the same random state."""
    ek.set_random_seed(20)


@pytest.fixture
def random() -> np.random.Generator:
    """A generator of test data."""
    return np.random.Generator(np.random.Philox(7))


@pytest.fixture
def key() -> jax.Array:
    """A random key."""
    return jax.random.key(3)


@pytest.fixture
def shared_data() -> Path:
    """The folder of larger data sets; skips where it is not at hand."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the larger data sets are not at hand")
    return SHARED_DATA
