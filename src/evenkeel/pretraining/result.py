"""What pretraining hands over: trained layers, what was measured, and how to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evenkeel.errors import require
from evenkeel.layers import Layer
from evenkeel.models import Sequential
from evenkeel.pretraining.parts import copied_layers


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One run of pretraining: the only one, or that of one layer among several.

    Attributes:
        name: What was trained: the method, or the layer's name.
        history: By name, one float an epoch.

    Example:
        >>> Stage(name="dense", history={"loss": [0.3, 0.2]}).sentence
        'dense: 2 epochs, loss 0.3 to 0.2'
    """

    name: str
    history: Mapping[str, Sequence[float]]

    @property
    def sentence(self) -> str:
        """The first and last value of every number but those of validation."""
        spans = [
            f"{name} {values[0]:.4g} to {values[-1]:.4g}"
            for name, values in self.history.items()
            if values and not name.startswith("val_")
        ]
        epochs = max((len(values) for values in self.history.values()), default=0)
        return f"{self.name}: {epochs} epochs, {', '.join(spans)}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Pretrained:
    """Layers that were trained without the labels of the task, ready for it.

    Attributes:
        method: How they were trained, in words.
        layers: The trained layers, copies of those that were given, in order.
        stages: What was measured, run by run.
        networks: What was trained around the layers, by name: an `"autoencoder"`, a `"generator"`.

    Example:
        >>> import evenkeel as ek
        >>> (x, y), _ = ek.datasets.digits.load_data()
        >>> layers = [ek.layers.Rescaling(1 / 16), ek.layers.Dense(30, activation="relu")]
        >>> pretrained = ek.pretraining.autoencoder(layers, x, epochs=1)
        >>> model = pretrained.then(ek.layers.Dense(10, activation="softmax"))
        >>> [layer.name for layer in model.layers]
        ['rescaling', 'dense', 'dense_1']
    """

    method: str
    layers: list[Layer]
    stages: tuple[Stage, ...]
    networks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def history(self) -> dict[str, list[float]]:
        """The numbers of the last stage: by name, one float an epoch."""
        return {name: list(values) for name, values in self.stages[-1].history.items()}

    def then(self, *layers: Layer, freeze: bool = False) -> Sequential:
        """Returns a network of copies of the trained layers with others on top.

        Each call makes copies, so that networks made from one pretraining share nothing.

        Args:
            *layers: What comes on top, the output layer last.
            freeze: Whether the copies keep their weights at first: only what is on top is trained
                until their `trainable` is set to True again.

        Returns:
            A `Sequential`, to be compiled and fitted on the rows that have labels.

        Raises:
            InvalidArgumentError: If nothing comes on top.
        """
        require(
            bool(layers),
            "Pretrained.then: got no layers, expected at least the output layer.",
            "Type pretrained.then(ek.layers.Dense(10, activation='softmax')) for ten classes.",
        )
        below = copied_layers(self.layers)
        for layer in below:
            layer.trainable = layer.trainable and not freeze
        return Sequential([*below, *layers])

    @property
    def sentence(self) -> str:
        """What was trained, what came of it, and what to type next."""
        lines = [f"{len(self.layers)} layers, pretrained by {self.method}."]
        lines += [f"  {stage.sentence}" for stage in self.stages]
        lines.append(
            "Type model = pretrained.then(ek.layers.Dense(10, activation='softmax')), compile it "
            "and fit it on the labelled rows; with freeze=True the new layers are trained first, "
            "and the others once their trainable is True again."
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Pretrained {self.sentence}>"
