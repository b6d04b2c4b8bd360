"""Kernels drawn as a whole: the identity, and orthogonal matrices, which keep lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from evenkeel.errors import InvalidArgumentError, explain, number_in
from evenkeel.initializers.base import Initializer, registry


@registry.register("IdentityInitializer", "identity_initializer")
class Identity(Initializer):
    """The identity matrix, times a gain: a linear layer that starts by passing its input on.

    A square kernel gives every unit the input of its own number. A wide one leaves the last units
    without input, a tall one the last inputs unused.

        W = gain · I

    Args:
        gain: What stands on the diagonal; any number, and 0 makes the kernel zero.

    Raises:
        InvalidArgumentError: If the gain is no finite number; when drawing, if the shape has not
            two dimensions.

    Example:
        >>> Identity(gain=0.5)((2, 3))
        array([[0.5, 0. , 0. ],
               [0. , 0.5, 0. ]], dtype=float32)

    References:
        Le et al., "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units", 2015.
        https://arxiv.org/abs/1504.00941
    """

    def __init__(self, gain: float = 1.0):
        super().__init__(None)
        self.gain = number_in("Identity(gain)", gain, -math.inf, math.inf)

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Returns the matrix."""
        if len(shape) != 2:
            raise InvalidArgumentError(
                explain(
                    f"Identity: got the shape {shape}, expected two dimensions.",
                    "An identity is a matrix: it fits the kernel of a Dense layer.",
                    "Type 'orthogonal' for kernels of more dimensions, 'zeros' or 'ones' for "
                    "vectors.",
                )
            )
        return self.gain * np.eye(*shape, dtype=np.float32)

    def get_config(self) -> dict[str, Any]:
        """Returns the gain."""
        return {"gain": self.gain}


@registry.register("OrthogonalInitializer", "orthogonal_initializer")
class Orthogonal(Initializer):
    """An orthogonal matrix, drawn evenly from all of them, times a gain.

    All singular values are equal, so that a deep linear stack neither stretches nor squeezes any
    direction, of signals or of gradients; in a stack of random kernels of the same variance most
    directions die out. The Q of a normal matrix's QR decomposition is such a matrix, and evenly
    distributed once the diagonal of R is made positive:

        A ~ N(0, 1),   A = Q R,   W = gain · Q · sign(diag R)

    A tall kernel (rows ≥ columns) has orthonormal columns, Wᵀ W = gain² I; a wide one has
    orthonormal rows, W Wᵀ = gain² I. The variance of an element is gain² / max(rows, columns).

    Shapes:
        Kernels of more than two dimensions count as a matrix with as many columns as the last:
        (3, 3, 16, 32) is drawn as (144, 32), as in Keras.

    Args:
        gain: What every singular value is; any number, 1 keeps lengths, sqrt(2) suits ReLU, and
            0 makes the kernel zero.
        seed: With an integer, every call returns the same values.

    Raises:
        InvalidArgumentError: If a setting is out of range; when drawing, if the shape has fewer
            than two dimensions.

    Example:
        >>> w = Orthogonal(gain=2.0, seed=0)((5, 3))
        >>> bool(np.allclose(w.T @ w, 4.0 * np.eye(3), atol=1e-5))
        True

    References:
        Saxe, McClelland and Ganguli, "Exact Solutions to the Nonlinear Dynamics of Learning in
        Deep Linear Neural Networks", ICLR 2014. https://arxiv.org/abs/1312.6120
        The signs: Mezzadri, "How to Generate Random Matrices from the Classical Compact Groups",
        2007. https://arxiv.org/abs/math-ph/0609050
    """

    _settings = ("gain",)

    def __init__(self, gain: float = 1.0, seed: int | None = None):
        super().__init__(seed)
        self.gain = number_in("Orthogonal(gain)", gain, -math.inf, math.inf)

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Draws the matrix and gives it the kernel's shape."""
        if len(shape) < 2:
            raise InvalidArgumentError(
                explain(
                    f"Orthogonal: got the shape {shape}, expected two or more dimensions.",
                    "Orthogonal are the columns or rows of a matrix: a bias or a scale has none.",
                    "Type 'zeros' for a bias, 'ones' for a scale.",
                )
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        # Double precision, so that what is left after rounding to float32 is that rounding alone.
        q, r = np.linalg.qr(random.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return self.gain * (q if rows >= columns else q.T).reshape(shape)
