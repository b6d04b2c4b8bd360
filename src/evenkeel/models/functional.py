"""`Functional`: a network of any shape, laid out between symbolic inputs and outputs.

Skip connections, several inputs, several outputs and shared layers are all one thing here: a graph
of nodes, each a layer applied to tensors. `Model(inputs, outputs)` makes one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import jax

from evenkeel.errors import EvenkeelWarning, InvalidArgumentError, explain
from evenkeel.layers.base import Layer, get, registry
from evenkeel.layers.input import InputLayer
from evenkeel.layers.symbolic import Node, SymbolicTensor, tensors_in
from evenkeel.models.model import Model
from evenkeel.registry import serialize


class Graph:
    """The nodes between some symbolic inputs and outputs, in an order in which they can run.

    Args:
        inputs: What `ek.Input` returned: one, a list, or a dict by name.
        outputs: What layers called on them returned: one, a list, or a dict by name.
        where: What the user calls the whole, for messages.

    Raises:
        InvalidArgumentError: If something is no symbolic tensor, or an output needs an input that
            is not among the inputs.
    """

    def __init__(self, inputs: Any, outputs: Any, where: str):
        self.inputs = _checked_tensors(where, "inputs", inputs)
        self.outputs = _checked_tensors(where, "outputs", outputs)
        for tensor in tensors_in(self.inputs):
            if not isinstance(tensor.node.layer, InputLayer):
                raise InvalidArgumentError(
                    explain(
                        f"{where}: among the inputs is the output of the layer {tensor.name!r}.",
                        "Make an ek.Input(shape=...) and call the layers on it that should follow.",
                    )
                )
        found = self._reached()
        self._refuse_missing_inputs(where, found)
        self.nodes = _in_order(found)
        self.layers = _layers_in_order(self.nodes)

    def _reached(self) -> list[Node]:
        """Returns all nodes that the outputs come from, as a walk from the outputs meets them."""
        found: dict[int, Node] = {}
        waiting = [tensor.node for tensor in reversed(tensors_in(self.outputs))]
        while waiting:
            node = waiting.pop()
            if id(node) not in found:
                found[id(node)] = node
                waiting.extend(reversed(node.parents()))
        declared = [tensor.node for tensor in tensors_in(self.inputs)]
        return [*found.values(), *(node for node in declared if id(node) not in found)]

    def _refuse_missing_inputs(self, where: str, found: Iterable[Node]) -> None:
        known = {id(tensor.node) for tensor in tensors_in(self.inputs)}
        used = {id(parent) for node in found for parent in node.parents()}
        for node in found:
            if node.inputs is None and id(node) not in known:
                raise InvalidArgumentError(
                    explain(
                        f"{where}: the outputs need the input {node.layer.name!r}, which is not "
                        "among the inputs.",
                        "Name it too: inputs=[...] takes several.",
                    )
                )
        outputs = {id(tensor.node) for tensor in tensors_in(self.outputs)}
        for tensor in tensors_in(self.inputs):
            if id(tensor.node) not in used | outputs:
                warnings.warn(
                    explain(
                        f"{where}: no output depends on the input {tensor.name!r}.",
                        "Leave it out of the inputs, or connect it.",
                    ),
                    EvenkeelWarning,
                    stacklevel=5,
                )

    def run(self, inputs: Any) -> Any:
        """Returns the outputs for arrays in the form of the inputs."""
        values = {
            id(tensor): value
            for tensor, value in zip(tensors_in(self.inputs), jax.tree.leaves(inputs), strict=True)
        }
        for node in self.nodes:
            if node.inputs is None:
                continue
            given = jax.tree.map(lambda tensor: values[id(tensor)], node.inputs)
            output = jax.tree.leaves(node.layer(given, **node.settings))
            for tensor, value in zip(tensors_in(node.outputs), output, strict=True):
                values[id(tensor)] = value
        return jax.tree.map(lambda tensor: values[id(tensor)], self.outputs)

    # -- configuration -----------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Returns layers, connections, inputs and outputs as plain data."""
        places = self._places()

        def place(tensor: SymbolicTensor) -> dict[str, Any]:
            return {"tensor": [*places[id(tensor.node)], tensor.index]}

        return {
            "layers": [serialize(layer) for layer in self.layers],
            "nodes": [
                {
                    "layer": node.layer.name,
                    "inputs": jax.tree.map(place, node.inputs),
                    "settings": node.settings,
                }
                for node in self.nodes
                if node.inputs is not None
            ],
            "inputs": jax.tree.map(place, self.inputs),
            "outputs": jax.tree.map(place, self.outputs),
        }

    def _places(self) -> dict[int, tuple[str, int]]:
        """Returns for each node its layer's name and which use of the layer it is."""
        uses: dict[str, int] = {}
        places: dict[int, tuple[str, int]] = {}
        for node in self.nodes:
            name = node.layer.name
            places[id(node)] = (name, uses.get(name, 0))
            uses[name] = uses.get(name, 0) + 1
        return places


