"""Canaries: small programs whose answers are known, run on this machine's own build.

A compiler or a processor can be wrong in ways that no test of this library's would see elsewhere.
`selftest` runs all canaries, which takes seconds; the quick ones run by themselves, once for each
new version, beside the first `fit` (`canaries/once.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenkeel.canaries.report import Report, selftest

__all__ = ["Report", "selftest"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"evenkeel.canaries has no {name!r}.")
    from evenkeel.canaries import report  # brings the canaries themselves, which few runs need

    return getattr(report, name)
