"""Where a run can be listened to: the callback contract and the list that calls them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from evenkeel.errors import InvalidArgumentError, explain

Logs = dict[str, float]


class Callback:
    """Listens to a run; every method does nothing unless a subclass writes it.

    `self.model` is the model, and `self.model.optimizer` its optimizer. `self.params` are the
    run's settings: `epochs`, `steps` (an epoch; None if not known), `batch_size`, `verbose` and
    `validation_freq`. A subclass need not call `super().__init__()`.

    In `fit` the hooks are called in this order, and of several callbacks each in the order of
    the list:

        set_params, set_model
        on_train_begin
            on_epoch_begin                               for every epoch
                on_train_batch_begin, on_batch_begin     for every batch, if listened to
                on_train_batch_end, on_batch_end
                on_progress                              a few times a second
                on_test_begin                            if the epoch is validated
                    on_test_batch_begin, on_test_batch_end
                on_test_end
            on_epoch_end
        on_train_end                                     unless an error ended the run
        close                                            however it ended

    `logs` are plain floats by name. Those of `on_epoch_end` are shared: what one callback adds,
    the next ones see, and it goes into the history. Weights and learning rates that are set are
    trained on from there. To end the run after the current epoch (or batch, if batches are
    listened to), set `self.model.stop_training = True`.

    An epoch in which the loss or a weight stops being finite has `on_not_finite`. If it is taken
    again, it has no `on_epoch_end`, and begins anew with `on_epoch_begin`. `on_notice` may come at
    any time.

    A callback that writes a batch method makes the run call Python after every step, which is
    slower; `fit` says so. A method that is set on the callback itself,
    `callback.on_train_batch_end = function`, counts as written, so that a callback can listen to
    batches only where it is asked to.

    Example:
        >>> class Announce(Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(epoch, sorted(logs))
    """

    model: Any = None
    params: dict[str, Any] | None = None

    def set_model(self, model: Any) -> None:
        """Receives the model before the run."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Receives the run's settings: epochs, steps, batch_size, verbose."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, numbered from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation, with its logs."""

    def on_not_finite(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch in which the loss or a weight stopped being finite.

        The weights go back to where the epoch began. Where a lower learning rate can help, the
        epoch is taken again, from `on_epoch_begin` on; `self.model.history.breaks[-1]` says where
        it broke. Set `self.model.stop_training` to end the run instead.
        """

    def on_notice(self, text: str) -> None:
        """When there is something to say to the user, in one line."""

    def on_progress(self, step: int, steps: int | None, logs: Logs | None = None) -> None:
        """Within an epoch, a few times a second: steps done, steps in all, logs so far."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step, with the epoch's logs so far."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation, with the logs so far."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation, with its logs."""

    def close(self) -> None:
        """After a run, however it ended, also by an error: gives back what is held."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""


BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
TEST_BATCH_HOOKS = ("on_test_batch_begin", "on_test_batch_end")


class CallbackList:
    """Calls every callback of a run, in order. A callback need not derive from `Callback`."""

    def __init__(self, callbacks: Iterable[Any], model: Any, params: dict[str, Any]):
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            _refuse_what_cannot_listen(callback)
        for callback in self.callbacks:
            _call(callback, "set_params", params)
            _call(callback, "set_model", model)

    @property
    def wants_batches(self) -> list[str]:
        """The names of the callbacks that listen to single training batches."""
        return self._writers_of(BATCH_HOOKS)

    @property
    def wants_test_batches(self) -> list[str]:
        """The names of the callbacks that listen to single batches of an evaluation."""
        return self._writers_of(TEST_BATCH_HOOKS)

    def add(self, callback: Any) -> None:
        """Adds one behind the others, which is told of the run by other means."""
        self.callbacks.append(callback)

    def listens_to(self, hook: str) -> bool:
        """Whether any callback has written a hook."""
        return bool(self._writers_of([hook]))

    def _writers_of(self, hooks: Iterable[str]) -> list[str]:
        return [
            type(callback).__name__
            for callback in self.callbacks
            if any(_is_written(callback, hook) for hook in hooks)
        ]

    def call(self, hook: str, *args: Any) -> None:
        """Calls one hook of all callbacks."""
        for callback in self.callbacks:
            _call(callback, hook, *args)

    def batch(self, moment: str, batch: int, logs: Logs | None = None) -> None:
        """Calls the batch hooks of a moment, `"begin"` or `"end"`, under both names."""
        self.call(f"on_train_batch_{moment}", batch, logs)
        self.call(f"on_batch_{moment}", batch, logs)


def _refuse_what_cannot_listen(callback: Any) -> None:
    name = getattr(callback, "__name__", type(callback).__name__)
    hooks = [hook for hook in vars(Callback) if hook.startswith("on_")]
    if isinstance(callback, type):
        raise InvalidArgumentError(
            explain(
                f"callbacks: got the class {name}, expected an instance.",
                f"Type {name}(...), with its arguments.",
            )
        )
    if not any(hasattr(callback, hook) for hook in hooks):
        raise InvalidArgumentError(
            explain(
                f"callbacks: got {callback!r}, which has no method that a run would call.",
                "Give instances such as ek.callbacks.EarlyStopping(patience=10), or an object "
                "with on_epoch_end(epoch, logs).",
            )
        )


def _call(callback: Any, hook: str, *args: Any) -> None:
    method = getattr(callback, hook, None)
    if method is not None:
        method(*args)


def _is_written(callback: Any, hook: str) -> bool:
    """Whether calling a hook does something: it is in the callback's class, or set on itself."""
    method = getattr(callback, hook, None)
    function = getattr(method, "__func__", method)  # what a bound method is bound from
    return function is not None and function is not getattr(Callback, hook)
