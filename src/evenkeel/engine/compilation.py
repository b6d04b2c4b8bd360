"""The one place that compiles: every program of the engine goes through `compiled`.

It sets what the engine's compiler is known to need, where the installed version has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax

# XLA's YNN fusions can return a wrong element for batched matrix-vector products that are then
# reduced (jax issue 39103, seen on 0.10.2, CPU). An empty list of fusion types turns them off.
_CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}


def compiled(
    function: Callable[..., Any],
    *,
    donate: Sequence[int] = (),
) -> Callable[..., Any]:
    """Compiles a pure function on its first call for each combination of shapes.

    Args:
        function: A pure function of arrays.
        donate: Positions of arguments whose memory the result may take over.
    """
    return jax.jit(
        function,
        donate_argnums=tuple(donate),
        compiler_options=_options() or None,
    )


@lru_cache(maxsize=1)
def _options() -> dict[str, Any]:
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x, compiler_options=_CPU_OPTIONS).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return {}  # this version does not have the option, nor what it turns off
    return dict(_CPU_OPTIONS)
