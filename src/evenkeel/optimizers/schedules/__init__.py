"""Schedules: the learning rate as a function of the step.

Each is a frozen dataclass, called with a step, with Keras's names and arguments. Wherever one asks
for a length of time it takes a number of steps, `epochs(n)`, or a `fraction(p)` of the run, and
`schedule.table()` shows the curve before any training. A plain function of the step is a schedule,
too; only that it cannot be written to a file.
"""

from evenkeel.optimizers.schedules.base import LearningRateSchedule, get
from evenkeel.optimizers.schedules.composition import Delayed, Joined, Warmup, join
from evenkeel.optimizers.schedules.decays import (
    ConstantRate,
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
    PowerDecay,
)
from evenkeel.optimizers.schedules.horizons import epochs, fraction, steps
from evenkeel.optimizers.schedules.one_cycle import OneCycle

__all__ = [
    "ConstantRate",
    "CosineDecay",
    "CosineDecayRestarts",
    "Delayed",
    "ExponentialDecay",
    "InverseTimeDecay",
    "Joined",
    "LearningRateSchedule",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "PowerDecay",
    "Warmup",
    "epochs",
    "fraction",
    "get",
    "join",
    "steps",
]
