"""The one place that compiles: every program of the engine goes through `compiled`.

It sets what the engine's compiler is known to need, where the installed version has it, compiles
in the background what will be needed next, and notes what was compiled, for how long, and whether
it came from the cache on disk (`engine/program_cache.py`).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax

from evenkeel.engine import program_cache

# XLA's YNN fusions can return a wrong element for batched matrix-vector products that are then
# reduced (jax issue 39103, seen on 0.10.2, CPU). An empty list of fusion types turns them off.
_CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}


@dataclass(frozen=True, kw_only=True)
class Compilation:
    """One program that was compiled, or fetched from the cache.

    Attributes:
        program: What it does: `"training"`, `"evaluation"`, `"prediction"`, `"telemetry"`.
        seconds: From its arguments' shapes to a program that can run, waiting included.
        from_cache: Whether the cache on disk had it.
    """

    program: str
    seconds: float
    from_cache: bool


def compiled(
    function: Callable[..., Any],
    *,
    donate: Sequence[int] = (),
    name: str = "program",
) -> Program:
    """Compiles a pure function on its first call for each combination of shapes.

    Args:
        function: A pure function of arrays.
        donate: Positions of arguments whose memory the result may take over.
        name: What the program does, in a word; notes of compilations show it.
    """
    program_cache.use()
    jitted = jax.jit(function, donate_argnums=tuple(donate), compiler_options=_options() or None)
    return Program(jitted, name)


class Program:
    """A compiled function, which compiles itself for each combination of shapes once.

    Args:
        jitted: The function, under `jax.jit`.
        name: What it does, in a word.
    """

    def __init__(self, jitted: Any, name: str):
        self.name = name
        self._jitted = jitted
        self._begun: dict[Any, Future[None]] = {}
        self._known: set[Any] = set()

    def __call__(self, *arguments: Any) -> Any:
        """Runs the program."""
        if self._begun:
            future = self._begun.pop(_shapes_of(arguments), None)
            if future is not None:
                wait([future])  # if it failed, so will the call below, which raises
        with _noting(self.name):
            return self._jitted(*arguments)

    def begin(self, *arguments: Any) -> None:
        """Begins to compile for arguments of these shapes; the call that needs it waits for it.

        Tracing, which runs the layers' Python, is done here and now; the compiler, which is most
        of the work and no Python, goes on in the background.

        Args:
            *arguments: Arrays, or `jax.ShapeDtypeStruct` in their place.
        """
        shapes = _shapes_of(arguments)
        if shapes in self._known:
            return
        self._known.add(shapes)
        started = time.perf_counter()
        lowered = self._jitted.lower(*arguments)

        def compile_it() -> None:
            with _noting(self.name, started):
                lowered.compile()

        self._begun[shapes] = in_background(compile_it)


def _shapes_of(arguments: Any) -> Any:
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple(
        (leaf.shape, leaf.dtype) if hasattr(leaf, "shape") else type(leaf) for leaf in leaves
    )


def in_background(task: Callable[[], Any]) -> Future[Any]:
    """Has something done beside what goes on, after what was given before it."""
    return _compilers().submit(copy_context().run, task)


@lru_cache(maxsize=1)
def _compilers() -> ThreadPoolExecutor:
    # A pool, whose threads Python waits for at its end: a compiler that is cut off can crash.
    return ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1)), thread_name_prefix="compile")


if hasattr(os, "register_at_fork"):  # a child has none of the threads
    os.register_at_fork(after_in_child=_compilers.cache_clear)


@lru_cache(maxsize=1)
def _options() -> dict[str, Any]:
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x, compiler_options=_CPU_OPTIONS).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return {}  # this version does not have the option, nor what it turns off
    return dict(_CPU_OPTIONS)


# -- what was compiled ---------------------------------------------------------------------------

_record: ContextVar[list[Compilation] | None] = ContextVar("record", default=None)


@contextlib.contextmanager
def recorded(into: list[Compilation]) -> Iterator[list[Compilation]]:
    """Adds every program of the engine that is compiled inside to a list.

    Example:
        >>> double = compiled(lambda x: 2 * x, name="doubling")
        >>> with recorded([]) as compilations:
        ...     _ = double(1.0), double(2.0)
        >>> [compilation.program for compilation in compilations]
        ['doubling']
    """
    token = _record.set(into)
    try:
        yield into
    finally:
        _record.reset(token)


@dataclass
class _Noting:
    """A call under way, in the thread that JAX reports compilations to."""

    program: str
    started: float
    hits: list[bool] = field(default_factory=list)
    into: list[Compilation] | None = None


_under_way = threading.local()


@contextlib.contextmanager
def _noting(program: str, started: float | None = None) -> Iterator[None]:
    """Notes the compilation inside, if there is one."""
    outside = getattr(_under_way, "call", None)
    _listen()
    _under_way.call = _Noting(program, started or time.perf_counter(), into=_record.get())
    try:
        yield
    finally:
        _under_way.call = outside


@lru_cache(maxsize=1)
def _listen() -> None:
    jax.monitoring.register_event_listener(_on_event)
    jax.monitoring.register_event_duration_secs_listener(_on_duration)


def _on_event(event: str, **_: Any) -> None:
    call: _Noting | None = getattr(_under_way, "call", None)
    if call is not None and event == "/jax/compilation_cache/cache_hits":
        call.hits.append(True)


def _on_duration(event: str, duration_secs: float, **_: Any) -> None:
    call: _Noting | None = getattr(_under_way, "call", None)
    if call is None or event != "/jax/core/compile/backend_compile_duration":
        return
    if call.into is not None:
        seconds = time.perf_counter() - call.started
        call.into.append(
            Compilation(program=call.program, seconds=seconds, from_cache=bool(call.hits))
        )
    call.hits.clear()
