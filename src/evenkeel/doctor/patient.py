"""The patient: a network, how it will be trained, and its data, as plain records.

Nothing here needs a network that can compute. Whoever has one describes it (`examination`), and
tests write patients by hand. A remedy takes a patient and returns another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evenkeel.doctor.course import Course
from evenkeel.doctor.probe import Probe
from evenkeel.doctor.signal import Signal

# Layers that pass on what comes in, each element at its place or at another.
PASSING = frozenset(
    {"InputLayer", "Flatten", "Reshape", "Permute", "Identity", "RepeatVector", "ZeroPadding2D"}
)
DROPPING = frozenset({"Dropout", "AlphaDropout", "SpatialDropout2D", "GaussianDropout"})
NOISY = DROPPING | {"GaussianNoise"}
NORMALIZING = frozenset({"BatchNormalization", "LayerNormalization", "RMSNormalization"})
SCALING = frozenset({"Rescaling", "Normalization"})
MERGING = frozenset({"Add", "Average", "Concatenate", "Subtract", "Multiply", "Maximum", "Minimum"})
POOLING = frozenset({"AveragePooling2D", "GlobalAveragePooling2D"})
MAX_POOLING = frozenset({"MaxPooling2D", "GlobalMaxPooling2D"})
WEIGHTED = frozenset({"Dense", "Conv2D"})


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """The weights that a layer multiplies its inputs with, as numbers.

    Attributes:
        shape: (inputs, units), or (height, width, inputs, filters).
        rms: The root of their mean square.
        is_alike: Whether all units have the same weights.
        is_zero: Whether all weights are 0.

    Example:
        >>> Kernel(shape=(100, 10), rms=0.1).gain
        1.0
    """

    shape: tuple[int, ...]
    rms: float
    is_alike: bool = False
    is_zero: bool = False

    @property
    def fan_in(self) -> int:
        """How many inputs a unit sums."""
        return math.prod(self.shape[:-1])

    @property
    def fan_out(self) -> int:
        """How many sums an input goes into, at most."""
        return math.prod(self.shape[:-2]) * self.shape[-1]

    @property
    def gain(self) -> float:
        """By how much a unit's sum is larger than its inputs: sqrt(fan_in) times the rms."""
        return math.sqrt(self.fan_in) * self.rms


@dataclass(frozen=True, kw_only=True)
class LayerRecord:
    """One place in a network.

    Attributes:
        name: The layer's name; a further use of a shared layer has a number behind it.
        kinds: The names of its class and of those that the class comes from.
        config: The constructor's arguments that judgement reads.
        sources: The names of the places that it takes its inputs from; () at the beginning.
        activation: The name of the activation that it ends with; None if it has none, "?" for a
            function that is not known.
        is_trainable: Whether training changes it.
        kernel: Its weights; None if it has none, or they are not known.
        features: The last size of its output; None if that is not known.

    Example:
        >>> LayerRecord(name="dense", kinds=("Dense",), config={"units": 3}).is_a("Dense")
        True
    """

    name: str
    kinds: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    activation: str | None = None
    is_trainable: bool = True
    kernel: Kernel | None = None
    features: int | None = None

    @property
    def kind(self) -> str:
        """The name of its class."""
        return self.kinds[0]

    def is_a(self, *kinds: str) -> bool:
        """Whether it is of one of these classes, or of one made from them."""
        return not set(kinds).isdisjoint(self.kinds)

    def with_config(self, **changes: Any) -> LayerRecord:
        """Returns the record with other arguments of the constructor."""
        return replace(self, config={**self.config, **changes})


