"""Optimizers: what a gradient does to the parameters.

Each is a pair of pure functions around its equations (`base` has the contract); what can stand
around each is in `surroundings`, and rates that change in `schedules`. Any optax transformation is
accepted wherever an optimizer is.
"""

from evenkeel.optimizers import legacy, schedules
from evenkeel.optimizers.adam import Adam, Adamax, AdamW, Nadam
from evenkeel.optimizers.adaptive import Adagrad, RMSprop
from evenkeel.optimizers.base import Optimizer, Schedule
from evenkeel.optimizers.foreign import OptaxOptimizer, get
from evenkeel.optimizers.sgd import SGD
from evenkeel.registry import serialize

# Keras's word for `get` where a configuration is read.
deserialize = get

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "OptaxOptimizer",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "deserialize",
    "get",
    "legacy",
    "schedules",
    "serialize",
]
