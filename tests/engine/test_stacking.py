"""Runs of equal layers as one loop: the same numbers as layer by layer, and nothing else shows."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout

import jax
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.engine import stacking
from evenkeel.engine.plan import Plan
from evenkeel.layers import (
    Activation,
    AlphaDropout,
    BatchNormalization,
    Dense,
    Dropout,
    GaussianNoise,
    LayerNormalization,
    PReLU,
)
from evenkeel.optimizers import SGD, Adam, AdamW, Nadam, RMSprop

STEPS_AN_EPOCH, ROWS = 10, 160
SHORT, ENDLESS = 8, 10**9


@pytest.fixture(autouse=True)
def short_runs_too(monkeypatch):
    """So that small networks do."""
    monkeypatch.setattr(stacking, "SHORTEST_RUN", SHORT)


def rows():
    random = np.random.Generator(np.random.Philox(5))
    x = random.normal(size=(ROWS, 6)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)


X, Y = rows()


def plain(n=1):
    return [Dense(7, activation="tanh", kernel_initializer="lecun_normal") for _ in range(n)]


def network(middle, optimizer=None, **compile_arguments):
    """Some layers between a first and a last one, the same weights every time."""
    ek.set_random_seed(2)
    model = ek.Sequential(
        [ek.Input((6,)), Dense(7), *middle, Dense(2, activation="softmax")], name="net"
    )
    model.compile(
        optimizer or SGD(0.01, momentum=0.9, nesterov=True),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **compile_arguments,
    )
    return model


def both(monkeypatch, make, fit=None):
    """What `make()` is after 200 steps, with stacks and without."""
    results = []
    for shortest in (SHORT, ENDLESS):
        monkeypatch.setattr(stacking, "SHORTEST_RUN", shortest)
        model = make()
        ek.set_random_seed(9)
        if fit is None:
            model.fit(X, Y, batch_size=ROWS // STEPS_AN_EPOCH, epochs=20, verbose=0)
        else:
            fit(model)
        plan = Plan.of(model, heads=model.heads(), optimizer=model.optimizer)
        assert bool(plan.stacks) == (shortest == SHORT)
        results.append(model)
    return results


def assert_equal(one, other):
    """Weights, within 1e-4 of the largest of each."""
    for a, b in zip(one.weights, other.weights, strict=True):
        scale = max(np.abs(b.numpy()).max(), 1e-3)
        assert np.abs(a.numpy() - b.numpy()).max() <= 1e-4 * scale, a.path


def repeated(*factories):
    return lambda: [make() for _ in range(10) for make in factories]


def dense(**arguments):
    return lambda: Dense(7, activation="selu", kernel_initializer="lecun_normal", **arguments)


# Nothing steep: where a step multiplies differences by ten, 200 steps say nothing.
BLOCKS = {
    "plain": repeated(dense()),
    "batch normalization": repeated(
        lambda: Dense(7, use_bias=False), BatchNormalization, lambda: Activation("relu")
    ),
    "dropout": repeated(dense(), lambda: Dropout(0.1)),
    "seeded dropout": repeated(dense(), lambda: Dropout(0.1, seed=3)),
    "alpha dropout": repeated(dense(), lambda: AlphaDropout(0.1)),
    "noise": repeated(dense(), lambda: GaussianNoise(0.05)),
    "prelu as a layer": repeated(lambda: Dense(7), PReLU),
    "prelu inside": repeated(lambda: Dense(7, activation="prelu")),
    "rrelu inside": repeated(lambda: Dense(7, activation=ek.layers.RReLU())),
    "nested": repeated(lambda: ek.Sequential([Dense(7), BatchNormalization(), Dropout(0.1)])),
    "l1 and l2": repeated(dense(kernel_regularizer="l1", bias_regularizer="l2")),
    "activity": repeated(lambda: Dense(7, "tanh", activity_regularizer="l2")),
    "max-norm": repeated(dense(kernel_constraint=ek.constraints.MaxNorm(0.8))),
}


# What differs from another one in a detail only.
SELDOM = {"seeded dropout", "noise", "prelu inside", "activity", "nadam", "rmsprop", "clipvalue"}


def all_of(cases):
    return [
        pytest.param(name, marks=[pytest.mark.slow] if name in SELDOM else []) for name in cases
    ]


@pytest.mark.parametrize("name", all_of(BLOCKS))
def test_a_stacked_run_is_the_unstacked_one(monkeypatch, name):
    assert_equal(*both(monkeypatch, lambda: network(BLOCKS[name]())))


def test_layer_normalization_is_the_same(monkeypatch):
    """Over 20 steps: seven units that are normalized make steep networks."""

    def fit(model):
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0)

    blocks = repeated(lambda: Dense(7), LayerNormalization, lambda: Activation("tanh"))
    assert_equal(*both(monkeypatch, lambda: network(blocks(), SGD(0.001)), fit))


OPTIMIZERS = {
    "adam": lambda: Adam(0.003),
    "nadam": lambda: Nadam(0.003),
    "rmsprop": lambda: RMSprop(0.001),
    "weight decay": lambda: AdamW(0.003, weight_decay=0.01),
    "clipnorm": lambda: SGD(0.05, momentum=0.9, clipnorm=0.02),
    "clipvalue": lambda: SGD(0.05, momentum=0.9, clipvalue=0.005),
    "global_clipnorm": lambda: SGD(0.05, momentum=0.9, global_clipnorm=0.1),
    "average": lambda: SGD(0.05, momentum=0.9, use_ema=True, ema_overwrite_frequency=30),
    "accumulation": lambda: Adam(0.003, gradient_accumulation_steps=3),
}


@pytest.mark.parametrize("name", all_of(OPTIMIZERS))
def test_what_stands_around_an_update_is_the_same(monkeypatch, name):
    one, other = both(monkeypatch, lambda: network(plain(12), OPTIMIZERS[name]()))
    assert_equal(one, other)
    own, theirs = (jax.tree_util.tree_leaves_with_path(m.optimizer.slots) for m in (one, other))
    assert [path for path, _ in own] == [path for path, _ in theirs]
    for (_, a), (_, b) in zip(own, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * max(np.abs(b).max(), 1e-6))


def test_variables_that_do_not_decay_stay_apart_from_those_that_do(monkeypatch):
    def make():
        optimizer = AdamW(0.003, weight_decay=0.5)
        optimizer.exclude_from_weight_decay(["dense_5/"])
        return network(plain(24), optimizer)

    assert_equal(*both(monkeypatch, make))


def test_frozen_layers_in_the_middle_split_a_run(monkeypatch):
    def make():
        model = network(plain(24))
        for layer in model.layers[10:13]:
            layer.trainable = False
        return model

    one, other = both(monkeypatch, make)
    assert_equal(one, other)
    fresh = make()
    for layer, before in zip(one.layers[10:13], fresh.layers[10:13], strict=True):
        for a, b in zip(layer.get_weights(), before.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


class Doubling(ek.callbacks.Callback):
    """Sets one layer's weights between batches, and reads another's."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        layer = self.model.layers[4]
        if batch == 3:
            layer.set_weights([w * 0.5 for w in layer.get_weights()])
        self.seen.append(self.model.layers[6].get_weights()[0].copy())


