"""What a person reads in a terminal about a network."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evenkeel.layers.symbolic import tensors_in


def summary_of(
    model: Any, print_fn: Callable[[str], Any] | None = None, line_length: int | None = None
) -> None:
    """Prints a model's layers, output shapes and parameter counts, in Keras's terms."""
    sink = StringIO() if print_fn is not None else None
    console = Console(file=sink, width=line_length, highlight=False)
    console.print(f'Model: "{model.name}"', markup=False)
    console.print(_layers_table(model))
    for line in _counts(model):
        console.print(line, markup=False)
    if print_fn is not None and sink is not None:
        print_fn(sink.getvalue())


def _layers_table(model: Any) -> Table:
    sources = _sources(model)
    table = Table(show_edge=True)
    table.add_column("Layer (type)", overflow="fold")
    table.add_column("Output shape", overflow="fold")
    table.add_column("Params", justify="right")
    if sources:
        table.add_column("Connected to", overflow="fold")
    table.add_column("Note")
    for layer in model.layers:
        shape = str(_output_shape(layer)) if layer.built else "?"
        name = escape(f"{layer.name} ({type(layer).__name__})")
        middle = [escape(sources.get(id(layer), ""))] if sources else []
        table.add_row(name, shape, f"{layer.count_params():,}", *middle, _note(layer))
    return table


def _output_shape(layer: Any) -> Any:
    if layer._nodes:
        shapes = [tensor.shape for tensor in tensors_in(layer._nodes[0].outputs)]
        return shapes[0] if len(shapes) == 1 else shapes
    return layer.compute_output_shape(layer.build_shape)


def _sources(model: Any) -> dict[int, str]:
    """Returns from which layers each layer of a functional model takes its inputs, by its id."""
    if not hasattr(model, "nodes_of"):
        return {}
    return {
        id(layer): "; ".join(
            ", ".join(tensor.name for tensor in tensors_in(node.inputs))
            for node in model.nodes_of(layer)
            if node.inputs is not None
        )
        for layer in model.layers
    }


def _note(layer: Any) -> str:
    notes = []
    if layer.count_params() and not layer.trainable:
        notes.append("frozen")
    if layer.is_shared:
        notes.append("shared")
    return ", ".join(notes)


def _counts(model: Any) -> list[str]:
    trainable = sum(variable.size for variable in model.trainable_weights)
    total = model.count_params()
    return [
        f"Total params: {total:,} ({_bytes(4 * total)})",
        f"Trainable params: {trainable:,} ({_bytes(4 * trainable)})",
        f"Non-trainable params: {total - trainable:,} ({_bytes(4 * (total - trainable))})",
    ]


def _bytes(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024 or unit == "GB":
            return f"{count:.2f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")
