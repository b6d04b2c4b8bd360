"""The schedule: a learning rate as a function of the step, as a value that can be written down."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import Field, fields, is_dataclass, replace
from typing import Any, ClassVar, TypeVar

import jax.numpy as jnp

from evenkeel.errors import InvalidArgumentError, explain, nearest, number_in
from evenkeel.network import Array
from evenkeel.optimizers.schedules import view
from evenkeel.optimizers.schedules.horizons import (
    Horizon,
    epochs,
    fraction,
    horizon,
    in_steps,
    written,
)
from evenkeel.registry import Registry, serialize

registry: Registry[LearningRateSchedule] = Registry("schedule")
S = TypeVar("S", bound="LearningRateSchedule")


class LearningRateSchedule:
    """The contract of every schedule: called with a step, it returns the learning rate.

    Steps count from 0, and with gradient accumulation they count updates. A schedule works on
    integers, arrays of steps, and inside compiled programs. The ones here are frozen
    dataclasses, equal when their settings are.

    A subclass writes `rate(t)`, or defines `__call__(step)` alone. One that also sets the
    momentum has `cycles_momentum = True` and `momentum(step)`.

    Example:
        >>> class Halving(LearningRateSchedule):
        ...     def rate(self, t):
        ...         return 0.1 * 0.5 ** (t / 1000)
        >>> float(Halving()(1000))
        0.05...
    """

    # The names of the arguments that are lengths of time.
    _horizons: ClassVar[tuple[str, ...]] = ()
    _may_be_zero: ClassVar[tuple[str, ...]] = ()

    # -- the curve ---------------------------------------------------------------------------

    def __call__(self, step: Any) -> Array:
        """Returns the learning rate at a step, or at each of an array of steps."""
        return self.rate(jnp.asarray(step, jnp.float32))

    def rate(self, t: Array) -> Array:
        """Returns the learning rate at a step that is already a float32 array."""
        raise NotImplementedError(f"{type(self).__name__} must define rate(t) or __call__(step).")

    @property
    def cycles_momentum(self) -> bool:
        """Whether the schedule also says what the momentum is."""
        return False

    def momentum(self, step: Any) -> Array | None:
        """Returns the momentum at a step; None if the schedule leaves it to the optimizer."""
        return None

    # -- the horizons ------------------------------------------------------------------------

    def resolve(
        self,
        *,
        steps_per_epoch: float | None = None,
        total_steps: float | None = None,
        start: int = 0,
    ) -> LearningRateSchedule:
        """Returns the same schedule with every length of time in steps.

        `fit` does this when a run begins. Lengths in steps or epochs count from the optimizer's
        first step; a schedule with a fraction in it is of the run and begins with it.

        Args:
            steps_per_epoch: How many steps an epoch has; None if that is not known.
            total_steps: How many steps the run has; None if that is not known.
            start: The optimizer's step at which the run began.

        Raises:
            InvalidArgumentError: If a length cannot be told in steps.

        Example:
            >>> from evenkeel.optimizers.schedules import ExponentialDecay, epochs
            >>> ExponentialDecay(0.1, epochs(5), 0.5).resolve(steps_per_epoch=300)
            ExponentialDecay(initial_learning_rate=0.1, decay_steps=1500, decay_rate=0.5, staircase=False)
        """  # noqa: E501  # doctest compares the line as it is
        from evenkeel.optimizers.schedules.composition import Delayed

        resolved = self._within(steps_per_epoch, total_steps)
        return Delayed(resolved, start) if start and self.is_of_the_run else resolved

    def _within(self, steps_per_epoch: float | None, total_steps: float | None) -> Any:
        """Returns the schedule with its horizons in steps, as if the run began at step 0."""
        if not self._unresolved:
            return self

        def known(value: Any, where: str) -> Any:
            if isinstance(value, tuple):
                return tuple(known(v, where) for v in value)
            return in_steps(where, value, steps_per_epoch, total_steps)

        found = {n: known(getattr(self, n), self._where(n)) for n in self._horizons}
        return replace(self, **found)  # pyright: ignore[reportArgumentType]  # has horizons, so it is a dataclass

    @property
    def is_of_the_run(self) -> bool:
        """Whether it has a fraction of the run in it, and so begins anew with each run."""
        return any(isinstance(h, fraction) for h in self._all_horizons())

    @property
    def _unresolved(self) -> list[Any]:
        return [h for h in self._all_horizons() if isinstance(h, epochs | fraction)]

    def _all_horizons(self) -> list[Horizon]:
        own = [h for name in self._horizons for h in _as_tuple(getattr(self, name))]
        return own + [h for inner in self._inner() for h in inner._all_horizons()]

    def _inner(self) -> tuple[LearningRateSchedule, ...]:
        """Returns the schedules that this one is made of."""
        return ()

    @property
    def length(self) -> int | None:
        """After how many steps nothing new comes, as far as that is known."""
        return max((h for h in self._all_horizons() if isinstance(h, int)), default=None)

    # -- checks, for subclasses --------------------------------------------------------------

    @classmethod
    def _where(cls, argument: str) -> str:
        return f"{cls.__name__}({argument})"

    def _set(self, **values: Any) -> None:
        """Sets fields while they are being checked; afterwards they are frozen."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _check_rates(self, *names: str) -> None:
        for name in names:
            value = number_in(self._where(name), getattr(self, name), 0, math.inf)
            self._set(**{name: value})

    def _check_number(self, name: str, low: float, high: float, **open_ends: bool) -> None:
        value = number_in(self._where(name), getattr(self, name), low, high, **open_ends)
        self._set(**{name: value})

    def _check_horizons(self) -> None:
        for name in self._horizons:
            zero, where, value = name in self._may_be_zero, self._where(name), getattr(self, name)
            if isinstance(value, list | tuple):
                checked: Any = tuple(horizon(where, v, may_be_zero=zero) for v in value)
            else:
                checked = horizon(where, value, may_be_zero=zero)
            self._set(**{name: checked})

    def _steps(self, name: str) -> int:
        """Returns a horizon as a number of steps, which must be known by now."""
        return self._known(name, getattr(self, name))

    def _known(self, name: str, value: Any) -> int:
        if isinstance(value, int):
            return value
        raise InvalidArgumentError(
            explain(
                f"{self._where(name)}: {value!r} is not yet a number of steps.",
                "How long an epoch or a run is becomes known when fit begins.",
                "Train with model.fit, or resolve it yourself: "
                "schedule.resolve(steps_per_epoch=300, total_steps=3000).",
            )
        )

    # -- to look at --------------------------------------------------------------------------

    def table(
        self,
        points: int = 11,
        *,
        steps_per_epoch: int | None = None,
        total_steps: int | None = None,
    ) -> str:
        """Returns the curve as a table to print: step, epoch, rate, and momentum if it has one.

        Args:
            points: The number of rows, spread evenly, at least 2.
            steps_per_epoch: How many steps an epoch has; without it there is no column of epochs.
            total_steps: How many steps to show; the schedule's own length when None.

        Raises:
            InvalidArgumentError: If the length is not known.

        Example:
            >>> from evenkeel.optimizers.schedules import PolynomialDecay
            >>> print(PolynomialDecay(0.1, 1000).table(points=3))
              step  learning rate
                 0            0.1
               500        0.05005
              1000         0.0001
        """
        return view.table(self, points, steps_per_epoch, total_steps)

    def plot(
        self,
        ax: Any = None,
        *,
        points: int = 400,
        steps_per_epoch: int | None = None,
        total_steps: int | None = None,
    ) -> Any:
        """Draws the curve with matplotlib and returns the axes.

        Args:
            ax: The axes to draw on; new ones when None.
            points: At how many steps to look, spread evenly.
            steps_per_epoch: How many steps an epoch has.
            total_steps: How many steps to show; the schedule's own length when None.

        Raises:
            MissingPackageError: If matplotlib is not installed.
            InvalidArgumentError: If the length is not known.
        """
        return view.plot(self, ax, points, steps_per_epoch, total_steps)

    # -- configuration -----------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data."""
        if not is_dataclass(self):
            raise InvalidArgumentError(
                explain(
                    f"{type(self).__name__} is a schedule of yours without get_config, and a file "
                    "holds no code.",
                    "Let get_config return its constructor's arguments, or make it a frozen "
                    "dataclass, and decorate it with @ek.saving.register.",
                )
            )
        return {f.name: _plain(getattr(self, f.name)) for f in _written_fields(self)}

    @classmethod
    def from_config(cls: type[S], config: dict[str, Any]) -> S:
        """Rebuilds the schedule from `get_config()`."""
        return cls(**config)


