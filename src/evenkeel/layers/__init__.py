"""Layers: what networks are stacked from.

`base` is the contract; the others are families of small layers. How a network of layers trains
is no business of this package; see `evenkeel.engine`.
"""

from evenkeel.layers.activation import ELU, LeakyReLU, ReLU, Softmax
from evenkeel.layers.base import Layer
from evenkeel.layers.core import Activation, Dense, Flatten, Reshape
from evenkeel.layers.dropout import Dropout
from evenkeel.layers.input import Input, InputLayer
from evenkeel.layers.preprocessing import Normalization, Rescaling

__all__ = [
    "ELU",
    "Activation",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "Normalization",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
]
