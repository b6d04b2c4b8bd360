"""Records activations, losses and metrics in `functions.npz`.

Arrays are named `library/case/quantity`, with the cases of `cases.py` and the quantities

    value, gradient    of an activation on `recipe.activation_grid()`, (97,); for softmax and
                       log_softmax on `recipe.activation_rows()`, (7, 5), where the gradient is
                       the Jacobian of each row, (7, 5, 5): [row, output, input]; layers are
                       called on the grid as a column, and recorded flat
    per_sample         a loss without reduction
    reduced            its mean (Keras: sum over batch size)
    reduced_weighted   the same with `sample_weight`: the weighted sum over the batch size
    gradient           of `reduced` with respect to the predictions
    gradient_weighted  of `reduced_weighted`
    metric             a metric after the batches `recipe.METRIC_BATCHES`
    metric_weighted    the same with `sample_weight`

Libraries: `keras` in float32, `torch` in float64 from the same float32 inputs (so the distance
to it is Keras's rounding, unless a convention differs), and `sklearn` for metrics with exact
equivalents; it sees all samples at once, in float64. `torch` has nothing `weighted`, and
nothing for the `saturated` losses, where Keras clips probabilities to [1e-7, 1 - 1e-7] and PyTorch
does not. `fingerprint` is `recipe.fingerprint` of all inputs, in the order grid, rows, losses,
metrics.

Run: python tests/oracles/record_functions.py
"""

from functools import partial

import jax
import numpy as np
from cases import (
    ACTIVATION_LAYERS,
    ACTIVATION_OPTIONS,
    ELEMENTWISE_ACTIVATIONS,
    LOSS_METRICS,
    LOSSES,
    METRICS,
    ROW_ACTIVATIONS,
    TORCH_ACTIVATION_LAYERS,
    TORCH_ACTIVATIONS,
    TORCH_LOSSES,
)
from libraries import keras, report, save, torch
from recipe import (
    METRIC_BATCHES,
    activation_grid,
    activation_rows,
    fingerprint,
    loss_inputs,
    metric_inputs,
)
from sklearn import metrics as sklearn_metrics
from torch.nn import functional

TORCH_NAMES = {
    "linear": torch.nn.Identity(),
    "exponential": torch.exp,
    "leaky_relu": lambda x: functional.leaky_relu(x, negative_slope=0.2),
    "hard_silu": functional.hardswish,
    "hard_sigmoid": functional.hardsigmoid,
    "log_sigmoid": functional.logsigmoid,
    "hard_tanh": functional.hardtanh,
    "tanh_shrink": functional.tanhshrink,
    "softmax": lambda x: functional.softmax(x, dim=-1),
    "log_softmax": lambda x: functional.log_softmax(x, dim=-1),
}


def torch_activation(name):
    """Returns PyTorch's function for Keras's name, with Keras's defaults or a case's options."""
    if name in ACTIVATION_OPTIONS:
        case = ACTIVATION_OPTIONS[name]
        words = {"approximate": "tanh"} if case.kind == "gelu" else case.arguments
        return partial(getattr(functional, case.kind), **words)
    return TORCH_NAMES[name] if name in TORCH_NAMES else getattr(functional, name)


def keras_activation(name):
    """Returns Keras's function of that name, or the one of a case with its options."""
    case = ACTIVATION_OPTIONS.get(name)
    if case is None:
        return getattr(keras.activations, name)
    return partial(getattr(keras.activations, case.kind), **case.arguments)


def keras_elementwise(name, points):
    """Returns the value and derivative of a Keras activation at each point."""
    function = keras_activation(name)
    value, pull_back = jax.vjp(function, points)
    return value, pull_back(jax.numpy.ones_like(value))[0]


def torch_elementwise(name, points):
    """Returns the value and derivative of a PyTorch activation at each point."""
    variable = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    value = torch_activation(name)(variable)
    return value.detach(), torch.autograd.grad(value.sum(), variable)[0]


def keras_rows(name, rows):
    """Returns the value of a Keras activation along rows, and the Jacobian of each row."""
    function = getattr(keras.activations, name)
    jacobian = jax.jacrev(lambda row: function(row[None])[0])
    return function(rows), jax.vmap(jacobian)(rows)


def torch_rows(name, rows):
    """Returns the value of a PyTorch activation along rows, and the Jacobian of each row."""
    function = torch_activation(name)
    doubles = torch.tensor(rows, dtype=torch.float64)
    return function(doubles), torch.func.vmap(torch.func.jacrev(function))(doubles)