def tensors_from_config(config: dict[str, Any]) -> tuple[Any, Any]:
    """Rebuilds a graph's layers and connections; returns its symbolic inputs and outputs."""
    layers: dict[str, Layer] = {}
    for written in config["layers"]:
        layer = get(written)
        layers[layer.name] = layer
    made = {
        name: [layer._nodes[0]] if isinstance(layer, InputLayer) else []
        for name, layer in layers.items()
    }

    def tensor_at(place: Any) -> SymbolicTensor:
        name, use, index = place["tensor"]
        return tensors_in(made[name][use].outputs)[index]

    def rebuilt(tree: Any) -> Any:
        return jax.tree.map(tensor_at, tree, is_leaf=_is_place)

    for written in config["nodes"]:
        layer = layers[written["layer"]]
        layer(rebuilt(written["inputs"]), **written["settings"])
        made[written["layer"]].append(layer._nodes[-1])
    return rebuilt(config["inputs"]), rebuilt(config["outputs"])


@registry.register()
class Functional(Model):
    """A network laid out between symbolic inputs and outputs.

    `Model(inputs, outputs)` makes one. Layers that are used more than once share their weights, and
    layers that belong to another model are shared with it.

    Args:
        inputs: What `ek.Input` returned: one, a list of them, or a dict by name.
        outputs: What layers called on them returned: one, a list, or a dict by name.
        name: The model's name.
        **kwargs: `trainable`.

    Raises:
        InvalidArgumentError: If outputs and inputs are not connected.

    Example:
        >>> import evenkeel as ek
        >>> wide, deep = ek.Input(shape=(4,), name="wide"), ek.Input(shape=(8,), name="deep")
        >>> hidden = ek.layers.Dense(30, activation="relu")(deep)
        >>> joined = ek.layers.Concatenate()([wide, hidden])
        >>> model = ek.Model(inputs=[wide, deep], outputs=ek.layers.Dense(1)(joined))
        >>> model.count_params()
        305

    References:
        Cheng et al., "Wide & Deep Learning for Recommender Systems", 2016, has this shape.
        https://arxiv.org/abs/1606.07792
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self._graph = Graph(inputs, outputs, f"{type(self).__name__}(inputs, outputs)")
        taken: set[str] = set()
        for layer in self._graph.layers:
            layer.adopt_name(self, taken)
            taken.add(layer.name)
        self.build_shape = jax.tree.map(lambda tensor: tensor.shape, self._graph.inputs)
        self.built = True

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic inputs, in order."""
        return tensors_in(self._graph.inputs)

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic outputs, in order."""
        return tensors_in(self._graph.outputs)

    @property
    def input(self) -> Any:
        """The symbolic inputs, in the form in which they were given."""
        return self._graph.inputs

    @property
    def output(self) -> Any:
        """The symbolic outputs, in the form in which they were given."""
        return self._graph.outputs

    @property
    def input_names(self) -> Any:
        """The names of the inputs, in the form in which the inputs were given."""
        if isinstance(self._graph.inputs, dict):
            return {name: name for name in self._graph.inputs}
        return jax.tree.map(lambda tensor: tensor.name, self._graph.inputs)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs: the keys of a dict, or else those of the layers they leave."""
        if isinstance(self._graph.outputs, dict):
            return sorted(self._graph.outputs)
        names: list[str] = []
        for tensor in self.outputs:
            uses = sum(name == tensor.name or name.startswith(f"{tensor.name}_") for name in names)
            names.append(f"{tensor.name}_{uses}" if tensor.name in names else tensor.name)
        return names

    def lay_out(self) -> None:
        """Does nothing: a functional model is laid out from the start."""

    def children(self) -> list[tuple[str, Layer]]:
        """Returns the layers with their names, in an order in which they can run."""
        return [(layer.name, layer) for layer in self._graph.layers]

    def nodes_of(self, layer: Layer) -> list[Node]:
        """Returns the uses of a layer in this model."""
        return [node for node in self._graph.nodes if node.layer is layer]

    def build(self, input_shape: Any) -> None:
        """Does nothing: every layer was built when it was called on symbolic tensors."""

    def call(self, inputs: Any) -> Any:
        """Passes the inputs through the graph."""
        return self._graph.run(inputs)

    def check_values(self, inputs: Any) -> None:
        """Has the layers that the inputs go into look at their values."""
        tensors = tensors_in(self._graph.inputs)
        values = dict(zip(map(id, tensors), jax.tree.leaves(inputs), strict=True))
        for node in self._graph.nodes:
            if isinstance(node.inputs, SymbolicTensor) and id(node.inputs) in values:
                node.layer.check_values(values[id(node.inputs)])

    def last_layers(self) -> list[Layer]:
        """Returns the layer that each output leaves."""
        return [tensor.node.layer for tensor in self.outputs]

    def get_config(self) -> dict[str, Any]:
        """Returns the layers' configurations and how they are connected."""
        return {"name": self.name, "trainable": self.trainable, **self._graph.get_config()}

    @classmethod
    def rebuilt(cls, config: dict[str, Any]) -> Any:
        """Rebuilds the network, with fresh weights, from `get_config()`."""
        inputs, outputs = tensors_from_config(config)
        return cls(inputs, outputs, name=config["name"], trainable=config["trainable"])


