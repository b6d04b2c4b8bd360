"""What the reference libraries were asked, as data: one entry per recorded name.

Class names and arguments are Keras's, which are also ours, so a test can build our object from
the same entry: `getattr(losses, case.kind)(**case.arguments)`. Inputs are named as in `recipe.py`.
"""

from typing import Any, NamedTuple


class Case(NamedTuple):
    """A class to construct and, where it needs some, the names of its inputs.

    Args:
        kind: Name of the class in Keras.
        arguments: Keyword arguments of its constructor.
        targets: Key of the targets in the inputs; empty if it takes none.
        predictions: Key of the predictions in the inputs; empty if it takes none.
    """

    kind: str
    arguments: dict[str, Any]
    targets: str = ""
    predictions: str = ""


ELEMENTWISE_ACTIVATIONS = (
    "sigmoid",
    "tanh",
    "relu",
    "linear",
    "exponential",
    "softplus",
    "softsign",
    "leaky_relu",
    "elu",
    "selu",
    "silu",
    "gelu",
    "mish",
    "hard_silu",
    "hard_sigmoid",
    "relu6",
    "celu",
    "hard_tanh",
    "log_sigmoid",
    "tanh_shrink",
)
ROW_ACTIVATIONS = ("softmax", "log_softmax")

_LOGITS = {"from_logits": True}
_SMOOTHED = {"label_smoothing": 0.1}
_REAL = ("real_targets", "real_predictions")
_BINARY = ("BinaryCrossentropy", "binary_targets")
_CLASSES = ("CategoricalCrossentropy", "class_targets")
_SPARSE = ("SparseCategoricalCrossentropy", "class_indices")


def _crossentropy(kind_and_targets, arguments, predictions):
    """Returns the case of a cross-entropy, whose targets follow from its kind."""
    kind, targets = kind_and_targets
    return Case(kind, arguments, targets, predictions)


LOSSES = {
    "mean_squared_error": Case("MeanSquaredError", {}, *_REAL),
    "mean_absolute_error": Case("MeanAbsoluteError", {}, *_REAL),
    "huber": Case("Huber", {"delta": 1.0}, *_REAL),
    "huber_delta_0.5": Case("Huber", {"delta": 0.5}, *_REAL),
    "binary_crossentropy": _crossentropy(_BINARY, {}, "binary_probabilities"),
    "binary_crossentropy_smoothed": _crossentropy(_BINARY, _SMOOTHED, "binary_probabilities"),
    "binary_crossentropy_saturated": _crossentropy(_BINARY, {}, "binary_saturated"),
    "binary_crossentropy_logits": _crossentropy(_BINARY, _LOGITS, "binary_logits"),
    "binary_crossentropy_logits_smoothed": _crossentropy(
        _BINARY, _LOGITS | _SMOOTHED, "binary_logits"
    ),
    "categorical_crossentropy": _crossentropy(_CLASSES, {}, "class_probabilities"),
    "categorical_crossentropy_smoothed": _crossentropy(_CLASSES, _SMOOTHED, "class_probabilities"),
    "categorical_crossentropy_unnormalized": _crossentropy(_CLASSES, {}, "class_unnormalized"),
    "categorical_crossentropy_saturated": _crossentropy(_CLASSES, {}, "class_saturated"),
    "categorical_crossentropy_logits": _crossentropy(_CLASSES, _LOGITS, "class_logits"),
    "categorical_crossentropy_logits_smoothed": _crossentropy(
        _CLASSES, _LOGITS | _SMOOTHED, "class_logits"
    ),
    "sparse_categorical_crossentropy": _crossentropy(_SPARSE, {}, "class_probabilities"),
    "sparse_categorical_crossentropy_unnormalized": _crossentropy(
        _SPARSE, {}, "class_unnormalized"
    ),
    "sparse_categorical_crossentropy_saturated": _crossentropy(_SPARSE, {}, "class_saturated"),
    "sparse_categorical_crossentropy_logits": _crossentropy(_SPARSE, _LOGITS, "class_logits"),
}

METRICS = {
    "binary_accuracy": Case("BinaryAccuracy", {}, "binary_targets", "binary_probabilities"),
    "categorical_accuracy": Case("CategoricalAccuracy", {}, "class_targets", "class_probabilities"),
    "sparse_categorical_accuracy": Case(
        "SparseCategoricalAccuracy", {}, "class_indices", "class_probabilities"
    ),
    "mean_squared_error": Case("MeanSquaredError", {}, *_REAL),
    "mean_absolute_error": Case("MeanAbsoluteError", {}, *_REAL),
    "root_mean_squared_error": Case("RootMeanSquaredError", {}, *_REAL),
    "r2_score": Case("R2Score", {}, *_REAL),
    "auc": Case("AUC", {}, "binary_targets", "binary_probabilities"),
    "precision": Case("Precision", {}, "binary_targets", "binary_probabilities"),
    "recall": Case("Recall", {}, "binary_targets", "binary_probabilities"),
    "f1_score": Case("F1Score", {"average": "macro"}, "class_targets", "class_probabilities"),
}

_SGD = {"learning_rate": 0.01}
_ADAM = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}

TRAJECTORY_OPTIMIZERS = {
    "sgd": Case("SGD", _SGD),
    "momentum": Case("SGD", _SGD | {"momentum": 0.9}),
    "nesterov": Case("SGD", _SGD | {"momentum": 0.9, "nesterov": True}),
    "adam": Case("Adam", _ADAM),
}