@pytest.mark.filterwarnings("ignore:fit.*listens to single batches")
def test_callbacks_read_and_set_each_layers_own_weights(monkeypatch):
    seen = []

    def fit(model):
        seen.append(Doubling())
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=[seen[-1]])

    assert_equal(*both(monkeypatch, lambda: network(plain(12)), fit))
    np.testing.assert_allclose(seen[0].seen, seen[1].seen, rtol=1e-4, atol=1e-5)
    assert len({array.tobytes() for array in seen[0].seen}) == len(seen[0].seen)


@pytest.mark.slow
def test_a_file_in_the_middle_of_a_run_goes_on_as_the_run(monkeypatch, tmp_path):
    """Written with stacks, read without, and the other way round: the file does not know."""

    def fit(model):
        model.fit(X, Y, batch_size=16, epochs=3, verbose=0, shuffle=False)

    one, other = both(monkeypatch, lambda: network(plain(12), Adam(0.003)), fit)
    for name, model in (("one", one), ("other", other)):
        model.save(tmp_path / name)
    monkeypatch.setattr(stacking, "SHORTEST_RUN", SHORT)
    for name, model in (("one", one), ("other", other)):
        loaded = ek.models.load_model(tmp_path / name)
        for m in (loaded, model):
            m.fit(X, Y, batch_size=16, epochs=2, verbose=0, shuffle=False)
        assert_equal(loaded, model)
    assert_equal(one, other)


