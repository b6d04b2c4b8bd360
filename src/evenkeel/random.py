"""The seed under the name that TensorFlow programs have for it: `random.set_seed`."""

from __future__ import annotations

from evenkeel.randomness import set_random_seed

__all__ = ["set_seed"]


def set_seed(seed: int) -> None:
    """Makes everything random that follows reproducible, as `set_random_seed` does.

    Args:
        seed: Any integer of at least 0.

    Example:
        >>> set_seed(42)
    """
    set_random_seed(seed)
