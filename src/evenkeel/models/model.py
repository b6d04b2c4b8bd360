"""The face of a network: `compile`, `fit`, `evaluate`, `predict`, `summary`, `save`.

A `Model` is a layer that can train. It ties the three parties together that do not know each
other: the network, the engine, and whoever listens.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from evenkeel import optimizers, saving
from evenkeel.engine import fit as engine
from evenkeel.engine.feed import ArrayFeed, Feed
from evenkeel.engine.history import History
from evenkeel.engine.hooks import CallbackList
from evenkeel.engine.objective import PENALTY, Head, named_metrics, targets_of
from evenkeel.engine.plan import Plan
from evenkeel.engine.predict import draws_randomness, forward_program, predict
from evenkeel.engine.recovery import Policy
from evenkeel.engine.step import Batch
from evenkeel.engine.telemetry import LEVELS, Level
from evenkeel.errors import (
    EvenkeelWarning,
    InvalidArgumentError,
    InvalidDataError,
    NotCompiledError,
    explain,
    nearest,
    positive_integer,
)
from evenkeel.layers.base import Layer, require_built
from evenkeel.layers.symbolic import is_symbolic
from evenkeel.metrics import Metric, fitting_accuracy
from evenkeel.models.advice import warn_about_outputs
from evenkeel.models.declared import Declared
from evenkeel.models.fitting import Fitting, as_list
from evenkeel.models.reading import (
    INFERENCE_ROWS,
    Reader,
    inference_feed,
    is_stream,
    refuse_for_arrays,
    refuse_for_batches,
    require_iterable,
    rows_at_a_time,
)
from evenkeel.network import current_scope, is_shape, random_key
from evenkeel.precision import Precision
from evenkeel.randomness import go_back_to, next_seed, seeds_given_out
from evenkeel.registry import custom_objects as known_for_a_while
from evenkeel.report.progress import display_for
from evenkeel.report.text import summary_of

# Programs of past plans that are kept, so that freezing and unfreezing compiles once each.
_PLANS_KEPT = 8


class Model(Layer):
    """A network that can be compiled, trained, evaluated, used and saved.

    Build one as `Sequential([...])`; as `Model(inputs, outputs)` between symbolic tensors, which
    gives a `Functional` model; or subclass `Model` with layers as attributes and a method call.

    Args:
        *args: `inputs` and `outputs` of a functional model.
        **kwargs: `name`, `trainable`; `inputs` and `outputs` of a functional model.

    Raises:
        InvalidArgumentError: If an argument is unknown or impossible.

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

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Makes a `Functional` where inputs and outputs are given."""
        if cls is Model and (args or {"inputs", "outputs"} & set(kwargs)):
            from evenkeel.models.functional import Functional

            return super().__new__(Functional)
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any):
        if args or {"inputs", "outputs"} & set(kwargs):
            raise InvalidArgumentError(
                explain(
                    f"{type(self).__name__} passes inputs and outputs on to Model, which takes "
                    "them only when it is called itself.",
                    f"Write class {type(self).__name__}(ek.models.Functional), or give it a call.",
                )
            )
        self._refuse_own_steps()
        super().__init__(**kwargs)
        self.optimizer: optimizers.Optimizer | None = None
        self.declared: Declared | None = None
        self.history: History | None = None
        self.stop_training = False
        self._programs: dict[Any, engine.Programs] = {}
        self._forward: dict[Any, Any] = {}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Rebuilds the model, with fresh weights, from its configuration.

        Args:
            config: What get_config returned.
            custom_objects: Your own classes by their names, where they are not registered.
        """
        with known_for_a_while(custom_objects or {}):
            if cls is Model and "nodes" in config:
                from evenkeel.models.functional import Functional

                return Functional.rebuilt(config)
            return cls.rebuilt(config)

    @classmethod
    def rebuilt(cls, config: dict[str, Any]) -> Any:
        """Rebuilds the model as `from_config` does, its own classes being known."""
        return super().from_config(config)

    @classmethod
    def _refuse_own_steps(cls) -> None:
        """Refuses methods that Keras would call at every step, and that no run here would."""
        for name in ("train_step", "test_step", "predict_step", "compute_loss"):
            if hasattr(cls, name):
                raise InvalidArgumentError(
                    explain(
                        f"{cls.__name__}.{name} would never be called: an epoch is one compiled "
                        "program.",
                        "Write what it computes as a loss, a metric, or self.add_loss(...) in "
                        "call; for a loop of your own call model.train_on_batch(x, y).",
                    )
                )

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
        """Builds the layers inside, by passing a stand-in for a batch through the network."""
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
    def input_names(self) -> Any:
        """The names of the inputs, in the form in which the network takes them, if it is known."""
        if self.build_shape is None:
            return None
        if isinstance(self.build_shape, dict):
            return {name: name for name in self.build_shape}
        if is_shape(self.build_shape):
            return "input"
        return [str(n) for n in range(len(self.build_shape))]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, by which losses and targets in a dict find them."""
        shape = self.output_shape
        if isinstance(shape, dict):
            return sorted(shape)
        count = len(jax.tree.leaves(shape, is_leaf=is_shape))
        return [f"output_{n + 1}" for n in range(count)]

    def lay_out(self) -> None:
        """Applies the layers to symbolic tensors, if that is possible; most models cannot be."""

    def last_layers(self) -> list[Layer]:
        """Returns the layer that each output leaves, as far as it is known."""
        return []

    @property
    def loss(self) -> Any:
        """The loss, or a list or dict of losses, that `compile` was given; None before."""
        return None if self.declared is None else self.declared.loss

    @property
    def precision(self) -> Precision:
        """How exactly products are carried out: what `compile` was given, "float32" before."""
        return "float32" if self.declared is None else self.declared.precision

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` returns in its list, in order."""
        if self.declared is None or not self.built:
            return []
        heads = self.heads()
        several = [h.log_name("loss") for h in heads if h.loss is not None and h.name is not None]
        return ["loss", *several, *(name for name, *_ in named_metrics(heads))]

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that `compile` was given, in order."""
        if self.declared is None or not self.built:
            return [] if self.declared is None else self.declared.all_metrics()
        return [metric for head in self.heads() for metric in head.metrics]

    def heads(self) -> tuple[Head, ...]:
        """Returns what `compile` asked of each output."""
        assert self.declared is not None
        return self.declared.heads(self.output_names)

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
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        telemetry: Level | None = None,
        precision: Precision = "float32",
        **of_keras: Any,
    ) -> None:
        """Says how to train.

        Args:
            optimizer: A name, an optimizer, or any optax transformation.
            loss: A name, a loss, or a function of (y_true, y_pred). With several outputs one for
                all, a list in their order, or a dict by their names; None leaves an output alone.
            loss_weights: The factor on each output's loss, a list or a dict; 1 when None.
            metrics: A name, a metric, or a list of them; with several outputs a list of lists or
                a dict. "accuracy" becomes the kind that fits. Every row counts once, as in Keras,
                also where rows have weights.
            weighted_metrics: The same, for metrics that take the rows' weights into account.
            telemetry: How closely `fit` looks inside: "off", "economy" (norms of gradients,
                weights and updates) or "full" (activations as well). Samples are in
                `history.telemetry`; the weights are the same at every level. None is "economy"
                in a long run that the doctor watches, and "off" in others, where compiling the
                look would take longer than it is worth.
            precision: How exactly matrix products and convolutions are carried out, in `fit`,
                `evaluate` and `predict`: "float32" in full, on every device; "bfloat16" with
                factors rounded to 8 significant bits; "tensorfloat32" with factors rounded to
                11 on NVIDIA GPUs, and in full elsewhere. Variables, slots and all else are
                float32 under each.
            **of_keras: `run_eagerly=False`, `jit_compile=True`, `auto_scale_loss=True` and any
                `steps_per_execution` are accepted, since that is how every run goes.

        Raises:
            InvalidArgumentError: If a name is unknown or a setting impossible.

        Example:
            >>> from evenkeel.models import Sequential
            >>> from evenkeel.layers import Dense
            >>> model = Sequential([Dense(1)])
            >>> model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
        """
        _refuse_unless_neutral(of_keras)
        declared = Declared.of(loss, loss_weights, metrics, weighted_metrics, precision)
        if self.built:
            declared.heads(self.output_names)
        if telemetry is not None and telemetry not in LEVELS:
            raise InvalidArgumentError(
                explain(f"compile(telemetry): got {telemetry!r}.", nearest(str(telemetry), LEVELS))
            )
        new_optimizer = optimizers.get(optimizer)
        new_optimizer.claim(self)
        self.optimizer, self.declared = new_optimizer, declared
        self._outputs_were_judged = False
        self._telemetry: Level | None = telemetry
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
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        doctor: Any = "default",
        if_not_finite: Policy = "continue",
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
            validation_steps: With an iterable as validation data, how many batches are used.
            validation_batch_size: Rows at a time in validation.
            validation_freq: Validate every so many epochs.
            doctor: "default" has the doctor look at data, structure and starting weights before
                the first step, and at the curves while the model trains. What it finds is in
                `history.findings`, and a line each on the display. The weights are the same, bit
                for bit, without it, which is None.
            if_not_finite: What to do when the loss or a weight becomes infinite or not a number.
                The weights always go back to where the epoch began, and `history.breaks` says in
                which batch and layer it broke. "continue" then lowers the rate to a tenth and
                takes the epoch again, five times at most and only where a lower rate can help;
                "stop" ends the run with a warning; "raise" ends it with an error.

        Returns:
            The history: one float an epoch for the loss and each metric, and how the run ended.

        Raises:
            NotCompiledError: If `compile` was not called.
            InvalidDataError: If the data does not fit; the model is left as it was.
            InvalidArgumentError: If an argument is impossible.
            NotFiniteError: If the run broke, and `if_not_finite` is "raise".
        """
        self._require_compiled("fit")
        return Fitting(
            model=self,
            x=x,
            y=y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
            doctor=doctor,
            if_not_finite=if_not_finite,
        ).go()

    @contextlib.contextmanager
    def left_as_it_was(self, always: bool = False) -> Iterator[None]:
        """Forgets again what was built, set or drawn inside, if that is refused, or always."""
        states = [(layer, layer._build_state()) for layer in self.tree()]
        seeds = seeds_given_out()
        optimizer = {} if self.optimizer is None else dict(vars(self.optimizer))
        is_kept = False
        try:
            yield
            is_kept = not always
        finally:
            if not is_kept:
                for layer, state in states:
                    layer._restore_build_state(state)
                if self.optimizer is not None:
                    vars(self.optimizer).update(optimizer)
                go_back_to(seeds)

    def _programs_for(self, sample: Batch) -> engine.Programs:
        """Returns the compiled programs for the model as it stands now."""
        heads = self.heads()
        if not self._outputs_were_judged:
            warn_about_outputs(self, heads)
            self._outputs_were_judged = True
        shapes = jax.tree.leaves(self.output_shape, is_leaf=is_shape)
        fitted = tuple(
            replace(
                head,
                metrics=tuple(
                    fitting_accuracy(metric, target.shape, shape, head.loss)
                    for metric in head.metrics
                ),
            )
            for head, target, shape in zip(heads, targets_of(sample.y, heads), shapes, strict=True)
        )
        plan = Plan.of(self, heads=fitted, optimizer=self.optimizer, precision=self.precision)
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
        steps: int | None = None,
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
            steps: With an iterable, how many batches are used; all when None.
            callbacks: A callback or a list of them.
            return_dict: Whether to return a dict by name rather than a list.

        Returns:
            The loss, or a list of the loss and the metrics, or a dict of them.
        """
        self._require_compiled("evaluate")
        display = display_for(verbose)
        with self.left_as_it_was():
            reader = Reader(self)
            if y is None:
                require_iterable(x)
                refuse_for_batches(batch_size=batch_size)
                feed: Feed = reader.stream(x, None, steps, limit_name="evaluate(steps)")
            else:
                refuse_for_arrays(steps=steps)
                feed = inference_feed(reader.batch(x, y, sample_weight), batch_size)
            programs = self._programs_for(feed.sample())
        listeners = CallbackList([*as_list(callbacks), *display], self, {"steps": feed.steps})
        logs = engine.evaluate(programs, feed, listeners)
        return _answer(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Returns the outputs for inputs, in inference mode.

        Args:
            x: The inputs, all rows; or an iterable of batches, whose targets are left out.
            batch_size: Rows at a time; does not change the result.
            verbose: Accepted for Keras's sake; predicting is silent.
            steps: With an iterable, how many batches are used; all when None.
            callbacks: A callback or a list of them.

        Returns:
            A NumPy array, one row for each input row; several in the form of the outputs.
        """
        display_for(verbose)
        if is_stream(x):
            refuse_for_batches(batch_size=batch_size)
            return self._predict_stream(x, steps, callbacks)
        refuse_for_arrays(steps=steps)
        size = rows_at_a_time("predict(batch_size)", batch_size, INFERENCE_ROWS)
        x = self._with_batch_axis(x)
        with self.left_as_it_was():
            rows = Reader(self).inputs(x)
        listeners = CallbackList(as_list(callbacks), self, {})
        listeners.call("on_predict_begin", {})
        outputs = predict(lambda part: self._run_forward(part, False), rows, size, listeners)
        listeners.call("on_predict_end", {})
        return outputs

    def _predict_stream(self, batches: Any, steps: int | None, callbacks: Any) -> Any:
        limit = None if steps is None else positive_integer("predict(steps)", steps)
        parts = [
            self.predict(item[0] if isinstance(item, tuple) else item, callbacks=callbacks)
            for item in itertools.islice(batches, limit)
        ]
        if not parts:
            raise InvalidDataError(
                explain("predict: x, an iterable of batches, yielded none.", "Give it anew.")
            )
        return jax.tree.map(lambda *outputs: np.concatenate(outputs), *parts)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """Returns the outputs for one batch."""
        return self.predict(x)

    def _with_batch_axis(self, x: Any) -> Any:
        """Takes a single row for a batch of one, and says so."""
        shape = self.build_shape
        is_single = is_shape(shape) and getattr(x, "shape", None) == shape[1:]
        if not is_single or len(shape) < 3:
            return x
        warnings.warn(
            f"predict: x has the shape {shape[1:]} of a single row, and is taken for a batch of "
            "one. Type predict(x[None]), or x[:1] of an array of rows.",
            EvenkeelWarning,
            stacklevel=3,
        )
        return np.asarray(x)[None]

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
        with self.left_as_it_was():
            data = Reader(self).batch(x, y, sample_weight, class_weight, is_batch=True)
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
            key=random_key(next_seed()),
            telemetry="off",
            should_stop=lambda: False,
            is_whole=False,
        ).go()
        logs = {name: values[-1] for name, values in history.history.items()}
        return _answer(logs, return_dict)

    def test_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Returns the loss and metrics of one batch, in inference mode."""
        return self.evaluate(
            x,
            y,
            verbose=0,
            sample_weight=sample_weight,
            return_dict=return_dict,
        )

    def __call__(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Returns the outputs for a batch, compiled; nothing of the model changes.

        Args:
            inputs: The inputs of the batch.
            *args: Whatever else the network takes.
            training: True for the behaviour of training (dropout drops, and so on); moving
                averages stay as they are all the same.
            **kwargs: Whatever else the network takes.
        """
        is_inside = current_scope() is not None or is_symbolic(inputs)
        is_traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(inputs))
        if is_inside or is_traced or args or kwargs:
            return super().__call__(inputs, *args, training=training, **kwargs)
        with self.left_as_it_was():
            rows = Reader(self).inputs(inputs)
        return self._run_forward(jax.tree.map(jnp.asarray, rows), bool(training))

    def _run_forward(self, x: Any, training: bool) -> Any:
        plan = Plan.of(self, precision=self.precision)
        name = (plan.fingerprint, training)
        if name not in self._forward:
            while len(self._forward) >= _PLANS_KEPT:
                self._forward.pop(next(iter(self._forward)))
            draws = draws_randomness(plan, x, training=training)
            self._forward[name] = (forward_program(plan, training), draws)
        program, draws = self._forward[name]
        key = random_key(next_seed()) if draws else None
        return program(*plan.read_values(), x, key)

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

    def save_weights(self, path: str | Path, overwrite: bool = True) -> None:
        """Writes the weights alone to a file, in the safetensors format whatever its name.

        Args:
            path: Where to; the folder must exist.
            overwrite: Whether an existing file may be replaced.

        Raises:
            FileExistsError: If the file exists and may not be replaced.
        """
        require_built(self, "The set of weights")
        saving.save_weights(self, Path(path), overwrite=overwrite)

    def load_weights(self, path: str | Path) -> None:
        """Reads weights, which `save_weights` or `save` wrote, into this model, all or none.

        Args:
            path: The file.

        Raises:
            FileNotFoundError: If there is no such file.
            FileRefusedError: If it is damaged, or a name or shape in it is not the model's; the
                weights are then left as they were.
        """
        require_built(self, "The set of weights")
        saving.load_weights(self, Path(path))

    def _require_compiled(self, act: str) -> None:
        if self.declared is None or self.optimizer is None:
            raise NotCompiledError(
                explain(
                    f"{act}: the model {self.name!r} was not compiled, so it has no loss.",
                    "Call model.compile(optimizer='adam', loss='mse') first.",
                )
            )


