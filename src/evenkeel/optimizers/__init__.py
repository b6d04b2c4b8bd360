"""Optimizers: what a gradient does to the parameters.

Each is a pair of pure functions around its equations (`base` has the contract). Any optax
transformation is accepted wherever an optimizer is.
"""

from evenkeel.optimizers.adaptive import Adam
from evenkeel.optimizers.base import OptaxOptimizer, Optimizer, Schedule, get
from evenkeel.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "OptaxOptimizer", "Optimizer", "Schedule", "get"]
