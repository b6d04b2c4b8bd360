"""Running the canaries, and saying what they found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from evenkeel.canaries import chance, compiler, gradients
from evenkeel.canaries.base import CANARIES, Canary, Finding
from evenkeel.canaries.machine import facts

__all__ = ["Report", "all_canaries", "chance", "compiler", "gradients", "selftest"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a self-test found.

    Attributes:
        findings: One for each canary, in order.
        facts: About this machine, by name.
    """

    findings: tuple[Finding, ...]
    facts: dict[str, str]

    @property
    def is_well(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    @property
    def failed(self) -> list[Finding]:
        """What failed."""
        return [finding for finding in self.findings if not finding.is_well]

    @property
    def sentence(self) -> str:
        """The result in a sentence."""
        count = len(self.findings)
        if self.is_well:
            return f"All {count} checks are well: this machine computes what is written."
        return f"{len(self.failed)} of {count} checks failed."

    def __str__(self) -> str:
        """The facts, and for each check what it found; for a failed one also what to do."""
        lines = [f"{name}: {text}" for name, text in self.facts.items()]
        return "\n".join([*lines, "", *map(text_of, self.findings), "", self.sentence])


def text_of(finding: Finding) -> str:
    """Returns a finding in a few lines.

    Example:
        >>> canary = CANARIES["compiled against numpy"]
        >>> print(text_of(Finding(canary=canary, value=1e-7, is_well=True)))
        well    compiled against numpy: relative difference 1e-07, at most 1e-05
                A small network's loss, compiled, is what NumPy computes in double precision.
    """
    canary, margin = finding.canary, 8 * " "
    word = "shown" if canary.limit is None and finding.is_well else "well"
    head = f"{word if finding.is_well else 'FAILED':8}{canary.name}: {finding.reading}"
    advice = [] if finding.is_well else [margin + canary.if_it_fails]
    return "\n".join([head, margin + canary.checks, *advice])


def all_canaries(quick: bool = False) -> list[Canary]:
    """Returns the canaries, or the quick ones among them."""
    return [canary for canary in CANARIES.values() if canary.quick or not quick]


def selftest(quick: bool = False, tell: Callable[[Finding], object] | None = None) -> Report:
    """Checks on this machine that the compiler computes what is written, and its gradients.

    Nothing of the process is changed, seeds and names of layers included.

    Args:
        quick: Whether to run only those canaries that also run by themselves, beside the first
            `fit` of a new version.
        tell: Called with each finding as it comes.

    Returns:
        The report; `report.is_well` says whether all passed, `print(report)` shows everything.

    Example:
        >>> selftest(quick=True).is_well
        True
    """
    return Report(findings=tuple(_run(all_canaries(quick), tell)), facts=facts())


def _run(canaries: Iterable[Canary], tell: Callable[[Finding], object] | None) -> Iterable[Finding]:
    for canary in canaries:
        finding = canary.run()
        if tell is not None:
            tell(finding)
        yield finding
