"""The notes' loop: train the head on frozen layers, then unfreeze them from the top down.

Each stage is one `fit`, from the best weights so far. What a stage unfreezes is in `stages`, how
layers belong together in `blocks`, and how a run that broke off goes on in `backup`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenkeel.callbacks.monitored import MonitoredNumber
from evenkeel.engine.history import History
from evenkeel.engine.hooks import Callback, Logs
from evenkeel.errors import (
    InvalidArgumentError,
    NotCompiledError,
    explain,
    integer_at_least,
    nearest,
    number_in,
    positive_integer,
    require,
)
from evenkeel.models import Model
from evenkeel.models.fitting import as_list
from evenkeel.randomness import next_seed, seeded
from evenkeel.report.progress import display_for
from evenkeel.transfer.backup import Backup, Progress
from evenkeel.transfer.blocks import (
    Block,
    blocks_of,
    flags_put_back,
    freeze,
    paths_in,
    reused_blocks,
)
from evenkeel.transfer.stages import FineTuning, Stage, StagePlan, stage_plans, title_of

# The arguments of `fit` that every stage is given as they are.
_PASSED_ON = (
    "batch_size", "sample_weight", "class_weight", "shuffle", "validation_split",
    "validation_data", "steps_per_epoch", "validation_steps", "validation_batch_size",
)  # fmt: skip


def fine_tune(
    model: Model,
    x: Any,
    y: Any = None,
    *,
    reused: int | Sequence[Any] | None = None,
    unfreeze: int | None = 1,
    epochs: int | Sequence[int] = 20,
    total_epochs: int | None = None,
    rate_factors: float | Sequence[float] = (1.0, 0.1),
    layer_rate_decay: float = 1.0,
    monitor: str = "val_loss",
    mode: str = "auto",
    min_delta: float = 0.0,
    patience: int = 5,
    callbacks: Any = None,
    verbose: Any = "auto",
    backup: str | Path | None = None,
    **of_fit: Any,
) -> FineTuning:
    """Trains a network of reused layers and a new head, in stages.

    The first stage trains the head alone: it starts from random weights, whose large gradients
    would wreck what the reused layers know. Each further stage unfreezes some more of them, from
    the top down, at a lower rate, and starts from the best weights so far with fresh slots of the
    optimizer. A stage ends after `epochs`, or after `patience` epochs in which validation did not
    get better. The first stage that gains nothing is the last one.

    Frozen weights stay as they are, to the bit, and batch normalization that is frozen works with
    its moving averages and leaves them alone. Layers that were frozen already and are not reused
    stay frozen. Afterwards layers are trainable or not, and the optimizer is as fast, as before
    the call. Layers that other models share are changed in those as well;
    `evenkeel.transfer.reuse` copies them.

    Epochs are counted over all stages, in the logs as in the names of files; each epoch's logs have
    the number of its `"stage"`. A `CSVLogger` needs `append=True`, since each stage is a run.

    Args:
        model: A compiled network.
        x: The inputs, as `fit` takes them.
        y: The targets.
        reused: The reused layers: how many of the lowest ones with weights, or their names. All
            but the top one when None.
        unfreeze: How many reused layers each stage unfreezes, at least 1; None is all at once.
            Normalizations and learned slopes go with the layer below them.
        epochs: The most epochs of a stage, at least 1; or one number for each stage, of which the
            last holds for all further ones.
        total_epochs: The most epochs of all stages together; None is no limit.
        rate_factors: By what the rate of the optimizer is multiplied in each stage, above 0; the
            last one holds for all further stages.
        layer_rate_decay: By what the rate falls from each unfrozen layer to the next lower one, in
            (0, 1]; the head has the full rate. 1 is one rate for all; the paper has 1/2.6.
        monitor: The log that decides.
        mode: `"min"`, `"max"`, or `"auto"`, to tell by the name.
        min_delta: By how much a value must be better to count, at least 0.
        patience: How many epochs without a gain end a stage, at least 1.
        callbacks: Callbacks, which listen to every stage.
        verbose: 0, 1, 2 or "auto", as in `fit`; every line names the stage.
        backup: A file in which every epoch is kept. If it is there, the same call goes on where
            the run broke off, and ends with the same weights, bit for bit, as one that did not
            break off. It is removed at the end. Callbacks start afresh.
        **of_fit: `batch_size`, `sample_weight`, `class_weight`, `shuffle`, `validation_split`,
            `validation_data`, `steps_per_epoch`, `validation_steps`, `validation_batch_size`.

    Returns:
        Every stage with its best value, one history, and the model with the best weights.

    Raises:
        NotCompiledError: If the model was not compiled.
        InvalidArgumentError: If an argument is impossible, or there is no validation data.
        InvalidDataError: If the data does not fit; the model is then as it was.
        FileRefusedError: If the backup is of another run.

    Example:
        >>> import evenkeel as ek
        >>> (x, y), _ = ek.datasets.digits.load_data()
        >>> ek.set_random_seed(1)
        >>> source = ek.Sequential([ek.layers.Dense(16, "relu", input_shape=[64]),
        ...                         ek.layers.Dense(10, "softmax")])
        >>> source.compile("adam", "sparse_categorical_crossentropy")
        >>> _ = source.fit(x / 16, y, verbose=0)
        >>> model = ek.transfer.reuse(source, head=[ek.layers.Dense(1, "sigmoid")])
        >>> model.compile("adam", "binary_crossentropy")
        >>> tuning = ek.transfer.fine_tune(model, x[:300] / 16, y[:300] > 4,
        ...                                validation_split=0.3, epochs=2)
        >>> [stage.title for stage in tuning.stages]
        ['reused layers frozen', 'dense unfrozen']

    References:
        The loop: Géron, "Hands-On Machine Learning", chapter 11, "Reusing Pretrained Layers".
        Rates by layer: Howard and Ruder, ACL 2018. https://arxiv.org/abs/1801.06146
    """
    _refuse_what_cannot_work(model, monitor, of_fit)
    chosen = reused_blocks("fine_tune(reused)", model, reused)
    loop = _Loop(
        model=model,
        data=(x, y),
        of_fit=of_fit,
        reused=chosen,
        plans=stage_plans(chosen, unfreeze, rate_factors, epochs),
        total_epochs=None
        if total_epochs is None
        else positive_integer("fine_tune(total_epochs)", total_epochs),
        layer_rate_decay=number_in(
            "fine_tune(layer_rate_decay)", layer_rate_decay, 0, 1, low_open=True
        ),
        number=MonitoredNumber("fine_tune", monitor, mode, min_delta),
        patience=integer_at_least(1, "fine_tune(patience)", patience),
        callbacks=as_list(callbacks),
        verbose=verbose,
        backup=None if backup is None else Backup(Path(backup)),
    )
    display_for(verbose)
    with flags_put_back(model):
        return loop.run()


@dataclass(kw_only=True)
class _Loop:
    """One call of `fine_tune`, its arguments checked."""

    model: Model
    data: tuple[Any, Any]
    of_fit: dict[str, Any]
    reused: list[Block]
    plans: list[StagePlan]
    total_epochs: int | None
    layer_rate_decay: float
    number: MonitoredNumber
    patience: int
    callbacks: list[Any]
    verbose: Any
    backup: Backup | None

    def run(self) -> FineTuning:
        """Runs the stages and returns what came of them."""
        self.optimizer: Any = self.model.optimizer
        self.rate, self.multipliers = self.optimizer.rate_factor, self.optimizer.rate_multipliers
        self._refuse_frozen_head()
        progress = self._begun()
        ending = "Every reused layer was unfrozen."
        for plan in self.plans[len(progress.stages) :]:
            limit = self._last_epoch(plan, progress)
            if limit <= progress.stage_began:
                ending = f"The {self.total_epochs} epochs were used up."
                break
            stage = self._stage(plan, limit, progress)
            progress.end(stage)
            if not stage.gained:
                ending = f"Stage {stage.number} ({stage.title}) gained nothing."
                break
        if progress.best_weights is not None:
            self.model.set_weights(progress.best_weights)
        if self.backup is not None:
            self.backup.remove()
        history = progress.whole_history(self.model)
        self.model.history = history
        return FineTuning(
            model=self.model,
            monitor=self.number.monitor,
            stages=tuple(progress.stages),
            history=history,
            ending=ending,
        )

    def _begun(self) -> Progress:
        """Returns where a run that broke off had come to, or a beginning."""
        if self.backup is None:
            return Progress(seed=next_seed())
        return self.backup.read(self.model, self.arguments) or Progress(seed=next_seed())

    @property
    def arguments(self) -> dict[str, Any]:
        """What a run that broke off must have in common with the one that goes on."""
        x = self.data[0]
        return {
            "layers": [[layer.name for layer in block.layers] for block in blocks_of(self.model)],
            "reused": [block.name for block in self.reused],
            "stages": [[list(plan.names), plan.factor, plan.epochs] for plan in self.plans],
            "total_epochs": self.total_epochs,
            "layer_rate_decay": self.layer_rate_decay,
            "monitor": [self.number.monitor, self.number.wants_more, self.number.min_delta],
            "patience": self.patience,
            "batch_size": self.of_fit.get("batch_size"),
            "rows": len(x) if hasattr(x, "__len__") else None,
        }

    def _refuse_frozen_head(self) -> None:
        within = {id(layer) for block in self.reused for layer in block.layers}
        head = [
            layer
            for block in blocks_of(self.model)
            for layer in block.layers
            if id(layer) not in within and layer.trainable
        ]
        require(
            bool(head),
            "fine_tune: every layer beside the reused ones is frozen, so that the first stage has "
            "nothing to train.",
            f"Type model.get_layer({blocks_of(self.model)[-1].name!r}).trainable = True.",
        )

    def _last_epoch(self, plan: StagePlan, progress: Progress) -> int:
        """Returns the number of the last epoch that a stage may have, counted from 1."""
        last = progress.stage_began + plan.epochs
        return last if self.total_epochs is None else min(last, self.total_epochs)

    def _stage(self, plan: StagePlan, last_epoch: int, progress: Progress) -> Stage:
        freeze(self.model, self.reused, plan.unfrozen)
        self.optimizer.rate_factor = self.rate * plan.factor
        self.optimizer.multiply_rates(self._multipliers(plan))
        is_new = progress.epochs == progress.stage_began
        if is_new:
            self.optimizer.slots, self.optimizer.iterations = None, 0
            if progress.best_weights is not None:
                self.model.set_weights(progress.best_weights)
        else:
            assert self.backup is not None
            self.backup.restore(self.model)
        keeper = _Keeper(self, progress)
        outcome = "STOPPED" if progress.wait >= self.patience else "COMPLETED"
        if progress.wait < self.patience and progress.epochs < last_epoch:
            outcome = self._fit(plan, last_epoch, progress, keeper).outcome.name
        return progress.stage(plan, self.optimizer.rate_factor, self._trained_parameters(), outcome)

    def _fit(
        self, plan: StagePlan, last_epoch: int, progress: Progress, keeper: _Keeper
    ) -> History:
        label = f"Stage {plan.number}/{len(self.plans)} ({title_of(plan.names)})"
        listeners = [_Stamp(plan.number), *self.callbacks, keeper]
        with seeded(progress.seed * len(self.plans) + plan.number):
            history = self.model.fit(
                *self.data,
                epochs=last_epoch,
                initial_epoch=progress.epochs,
                callbacks=[*listeners, *display_for(self.verbose, label)],
                verbose=0,
                **self.of_fit,
            )
        progress.take(history)
        return history

    def _multipliers(self, plan: StagePlan) -> dict[str, float]:
        """Returns the factors on the rates of the unfrozen layers, the lowest the smallest."""
        if self.layer_rate_decay == 1.0:
            return self.multipliers
        top_down = list(reversed(plan.unfrozen))
        own = {
            f"^{re.escape(path)}$": self.layer_rate_decay ** (number + 1)
            for path, number in paths_in(self.model, top_down).items()
        }
        return own | self.multipliers

    def _trained_parameters(self) -> int:
        return sum(variable.size for variable in self.model.trainable_weights)


class _Stamp(Callback):
    """Writes the stage's number into the logs, before anybody else reads them."""

    def __init__(self, number: int):
        self.number = number

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Adds the number."""
        if logs is not None:
            logs["stage"] = float(self.number)


class _Keeper(Callback):
    """Keeps the best weights, ends a stage that gains nothing, and writes the backup."""

    def __init__(self, loop: _Loop, progress: Progress):
        self.loop, self.progress = loop, progress
        loop.number.begin()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Judges the epoch."""
        loop, progress, logs = self.loop, self.progress, logs or {}
        value = loop.number.read(logs, self.params)
        progress.note(epoch, logs, value, loop.number, self.model)
        if progress.wait >= loop.patience:
            self.model.stop_training = True
        # What broke is not kept: the epoch is then repeated, and breaks again.
        if loop.backup is not None and math.isfinite(logs.get("loss", math.nan)):
            loop.backup.write(self.model, progress, loop.arguments)


