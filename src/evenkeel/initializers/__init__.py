"""Starting values: rules that keep signals and gradients at an even size through many layers.

An initializer is called with a shape and returns float32 values. Strings work wherever one is
expected (`kernel_initializer="he_normal"`). `scaling` has the rules that look at a kernel's fans,
`matrices` and `fixed` the others, `base` the contract. `calibrate` asks the data instead of a
rule: it rescales the kernels of a whole network, layer by layer.

Draws come from counter-based NumPy generators: no compilation, the same numbers on every device.
"""

from evenkeel.initializers.base import TRUNCATED_NORMAL_STDDEV as TRUNCATED_NORMAL_STDDEV
from evenkeel.initializers.base import Initializer, fans, get
from evenkeel.initializers.base import registry as registry
from evenkeel.initializers.calibration import LayerCalibration, calibrate
from evenkeel.initializers.fixed import (
    Constant,
    Ones,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    Zeros,
)
from evenkeel.initializers.matrices import Identity, Orthogonal
from evenkeel.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)
from evenkeel.registry import serialize

# The names under which Keras also knows them.
constant, identity, ones, zeros = Constant, Identity, Ones, Zeros
glorot_normal, glorot_uniform = GlorotNormal, GlorotUniform
he_normal, he_uniform = HeNormal, HeUniform
lecun_normal, lecun_uniform = LecunNormal, LecunUniform
orthogonal = Orthogonal
random_normal, random_uniform = RandomNormal, RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling

# Keras's word for `get` where a configuration is read.
deserialize = get

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LayerCalibration",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "calibrate",
    "constant",
    "deserialize",
    "fans",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]
