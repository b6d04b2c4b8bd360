"""Where numbers stop being finite: one step, looked at piece by piece.

This is compiled only when a run has broken. It takes the step of a batch again, keeps what every
layer puts out, and asks of each array, in the order of the computation, whether it is finite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.engine.compilation import Program, compiled
from evenkeel.engine.plan import Plan
from evenkeel.engine.state import State
from evenkeel.engine.step import Batch, loss_of
from evenkeel.network import Array

What = Literal["data", "output", "loss", "gradient", "weights"]


@dataclass(frozen=True, kw_only=True)
class Site:
    """The first array of a step that is not finite.

    Attributes:
        what: Whether it is of the data, a layer's output, the loss, a gradient, or new weights.
        place: The path of the layer or variable; for the loss the last layer that was finite; for
            data `"x"`, `"y"` or `"sample_weight"`.

    Example:
        >>> Site(what="gradient", place="dense/kernel").words
        "the gradient of 'dense/kernel'"
    """

    what: What
    place: str = ""

    @property
    def words(self) -> str:
        """What it is, as a part of a sentence."""
        names = {
            "data": f"a value of {self.place}",
            "output": f"the output of {self.place!r}",
            "loss": f"the loss of what {self.place!r} puts out",
            "gradient": f"the gradient of {self.place!r}",
            "weights": f"the new value of {self.place!r}",
        }
        return names[self.what]


class Inspection:
    """Takes a step again and says what of it is not finite.

    Args:
        plan: What a step does.
    """

    def __init__(self, plan: Plan):
        self._plan = plan
        self._sites: list[Site] = []
        self._program: Program = compiled(self._looked_at, name="inspection")

    def __call__(self, state: State, batch: Batch, factor: np.float32) -> Site | None:
        """Returns the first array of a step that is not finite, in the order of the computation.

        Args:
            state: The state before the step; it can be used afterwards.
            batch: The rows of the step.
            factor: The learning rate, or the factor on its schedule.

        Returns:
            The site; None if all is finite.
        """
        finite = np.asarray(self._program(state, batch, factor))
        bad = np.flatnonzero(~finite)
        return self._sites[int(bad[0])] if len(bad) else None

    def _looked_at(self, state: State, batch: Batch, factor: Array) -> Array:
        plan = self._plan
        assert plan.optimizer is not None
        key = jax.random.fold_in(state.key, state.step)
        order: list[tuple[str, tuple[str, ...] | None]] = []

        def objective(trained: dict[str, Array]) -> Any:
            loss, seen = loss_of(plan, trained, state.others, batch, key, record=True)
            taps = seen.taps or {}
            order[:] = [(path, seen.tap_names.get(path)) for path in taps]
            return loss, taps

        (loss, taps), gradients = jax.value_and_grad(objective, has_aux=True)(state.trained)
        piled = plan.piled(state.trained)
        trained, _ = plan.optimizer.advance(
            gradients, state.slots, state.trained, factor, state.step, piled
        )
        trained = plan.constrained(trained)
        paths = [
            (path, plan.piles[path] if path in piled else None)
            for path in plan.trained
            if path in trained
        ]
        self._sites, answers = [], []

        def inside(path: str) -> str:
            return path.removeprefix(f"{plan.network.name}/")

        def ask(what: What, place: str, array: Array, names: tuple[str, ...] | None = None) -> None:
            # An array under several names holds one value for each, one upon another.
            self._sites += [Site(what=what, place=inside(name)) for name in names or (place,)]
            answers.append(jax.vmap(_is_finite)(array) if names else _is_finite(array)[None])

        for place, part in (("x", batch.x), ("y", batch.y), ("sample_weight", batch.weight)):
            for leaf in jax.tree.leaves(part):
                ask("data", place, leaf)
        for path, names in order:
            ask("output", path, taps[path], names)
        last = next((path for path, _ in reversed(order) if "/" in path), plan.network.name)
        ask("loss", last, loss)
        for path, names in reversed(paths):  # gradients come from the last layer to the first
            ask("gradient", path, gradients[path], names)
        for path, names in paths:
            ask("weights", path, trained[path], names)
        return jnp.concatenate(answers)


def _is_finite(array: Array) -> Array:
    if not jnp.issubdtype(array.dtype, jnp.inexact):
        return jnp.array(True)
    return jnp.isfinite(array).all()
