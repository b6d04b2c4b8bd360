"""A schedule as a table or as a drawing, so that it can be looked at before hours of training."""

from __future__ import annotations

from typing import Any

import numpy as np

from evenkeel.errors import InvalidArgumentError, explain, integer_at_least, optional_package


def curve(
    schedule: Any, points: int, steps_per_epoch: int | None, total_steps: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Returns steps spread evenly, the rate at each, and the momentum if the schedule has one.

    Raises:
        InvalidArgumentError: If the length is not known.
    """
    points = integer_at_least(2, "points", points)
    resolved = schedule.resolve(steps_per_epoch=steps_per_epoch, total_steps=total_steps)
    length = total_steps if total_steps is not None else resolved.length
    if not length:
        raise InvalidArgumentError(
            explain(
                f"{type(schedule).__name__}: how many steps to show is not known.",
                "Give total_steps=1000.",
            )
        )
    steps = np.unique(np.linspace(0, length, points).round().astype(np.int32))
    momenta = resolved.momentum(steps)
    return steps, np.asarray(resolved(steps)), None if momenta is None else np.asarray(momenta)


def table(schedule: Any, points: int, steps_per_epoch: int | None, total_steps: int | None) -> str:
    """Returns the curve as a table. See `LearningRateSchedule.table`."""
    steps, rates, momenta = curve(schedule, points, steps_per_epoch, total_steps)
    columns = [["step", *(str(step) for step in steps)]]
    if steps_per_epoch is not None:
        columns.append(["epoch", *(f"{step / steps_per_epoch:.2f}" for step in steps)])
    columns.append(["learning rate", *(f"{rate:.4g}" for rate in rates)])
    if momenta is not None:
        columns.append(["momentum", *(f"{momentum:.4g}" for momentum in momenta)])
    widths = [max(map(len, column)) for column in columns]
    rows = zip(*columns, strict=True)
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(lines)


def plot(
    schedule: Any, ax: Any, points: int, steps_per_epoch: int | None, total_steps: int | None
) -> Any:
    """Draws the curve. See `LearningRateSchedule.plot`."""
    steps, rates, momenta = curve(schedule, points, steps_per_epoch, total_steps)
    if ax is None:
        ax = optional_package("matplotlib.pyplot", "plot").subplots()[1]
    x = steps if steps_per_epoch is None else steps / steps_per_epoch
    ax.plot(x, rates, color="C0", label="learning rate")
    ax.set_xlabel("step" if steps_per_epoch is None else "epoch")
    ax.set_ylabel("learning rate")
    if momenta is not None:
        other = ax.twinx()
        other.plot(x, momenta, color="C1", linestyle="--", label="momentum")
        other.set_ylabel("momentum")
    return ax
