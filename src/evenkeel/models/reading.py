"""What callers give as data, turned into checked batches and feeds for a model.

Everything that `fit`, `evaluate` and the like accept is sorted out here: arrays or an iterable of
batches, one input or several, one output or several, weights of rows and of classes. The checks of
the arrays themselves are in `engine.intake`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np

from evenkeel.doctor.ordering import unseen_if_ordered
from evenkeel.engine import intake
from evenkeel.engine.feed import ArrayFeed, Feed, StreamFeed
from evenkeel.engine.objective import Head
from evenkeel.engine.step import Batch
from evenkeel.errors import (
    EvenkeelWarning,
    InvalidArgumentError,
    InvalidDataError,
    explain,
    number_in,
    positive_integer,
)
from evenkeel.network import is_shape

# Rows at a time where nothing is learned from them: large enough to keep all cores busy.
INFERENCE_ROWS = 1024


class Reader:
    """Reads data for a model as it stands.

    Args:
        model: The model; it is built from the first data if it is not yet.
    """

    def __init__(self, model: Any):
        self._model = model

    # What does not change from batch to batch is asked of the model once.

    @cached_property
    def _heads(self) -> tuple[Head, ...]:
        return self._model.heads()

    @cached_property
    def _output_names(self) -> list[str]:
        return self._model.output_names

    @cached_property
    def _output_shapes(self) -> list[Any]:
        return jax.tree.leaves(self._model.output_shape, is_leaf=is_shape)

    # -- rows --------------------------------------------------------------------------------

    def inputs(self, x: Any, name: str = "x") -> Any:
        """Returns inputs as checked arrays in the form that the model takes, and builds it."""
        rows = intake.arranged(x, self._model.input_names, name)
        self._build_for(rows)
        return rows

    def _build_for(self, rows: Any) -> None:
        intake.check_inputs(self._model, rows)
        self._model.ensure_built(jax.tree.map(lambda a: (None, *a.shape[1:]), rows))
        self._model.check_values(rows)

    def batch(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        prefix: str = "",
        is_batch: bool = False,
    ) -> Batch:
        """Returns rows of data that fit the network and the losses, or refuses them."""
        rows = intake.arranged(x, self._model.input_names, f"{prefix}x")
        count = intake.row_count(rows)
        self._build_for(rows)
        targets = intake.arranged_targets(y, self._output_names, count, f"{prefix}y", f"{prefix}x")
        weight = self._weights(sample_weight, class_weight, targets, count, is_batch)
        return Batch(x=rows, y=self._fitting(targets, f"{prefix}y"), weight=weight)

    def _fitting(self, targets: Any, name: str) -> Any:
        """Returns the targets in the types that the losses compute with."""
        heads, shapes = self._heads, self._output_shapes
        if len(heads) == 1:
            return intake.check_targets(heads[0].loss, targets, shapes[0], name)
        fitting = []
        for head, target, shape in zip(heads, targets, shapes, strict=True):
            of_head = f"{name}[{head.name!r}]"
            if target is not None:
                target = intake.check_targets(head.loss, target, shape, of_head)
            elif head.needs_targets:
                raise InvalidDataError(
                    explain(
                        f"{name} has no targets for the output {head.name!r}, which has a loss or "
                        "metrics.",
                        f"Add them: {{..., {head.name!r}: array}}.",
                    )
                )
            fitting.append(target if head.needs_targets else None)
        return tuple(fitting)

    def _weights(
        self, sample_weight: Any, class_weight: Any, targets: Any, rows: int, is_batch: bool
    ) -> Any:
        if not isinstance(targets, tuple):
            return intake.weights(sample_weight, class_weight, targets, rows, is_batch=is_batch)
        if class_weight:
            raise InvalidArgumentError(
                explain(
                    "class_weight: means nothing for several outputs.",
                    "Give sample_weight={'output name': array}, computed from the classes.",
                )
            )
        if not isinstance(sample_weight, list | tuple | dict):
            return intake.weights(sample_weight, None, targets[0], rows, is_batch=is_batch)
        parts = intake.parts_by_name(sample_weight, self._output_names, "sample_weight", "outputs")
        return tuple(
            None if part is None else intake.weights(part, None, target, rows, is_batch=is_batch)
            for part, target in zip(parts, targets, strict=True)
        )

    # -- what to train on and what to judge by -----------------------------------------------

    def training(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Any, split: float, held_out: Any
    ) -> tuple[Batch | None, Batch | None]:
        """Checks arrays and cuts off the validation rows; (None, None) for an iterable."""
        split = number_in("fit(validation_split)", split, 0, 1, high_open=True)
        if y is None:
            require_iterable(x)
            if split or sample_weight is not None:
                raise InvalidArgumentError(
                    explain(
                        "fit: validation_split and sample_weight need arrays, and x is an "
                        "iterable of batches.",
                        "Give validation_data=..., and yield (x, y, sample_weight).",
                    )
                )
            return None, None
        data = self.batch(x, y, sample_weight)
        weighted = self._with_class_weight(data, class_weight)
        if not split or held_out is not None:
            return weighted, None
        cut = int(data.rows * (1 - split))
        if cut < 1:
            raise InvalidArgumentError(
                explain(
                    f"fit(validation_split): {split:g} of {data.rows} rows leaves none to "
                    "train on.",
                    "Give a smaller fraction, or more rows.",
                )
            )
        for target in data.y if isinstance(data.y, tuple) else (data.y,):
            _warn_if_ordered(target, cut)
        # Classes weigh in training alone; they are looked for in all rows, also those kept back.
        return (
            jax.tree.map(lambda a: a[:cut], weighted),
            jax.tree.map(lambda a: a[cut:], data),
        )

    def _with_class_weight(self, data: Batch, class_weight: Any) -> Batch:
        if not class_weight:
            return data
        weight = self._weights(None, class_weight, data.y, data.rows, False)
        return replace(data, weight=weight if data.weight is None else weight * data.weight)

    def stream(
        self,
        batches: Any,
        class_weight: Mapping[int, float] | None,
        steps: int | None,
        name: str = "x",
        limit_name: str = "fit(steps_per_epoch)",
    ) -> StreamFeed:
        """Returns a feed from an iterable of batches, each of which is checked when it comes."""

        def check(item: Any) -> Batch:
            if not isinstance(item, list | tuple) or len(item) not in (2, 3):
                raise InvalidDataError(
                    explain(
                        f"{name}, an iterable of batches, yielded {type(item).__name__}, expected "
                        "(x, y) or (x, y, sample_weight).",
                        "If x is not an iterable of batches, give the targets: fit(x, y).",
                    )
                )
            return self.batch(
                item[0], item[1], *item[2:3], class_weight=class_weight, is_batch=True
            )

        limit = None if steps is None else positive_integer(limit_name, steps)
        return StreamFeed(batches, check, limit, name)

    def validation(
        self, held_out: Batch | None, given: Any, batch_size: int | None, steps: int | None
    ) -> Feed | None:
        """Returns the feed of rows that were kept back, or of the validation data given."""
        if given is not None and not isinstance(given, list | tuple):
            limit_name = "fit(validation_steps)"
            return self.stream(given, None, steps, "validation_data", limit_name)
        refuse_for_arrays(validation_steps=steps)
        if given is not None:
            if len(given) not in (2, 3):
                raise InvalidArgumentError(
                    explain(
                        f"fit(validation_data): got {len(given)} parts, expected (x, y) or "
                        "(x, y, sample_weight).",
                        "Type validation_data=(x_valid, y_valid).",
                    )
                )
            held_out = self.batch(given[0], given[1], *given[2:3], prefix="validation_data ")
        return None if held_out is None else inference_feed(held_out, batch_size)


def inference_feed(data: Batch, batch_size: int | None) -> ArrayFeed:
    """Returns a feed of rows from which nothing is learned.

    Where nobody chose a batch size, it divides the rows if that can be done: a partial batch at
    the end would need a program of its own.
    """
    chosen = rows_at_a_time("batch_size", batch_size, INFERENCE_ROWS)
    if batch_size is None:
        sizes = range(INFERENCE_ROWS, INFERENCE_ROWS // 2, -1)
        chosen = next((size for size in sizes if data.rows % size == 0), chosen)
    return ArrayFeed(data, chosen)


def rows_at_a_time(where: str, asked: int | None, default: int) -> int:
    """Returns a batch size: the one asked for, or the default for None."""
    return default if asked is None else positive_integer(where, asked)


def _refuse_for(data: str, advice: str, **arguments: Any) -> None:
    """Refuses arguments that mean nothing for this kind of data."""
    for name, value in arguments.items():
        if value is not None:
            raise InvalidArgumentError(
                explain(f"{name}: got {value!r}, which means nothing for {data}.", advice)
            )


refuse_for_batches = partial(
    _refuse_for, "an iterable of batches", "Leave it out, and set it where the batches are made."
)
refuse_for_arrays = partial(
    _refuse_for, "arrays, of which every row is used", "Leave it out, or give x[:n] and y[:n]."
)


def is_stream(x: Any) -> bool:
    """Whether x is an iterable of batches, and no array, list, dict or table of rows."""
    is_data = isinstance(x, list | tuple | dict | str) or any(
        hasattr(x, name) for name in ("__array__", "shape", "columns")
    )
    return hasattr(x, "__iter__") and not is_data


def require_iterable(x: Any) -> None:
    """Raises unless x, which came without targets, can be an iterable of batches."""
    is_array = hasattr(x, "__array__") or hasattr(x, "shape")
    if is_array or isinstance(x, dict) or not hasattr(x, "__iter__"):
        raise InvalidDataError(
            explain(
                f"y is missing: x is {type(x).__name__} and holds inputs only.",
                "Type fit(x, y), or give an iterable of (x, y) batches.",
            )
        )


def _warn_if_ordered(y: Any, cut: int) -> None:
    """Warns when the rows, of which those from `cut` are kept back, are ordered by class."""
    if y is None:
        return
    labels = np.asarray(y)
    labels = labels.argmax(axis=-1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.ravel()
    unseen = unseen_if_ordered(labels, cut)
    if unseen is not None:
        lacking = f"; the training rows lack the classes {unseen[:10]}" if unseen else ""
        warnings.warn(
            explain(
                f"fit(validation_split): the rows are ordered by class{lacking}.",
                "The last rows are kept back for validation before shuffling, so that training "
                "and validation see different classes.",
                "Shuffle x and y together first, or use scikit-learn's train_test_split with "
                "stratify=y.",
            ),
            EvenkeelWarning,
            stacklevel=4,
        )
