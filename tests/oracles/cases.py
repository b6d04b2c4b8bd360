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
    "log_sigmoid",
    "hard_tanh",
    "tanh_shrink",
)
# Without draws, as in inference; Keras has no such function.
TORCH_ACTIVATIONS = ("rrelu",)
ACTIVATION_OPTIONS = {
    "leaky_relu_slope": Case("leaky_relu", {"negative_slope": 0.01}),
    "elu_alpha": Case("elu", {"alpha": 0.5}),
    "celu_alpha": Case("celu", {"alpha": 0.5}),
    "gelu_approximate": Case("gelu", {"approximate": True}),
    "relu_everything": Case("relu", {"max_value": 2.5, "negative_slope": 0.1, "threshold": 1.5}),
}
ROW_ACTIVATIONS = ("softmax", "log_softmax")
# Activations as layers without weights.
ACTIVATION_LAYERS = {
    "leaky_relu_layer": Case("LeakyReLU", {}),
    "leaky_relu_layer_slope": Case("LeakyReLU", {"negative_slope": 0.01}),
    "elu_layer": Case("ELU", {}),
    "elu_layer_alpha": Case("ELU", {"alpha": 0.5}),
    "relu_layer": Case("ReLU", {}),
    "relu_layer_max": Case("ReLU", {"max_value": 2.5}),
    "relu_layer_slope": Case("ReLU", {"negative_slope": 0.1}),
    "relu_layer_threshold": Case("ReLU", {"threshold": 1.5}),
    "relu_layer_everything": Case(
        "ReLU", {"max_value": 2.5, "negative_slope": 0.1, "threshold": 1.5}
    ),
}
# Randomized leaky ReLU in inference, which Keras has not.
TORCH_ACTIVATION_LAYERS = {
    "rrelu_layer": Case("RReLU", {}),
    "rrelu_layer_range": Case("RReLU", {"lower": 0.1, "upper": 0.5}),
}

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
# Keras's sparse cross-entropy smooths no labels; PyTorch's does.
TORCH_LOSSES = {
    "sparse_categorical_crossentropy_smoothed": _crossentropy(
        _SPARSE, _SMOOTHED, "class_probabilities"
    ),
    "sparse_categorical_crossentropy_logits_smoothed": _crossentropy(
        _SPARSE, _LOGITS | _SMOOTHED, "class_logits"
    ),
}

_PROBABILITY = ("binary_targets", "binary_probabilities")
_CLASS_PROBABILITIES = ("class_targets", "class_probabilities")
_INDEXED = ("class_indices", "class_probabilities")
_LOW = {"threshold": 0.3}
_LOW_ONES = {"thresholds": 0.3}

