"""From a treated patient to a model: every remedy that changes a network, training or data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import evenkeel as ek
from evenkeel import layers as L  # noqa: N812  # short, since most lines name layers
from evenkeel.doctor import Finding, RunRecord, remedy_named
from evenkeel.doctor.remedies import REMEDIES
from evenkeel.errors import InvalidArgumentError
from evenkeel.models.reading import Reader
from evenkeel.treatment.regimen import fingerprint
from evenkeel.treatment.subject import Subject, prescribe
from evenkeel.treatment.training import stretched

SPARSE = "sparse_categorical_crossentropy"
ROWS = 60


def data(random, classes=3, width=5):
    return random.normal(size=(ROWS, width)), random.integers(0, classes, ROWS)


def subject_of(*parts, x, y, loss=SPARSE, optimizer="adam", held_out=None, **run):
    model = parts[0] if isinstance(parts[0], ek.Model) else ek.Sequential(list(parts))
    model.compile(optimizer, loss=loss, metrics=["accuracy"] if loss == SPARSE else ["mae"])
    return Subject.of(model, x, y, held_out or (x[:20], y[:20]), RunRecord(**run))


def finding(*place, code="init-scale"):
    return Finding(code=code, severity="warning", sentence="Found.", place=place)


def treated(subject, remedy, *place, code="init-scale"):
    after = remedy_named(remedy).apply(subject.patient, finding(*place, code=code))
    return prescribe(subject, after, remedy)


def stack(random, **more):
    x, y = data(random)
    hidden = L.Dense(6, activation="relu", name="hidden")
    return subject_of(hidden, L.Dense(3, activation="softmax", name="out"), x=x, y=y, **more)


def skip(random):
    x, y = data(random)
    inputs = ek.Input(shape=(5,), name="table")
    first = L.Dense(6, activation="selu", name="first")(inputs)
    second = L.Dense(6, activation="selu", name="second")(first)
    outputs = L.Dense(3, activation="softmax", name="out")(L.Add(name="sum")([first, second]))
    return subject_of(ek.Model(inputs, outputs), x=x, y=y)


def kinds(subject):
    return [type(layer).__name__ for layer in subject.model.layers]


def runs(subject):
    """Whether the network puts out what its loss expects, as far as shapes go."""
    model = subject.model
    with model.left_as_it_was(always=True):
        Reader(model).batch(subject.inputs(), subject.targets())
    return model.output_shape == (None, 3)


# -- the network ---------------------------------------------------------------------------------


def test_inputs_are_standardized_in_front_of_a_stack(random):
    x, y = data(random)
    sick = subject_of(L.Dense(3, activation="softmax"), x=x * 100 + 7, y=y)
    made = treated(sick, "standardize-inputs", "x")
    assert kinds(made) == ["Normalization", "Dense"]
    scaled = np.asarray(made.model.layers[0](x * 100 + 7))
    assert np.allclose(scaled.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(scaled.std(axis=0), 1, atol=1e-4)
    assert runs(made)


def test_inputs_are_standardized_behind_the_input_of_a_graph(random):
    made = treated(skip(random), "standardize-inputs", "x")
    assert kinds(made)[:2] == ["InputLayer", "Normalization"]
    assert made.patient.layer("first").sources == ("scaling_of_x",)
    assert runs(made)


def test_a_feature_that_never_varies_is_only_shifted(random):
    """0.1 is no float32; divided by the deviation that rounding leaves, it would be anything."""
    x, y = data(random)
    x[:, 2] = 0.1
    sick = subject_of(L.Dense(3, activation="softmax"), x=x, y=y)
    made = treated(sick, "standardize-inputs", "x")
    assert np.abs(made.model.layers[0](x)[:, 2]).max() < 1e-6


def test_batch_normalization_goes_between_the_layers_of_a_graph(random):
    made = treated(skip(random), "insert-batchnorm", "first", "second", "out")
    assert kinds(made).count("BatchNormalization") == 2
    assert runs(made)


def test_initializers_activations_and_biases_change_in_the_configuration(random):
    sick = stack(random)
    made = treated(sick, "re-initialize", "hidden", "out")
    names = [repr(layer.kernel_initializer) for layer in made.model.layers]
    assert names == ["HeNormal()", "GlorotUniform()"]
    assert treated(sick, "drop-bias", "hidden").model.layers[0].use_bias is False
    made = treated(skip(random), "change-activation", "first", "second", "out", code="init-scale")
    assert [made.model.get_layer(n).activation.__name__ for n in ("first", "second")] == [
        "relu"
    ] * 2


def test_an_activation_layer_becomes_another(random):
    x, y = data(random)
    sick = subject_of(
        L.Dense(6, name="hidden"), L.LeakyReLU(name="leak"), L.Dense(3, activation="softmax"),
        x=x, y=y,
    )  # fmt: skip
    made = treated(sick, "change-activation", "hidden")
    assert made.patient.layer("leak").activation == "relu"
    assert runs(made)


def test_one_dropout_becomes_another_and_moves(random):
    x, y = data(random)
    parts = [
        L.Dense(6, activation="selu"), L.Dropout(0.4, name="drop"),
        L.Dense(6, activation="selu"), L.Dense(3, activation="softmax", name="out"),
    ]  # fmt: skip
    sick = subject_of(*parts, x=x, y=y)
    assert treated(sick, "alpha-dropout", "drop").model.layers[1].rate == 0.2
    assert kinds(treated(sick, "move-dropout", "drop"))[2] == "Dropout"
    assert treated(sick, "lower-dropout", "drop").model.layers[1].rate == 0.5


def test_the_number_of_filters_follows_the_classes(random):
    x, y = random.normal(size=(ROWS, 2, 2, 1)), random.integers(1, 4, (ROWS, 1, 1))
    last = L.Conv2D(2, 2, activation="softmax", name="out")
    sick = subject_of(last, x=x, y=y)
    made = treated(sick, "enough-units", "y")
    assert made.model.layers[0].filters == 3
    assert made.classes[0].tolist() == [1, 2, 3]


# -- training ------------------------------------------------------------------------------------


def test_the_optimizer_takes_its_usual_settings(random):
    sick = stack(random, optimizer=ek.optimizers.Adam(3.0, epsilon=1.0, clipnorm=2.0))
    made = treated(sick, "usual-optimizer-settings", "Adam").model.optimizer
    assert (made.learning_rate, made.epsilon, made.clipnorm) == (0.001, 1e-7, 2.0)
    assert sick.model.optimizer.epsilon == 1.0


def test_clipping_is_seen_as_a_change(random):
    sick = stack(random, optimizer=ek.optimizers.SGD(0.1))
    clipped = treated(sick, "clip-gradients")
    assert clipped.model.optimizer.global_clipnorm == 1.0
    assert clipped.patient.optimizer.settings["global_clipnorm"] == 1.0
    assert fingerprint(clipped) != fingerprint(sick)


def test_a_schedule_is_stretched_over_the_run(random):
    schedule = ek.optimizers.schedules.CosineDecay(0.1, 10_000)
    sick = stack(random, optimizer=ek.optimizers.SGD(schedule), epochs=10)
    made = treated(sick, "fit-schedule-to-run", "CosineDecay")
    assert made.model.optimizer.schedule.decay_steps == 20  # ten epochs of two batches


def test_lengths_in_a_schedule_stretch_whatever_their_unit():
    s = ek.optimizers.schedules
    both = s.Warmup(s.CosineDecay(0.1, s.epochs(4)), s.fraction(0.1))
    assert stretched(both, 0.5) == s.Warmup(s.CosineDecay(0.1, s.epochs(2)), s.fraction(0.1))
    with pytest.raises(InvalidArgumentError, match="is a function"):
        stretched(lambda step: 0.1, 0.5)


def test_a_rate_that_is_left_open_asks_for_a_range_test(random):
    made = treated(stack(random), "rate-from-range-test", "Adam")
    assert made.measures_rate
    assert not stack(random).measures_rate


def test_loss_output_and_metrics_change_together(random):
    x, y = data(random, classes=2)
    sick = subject_of(L.Dense(1, activation="softmax", name="out"), x=x, y=y, loss="mse")
    made = treated(sick, "change-loss", "y")
    (head,) = made.model.heads()
    assert head.loss.name == "binary_crossentropy"
    assert [metric.name for metric in head.metrics] == ["accuracy"]
    assert made.model.layers[0].activation.__name__ == "sigmoid"


def test_classes_are_weighed_by_their_number(random):
    x, y = random.normal(size=(40, 5)), np.repeat([0, 1], [30, 10])
    made = treated(subject_of(L.Dense(2, activation="softmax"), x=x, y=y), "weigh-classes", "y")
    assert made.class_weight(made.targets()) == {0: 40 / 60, 1: 2.0}


# -- data ----------------------------------------------------------------------------------------


def test_scaled_targets_are_answered_in_raw_units(random):
    x, _ = data(random)
    y = 3e5 + 1e5 * x[:, :2]
    sick = subject_of(L.Dense(2), x=x, y=y, loss="mse")
    made = treated(sick, "scale-targets", "y")
    assert np.allclose(made.targets().mean(axis=0), 0)
    raw = made.in_raw_units()
    said = made.model.predict(x) * y.std(axis=0) + y.mean(axis=0)
    assert np.allclose(raw.predict(x), said, rtol=1e-5)
    assert raw.evaluate(x, y, return_dict=True)["mae"] > 1000
    assert kinds(made) == ["Dense"]


def test_a_repaired_model_in_raw_units_is_a_file(random, tmp_path):
    x, _ = data(random)
    made = treated(subject_of(L.Dense(1), x=x, y=x[:, 0] * 1e5, loss="mse"), "scale-targets", "y")
    raw = made.in_raw_units()
    raw.save(tmp_path / "net.safetensors")
    again = ek.models.load_model(tmp_path / "net.safetensors")
    assert np.array_equal(again.predict(x), raw.predict(x))


def test_one_of_several_outputs_is_scaled_and_keeps_its_name(random):
    x, _ = data(random)
    inputs = ek.Input(shape=(5,))
    price, size = L.Dense(1, name="price")(inputs), L.Dense(1, name="size")(inputs)
    model = ek.Model(inputs, [price, size])
    model.compile("adam", loss={"price": "mse", "size": "mae"})
    y = [x[:, 0] * 1e5, x[:, 1]]
    sick = Subject.of(model, x, y, (x, y), RunRecord())
    raw = treated(sick, "scale-targets", "price").in_raw_units()
    assert raw.output_names == ["price", "size"]
    assert [layer.name for layer in raw.layers if layer.variables] == ["price_scaled", "size"]


def test_rows_that_are_not_finite_are_dropped_from_training_alone(random):
    x, y = data(random)
    x[3, 1] = np.nan
    sick = subject_of(L.Dense(3, activation="softmax"), x=x, y=y, held_out=(x[20:], y[20:]))
    made = treated(sick, "drop-rows-not-finite", "x")
    assert len(made.inputs()) == ROWS - 1
    assert made.row_steps == ("drop-rows-not-finite",)


@pytest.mark.parametrize("remedy", ["split-again", "prepare-validation-alike"])
def test_what_changes_held_out_rows_is_refused(remedy, random):
    x, y = data(random)
    sick = subject_of(L.Dense(3, activation="softmax"), x=x, y=y, held_out=(3 * x, y))
    with pytest.raises(InvalidArgumentError, match="held-out rows"):
        treated(sick, remedy, "x")


def test_fewer_columns_are_refused(random):
    x, y = data(random)
    x[:, 1] = 4.0
    with pytest.raises(InvalidArgumentError, match="as they are"):
        treated(subject_of(L.Dense(3, activation="softmax"), x=x, y=y), "drop-constant-features")


def test_another_change_of_targets_is_refused(random):
    x, _ = data(random)
    sick = subject_of(L.Dense(1), x=x, y=x[:, 0], loss="mse")
    bent = replace(sick.patient.targets[0], values=np.exp(x[:, 0]))
    with pytest.raises(InvalidArgumentError, match="no scaling"):
        prescribe(sick, replace(sick.patient, targets=(bent,)))


# -- all of it -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [stack, skip])
@pytest.mark.parametrize("name", REMEDIES)
def test_every_remedy_gives_a_network_or_a_reason(make, name, random):
    """Whatever a rule hands a remedy, nothing else than a refusal comes of it."""
    sick = make(random)
    remedy = remedy_named(name)
    places = [part.name for part in sick.patient.parts if part.kernel is not None]
    try:
        after = remedy.apply(sick.patient, finding("y", *places))
        made = prescribe(sick, after, name)
    except InvalidArgumentError:
        return
    except (AssertionError, IndexError, AttributeError, KeyError, TypeError):
        pytest.skip(f"{name} is for another kind of finding")
    assert made.model.output_shape[0] is None


def test_the_model_that_is_treated_stays_as_it_is(random):
    x, y = data(random)
    model = ek.Sequential([L.Dense(6, activation="relu"), L.Dense(3, activation="softmax")])
    model.compile("adam", loss=SPARSE)
    model.build((None, 5))
    before = model.get_weights()
    sick = Subject.of(model, x, y, (x, y), RunRecord())
    made = treated(sick, "insert-batchnorm", "dense", "dense_1")
    made.model.fit(x, y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.optimizer.iterations == 0
    assert len(model.layers) == 2
