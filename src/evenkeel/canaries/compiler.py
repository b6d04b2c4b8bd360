"""Canaries of the compiler: what is compiled computes what is written."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.canaries.base import canary, difference, draws
from evenkeel.engine import compilation
from evenkeel.network import copied, random_key

# Float32 sums of some hundred terms, taken in another order, differ by about this much.
_ROUNDING = 1e-5


def _network(w: Any, v: Any, x: Any, np_: Any) -> Any:
    """A small network's loss, written for NumPy and JAX alike."""
    hidden = np_.tanh(x @ w)
    scores = hidden @ v
    top = scores.max(axis=1, keepdims=True)
    logs = scores - top - np_.log(np_.exp(scores - top).sum(axis=1, keepdims=True))
    return -(logs[:, 0].mean())


def _weights() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = draws(1)
    w, v, x = (random.normal(size=s).astype(np.float32) for s in ((50, 30), (30, 10), (32, 50)))
    return w / 7, v / 5, x


@canary("relative difference", _ROUNDING, quick=True)
def compiled_against_numpy() -> float:
    """A small network's loss, compiled, is what NumPy computes in double precision."""
    arrays = _weights()
    w, v, x = (a.astype(np.float64) for a in arrays)
    found = compilation.compiled(lambda w, v, x: _network(w, v, x, jnp))(*arrays)
    return difference(found, _network(w, v, x, np))


@canary("relative difference", _ROUNDING)
def compiled_against_eager() -> float:
    """A small network's loss and gradient, compiled, are those of the operations run one by one."""

    def loss(w: Any, v: Any, x: Any) -> Any:
        return _network(w, v, x, jnp)

    program = jax.value_and_grad(loss, argnums=(0, 1))
    found = jax.tree.leaves(compilation.compiled(program)(*_weights()))
    with jax.disable_jit():
        expected = jax.tree.leaves(program(*(jnp.asarray(a) for a in _weights())))
    return max(difference(a, b) for a, b in zip(found, expected, strict=True))


@canary(
    "relative difference",
    0.0,
    name="vmapped product, then a sum",
    quick=True,
    if_it_fails="This build has the bug of jax issue 39103, and evenkeel's way around it does not "
    "work here: networks with such products may compute wrong numbers. Type "
    "pip install --upgrade jax jaxlib.",
)
def _vmapped_product() -> float:
    """A matrix times each of 32,769 vectors, squared and summed, gives known numbers exactly.

    jax 0.10.2 gets the last one wrong, and evenkeel turns the fusion off that does it.
    """
    # The matrix is the identity, so that the answers are the squares of the row numbers.
    rows = np.arange(32_769, dtype=np.float32)
    x = np.stack([rows, np.zeros_like(rows), np.zeros_like(rows)], axis=1)
    matrix = np.eye(3, dtype=np.float32)

    def squares(x: Any, matrix: Any) -> Any:
        return jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2))(x)

    return difference(compilation.compiled(squares)(x, matrix), rows * rows)


@canary("relative difference", _ROUNDING)
def vmap_against_a_loop() -> float:
    """A network applied to stacked weights with vmap gives what a loop over them gives."""
    w, v, x = _weights()
    stack = np.stack([w * scale for scale in (0.5, 1.0, 2.0, 3.0)]).astype(np.float32)

    def losses(stack: Any, v: Any, x: Any) -> Any:
        return jax.vmap(lambda w: _network(w, v, x, jnp))(stack)

    found = compilation.compiled(losses)(stack, v, x)
    parts = [w.astype(np.float64) for w in stack]
    return difference(found, [_network(w, v.astype(float), x.astype(float), np) for w in parts])


@canary("relative difference", _ROUNDING, quick=True)
def scan_against_a_python_loop() -> float:
    """Sixty layers applied by a compiled loop give what a loop in Python gives."""
    random = draws(2)
    stack = (random.normal(size=(60, 8, 8)) / np.sqrt(8)).astype(np.float32)
    x = random.normal(size=(4, 8)).astype(np.float32)

    def layers(stack: Any, x: Any) -> Any:
        return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w) + 0.5 * h, None), x, stack)[0]

    expected = x.astype(np.float64)
    for w in stack.astype(np.float64):
        expected = np.tanh(expected @ w) + 0.5 * expected
    return difference(compilation.compiled(layers)(stack, x), expected)


