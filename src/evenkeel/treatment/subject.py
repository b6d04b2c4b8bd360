"""A subject of the experiment: a compiled network with its prepared data, and how it answers.

`prescribe` makes the next subject from one and a treated patient. What a remedy did to the data is
read off the two patients: rows that were chosen, targets that were scaled or numbered anew. The
subject remembers how to get back to raw units, so that every subject can be judged by raw answers,
and the model that a user gets back gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from evenkeel.description import describe
from evenkeel.doctor.patient import HeadRecord, Patient, RunRecord
from evenkeel.doctor.scoring import Form
from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.layers import Normalization
from evenkeel.models import Functional, Sequential, clone_model
from evenkeel.treatment.network import fresh
from evenkeel.treatment.training import class_weights, compile_like, rate_before_breaks


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A network as it is to be trained, with its data.

    Attributes:
        model: The compiled model; whoever trains it owns it.
        patient: It and its data as plain records.
        origin: The model and the patients that it was made from, before and after the remedy.
        given_weights: The weights of classes that the user gave; None if there are none.
        scales: For each output the factor and the offset that lead back to raw units; None where
            it answers in them.
        classes: For each output the raw labels of its class numbers; None where they are those.
        x_form: "one", "list" or "dict": how the user gave the inputs.
        y_form: The same of the targets.
        row_steps: The remedies that chose or ordered rows.
        measures_rate: Whether a range test is to find the learning rate.
    """

    model: Any
    patient: Patient
    origin: tuple[Any, Patient, Patient]
    given_weights: Mapping[int, float] | None = None
    scales: tuple[tuple[Any, Any] | None, ...]
    classes: tuple[np.ndarray | None, ...]
    x_form: str
    y_form: str
    row_steps: tuple[str, ...] = ()
    measures_rate: bool = False

    @classmethod
    def of(
        cls,
        model: Any,
        x: Any,
        y: Any,
        validation_data: Any,
        run: RunRecord,
        class_weight: Mapping[int, float] | None = None,
    ) -> Subject:
        """Returns a model as its first subject: a copy that is trained in its place.

        Raises:
            InvalidArgumentError: If the model cannot be made again from its configuration.
        """
        patient = describe(model, x, y, validation_data, run)
        for part in ("heads", "optimizer"):
            if part in patient.missing:
                raise InvalidArgumentError(explain(f"repair: {patient.missing[part]}"))
        count = len(patient.heads)
        copy = fresh(model, patient, patient)
        compile_like(copy, model, patient, patient)
        copy.optimizer.rate_factor = rate_before_breaks(model)
        made = cls(
            model=copy,
            patient=patient,
            origin=(model, patient, patient),
            given_weights=class_weight,
            scales=(None,) * count,
            classes=(None,) * count,
            x_form=form_of(x, len(patient.inputs)),
            y_form=form_of(y, count),
        )
        # What is going to be trained is the copy, whose weights nobody has trained.
        return replace(made, patient=_described(made, patient))

    def drawn(self) -> list[np.ndarray]:
        """Returns fresh starting weights, drawn from the seed source as it stands."""
        return fresh(*self.origin).get_weights()

    @property
    def forms(self) -> tuple[Form, ...]:
        """In which form it answers at each output that has a task."""
        return tuple(
            Form(head=head, classes=labels)
            if scale is None
            else Form(head=head, classes=labels, scale=scale[0], offset=scale[1])
            for head, labels, scale in zip(
                self.patient.heads, self.classes, self.scales, strict=True
            )
            if head.loss is not None
        )

    # -- data as `fit` takes it ---------------------------------------------------------------

    def inputs(self, rows: np.ndarray | None = None) -> Any:
        """Returns the training inputs, all rows or some, in the form that the model takes."""
        return self._formed([_rows(data.values, rows) for data in self.patient.inputs])

    def targets(self, rows: np.ndarray | None = None) -> Any:
        """Returns the training targets, all rows or some, in the form that the model takes."""
        values = [None if t.values is None else _rows(t.values, rows) for t in self.patient.targets]
        return values[0] if len(values) == 1 else values

    @cached_property
    def held_out(self) -> Any:
        """The inputs of the held-out rows, in the form that the model takes."""
        return self._formed([data.validation for data in self.patient.inputs])

    def held_out_targets(self) -> Any:
        """Returns the targets of the held-out rows, in the form that the model takes."""
        values = [target.validation for target in self.patient.targets]
        return values[0] if len(values) == 1 else values

    def _formed(self, values: list[Any]) -> Any:
        names = self.model.input_names
        if isinstance(names, dict) or self.x_form == "dict":
            return dict(zip([data.name for data in self.patient.inputs], values, strict=True))
        return values[0] if len(values) == 1 else values

    def class_weight(self, targets: Any) -> dict[int, float] | None:
        """Returns what `fit` is given as the weights of classes, for these training targets."""
        if self.given_weights is not None:
            return dict(self.given_weights)
        if not self.patient.run.class_weight:
            return None
        values = np.asarray(targets)
        is_one_hot = values.ndim > 1 and values.shape[-1] > 1
        labels = values.argmax(axis=-1) if is_one_hot else values.ravel()
        found, counts = np.unique(labels.astype(int), return_counts=True)
        return class_weights(dict(zip(found.tolist(), counts.tolist(), strict=True)))

    def answers(self) -> list[np.ndarray]:
        """Returns what the model says to the held-out rows, for each output that has a task."""
        outputs = jax.tree.leaves(self.model.predict(self.held_out))
        heads = self.patient.heads
        return [o for o, head in zip(outputs, heads, strict=True) if head.loss is not None]

    # -- the model that a user gets back ------------------------------------------------------

    @property
    def is_scaled(self) -> bool:
        """Whether the model answers in other units than the raw ones."""
        return any(scale is not None for scale in self.scales)

    def in_raw_units(self) -> Any:
        """Returns the trained model with layers behind it that undo the scaling of targets."""
        if not self.is_scaled:
            return self.model
        trained = self.model
        if not isinstance(trained, Sequential | Functional):
            raise InvalidArgumentError(
                explain(
                    f"{type(trained).__name__} has a call of its own, so no layer can be put "
                    "behind it.",
                    "Scale the targets yourself: y = (y - y.mean(axis=0)) / y.std(axis=0).",
                )
            )
        copy = clone_model(trained, weights=True)
        is_stack = isinstance(copy, Sequential)
        raw = self._stack_in_raw_units(copy) if is_stack else self._graph_in_raw_units(copy)
        compile_like(raw, trained, self.patient, self.patient)
        return raw

    def _stack_in_raw_units(self, model: Any) -> Any:
        taken = {layer.name for layer in model.layers}
        names = ("raw_units", *(f"raw_units_{n}" for n in range(len(taken))))
        (scale,) = self.scales
        assert scale is not None
        undoing = _undoing(scale, next(n for n in names if n not in taken))
        raw = Sequential([*model.layers, undoing], name=model.name)
        raw.ensure_built(model.build_shape)
        return raw

    def _graph_in_raw_units(self, model: Any) -> Any:
        """Returns a graph with undoing layers, which take over the names of the outputs."""
        found = []
        for tensor, scale, name in zip(model.outputs, self.scales, model.output_names, strict=True):
            if scale is None:
                found.append(tensor)
                continue
            if tensor.node.layer.name == name:
                tensor.node.layer.name = f"{name}_scaled"
            found.append(_undoing(scale, name)(tensor))
        outputs = jax.tree.unflatten(jax.tree.structure(model.output), found)
        return Functional(model.input, outputs, name=model.name)


