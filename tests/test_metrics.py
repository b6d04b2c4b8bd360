"""Metrics against the recorded numbers of other libraries, and against closed forms."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel import metrics
from evenkeel.errors import InvalidArgumentError
from evenkeel.registry import serialize, snake_case
from tests.laws import discovery
from tests.oracles import cases, recipe

RECORDED = np.load(Path(__file__).parent / "oracles" / "functions.npz")
INPUTS = recipe.metric_inputs()
METRICS = discovery.metrics()
# `Accuracy` stands for one of its kinds, the other two are made around a loss or a function.
OWN = [cls for cls in METRICS if cls.__name__ not in ("Accuracy", "FunctionMetric", "LossMetric")]
every_case = pytest.mark.parametrize("name", cases.METRICS)
every_metric = pytest.mark.parametrize("cls", discovery.each(METRICS))
weighted_or_not = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
# Trapezoids between 200 thresholds against exact ranks: tests/oracles/README.md.
SKLEARN_TOLERANCE = {"auc": 2e-3}


def built(case):
    return getattr(metrics, case.kind)(**case.arguments)


def streamed(metric, y_true, y_pred, weight=None):
    """Returns the metric after the two uneven batches."""
    for rows in recipe.METRIC_BATCHES:
        metric.update_state(y_true[rows], y_pred[rows], None if weight is None else weight[rows])
    return float(metric.result())


def recorded(library, name, weighted):
    return float(RECORDED[f"{library}/{name}/metric{'_weighted' if weighted else ''}"])


def sample(cls):
    """Returns targets and predictions that a metric takes."""
    if cls is metrics.SparseCategoricalAccuracy:
        return INPUTS["class_indices"], INPUTS["class_probabilities"]
    return INPUTS["class_targets"], INPUTS["class_probabilities"]


def test_every_exported_metric_has_recorded_numbers():
    assert {cls.__name__ for cls in OWN} == {case.kind for case in cases.METRICS.values()}


@every_case
@weighted_or_not
def test_two_uneven_batches_give_the_number_of_keras(name, weighted):
    case = cases.METRICS[name]
    weight = INPUTS["sample_weight"] if weighted else None
    ours = streamed(built(case), INPUTS[case.targets], INPUTS[case.predictions], weight)
    assert ours == pytest.approx(recorded("keras", name, weighted), rel=2e-6, abs=1e-7)


@pytest.mark.parametrize("name", cases.LOSS_METRICS)
@weighted_or_not
def test_losses_as_metrics_give_the_number_of_keras(name, weighted):
    """The metric of the same name in Keras: the weighted mean over the rows of both batches."""
    case = cases.LOSS_METRICS[name]
    weight = INPUTS["sample_weight"] if weighted else None
    metric = metrics.LossMetric(getattr(ek.losses, case.kind)(**case.arguments))
    ours = streamed(metric, INPUTS[case.targets], INPUTS[case.predictions], weight)
    assert ours == pytest.approx(recorded("keras", name, weighted), rel=2e-6)


@pytest.mark.parametrize("name", [n for n in cases.METRICS if f"sklearn/{n}/metric" in RECORDED])
@weighted_or_not
def test_two_uneven_batches_give_the_number_of_scikit_learn(name, weighted):
    """It sees all rows at once, in double precision."""
    case = cases.METRICS[name]
    weight = INPUTS["sample_weight"] if weighted else None
    ours = streamed(built(case), INPUTS[case.targets], INPUTS[case.predictions], weight)
    tolerance = SKLEARN_TOLERANCE.get(name, 2e-6)
    assert ours == pytest.approx(recorded("sklearn", name, weighted), abs=tolerance)


@every_metric
def test_batches_do_not_matter(cls):
    """All rows at once, up to the rounding of sums in another order."""
    y_true, y_pred = sample(cls)
    whole, parts = discovery.construct(cls), discovery.construct(cls)
    assert streamed(parts, y_true, y_pred) == pytest.approx(float(whole(y_true, y_pred)), rel=1e-6)


@every_metric
def test_weights_of_one_change_nothing(cls):
    y_true, y_pred = sample(cls)
    plain, weighted = discovery.construct(cls), discovery.construct(cls)
    ones = np.ones(len(y_true), np.float32)
    assert float(weighted(y_true, y_pred, ones)) == pytest.approx(float(plain(y_true, y_pred)))


@every_metric
def test_rows_of_weight_zero_do_not_count(cls):
    y_true, y_pred = sample(cls)
    some, others = discovery.construct(cls), discovery.construct(cls)
    weight = (np.arange(len(y_true)) < 20).astype(np.float32)
    expected = float(others(y_true[:20], y_pred[:20]))
    assert float(some(y_true, y_pred, weight)) == pytest.approx(expected, rel=1e-5)


@every_metric
def test_compiled_equals_eager_and_the_state_keeps_its_shapes(cls):
    """After the first batch the state is one that a compiled loop can carry."""
    metric = discovery.construct(cls)
    y_true, y_pred = map(jnp.asarray, sample(cls))
    weight = jnp.asarray(INPUTS["sample_weight"])
    first = metric.update(metric.initial(), y_true, y_pred, weight)
    eager = metric.update(first, y_true, y_pred, weight)
    compiled = jax.jit(metric.update)(first, y_true, y_pred, weight)
    assert jax.tree.map(jnp.shape, first) == jax.tree.map(jnp.shape, compiled)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), compiled, eager)
    np.testing.assert_allclose(
        jax.jit(metric.value_of)(compiled), metric.value_of(eager), rtol=1e-6
    )


@every_metric
def test_resetting_forgets_all_batches(cls):
    metric = discovery.construct(cls)
    y_true, y_pred = sample(cls)
    before = float(metric.result())
    first = float(metric(y_true, y_pred))
    metric.reset_state()
    assert float(metric.result()) == before
    assert float(metric(y_true, y_pred)) == first


@pytest.mark.parametrize(
    "cls", discovery.each(cls for cls in METRICS if not discovery.holds_code(cls))
)
def test_configuration_round_trip_gives_an_equal_metric(cls):
    metric = discovery.construct(cls, name="given")
    written = discovery.through_json(serialize(metric))
    copy = metrics.get(written)
    assert type(copy) is cls
    assert serialize(copy) == written
    assert copy.name == "given"
    assert float(copy(*sample(cls))) == float(metric(*sample(cls)))


@pytest.mark.parametrize("cls", discovery.each(OWN))
def test_string_class_and_instance_are_accepted(cls):
    instance = discovery.construct(cls)
    assert metrics.get(instance) is instance
    for identifier in (cls, cls.__name__, snake_case(cls.__name__)):
        assert type(metrics.get(identifier)) is cls
    assert metrics.get(snake_case(cls.__name__)).name == snake_case(cls.__name__)


def test_a_loss_counts_as_a_metric():
    metric = metrics.get("huber")
    y_true, y_pred = INPUTS["real_targets"], INPUTS["real_predictions"]
    assert metric.name == "huber"
    expected = float(ek.losses.Huber()(y_true, y_pred))
    assert streamed(metric, y_true, y_pred) == pytest.approx(expected, rel=1e-6)


def test_r2_of_large_targets_loses_no_digits():
    """A shift of targets and predictions leaves R² alone; here in double precision."""
    case = cases.METRICS["r2_score"]
    y_true, y_pred = INPUTS[case.targets] + 1024, INPUTS[case.predictions] + 1024
    y, p = y_true.astype(np.float64), y_pred.astype(np.float64)
    residual, total = ((y - p) ** 2).sum(axis=0), ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    assert streamed(metrics.R2Score(), y_true, y_pred) == pytest.approx(
        np.mean(1 - residual / total), abs=1e-5
    )


def test_f1_averages_follow_their_definitions():
    """Computed here from counts, in NumPy."""
    actual = INPUTS["class_targets"].astype(np.float64)
    chosen = np.eye(5)[INPUTS["class_probabilities"].argmax(axis=-1)]
    hits, predicted, rows = (actual * chosen).sum(0), chosen.sum(0), actual.sum(0)
    f1 = 2 * hits / (predicted + rows)
    expected = {
        "macro": f1.mean(),
        "weighted": (f1 * rows).sum() / rows.sum(),
        "micro": hits.sum() / rows.sum(),
    }
    for average, value in expected.items():
        metric = metrics.F1Score(average=average)
        ours = streamed(metric, INPUTS["class_targets"], INPUTS["class_probabilities"])
        assert ours == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("name", ["precision", "recall", "f1_score", "auc", "r2_score"])
def test_nothing_to_count_is_no_division_by_zero(name):
    """0 / 0 counts as 0, as in Keras."""
    metric = metrics.get(name)
    metric.update_state(np.zeros((3, 1)), np.zeros((3, 1)))
    assert np.isfinite(metric.result())


@pytest.mark.parametrize(
    ("y", "units", "loss", "kind"),
    [
        (np.array([0, 1, 0]), 1, "binary_crossentropy", metrics.BinaryAccuracy),
        (np.array([0, 2, 1]), 3, "sparse_categorical_crossentropy", None),
        (np.eye(3), 3, "categorical_crossentropy", metrics.CategoricalAccuracy),
    ],
    ids=["binary", "sparse", "categorical"],
)
def test_accuracy_becomes_the_kind_that_fits_and_keeps_its_name(y, units, loss, kind):
    kind = kind or metrics.SparseCategoricalAccuracy
    metric = metrics.fitting_accuracy(
        metrics.get("accuracy"), y.shape, (None, units), ek.losses.get(loss)
    )
    assert type(metric) is kind
    assert metric.name == "accuracy"


def test_binary_accuracy_of_logits_is_cut_at_zero():
    loss = ek.losses.BinaryCrossentropy(from_logits=True)
    metric = metrics.fitting_accuracy(metrics.get("accuracy"), (None,), (None, 1), loss)
    assert float(metric(np.array([1, 0]), np.array([[0.25], [-0.25]]))) == 1.0


@pytest.mark.parametrize("dtype", [bool, np.int32, np.uint8, np.float64])
def test_binary_targets_may_be_of_any_type(dtype):
    y_true = INPUTS["binary_targets"].astype(dtype)
    for name in ("binary_accuracy", "precision", "recall", "auc"):
        ours = streamed(metrics.get(name), y_true, INPUTS["binary_probabilities"])
        assert ours == pytest.approx(recorded("keras", name, False), rel=2e-6)


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (metrics.AUC, {"curve": "roc-like"}),
        (metrics.AUC, {"num_thresholds": 0}),
        (metrics.Precision, {"thresholds": 1.5}),
        (metrics.F1Score, {"average": None}),
        (metrics.BinaryAccuracy, {"threshold": float("nan")}),
    ],
)
def test_an_impossible_setting_is_refused(cls, arguments):
    with pytest.raises(InvalidArgumentError, match=next(iter(arguments))):
        cls(**arguments)


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidArgumentError, match="'accuracy'"):
        metrics.get("acuracy")