@canary(
    "NaN and infinities hidden",
    0.0,
    quick=True,
    if_it_fails="A run that goes wrong would not be stopped. If XLA_FLAGS has a fast-math option, "
    "take it out: unset XLA_FLAGS.",
)
def not_a_number_is_seen() -> float:
    """0/0, log(-1), inf - inf and a maximum over NaN are NaN in compiled code.

    isfinite and comparisons see it, and that 1/0 is infinite.
    """

    def hide(x: Any) -> Any:
        zero, one, inf = x[0], x[1], x[2]
        largest = jnp.max(jnp.stack([one, inf - inf]))
        bad = jnp.stack([zero / zero, jnp.log(-one), inf - inf, largest])
        return bad, jnp.isfinite(bad), bad == bad, jnp.isfinite(one / zero)

    given = np.array([0.0, 1.0, np.inf], np.float32)
    bad, finite, equal, quotient = map(np.asarray, compilation.compiled(hide)(given))
    return float((~np.isnan(bad)).sum() + finite.sum() + equal.sum() + quotient.sum())


@canary(
    "arrays copied or changed",
    0.0,
    if_it_fails="Training needs more memory than it should, or weights that you hold may change. "
    "Type pip install --upgrade jax jaxlib.",
)
def donated_memory_is_taken_over() -> float:
    """A program that may take over its argument's memory does so, and its result is right.

    A copy made before is untouched.
    """
    numbers = np.arange(4096.0, dtype=np.float32)
    given = copied(jax.device_put(numbers))  # memory that is JAX's own, and not NumPy's
    held = jax.block_until_ready(copied(given))
    address = given.unsafe_buffer_pointer()
    result = compilation.compiled(lambda a: a + 1, donate=(0,))(given)
    return (
        float(result.unsafe_buffer_pointer() != address)
        + difference(result, numbers + 1)
        + difference(held, numbers)
    )


@canary(
    "time of 40,000 steps / time of 10,000",
    None,
    if_it_fails="",
)
def scan_with_small_outputs() -> float:
    """Four times the steps of a compiled loop that puts out a number a step take so much longer.

    It is about 4 where that is linear and 16 where it is quadratic (jax issue 40101; evenkeel's
    own loops add up instead). Only shown, since a busy machine is uneven.
    """

    def steps(count: int) -> Any:
        def body(x: Any, _: Any) -> Any:
            return x * 0.999 + 0.001, x

        return compilation.compiled(lambda x: jax.lax.scan(body, x, None, length=count))

    def seconds(program: Any) -> float:
        start = np.float32(1)
        jax.block_until_ready(program(start))
        times = []
        for _ in range(5):
            began = time.perf_counter()
            jax.block_until_ready(program(start))
            times.append(time.perf_counter() - began)
        return min(times)

    short, long = steps(10_000), steps(40_000)
    return seconds(long) / seconds(short)


@canary(
    "keys that repeat another's draws",
    0.0,
    if_it_fails="Random draws of vmapped networks would be the same for all of them. Take "
    "jax_default_prng_impl out of the configuration: unset JAX_DEFAULT_PRNG_IMPL.",
)
def keys_under_vmap() -> float:
    """Keys that are mapped over draw different numbers each, the same as one by one.

    JAX's generator rbg repeats the draws of the first key.
    """

    def draw(key: Any) -> Any:
        return jax.random.bits(key, (8,), jnp.uint32)

    keys = jax.random.split(random_key(5), 6)
    mapped = np.asarray(compilation.compiled(jax.vmap(draw))(keys))
    single = np.stack([np.asarray(draw(key)) for key in keys])
    wrong = (mapped != single).any(axis=1).sum()
    return float(len(mapped) - len(np.unique(mapped, axis=0)) + wrong)
