"""`transfer.reuse`: what is kept, what is fresh, what is shared, where a network can be cut."""

from __future__ import annotations

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError, InvalidDataError, NotBuiltError
from evenkeel.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    MaxPooling2D,
)
from evenkeel.transfer import reuse
from evenkeel.transfer.blocks import blocks_of, freeze


def stack():
    return ek.Sequential(
        [
            ek.layers.Normalization(input_shape=[4]),
            Dense(6, "relu"),
            BatchNormalization(),
            Dropout(0.2),
            Dense(5, "relu"),
            Dense(3, "softmax"),
        ]
    )


def images():
    return ek.Sequential(
        [
            ek.Input(shape=(8, 8, 1)),
            Conv2D(3, 3, activation="relu"),
            MaxPooling2D(),
            Conv2D(2, 2, activation="relu"),
            Flatten(),
            Dense(7, "relu"),
            Dense(8, "softmax"),
        ]
    )


def same(layer, other):
    pairs = zip(layer.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


class TestWhatIsKept:
    def test_all_but_the_head_by_default(self):
        source = stack()
        source.layers[0].adapt(np.arange(12.0).reshape(3, 4))
        model = reuse(source, [Dense(1, "sigmoid")])
        assert [type(layer) for layer in model.layers] == [type(la) for la in source.layers]
        assert model.output_shape == (None, 1)
        pairs = zip(source.layers[:-1], model.layers[:-1], strict=True)
        assert all(same(a, b) and a is not b for a, b in pairs)

    def test_dropping_takes_normalizations_along_with_the_layer_below_them(self):
        model = reuse(stack(), Dense(2), keep=1)
        kinds = [type(layer).__name__ for layer in model.layers]
        assert kinds == ["Normalization", "Dense", "BatchNormalization", "Dropout", "Dense"]

    def test_replacing_gives_fresh_layers_of_the_same_kind(self):
        source = stack()
        model = reuse(source, Dense(2), keep=1, replace=True)
        assert [layer.name for layer in model.layers[:-1]] == [la.name for la in source.layers[:-1]]
        assert same(model.layers[1], source.layers[1])
        assert model.layers[4].kernel.shape == source.layers[4].kernel.shape
        assert not same(model.layers[4], source.layers[4])

    def test_from_scratch_keeps_what_data_taught_the_normalization_and_nothing_else(self):
        source = stack()
        source.layers[0].adapt(np.arange(12.0).reshape(3, 4))
        model = reuse(source, Dense(2), keep=0, replace=True)
        assert same(model.layers[0], source.layers[0])
        assert not same(model.layers[1], source.layers[1])

    def test_the_whole_network_can_be_kept(self):
        """As an encoder without a head of its own needs."""
        source = stack()
        model = reuse(source, Dense(2), keep=3)
        assert len(model.layers) == len(source.layers) + 1

    def test_it_computes_what_the_source_computes_up_to_the_cut(self, random):
        source = stack()
        x = random.normal(size=(5, 4)).astype(np.float32)
        model = reuse(source, Dense(2), keep=2)
        below = ek.Sequential(source.layers[:-1])(x)
        np.testing.assert_array_equal(ek.Sequential(model.layers[:-1])(x), below)


class TestSharing:
    def test_copies_leave_the_source_alone(self):
        source = stack()
        before = source.get_weights()
        model = reuse(source, Dense(2))
        model.set_weights([weight + 1 for weight in model.get_weights()])
        for old, new in zip(before, source.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
        assert not any(layer.is_shared for layer in source.layers)

    def test_shared_layers_are_the_very_layers(self):
        source = stack()
        model = reuse(source, Dense(2), share=True)
        assert all(a is b for a, b in zip(model.layers[:-1], source.layers[:-1], strict=True))
        assert model.layers[1].is_shared

    def test_fresh_layers_cannot_be_shared(self):
        with pytest.raises(InvalidArgumentError, match="Leave one of them out"):
            reuse(stack(), Dense(2), keep=1, replace=True, share=True)


class TestImages:
    def test_below_the_flattening_a_copy_of_it_comes_before_the_head(self):
        model = reuse(images(), Dense(1), keep=1)
        kinds = [type(layer).__name__ for layer in model.layers]
        assert kinds == ["Conv2D", "MaxPooling2D", "Flatten", "Dense"]
        assert model.output_shape == (None, 1)

    def test_a_head_that_makes_rows_itself_takes_the_place_of_the_flattening(self):
        model = reuse(images(), [GlobalAveragePooling2D(), Dense(1)], keep=2)
        kinds = [type(layer).__name__ for layer in model.layers]
        assert kinds == ["Conv2D", "MaxPooling2D", "Conv2D", "GlobalAveragePooling2D", "Dense"]

    def test_above_the_flattening_nothing_comes_between(self):
        kinds = [type(layer).__name__ for layer in reuse(images(), Dense(1), keep=3).layers]
        assert kinds.count("Flatten") == 1


class TestConnectedNetworks:
    def source(self):
        inputs = ek.Input(shape=(4,))
        hidden = Dense(4, "relu", name="low")(inputs)
        upper = Dense(4, "relu", name="high")(hidden)
        joined = ek.layers.Add()([hidden, upper])
        return ek.Model(inputs, Dense(3, name="out")(joined))

    def test_a_skip_connection_is_kept_whole(self, random):
        source = self.source()
        model = reuse(source, Dense(2, name="new"))
        assert [layer.name for layer in model.layers][1:] == ["low", "high", "add", "new"]
        x = random.normal(size=(5, 4)).astype(np.float32)
        tap = ek.Model(source.input, source.get_layer("add").output)
        copied = ek.Model(model.input, model.get_layer("add").output)
        np.testing.assert_array_equal(copied(x), tap(x))
        assert model.get_layer("low") is not source.get_layer("low")

    def test_a_cut_below_it_leaves_it_out(self):
        model = reuse(self.source(), Dense(2, name="new"), keep=1)
        assert [layer.name for layer in model.layers][1:] == ["low", "new"]

    def test_a_cut_through_two_towers_is_refused(self):
        a, b = ek.Input(shape=(3,)), ek.Input(shape=(2,))
        left, right = Dense(4, name="left")(a), Dense(4, name="right")(b)
        joined = ek.layers.Concatenate()([Dense(4, name="upper")(left), right])
        source = ek.Model([a, b], Dense(1, name="out")(joined))
        assert reuse(source, Dense(2)).output_shape == (None, 2)
        with pytest.raises(InvalidArgumentError, match=r"would not see"):
            reuse(source, Dense(2), keep=1)


class TestRefusals:
    @pytest.mark.parametrize("keep", [0, 4, 1.5, True])
    def test_another_number_of_layers_than_there_are(self, keep):
        with pytest.raises(InvalidArgumentError, match="Type an integer"):
            reuse(stack(), Dense(1), keep=keep)

    def test_a_head_that_is_none(self):
        for head in ([], [3]):
            with pytest.raises(InvalidArgumentError, match="head="):
                reuse(stack(), head)

    def test_a_head_that_does_not_fit(self):
        with pytest.raises(InvalidDataError, match="height"):
            reuse(stack(), Conv2D(3, 3))

    def test_a_network_that_is_not_built(self):
        with pytest.raises(NotBuiltError, match=r"ek\.Input"):
            reuse(ek.Sequential([Dense(3), Dense(1)]), Dense(1))

    def test_a_network_with_a_call_of_its_own(self):
        class Own(ek.Model):
            def call(self, inputs):
                return inputs

        with pytest.raises(InvalidArgumentError, match=r"ek\.Sequential"):
            reuse(Own(), Dense(1))

    def test_a_network_inside_that_is_no_stack(self):
        inputs = ek.Input(shape=(4,))
        inner = ek.Model(inputs, Dense(3)(inputs), name="inner")
        with pytest.raises(InvalidArgumentError, match=r"get_layer\('inner'\)"):
            reuse(ek.Sequential([inner, Dense(2)]), Dense(1))


class TestBlocks:
    def test_layers_of_networks_inside_count_one_by_one(self):
        inner = ek.Sequential([Dense(4, input_shape=[3]), BatchNormalization(), Dense(5)])
        model = ek.Sequential([inner, Dense(1)])
        assert [len(block.layers) for block in blocks_of(model)] == [2, 1, 1]

    def test_freezing_reaches_into_a_frozen_network_and_spares_what_is_not_reused(self):
        inner = ek.Sequential([Dense(4, input_shape=[3]), Dense(5), Dense(6)])
        model = ek.Sequential([inner, Dense(1)])
        inner.trainable = False
        blocks = blocks_of(model)
        freeze(model, blocks[:2], blocks[1:2])
        trained = {id(variable) for variable in model.trainable_weights}
        learns = [id(layer.kernel) in trained for layer in [*inner.layers, model.layers[1]]]
        assert learns == [False, True, False, True]