@dataclass(frozen=True, kw_only=True)
class HeadRecord:
    """One output, and what is asked of it.

    Attributes:
        name: The output's name.
        layer: The name of the place that it leaves; None if that is not known.
        units: The last size of the output.
        kind: What its loss expects as targets; None if there is no loss or it is not known.
        loss: The loss's name; None without one.
        from_logits: Whether the loss applies the activation itself.
        metrics: The names of what is measured.

    Example:
        >>> HeadRecord(name="price", layer="dense", units=1, kind="numbers").is_regression
        True
    """

    name: str = "output"
    layer: str | None = None
    units: int | None = None
    kind: str | None = None
    loss: str | None = None
    from_logits: bool = False
    metrics: tuple[str, ...] = ()

    @property
    def is_regression(self) -> bool:
        """Whether its loss compares numbers."""
        return self.kind == "numbers"


@dataclass(frozen=True, kw_only=True)
class ScheduleRecord:
    """A learning rate that changes, as points of its curve.

    Attributes:
        kind: The schedule's class.
        steps: Step numbers, growing from 0.
        rates: The rate at each.
        length: After how many steps nothing new comes; None if there is no such step.
        begins_low: Whether it climbs at first.
        has_end: Whether it is made to come down by its end.
        is_of_the_run: Whether its length follows the run's.

    Example:
        >>> halving = ScheduleRecord(kind="f", steps=np.arange(3), rates=np.array([4.0, 2.0, 1.0]))
        >>> halving.peak
        4.0
    """

    kind: str
    steps: np.ndarray
    rates: np.ndarray
    length: int | None = None
    begins_low: bool = False
    has_end: bool = False
    is_of_the_run: bool = False

    @property
    def peak(self) -> float:
        """The highest rate."""
        return float(np.max(self.rates))

    def within(self, steps: int) -> np.ndarray:
        """Returns the rate at a hundred steps spread evenly over a run."""
        return np.interp(np.linspace(0, max(steps - 1, 0), 101), self.steps, self.rates)


@dataclass(frozen=True, kw_only=True)
class OptimizerRecord:
    """How weights are updated.

    Attributes:
        kind: The optimizer's class.
        rate: The learning rate, the highest of a schedule; None if it is not known.
        settings: The constructor's other arguments.
        schedule: How the rate changes; None if it stays.
        is_adaptive: Whether each weight moves by about the rate, whatever its gradient's size.

    Example:
        >>> OptimizerRecord(kind="SGD", rate=0.01, settings={"momentum": 0.9}).settings["momentum"]
        0.9
    """

    kind: str
    rate: float | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    schedule: ScheduleRecord | None = None
    is_adaptive: bool = False


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """How long and on what the network will be trained, as far as that is known.

    Attributes:
        batch_size: Rows a step.
        epochs: How many epochs; None if that is not known.
        validation_split: The fraction of rows, the last ones, kept back.
        shuffle: Whether each epoch has an order of its own.
        class_weight: Whether classes weigh differently.
        steps_taken: How many steps the network was trained before.
        early_stopping: Whether the run ends when validation no longer gains.

    Example:
        >>> RunRecord(epochs=3, batch_size=32).steps(100)
        12
    """

    batch_size: int = 32
    epochs: int | None = None
    validation_split: float = 0.0
    shuffle: bool = True
    class_weight: bool = False
    steps_taken: int = 0
    early_stopping: bool = False

    def steps(self, rows: int | None) -> int | None:
        """Returns how many steps the run has on so many rows, or None if it is not known."""
        if self.epochs is None or rows is None:
            return None
        kept = int(rows * (1 - self.validation_split))
        return self.epochs * math.ceil(max(kept, 1) / self.batch_size)


@dataclass(frozen=True, kw_only=True, eq=False)
class InputData:
    """The rows of one input of a network.

    Attributes:
        name: The input's name.
        values: (rows, ...), of any type of number.
        layer: The place that they go into; None if that is not known.
        columns: The names of the columns; None if they have none.
        validation: The rows kept for validation; None if there are none.

    Example:
        >>> InputData(name="x", values=np.zeros((2, 3))).column(1)
        'column 1'
    """

    name: str
    values: np.ndarray
    layer: str | None = None
    columns: tuple[str, ...] | None = None
    validation: np.ndarray | None = None

    def column(self, number: int) -> str:
        """Returns what to call a feature."""
        if self.columns is not None and len(self.columns) > number:
            return f"column {self.columns[number]!r}"
        return f"column {number}" if self.values.ndim == 2 else f"pixel {number}"


