"""The rules, one class for each code that can be judged; each family has a file or more."""

from __future__ import annotations

from evenkeel.doctor.rule import Rule
from evenkeel.doctor.rules import (
    initialization,
    inputs,
    outputs,
    relation,
    samples,
    signal,
    steps,
    structure,
    targets,
    training,
    units,
)


def _rules_of(module: object) -> list[Rule]:
    found = [thing for thing in vars(module).values() if isinstance(thing, type)]
    return [
        cls()
        for cls in found
        if issubclass(cls, Rule) and cls.__module__ == getattr(module, "__name__", "")
    ]


RULES: tuple[Rule, ...] = tuple(
    rule
    for module in (
        *(inputs, targets, samples, outputs, initialization, structure, training),
        *(signal, units, relation, steps),
    )
    for rule in _rules_of(module)
)
