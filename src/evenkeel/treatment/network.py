"""The way back from a patient to a network: layers made from their records, with fresh weights.

A record says what judgement reads of a layer. What it does not say (the other arguments, the form
of the inputs, settings of a call) comes from the model that the patient was described from; what a
remedy changed in the record is changed in the layer's configuration.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from evenkeel.description import Use, uses_of
from evenkeel.doctor.patient import LayerRecord, Patient
from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.layers import Activation, InputLayer, Normalization
from evenkeel.layers.base import Layer, registry
from evenkeel.layers.symbolic import SymbolicTensor, tensors_in
from evenkeel.models import Functional, Sequential

# What describing a layer adds to its configuration, and no constructor takes.
_READ_ONLY = ("negative_slope",)
_COMMON = ("name", "trainable", "dtype")


def fresh(model: Any, before: Patient, after: Patient) -> Any:
    """Returns a network as a patient describes it, built, with weights drawn anew.

    Layers that training leaves alone (frozen ones, adapted normalizations) keep their values.

    Args:
        model: The model that the patient was described from; it is left as it is.
        before: Its description.
        after: The patient after a remedy, or the same one.

    Raises:
        InvalidArgumentError: If the network cannot be made from what is known of it.

    Example:
        >>> import evenkeel as ek
        >>> from evenkeel.description import describe
        >>> model = ek.Sequential([ek.layers.Dense(2, input_shape=[3]), ek.layers.Dense(1)])
        >>> patient = describe(model, np.zeros((8, 3)), np.zeros(8))
        >>> smaller = patient.changing(["dense"], lambda layer: layer.with_config(use_bias=False))
        >>> fresh(model, patient, smaller).count_params(), model.count_params()
        (9, 11)
    """
    if after.layers is None or before.layers is None:
        return _cloned(model, before, after)
    making = _Making(before, after, {use.name: use for use in uses_of(model)})
    is_stack = isinstance(model, Sequential) and _is_chain(after.layers)
    network = making.stack(model) if is_stack else making.graph(model)
    for use, layer in making.kept():
        layer.set_weights(use.layer.get_weights())
    return network


def cannot(what: str, why: str, advice: str) -> InvalidArgumentError:
    """Returns the refusal of a repair: what cannot be made, why, and what to do instead."""
    return InvalidArgumentError(explain(f"{what} cannot be rebuilt.", why, advice))


def _is_chain(layers: Sequence[LayerRecord]) -> bool:
    names = [layer.name for layer in layers]
    expected = [(), *((name,) for name in names)]
    return [layer.sources for layer in layers] == expected[: len(layers)]


def _cloned(model: Any, before: Patient, after: Patient) -> Any:
    """Returns a clone of a model with a `call` of its own, whose layers nobody can change."""
    name = type(model).__name__
    if any(old is not new for old, new in zip(before.parts, after.parts, strict=False)):
        raise cannot(
            f"A changed {name}",
            "It has a call of its own, and its layers are made in its code.",
            "Change the layers there, as the remedy says.",
        )
    try:
        clone = type(model).from_config(model.get_config())
        clone.ensure_built(_shape_of(model, after))
        pairs = list(zip(model.tree(), clone.tree(), strict=True))
    except Exception as error:
        raise cannot(
            f"{name}",
            f"It has a call of its own, and from_config(get_config()) does not give it: {error}",
            f"Give {name} a get_config that returns its constructor's arguments.",
        ) from error
    for layer, copy in pairs:
        own = layer._own_variables
        if own and not any(v.trainable and layer.trainable for v in own):
            for variable, value in zip(copy._own_variables, own, strict=True):
                variable.assign(value.numpy())
    return clone


def _shape_of(model: Any, patient: Patient) -> Any:
    """Returns the shape that a model is built to: its own, or that of the data."""
    if model.built:
        return model.build_shape
    shapes = [(None, *data.values.shape[1:]) for data in patient.inputs]
    return shapes[0] if len(shapes) == 1 else shapes


@dataclass
class _Making:
    """A network under way: which layer stands for which place, and what comes out of each."""

    before: Patient
    after: Patient
    uses: dict[str, Use]
    made: dict[str, Layer] = field(default_factory=dict)
    shared: dict[int, Layer] = field(default_factory=dict)
    tensors: dict[str, list[SymbolicTensor]] = field(default_factory=dict)

    def stack(self, model: Any) -> Any:
        """Returns the places in a row, as a `Sequential`."""
        assert self.after.layers is not None
        layers = [self.layer(record) for record in self.after.layers]
        shape = _shape_of(model, self.after)
        first = [] if model._input is None else [_input(model._input, shape)]
        network = Sequential([*first, *layers], name=model.name)
        network.ensure_built(shape)
        return network

    def graph(self, model: Any) -> Any:
        """Returns the places as the records connect them, as a `Functional`."""
        assert self.after.layers is not None
        inputs: list[SymbolicTensor] = []
        for record in self.after.layers:
            use = self.uses.get(record.name)
            if use is not None and isinstance(use.layer, InputLayer) and not record.sources:
                self.tensors[record.name] = [_input(use.layer, use.layer.declared_shape)]
            elif not record.sources:
                inputs.append(self._start(model, record))
                self._apply(record, inputs[-1])
            else:
                self._apply(record, self._arriving(record))
        return Functional(self._inputs(model, inputs), self._outputs(model), name=model.name)

    def kept(self) -> list[tuple[Use, Layer]]:
        """Returns the layers whose values training leaves alone, with those that take them over."""
        found = {}
        for record in self.after.layers or ():
            use, layer = self.uses.get(record.name), self.made.get(record.name)
            if use is None or layer is None or type(layer) is not type(use.layer):
                continue
            has_own = use.layer.built and use.layer.variables
            if has_own and _is_constant(use.layer, record) and _shapes(layer) == _shapes(use.layer):
                found[id(layer)] = (use, layer)
        return list(found.values())

    # -- layers ------------------------------------------------------------------------------

    def layer(self, record: LayerRecord) -> Layer:
        """Returns the layer for a place; a layer that is used twice is made once."""
        use = self.uses.get(record.name)
        if use is not None and id(use.layer) in self.shared:
            self.made[record.name] = self.shared[id(use.layer)]
        else:
            self.made[record.name] = self._layer(use, record)
            if use is not None:
                self.shared[id(use.layer)] = self.made[record.name]
        return self.made[record.name]

    def _layer(self, use: Use | None, record: LayerRecord) -> Layer:
        old = next((r for r in self.before.parts if r.name == record.name), None)
        cls: type[Layer] = registry.lookup(record.kind) if record.kind in registry else Layer
        config, changed = {}, dict(record.config)
        if use is not None and old is not None and record.kinds == old.kinds:
            cls, config = type(use.layer), _config_of(use.layer)
            changed = {k: v for k, v in record.config.items() if not same(old.config.get(k), v)}
        if cls is Layer:
            raise cannot(
                f"The layer {record.name!r}",
                f"Its class {record.kind} is not known by that name.",
                f"Decorate it: @ek.saving.register above class {record.kind}.",
            )
        common = {"name": record.name, "trainable": record.is_trainable}
        if "activation" in changed and "activation" not in _arguments(cls):
            return Activation(changed["activation"], **common)
        return _constructed(cls, {**config, **common}, _taken(cls, changed))

    # -- connections -------------------------------------------------------------------------

    def _start(self, model: Any, record: LayerRecord) -> SymbolicTensor:
        if len(self.after.inputs) != 1:
            raise cannot(
                f"The network {model.name!r}",
                f"{record.name!r} takes an input, and which one is not known.",
                "Build it from ek.Input(...) for each input, as Model(inputs, outputs).",
            )
        declared = getattr(model, "_input", None)
        shape = _shape_of(model, self.after)
        return _input(declared or InputLayer(shape[1:]), shape)

    def _arriving(self, record: LayerRecord) -> Any:
        """Returns what goes into a place, in the form in which its layer takes it."""
        found = [self._output_of(name, record) for name in record.sources]
        use = self.uses.get(record.name)
        given = None if use is None or use.node is None else use.node.inputs
        if given is not None and len(tensors_in(given)) == len(found):
            return jax.tree.unflatten(jax.tree.structure(given), found)
        return found[0] if len(found) == 1 else found

    def _output_of(self, name: str, taker: LayerRecord) -> SymbolicTensor:
        tensors = self.tensors[name]
        if len(tensors) == 1:
            return tensors[0]
        use = self.uses.get(taker.name)
        given = [] if use is None or use.node is None else tensors_in(use.node.inputs)
        for tensor, source in zip(given, taker.sources, strict=False):
            if source == name and len(given) == len(taker.sources):
                return tensors[tensor.index]
        raise cannot(
            f"What follows {name!r}",
            f"That layer has {len(tensors)} outputs, and which one goes to {taker.name!r} is not "
            "known.",
            "Change the network in its code, as the remedy says.",
        )

    def _apply(self, record: LayerRecord, inputs: Any) -> None:
        use = self.uses.get(record.name)
        settings = {} if use is None or use.node is None else use.node.settings
        self.tensors[record.name] = tensors_in(self.layer(record)(inputs, **settings))

    def _inputs(self, model: Any, found: list[SymbolicTensor]) -> Any:
        if not isinstance(model, Functional):
            return found[0]
        names = {id(use.node): name for name, use in self.uses.items()}
        return jax.tree.map(lambda tensor: self.tensors[names[id(tensor.node)]][0], model.input)

    def _outputs(self, model: Any) -> Any:
        places = [head.layer for head in self.after.heads]
        is_graph = isinstance(model, Functional)
        indices = [tensor.index for tensor in model.outputs] if is_graph else [0]
        found = []
        for place, index in zip(places, indices, strict=True):
            tensors = self.tensors.get(place or "", [])
            if not tensors:
                raise cannot(
                    f"The network {model.name!r}",
                    "Which layers its outputs leave is not known.",
                    "Build it from layers as Model(inputs, outputs).",
                )
            found.append(tensors[min(index, len(tensors) - 1)])
        return jax.tree.unflatten(jax.tree.structure(model.output), found) if is_graph else found[0]


def _input(declared: Any, shape: Any) -> SymbolicTensor:
    layer = InputLayer(shape[1:], name=declared.name, dtype=declared.dtype)
    return layer._nodes[0].outputs


def _config_of(layer: Any) -> dict[str, Any]:
    try:
        return dict(layer.get_config())
    except Exception as error:
        raise cannot(
            f"The layer {layer.name!r} ({type(layer).__name__})",
            f"Its get_config fails: {error}",
            "Give it a get_config that returns its constructor's arguments.",
        ) from error


def _constructed(cls: type[Layer], config: dict[str, Any], changed: dict[str, Any]) -> Layer:
    # Statistics that a remedy learned become the layer's variables, as after `adapt`.
    learned = {k: changed.pop(k) for k in ("mean", "variance") if k in changed}
    try:
        layer = cls.from_config({**config, **changed})
    except (TypeError, ValueError) as error:
        raise cannot(
            f"The layer {config['name']!r} ({cls.__name__})",
            f"from_config(get_config()) does not give it: {error}",
            "Give it a get_config that returns its constructor's arguments.",
        ) from error
    if learned and isinstance(layer, Normalization):
        layer.ensure_built((None, *np.shape(learned["mean"])))
        for name, values in learned.items():
            getattr(layer, name).assign(np.asarray(values, np.float32))
    return layer


def _arguments(cls: type) -> set[str]:
    """Returns the names of the constructor's arguments, those of the classes above included."""
    found: set[str] = set()
    for part in cls.__mro__:
        if "__init__" in vars(part):
            found |= set(inspect.signature(part.__init__).parameters)
    return found - {"self", "args", "kwargs", "unknown"}


def _taken(cls: type, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the changes under the names that a class has for them, without what it lacks."""
    arguments = _arguments(cls)
    if "units" in changed and "units" not in arguments and "filters" in arguments:
        changed = {
            **{k: v for k, v in changed.items() if k != "units"},
            "filters": changed["units"],
        }
    return {
        name: value
        for name, value in changed.items()
        if name in arguments and name not in (*_READ_ONLY, *_COMMON)
    }


def same(one: Any, other: Any) -> bool:
    """Whether two entries of configurations, arrays among them, are the same."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return one is other or one == other


def _is_constant(layer: Any, record: LayerRecord) -> bool:
    """Whether training leaves all of a layer alone; moving averages follow the data."""
    if not record.is_trainable:
        return True
    is_averaging = record.is_a("BatchNormalization")
    return not is_averaging and not any(v.trainable for v in layer.variables)


def _shapes(layer: Any) -> list[Any]:
    return [variable.shape for variable in layer.variables]