METRICS = {
    "binary_accuracy": Case("BinaryAccuracy", {}, *_PROBABILITY),
    "binary_accuracy_threshold": Case("BinaryAccuracy", _LOW, *_PROBABILITY),
    "categorical_accuracy": Case("CategoricalAccuracy", {}, *_CLASS_PROBABILITIES),
    "sparse_categorical_accuracy": Case("SparseCategoricalAccuracy", {}, *_INDEXED),
    "mean_squared_error": Case("MeanSquaredError", {}, *_REAL),
    "mean_absolute_error": Case("MeanAbsoluteError", {}, *_REAL),
    "root_mean_squared_error": Case("RootMeanSquaredError", {}, *_REAL),
    "r2_score": Case("R2Score", {}, *_REAL),
    "auc": Case("AUC", {}, *_PROBABILITY),
    "auc_thresholds": Case("AUC", {"num_thresholds": 50}, *_PROBABILITY),
    "auc_precision_recall": Case("AUC", {"curve": "PR"}, *_PROBABILITY),
    "precision": Case("Precision", {}, *_PROBABILITY),
    "precision_threshold": Case("Precision", _LOW_ONES, *_PROBABILITY),
    "precision_class": Case("Precision", {"class_id": 2} | _LOW_ONES, *_CLASS_PROBABILITIES),
    "recall": Case("Recall", {}, *_PROBABILITY),
    "recall_threshold": Case("Recall", _LOW_ONES, *_PROBABILITY),
    "recall_class": Case("Recall", {"class_id": 2} | _LOW_ONES, *_CLASS_PROBABILITIES),
    "f1_score": Case("F1Score", {"average": "macro"}, *_CLASS_PROBABILITIES),
    "f1_score_micro": Case("F1Score", {"average": "micro"}, *_CLASS_PROBABILITIES),
    "f1_score_weighted": Case("F1Score", {"average": "weighted"}, *_CLASS_PROBABILITIES),
    "f1_score_threshold": Case("F1Score", {"average": "macro"} | _LOW, *_CLASS_PROBABILITIES),
}
# Losses as metrics; the classes have the same names among Keras's metrics.
LOSS_METRICS = {
    "binary_crossentropy": Case("BinaryCrossentropy", {}, *_PROBABILITY),
    "binary_crossentropy_smoothed": Case("BinaryCrossentropy", _SMOOTHED, *_PROBABILITY),
    "categorical_crossentropy": Case("CategoricalCrossentropy", {}, *_CLASS_PROBABILITIES),
    "categorical_crossentropy_smoothed": Case(
        "CategoricalCrossentropy", _SMOOTHED, *_CLASS_PROBABILITIES
    ),
    "sparse_categorical_crossentropy": Case("SparseCategoricalCrossentropy", {}, *_INDEXED),
}

_SGD = {"learning_rate": 0.01}
_ADAM = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}

TRAJECTORY_OPTIMIZERS = {
    "sgd": Case("SGD", _SGD),
    "momentum": Case("SGD", _SGD | {"momentum": 0.9}),
    "nesterov": Case("SGD", _SGD | {"momentum": 0.9, "nesterov": True}),
    "adam": Case("Adam", _ADAM),
}

# Rates large enough for steps that float32 sees beside parameters of size 1.
_FAST = {"learning_rate": 0.1}
_FAST_MOMENTUM = _FAST | {"momentum": 0.9}
# So small that it does not matter where a library adds it.
_NO_EPSILON = {"epsilon": 1e-16}
_QUICK_BETAS = {"beta_1": 0.8, "beta_2": 0.9}
_FALLING = Case(
    "ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "decay_rate": 0.5}
)
_STAIRS = Case(_FALLING.kind, _FALLING.arguments | {"decay_steps": 7, "staircase": True})