def activations():
    """Returns value and gradient of every activation in both libraries, by full name."""
    families = (
        (
            (*ELEMENTWISE_ACTIVATIONS, *ACTIVATION_OPTIONS, *TORCH_ACTIVATIONS),
            activation_grid(),
            keras_elementwise,
            torch_elementwise,
        ),
        (ROW_ACTIVATIONS, activation_rows(), keras_rows, torch_rows),
    )
    arrays = {}
    for names, points, in_keras, in_torch in families:
        for name in names:
            libraries = {"keras": in_keras, "torch": in_torch}
            lacking = {"torch"} if name == "relu_everything" else set()
            lacking |= {"keras"} if name in TORCH_ACTIVATIONS else set()
            for library in sorted({*libraries} - lacking):
                value, gradient = libraries[library](name, points)
                arrays[f"{library}/{name}/value"] = np.asarray(value)
                arrays[f"{library}/{name}/gradient"] = np.asarray(gradient)
    return arrays


def torch_layer(case, points):
    """Returns PyTorch's function for an activation layer, with the same arguments."""
    words = case.arguments
    match case.kind:
        case "RReLU":
            return functional.rrelu(points, **words, training=False)
        case "ELU":
            return functional.elu(points, words.get("alpha", 1.0))
        case "LeakyReLU":
            return functional.leaky_relu(points, words.get("negative_slope", 0.3))
    return None


def activation_layers():
    """Returns value and gradient of every activation layer, by full name."""
    arrays = {}
    for name, case in ACTIVATION_LAYERS.items():
        layer = getattr(keras.layers, case.kind)(**case.arguments)
        value, pull_back = jax.vjp(layer, activation_grid()[:, None])
        (gradient,) = pull_back(jax.numpy.ones_like(value))
        arrays[f"keras/{name}/value"] = np.asarray(value)[:, 0]
        arrays[f"keras/{name}/gradient"] = np.asarray(gradient)[:, 0]
    for name, case in (ACTIVATION_LAYERS | TORCH_ACTIVATION_LAYERS).items():
        points = torch.tensor(activation_grid(), dtype=torch.float64, requires_grad=True)
        value = torch_layer(case, points)
        if value is not None:
            arrays[f"torch/{name}/value"] = value.detach().numpy()
            (gradient,) = torch.autograd.grad(value.sum(), points)
            arrays[f"torch/{name}/gradient"] = gradient.numpy()
    return arrays


def keras_loss(case, inputs):
    """Returns the loss per sample, reduced, reduced with sample weights, and both gradients."""
    kind = getattr(keras.losses, case.kind)
    pair = inputs[case.targets], inputs[case.predictions]
    loss = kind(**case.arguments)
    weight = inputs["sample_weight"]

    def of_predictions(predictions, sample_weight):
        return loss(pair[0], predictions, sample_weight=sample_weight)

    return {
        "per_sample": kind(reduction="none", **case.arguments)(*pair),
        "reduced": loss(*pair),
        "reduced_weighted": loss(*pair, sample_weight=weight),
        "gradient": jax.grad(of_predictions)(pair[1], None),
        "gradient_weighted": jax.grad(of_predictions)(pair[1], weight),
    }


def torch_crossentropy(case, targets, predictions):
    """Returns the categorical cross-entropy per sample; targets are indices or rows.

    Logarithms of probabilities serve as logits: softmax gives the probabilities back, rescaled to
    sum to 1, as Keras does too.
    """
    scores = predictions if "from_logits" in case.arguments else predictions.log()
    smoothing = case.arguments.get("label_smoothing", 0.0)
    return functional.cross_entropy(scores, targets, reduction="none", label_smoothing=smoothing)


def torch_binary_crossentropy(case, targets, predictions):
    """Returns the binary cross-entropy per sample; PyTorch leaves label smoothing to us."""
    smoothing = case.arguments.get("label_smoothing", 0.0)
    smoothed = targets * (1 - smoothing) + smoothing / 2
    with_logits = "from_logits" in case.arguments
    name = "binary_cross_entropy_with_logits" if with_logits else "binary_cross_entropy"
    return getattr(functional, name)(predictions, smoothed, reduction="none").mean(dim=-1)


def torch_loss(case, inputs):
    """Returns PyTorch's loss per sample, its mean, and the mean's gradient."""
    predictions = torch.from_numpy(inputs[case.predictions]).double().requires_grad_()
    per_sample = torch_per_sample(case, inputs, predictions)
    (gradient,) = torch.autograd.grad(per_sample.mean(), predictions)
    values = {"per_sample": per_sample, "reduced": per_sample.mean(), "gradient": gradient}
    return {quantity: value.detach().numpy() for quantity, value in values.items()}


