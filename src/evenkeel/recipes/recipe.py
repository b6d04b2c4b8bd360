"""The recipe: choices with their reasons, from which a model is built and trained."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evenkeel.callbacks import EarlyStopping, ReduceLROnPlateau
from evenkeel.datasets.splitting import split_rows
from evenkeel.engine.hooks import Callback
from evenkeel.errors import InvalidDataError, explain, nearest
from evenkeel.models import Sequential
from evenkeel.recipes.building import built
from evenkeel.recipes.choices import ASKED, Choice, checked, shown
from evenkeel.recipes.profile import Profile

_WIDTH = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """How to build and train a network for some data: choices, each with its reason.

    Printing it shows a table. It is a value: nothing of it changes, and each `build` makes a new
    model with weights of its own.

    Attributes:
        name: Which recipe it is.
        profile: What is known of the data.
        choices: What was chosen, in the order in which it was.

    Example:
        >>> import evenkeel as ek
        >>> (x, y), _ = ek.datasets.digits.load_data()
        >>> recipe = ek.recipes.default(x, y, hidden=(50,), epochs=3)
        >>> recipe["activation"], recipe["loss"]
        ('elu', 'sparse_categorical_crossentropy')
        >>> model = recipe.fit(x, y, verbose=0)
        >>> model.predict(x[:2]).shape
        (2, 10)
    """

    name: str
    profile: Profile
    choices: tuple[Choice, ...]

    def __getitem__(self, name: str) -> Any:
        """Returns the value of a choice."""
        return self.choice(name).value

    def choice(self, name: str) -> Choice:
        """Returns a choice by its name.

        Raises:
            KeyError: If there is none; the nearest name is offered.
        """
        for choice in self.choices:
            if choice.name == name:
                return choice
        names = [choice.name for choice in self.choices]
        raise KeyError(f"This recipe chooses no {name!r}. {nearest(name, names)}")

    def having(self, **values: Any) -> Recipe:
        """Returns the recipe with other values; the remaining choices stay as they are.

        To have the others follow, ask for the values where the recipe is made:
        `ek.recipes.default(x, y, hidden=(100,) * 20)`.

        Args:
            **values: Values by the choices' names.

        Raises:
            InvalidArgumentError: If there is no such choice, or a value is impossible.
        """
        return self.changed(*(Choice(n, v, ASKED) for n, v in checked(values).items()))

    def changed(self, *choices: Choice, name: str | None = None) -> Recipe:
        """Returns the recipe with other choices, those that it does not have yet at the end.

        Args:
            *choices: The choices.
            name: What the recipe is called then; its own name when None.
        """
        new = {choice.name: choice for choice in choices}
        kept = [new.pop(choice.name, choice) for choice in self.choices]
        return replace(self, choices=(*kept, *new.values()), name=name or self.name)

    def build(self) -> Sequential:
        """Returns a new model of these choices, compiled. It takes and gives raw values."""
        return built(self)

    def callbacks(self) -> list[Callback]:
        """Returns new callbacks for a run: the schedule's, if it has one, and early stopping."""
        listeners: list[Callback] = []
        if self["schedule"] == "performance":
            patience = max(1, self["patience"] // 4)
            listeners.append(ReduceLROnPlateau(factor=0.5, patience=patience, min_delta=0.0))
        listeners.append(EarlyStopping(patience=self["patience"], restore_best_weights=True))
        return listeners

    def fit_arguments(self) -> dict[str, Any]:
        """Returns what `model.fit` takes besides the data; the callbacks need validation data.

        Example:
            >>> import evenkeel as ek
            >>> recipe = ek.recipes.default(np.eye(8), np.arange(8.0) / 3)
            >>> sorted(recipe.fit_arguments())
            ['batch_size', 'callbacks', 'class_weight', 'epochs']
        """
        return {
            "batch_size": self["batch_size"],
            "epochs": self["epochs"],
            "callbacks": self.callbacks(),
            "class_weight": self._class_weight(),
        }

    def _class_weight(self) -> dict[int, float] | None:
        weights = {c.name: c.value for c in self.choices}.get("class_weight")
        if weights is None or self.profile.kind not in ("binary", "classes", "one-hot"):
            return None
        counts = self.profile.counts
        present = np.flatnonzero(counts)
        return {int(n): float(counts.sum() / (len(present) * counts[n])) for n in present}

    def fit(
        self,
        x: Any,
        y: Any,
        validation_data: Any = None,
        *,
        validation_fraction: float = 0.1,
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
        verbose: Any = "auto",
    ) -> Sequential:
        """Builds a model and trains it.

        Args:
            x: The training inputs, raw.
            y: Their targets, raw.
            validation_data: (x, y) of other rows, by which the best epoch is told; when None,
                some of the training rows are kept back for it.
            validation_fraction: How many of them, in (0, 1).
            seed: The seed of the draw of those rows.
            callbacks: More callbacks.
            verbose: As in `Model.fit`.

        Returns:
            The trained model, with the weights of its best epoch; the run is in `model.history`.

        Raises:
            InvalidDataError: If the data is not of the form that the recipe was made for.
        """
        if validation_data is None:
            x, y, *validation_data = self._held_out(x, y, validation_fraction, seed)
        model = self.build()
        arguments = self.fit_arguments()
        arguments["callbacks"] += callbacks
        model.fit(x, y, validation_data=tuple(validation_data), verbose=verbose, **arguments)
        return model

    def _held_out(self, x: Any, y: Any, fraction: float, seed: int) -> tuple[Any, ...]:
        x, y = np.asarray(x), np.asarray(y)
        if len(x) != len(y):
            raise InvalidDataError(
                explain(
                    f"x has {len(x)} rows and y has {len(y)}; they must belong together row by "
                    "row.",
                    "Check that both were cut, filtered and shuffled the same way.",
                )
            )
        labels = y.argmax(axis=1) if self.profile.kind == "one-hot" else y.reshape(len(y), -1)[:, 0]
        by_class = self.profile.kind in ("binary", "classes", "one-hot")
        rows = np.arange(len(x))
        stay, _, go, _ = split_rows(rows, labels, fraction, seed, by_class=by_class)
        return x[stay], y[stay], x[go], y[go]

    def to_dict(self) -> dict[str, Any]:
        """Returns the choices as plain data that JSON can hold."""
        choices = {c.name: {"value": _plain(c.value), "reason": c.reason} for c in self.choices}
        return {"recipe": self.name, "choices": choices}

    def __str__(self) -> str:
        rows = [(c.name, shown(c.value), c.reason) for c in self.choices]
        first = max(len(row[0]) for row in rows)
        second = max(len(row[1]) for row in rows)
        lines = [f"Recipe {self.name!r} for {self.profile}"]
        for name, value, reason in rows:
            wrapped = textwrap.wrap(reason, max(_WIDTH - first - second - 4, 30))
            lines.append(f"{name:{first}}  {value:{second}}  {wrapped[0]}")
            lines += [" " * (first + second + 4) + more for more in wrapped[1:]]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Recipe {self.name!r}: {len(self.choices)} choices; print it for the reasons>"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
