"""Facts about this machine that a report of a fault should have."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import jax

from evenkeel.caching import cache_folder
from evenkeel.engine import program_cache


def versions() -> dict[str, str]:
    """Returns the versions that results on this machine depend on."""
    return {name: _number_of(name) for name in ("evenkeel", "jax", "jaxlib", "numpy")}


def _number_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"  # run from a source tree


def _versions() -> str:
    return ", ".join(f"{name} {number}" for name, number in versions().items())


def _device() -> str:
    device = jax.devices()[0]
    return f"{device.platform}, {device.device_kind}, {len(jax.devices())} of them"


def _threads() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{usable} of {os.cpu_count()} cores may be used"


def _programs() -> str:
    program_cache.use()
    folder, count, size = program_cache.contents()
    if folder is None:
        return "not kept"
    return f"{count} in {folder}, {size / 1e6:.1f} MB"


# In the order in which they are shown. A part of evenkeel that has a choice to tell of, such as
# whose matrix products are used, adds a function here.
FACTS: dict[str, Callable[[], str]] = {
    "Versions": _versions,
    "System": lambda: ", ".join([platform.system(), platform.machine()]),
    "Python": platform.python_version,
    "Device": _device,
    "Threads": _threads,
    "Cache folder": lambda: str(cache_folder("")),
    "Compiled programs": _programs,
}


def facts() -> dict[str, str]:
    """Returns the facts by name.

    Example:
        >>> "jax" in facts()["Versions"]
        True
    """
    return {name: tell() for name, tell in FACTS.items()}
