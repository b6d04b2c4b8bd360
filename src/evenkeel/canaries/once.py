"""The quick canaries, once for each new version, in the background of the first `fit`.

What they found is remembered in the cache folder. `EVENKEEL_SELFTEST=off` turns this off.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import warnings
from concurrent.futures import Future
from pathlib import Path

import jax

from evenkeel.caching import cache_folder
from evenkeel.canaries.machine import versions
from evenkeel.engine.compilation import in_background
from evenkeel.errors import EvenkeelWarning, explain

_under_way: Future[list[str]] | None = None
_is_done = False


def begin() -> None:
    """Starts the quick canaries, unless they are known, under way or turned off."""
    global _under_way, _is_done
    if _is_done or _under_way is not None:
        return
    if os.environ.get("EVENKEEL_SELFTEST", "").lower() in ("off", "0", "false", "no"):
        _is_done = True
        return
    path = record_file()
    known = _read(path)
    if known is not None:
        _is_done = True
        warn_of(known)
        return
    _under_way = in_background(lambda: _run(path))


def look(wait: bool = False) -> None:
    """Warns of what the canaries found, if they are through.

    Args:
        wait: Whether to wait for them.
    """
    global _under_way, _is_done
    if _under_way is not None and (wait or _under_way.done()):
        future, _under_way, _is_done = _under_way, None, True
        warn_of(future.result())


def warn_of(failed: list[str]) -> None:
    """Warns of canaries that failed, by name."""
    if not failed:
        return
    warnings.warn(
        explain(
            f"A self-test of this machine's build failed: {', '.join(failed)}.",
            "The numbers of this and other runs may be wrong.",
            "Type evenkeel selftest to see what it means and what to do.",
        ),
        EvenkeelWarning,
        stacklevel=3,
    )


def record_file() -> Path:
    """Returns the file that remembers the result for these versions on this kind of machine."""
    build = {**versions(), "machine": platform.machine(), "backend": jax.default_backend()}
    options = os.environ.get("XLA_FLAGS", "")
    name = hashlib.sha256(json.dumps([build, options], sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder("selftest") / f"{name}.json"


def remember(failed: list[str], path: Path | None = None) -> None:
    """Writes down which canaries failed; a folder that cannot be written to forgets."""
    path = path or record_file()
    draft = path.with_suffix(f".{os.getpid()}")  # renamed when whole: others may be reading
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"versions": versions(), "failed": failed}) + "\n")
        draft.replace(path)
    except OSError:
        return


def _read(path: Path) -> list[str] | None:
    try:
        return [str(name) for name in json.loads(path.read_text())["failed"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _run(path: Path) -> list[str]:
    from evenkeel.canaries.report import all_canaries  # brings the canaries themselves

    findings = [canary.run() for canary in all_canaries(quick=True)]
    failed = [finding.canary.name for finding in findings if not finding.is_well]
    remember(failed, path)
    return failed
