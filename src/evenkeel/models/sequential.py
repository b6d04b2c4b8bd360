"""`Sequential`: a plain stack of layers, each feeding the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.layers.base import Layer, get, registry, require_built
from evenkeel.layers.input import Input, InputLayer
from evenkeel.layers.symbolic import SymbolicTensor, tensors_in
from evenkeel.models.model import Model
from evenkeel.registry import serialize
from evenkeel.stack import through


@registry.register()
class Sequential(Model):
    """A stack of layers.

    Layers may come from another model: they are then shared, weights and all, and training one
    model changes the other. Without an input shape the stack is built from the first data.

    Args:
        layers: The layers in order; more can be added with `add`. An `Input` may come first.
        name: The model's name.
        **kwargs: `trainable`.

    Raises:
        InvalidArgumentError: If something is no layer, or two layers have one name.

    Example:
        >>> import evenkeel as ek
        >>> model = ek.Sequential([
        ...     ek.Input(shape=[8]),
        ...     ek.layers.Dense(30, activation="selu", kernel_initializer="lecun_normal"),
        ...     ek.layers.Dense(1),
        ... ])
        >>> model.count_params()
        301
    """

    def __init__(self, layers: Iterable[Any] | None = None, name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self._stack: list[Layer] = []
        self._input: InputLayer | None = None
        self._laid_out: tuple[Any, Any] | None = None
        for layer in layers or []:
            self._append(layer)
        self._build_if_known()

    def add(self, layer: Any) -> None:
        """Puts one more layer on top."""
        count = len(self._stack)
        self._append(layer)
        try:
            self._build_if_known()
        except Exception:
            if len(self._stack) > count:
                self.pop()
            raise

    def pop(self) -> Layer:
        """Takes the top layer off and returns it."""
        if not self._stack:
            raise InvalidArgumentError(
                explain(f"{self.name!r} has no layers to pop.", "Add one with model.add(layer).")
            )
        layer = self._stack.pop()
        self._laid_out = None
        layer._models.discard(self)
        return layer

    def children(self) -> list[tuple[str, Layer]]:
        """Returns the layers with their names."""
        return [(layer.name, layer) for layer in self._stack]

    def build(self, input_shape: Any) -> None:
        """Builds every layer for what the one below it puts out."""
        shape = tuple(input_shape)
        for layer in self._stack:
            layer.ensure_built(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True
        self.build_shape = tuple(input_shape)

    def call(self, inputs: Any) -> Any:
        """Passes the inputs through all layers."""
        return through(self._stack, inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the top layer's output shape."""
        shape = tuple(input_shape)
        for layer in self._stack:
            shape = layer.compute_output_shape(shape)
        return shape

    def check_values(self, inputs: Any) -> None:
        """Has the first layer look at the inputs' values."""
        if self._stack:
            self._stack[0].check_values(inputs)

    def last_layers(self) -> list[Layer]:
        """Returns the top layer, or that of a model on top."""
        if not self._stack:
            return []
        top = self._stack[-1]
        return top.last_layers() if isinstance(top, Model) else [top]

    # -- as symbolic tensors -----------------------------------------------------------------

    @property
    def input_names(self) -> Any:
        """The name of the input."""
        return "input" if self._input is None else self._input.name

    @property
    def output_names(self) -> list[str]:
        """The name of the output: that of the top layer."""
        return [self._stack[-1].name] if self._stack else [self.name]

    def lay_out(self) -> None:
        """Applies the layers to a symbolic input, so that each has an `input` and an `output`."""
        require_built(self, "The symbolic output")
        if self._laid_out is None:
            assert self.build_shape is not None
            tensor = Input(self.build_shape[1:]) if self._input is None else self._input.output
            self._laid_out = (tensor, self.call(tensor))

    @property
    def input(self) -> Any:
        """The symbolic input of the stack."""
        self.lay_out()
        assert self._laid_out is not None
        return self._laid_out[0]

    @property
    def output(self) -> Any:
        """The symbolic output of the stack, to build further networks on."""
        self.lay_out()
        assert self._laid_out is not None
        return self._laid_out[1]

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic input, in a list."""
        return tensors_in(self.input)

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic output, in a list."""
        return tensors_in(self.output)

    def _append(self, layer: Any) -> None:
        if isinstance(layer, SymbolicTensor) and isinstance(layer.node.layer, InputLayer):
            layer = layer.node.layer
        if not isinstance(layer, Layer):
            raise InvalidArgumentError(
                explain(
                    f"{type(self).__name__}: item {len(self._stack)} is {layer!r}, expected a "
                    "layer.",
                    f"Type ek.layers.{layer.__name__}(...), with its arguments."
                    if isinstance(layer, type) and issubclass(layer, Layer)
                    else "Give layer instances, such as ek.layers.Dense(10).",
                )
            )
        if isinstance(layer, InputLayer):
            if self._stack or self._input is not None:
                raise InvalidArgumentError(
                    explain(
                        f"{type(self).__name__}: an Input stands at position {len(self._stack)}, "
                        "expected it first.",
                        "Move the Input to the front of the list.",
                    )
                )
            self._input = layer
            return
        if any(layer is known for known in self._stack):
            raise InvalidArgumentError(
                explain(
                    f"{type(self).__name__}: the layer {layer.name!r} is in the stack twice.",
                    "Make a second layer; in a plain stack one layer has one place.",
                )
            )
        layer.adopt_name(self, {known.name for known in self._stack})
        self._stack.append(layer)
        self._laid_out = None

    def _build_if_known(self) -> None:
        shape = self._known_input_shape()
        if shape is not None and self._stack:
            self.build(shape)

    def _known_input_shape(self) -> Any:
        if self.built:
            return self.build_shape
        if self._input is not None:
            return self._input.declared_shape
        if not self._stack:
            return None
        first = self._stack[0]
        return first.declared_shape or first.build_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the layers' configurations and the input shape."""
        shape = self._known_input_shape()
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [serialize(layer) for layer in self._stack],
            "input_shape": None if shape is None else list(shape[1:]),
        }

    @classmethod
    def rebuilt(cls, config: dict[str, Any]) -> Any:
        """Rebuilds the stack, with fresh weights, from `get_config()`."""
        layers: list[Any] = [get(layer) for layer in config["layers"]]
        shape: Sequence[int] | None = config.get("input_shape")
        if shape is not None:
            layers.insert(0, InputLayer(shape))
        return cls(layers, name=config.get("name"), trainable=config.get("trainable", True))
