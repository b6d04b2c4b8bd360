"""Layers: what networks are stacked from.

`base` is the contract; the others are families of small layers. How a network of layers trains
is no business of this package; see `evenkeel.engine`.
"""

from typing import Any

from evenkeel.errors import nearest
from evenkeel.layers.activation import ELU, LeakyReLU, PReLU, ReLU, RReLU, Softmax
from evenkeel.layers.base import Layer, get
from evenkeel.layers.convolution import Conv2D, ZeroPadding2D
from evenkeel.layers.core import Activation, Dense, Identity
from evenkeel.layers.dropout import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout2D,
)
from evenkeel.layers.embedding import Embedding
from evenkeel.layers.input import Input, InputLayer
from evenkeel.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    maximum,
    minimum,
    multiply,
    subtract,
)
from evenkeel.layers.normalization import (
    BatchNormalization,
    LayerNormalization,
    RMSNormalization,
)
from evenkeel.layers.pooling import (
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from evenkeel.layers.preprocessing import Normalization, Rescaling
from evenkeel.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from evenkeel.registry import serialize

# The shorter names under which Keras also knows them, and its word for reading a configuration.
MaxPool2D, AvgPool2D = MaxPooling2D, AveragePooling2D
GlobalMaxPool2D, GlobalAvgPool2D = GlobalMaxPooling2D, GlobalAveragePooling2D
Convolution2D = Conv2D
deserialize = get

__all__ = [
    "ELU",
    "Activation",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Convolution2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Identity",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "RReLU",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Softmax",
    "SpatialDropout2D",
    "Subtract",
    "ZeroPadding2D",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(f"evenkeel.layers has no {name!r}. {nearest(name, __all__)}")