def _refuse_what_cannot_work(model: Any, monitor: str, of_fit: Mapping[str, Any]) -> None:
    require(
        isinstance(model, Model),
        f"fine_tune: got {model!r}, expected a model.",
        "Build one with ek.transfer.reuse(source, head=[...]).",
    )
    if model.optimizer is None:
        raise NotCompiledError(
            explain(
                f"fine_tune: the model {model.name!r} was not compiled, so it has no loss.",
                "Call model.compile(optimizer='adam', loss='binary_crossentropy') first.",
            )
        )
    for name in of_fit:
        if name not in _PASSED_ON:
            raise InvalidArgumentError(
                explain(f"fine_tune got the unknown argument {name!r}.", nearest(name, _PASSED_ON))
            )
    has_validation = of_fit.get("validation_data") is not None or of_fit.get("validation_split")
    require(
        bool(has_validation) or not str(monitor).startswith("val_"),
        f"fine_tune: {monitor!r} decides when a stage ends, and there is no validation data.",
        "Type validation_data=(x_valid, y_valid), or validation_split=0.25.",
    )
    require(
        not getattr(model.optimizer.schedule, "is_of_the_run", False),
        "fine_tune: the learning rate follows a schedule as long as the run, but how long a stage "
        "is shows only when it ends.",
        "Give a number as learning rate, or a schedule in steps; each stage begins it anew.",
    )