OPTIMIZERS = TRAJECTORY_OPTIMIZERS | {
    "momentum_0.99": Case("SGD", _SGD | {"momentum": 0.99}),
    "adam_betas": Case("Adam", _ADAM | _QUICK_BETAS),
    "adam_epsilon": Case("Adam", _ADAM | {"epsilon": 1e-3}),
    "adam_learning_rate": Case("Adam", _ADAM | _FAST),
    "adam_defaults": Case("Adam", {}),
    "adam_amsgrad": Case("Adam", _ADAM | _FAST | _QUICK_BETAS | {"amsgrad": True}),
    "adamw": Case("AdamW", {}),
    "adamw_weight_decay": Case("AdamW", _FAST | {"weight_decay": 0.1}),
    "adamw_betas": Case("AdamW", _FAST | _QUICK_BETAS | {"epsilon": 1e-3}),
    "adamw_amsgrad": Case("AdamW", _FAST | _QUICK_BETAS | {"amsgrad": True}),
    "rmsprop": Case("RMSprop", {}),
    "rmsprop_learning_rate": Case("RMSprop", _FAST),
    "rmsprop_rho": Case("RMSprop", _FAST | {"rho": 0.5}),
    "rmsprop_epsilon": Case("RMSprop", _FAST | {"epsilon": 1e-3}),
    "rmsprop_momentum": Case("RMSprop", _SGD | {"momentum": 0.9}),
    "rmsprop_centered": Case("RMSprop", _FAST | {"centered": True}),
    "rmsprop_centered_momentum": Case("RMSprop", _SGD | {"momentum": 0.5, "centered": True}),
    "rmsprop_no_epsilon": Case("RMSprop", _FAST | _NO_EPSILON),
    "rmsprop_centered_no_epsilon": Case(
        "RMSprop", _SGD | _NO_EPSILON | {"momentum": 0.5, "centered": True}
    ),
    "adagrad": Case("Adagrad", {}),
    "adagrad_learning_rate": Case("Adagrad", {"learning_rate": 1.0}),
    "adagrad_accumulator": Case("Adagrad", _FAST | {"initial_accumulator_value": 1e-4}),
    "adagrad_epsilon": Case("Adagrad", _FAST | {"epsilon": 1e-2}),
    "adagrad_no_epsilon": Case("Adagrad", {"learning_rate": 1.0} | _NO_EPSILON),
    "adamax": Case("Adamax", {}),
    "adamax_learning_rate": Case("Adamax", _FAST),
    "adamax_betas": Case("Adamax", _FAST | _QUICK_BETAS),
    "adamax_epsilon": Case("Adamax", _FAST | {"epsilon": 1e-3}),
    "adamax_no_epsilon": Case("Adamax", _FAST | _QUICK_BETAS | _NO_EPSILON),
    "nadam": Case("Nadam", {}),
    "nadam_learning_rate": Case("Nadam", _FAST),
    "nadam_betas": Case("Nadam", _FAST | _QUICK_BETAS),
    "nadam_epsilon": Case("Nadam", _FAST | {"epsilon": 1e-3}),
    # What every optimizer takes, on a few of them.
    "sgd_weight_decay": Case("SGD", _FAST | {"weight_decay": 0.1}),
    "nesterov_weight_decay": Case("SGD", _FAST_MOMENTUM | {"nesterov": True, "weight_decay": 0.01}),
    "rmsprop_weight_decay": Case("RMSprop", _FAST | {"weight_decay": 0.1}),
    "nadam_weight_decay": Case("Nadam", _FAST | {"weight_decay": 0.1}),
    "sgd_clipnorm": Case("SGD", _FAST | {"clipnorm": 1.0}),
    "sgd_clipvalue": Case("SGD", _FAST | {"clipvalue": 0.5}),
    "sgd_global_clipnorm": Case("SGD", _FAST | {"global_clipnorm": 1.5}),
    "momentum_clipnorm": Case("SGD", _FAST_MOMENTUM | {"clipnorm": 0.5}),
    "adagrad_clipvalue": Case("Adagrad", _FAST | {"clipvalue": 0.5}),
    "adam_global_clipnorm": Case("Adam", _ADAM | _FAST | {"global_clipnorm": 0.5}),
    "adamw_clipnorm_weight_decay": Case("AdamW", _FAST | {"clipnorm": 0.5, "weight_decay": 0.1}),
    "sgd_ema": Case("SGD", _FAST | {"use_ema": True}),
    "adam_ema": Case("Adam", _ADAM | _FAST | {"use_ema": True, "ema_momentum": 0.9}),
    "sgd_ema_overwritten": Case(
        "SGD", _FAST | {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 5}
    ),
    "adam_ema_overwritten": Case(
        "Adam",
        _ADAM | _FAST | {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3},
    ),
    "sgd_accumulation": Case("SGD", _FAST | {"gradient_accumulation_steps": 4}),
    "momentum_accumulation": Case("SGD", _FAST_MOMENTUM | {"gradient_accumulation_steps": 4}),
    "adam_accumulation": Case("Adam", _ADAM | _FAST | {"gradient_accumulation_steps": 4}),
    "nadam_accumulation": Case("Nadam", _FAST | {"gradient_accumulation_steps": 5}),
    "accumulation_clipnorm_weight_decay": Case(
        "SGD",
        _FAST_MOMENTUM | {"gradient_accumulation_steps": 4, "clipnorm": 0.5, "weight_decay": 0.1},
    ),
    "sgd_schedule": Case("SGD", {"learning_rate": _FALLING}),
    "momentum_schedule": Case("SGD", {"learning_rate": _FALLING, "momentum": 0.9}),
    "adam_schedule": Case("Adam", _ADAM | {"learning_rate": _STAIRS}),
    "adamw_schedule": Case("AdamW", {"learning_rate": _FALLING, "weight_decay": 0.1}),
}
OPTIMIZER_STEPS = (1, 2, 10, 50)


