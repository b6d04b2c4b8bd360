"""What the products of a training step cost on one core, by whose code: CPU time, not wall time.

CPU time hardly suffers from others on the machine, so this can be run on a busy one. It says
nothing about how well two threads share a product.

    taskset -c 0 python docs/decisions/native_products.py [LIBRARY.so]

LIBRARY.so exports XLA FFI handlers product_plain, product_left_turned, product_right_turned
(a b, aᵀ b, a bᵀ). Where PyTorch is installed, its BLAS is measured, too.
"""

import ctypes
import itertools
import sys
import time
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np

WIDTHS = (784, 300, 100, 10)
ROUNDS = 5
SECONDS = 0.02  # of CPU time for each measurement


def operands(batch):
    """Yields (kind, a, b) for the eight products of a step; no input gradient for the data."""
    draw = np.random.default_rng(0).standard_normal
    for number, (i, o) in enumerate(itertools.pairwise(WIDTHS)):
        x, w, g = (draw(s).astype(np.float32) for s in ((batch, i), (i, o), (batch, o)))
        yield "plain", x, w
        yield "left_turned", x, g
        if number:
            yield "right_turned", g, w


def by_numpy(kind, a, b):
    """NumPy's BLAS."""
    left = a.T if kind == "left_turned" else a
    right = b.T if kind == "right_turned" else b
    out = np.empty((left.shape[0], right.shape[1]), np.float32)
    return lambda: np.matmul(left, right, out=out), 1


def by_torch(kind, a, b):
    """PyTorch's BLAS."""
    import torch

    torch.set_num_threads(1)
    left = torch.from_numpy(a).T if kind == "left_turned" else torch.from_numpy(a)
    right = torch.from_numpy(b).T if kind == "right_turned" else torch.from_numpy(b)
    out = torch.empty((left.shape[0], right.shape[1]))
    return lambda: torch.mm(left, right, out=out), 1


def in_a_loop(product):
    """A product repeated in one compiled loop, as in an epoch: no cost of a call from Python."""
    repeats = 20

    @jax.jit
    def loop(a, b):
        def body(_, carry):
            a, out = carry
            # One element hangs on the last result, or the product would be moved out of the loop.
            a = a.at[0, 0].set(out[0, 0] * 1e-3)
            return a, product(a, b)

        out = jax.eval_shape(product, a, b)
        return jax.lax.fori_loop(0, repeats, body, (a, jnp.zeros(out.shape, out.dtype)))

    return loop, repeats


def by_xla(kind, a, b):
    """XLA's own products."""
    functions = {
        "plain": lambda a, b: a @ b,
        "left_turned": lambda a, b: a.T @ b,
        "right_turned": lambda a, b: a @ b.T,
    }
    loop, repeats = in_a_loop(functions[kind])
    a, b = jnp.asarray(a), jnp.asarray(b)
    return lambda: loop(a, b)[1].block_until_ready(), repeats


def by_library(path):
    """The products of a shared library, through XLA's FFI."""
    library = ctypes.CDLL(path)
    for kind in ("plain", "left_turned", "right_turned"):
        handler = jax.ffi.pycapsule(getattr(library, f"product_{kind}"))
        jax.ffi.register_ffi_target(f"measured_{kind}", handler, platform="cpu")

    def prepare(kind, a, b):
        rows = a.shape[1] if kind == "left_turned" else a.shape[0]
        columns = b.shape[0] if kind == "right_turned" else b.shape[1]
        result = jax.ShapeDtypeStruct((rows, columns), jnp.float32)
        loop, repeats = in_a_loop(jax.ffi.ffi_call(f"measured_{kind}", result))
        a, b = jnp.asarray(a), jnp.asarray(b)
        return lambda: loop(a, b)[1].block_until_ready(), repeats

    return prepare


def microseconds(call, repeats):
    """CPU time of one product."""
    calls, start = 0, time.process_time()
    while (used := time.process_time() - start) < SECONDS:
        call()
        calls += 1
    return 1e6 * used / (calls * repeats)


def main():
    """Prints a table: a row for each product, a column for each side."""
    sides = {"XLA": by_xla, "NumPy": by_numpy}
    if len(sys.argv) > 1:
        sides["library"] = by_library(sys.argv[1])
    try:
        import torch  # noqa: F401
    except ImportError:
        pass
    else:
        sides["PyTorch"] = by_torch
    for batch in (32, 256):
        print(f"| batch {batch} | " + " | ".join(sides) + " |")
        print("|---" * (1 + len(sides)) + "|")
        totals = dict.fromkeys(sides, 0.0)
        for kind, a, b in operands(batch):
            calls = {name: prepare(kind, a, b) for name, prepare in sides.items()}
            for call, _ in calls.values():
                call()
            rounds = [{n: microseconds(*c) for n, c in calls.items()} for _ in range(ROUNDS)]
            cells = {name: median(r[name] for r in rounds) for name in sides}
            totals = {name: totals[name] + cells[name] for name in sides}
            print(
                f"| {kind} {a.shape} {b.shape} | "
                + " | ".join(f"{c:.1f}" for c in cells.values())
                + " |"
            )
        print("| sum | " + " | ".join(f"{t:.1f}" for t in totals.values()) + " |\n")


if __name__ == "__main__":
    main()
