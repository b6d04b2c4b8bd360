"""What was asked of a run of the command line; what was not is the recipe's to choose.

Apart from `runs`, because the command line shows its options without importing the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evenkeel.errors import (
    InvalidArgumentError,
    explain,
    integer_at_least,
    nearest,
    number_in,
    positive_integer,
)

RECIPES = ("default", "self-normalizing")
ADAPTATIONS = ("sparse", "low-latency", "risk-sensitive")
# Settings that are choices of a recipe, by its own words.
_CHOICES = (
    *("epochs", "batch_size", "hidden", "activation", "dropout", "optimizer"),
    *("learning_rate", "schedule", "patience", "precision"),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was asked of a run. None leaves a choice to the recipe.

    Attributes:
        recipe: Which recipe chooses: "default" or "self-normalizing".
        adapt: What it is adapted to: "sparse", "low-latency", "risk-sensitive".
        epochs: The most epochs to train.
        batch_size: Rows a step.
        hidden: The units of each hidden layer.
        activation: The hidden layers' activation.
        dropout: The fraction of each hidden layer's units dropped in training.
        optimizer: The optimizer's name.
        learning_rate: The learning rate, the highest of a 1cycle.
        schedule: How the rate changes: "1cycle" or "performance".
        patience: How many epochs without a better validation loss are waited for.
        validation_fraction: The fraction of the training rows kept for validation.
        precision: How exactly products are carried out.
        seed: The seed of everything random.
    """

    recipe: str = "default"
    adapt: tuple[str, ...] = ()
    epochs: int | None = None
    batch_size: int | None = None
    hidden: tuple[int, ...] | None = None
    activation: str | None = None
    dropout: float | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    schedule: str | None = None
    patience: int | None = None
    validation_fraction: float = 0.1
    precision: str | None = None
    seed: int = 42

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) is not None:
                positive_integer(f"--{name.replace('_', '-')}", getattr(self, name))
        integer_at_least(0, "--seed", self.seed)
        for units in self.hidden or ():
            positive_integer("--hidden", units)
        if self.dropout is not None:
            number_in("--dropout", self.dropout, 0, 1, high_open=True)
        number_in(
            "--validation-fraction", self.validation_fraction, 0, 1, low_open=True, high_open=True
        )
        _known("--recipe", self.recipe, RECIPES)
        for name in self.adapt:
            _known("--adapt", name, ADAPTATIONS)

    @property
    def asked(self) -> dict[str, Any]:
        """What a recipe is told, by the names of its choices."""
        given = {name: getattr(self, name) for name in _CHOICES}
        return {name: value for name, value in given.items() if value is not None}


def _known(option: str, name: str, valid: tuple[str, ...]) -> None:
    if name not in valid:
        raise InvalidArgumentError(explain(f"{option}: got {name!r}.", nearest(name, valid)))
