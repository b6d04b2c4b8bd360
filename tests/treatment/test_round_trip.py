"""From a model to a patient and back: the same network, with weights drawn anew by the seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import evenkeel as ek
from evenkeel import layers as L  # noqa: N812  # short, since most lines name layers
from evenkeel.description import describe
from evenkeel.doctor import LayerRecord
from evenkeel.errors import InvalidArgumentError
from evenkeel.randomness import seeded
from evenkeel.treatment.network import fresh, same
from evenkeel.treatment.training import compile_like
from tests.laws import discovery

LAYERS = [cls for cls in discovery.layers() if cls is not L.InputLayer]


def network_of(cls):
    """A graph with the layer, its data, and what makes it again under a seed."""
    inputs = discovery.sample_inputs(cls)
    several = inputs if isinstance(inputs, list) else [inputs]
    tensors = [ek.Input(shape=part.shape[1:]) for part in several]
    output = discovery.construct(cls)(tensors if isinstance(inputs, list) else tensors[0])
    model = ek.Model(tensors, L.Dense(1)(L.Flatten()(output)))
    model.compile("adam", loss="mse", metrics=["mae"])
    return model, inputs


def remade(model, patient, seed):
    with seeded(seed):
        made = fresh(model, patient, patient)
    compile_like(made, model, patient, patient)
    return made


def assert_same_records(one, other):
    assert [p.name for p in one.parts] == [p.name for p in other.parts]
    for old, new in zip(one.parts, other.parts, strict=True):
        assert replace(old, config={}) == replace(new, config={})
        assert set(old.config) == set(new.config)
        # A layer of a model inside may have the name of its place from now on.
        names = [name for name in old.config if name != "name"]
        assert all(same(old.config[name], new.config[name]) for name in names)
    assert one.heads == other.heads
    assert one.optimizer == other.optimizer
    assert one.run == other.run
    assert one.missing == other.missing
    for old, new in zip(one.inputs, other.inputs, strict=True):
        assert (old.name, old.layer) == (new.name, new.layer)
        assert np.array_equal(old.values, new.values)


@pytest.mark.parametrize("cls", discovery.each(LAYERS))
def test_a_described_and_made_network_describes_itself_alike(cls):
    """Equal records, the size of the starting weights among them, since the seed is the same."""
    with seeded(5):
        model, inputs = network_of(cls)
    patient = describe(model, inputs, np.zeros(4))
    made = remade(model, patient, 5)
    assert_same_records(patient, describe(made, inputs, np.zeros(4)))
    for old, new in zip(model.get_weights(), made.get_weights(), strict=True):
        assert np.array_equal(old, new)
    assert not {id(layer) for layer in model.layers} & {id(layer) for layer in made.layers}


def test_another_seed_draws_other_weights(random):
    model = ek.Sequential([L.Dense(3, activation="relu"), L.Dense(1)])
    model.compile("sgd", loss="mse")
    patient = describe(model, random.normal(size=(8, 2)), np.zeros(8))
    first, again, other = (remade(model, patient, seed).get_weights()[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not model.built


def test_frozen_and_adapted_layers_keep_their_values(random):
    x = random.normal(size=(30, 3)) * 5 + 2
    normalization = L.Normalization()
    normalization.adapt(x)
    frozen = L.Dense(4, trainable=False)
    model = ek.Sequential([normalization, frozen, L.BatchNormalization(), L.Dense(1)])
    model.compile("adam", loss="mse")
    model.build((None, 3))
    model.layers[2].set_weights([w + 1 for w in model.layers[2].get_weights()])
    patient = describe(model, x, x[:, 0])
    made = remade(model, patient, 3)
    old, new = model.layers, made.layers
    for number in (0, 1):
        for a, b in zip(old[number].get_weights(), new[number].get_weights(), strict=True):
            assert np.array_equal(a, b)
    assert np.array_equal(new[2].get_weights()[2], np.zeros(4))  # moving means begin anew
    assert not np.array_equal(old[3].get_weights()[0], new[3].get_weights()[0])


def nested():
    inner = ek.Sequential([L.Dense(3, activation="relu"), L.Dense(3)], name="inner")
    return ek.Sequential([L.Dense(4), inner, L.Dense(1)])


def shared():
    a, b = ek.Input(shape=(3,), name="a"), ek.Input(shape=(3,), name="b")
    twice = L.Dense(2, name="twice")
    return ek.Model({"a": a, "b": b}, L.Dense(1)(L.Concatenate()([twice(a), twice(b)])))


def outputs():
    x = ek.Input(shape=(3,))
    hidden = L.Dense(4, activation="relu")(x)
    return ek.Model(x, {"left": L.Dense(1)(hidden), "right": L.Dense(2)(hidden)})


@pytest.mark.parametrize("make", [nested, shared, outputs])
def test_nested_shared_and_branching_networks_come_back(make, random):
    with seeded(5):
        model = make()
    model.compile(ek.optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0), loss="mse")
    x = random.normal(size=(6, 3))
    x = {"a": x, "b": 2 * x} if make is shared else x
    y = {"left": np.zeros(6), "right": np.zeros((6, 2))} if make is outputs else np.zeros(6)
    with seeded(5):  # a model that is not built is built for the description
        patient = describe(model, x, y)
    made = remade(model, patient, 5)
    assert_same_records(patient, describe(made, x, y))
    model.ensure_built(made.build_shape)
    assert made.count_params() == model.count_params()
    if make is not nested:  # whose last layer has the name of one inside
        assert made.output_names == model.output_names
    assert repr(made.optimizer) == repr(model.optimizer)
    assert made.output_shape == model.output_shape


class Doubled(ek.Model):
    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden, self.out = L.Dense(units, activation="relu"), L.Dense(1)

    def call(self, inputs):
        return self.out(self.hidden(inputs))

    def get_config(self):
        return {"units": self.units}


def test_a_model_with_a_call_of_its_own_is_cloned_but_not_changed(random):
    model = Doubled()
    model.compile("adam", loss="mse")
    x = random.normal(size=(6, 3))
    patient = describe(model, x, np.zeros(6))
    assert remade(model, patient, 1).count_params() == 4 * 3 + 4 + 4 + 1
    part = patient.parts[0].name
    with pytest.raises(InvalidArgumentError, match="a call of its own"):
        fresh(model, patient, patient.changing([part], lambda r: r.with_config(units=8)))


def test_a_layer_of_no_known_class_is_refused(random):
    model = ek.Sequential([L.Dense(1)])
    model.compile("adam", loss="mse")
    patient = describe(model, random.normal(size=(6, 3)), np.zeros(6))
    strange = LayerRecord(name="strange", kinds=("Strange",), sources=("dense",))
    with pytest.raises(InvalidArgumentError, match=r"saving\.register"):
        fresh(model, patient, replace(patient, layers=(*patient.layers, strange)))