def optimizer(case, optimizers):
    """Returns a case's optimizer, its learning rate built first if that is a case of a schedule.

    Args:
        case: One of `OPTIMIZERS`.
        optimizers: The module whose classes to use: Keras's, or ours. Schedules are in its
            `schedules`.
    """
    arguments = dict(case.arguments)
    rate = arguments.get("learning_rate")
    if isinstance(rate, Case):
        arguments["learning_rate"] = schedule(rate, optimizers.schedules)
    return getattr(optimizers, case.kind)(**arguments)


_FROM_1 = {"initial_learning_rate": 1.0}
_IN_100 = {"initial_learning_rate": 0.5, "decay_steps": 100}
_STEEP = _IN_100 | {"decay_rate": 0.1}
_POLYNOMIAL = _IN_100 | {"end_learning_rate": 0.05}
_WARMED = {"initial_learning_rate": 0.01, "warmup_target": 0.5, "warmup_steps": 20}
_RESTARTS = {"initial_learning_rate": 0.5, "first_decay_steps": 100}

SCHEDULES = {
    "exponential": Case("ExponentialDecay", _STEEP),
    "exponential_staircase": Case("ExponentialDecay", _STEEP | {"staircase": True}),
    "exponential_slow": Case("ExponentialDecay", _FROM_1 | {"decay_steps": 20, "decay_rate": 0.96}),
    "inverse_time": Case("InverseTimeDecay", _STEEP),
    "inverse_time_staircase": Case("InverseTimeDecay", _STEEP | {"staircase": True}),
    "inverse_time_steep": Case("InverseTimeDecay", _FROM_1 | {"decay_steps": 20, "decay_rate": 2}),
    "piecewise": Case(
        "PiecewiseConstantDecay", {"boundaries": [40, 80], "values": [1.0, 0.1, 0.01]}
    ),
    "polynomial": Case("PolynomialDecay", _IN_100),
    "polynomial_end": Case("PolynomialDecay", _POLYNOMIAL),
    "polynomial_power": Case("PolynomialDecay", _POLYNOMIAL | {"power": 2.0}),
    "polynomial_root": Case("PolynomialDecay", _POLYNOMIAL | {"power": 0.5}),
    "polynomial_cycle": Case("PolynomialDecay", _POLYNOMIAL | {"cycle": True}),
    "polynomial_cycle_power": Case("PolynomialDecay", _POLYNOMIAL | {"cycle": True, "power": 2.0}),
    "cosine": Case("CosineDecay", _IN_100),
    "cosine_alpha": Case("CosineDecay", _IN_100 | {"alpha": 0.1}),
    "cosine_warmup": Case("CosineDecay", _WARMED | {"decay_steps": 100}),
    "cosine_warmup_alpha": Case("CosineDecay", _WARMED | {"decay_steps": 80, "alpha": 0.1}),
    "restarts": Case("CosineDecayRestarts", _RESTARTS),
    "restarts_alpha": Case("CosineDecayRestarts", _RESTARTS | {"alpha": 0.1}),
    "restarts_equal": Case("CosineDecayRestarts", _RESTARTS | {"t_mul": 1.0, "m_mul": 0.5}),
    "restarts_lower": Case("CosineDecayRestarts", _RESTARTS | {"t_mul": 2.0, "m_mul": 0.9}),
}
# Beginning, middles and ends of all of the above, the steps just before and after them, and steps
# beyond any end: boundaries are 20, 40, 80, 100, 120, 200, 300 and 700.
SCHEDULE_STEPS = (
    *(0, 1, 2, 10, 19, 20, 21, 39, 40, 41, 50, 60, 79, 80, 81, 99, 100, 101, 119, 120, 121, 150),
    *(199, 200, 201, 299, 300, 301, 500, 699, 700, 701, 1000),
)