def torch_per_sample(case, inputs, predictions):
    """Returns PyTorch's loss per sample."""
    targets = torch.from_numpy(inputs[case.targets])
    targets = targets.double() if targets.is_floating_point() else targets.long()
    match case.kind:
        case "CategoricalCrossentropy" | "SparseCategoricalCrossentropy":
            return torch_crossentropy(case, targets, predictions)
        case "BinaryCrossentropy":
            return torch_binary_crossentropy(case, targets, predictions)
        case "Huber":
            delta = case.arguments["delta"]
            elements = functional.huber_loss(predictions, targets, reduction="none", delta=delta)
        case "MeanAbsoluteError":
            elements = functional.l1_loss(predictions, targets, reduction="none")
        case "MeanSquaredError":
            elements = functional.mse_loss(predictions, targets, reduction="none")
    return elements.mean(dim=-1)


def losses():
    """Returns every loss in both libraries, by full name."""
    inputs = loss_inputs()
    arrays = {}
    for name, case in LOSSES.items():
        for quantity, value in keras_loss(case, inputs).items():
            arrays[f"keras/{name}/{quantity}"] = np.asarray(value)
    for name, case in (LOSSES | TORCH_LOSSES).items():
        if not case.predictions.endswith("saturated"):
            for quantity, value in torch_loss(case, inputs).items():
                arrays[f"torch/{name}/{quantity}"] = value
    return arrays


def keras_metric(case, inputs, weighted):
    """Returns the result of a Keras metric after two uneven batches."""
    metric = getattr(keras.metrics, case.kind)(**case.arguments)
    for rows in METRIC_BATCHES:
        sample_weight = inputs["sample_weight"][rows] if weighted else None
        metric.update_state(
            inputs[case.targets][rows], inputs[case.predictions][rows], sample_weight
        )
    return metric.result()


SKLEARN_METRICS = {
    "BinaryAccuracy": sklearn_metrics.accuracy_score,
    "CategoricalAccuracy": sklearn_metrics.accuracy_score,
    "SparseCategoricalAccuracy": sklearn_metrics.accuracy_score,
    "MeanSquaredError": sklearn_metrics.mean_squared_error,
    "MeanAbsoluteError": sklearn_metrics.mean_absolute_error,
    "RootMeanSquaredError": sklearn_metrics.root_mean_squared_error,
    "R2Score": sklearn_metrics.r2_score,
    "AUC": sklearn_metrics.roc_auc_score,
    "Precision": sklearn_metrics.precision_score,
    "Recall": sklearn_metrics.recall_score,
    "F1Score": sklearn_metrics.f1_score,
}


def is_in_sklearn(case):
    """Whether scikit-learn has a case without being told more than decisions."""
    settings = set(case.arguments)
    return "class_id" not in settings and not (
        case.kind in ("AUC", "F1Score") and settings - {"average"}
    )


def decided(case, inputs):
    """Returns targets and predictions as scikit-learn wants them: decisions, unless for AUC."""
    targets, predictions = inputs[case.targets], inputs[case.predictions]
    if case.predictions == "class_probabilities":
        return inputs["class_indices"], predictions.argmax(axis=-1)
    if case.predictions == "binary_probabilities" and case.kind != "AUC":
        return targets[:, 0], predictions[:, 0] > case.arguments.get("thresholds", 0.5)
    return targets.astype(np.float64), predictions.astype(np.float64)


def sklearn_metric(case, inputs, weighted):
    """Returns scikit-learn's number, from all samples at once.

    Its root mean squared error is the mean of one root per output, while Keras's is one root
    over all, so the outputs are laid out as one column, and the weights repeated.
    """
    targets, predictions = decided(case, inputs)
    sample_weight = inputs["sample_weight"] if weighted else None
    if case.kind == "RootMeanSquaredError":
        outputs = targets.shape[1]
        targets, predictions = targets.ravel(), predictions.ravel()
        sample_weight = sample_weight.repeat(outputs) if weighted else None
    function = SKLEARN_METRICS[case.kind]
    average = {"average": case.arguments["average"]} if case.kind == "F1Score" else {}
    return function(targets, predictions, sample_weight=sample_weight, **average)


def metrics():
    """Returns every metric in both libraries, by full name."""
    inputs = metric_inputs()
    arrays = {}
    for name, case in (METRICS | LOSS_METRICS).items():
        for quantity, weighted in (("metric", False), ("metric_weighted", True)):
            arrays[f"keras/{name}/{quantity}"] = np.asarray(keras_metric(case, inputs, weighted))
            if name in METRICS and is_in_sklearn(case):
                arrays[f"sklearn/{name}/{quantity}"] = np.asarray(
                    sklearn_metric(case, inputs, weighted), np.float64
                )
    return arrays


def main():
    """Records everything and writes the file."""
    inputs = [*loss_inputs().values(), *metric_inputs().values()]
    arrays = {"fingerprint": fingerprint([activation_grid(), activation_rows(), *inputs])}
    arrays |= activations() | activation_layers() | losses() | metrics()
    save("functions.npz", arrays)
    report(arrays)


if __name__ == "__main__":
    main()
