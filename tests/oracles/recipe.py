"""Inputs of the recorded numbers, made again from seeds instead of stored.

Every function is a pure NumPy recipe with its own seed, so the order of calls does not matter.
The scripts `record_*.py` feed these arrays to the reference libraries, and our tests feed them
to evenkeel. What is *asked* of each library (which optimizer, which loss, which arguments) is in
`cases.py`; the answers are in the `.npz` and `.json` files beside it.
"""

from itertools import pairwise

import numpy as np

BATCH_SIZE = 32
STEPS = 20
UNITS = (784, 300, 100, 10)
METRIC_BATCHES = (slice(0, 13), slice(13, 37))


def _generator(seed):
    """Returns a counter-based generator, whose stream depends on the seed alone."""
    return np.random.Generator(np.random.Philox(seed))


def _softmax(scores):
    """Returns row-wise probabilities, computed in double precision."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def fingerprint(arrays):
    """Returns (sum, sum of squares) of each array, to notice a recipe that has drifted.

    Args:
        arrays: A sequence of numeric arrays.

    Returns:
        A float64 array of shape (number of arrays, 2).
    """
    doubles = [np.asarray(array, np.float64) for array in arrays]
    return np.array([(double.sum(), np.square(double).sum()) for double in doubles])


def images_and_labels():
    """Returns uniform noise images and labels a network can learn something about.

    A label is the argmax of a fixed random projection of its image. Measured from 0.3 and not from
    their mean 0.5, the pixels make some classes more frequent than others, so the loss falls.
    Measured from 0 they would make rare classes so improbable (below 1e-7) that Keras, which clips
    probabilities there, drops their gradient; then no library that works on logits can follow.

    Returns:
        images, float32 in [0, 1), shape (640, 28, 28), and labels, int32 in 0..9, shape (640,):
        `STEPS` batches of `BATCH_SIZE`, to be taken in order and once.
    """
    generator = _generator(1)
    images = generator.random((STEPS * BATCH_SIZE, 28, 28), dtype=np.float32)
    projection = generator.standard_normal((UNITS[0], UNITS[-1]))
    scores = (images.reshape(len(images), -1).astype(np.float64) - 0.3) @ projection
    return images, scores.argmax(axis=-1).astype(np.int32)


def start_weights():
    """Returns the start weights of the 784-300-100-10 network.

    Kernels are normal (not truncated) with variance 2 / fan_in, as in He et al. (2015);
    biases are zero.

    Returns:
        [kernel, bias, kernel, bias, kernel, bias], float32; a kernel is (inputs, units).
    """
    generator = _generator(2)
    weights = []
    for inputs, units in pairwise(UNITS):
        kernel = generator.standard_normal((inputs, units)) * np.sqrt(2 / inputs)
        weights += [kernel.astype(np.float32), np.zeros(units, np.float32)]
    return weights


def activation_grid():
    """Returns 97 float32 points from -6 to 6; steps of 1/8, so kinks are hit exactly."""
    return np.linspace(-6, 6, 97, dtype=np.float32)


def activation_rows():
    """Returns float32 scores of shape (7, 5) for softmax; one row is far apart, one is equal."""
    rows = 2 * _generator(3).standard_normal((7, 5))
    rows[0] = [30, -30, 0, 10, -10]
    rows[1] = 1
    return rows.astype(np.float32)


def loss_inputs():
    """Returns the small arrays the losses are computed on, by name.

    Six samples each. `real_*` are regression targets and predictions, `binary_*` have four
    independent outputs, `class_*` five exclusive classes. The first row of the logits is large
    (±30), where a naive logarithm overflows. `class_unnormalized` has rows that do not sum to 1,
    and `*_saturated` exact zeros and ones, some of them wrong, where each library has its own way
    to keep the logarithm finite.

    Returns:
        A dict of float32 arrays, except `class_indices`, which is int32.
    """
    generator = _generator(4)
    real_targets = generator.standard_normal((6, 4))
    binary_logits = 2 * generator.standard_normal((6, 4))
    class_logits = 2 * generator.standard_normal((6, 5))
    binary_logits[0] = [30, -30, 30, -30]
    class_logits[0] = [30, -30, 0, 10, -10]
    class_indices = np.array([1, 0, 4, 2, 3, 2], np.int32)
    class_probabilities = _softmax(class_logits[::-1] / 4)
    arrays = {
        "real_targets": real_targets,
        "real_predictions": real_targets + generator.standard_normal((6, 4)),
        "binary_targets": generator.integers(0, 2, (6, 4)),
        "binary_logits": binary_logits,
        "binary_probabilities": generator.uniform(0.02, 0.98, (6, 4)),
        "binary_saturated": generator.integers(0, 2, (6, 4)),
        "class_targets": np.eye(5)[class_indices],
        "class_logits": class_logits,
        "class_probabilities": class_probabilities,
        "class_unnormalized": class_probabilities * np.array([[0.5, 0.8, 1.0, 1.1, 1.5, 2.0]]).T,
        "class_saturated": np.eye(5)[[1, 2, 4, 0, 3, 3]],
        "sample_weight": np.array([0.5, 2.0, 0.0, 1.0, 1.5, 0.25]),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()} | {
        "class_indices": class_indices
    }


def metric_inputs():
    """Returns 37 samples for the metrics, by name; feed them as the slices `METRIC_BATCHES`.

    `real_*` have three outputs, `binary_*` one column, `class_*` five classes of which every one
    occurs. Predictions are better than chance and far from perfect; one sample has weight 0.

    Returns:
        A dict of float32 arrays, except `class_indices`, which is int32.
    """
    generator = _generator(5)
    class_indices = generator.permutation(np.arange(37) % 5).astype(np.int32)
    class_targets = np.eye(5)[class_indices]
    binary_targets = generator.permutation(np.arange(37) % 2)[:, None]
    real_targets = generator.standard_normal((37, 3)) + np.arange(3)
    binary_scores = generator.standard_normal((37, 1)) + 1.5 * binary_targets - 0.5
    sample_weight = generator.uniform(0.25, 2, 37)
    sample_weight[5] = 0
    arrays = {
        "real_targets": real_targets,
        "real_predictions": real_targets + 0.7 * generator.standard_normal((37, 3)),
        "binary_targets": binary_targets,
        "binary_probabilities": 1 / (1 + np.exp(-binary_scores)),
        "class_targets": class_targets,
        "class_probabilities": _softmax(generator.standard_normal((37, 5)) + class_targets),
        "sample_weight": sample_weight,
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()} | {
        "class_indices": class_indices
    }


def optimizer_problem():
    """Returns start parameters and fifty fixed gradients for each.

    The three columns have gradients of size 1, 1e-2 and 1e-4, so that Adam's epsilon is felt in
    the last one and not in the first.

    Returns:
        [kernel (4, 3), bias (3,)] and [kernel gradients (50, 4, 3), bias gradients (50, 3)],
        all float32.
    """
    generator = _generator(6)
    shapes = [(4, 3), (3,)]
    sizes = np.array([1, 1e-2, 1e-4])
    parameters = [generator.standard_normal(shape) for shape in shapes]
    gradients = [sizes * (generator.standard_normal((50, *shape)) + 0.3) for shape in shapes]
    return (
        [parameter.astype(np.float32) for parameter in parameters],
        [gradient.astype(np.float32) for gradient in gradients],
    )


def constrained_weights():
    """Returns the weights that penalties and constraints are tried on, by name.

    Some of their columns and rows are longer than the limits asked for and some shorter; the last
    column of the kernel is zero, where a norm has no slope.

    Returns:
        `kernel` (5, 4), `bias` (4,) and `filters` (3, 3, 2, 4), float32.
    """
    generator = _generator(7)
    kernel = generator.standard_normal((5, 4)) * np.array([2, 1, 0.1, 0])
    filters = generator.standard_normal((3, 3, 2, 4)) * np.array([1, 0.5, 0.3, 0.1])
    weights = {"kernel": kernel, "bias": generator.standard_normal(4), "filters": filters}
    return {name: weight.astype(np.float32) for name, weight in weights.items()}


def layer_inputs(case):
    """Returns the batches for a layer, one for each input it takes.

    Args:
        case: One of `cases.LAYERS`.

    Returns:
        A list of float32 arrays, normal draws of mean 0.5; for `Embedding`, of int32 indices.
    """
    generator = _generator(8)
    classes = case.arguments.get("input_dim")
    if classes is not None:
        return [generator.integers(0, classes, case.shape).astype(np.int32)]
    shapes = (case.shape, *case.more_shapes)
    return [(0.5 + generator.standard_normal(shape)).astype(np.float32) for shape in shapes]


def layer_weights(shapes):
    """Returns weights for a layer: normal matrices, and vectors that may serve as variances.

    Args:
        shapes: The shapes of the layer's weights, in its order.

    Returns:
        A list of float32 arrays; those with one axis are uniform in [0.5, 1.5).
    """
    generator = _generator(9)
    return [
        (
            generator.uniform(0.5, 1.5, shape)
            if len(shape) == 1
            else generator.standard_normal(shape) / 2
        ).astype(np.float32)
        for shape in shapes
    ]


def cotangent(shape):
    """Returns the weights of a layer's outputs in the sum whose gradient is recorded."""
    return _generator(10).standard_normal(shape).astype(np.float32)