OPTIMIZERS = TRAJECTORY_OPTIMIZERS | {
    "momentum_0.99": Case("SGD", _SGD | {"momentum": 0.99}),
    "adam_betas": Case("Adam", _ADAM | {"beta_1": 0.8, "beta_2": 0.9}),
    "adam_epsilon": Case("Adam", _ADAM | {"epsilon": 1e-3}),
    "adam_learning_rate": Case("Adam", _ADAM | {"learning_rate": 0.1}),
}
OPTIMIZER_STEPS = (1, 2, 10, 50)

INITIALIZERS = {
    "glorot_normal": Case("GlorotNormal", {}),
    "glorot_uniform": Case("GlorotUniform", {}),
    "lecun_normal": Case("LecunNormal", {}),
    "lecun_uniform": Case("LecunUniform", {}),
    "he_normal": Case("HeNormal", {}),
    "he_uniform": Case("HeUniform", {}),
    "variance_scaling": Case(
        "VarianceScaling", {"scale": 2.0, "mode": "fan_avg", "distribution": "uniform"}
    ),
    "random_normal": Case("RandomNormal", {}),
    "random_uniform": Case("RandomUniform", {}),
    "truncated_normal": Case("TruncatedNormal", {}),
}
INITIALIZER_SHAPES = ((784, 300), (300, 100), (3, 3, 16, 32))

# Layers by name: class, arguments, and the shape of a batch of inputs (or of several).
LAYERS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "batch_normalization": ("BatchNormalization", {"momentum": 0.9}, (16, 5)),
    "batch_normalization_images": ("BatchNormalization", {"epsilon": 0.01}, (4, 5, 6, 3)),
    "batch_normalization_axis_1": ("BatchNormalization", {"axis": 1}, (4, 3, 5, 2)),
    "batch_normalization_bare": (
        "BatchNormalization",
        {"center": False, "scale": False},
        (16, 5),
    ),
    "layer_normalization": ("LayerNormalization", {}, (4, 7)),
    "layer_normalization_axes": ("LayerNormalization", {"axis": [1, 3]}, (4, 3, 5, 2)),
    "rms_normalization": ("RMSNormalization", {}, (4, 7)),
    "prelu": ("PReLU", {}, (4, 7)),
    "prelu_shared": ("PReLU", {"shared_axes": [1, 2]}, (4, 5, 6, 3)),
    "relu": (
        "ReLU",
        {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.25},
        (8, 9),
    ),
    "conv2d": ("Conv2D", {"filters": 4, "kernel_size": 3}, (2, 7, 8, 3)),
    "conv2d_same": (
        "Conv2D",
        {"filters": 4, "kernel_size": [3, 2], "strides": [2, 3], "padding": "same"},
        (2, 7, 8, 3),
    ),
    "conv2d_many_channels": (
        "Conv2D",
        {"filters": 4, "kernel_size": [3, 2], "strides": [2, 1], "padding": "same"},
        (2, 7, 8, 9),
    ),
    "conv2d_dilated": (
        "Conv2D",
        {"filters": 4, "kernel_size": 3, "dilation_rate": 2, "activation": "tanh"},
        (2, 7, 8, 9),
    ),
    "conv2d_groups": (
        "Conv2D",
        {"filters": 4, "kernel_size": 2, "groups": 2, "use_bias": False},
        (2, 5, 6, 4),
    ),
    "max_pooling": ("MaxPooling2D", {}, (2, 7, 8, 3)),
    "max_pooling_same": (
        "MaxPooling2D",
        {"pool_size": 3, "strides": 2, "padding": "same"},
        (2, 7, 8, 3),
    ),
    "average_pooling": ("AveragePooling2D", {"pool_size": [2, 3]}, (2, 7, 8, 3)),
    "average_pooling_same": (
        "AveragePooling2D",
        {"pool_size": 3, "strides": 2, "padding": "same"},
        (2, 7, 8, 3),
    ),
    "global_average_pooling": ("GlobalAveragePooling2D", {}, (2, 7, 8, 3)),
    "global_max_pooling": ("GlobalMaxPooling2D", {"keepdims": True}, (2, 7, 8, 3)),
    "zero_padding": ("ZeroPadding2D", {"padding": [[1, 0], [2, 3]]}, (2, 3, 4, 2)),
    "permute": ("Permute", {"dims": [3, 1, 2]}, (2, 3, 4, 5)),
    "add": ("Add", {}, [(4, 3), (4, 1), (4, 5, 3)]),
    "average": ("Average", {}, [(4, 3), (4, 3), (4, 3)]),
    "multiply": ("Multiply", {}, [(4, 3), (4, 3)]),
    "subtract": ("Subtract", {}, [(4, 3), (4, 3)]),
    "maximum": ("Maximum", {}, [(4, 3), (4, 3), (4, 3)]),
    "minimum": ("Minimum", {}, [(4, 3), (4, 3)]),
    "concatenate": ("Concatenate", {"axis": 1}, [(4, 3, 2), (4, 5, 2)]),
    "normalization": ("Normalization", {"mean": [1.0, 2.0], "variance": [4.0, 0.25]}, (4, 2)),
    "normalization_inverted": (
        "Normalization",
        {"mean": 3.0, "variance": 4.0, "invert": True},
        (4, 2),
    ),
}