def schedule(case, schedules):
    """Returns a case's schedule from the module `schedules`: Keras's, or ours."""
    return getattr(schedules, case.kind)(**case.arguments)


# Arguments in the words of PyTorch's OneCycleLR.
ONE_CYCLES = {
    "one_cycle": {"max_lr": 0.5, "total_steps": 100},
    "one_cycle_factors": {
        "max_lr": 0.1,
        "total_steps": 60,
        "pct_start": 0.25,
        "div_factor": 10.0,
        "final_div_factor": 100.0,
        "base_momentum": 0.8,
        "max_momentum": 0.9,
    },
}

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
    "variance_scaling_defaults": Case("VarianceScaling", {}),
    "variance_scaling_fan_out": Case(
        "VarianceScaling", {"scale": 0.5, "mode": "fan_out", "distribution": "truncated_normal"}
    ),
    "variance_scaling_untruncated": Case(
        "VarianceScaling", {"scale": 3.0, "mode": "fan_in", "distribution": "untruncated_normal"}
    ),
    "random_normal": Case("RandomNormal", {}),
    "random_normal_moved": Case("RandomNormal", {"mean": 1.0, "stddev": 0.5}),
    "random_uniform": Case("RandomUniform", {}),
    "random_uniform_moved": Case("RandomUniform", {"minval": -1.0, "maxval": 3.0}),
    "truncated_normal": Case("TruncatedNormal", {}),
    "truncated_normal_moved": Case("TruncatedNormal", {"mean": 1.0, "stddev": 0.5}),
    "orthogonal": Case("Orthogonal", {}),
    "orthogonal_gain": Case("Orthogonal", {"gain": 2.0}),
}
# Their extremes are those of chance; the others end at a bound.
UNBOUNDED_INITIALIZERS = (
    "random_normal",
    "random_normal_moved",
    "variance_scaling_untruncated",
    "orthogonal",
    "orthogonal_gain",
)
INITIALIZER_SHAPES = ((784, 300), (300, 100), (3, 3, 16, 32))

_L1L2 = {"l1": 0.003, "l2": 0.02}
REGULARIZERS = {
    "l1": Case("L1", {}),
    "l1_strong": Case("L1", {"l1": 0.3}),
    "l2": Case("L2", {}),
    "l2_strong": Case("L2", {"l2": 0.3}),
    "l1_l2_defaults": Case("L1L2", {}),
    "l1_l2": Case("L1L2", _L1L2),
    "l1_l2_only_l2": Case("L1L2", {"l2": 0.02}),
}
CONSTRAINTS = {
    "max_norm": Case("MaxNorm", {}),
    "max_norm_rows": Case("MaxNorm", {"max_value": 1.0, "axis": 1}),
    "max_norm_filters": Case("MaxNorm", {"max_value": 1.5, "axis": [0, 1, 2]}),
    "non_neg": Case("NonNeg", {}),
    "unit_norm": Case("UnitNorm", {}),
    "unit_norm_rows": Case("UnitNorm", {"axis": 1}),
    "unit_norm_filters": Case("UnitNorm", {"axis": [0, 1, 2]}),
    "min_max_norm": Case("MinMaxNorm", {}),
    "min_max_norm_rate": Case(
        "MinMaxNorm", {"min_value": 1.5, "max_value": 2.0, "rate": 0.25, "axis": 1}
    ),
    "min_max_norm_filters": Case(
        "MinMaxNorm", {"min_value": 1.0, "max_value": 1.5, "axis": [0, 1, 2]}
    ),
}


