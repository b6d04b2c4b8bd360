"""Where evenkeel keeps what can be made again: downloads, compiled programs, self-test results."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Returns the folder for one kind of thing that is kept; it need not exist.

    It is inside the folder that the environment variable `EVENKEEL_CACHE` names, and otherwise
    where the platform puts such things (`~/.cache/evenkeel` on Linux). Everything in it may be
    deleted at any time.

    Args:
        name: The kind: `"datasets"`, `"programs"`, `"selftest"`.

    Example:
        >>> cache_folder("datasets").name
        'datasets'
    """
    chosen = os.environ.get("EVENKEEL_CACHE")
    if chosen:
        return Path(chosen).expanduser() / name
    import platformdirs

    return Path(platformdirs.user_cache_dir("evenkeel")) / name
