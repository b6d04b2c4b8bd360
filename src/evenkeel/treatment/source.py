"""The code that a user would type to get a repaired model: one program, data to predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evenkeel.layers import InputLayer, Normalization
from evenkeel.layers.symbolic import tensors_in
from evenkeel.models import Functional, Sequential
from evenkeel.treatment.experiment import Arm, Length
from evenkeel.treatment.expressions import (
    expression,
    is_given_out,
    is_own,
    loss_of,
    metrics_of,
    value_of,
)
from evenkeel.treatment.subject import Subject

_HEAD = """import numpy as np

import evenkeel as ek

# x, y: your training rows, raw.
ek.set_random_seed({seed})"""

_ROWS = {
    "drop-rows-not-finite": """keep = np.isfinite(x.reshape(len(x), -1)).all(axis=1)
keep &= np.isfinite(y.reshape(len(y), -1)).all(axis=1)
x, y = x[keep], y[keep]""",
    "shuffle-rows": """order = np.random.default_rng(0).permutation(len(x))
x, y = x[order], y[order]""",
}


def source_of(arm: Arm, length: Length, seed: int) -> str:
    """Returns the program that makes, trains and finishes the model of an arm.

    Args:
        arm: The arm whose model it is.
        length: How long its runs were; the code trains on all rows.
        seed: The seed of its first run.
    """
    subject = arm.subject
    writer = _Writer(subject)
    blocks = [
        _HEAD.format(seed=seed),
        *writer.data(),
        *writer.network(),
        writer.compiling("model"),
        writer.fitting(length),
        *writer.finishing(),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


class _Writer:
    """Writes the parts of a program for a subject."""

    def __init__(self, subject: Subject):
        self.subject = subject
        self.model = subject.model
        self.data_names = [data.name for data in subject.patient.inputs]

    # -- data --------------------------------------------------------------------------------

    def data(self) -> list[str]:
        """Returns what is done to the rows before training."""
        blocks = self._rows()
        if self.subject.y_form == "dict":
            names = ", ".join(repr(head.name) for head in self.subject.patient.heads)
            blocks.append(f"y = [y[name] for name in ({names})]  # in the order of the outputs")
        for n, labels in enumerate(self.subject.classes):
            if labels is not None:
                name = self._target(n)
                blocks.append(
                    f"classes = np.unique({name})  # the model answers with numbers in here\n"
                    f"{name} = np.searchsorted(classes, {name})"
                )
        for n, scale in enumerate(self.subject.scales):
            if scale is not None:
                name = self._target(n)
                blocks.append(
                    f"{self._mean(n)} = {name}.mean(axis=0)\n{self._spread(n)} = {name}.std(axis=0)"
                )
        return blocks

    def _rows(self) -> list[str]:
        steps = self.subject.row_steps
        if steps and (self.subject.x_form, self.subject.y_form) != ("one", "one"):
            return [f"# Of each array of x and y the rows are first treated: {', '.join(steps)}."]
        return [_ROWS[step] for step in steps if step in _ROWS]

    @property
    def _is_one(self) -> bool:
        return len(self.subject.patient.heads) == 1

    def _target(self, n: int) -> str:
        return "y" if self._is_one else f"y[{n}]"

    def _mean(self, n: int) -> str:
        return "y_mean" if self._is_one else f"y_mean_{n}"

    def _spread(self, n: int) -> str:
        return "y_std" if self._is_one else f"y_std_{n}"

    def _input(self, number: int) -> str:
        if len(self.data_names) == 1 and self.subject.x_form != "dict":
            return "x"
        name = self.data_names[number]
        return f"x[{name!r}]" if self.subject.x_form == "dict" else f"x[{number}]"

    # -- the network -------------------------------------------------------------------------

    def network(self) -> list[str]:
        """Returns the layers that learn from data beforehand, and the network."""
        if not isinstance(self.model, Sequential | Functional):
            name = type(self.model).__name__
            return [f"model = {name}()  # your own class, with the arguments of your model"]
        blocks = [self._adapted(layer) for layer in self.model.layers if _is_adapted(layer)]
        is_stack = isinstance(self.model, Sequential)
        blocks.append(self._stack() if is_stack else self._graph())
        kept = [
            layer.name
            for layer in self.model.layers
            if layer.variables and not layer.trainable_weights and not _is_adapted(layer)
        ]
        if kept:
            lines = [f"# Not trained; copy the values from your model: {', '.join(kept)}."]
            blocks.append("\n".join(lines))
        return blocks

    def _adapted(self, layer: Any) -> str:
        """Returns the lines of a normalization that learned from the data, or from elsewhere."""
        places = [data.layer for data in self.subject.patient.inputs]
        taken = self._sources_of(layer)
        number = next((n for n, p in enumerate(places) if p in (layer.name, *taken)), None)
        made = f"{_variable(layer)} = {expression(layer)}"
        if number is None:
            return f"{made}\n# Adapt it to what reaches it: {_variable(layer)}.adapt(...)"
        return f"{made}\n{_variable(layer)}.adapt({self._input(number)})"

    def _sources_of(self, layer: Any) -> tuple[str, ...]:
        record = self.subject.patient.layer(layer.name)
        return () if record is None else record.sources

    def _layer(self, layer: Any, *, keeps_name: bool) -> str:
        if _is_adapted(layer):
            return _variable(layer)
        without = () if keeps_name or not is_given_out(layer) else ("name",)
        own = "  # your own class" if is_own(layer) else ""
        return expression(layer, without=without) + own

    def _stack(self) -> str:
        shape = tuple(self.model.build_shape[1:])
        lines = [f"ek.Input(shape={value_of(shape)})"]
        lines += [self._layer(layer, keeps_name=False) for layer in self.model.layers]
        body = "".join(f"    {_with_comma(line)}\n" for line in lines)
        return f"model = ek.Sequential([\n{body}])"

    def _graph(self) -> str:
        lines, names, taken, made = [], {}, {"x", "y", "model"}, {}
        for node in self.model._graph.nodes:
            layer = node.layer
            outputs = [_free(_variable(layer), taken) for _ in tensors_in(node.outputs)]
            taken |= set(outputs)
            names |= {id(t): v for t, v in zip(tensors_in(node.outputs), outputs, strict=True)}
            if isinstance(layer, InputLayer):
                shape = value_of(tuple(layer.declared_shape[1:]))  # pyright: ignore[reportOptionalSubscript]  # an input layer always declares it
                kind = "" if layer.dtype == "float32" else f", dtype={layer.dtype!r}"
                lines.append(f"{outputs[0]} = ek.Input(shape={shape}, name={layer.name!r}{kind})")
                continue
            uses = sum(other.layer is layer for other in self.model._graph.nodes)
            call = self._layer(layer, keeps_name=True)
            if uses > 1 and not _is_adapted(layer):
                if id(layer) not in made:
                    made[id(layer)] = _free(f"{_variable(layer)}_layer", taken)
                    taken.add(made[id(layer)])
                    lines.append(f"{made[id(layer)]} = {call}")
                call = made[id(layer)]
            given = _tree(node.inputs, names)
            settings = "".join(f", {k}={value_of(v)}" for k, v in node.settings.items())
            code, comment = call.split("  #") if "  #" in call else (call, None)
            after = "" if comment is None else f"  #{comment}"
            lines.append(f"{', '.join(outputs)} = {code}({given}{settings}){after}")
        inputs, outputs = _tree(self.model.input, names), _tree(self.model.output, names)
        return "\n".join([*lines, f"model = ek.Model(inputs={inputs}, outputs={outputs})"])

    # -- training ----------------------------------------------------------------------------

    def compiling(self, name: str, *, by_order: bool = False) -> str:
        """Returns the call of `compile`; by the outputs' order, where their names have changed."""
        said = self._by_order() if by_order else self.model.declared
        parts = [f"optimizer={self._optimizer()}", f"loss={loss_of(said.loss)}"]
        if said.loss_weights is not None:
            parts.append(f"loss_weights={value_of(said.loss_weights)}")
        parts += [
            f"{argument}={metrics_of(getattr(said, argument))}"
            for argument in ("metrics", "weighted_metrics")
            if getattr(said, argument)
        ]
        if said.precision != "float32":
            parts.append(f"precision={said.precision!r}")
        body = "".join(f"    {part},\n" for part in parts)
        return f"{name}.compile(\n{body})"

    def _by_order(self) -> Any:
        heads = self.model.heads()
        return replace(
            self.model.declared,
            loss=[head.loss for head in heads],
            loss_weights=[head.loss_weight for head in heads],
            metrics=[[m for m in head.metrics if m.name not in head.weighted] for head in heads],
            weighted_metrics=None,
        )

    def _optimizer(self) -> str:
        optimizer = self.model.optimizer
        try:
            written = expression(optimizer, without=("name",))
        except ValueError:  # an optax transformation, or a schedule that is a function
            return f"{type(optimizer).__name__}()".replace("()", "(...)  # as in your model")
        if "learning_rate=" in written or optimizer.schedule is not None:
            return written
        rate = f"learning_rate={float(optimizer.learning_rate):.6g}"
        return written.replace("(", f"({rate}, ", 1).replace(", )", ")")

    def fitting(self, length: Length) -> str:
        """Returns the call of `fit`."""
        run = self.subject.patient.run
        parts = ["x", self._scaled_targets()]
        parts += [f"batch_size={length.batch_size}", f"epochs={length.epochs}"]
        if not run.shuffle:
            parts.append("shuffle=False")
        weights = self.subject.class_weight(self.subject.targets()) if self._is_one else None
        if weights is not None:
            each = ", ".join(f"{label}: {value:.6g}" for label, value in weights.items())
            parts.append(f"class_weight={{{each}}}")
        if run.early_stopping:
            patience = max(2, length.epochs // 5)
            parts.append("validation_split=0.15")
            parts.append(
                f"callbacks=[ek.callbacks.EarlyStopping(patience={patience}, "
                "restore_best_weights=True)]"
            )
        body = "".join(f"    {part},\n" for part in parts)
        return f"model.fit(\n{body})"

    def _scaled_targets(self) -> str:
        scaled = [
            self._target(n)
            if scale is None
            else f"({self._target(n)} - {self._mean(n)}) / {self._spread(n)}"
            for n, scale in enumerate(self.subject.scales)
        ]
        return scaled[0] if len(scaled) == 1 else f"[{', '.join(scaled)}]"

    def finishing(self) -> list[str]:
        """Returns what brings predictions back to raw units."""
        scales = self.subject.scales
        if all(scale is None for scale in scales):
            return []
        if isinstance(self.model, Sequential):
            block = (
                "raw_units = ek.layers.Normalization(mean=y_mean, variance=y_std**2, invert=True)\n"
                "model = ek.Sequential([*model.layers, raw_units])"
            )
            return [block, self.compiling("model")]
        leaves = [
            f"model.outputs[{n}]"
            if scale is None
            else f"ek.layers.Normalization(mean={self._mean(n)}, variance={self._spread(n)}**2, "
            f"invert=True)(model.outputs[{n}])"
            for n, scale in enumerate(scales)
        ]
        tensors = tensors_in(self.model.output)
        outputs = _tree(self.model.output, dict(zip(map(id, tensors), leaves, strict=True)))
        return [
            f"model = ek.Model(inputs=model.input, outputs={outputs})",
            self.compiling("model", by_order=not isinstance(self.model.output, dict)),
        ]


def _is_adapted(layer: Any) -> bool:
    return isinstance(layer, Normalization) and bool(layer.variables)


def _variable(layer: Any) -> str:
    name = "".join(c if c.isalnum() else "_" for c in layer.name)
    return name if not name[0].isdigit() else f"layer_{name}"


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _with_comma(line: str) -> str:
    code, mark, comment = line.partition("  #")
    return f"{code},{mark}{comment}"


def _tree(tree: Any, names: dict[int, str]) -> str:
    """Returns symbolic tensors, in lists, tuples and dicts, as an expression of their names."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{k!r}: {_tree(v, names)}" for k, v in tree.items()) + "}"
    if isinstance(tree, list | tuple):
        return f"[{', '.join(_tree(part, names) for part in tree)}]"
    return names[id(tree)]