def constrained(name):
    """Returns the names of the weights that a constraint's axes fit."""
    if name.endswith("_filters"):
        return ("filters",)
    axis = CONSTRAINTS[name].arguments.get("axis", 0)
    return ("kernel", "bias") if axis == 0 else ("kernel",)


class LayerCase(NamedTuple):
    """A layer to construct and the shapes of its inputs, batch included.

    Args:
        kind: Name of the class in Keras.
        arguments: Keyword arguments of its constructor.
        shape: Shape of the inputs; `Embedding` gets integers of that shape.
        more_shapes: Shapes of further inputs, which are then given as a list.
    """

    kind: str
    arguments: dict[str, Any]
    shape: tuple[int, ...]
    more_shapes: tuple[tuple[int, ...], ...] = ()


_TABLE = (6, 5)
_SEQUENCES = (4, 3, 5)
_IMAGES = (3, 6, 5, 4)
_CONV = {"filters": 3, "kernel_size": 3}
_POOL = (2, 7, 6, 3)


def _pooling(kind):
    """Returns the cases of a pooling layer."""
    return {
        "": LayerCase(kind, {"pool_size": 2}, _POOL),
        "_window": LayerCase(kind, {"pool_size": (3, 2), "strides": 1}, _POOL),
        "_same": LayerCase(kind, {"pool_size": 2, "padding": "same"}, _POOL),
        "_same_strides": LayerCase(kind, {"pool_size": 3, "strides": 2, "padding": "same"}, _POOL),
    }


