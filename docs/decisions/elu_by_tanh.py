"""Measures decision 0008: the tanh form of exp(x) - 1 against expm1, in accuracy and in time.

Run: python docs/decisions/elu_by_tanh.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.engine.compilation import compiled

ROUNDS = 15
SHAPE = (32, 300)  # what a hidden layer of 300 units puts out for a batch of 32
REPEATS = 5000

Elementwise = Callable[[jax.Array], jax.Array]


def by_tanh(x: jax.Array) -> jax.Array:
    """Returns exp(x) - 1 as 2t / (1 - t), t = tanh(x/2)."""
    t = jnp.tanh(0.5 * x)
    return 2.0 * t / (1.0 - t)


def by_difference(x: jax.Array) -> jax.Array:
    """Returns exp(x) - 1 as it stands, which cancels near 0."""
    return jnp.exp(x) - 1.0


FORMS: dict[str, Elementwise] = {
    "tanh form": by_tanh,
    "expm1": jnp.expm1,
    "exp(x) - 1": by_difference,
}


def print_accuracy() -> None:
    """Prints the largest relative error of each form on negative numbers of every size."""
    x = -np.logspace(-6, 2, 400_001).astype(np.float32)
    exact = np.expm1(x.astype(np.float64))
    for name, form in FORMS.items():
        error = np.abs((np.asarray(compiled(form)(x), np.float64) - exact) / exact)
        units = error.max() / np.finfo(np.float32).eps
        print(f"{name:12} largest relative error {error.max():.1e} ({units:.1f} float32 eps)")


def repeated(form: Elementwise) -> Elementwise:
    """Returns a compiled loop that applies a form again and again, as a training run does."""

    def run(x: jax.Array) -> jax.Array:
        # The shift keeps the values negative, and from dying away.
        return jax.lax.fori_loop(0, REPEATS, lambda _, y: form(y) - 0.5, x)

    return compiled(run)


def print_times() -> None:
    """Prints the time of each form over that of the tanh form, from interleaved rounds."""
    random = np.random.Generator(np.random.Philox(0))
    x = jnp.asarray(-np.abs(random.standard_normal(SHAPE)), jnp.float32)
    programs = {name: repeated(form) for name, form in FORMS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in FORMS}
    for function in programs.values():
        function(x).block_until_ready()
    for _ in range(ROUNDS):
        for name, function in programs.items():
            began = time.perf_counter()
            function(x).block_until_ready()
            seconds[name].append(time.perf_counter() - began)
    base = seconds["tanh form"]
    for name, values in seconds.items():
        ratios = [value / own for value, own in zip(values, base, strict=True)]
        print(
            f"{name:12} time over the tanh form: median {statistics.median(ratios):.2f}, "
            f"from {min(ratios):.2f} to {max(ratios):.2f}; of the fastest rounds "
            f"{min(values) / min(base):.2f}"
        )


if __name__ == "__main__":
    print(f"jax {jax.__version__} on {jax.default_backend()}")
    print_accuracy()
    print_times()
