"""Layers: what networks are stacked from.

`base` is the contract; the others are families of small layers. How a network of layers trains
is no business of this package; see `evenkeel.engine`.
"""

from evenkeel.layers.activation import ELU, LeakyReLU, PReLU, ReLU, RReLU, Softmax
from evenkeel.layers.base import Layer
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

__all__ = [
    "ELU",
    "Activation",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Identity",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
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
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
