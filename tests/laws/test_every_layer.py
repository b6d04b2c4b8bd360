"""What every exported layer obeys."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError
from evenkeel.layers.base import get as get_layer
from evenkeel.network import Scope, entered
from evenkeel.registry import serialize
from tests.laws import discovery

LAYERS = discovery.layers()
every_layer = pytest.mark.parametrize("cls", discovery.each(LAYERS))
in_both_modes = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


def as_function(layer, training):
    """Returns a layer as a pure function of its variables' values, its inputs and a key."""
    variables = layer.variables

    def function(values, inputs, key):
        with entered(Scope(variables, values, training=training, key=key)) as scope:
            return layer(inputs), scope.updates(variables)

    return function


def values_of(layer):
    return [variable.value for variable in layer.variables]


def as_arrays(inputs):
    return jax.tree.map(jnp.asarray, inputs)


def shapes_of(arrays):
    """Returns the shapes with the batch as None, in the tree of the arrays."""
    return jax.tree.map(lambda array: (None, *array.shape[1:]), arrays)


def test_the_tables_name_exported_members_only():
    families = (
        discovery.layers,
        discovery.optimizers,
        discovery.initializers,
        discovery.losses,
        discovery.metrics,
        discovery.callbacks,
        discovery.schedules,
    )
    known = {cls.__name__ for family in families for cls in family()}
    assert set(discovery.ARGUMENTS) | set(discovery.SHAPES) | set(discovery.WHOLE) <= known


@every_layer
def test_output_shape_is_the_computed_one(cls):
    layer, inputs = discovery.built(cls)
    output = layer(inputs)
    assert shapes_of(output) == layer.compute_output_shape(shapes_of(inputs))
    assert all(leaf.shape[0] == discovery.TABLE[0] for leaf in jax.tree.leaves(output))


@every_layer
def test_output_shape_is_computed_before_anything_is_called(cls):
    inputs = discovery.sample_inputs(cls)
    layer = discovery.construct(cls)
    assert layer.compute_output_shape(shapes_of(inputs)) == shapes_of(layer(inputs))


@every_layer
@in_both_modes
def test_compiled_equals_eager(cls, training, key):
    """A compiler may fuse operations, which moves the last bit or two of a float32."""
    layer, inputs = discovery.built(cls)
    function = as_function(layer, training)
    arguments = values_of(layer), as_arrays(inputs), key
    eager, compiled = function(*arguments), jax.jit(function)(*arguments)
    assert jax.tree.structure(eager) == jax.tree.structure(compiled)
    for ours, theirs in zip(jax.tree.leaves(compiled), jax.tree.leaves(eager), strict=True):
        assert ours.dtype == theirs.dtype == jnp.float32
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


@every_layer
@in_both_modes
def test_a_second_call_with_the_same_shapes_compiles_nothing(cls, training, key):
    layer, inputs = discovery.built(cls)
    function = as_function(layer, training)
    traces = []

    @jax.jit
    def counted(*arguments):
        traces.append(1)
        return function(*arguments)

    values, arrays = values_of(layer), as_arrays(inputs)
    _, after = counted(values, arrays, key)
    counted(after, jax.tree.map(lambda a: a + 1.0, arrays), jax.random.fold_in(key, 1))
    assert len(traces) == 1


@every_layer
def test_calling_changes_no_variable(cls):
    """Only `fit` moves averages: semantics, "Where we do better", 7."""
    layer, inputs = discovery.built(cls)
    before = layer.get_weights()
    layer(inputs, training=True)
    layer(inputs, training=False)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@every_layer
@in_both_modes
def test_configuration_round_trip_gives_an_equal_layer(cls, training, key):
    layer, inputs = discovery.built(cls)
    written = discovery.through_json(serialize(layer))
    copy = get_layer(written)
    assert type(copy) is cls
    assert discovery.through_json(serialize(copy)) == written
    copy(inputs)
    copy.set_weights(layer.get_weights())
    arrays = as_arrays(inputs)
    ours, _ = as_function(copy, training)(values_of(copy), arrays, key)
    theirs, _ = as_function(layer, training)(values_of(layer), arrays, key)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@every_layer
def test_configuration_holds_every_argument_of_the_constructor(cls):
    """Whatever the configuration left out would silently fall back to its default."""
    layer = discovery.construct(cls, name="given")
    config = layer.get_config()
    assert config["name"] == "given"
    assert set(discovery.ARGUMENTS.get(cls.__name__, {})) <= set(config)


@every_layer
@in_both_modes
def test_gradients_are_finite(cls, training, key):
    """With respect to the trainable weights and to the inputs, a row of zeros among them."""
    layer, inputs = discovery.built(cls)
    function = as_function(layer, training)
    trained = {id(variable) for variable in layer.trainable_weights}
    positions = [n for n, variable in enumerate(layer.variables) if id(variable) in trained]
    values = values_of(layer)

    def objective(chosen, arrays):
        mixed = list(values)
        for position, value in zip(positions, chosen, strict=True):
            mixed[position] = value
        output, _ = function(mixed, arrays, key)
        return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(output))

    chosen = [values[position] for position in positions]
    gradients = jax.jit(jax.grad(objective, argnums=(0, 1)))(chosen, as_arrays(inputs))
    for gradient in jax.tree.leaves(gradients):
        assert np.isfinite(gradient).all()


@every_layer
def test_an_unknown_argument_is_refused_with_the_nearest_name(cls):
    for misspelt, meant in (("trainible", "trainable"), ("nam", "name")):
        with pytest.raises(InvalidArgumentError, match=f"{misspelt}.*\n.*{meant!r}"):
            discovery.construct(cls, **{misspelt: True})


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        pytest.param(cls, name, id=f"{cls.__name__}-{name}")
        for cls in LAYERS
        for name in discovery.numeric_arguments(cls)
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "many"])
def test_an_impossible_number_is_refused_at_construction(cls, name, value):
    with pytest.raises(InvalidArgumentError, match=name):
        discovery.construct(cls, **{name: value})


@every_layer
def test_freezing_moves_the_weights_to_the_non_trainable_ones(cls):
    layer, _ = discovery.built(cls)
    weights = layer.weights
    trainable = layer.trainable_weights
    layer.trainable = False
    assert layer.trainable_weights == []
    assert layer.non_trainable_weights == weights
    layer.trainable = True
    assert layer.trainable_weights == trainable


@every_layer
def test_weights_of_another_shape_are_refused_whole(cls):
    layer, _ = discovery.built(cls)
    before = layer.get_weights()
    with pytest.raises(ek.errors.InvalidDataError, match="get_weights"):
        layer.set_weights([*[w + 1 for w in before], np.zeros((1, 1, 1, 1))])
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_member_that_cannot_be_constructed_fails_with_the_row_to_add():
    class Newcomer(ek.layers.Layer):
        def __init__(self, width, **kwargs):
            super().__init__(**kwargs)

    with pytest.raises(pytest.fail.Exception, match="'Newcomer' to ARGUMENTS"):
        discovery.construct(Newcomer)
