"""Losses against the recorded numbers of other libraries, and against closed forms."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel import losses
from evenkeel.errors import InvalidArgumentError
from evenkeel.layers import Activation, Dense, Softmax
from evenkeel.registry import serialize, snake_case
from tests.laws import discovery
from tests.oracles import cases, recipe

RECORDED = np.load(Path(__file__).parent / "oracles" / "functions.npz")
INPUTS = recipe.loss_inputs()
LOSSES = discovery.losses()
every_case = pytest.mark.parametrize("name", cases.LOSSES)
IN_TORCH = {
    name: case
    for name, case in (cases.LOSSES | cases.TORCH_LOSSES).items()
    if f"torch/{name}/reduced" in RECORDED
}
in_torch = pytest.mark.parametrize("name", IN_TORCH)
every_loss = pytest.mark.parametrize("cls", discovery.each(LOSSES))
writable = pytest.mark.parametrize(
    "cls", discovery.each(cls for cls in LOSSES if not discovery.holds_code(cls))
)


def built(case):
    return getattr(losses, case.kind)(**case.arguments)


def arrays(case):
    return INPUTS[case.targets], INPUTS[case.predictions]


def assert_close(ours, recorded):
    """Compares to 2e-6 of the largest value, as close as the libraries are to each other."""
    scale = np.abs(recorded).max()
    np.testing.assert_allclose(np.asarray(ours, np.float64), recorded, rtol=0, atol=2e-6 * scale)


def sample(loss):
    """Returns targets of the kind a loss expects, and predictions it takes."""
    name = {"one-hot": "class_targets", "classes": "class_indices"}.get(loss.target_kind)
    if name is None:
        return INPUTS["binary_targets"], INPUTS["binary_probabilities"]
    return INPUTS[name], INPUTS["class_probabilities"]


def test_every_exported_loss_has_recorded_numbers():
    own = {cls.__name__ for cls in LOSSES if not discovery.holds_code(cls)}
    assert own == {case.kind for case in cases.LOSSES.values()}


@every_case
def test_values_of_rows_are_those_of_keras(name):
    case = cases.LOSSES[name]
    y_true, y_pred = map(jnp.asarray, arrays(case))
    assert_close(built(case).values(y_true, y_pred), RECORDED[f"keras/{name}/per_sample"])


@every_case
def test_the_reduced_loss_is_that_of_keras(name):
    case = cases.LOSSES[name]
    assert_close(built(case)(*arrays(case)), RECORDED[f"keras/{name}/reduced"])


@every_case
def test_the_weighted_loss_is_that_of_keras(name):
    """The weighted sum over the number of rows, not over the sum of the weights."""
    case = cases.LOSSES[name]
    weighted = built(case)(*arrays(case), sample_weight=INPUTS["sample_weight"])
    assert_close(weighted, RECORDED[f"keras/{name}/reduced_weighted"])


def gradient(case, sample_weight=None):
    """Returns the gradient of the reduced loss with respect to the predictions."""
    y_true, y_pred = map(jnp.asarray, arrays(case))
    loss = built(case)
    return jax.grad(lambda p: loss(y_true, p, sample_weight=sample_weight))(y_pred)


@every_case
def test_the_gradient_is_that_of_keras(name):
    """Of the reduced loss, with respect to the predictions; by Keras's own differentiation."""
    assert_close(gradient(cases.LOSSES[name]), RECORDED[f"keras/{name}/gradient"])


@every_case
def test_the_weighted_gradient_is_that_of_keras(name):
    weighted = gradient(cases.LOSSES[name], jnp.asarray(INPUTS["sample_weight"]))
    assert_close(weighted, RECORDED[f"keras/{name}/gradient_weighted"])


@in_torch
def test_the_gradient_is_that_of_pytorch(name):
    """Of the mean, in double precision."""
    assert_close(gradient(IN_TORCH[name]), RECORDED[f"torch/{name}/gradient"])


@in_torch
def test_values_and_reduced_loss_are_those_of_pytorch(name):
    """PyTorch smooths labels of the sparse cross-entropy, too, which Keras does not."""
    case = IN_TORCH[name]
    y_true, y_pred = map(jnp.asarray, arrays(case))
    assert_close(built(case).values(y_true, y_pred), RECORDED[f"torch/{name}/per_sample"])
    assert_close(built(case)(y_true, y_pred), RECORDED[f"torch/{name}/reduced"])


@every_loss
def test_compiled_equals_eager_and_gradients_are_finite(cls):
    loss = discovery.construct(cls)
    y_true, y_pred = map(jnp.asarray, sample(loss))
    np.testing.assert_allclose(
        jax.jit(loss.values)(y_true, y_pred), loss.values(y_true, y_pred), rtol=2e-6, atol=1e-7
    )
    assert loss.values(y_true, y_pred).shape == y_pred.shape[:1]
    assert np.isfinite(jax.jit(jax.grad(lambda p: loss(y_true, p)))(y_pred)).all()


@pytest.mark.parametrize(
    "cls", discovery.each(cls for cls in LOSSES if cls.target_kind != "one-hot")
)
def test_columns_and_flat_targets_give_one_loss(cls):
    """Rows against columns would broadcast to (batch, batch) and train on nonsense."""
    loss = discovery.construct(cls)
    if loss.target_kind == "classes":
        y_true, y_pred = sample(loss)
    else:
        y_true, y_pred = INPUTS["binary_targets"][:, 0], INPUTS["binary_probabilities"][:, :1]
    np.testing.assert_array_equal(loss(y_true, y_pred), loss(y_true[:, None], y_pred))