def test_telemetry_names_every_layer(monkeypatch):
    histories = []

    def fit(model):
        histories.append(model.fit(X, Y, batch_size=16, epochs=2, verbose=0))

    blocks = repeated(dense(), lambda: Dropout(0.1))
    both(monkeypatch, lambda: network(blocks(), telemetry="full"), fit)
    (one, *_), (other, *_) = (history.telemetry for history in histories)
    for measure in ("gradient_norm", "weight_norm", "update_norm", "activation_mean"):
        a, b = getattr(one, measure), getattr(other, measure)
        assert set(a) == set(b)
        assert a == pytest.approx({key: b[key] for key in a}, rel=1e-4, abs=1e-6), measure
    assert one.zero_fraction == pytest.approx(other.zero_fraction)


@pytest.mark.slow
def test_predictions_and_evaluation_are_the_same(monkeypatch):
    one, other = both(monkeypatch, lambda: network(BLOCKS["batch normalization"]()))
    np.testing.assert_allclose(one.predict(X, verbose=0), other.predict(X, verbose=0), atol=1e-5)
    assert one.evaluate(X, Y, verbose=0) == pytest.approx(other.evaluate(X, Y, verbose=0), rel=1e-4)


def test_what_is_not_finite_goes_back_to_the_last_good_weights():
    model = network([Dense(7) for _ in range(12)], SGD(1e30))
    before = model.get_weights()
    with pytest.warns(ek.errors.EvenkeelWarning, match="infinite"):
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_shows_in_the_summary_or_in_the_names(monkeypatch):
    one, other = both(monkeypatch, lambda: network(plain(12)))

    def summary(model):
        with redirect_stdout(io.StringIO()) as out:
            model.summary()
        return re.sub(r"_\d+", "", out.getvalue())

    assert summary(one) == summary(other)
    assert [w.shape for w in one.weights] == [w.shape for w in other.weights]


def test_a_clone_and_a_shared_layer_have_their_own_say():
    model = network(plain(12))
    model.fit(X, Y, batch_size=16, epochs=1, verbose=0)
    clone = ek.models.clone_model(model, weights=True)
    kept = clone.get_weights()
    model.fit(X, Y, batch_size=16, epochs=1, verbose=0)
    for a, b in zip(clone.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)