def form_of(given: Any, count: int) -> str:
    """Returns in which form a user gave arrays: "one", "list" or "dict"."""
    return "dict" if isinstance(given, Mapping) else "one" if count == 1 else "list"


def _rows(values: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    return values if rows is None else values[rows]


def _undoing(scale: tuple[Any, Any], name: str) -> Normalization:
    factor, offset = (np.asarray(part, np.float64) for part in scale)
    if factor.size == 1:
        factor, offset = factor.reshape(()), offset.reshape(())
    return Normalization(
        mean=offset.tolist(), variance=np.square(factor).tolist(), invert=True, name=name
    )


# -- from one subject to the next ----------------------------------------------------------------


def prescribe(subject: Subject, after: Patient, remedy: str = "") -> Subject:
    """Returns the subject that a treated patient describes: fresh, compiled, with prepared data.

    Args:
        subject: The subject that was treated.
        after: Its patient after a remedy.
        remedy: The remedy's name, which is noted where it chose rows.

    Raises:
        InvalidArgumentError: If what the remedy did cannot be carried out on a model that takes
            raw inputs and gives raw answers.

    Example:
        >>> import evenkeel as ek
        >>> from evenkeel.doctor import diagnose, remedy_named
        >>> random = np.random.default_rng(0)
        >>> x, y = random.normal(size=(300, 4)), random.normal(size=300) * 1e5
        >>> model = ek.Sequential([ek.layers.Dense(1)])
        >>> model.compile("adam", loss="mse")
        >>> sick = Subject.of(model, x, y, (x, y), RunRecord())
        >>> (finding,) = diagnose(sick.patient).findings
        >>> treated = remedy_named("scale-targets").apply(sick.patient, finding)
        >>> bool(prescribe(sick, treated).targets().std().round(6))
        True
    """
    before = subject.patient
    scales, classes = _data_steps(subject, after)
    source = subject.model
    model = fresh(source, before, after)
    compile_like(model, source, before, after)
    old, new = before.optimizer, after.optimizer
    is_open = new is not None and new.rate is None and new.schedule is None and old is not new
    made = replace(
        subject,
        model=model,
        origin=(source, before, after),
        scales=scales,
        classes=classes,
        row_steps=(*subject.row_steps, remedy)
        if _has_new_rows(before, after)
        else subject.row_steps,
        measures_rate=subject.measures_rate or is_open,
    )
    if made.is_scaled and not isinstance(model, Sequential | Functional):
        made.in_raw_units()  # refuses
    return replace(made, patient=_described(made, after))


def _described(subject: Subject, after: Patient) -> Patient:
    """Returns the patient as its new model describes itself, for the next remedy to read."""
    inputs = subject._formed([data.values for data in after.inputs])
    held = subject._formed([data.validation for data in after.inputs])
    values, validation = (
        part[0] if len(part) == 1 else part
        for part in (
            [t.values for t in after.targets],
            [t.validation for t in after.targets],
        )
    )
    described = describe(subject.model, inputs, values, (held, validation), after.run)
    columns = [data.columns for data in after.inputs]
    return replace(
        described,
        inputs=tuple(replace(d, columns=c) for d, c in zip(described.inputs, columns, strict=True)),
    )


def _data_steps(subject: Subject, after: Patient) -> tuple[Any, Any]:
    """Returns the scales and classes after a remedy, or refuses what it did to the data."""
    before = subject.patient
    for old, new in zip(before.inputs, after.inputs, strict=True):
        if old.values.shape[1:] != new.values.shape[1:]:
            raise InvalidArgumentError(
                explain(
                    f"{old.name!r} would have the shape {new.values.shape[1:]}, and the repaired "
                    f"model must take rows of {old.values.shape[1:]}, as they are.",
                    "Prepare the data yourself, as the remedy says, and build the network for it.",
                )
            )
        if not _alike(old.validation, new.validation):
            raise InvalidArgumentError(
                explain(
                    "It changes the held-out rows, and without them before and after cannot be "
                    "compared.",
                    "Prepare the data yourself, as the remedy says, and repair again.",
                )
            )
    has_new_rows = _has_new_rows(before, after)
    scales, classes = list(subject.scales), list(subject.classes)
    for n, (old, new) in enumerate(zip(before.targets, after.targets, strict=True)):
        if old.values is new.values or old.values is None or new.values is None or has_new_rows:
            continue
        if before.heads[n].is_regression:
            factor, offset = _affine(old.values, new.values)
            scale, start = subject.scales[n] or (1.0, 0.0)
            scales[n] = (factor * scale, offset * scale + start)
        else:
            classes[n] = _numbered(before.heads[n], old.values, new.values)
    return tuple(scales), tuple(classes)


def _has_new_rows(before: Patient, after: Patient) -> bool:
    pairs = zip(before.inputs, after.inputs, strict=True)
    return any(old.values is not new.values for old, new in pairs)


def _alike(old: np.ndarray | None, new: np.ndarray | None) -> bool:
    return old is new or (old is not None and new is not None and np.array_equal(old, new))


def _affine(old: np.ndarray, new: np.ndarray) -> tuple[Any, Any]:
    """Returns factor and offset, column by column, with old = offset + factor · new."""
    raw, scaled = old.astype(np.float64), new.astype(np.float64)
    high, low = scaled.max(axis=0), scaled.min(axis=0)
    spread = np.where(high > low, high - low, 1.0)
    factor = np.where(high > low, (raw.max(axis=0) - raw.min(axis=0)) / spread, 1.0)
    offset = raw.mean(axis=0) - factor * scaled.mean(axis=0)
    if not np.allclose(offset + factor * scaled, raw, rtol=1e-6, atol=1e-6 * (np.ptp(raw) or 1)):
        raise InvalidArgumentError(
            explain(
                "What it does to the targets is no scaling, so predictions could not be brought "
                "back to raw units.",
                "Prepare the targets yourself, as the remedy says.",
            )
        )
    return factor, offset


def _numbered(head: HeadRecord, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    classes = np.unique(old)
    if not np.array_equal(np.searchsorted(classes, old), new):
        raise InvalidArgumentError(
            explain(
                f"What it does to the targets of {head.name!r} is neither a scaling nor a new "
                "numbering of classes.",
                "Prepare the targets yourself, as the remedy says.",
            )
        )
    return classes