@dataclass(frozen=True, kw_only=True, eq=False)
class TargetData:
    """The targets of one output; None where there are none.

    Attributes:
        values: (rows, ...).
        validation: Those of the rows kept for validation.

    Example:
        >>> TargetData(values=np.zeros(3)).validation is None
        True
    """

    values: np.ndarray | None = None
    validation: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Patient:
    """All that a checkup looks at.

    Attributes:
        layers: The places of the network, in an order in which they can run; None if the way
            through it is not known, as in a class with a `call` of its own.
        parts: The layers, whether or not the way through them is known.
        heads: The outputs and their losses; () before `compile`.
        optimizer: How weights are updated; None before `compile`.
        run: How it will be trained.
        inputs: The rows of each input.
        targets: The targets of each head.
        signal: What one pass through the network showed; None if none was run.
        probe: What short trainings of copies showed; None if none were done.
        missing: What is not known about it, and why, by the name of the attribute.
        course: How a run went; None where it has not run.

    Example:
        >>> dense = LayerRecord(name="dense", kinds=("Dense",))
        >>> Patient(layers=(dense,)).layer("dense").kind
        'Dense'
    """

    layers: tuple[LayerRecord, ...] | None = None
    parts: tuple[LayerRecord, ...] = ()
    heads: tuple[HeadRecord, ...] = ()
    optimizer: OptimizerRecord | None = None
    run: RunRecord = field(default_factory=RunRecord)
    inputs: tuple[InputData, ...] = ()
    targets: tuple[TargetData, ...] = ()
    signal: Signal | None = None
    probe: Probe | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    course: Course | None = None

    def __post_init__(self) -> None:
        if self.layers is not None:
            object.__setattr__(self, "parts", self.layers)

    @property
    def rows(self) -> int | None:
        """How many rows of training data there are."""
        return len(self.inputs[0].values) if self.inputs else None

    def layer(self, name: str | None) -> LayerRecord | None:
        """Returns the layer of a name, or None."""
        return next((layer for layer in self.parts if layer.name == name), None)

    def unmeasured(self) -> Patient:
        """Returns the patient without what running it showed, as after a change of the network."""
        return replace(self, signal=None, probe=None, course=None)

    def changing(self, names: Sequence[str], change: Callable[[LayerRecord], Any]) -> Patient:
        """Returns the patient with some layers replaced by what a function makes of them."""
        parts = tuple(change(part) if part.name in names else part for part in self.parts)
        return replace(self, layers=None if self.layers is None else parts, parts=parts)


def followers(layers: Sequence[LayerRecord]) -> dict[str, list[LayerRecord]]:
    """Returns for each place those that take its output.

    Example:
        >>> a = LayerRecord(name="a", kinds=("Dense",))
        >>> b = LayerRecord(name="b", kinds=("Dense",), sources=("a",))
        >>> [layer.name for layer in followers([a, b])["a"]]
        ['b']
    """
    found: dict[str, list[LayerRecord]] = {layer.name: [] for layer in layers}
    for layer in layers:
        for source in layer.sources:
            found.setdefault(source, []).append(layer)
    return found


def next_ones(
    layer: LayerRecord, after: Mapping[str, list[LayerRecord]], passing: frozenset[str]
) -> list[LayerRecord]:
    """Returns the nearest places behind a layer that are not of the kinds that only pass on."""
    found = []
    for other in after.get(layer.name, []):
        is_passing = other.is_a(*passing)
        found += next_ones(other, after, passing) if is_passing else [other]
    return found


def output_layer(patient: Patient, head: HeadRecord) -> LayerRecord | None:
    """Returns the place whose activation an output ends with, behind whatever only passes it on."""
    layer = patient.layer(head.layer)
    while layer is not None and layer.activation is None and layer.is_a(*PASSING, *NOISY):
        layer = patient.layer(layer.sources[0]) if layer.sources else None
    return layer