def _written_fields(schedule: Any) -> list[Field[Any]]:
    return [f for f in fields(schedule) if f.name != "name" or schedule.name is not None]


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, LearningRateSchedule):
        return serialize(value)
    return written(value) if isinstance(value, epochs | fraction) else value


def get(identifier: Any) -> Callable[[Any], Any]:
    """Returns the schedule that an instance, a function or a configuration stands for.

    Raises:
        InvalidArgumentError: If there is no such schedule; the nearest name is offered.

    Example:
        >>> get({"class_name": "ConstantRate", "config": {"learning_rate": 0.1}})
        ConstantRate(learning_rate=0.1)
    """
    if isinstance(identifier, dict):
        return registry.build(identifier)
    if isinstance(identifier, str):
        found = registry.lookup(identifier)
        raise InvalidArgumentError(
            explain(
                f"A schedule cannot be had by its name {identifier!r} alone: it has arguments.",
                f"Type ek.optimizers.schedules.{found.__name__}(...).",
            )
        )
    if callable(identifier) and not isinstance(identifier, type):
        return identifier
    raise InvalidArgumentError(
        explain(
            f"A schedule cannot be {identifier!r}.",
            "Type an instance such as ek.optimizers.schedules.ExponentialDecay(0.01, 1000, 0.5), "
            "or a function of the step. " + nearest("", registry.names),
        )
    )
