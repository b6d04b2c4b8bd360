"""The face of a network: `compile`, `fit`, `evaluate`, `predict`, `summary`, `save`.

A `Model` is a layer that can train. It ties the three parties together that do not know each
other: the network, the engine, and whoever listens.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from evenkeel import losses, optimizers, saving
from evenkeel.engine import fit as engine
from evenkeel.engine import intake
from evenkeel.engine.feed import ArrayFeed, Feed, StreamFeed
from evenkeel.engine.history import History
from evenkeel.engine.hooks import CallbackList
from evenkeel.engine.plan import Plan
from evenkeel.engine.predict import draws_randomness, forward_program, predict
from evenkeel.engine.step import Batch
from evenkeel.engine.telemetry import LEVELS, Level
from evenkeel.errors import (
    EvenkeelWarning,
    InvalidArgumentError,
    InvalidDataError,
    NotCompiledError,
    explain,
    integer_at_least,
    nearest,
    number_in,
    positive_integer,
)
from evenkeel.layers.base import Layer, require_built
from evenkeel.metrics import Metric, fitting_accuracy
from evenkeel.metrics import get as get_metric
from evenkeel.network import Array, current_scope
from evenkeel.randomness import next_seed
from evenkeel.report.progress import display_for
from evenkeel.report.text import summary_of

# Rows at a time where nothing is learned from them: large enough to keep all cores busy.
_INFERENCE_ROWS = 1024
# Programs of past plans that are kept, so that freezing and unfreezing compiles once each.
_PLANS_KEPT = 8
# Whole numbers with more different values than this are taken for a regression's targets.
_MOST_CLASSES = 100


class Model(Layer):
    """A network that can be compiled, trained, evaluated, used and saved.

    Build one as `Sequential([...])`, or subclass `Model` with layers as attributes and a `call`.

    Args:
        **kwargs: `name`, `trainable`.

    Example:
        >>> from evenkeel.layers import Dense
        >>> class Doubled(Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = Dense(4, activation="relu")
        ...         self.out = Dense(1)
        ...     def call(self, inputs):
        ...         return self.out(self.hidden(inputs))
        >>> Doubled()(np.ones((2, 3))).shape
        (2, 1)
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self.metrics: tuple[Metric, ...] = ()
        self.weighted_metrics: frozenset[str] = frozenset()
        self.history: History | None = None
        self.stop_training = False
        self._programs: dict[Any, engine.Programs] = {}
        self._forward: dict[Any, Any] = {}

    # -- what it is made of ------------------------------------------------------------------

    def children(self) -> list[tuple[str, Layer]]:
        """Returns the layers inside; those without a name of their own get one that is free."""
        taken: set[str] = set()
        for layer in self.own_layers():
            if layer._auto_named and self not in layer._models:
                layer.adopt_name(self, taken)
            taken.add(layer.name)
        return super().children()

    def build(self, input_shape: Any) -> None:
        """Builds the layers inside, by passing a stand-in for a batch through `call`."""
        self.built = True
        try:
            self.compute_output_shape(input_shape)
        except BaseException:
            self.built = False
            raise

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside."""
        return [layer for _, layer in self.children()]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Returns a layer by name or by index.

        Raises:
            InvalidArgumentError: If there is none; the nearest name is offered.
        """
        if index is not None:
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise InvalidArgumentError(
            explain(
                f"{self.name!r} has no layer {name!r}.",
                nearest(str(name), [layer.name for layer in self.layers]),
            )
        )

    @property
    def input_shape(self) -> Any:
        """The shape of the inputs, the batch as None."""
        require_built(self, "The input shape")
        return self.build_shape

    @property
    def output_shape(self) -> Any:
        """The shape of the outputs, the batch as None."""
        return self.compute_output_shape(self.input_shape)

    def summary(self, print_fn: Any = None, line_length: int | None = None) -> None:
        """Prints the layers, their output shapes and their numbers of parameters.

        Args:
            print_fn: Called with the text instead of printing it.
            line_length: The width in characters; the terminal's when None.
        """
        require_built(self, "The summary")
        summary_of(self, print_fn, line_length)

    # -- compile -----------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any,
        loss: Any,
        metrics: Any = None,
        weighted_metrics: Any = None,
        telemetry: Level = "off",
    ) -> None:
        """Says how to train.

        Args:
            optimizer: A name, an optimizer, or any optax transformation.
            loss: A name, a loss, or a function of (y_true, y_pred).
            metrics: A name, a metric, or a list of them. "accuracy" becomes the kind that fits.
                Every row counts once, as in Keras, also where rows have weights.
            weighted_metrics: The same, for metrics that take the rows' weights into account.
            telemetry: How closely `fit` looks inside: "off", "economy" (norms of gradients,
                weights and updates) or "full" (activations as well). Samples are in
                `history.telemetry`; the weights are the same at every level.

        Raises:
            InvalidArgumentError: If a name is unknown or a setting impossible.

        Example:
            >>> from evenkeel.models import Sequential
            >>> from evenkeel.layers import Dense
            >>> model = Sequential([Dense(1)])
            >>> model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
        """
        weighted = tuple(get_metric(metric) for metric in _as_list(weighted_metrics))
        found = (*(get_metric(metric) for metric in _as_list(metrics)), *weighted)
        names = [metric.name for metric in found]
        twice = sorted({name for name in names if names.count(name) > 1 or name == "loss"})
        if twice:
            raise InvalidArgumentError(
                explain(
                    f"compile: two metrics are named {twice[0]!r}.",
                    "Give one of them another name, for example AUC(name='auc_1').",
                )
            )
        if telemetry not in LEVELS:
            raise InvalidArgumentError(
                explain(f"compile(telemetry): got {telemetry!r}.", nearest(str(telemetry), LEVELS))
            )
        new_optimizer, new_loss = optimizers.get(optimizer), losses.get(loss)
        new_optimizer.claim(self)
        self.optimizer, self.loss, self.metrics = new_optimizer, new_loss, found
        self.weighted_metrics = frozenset(metric.name for metric in weighted)
        self._telemetry: Level = telemetry
        self._programs.clear()

    # -- fit ---------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Trains for a number of epochs.

        Args:
            x: The inputs: an array, a memory map, a DataFrame, or an iterable of batches
                (x, y) or (x, y, sample_weight), such as a PyTorch DataLoader.
            y: The targets, row by row; None with an iterable.
            batch_size: Rows a step; 32 when None. The last, partial batch is used.
            epochs: The number of the last epoch.
            verbose: 0 is silent, 1 a progress display, 2 one line an epoch; "auto" is 1 in a
                terminal and 0 elsewhere.
            callbacks: A callback or a list of them.
            validation_split: The fraction of rows, the last ones, kept back for validation.
            validation_data: (x, y) or (x, y, sample_weight), or an iterable of batches.
            shuffle: Whether to draw a new order of the rows for each epoch.
            class_weight: The weight of each class by its number; others weigh 1.
            sample_weight: A weight for each row.
            initial_epoch: The number of the first epoch, to go on where a run ended.
            steps_per_epoch: With an iterable, how many batches make an epoch.
            validation_batch_size: Rows at a time in validation.
            validation_freq: Validate every so many epochs.

        Returns:
            The history: one float an epoch for the loss and each metric, and how the run ended.

        Raises:
            NotCompiledError: If `compile` was not called.
            InvalidDataError: If the data does not fit; the model is left as it was.
            InvalidArgumentError: If an argument is impossible.
        """
        self._require_compiled("fit")
        epochs = integer_at_least(1, "fit(epochs)", epochs)
        initial_epoch = integer_at_least(0, "fit(initial_epoch)", initial_epoch)
        validation_freq = positive_integer("fit(validation_freq)", validation_freq)
        rows_a_step = _rows("fit(batch_size)", batch_size, 32)
        display = display_for(verbose)
        with self._left_as_it_was():
            train, held_out = self._training_data(
                x, y, sample_weight, class_weight, validation_split, validation_data
            )
            if train is None:
                _refuse_for_batches(batch_size=batch_size)
                feed: Feed = self._stream(x, class_weight, steps_per_epoch)
            else:
                _refuse_for_arrays(steps_per_epoch=steps_per_epoch)
                feed = ArrayFeed(train, rows_a_step, next_seed() if shuffle else None)
            programs = self._programs_for(feed.sample())
            validation = self._validation_feed(held_out, validation_data, validation_batch_size)
        params = {
            "epochs": epochs,
            "steps": feed.steps,
            "batch_size": feed.batch_size,
            "verbose": verbose,
            "validation_freq": 1 if validation is None else validation_freq,
        }
        self.history = History(params, self)
        listeners = CallbackList([*_as_list(callbacks), *display], self, params)
        if listeners.wants_batches:
            _say_that_batches_are_slow(listeners.wants_batches)
        self.stop_training = False
        return engine.Run(
            programs=programs,
            feed=feed,
            validation=validation,
            validation_freq=validation_freq,
            callbacks=listeners,
            history=self.history,
            epochs=epochs,
            initial_epoch=initial_epoch,
            key=jax.random.key(next_seed()),
            telemetry=self._telemetry,
            should_stop=lambda: self.stop_training,
        ).go()

    def _training_data(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Any, split: float, held_out: Any
    ) -> tuple[Batch | None, Batch | None]:
        """Checks arrays and cuts off the validation rows; (None, None) for an iterable."""
        split = number_in("fit(validation_split)", split, 0, 1, high_open=True)
        if y is None:
            _require_iterable(x)
            if split or sample_weight is not None:
                raise InvalidArgumentError(
                    explain(
                        "fit: validation_split and sample_weight need arrays, and x is an "
                        "iterable of batches.",
                        "Give validation_data=..., and yield (x, y, sample_weight).",
                    )
                )
            return None, None
        data = self._checked(x, y, sample_weight)
        if not split or held_out is not None:
            return self._with_class_weight(data, class_weight), None
        cut = int(data.rows * (1 - split))
        if cut < 1:
            raise InvalidArgumentError(
                explain(
                    f"fit(validation_split): {split:g} of {data.rows} rows leaves none to "
                    "train on.",
                    "Give a smaller fraction, or more rows.",
                )
            )
        _warn_if_ordered(y, cut)
        first, last = (
            jax.tree.map(lambda a, s=s: a[s], data) for s in (slice(cut), slice(cut, None))
        )
        return self._with_class_weight(first, class_weight), last

    @staticmethod
    def _with_class_weight(data: Batch, class_weight: Any) -> Batch:
        weight = intake.weights(None, class_weight, data.y, data.rows)
        if weight is None:
            return data
        return replace(data, weight=weight if data.weight is None else weight * data.weight)

    def _checked(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        prefix: str = "",
        is_batch: bool = False,
    ) -> Batch:
        """Turns rows of data into a batch that fits the network and the loss, or refuses."""
        assert self.loss is not None
        rows = intake.inputs(x, f"{prefix}x")
        y_rows = intake.targets(y, len(rows), f"{prefix}y", f"{prefix}x")
        weight = intake.weights(sample_weight, class_weight, y_rows, len(rows), is_batch=is_batch)
        self._build_for(rows)
        y_rows = intake.check_targets(self.loss, y_rows, self.output_shape)
        return Batch(x=rows, y=y_rows, weight=weight)

    @contextlib.contextmanager
    def _left_as_it_was(self) -> Iterator[None]:
        """Forgets again what was built inside, if what is inside is refused."""
        states = [(layer, layer._build_state()) for layer in self.tree()]
        try:
            yield
        except Exception:
            for layer, state in states:
                layer._restore_build_state(state)
            raise

    def _build_for(self, x: np.ndarray) -> None:
        intake.check_inputs(self, x)
        self.ensure_built((None, *x.shape[1:]))

    def _stream(
        self, batches: Any, class_weight: Any, steps: int | None, name: str = "x"
    ) -> StreamFeed:
        def check(item: Any) -> Batch:
            if not isinstance(item, list | tuple) or len(item) not in (2, 3):
                raise InvalidDataError(
                    explain(
                        f"{name}, an iterable of batches, yielded {type(item).__name__}, expected "
                        "(x, y) or (x, y, sample_weight).",
                        "If x is not an iterable of batches, give the targets: fit(x, y).",
                    )
                )
            return self._checked(
                item[0], item[1], *item[2:3], class_weight=class_weight, is_batch=True
            )

        limit = None if steps is None else positive_integer("fit(steps_per_epoch)", steps)
        return StreamFeed(batches, check, limit, name)

    def _validation_feed(
        self, held_out: Batch | None, given: Any, batch_size: int | None
    ) -> Feed | None:
        if given is not None:
            if not isinstance(given, list | tuple):
                return self._stream(given, None, None, "validation_data")
            if len(given) not in (2, 3):
                raise InvalidArgumentError(
                    explain(
                        f"fit(validation_data): got {len(given)} parts, expected (x, y) or "
                        "(x, y, sample_weight).",
                        "Type validation_data=(x_valid, y_valid).",
                    )
                )
            held_out = self._checked(given[0], given[1], *given[2:3], prefix="validation_data ")
        return None if held_out is None else self._inference_feed(held_out, batch_size)

    @staticmethod
    def _inference_feed(data: Batch, batch_size: int | None) -> ArrayFeed:
        return ArrayFeed(data, _rows("batch_size", batch_size, _INFERENCE_ROWS))

    def _programs_for(self, sample: Batch) -> engine.Programs:
        """Returns the compiled programs for the model as it stands now."""
        assert self.loss is not None
        fitted = tuple(
            fitting_accuracy(metric, sample.y.shape, self.output_shape, self.loss)
            for metric in self.metrics
        )
        plan = Plan.of(
            self,
            loss=self.loss,
            metrics=fitted,
            weighted=self.weighted_metrics,
            optimizer=self.optimizer,
        )
        key = plan.fingerprint
        if key not in self._programs:
            while len(self._programs) >= _PLANS_KEPT:
                self._programs.pop(next(iter(self._programs)))
            self._programs[key] = engine.Programs(plan)
        return self._programs[key]

    # -- evaluate, predict, single batches ---------------------------------------------------

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Returns the loss and the metrics for data.

        Args:
            x: The inputs, or an iterable of batches.
            y: The targets; None with an iterable.
            batch_size: Rows at a time; does not change the result.
            verbose: 0 is silent, 1 and 2 print one line; "auto" prints in a terminal.
            sample_weight: A weight for each row.
            callbacks: A callback or a list of them.
            return_dict: Whether to return a dict by name rather than a list.

        Returns:
            The loss, or a list of the loss and the metrics, or a dict of them.
        """
        self._require_compiled("evaluate")
        display = display_for(verbose)
        with self._left_as_it_was():
            if y is None:
                _require_iterable(x)
                _refuse_for_batches(batch_size=batch_size)
                feed: Feed = self._stream(x, None, None)
            else:
                feed = self._inference_feed(self._checked(x, y, sample_weight), batch_size)
            programs = self._programs_for(feed.sample())
        listeners = CallbackList([*_as_list(callbacks), *display], self, {"steps": feed.steps})
        logs = engine.evaluate(programs, feed, listeners)
        if return_dict:
            return logs
        return list(logs.values()) if len(logs) > 1 else logs["loss"]

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        callbacks: Any = None,
    ) -> np.ndarray:
        """Returns the outputs for inputs, in inference mode.

        Args:
            x: The inputs, all rows.
            batch_size: Rows at a time; does not change the result.
            verbose: Accepted for Keras's sake; predicting is silent.
            callbacks: A callback or a list of them.

        Returns:
            A NumPy array, one row for each input row.
        """
        display_for(verbose)
        size = _rows("predict(batch_size)", batch_size, _INFERENCE_ROWS)
        rows = intake.inputs(x)
        with self._left_as_it_was():
            self._build_for(rows)
        listeners = CallbackList(_as_list(callbacks), self, {})
        listeners.call("on_predict_begin", {})
        outputs = predict(lambda part: self._run_forward(part, False), rows, size, listeners)
        listeners.call("on_predict_end", {})
        return outputs

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """Returns the outputs for one batch."""
        return self.predict(x, batch_size=len(x))

    def train_on_batch(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Takes one training step and returns the loss and metrics of that batch before it.

        Args:
            x: The inputs of the batch.
            y: Its targets.
            sample_weight: A weight for each row.
            class_weight: The weight of each class by its number.
            return_dict: Whether to return a dict by name rather than a list.
        """
        self._require_compiled("train_on_batch")
        with self._left_as_it_was():
            data = self._checked(x, y, sample_weight, class_weight, is_batch=True)
            programs = self._programs_for(data)
        history = engine.Run(
            programs=programs,
            feed=ArrayFeed(data, data.rows),
            validation=None,
            validation_freq=1,
            callbacks=CallbackList([], self, {}),
            history=History({}, self),
            epochs=1,
            initial_epoch=0,
            key=jax.random.key(next_seed()),
            telemetry="off",
            should_stop=lambda: False,
        ).go()
        logs = {name: values[-1] for name, values in history.history.items()}
        if return_dict:
            return logs
        return list(logs.values()) if len(logs) > 1 else logs["loss"]

    def test_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Returns the loss and metrics of one batch, in inference mode."""
        return self.evaluate(
            x,
            y,
            batch_size=len(x),
            verbose=0,
            sample_weight=sample_weight,
            return_dict=return_dict,
        )

    def __call__(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Returns the outputs for a batch, compiled; nothing of the model changes.

        Args:
            inputs: The inputs of the batch.
            *args: Whatever else `call` takes.
            training: True for the behaviour of training (dropout drops, and so on); moving
                averages stay as they are all the same.
            **kwargs: Whatever else `call` takes.
        """
        if current_scope() is not None or args or kwargs or isinstance(inputs, Tracer):
            return super().__call__(inputs, *args, training=training, **kwargs)
        rows = intake.inputs(inputs)
        with self._left_as_it_was():
            self._build_for(rows)
        return self._run_forward(jnp.asarray(rows), bool(training))

    def _run_forward(self, x: Array, training: bool) -> Array:
        plan = Plan.of(self)
        name = (plan.fingerprint, training)
        if name not in self._forward:
            while len(self._forward) >= _PLANS_KEPT:
                self._forward.pop(next(iter(self._forward)))
            draws = draws_randomness(plan, x, training=training)
            self._forward[name] = (forward_program(plan, training), draws)
        program, draws = self._forward[name]
        key = jax.random.key(next_seed()) if draws else None
        trained, others = (
            {path: v._value for path, v in side.items()} for side in (plan.trained, plan.others)
        )
        return program(trained, others, x, key)

    # -- files -------------------------------------------------------------------------------

    def save(self, path: str | Path, overwrite: bool = True, include_compile: bool = True) -> None:
        """Writes the model to one file: configuration, weights, and the optimizer's slots.

        The file is in the safetensors format whatever its name ends in. It holds no code.

        Args:
            path: Where to; the folder must exist.
            overwrite: Whether an existing file may be replaced.
            include_compile: Whether to write the loss, metrics and optimizer as well.

        Raises:
            FileExistsError: If the file exists and may not be replaced.
            InvalidArgumentError: If something in the model cannot be written down.
        """
        require_built(self, "The set of weights")
        saving.save_model(self, Path(path), overwrite=overwrite, include_compile=include_compile)

    def _require_compiled(self, act: str) -> None:
        if self.loss is None or self.optimizer is None:
            raise NotCompiledError(
                explain(
                    f"{act}: the model {self.name!r} was not compiled, so it has no loss.",
                    "Call model.compile(optimizer='adam', loss='mse') first.",
                )
            )


def _as_list(given: Any) -> list[Any]:
    """Returns one thing or several, or None, as a list."""
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def _rows(where: str, asked: int | None, default: int) -> int:
    return default if asked is None else positive_integer(where, asked)


def _refuse_for(data: str, advice: str, **arguments: Any) -> None:
    """Refuses arguments that mean nothing for this kind of data."""
    for name, value in arguments.items():
        if value is not None:
            raise InvalidArgumentError(
                explain(f"{name}: got {value!r}, which means nothing for {data}.", advice)
            )


_refuse_for_batches = partial(
    _refuse_for, "an iterable of batches", "Leave it out, and set it where the batches are made."
)
_refuse_for_arrays = partial(
    _refuse_for, "arrays, of which every row is used", "Leave it out, or give x[:n] and y[:n]."
)


def _require_iterable(x: Any) -> None:
    is_array = hasattr(x, "__array__") or hasattr(x, "shape")
    if is_array or not hasattr(x, "__iter__"):
        raise InvalidDataError(
            explain(
                f"y is missing: x is {type(x).__name__} and holds inputs only.",
                "Type fit(x, y), or give an iterable of (x, y) batches.",
            )
        )


def _warn_if_ordered(y: Any, cut: int) -> None:
    """Warns when the rows, of which those from `cut` are kept back, are ordered by class."""
    labels = np.asarray(y)
    labels = labels.argmax(axis=-1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.ravel()
    values = np.unique(labels)
    if not 2 <= len(values) <= _MOST_CLASSES or (values != np.floor(values)).any():
        return
    steps = np.diff(labels.astype(np.float64))
    unseen = sorted(set(labels[cut:].tolist()) - set(labels[:cut].tolist()))
    if unseen or (steps >= 0).all() or (steps <= 0).all():
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


def _say_that_batches_are_slow(names: list[str]) -> None:
    warnings.warn(
        f"fit: {', '.join(names)} listens to single batches, so Python runs between all steps, "
        "which is slower. Use on_epoch_end where that is enough.",
        EvenkeelWarning,
        stacklevel=3,
    )
