"""The rules, one class for each code that can be judged; each family has a file or more."""

from __future__ import annotations

from evenkeel.doctor.rule import Rule
from evenkeel.doctor.rules import (
    curves,
    generalization,
    initialization,
    inputs,
    numerics,
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
        if issubclass(cls, Rule)
        and not cls.__name__.startswith("_")
        and cls.__module__ == getattr(module, "__name__", "")
    ]


# What can be judged before a run, and what only a run shows.
STATIC_RULES: tuple[Rule, ...] = tuple(
    rule
    for module in (
        *(inputs, targets, samples, outputs, initialization, structure, training),
        *(signal, units, relation, steps),
    )
    for rule in _rules_of(module)
)
RUN_RULES: tuple[Rule, ...] = tuple(
    rule for module in (curves, generalization, numerics) for rule in _rules_of(module)
)
RULES: tuple[Rule, ...] = (*STATIC_RULES, *RUN_RULES)
