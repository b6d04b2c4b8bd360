"""Compiled programs on disk, so that the second process that needs one finds it.

This is JAX's own persistent cache, in a folder of ours. JAX has one such cache for the process,
so a cache that the user set up is left alone, and nothing is set before the engine compiles.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax

from evenkeel.caching import cache_folder
from evenkeel.errors import EvenkeelWarning, explain

# A program that compiles faster than this is not worth a file. JAX's own limit is a second, which
# most networks stay below.
_LEAST_SECONDS = 0.1
_JAX_LEAST_SECONDS = 1.0
# Old programs are deleted beyond this size; a network's programs take about a megabyte.
_MOST_BYTES = 512 * 2**20
_LEAST_BYTES_FREE = 64 * 2**20


@lru_cache(maxsize=1)
def use() -> None:
    """Makes JAX keep compiled programs, unless the user decided about that; once a process.

    A folder that cannot be used is a warning, and programs are then compiled in each process.
    """
    if not _setting("enable_compilation_cache") or _setting("compilation_cache_dir"):
        return
    path = cache_folder("programs")
    try:
        prepare(path)
    except OSError as error:
        warnings.warn(
            explain(
                f"Compiled programs cannot be kept in {path} ({error.strerror or error}), so every "
                "process compiles anew.",
                "Let EVENKEEL_CACHE name a folder that can be written to, or set "
                "JAX_ENABLE_COMPILATION_CACHE=false to do without.",
            ),
            EvenkeelWarning,
            stacklevel=2,
        )
        return
    jax.config.update("jax_compilation_cache_dir", str(path))
    if _setting("persistent_cache_min_compile_time_secs") == _JAX_LEAST_SECONDS:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)


def prepare(path: Path) -> None:
    """Makes the folder, checks that it can be written to, and deletes the oldest beyond the limit.

    Raises:
        OSError: If it cannot be written to.
    """
    # For the user alone: who can write here decides which code runs.
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=path) as probe:
        probe.write(b"evenkeel")
    if shutil.disk_usage(path).free < _LEAST_BYTES_FREE:
        raise OSError("the disk is full")
    _trim(path)


def _trim(path: Path) -> None:
    """Deletes the oldest files until what is left fits; other processes may be doing the same."""
    sizes = {}
    for file in path.iterdir():
        try:
            status = file.stat()
        except FileNotFoundError:
            continue
        sizes[file] = (status.st_mtime, status.st_size)
    total = sum(size for _, size in sizes.values())
    for file, (_, size) in sorted(sizes.items(), key=lambda item: item[1]):
        if total <= _MOST_BYTES:
            return
        file.unlink(missing_ok=True)
        total -= size


def contents() -> tuple[str | None, int, int]:
    """Returns the folder in use, None if there is none, how many programs it has, and its bytes."""
    folder = _setting("compilation_cache_dir") if _setting("enable_compilation_cache") else None
    if not folder or not Path(folder).is_dir():
        return None, 0, 0
    files = [file for file in Path(folder).iterdir() if file.name.endswith("-cache")]
    return folder, len(files), sum(file.stat().st_size for file in files)


def _setting(name: str) -> Any:
    """Returns one of JAX's settings, which its types do not list."""
    return getattr(jax.config, f"jax_{name}")
