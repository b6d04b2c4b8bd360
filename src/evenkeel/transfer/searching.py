"""Trying how many layers to keep, against training from scratch, under one budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from evenkeel import optimizers
from evenkeel.callbacks import EarlyStopping
from evenkeel.callbacks.monitored import MonitoredNumber
from evenkeel.datasets.splitting import split_rows
from evenkeel.errors import (
    InvalidArgumentError,
    InvalidDataError,
    explain,
    integer_at_least,
    nearest,
    number_in,
    positive_integer,
    require,
)
from evenkeel.layers.base import Layer
from evenkeel.models import Model
from evenkeel.randomness import next_seed, seeded
from evenkeel.report.progress import display_for, say
from evenkeel.transfer.blocks import blocks_of
from evenkeel.transfer.comparison import Candidate, Search
from evenkeel.transfer.fine_tuning import fine_tune
from evenkeel.transfer.reusing import fresh, reuse

_WAYS = ("drop", "replace")

Rows = tuple[Any, Any]


def search(
    source: Model,
    x: Any,
    y: Any,
    *,
    head: Layer | Iterable[Layer],
    loss: Any,
    optimizer: Any = "adam",
    metrics: Any = None,
    validation_data: Any = None,
    validation_split: float = 0.25,
    keep: Sequence[int] | None = None,
    ways: Sequence[str] = _WAYS,
    seeds: int = 5,
    epochs: int = 30,
    patience: int = 5,
    batch_size: int | None = None,
    unfreeze: int | None = 1,
    rate_factors: float | Sequence[float] = (1.0, 0.1),
    monitor: str = "val_loss",
    mode: str = "auto",
    verbose: Any = "auto",
) -> Search:
    """Finds how many layers of a network to keep for another task, if any.

    The candidates keep 1, 2, ... of the source's hidden layers; the others are dropped, or fresh
    ones stand in for them. Each is trained by `fine_tune`. Beside them stands the source's own
    architecture, trained from scratch. All have the same rows, the same seeds, at most the same
    number of epochs, and are judged by the best value of `monitor`. The source is left as it is.

    Few rows for validation make any score a matter of luck. So every seed draws validation rows of
    its own, the classes in proportion, and the table says by how much a candidate is better *at
    least*. `is_worth_it` asks for more than that the mean is better.

    Args:
        source: A built network, `Sequential` or `Functional`.
        x: The inputs, arrays.
        y: The targets.
        head: The new layers on top; every candidate gets fresh ones of the same settings.
        loss: The loss, as `compile` takes it.
        optimizer: The optimizer, as `compile` takes it; every candidate gets one of its own.
        metrics: Metrics, as `compile` takes them.
        validation_data: (x, y) for validation, the same for all seeds; the spread then shows the
            luck of seeds alone, and not that of rows.
        validation_split: Without it, the fraction of the rows that each seed draws for validation,
            in (0, 1).
        keep: Which numbers of hidden layers to try, each at least 1; all when None.
        ways: `"drop"` for dropping the hidden layers that are not kept, `"replace"` for fresh ones
            in their place; or both.
        seeds: How many times each candidate is trained; at least 2 for an answer.
        epochs: The budget: the most epochs of each training. Of `fine_tune`'s stages each has at
            most half of it.
        patience: How many epochs without a gain end a stage, and training from scratch.
        batch_size: Rows a step; 32 when None.
        unfreeze: As in `fine_tune`.
        rate_factors: As in `fine_tune`.
        monitor: The log that decides.
        mode: `"min"`, `"max"`, or `"auto"`, to tell by the name.
        verbose: 0 is silent, 1 and 2 print a line for each training, "auto" does in a terminal.

    Returns:
        A table (`print(search)`), `.recommendation`, `.is_worth_it`, `.recommended`, and `.model`,
        trained.

    Raises:
        InvalidArgumentError: If an argument is impossible.
        InvalidDataError: If the data does not fit, or has one class only.

    Example:
        >>> import evenkeel as ek
        >>> (x, y), _ = ek.datasets.digits.load_data()
        >>> source = ek.Sequential([ek.layers.Dense(16, "relu", input_shape=[64]),
        ...                         ek.layers.Dense(10, "softmax")])
        >>> found = ek.transfer.search(
        ...     source, x[:80] / 16, y[:80] > 4, head=[ek.layers.Dense(1, "sigmoid")],
        ...     loss="binary_crossentropy", seeds=2, epochs=2)
        >>> [candidate.name for candidate in found.candidates]
        ['from scratch', 'keep 1 of 1']
    """
    number = MonitoredNumber("search", monitor, mode)
    layers = [head] if isinstance(head, Layer) else list(head)
    trials = _Trials(
        source=source,
        head=layers,
        number=number,
        compiling={"loss": loss, "metrics": metrics},
        optimizer=optimizer,
        epochs=positive_integer("search(epochs)", epochs),
        tuning={
            "monitor": monitor,
            "mode": mode,
            "patience": integer_at_least(1, "search(patience)", patience),
            "batch_size": batch_size,
            "unfreeze": unfreeze,
            "rate_factors": rate_factors,
        },
        verbose=bool(display_for(verbose)),
    )
    _refuse_one_class(y)
    ways_tried = _checked_ways(source, keep, ways)
    count = positive_integer("search(seeds)", seeds)
    where = "search(validation_split)"
    fraction = number_in(where, validation_split, 0, 1, low_open=True, high_open=True)
    for train, held_out in _draws(x, y, validation_data, fraction, count):
        trials.run(ways_tried, train, held_out)
    return trials.result(ways_tried, 0.0 if validation_data else fraction / (1 - fraction))


@dataclass(frozen=True)
class _Way:
    """What a candidate keeps, of how many, and whether fresh layers replace the others."""

    kept: int
    hidden: int
    replaced: bool

    @property
    def name(self) -> str:
        if self.kept == 0:
            return "from scratch"
        if self.kept == self.hidden:
            return f"keep {self.kept} of {self.hidden}"
        act = "replace" if self.replaced else "drop"
        return f"keep {self.kept} of {self.hidden}, {act} {self.hidden - self.kept}"


def _checked_ways(source: Model, keep: Any, ways: Any) -> list[_Way]:
    """Returns the ways to try, training from scratch first."""
    hidden = len(blocks_of(source)) - 1
    require(
        hidden >= 1,
        f"search: {source.name!r} has one layer with weights, so that there is none to keep.",
        "Give a network with hidden layers.",
    )
    ways = [ways] if isinstance(ways, str) else list(ways)
    require(bool(ways), "search(ways): got none.", "Type ways=('drop', 'replace').")
    for way in ways:
        if way not in _WAYS:
            raise InvalidArgumentError(
                explain(f"search(ways): got {way!r}.", nearest(str(way), _WAYS))
            )
    counts = range(1, hidden + 1) if keep is None else sorted(set(keep))
    for count in counts:
        integer_at_least(1, "search(keep)", count)
        require(
            count <= hidden,
            f"search(keep): got {count}, but {source.name!r} has {hidden} hidden layers with "
            "weights.",
            f"Type keep=range(1, {hidden + 1}).",
        )
    tried = [_Way(0, hidden, True)]
    for count in counts:
        if "drop" in ways or count == hidden:
            tried.append(_Way(count, hidden, False))
        if "replace" in ways and count < hidden:
            tried.append(_Way(count, hidden, True))
    require(len(tried) > 1, "search(keep): got none.", f"Type keep=range(1, {hidden + 1}).")
    return tried


def _draws(
    x: Any, y: Any, validation_data: Any, fraction: float, seeds: int
) -> Iterator[tuple[Rows, Rows]]:
    """Yields training and validation rows for each seed."""
    if validation_data is not None:
        yield from [((x, y), tuple(validation_data))] * seeds
        return
    labels = np.asarray(y)
    is_classes = labels.ndim == 1 and labels.dtype.kind in "iub"
    for _ in range(seeds):
        seed, rows = next_seed(), np.arange(len(labels))
        rest, _, drawn, _ = split_rows(rows, labels, fraction, seed, by_class=is_classes)
        parts = [jax.tree.map(lambda a, r=r: np.asarray(a)[r], x) for r in (rest, drawn)]
        yield (parts[0], labels[rest]), (parts[1], labels[drawn])


def _refuse_one_class(y: Any) -> None:
    labels = np.asarray(y)
    if labels.ndim == 1 and labels.dtype.kind in "iub" and len(np.unique(labels)) < 2:
        raise InvalidDataError(
            explain(
                f"search: y has one class only, {labels[0]!r}, so that there is nothing to tell "
                "apart."
                if len(labels)
                else "search: y is empty.",
                "Give rows of at least two classes.",
            )
        )


@dataclass(kw_only=True)
class _Trials:
    """Trains every candidate, and keeps its scores and the model of its best seed."""

    source: Model
    head: list[Layer]
    number: MonitoredNumber
    compiling: dict[str, Any]
    optimizer: Any
    epochs: int
    tuning: dict[str, Any]
    verbose: bool
    _scores: dict[_Way, list[float]] = field(default_factory=dict, init=False)
    _lengths: dict[_Way, list[int]] = field(default_factory=dict, init=False)
    _models: dict[_Way, Any] = field(default_factory=dict, init=False)

    def run(self, ways: list[_Way], train: Rows, held_out: Rows) -> None:
        """Trains every candidate once, all from the same seed."""
        seed = next_seed()
        for way in ways:
            with seeded(seed):
                model = self._network(way)
                score, epochs = self._trained(way, model, train, held_out)
            scores = self._scores.setdefault(way, [])
            if not scores or self._beats(score, scores):
                self._models[way] = model
            scores.append(score)
            self._lengths.setdefault(way, []).append(epochs)
            if self.verbose:
                say(f"Seed {len(scores)}, {way.name}: {self.number.monitor} {score:.4f}")

    def _beats(self, score: float, others: list[float]) -> bool:
        return all(self.number.is_better(score, than=other) for other in others)

    def _network(self, way: _Way) -> Any:
        model = reuse(self.source, fresh(self.head), keep=way.kept, replace=way.replaced)
        model.compile(optimizer=_one_of_its_own(self.optimizer), **self.compiling)
        return model

    def _trained(self, way: _Way, model: Any, train: Rows, held_out: Rows) -> tuple[float, int]:
        """Trains a candidate; returns its best value and how many epochs it took."""
        if way.kept == 0:
            return self._from_scratch(model, train, held_out)
        tuning = fine_tune(
            model,
            *train,
            validation_data=held_out,
            reused=way.kept,
            epochs=-(-self.epochs // 2),
            total_epochs=self.epochs,
            verbose=0,
            **self.tuning,
        )
        score = self.number.worst if tuning.best is None else tuning.best
        return score, len(tuning.history.epoch)

    def _from_scratch(self, model: Any, train: Rows, held_out: Rows) -> tuple[float, int]:
        stopping = EarlyStopping(
            monitor=self.number.monitor,
            mode=self.tuning["mode"],
            patience=self.tuning["patience"],
            restore_best_weights=True,
        )
        history = model.fit(
            *train,
            validation_data=held_out,
            epochs=self.epochs,
            batch_size=self.tuning["batch_size"],
            callbacks=[stopping],
            verbose=0,
        )
        score = self.number.worst if stopping.best is None else stopping.best
        return score, len(history.epoch)

    def result(self, ways: list[_Way], validation_to_training: float) -> Search:
        """Returns the comparison."""
        candidates = tuple(
            Candidate(
                name=way.name,
                kept=way.kept,
                replaced=way.replaced,
                scores=tuple(self._scores[way]),
                epochs=tuple(self._lengths[way]),
                parameters=self._models[way].count_params(),
            )
            for way in ways
        )
        return Search(
            candidates=candidates,
            monitor=self.number.monitor,
            wants_more=self.number.wants_more,
            validation_to_training=validation_to_training,
            models=tuple(self._models[way] for way in ways),
        )


def _one_of_its_own(optimizer: Any) -> Any:
    """Returns an optimizer of the same settings that has trained nothing."""
    given = optimizers.get(optimizer)
    return type(given).from_config(given.get_config()) if given is optimizer else given