def _is_place(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"tensor"}


def _checked_tensors(where: str, word: str, given: Any) -> Any:
    """Returns symbolic tensors, alone, in a list or in a dict, or refuses what is given."""
    given = list(given) if isinstance(given, tuple) else given
    parts = given.values() if isinstance(given, dict) else given
    parts = list(parts) if isinstance(given, list | dict) else [given]
    wrong = [part for part in parts if not isinstance(part, SymbolicTensor)]
    if wrong or not parts:
        found = f"{type(wrong[0]).__name__} {wrong[0]!r}" if wrong else "none"
        raise InvalidArgumentError(
            explain(
                f"{where}: got {found} as {word}, expected symbolic tensors.",
                "Begin with x = ek.Input(shape=(8,)), call layers on it, and give what the last "
                "one returns, alone, in a list, or in a dict by name.",
            )
        )
    if word == "inputs" and len({id(part) for part in parts}) < len(parts):
        raise InvalidArgumentError(
            explain(f"{where}: one input is given twice.", "Name each input once.")
        )
    return given


def _in_order(found: list[Node]) -> list[Node]:
    """Sorts nodes so that each comes after those it needs: the deepest below the outputs first.

    The depth of a node is the longest way from it to an output, taken over all uses of its layer,
    so that the order of layers, and with it of weights, is the one that Keras has.
    """
    children: dict[int, list[Node]] = {id(node): [] for node in found}
    for node in found:
        for parent in node.parents():
            children[id(parent)].append(node)
    met: dict[int, int] = {}
    for node in found:
        met.setdefault(id(node.layer), len(met))
    depth: dict[int, int] = {}
    layer_depth: dict[int, int] = {}
    # A node is noted after the nodes it needs, so that backwards each follows those that need it.
    for node in sorted(found, key=lambda node: -node.serial):
        own = max((depth[id(child)] + 1 for child in children[id(node)]), default=0)
        depth[id(node)] = max(own, layer_depth.get(id(node.layer), 0))
        layer_depth[id(node.layer)] = depth[id(node)]
    return sorted(found, key=lambda n: (-depth[id(n)], met[id(n.layer)], n.serial))


def _layers_in_order(nodes: list[Node]) -> list[Layer]:
    """Returns each layer once, where its deepest use stands."""
    return list({id(node.layer): node.layer for node in nodes}.values())
