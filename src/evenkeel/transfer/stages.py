"""The stages of fine-tuning: what each unfreezes, at which rate, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evenkeel.engine.history import History
from evenkeel.errors import InvalidArgumentError, explain, number_in, positive_integer
from evenkeel.transfer.blocks import Block


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of fine-tuning, as it went.

    Attributes:
        number: Its number, from 1.
        unfrozen: The reused layers that learned in it; none in the first stage.
        parameters: How many numbers were trained.
        rate: The optimizer's rate, or the factor on its schedule.
        epochs: How many epochs it took.
        best: The best value of what was monitored; None if it never was finite.
        best_epoch: The epoch of that value, counted from 0 over all stages.
        logs: The logs of that epoch.
        gained: Whether it beat all stages before it.
        outcome: The name of the way in which its last epoch ended.

    Example:
        >>> stage = Stage(number=1, unfrozen=(), parameters=11, rate=0.1, epochs=3, best=0.25,
        ...     best_epoch=2, logs={"val_loss": 0.25}, gained=True, outcome="COMPLETED")
        >>> stage.title
        'reused layers frozen'
    """

    number: int
    unfrozen: tuple[str, ...]
    parameters: int
    rate: float
    epochs: int
    best: float | None
    best_epoch: int | None
    logs: dict[str, float]
    gained: bool
    outcome: str

    @property
    def title(self) -> str:
        """What the stage does, in words."""
        return title_of(self.unfrozen)


def title_of(unfrozen: Sequence[str]) -> str:
    """Says which reused layers learn.

    Example:
        >>> title_of(["dense", "dense_1"])
        'dense, dense_1 unfrozen'
        >>> title_of(["dense", "dense_1", "dense_2", "dense_3"])
        'dense to dense_3 unfrozen'
    """
    if not unfrozen:
        return "reused layers frozen"
    if len(unfrozen) > 2:
        return f"{unfrozen[0]} to {unfrozen[-1]} unfrozen"
    return f"{', '.join(unfrozen)} unfrozen"


@dataclass(frozen=True, kw_only=True, eq=False)
class FineTuning:
    """What came of fine-tuning: every stage, and the best model.

    Attributes:
        model: The model that was given, with the best weights that it had in any stage.
        monitor: The name of the log that decided.
        stages: The stages, in order.
        history: All epochs of all stages in one history; `history.history["stage"]` has the number
            of the stage of each.
        ending: Why there was no further stage, as a sentence.

    Example:
        >>> import evenkeel as ek
        >>> stage = ek.transfer.Stage(number=1, unfrozen=(), parameters=11, rate=0.1, epochs=3,
        ...     best=0.25, best_epoch=2, logs={}, gained=True, outcome="COMPLETED")
        >>> tuning = FineTuning(model=None, monitor="val_loss", stages=(stage,),
        ...     history=History({}), ending="Every reused layer was unfrozen.")
        >>> tuning.best
        0.25
    """

    model: Any
    monitor: str
    stages: tuple[Stage, ...]
    history: History
    ending: str

    @property
    def best_stage(self) -> Stage | None:
        """The stage whose weights the model has; None if no value was ever finite."""
        return next((stage for stage in reversed(self.stages) if stage.gained), None)

    @property
    def best(self) -> float | None:
        """The best value of what was monitored."""
        return None if self.best_stage is None else self.best_stage.best

    def __str__(self) -> str:
        width = max(len(stage.title) for stage in self.stages)
        lines = [f"{'stage':7}{'layers':{width}}  {'rate':>9}  {'epochs':>6}  best {self.monitor}"]
        for stage in self.stages:
            value = "not finite" if stage.best is None else f"{stage.best:.4f}"
            mark = "  <- kept" if stage is self.best_stage else ""
            lines.append(
                f"{stage.number:<7}{stage.title:{width}}  {stage.rate:>9.3g}  {stage.epochs:>6}  "
                f"{value}{mark}"
            )
        return "\n".join([*lines, self.ending])


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """What a stage is to do.

    Attributes:
        number: Its number, from 1.
        unfrozen: The reused blocks that learn, the lowest first.
        factor: The factor on the optimizer's rate.
        epochs: The most epochs that it takes.
    """

    number: int
    unfrozen: tuple[Block, ...]
    factor: float
    epochs: int

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers that are unfrozen."""
        return tuple(block.name for block in self.unfrozen)


def stage_plans(
    reused: Sequence[Block], unfreeze: int | None, factors: Any, epochs: Any
) -> list[StagePlan]:
    """Returns the stages: all reused blocks frozen, then unfrozen from the top down.

    Args:
        reused: The reused blocks, the lowest first.
        unfreeze: How many of them each stage unfreezes; None is all at once.
        factors: A factor on the rate for each stage; the last one holds for all further ones.
        epochs: The most epochs of each stage, likewise.

    Raises:
        InvalidArgumentError: If an argument is impossible.
    """
    where = "fine_tune(unfreeze)"
    at_once = len(reused) if unfreeze is None else positive_integer(where, unfreeze)
    counts = [0, *range(at_once, len(reused), at_once), len(reused)]
    rates = [
        number_in("fine_tune(rate_factors)", factor, 0, math.inf, low_open=True)
        for factor in _listed("fine_tune(rate_factors)", factors)
    ]
    lengths = [
        positive_integer("fine_tune(epochs)", n) for n in _listed("fine_tune(epochs)", epochs)
    ]
    return [
        StagePlan(
            number=number + 1,
            unfrozen=tuple(reused[len(reused) - count :]),
            factor=rates[min(number, len(rates) - 1)],
            epochs=lengths[min(number, len(lengths) - 1)],
        )
        for number, count in enumerate(counts)
    ]


def _listed(where: str, given: Any) -> list[Any]:
    values = list(given) if isinstance(given, list | tuple) else [given]
    if not values:
        raise InvalidArgumentError(
            explain(f"{where}: got an empty list, expected one value a stage.", "Type (1.0, 0.1).")
        )
    return values
