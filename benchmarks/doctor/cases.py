"""A case of the bench: a program, and what would be a right answer to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from benchmarks.doctor.program import Program
from benchmarks.doctor.scores import part_of


@dataclass(frozen=True, kw_only=True)
class Case:
    """A program, with the answer that was written down before the doctor was asked.

    Attributes:
        name: Its name, which also decides the part that it is in.
        program: What is run.
        twin: The healthy program that it was made of; None of a healthy one.
        causes: The codes that name what was done to it.
        fixes: The remedies that undo it, or what comes to the same.
        reaches: The score that a healthy program must reach.
    """

    name: str
    program: Program
    twin: Program | None = None
    causes: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    reaches: float = 0.0

    @property
    def is_faulty(self) -> bool:
        """Whether something was done to it."""
        return self.twin is not None

    @property
    def part(self) -> str:
        """The part that it is in."""
        return part_of(self.name)


def fault(base: Program, name: str, causes: str, fixes: str, **changes: Any) -> Case:
    """Returns a program with a fault: its name begins with the data's, codes are words."""
    return Case(
        name=f"{base.data}: {name}",
        program=replace(base, **changes),
        twin=base,
        causes=tuple(causes.split()),
        fixes=tuple(fixes.split()),
    )


def healthy(base: Program, name: str, reaches: float, **changes: Any) -> Case:
    """Returns a healthy program."""
    return Case(name=f"{base.data}, {name}", program=replace(base, **changes), reaches=reaches)
