"""How a run of the command line trains, and what it does when nothing is said.

Apart from `runs`, because the command line shows the defaults without importing the engine.
"""

from __future__ import annotations

from dataclasses import dataclass

from evenkeel.errors import integer_at_least, number_in, positive_integer


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run trains.

    Attributes:
        epochs: The most epochs to train.
        batch_size: Rows a step.
        hidden: The units of each hidden layer.
        activation: The hidden layers' activation.
        dropout: The fraction of each hidden layer's units dropped in training.
        optimizer: The optimizer's name.
        learning_rate: The learning rate; the optimizer's default when None.
        patience: How many epochs without a better validation loss are waited for.
        validation_fraction: The fraction of the training rows kept for validation.
        precision: How exactly products are carried out.
        seed: The seed of everything random.
    """

    epochs: int = 50
    batch_size: int = 32
    hidden: tuple[int, ...] = (300, 100)
    activation: str = "silu"
    dropout: float = 0.1
    optimizer: str = "adam"
    learning_rate: float | None = None
    patience: int = 20
    validation_fraction: float = 0.1
    precision: str = "float32"
    seed: int = 42

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            positive_integer(f"--{name.replace('_', '-')}", getattr(self, name))
        integer_at_least(0, "--seed", self.seed)
        for units in self.hidden:
            positive_integer("--hidden", units)
        number_in("--dropout", self.dropout, 0, 1, high_open=True)
        number_in(
            "--validation-fraction", self.validation_fraction, 0, 1, low_open=True, high_open=True
        )