# What Keras's compile takes besides, and with which values it changes nothing here.
_NEUTRAL: dict[str, Any] = {
    "run_eagerly": lambda value: not value,
    "jit_compile": lambda value: value in (True, "auto", None),
    "steps_per_execution": lambda value: isinstance(value, int) and value >= 1,
    "auto_scale_loss": lambda value: isinstance(value, bool),
}


def _refuse_unless_neutral(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in _NEUTRAL:
            known = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics")
            raise InvalidArgumentError(
                explain(
                    f"compile got the unknown argument {name!r}.",
                    nearest(name, [*known, "telemetry", "precision", *_NEUTRAL]),
                )
            )
        if not _NEUTRAL[name](value):
            raise InvalidArgumentError(
                explain(
                    f"compile({name}): got {value!r}, but every run here is compiled, an epoch at "
                    "a time.",
                    "Leave it out. To look inside, type compile(telemetry='full'), or call the "
                    "model on a batch.",
                )
            )


def _answer(logs: dict[str, float], return_dict: bool) -> Any:
    """Returns logs as `evaluate` and the like do: all as a dict, or as Keras's list without names.

    The penalty, which Keras does not name, is left out of the list, so that each number keeps its
    place.
    """
    if return_dict:
        return logs
    values = [value for name, value in logs.items() if name != PENALTY]
    return values if len(values) > 1 else values[0]