@writable
def test_configuration_round_trip_gives_an_equal_loss(cls):
    loss = discovery.construct(cls, name="given")
    written = discovery.through_json(serialize(loss))
    copy = losses.get(written)
    assert type(copy) is cls
    assert serialize(copy) == written
    np.testing.assert_array_equal(copy(*sample(loss)), loss(*sample(loss)))


@writable
def test_string_class_instance_and_function_are_accepted(cls):
    instance = discovery.construct(cls)
    assert losses.get(instance) is instance
    function = getattr(losses, snake_case(cls.__name__))
    for identifier in (cls, cls.__name__, snake_case(cls.__name__), function):
        assert type(losses.get(identifier)) is cls
    np.testing.assert_array_equal(
        function(*sample(instance)), instance.values(*map(jnp.asarray, sample(instance)))
    )


def test_a_function_of_ones_own_is_refused_by_files_with_the_way_out():
    with pytest.raises(InvalidArgumentError, match="include_compile=False"):
        losses.get(lambda y, p: p).get_config()


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (losses.Huber, {"delta": 0.0}),
        (losses.Huber, {"delta": float("nan")}),
        (losses.BinaryCrossentropy, {"label_smoothing": -0.1}),
        (losses.CategoricalCrossentropy, {"label_smoothing": 1.5}),
        (losses.MeanSquaredError, {"reduction": "sum"}),
    ],
)
def test_an_impossible_setting_is_refused(cls, arguments):
    with pytest.raises(InvalidArgumentError, match=next(iter(arguments))):
        cls(**arguments)


def test_sparse_label_smoothing_equals_the_one_hot_kind():
    """Two ways to write one sum; PyTorch's recorded smoothing is the second."""
    smoothing = {"label_smoothing": 0.1}
    sparse = losses.SparseCategoricalCrossentropy(**smoothing)
    one_hot = losses.CategoricalCrossentropy(**smoothing)
    np.testing.assert_allclose(
        sparse(INPUTS["class_indices"], INPUTS["class_probabilities"]),
        one_hot(INPUTS["class_targets"], INPUTS["class_probabilities"]),
        rtol=1e-6,
    )


# -- log space -------------------------------------------------------------------------------

# A row whose logits are 200 apart, and the class that it makes (almost) impossible. The loss is
# log(1 + e^200) = 200 to float32, its slope at the logits p - y = (1, -1).
LOG_SPACE = [
    pytest.param("softmax", "sparse_categorical_crossentropy", [1], id="sparse"),
    pytest.param("softmax", "categorical_crossentropy", [[0.0, 1.0]], id="categorical"),
    pytest.param("sigmoid", "binary_crossentropy", [[0.0]], id="binary"),
]


def far_apart(activation, loss, *ending):
    """Returns a model whose output is saturated at the wrong end, by logits 200 apart."""
    logits = [100.0, -100.0] if activation == "softmax" else [200.0]
    own = None if ending else activation
    model = ek.Sequential([ek.Input([1]), Dense(len(logits), activation=own), *ending])
    model.set_weights([np.zeros((1, len(logits))), np.array(logits)])
    model.compile(optimizer=ek.optimizers.SGD(learning_rate=1.0), loss=loss)
    return model


@pytest.mark.parametrize("ending", [False, True], ids=["argument", "layer"])
@pytest.mark.parametrize(("activation", "loss", "y"), LOG_SPACE)
def test_a_saturated_output_has_the_exact_loss_and_slope(activation, loss, y, ending):
    """Closed form: see LOG_SPACE. One step at rate 1 moves the bias by minus the slope."""
    model = far_apart(activation, loss, *([Activation(activation)] if ending else []))
    x, y = np.zeros((1, 1), np.float32), np.asarray(y)
    assert model.evaluate(x, y, verbose=0) == 200.0
    (before,) = model.get_weights()[1:]
    assert model.train_on_batch(x, y) == 200.0
    slope = [1.0, -1.0] if activation == "softmax" else [1.0]
    np.testing.assert_array_equal(before - model.get_weights()[1], slope)


def test_a_softmax_layer_at_the_end_is_recognized_too():
    model = far_apart("softmax", "sparse_categorical_crossentropy", Softmax())
    assert model.evaluate(np.zeros((1, 1)), np.array([1]), verbose=0) == 200.0


@pytest.mark.parametrize(("activation", "loss", "y"), LOG_SPACE)
def test_probabilities_alone_are_clipped_and_lose_the_slope(activation, loss, y):
    """Keras's clip: -log(1e-7), or in float32 -log(1.19e-7) where the label is 0."""
    y_pred = jnp.asarray([[1.0, 0.0]] if activation == "softmax" else [[1.0]])
    y_true = jnp.asarray(y)
    clipped = -np.log(1e-7) if activation == "softmax" else -np.log(2.0**-23)
    loss = losses.get(loss)
    np.testing.assert_allclose(loss(y_true, y_pred), clipped, rtol=1e-6)
    gradient = np.asarray(jax.grad(lambda p: loss(y_true, p))(y_pred))
    np.testing.assert_array_equal(gradient[y_pred < 0.5], 0)


def test_a_layer_behind_the_softmax_ends_log_space():
    """The loss then sees probabilities that no logits are known for, so it clips."""
    behind = ek.layers.Rescaling(1.0)
    model = ek.Sequential([ek.Input([1]), Dense(2, activation="softmax"), behind])
    model.set_weights([np.zeros((1, 2)), np.array([100.0, -100.0])])
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    value = model.evaluate(np.zeros((1, 1)), np.array([1]), verbose=0)
    assert value == pytest.approx(-np.log(1e-7), rel=1e-6)
