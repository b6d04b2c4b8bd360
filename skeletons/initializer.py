"""An initializer to start from. `python -m doctest skeletons/initializer.py` runs the example.

CONTRIBUTING.md, "Add an initializer", says where the class goes.
"""

from __future__ import annotations

import math

import numpy as np

from evenkeel.errors import number_in
from evenkeel.initializers.base import Initializer, fans, registry


@registry.register()
class SignedConstant(Initializer):
    """One magnitude with random signs: the variance of a scaling rule without its spread.

        w = ± sqrt(scale / fan_in), each sign with probability 1/2

    Args:
        scale: The numerator of the variance, above 0; 2 suits ReLU, 1 linear layers.
        seed: With an integer, every call returns the same values.

    Raises:
        InvalidArgumentError: If a setting is out of range.

    Example:
        >>> values = SignedConstant(scale=1.0, seed=0)((4, 100))
        >>> sorted(set(values.flat))
        [np.float32(-0.5), np.float32(0.5)]

    References:
        Ramanujan et al., "What's Hidden in a Randomly Weighted Neural Network?", CVPR 2020,
        section 4. https://arxiv.org/abs/1911.13299
    """

    # The constructor's arguments besides the seed: the configuration is made of them.
    _settings = ("scale",)

    def __init__(self, scale: float = 2.0, seed: int | None = None):
        super().__init__(seed)
        self.scale = number_in("SignedConstant(scale)", scale, 0, math.inf, low_open=True)

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Draws the signs and scales them."""
        # Draw from `random` only; it is what the seed governs. The result becomes float32.
        fan_in, _ = fans(shape)
        magnitude = math.sqrt(self.scale / max(1.0, fan_in))
        return magnitude * random.choice((-1.0, 1.0), shape)
