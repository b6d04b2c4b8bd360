"""A model and its data described as a patient: plain records, which the doctor can read.

Nothing is trained and nothing changes: a model that is not built yet is built for a moment, to the
shapes of the data, and afterwards is as it was.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.doctor.patient import (
    HeadRecord,
    InputData,
    Kernel,
    LayerRecord,
    OptimizerRecord,
    Patient,
    RunRecord,
    ScheduleRecord,
    TargetData,
)
from evenkeel.engine import intake
from evenkeel.errors import EvenkeelError, InvalidArgumentError, InvalidDataError, explain
from evenkeel.layers.base import Layer
from evenkeel.layers.symbolic import tensors_in
from evenkeel.models import Functional, Model, Sequential
from evenkeel.models.advice import activation_of
from evenkeel.models.reading import is_stream
from evenkeel.network import is_shape
from evenkeel.randomness import undisturbed

# Optimizers that move each weight by about the rate, whatever the size of its gradient.
_ADAPTIVE = ("Adam", "AdamW", "Adamax", "Nadam", "RMSprop")
# Schedules that are made to come down by their end.
_WITH_END = ("OneCycle", "CosineDecay", "PolynomialDecay")
_POINTS = 201


def describe(
    model: Any, x: Any, y: Any, validation_data: Any = None, run: RunRecord | None = None
) -> Patient:
    """Describes a model and its data.

    Args:
        model: Any model; it need not be built or compiled.
        x: The inputs, as `fit` takes them: arrays, row by row.
        y: The targets; None where there are none.
        validation_data: (x, y) of rows kept for validation; None where there are none.
        run: How the model will be trained, as far as that is known.

    Raises:
        InvalidDataError: If x or y is no array of numbers, or does not fit the network's inputs.

    Example:
        >>> import evenkeel as ek
        >>> model = ek.Sequential([ek.layers.Dense(1)])
        >>> patient = describe(model, np.zeros((8, 3)), np.zeros(8))
        >>> patient.layers[0].kernel.shape, model.built
        ((3, 1), False)
    """
    for name, given in (("x", x), ("validation_data", validation_data)):
        if is_stream(given):
            raise InvalidDataError(
                explain(
                    f"checkup({name}): got an iterable of batches, expected arrays.",
                    "Give some thousand rows as arrays: checkup(model, x[:5000], y[:5000]).",
                )
            )
    with _built_for(model, x) as (inputs, reason):
        return _described(model, inputs, y, validation_data, run or RunRecord(), reason)


@contextlib.contextmanager
def _built_for(model: Any, x: Any) -> Iterator[tuple[list[InputData], str]]:
    """Yields the inputs, the model being built to their shapes for as long."""
    with model.left_as_it_was(always=True), undisturbed():
        inputs = _inputs(model, x)
        shapes: Any = [(None, *data.values.shape[1:]) for data in inputs]
        if isinstance(x, dict):
            shapes = {data.name: shape for data, shape in zip(inputs, shapes, strict=True)}
        elif len(inputs) == 1:
            (shapes,) = shapes
        if model.built:
            intake.check_inputs(model, [data.values for data in inputs])
            yield inputs, ""
            return
        reason = ""
        try:
            model.ensure_built(shapes)
        except (EvenkeelError, TypeError, ValueError) as error:
            reason = f"The network cannot be built for this data: {error}"
        yield inputs, reason


def _described(
    model: Any, inputs: list[InputData], y: Any, held_out: Any, run: RunRecord, reason: str
) -> Patient:
    missing: dict[str, str] = {}
    places = _Places.of(model)
    if places is None:
        layers, parts = None, tuple(_record(part, part.trainable) for part in _leaves(model))
        missing["layers"] = (
            f"{type(model).__name__} has a call of its own, so the way through its layers is not "
            "known."
        )
    else:
        layers, parts = tuple(places.records), ()
        entries = [*places.entries, *[None] * len(inputs)]
        inputs = [replace(d, layer=e) for d, e in zip(inputs, entries, strict=False)]
    heads: tuple[HeadRecord, ...] = ()
    if getattr(model, "declared", None) is None:
        missing["heads"] = missing["optimizer"] = (
            "The model is not compiled: type model.compile(optimizer=..., loss=...)."
        )
    elif not model.built:
        missing["heads"] = reason or "The model is not built."
    else:
        heads = _heads(model, [] if places is None else places.outputs)
    validation = _held_out(model, held_out, inputs)
    inputs = [replace(d, validation=v) for d, v in zip(inputs, validation[0], strict=True)]
    rows = len(inputs[0].values)
    if model.optimizer is not None:
        run = replace(run, steps_taken=int(model.optimizer.iterations))
    return Patient(
        layers=layers,
        parts=parts,
        heads=heads,
        optimizer=None if model.optimizer is None else _optimizer(model.optimizer, run, rows),
        run=run,
        inputs=tuple(inputs),
        targets=_targets(heads, y, validation[1], rows),
        missing=missing,
    )


# -- the network ---------------------------------------------------------------------------------


def _leaves(model: Any) -> list[Layer]:
    return [layer for layer in model.tree() if layer is not model and not isinstance(layer, Model)]


def places_of(model: Any) -> list[tuple[str, Layer]]:
    """Returns the places of a built network by the names of its description, and the layers there.

    They are in the order in which the network runs; a shared layer is there as often as it is used.
    Of a network whose way through its layers is not known these are its layers, each once.

    Args:
        model: A built model.

    Example:
        >>> import evenkeel as ek
        >>> model = ek.Sequential([ek.layers.Dense(1, name="only", input_shape=(3,))])
        >>> [name for name, _ in places_of(model)]
        ['only']
    """
    places = _Places.of(model)
    if places is None:
        return [(layer.name, layer) for layer in _leaves(model)]
    return [(use.name, use.layer) for use in places.uses]


@dataclass(frozen=True)
class Use:
    """The layer that stands at a place, for whoever goes back from a patient to a model.

    Args:
        name: The place's name, as its record has it.
        layer: The layer.
        node: The node of the graph, with the form of the inputs; None in a stack.

    Example:
        >>> import evenkeel as ek
        >>> model = ek.Sequential([ek.layers.Dense(3), ek.layers.Dense(1)])
        >>> [use.name for use in uses_of(model)]
        ['dense', 'dense_1']
    """

    name: str
    layer: Any
    node: Any = None


def uses_of(model: Any) -> list[Use]:
    """Returns the layers at the places of a network; none where the way through is not known."""
    places = _Places.of(model)
    return [] if places is None else places.uses


@dataclass
class _Places:
    """The places of a network, the layers there, and where inputs go in and outputs come out."""

    records: list[LayerRecord]
    entries: list[str]
    outputs: list[str]
    uses: list[Use] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        model: Any,
        sources: Sequence[str] = (),
        taken: set[str] | None = None,
        is_trainable: bool = True,
    ) -> _Places | None:
        """Returns the places of a stack or a graph; None where the way through is not known."""
        taken = set() if taken is None else taken
        here = is_trainable and model.trainable
        if isinstance(model, Functional):
            return cls._of_graph(model, sources, taken, here)
        if not isinstance(model, Sequential):
            return None
        found = cls([], [], list(sources))
        for layer in model.layers:
            if not found._add(layer, found.outputs, taken, here):
                return None
        return found

    @classmethod
    def _of_graph(
        cls, model: Any, sources: Sequence[str], taken: set[str], is_trainable: bool
    ) -> _Places | None:
        found = cls([], [], [])
        given = dict(zip(map(id, model.inputs), sources, strict=False))
        names: dict[int, str] = {}
        for node in model._graph.nodes:
            tensors = tensors_in(node.outputs)
            if node.inputs is None and id(tensors[0]) in given:
                names[id(tensors[0])] = given[id(tensors[0])]
                continue
            before = [names[id(tensor)] for tensor in tensors_in(node.inputs)]
            if not found._add(node.layer, before, taken, is_trainable, node):
                return None
            for number, tensor in enumerate(tensors):
                names[id(tensor)] = found.outputs[min(number, len(found.outputs) - 1)]
        if not sources:
            found.entries = [names[id(tensor)] for tensor in model.inputs]
        found.outputs = [names[id(tensor)] for tensor in model.outputs]
        return found

    def _add(
        self,
        layer: Any,
        sources: Sequence[str],
        taken: set[str],
        is_trainable: bool,
        node: Any = None,
    ) -> bool:
        """Adds a layer, or the places of a model inside; False where the way is not known."""
        if isinstance(layer, Model):
            inner = _Places.of(layer, sources, taken, is_trainable)
            if inner is None:
                return False
            self.records += inner.records
            self.uses += inner.uses
            self.entries = self.entries or inner.entries
            self.outputs = inner.outputs
            return True
        name, number = layer.name, 2
        while name in taken:
            name, number = f"{layer.name}:{number}", number + 1
        taken.add(name)
        record = _record(layer, is_trainable and layer.trainable)
        self.records.append(replace(record, name=name, sources=tuple(sources)))
        self.uses.append(Use(name, layer, node))
        if not sources and not self.entries:
            self.entries = [name]
        self.outputs = [name]
        return True


def _record(layer: Any, is_trainable: bool) -> LayerRecord:
    kinds = [
        cls.__name__
        for cls in type(layer).__mro__
        if issubclass(cls, Layer) and cls is not Layer and not cls.__name__.startswith("_")
    ]
    kernel = _kernel(layer)
    activation = activation_of(layer)
    if activation is None and getattr(layer, "activation", None) is not None:
        activation = "?"
    return LayerRecord(
        name=layer.name,
        kinds=tuple(kinds) or (type(layer).__name__,),
        config=_config(layer),
        activation=activation,
        is_trainable=is_trainable,
        kernel=kernel,
        features=None if kernel is None else kernel.shape[-1],
    )


def _config(layer: Any) -> dict[str, Any]:
    try:
        config = dict(layer.get_config())
    except Exception:  # a layer of the user's own need not be describable to be looked at
        config = {}
    inner = getattr(layer, "activation", None)
    slope = getattr(inner, "negative_slope", None)
    if slope is not None:
        config["negative_slope"] = slope
    for name in ("mean", "variance"):
        value = getattr(layer, name, None)
        if type(layer).__name__ == "Normalization" and value is not None:
            config[name] = np.asarray(getattr(value, "value", value))
    return config


def _kernel(layer: Any) -> Kernel | None:
    variable = getattr(layer, "kernel", None)
    if variable is None or not hasattr(variable, "_value"):
        return None
    values = np.asarray(variable._value)
    if values.ndim < 2 or not values.size:
        return None
    return Kernel(
        shape=values.shape,
        rms=float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))),
        is_alike=bool((values == values[..., :1]).all()),
        is_zero=not values.any(),
    )


def _heads(model: Any, outputs: Sequence[str]) -> tuple[HeadRecord, ...]:
    shapes = jax.tree.leaves(model.output_shape, is_leaf=is_shape)
    names = model.output_names
    places = [*outputs, *[None] * len(names)]
    found = []
    for head, name, shape, place in zip(model.heads(), names, shapes, places, strict=False):
        loss = head.loss
        found.append(
            HeadRecord(
                name="y" if len(names) == 1 else name,
                layer=place,
                units=shape[-1] if len(shape) > 1 else None,
                kind=None if loss is None else loss.target_kind,
                loss=None if loss is None else loss.name,
                from_logits=bool(getattr(loss, "from_logits", False)),
                metrics=tuple(metric.name for metric in head.metrics),
            )
        )
    return tuple(found)


# -- the training --------------------------------------------------------------------------------


def _optimizer(optimizer: Any, run: RunRecord, rows: int) -> OptimizerRecord:
    kinds = [cls.__name__ for cls in type(optimizer).__mro__]
    is_known = hasattr(optimizer, "_settings") and "OptaxOptimizer" not in kinds
    settings = {name: getattr(optimizer, name) for name in optimizer._settings} if is_known else {}
    for name in ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm"):
        settings[name] = getattr(optimizer, name)
    schedule = None
    if optimizer.schedule is not None:
        schedule = _schedule(optimizer, run, rows)
    rate = float(optimizer.learning_rate) if optimizer.schedule is None else None
    return OptimizerRecord(
        kind=kinds[0],
        rate=(rate if schedule is None else schedule.peak) if is_known else None,
        settings=settings,
        schedule=schedule,
        is_adaptive=not set(kinds).isdisjoint(_ADAPTIVE),
    )


def _schedule(optimizer: Any, run: RunRecord, rows: int) -> ScheduleRecord | None:
    """Samples the curve of a schedule over the run, or over its own length."""
    declared, updates = optimizer.schedule, optimizer.gradient_accumulation_steps or 1
    total = run.steps(rows)
    of_epoch = math.ceil(int(rows * (1 - run.validation_split)) / run.batch_size)
    curve = declared
    if hasattr(declared, "resolve"):
        curve = declared.resolve(
            steps_per_epoch=max(of_epoch / updates, 1),
            total_steps=max((total or 100 * of_epoch) // updates, 1),
        )
    length = getattr(curve, "length", None)
    span = max((total or 0) // updates, length or 0, 100)
    points = np.unique(np.linspace(0, span, _POINTS).astype(int))
    try:
        rates = np.array([float(curve(jnp.asarray(point, jnp.int32))) for point in points])
    except Exception:  # a function of the user's own that takes no number of steps
        return None
    kinds = {type(piece).__name__ for piece in _pieces(declared)}
    return ScheduleRecord(
        kind=getattr(declared, "__name__", type(declared).__name__),
        steps=points * updates,
        rates=rates,
        length=None if length is None else length * updates,
        begins_low=bool(rates[0] < 0.5 * rates.max()),
        has_end=not kinds.isdisjoint(_WITH_END),
        is_of_the_run=bool(getattr(declared, "is_of_the_run", False)),
    )


def _pieces(schedule: Any) -> list[Any]:
    inner = schedule._inner() if hasattr(schedule, "_inner") else ()
    return [schedule, *(piece for part in inner for piece in _pieces(part))]


# -- the data ------------------------------------------------------------------------------------


def _inputs(model: Any, x: Any, name: str = "x") -> list[InputData]:
    names = model.input_names
    if names is None or isinstance(names, str):
        is_named = isinstance(x, dict) and set(x) == {names}
        if names is not None or not isinstance(x, dict | list | tuple):
            return [_input(x[names] if is_named else x, name)]
        parts = x if isinstance(x, dict) else {str(n): part for n, part in enumerate(x)}
    else:
        order = list(names)
        given = [x] if len(order) == 1 and not isinstance(x, dict | list | tuple) else x
        parts = dict(zip(order, intake.parts_by_name(given, order, name, "inputs"), strict=True))
    found = [_input(part, key) for key, part in parts.items()]
    for data in found:
        intake.same_rows(len(found[0].values), len(data.values), found[0].name, data.name)
    return found


def _input(x: Any, name: str) -> InputData:
    columns = intake.columns_of(x)
    values = intake.numbers(x, name)
    if values.ndim == 0 or not values.size:
        raise InvalidDataError(
            explain(
                f"checkup({name}): has the shape {values.shape}, expected rows of data.",
                "Give an array of shape (rows, features).",
            )
        )
    return InputData(name=name, values=values, columns=None if columns is None else tuple(columns))


def _held_out(
    model: Any, given: Any, inputs: Sequence[InputData]
) -> tuple[list[np.ndarray | None], Any]:
    """Returns the validation rows of each input, and the validation targets as given."""
    if given is None:
        return [None] * len(inputs), None
    if not isinstance(given, list | tuple) or len(given) not in (2, 3):
        raise InvalidArgumentError(
            explain(
                f"checkup(validation_data): got {type(given).__name__}, expected (x, y).",
                "Type validation_data=(x_valid, y_valid).",
            )
        )
    found: list[np.ndarray | None] = []
    for data, held in zip(inputs, _inputs(model, given[0], "validation_data x"), strict=True):
        values = held.values
        found.append(values)
        if values.ndim != data.values.ndim or values.shape[-1] != data.values.shape[-1]:
            raise InvalidDataError(
                explain(
                    f"checkup(validation_data): {data.name} has the shape {values.shape}, and the "
                    f"training rows {data.values.shape}.",
                    "Prepare both alike.",
                )
            )
    return found, given[1]


def _targets(
    heads: Sequence[HeadRecord], y: Any, held_out: Any, rows: int
) -> tuple[TargetData, ...]:
    if y is None:
        return (TargetData(),) * max(len(heads), 1)
    if not heads and isinstance(y, Mapping | list | tuple):
        return (TargetData(),)  # which output each part belongs to is not known
    names = [head.name for head in heads] or ["y"]
    values, validation = _parts(y, names, "y"), _parts(held_out, names, "validation_data y")
    for value in values:
        if value is not None:
            intake.same_rows(rows, len(value), "x", "y")
    return tuple(
        TargetData(values=value, validation=held)
        for value, held in zip(values, validation, strict=True)
    )


def _parts(y: Any, names: Sequence[str], name: str) -> list[np.ndarray | None]:
    if y is None:
        return [None] * len(names)
    if len(names) == 1:
        only = next(iter(y.values())) if isinstance(y, Mapping) and len(y) == 1 else y
        return [intake.numbers(only, name)]
    return [
        None if part is None else intake.numbers(part, f"{name}[{key!r}]")
        for key, part in zip(names, intake.parts_by_name(y, names, name, "outputs"), strict=True)
    ]