LAYERS = {
    "dense": LayerCase("Dense", {"units": 4}, _TABLE),
    "dense_tanh": LayerCase("Dense", {"units": 4, "activation": "tanh"}, _SEQUENCES),
    "dense_no_bias": LayerCase("Dense", {"units": 4, "use_bias": False}, _TABLE),
    "batch_norm": LayerCase("BatchNormalization", {}, _TABLE),
    "batch_norm_momentum": LayerCase("BatchNormalization", {"momentum": 0.5}, _TABLE),
    "batch_norm_epsilon": LayerCase("BatchNormalization", {"epsilon": 0.1}, _TABLE),
    "batch_norm_no_center": LayerCase("BatchNormalization", {"center": False}, _TABLE),
    "batch_norm_no_scale": LayerCase("BatchNormalization", {"scale": False}, _TABLE),
    "batch_norm_neither": LayerCase(
        "BatchNormalization", {"center": False, "scale": False}, _TABLE
    ),
    "batch_norm_images": LayerCase("BatchNormalization", {}, _IMAGES),
    "batch_norm_axis": LayerCase("BatchNormalization", {"axis": 1, "momentum": 0.9}, _IMAGES),
    "layer_norm": LayerCase("LayerNormalization", {}, _TABLE),
    "layer_norm_epsilon": LayerCase("LayerNormalization", {"epsilon": 0.1}, _SEQUENCES),
    "layer_norm_no_center": LayerCase("LayerNormalization", {"center": False}, _TABLE),
    "layer_norm_no_scale": LayerCase("LayerNormalization", {"scale": False}, _TABLE),
    "layer_norm_axes": LayerCase("LayerNormalization", {"axis": [1, 2]}, _SEQUENCES),
    "rms_norm": LayerCase("RMSNormalization", {}, _TABLE),
    "rms_norm_epsilon": LayerCase("RMSNormalization", {"epsilon": 0.1}, _SEQUENCES),
    "conv": LayerCase("Conv2D", _CONV, _IMAGES),
    "conv_same": LayerCase("Conv2D", _CONV | {"padding": "same"}, _IMAGES),
    "conv_strides": LayerCase("Conv2D", _CONV | {"strides": (2, 1)}, _IMAGES),
    "conv_same_strides": LayerCase("Conv2D", _CONV | {"strides": 2, "padding": "same"}, _IMAGES),
    "conv_dilation": LayerCase(
        "Conv2D", _CONV | {"kernel_size": 2, "dilation_rate": (2, 3)}, _IMAGES
    ),
    "conv_same_dilation": LayerCase(
        "Conv2D", _CONV | {"dilation_rate": 2, "padding": "same"}, _IMAGES
    ),
    "conv_groups": LayerCase("Conv2D", _CONV | {"filters": 6, "groups": 2}, _IMAGES),
    "conv_no_bias": LayerCase("Conv2D", _CONV | {"use_bias": False}, _IMAGES),
    "conv_window": LayerCase(
        "Conv2D", {"filters": 2, "kernel_size": (1, 4), "activation": "tanh"}, _IMAGES
    ),
    **{f"max_pool{end}": case for end, case in _pooling("MaxPooling2D").items()},
    **{f"average_pool{end}": case for end, case in _pooling("AveragePooling2D").items()},
    "global_average_pool": LayerCase("GlobalAveragePooling2D", {}, _POOL),
    "global_average_pool_kept": LayerCase("GlobalAveragePooling2D", {"keepdims": True}, _POOL),
    "zero_padding": LayerCase("ZeroPadding2D", {}, _POOL),
    "zero_padding_sides": LayerCase("ZeroPadding2D", {"padding": ((1, 0), (2, 3))}, _POOL),
    "permute": LayerCase("Permute", {"dims": (3, 1, 2)}, _POOL),
    "embedding": LayerCase("Embedding", {"input_dim": 7, "output_dim": 3}, (4, 5)),
    "global_max_pool": LayerCase("GlobalMaxPooling2D", {}, _POOL),
    "repeat_vector": LayerCase("RepeatVector", {"n": 3}, _TABLE),
    **{
        kind.lower(): LayerCase(kind, {}, _TABLE, (_TABLE, _TABLE))
        for kind in ("Add", "Average", "Maximum", "Minimum", "Multiply")
    },
    "subtract": LayerCase("Subtract", {}, _TABLE, (_TABLE,)),
    "concatenate": LayerCase("Concatenate", {}, _TABLE, ((6, 2),)),
    "concatenate_axis": LayerCase("Concatenate", {"axis": 1}, _SEQUENCES, ((4, 2, 5),)),
    "prelu": LayerCase("PReLU", {}, _TABLE),
    "prelu_shared": LayerCase("PReLU", {"shared_axes": [1, 2]}, _IMAGES),
}
LAYERS |= {
    "layer_norm_outer_axes": LayerCase("LayerNormalization", {"axis": [1, 3]}, (4, 3, 5, 2)),
    "conv_many_channels": LayerCase(
        "Conv2D",
        {"filters": 4, "kernel_size": (3, 2), "strides": (2, 1), "padding": "same"},
        (2, 7, 8, 9),
    ),
    "conv_many_channels_dilation": LayerCase(
        "Conv2D", _CONV | {"dilation_rate": 2, "activation": "tanh"}, (2, 7, 8, 9)
    ),
    "global_max_pool_kept": LayerCase("GlobalMaxPooling2D", {"keepdims": True}, _POOL),
    "add_broadcast": LayerCase("Add", {}, (4, 3), ((4, 1), (4, 5, 3))),
    "normalization": LayerCase(
        "Normalization", {"mean": [1.0, 2.0], "variance": [4.0, 0.25]}, (4, 2)
    ),
    "normalization_inverted": LayerCase(
        "Normalization", {"mean": 3.0, "variance": 4.0, "invert": True}, (4, 2)
    ),
    "relu": LayerCase("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.25}, _TABLE),
}
# The layers that compute something else in training. (Dropout's draws are its own affair.)
MODAL_LAYERS = ("BatchNormalization",)