class TestDetection:
    def stacks(self, layers, optimizer=None):
        model = network(layers, optimizer)
        return Plan.of(model, heads=model.heads(), optimizer=model.optimizer).stacks

    def counts(self, layers, optimizer=None):
        return [(stack.count, len(stack.blocks[0])) for stack in self.stacks(layers, optimizer)]

    def test_equal_layers(self):
        assert self.counts(plain(12)) == [(12, 1)]

    def test_equal_blocks(self):
        assert self.counts(BLOCKS["batch normalization"]()) == [(10, 3)]

    def test_a_short_run_is_written_out(self):
        assert self.counts(plain(SHORT - 1)) == []

    def test_another_setting_splits_a_run(self):
        layers = [*plain(9), Dense(7, activation="relu"), *plain(9)]
        assert self.counts(layers) == [(9, 1), (9, 1)]

    def test_a_layer_used_twice_stands_alone(self):
        inner = ek.Sequential([ek.Input((6,)), Dense(7), *plain(17)])
        inputs = ek.Input((6,))
        model = ek.Model(inputs, Dense(2)(inner.layers[9](inner(inputs))))
        assert [stack.count for stack in Plan.of(model).stacks] == [8, 8]

    def test_a_layer_of_the_users_own_stands_alone(self):
        class Own(Dense):
            pass

        assert self.counts([Own(7) for _ in range(12)]) == []

    def test_optimizers_that_look_at_whole_variables_get_them(self):
        class Whole(SGD):
            updates_elementwise = False

        assert self.counts(plain(12), Whole(0.1)) == []

    def test_a_limit_that_was_set_later_counts(self):
        model = network(plain(12))
        model.layers[4].kernel.regularizer = ek.regularizers.L2(1.0)
        model.layers[9].kernel.constraint = ek.constraints.NonNeg()
        assert [stack.count for stack in Plan.of(model).stacks] == []

    def test_tied_weights_stand_alone(self):
        model = network(plain(20))
        model.layers[12].kernel = model.layers[11].kernel
        assert [stack.count for stack in Plan.of(model).stacks] == [10, 8]

    def test_layers_without_weights_make_no_stack(self):
        assert self.counts([Dropout(0.1) for _ in range(12)]) == []


def test_a_deep_network_is_no_longer_a_program_than_a_shallow_one():
    """The number of equations of a step, all loops included, at 20 and at 200 layers."""

    def equations(jaxpr):
        inner = [
            equations(sub.jaxpr if hasattr(sub, "jaxpr") else sub)
            for equation in jaxpr.eqns
            for sub in jax.tree.leaves(
                list(equation.params.values()),
                is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr"),
            )
            if hasattr(sub, "eqns") or hasattr(sub, "jaxpr")
        ]
        return len(jaxpr.eqns) + sum(inner)

    def size(layers):
        model = network(plain(layers))
        plan = Plan.of(model, heads=model.heads(), optimizer=model.optimizer)
        trained, others = plan.read_values()

        def loss(trained):
            output, _, _ = plan.evaluate(
                trained, others, X[:8], training=True, key=jax.random.key(0)
            )
            return output.sum()

        return equations(jax.make_jaxpr(jax.grad(loss))(trained).jaxpr)

    assert size(200) == size(20)
    assert size(20) < size(7) * 2  # seven are written out


class LayerByLayer(ek.Sequential):
    """Goes through its layers itself, and through one of them again."""

    def call(self, inputs):
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs


class Twice(ek.Model):
    def __init__(self):
        super().__init__()
        self.body = ek.Sequential(plain(12))
        self.top = Dense(2, activation="softmax")

    def call(self, inputs):
        hidden = self.body.layers[5](self.body(self.body(inputs)))
        self.add_loss(jax.numpy.sum(self.body.layers[2].kernel.value ** 2) * 1e-3)
        return self.top(hidden)


@pytest.mark.slow
def test_a_model_may_use_the_layers_of_a_run_by_themselves(monkeypatch):
    """With random layers and moving averages among them, which see each use in its turn."""
    x = X[:, [0, 1, 2, 3, 4, 5, 0]]

    def make(kind):
        ek.set_random_seed(2)
        model = kind()
        model.compile(SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
        return model

    def by_layer():
        blocks = [*BLOCKS["batch normalization"](), Dropout(0.2), Dense(2, "softmax")]
        return LayerByLayer(blocks)

    def twice():
        return Twice()

    for kind in (by_layer, twice):
        models = []
        for shortest in (SHORT, ENDLESS):
            monkeypatch.setattr(stacking, "SHORTEST_RUN", shortest)
            model = make(kind)
            ek.set_random_seed(4)
            model.fit(x, Y, batch_size=16, epochs=2, verbose=0)
            models.append(model)
        assert_equal(*models)


def test_weights_can_be_read_right_after_a_prediction():
    model = network(plain(12))
    before = model.get_weights()
    model.predict(X, verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
