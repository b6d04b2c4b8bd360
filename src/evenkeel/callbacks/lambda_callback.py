"""A callback made out of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evenkeel.engine.hooks import Callback
from evenkeel.errors import InvalidArgumentError, explain, nearest

Hook = Callable[..., Any]


class LambdaCallback(Callback):
    """A callback made out of functions, one for each hook that is wanted.

    Only the hooks given exist. A run is slowed by calls after every batch only where a function
    for single batches is given.

    It keeps nothing of its own between runs; what the functions keep is theirs.

    Args:
        on_epoch_begin: Called with `(epoch, logs)` before an epoch.
        on_epoch_end: Called with `(epoch, logs)` after an epoch.
        on_train_begin: Called with `(logs)` before the first epoch.
        on_train_end: Called with `(logs)` after the last.
        on_train_batch_begin: Called with `(batch, logs)` before every step.
        on_train_batch_end: Called with `(batch, logs)` after every step.
        **hooks: Functions for the other hooks of `Callback`, by name.

    Raises:
        InvalidArgumentError: If there is no such hook, or what is given cannot be called.

    Example:
        >>> losses = []
        >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
        >>> callback.on_epoch_end(0, {"loss": 0.5})
        >>> losses
        [0.5]
    """

    def __init__(
        self,
        on_epoch_begin: Hook | None = None,
        on_epoch_end: Hook | None = None,
        on_train_begin: Hook | None = None,
        on_train_end: Hook | None = None,
        on_train_batch_begin: Hook | None = None,
        on_train_batch_end: Hook | None = None,
        **hooks: Hook | None,
    ):
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **hooks,
        }
        known = [name for name in vars(Callback) if name.startswith("on_")] + ["close"]
        for name, function in given.items():
            if name not in known:
                raise InvalidArgumentError(
                    explain(f"LambdaCallback: there is no hook {name!r}.", nearest(name, known))
                )
            if function is not None and not callable(function):
                raise InvalidArgumentError(
                    explain(
                        f"LambdaCallback({name}): got {function!r}, expected a function.",
                        f"Type {name}=lambda *arguments: print(arguments), for example.",
                    )
                )
            if function is not None:
                setattr(self, name, function)
