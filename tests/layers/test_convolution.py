"""Convolutions, padding and pooling."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError, InvalidDataError
from evenkeel.layers import (
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
    ZeroPadding2D,
)
from evenkeel.models import Sequential

ON_IMAGES = [
    Conv2D(3, 2),
    MaxPooling2D(),
    AveragePooling2D(),
    GlobalAveragePooling2D(),
    GlobalMaxPooling2D(),
    ZeroPadding2D(),
]
every_one = pytest.mark.parametrize("layer", ON_IMAGES, ids=lambda layer: layer.name)


@pytest.fixture
def images(random):
    return jnp.asarray(random.standard_normal((2, 7, 8, 9)), jnp.float32)


def convolved(x, kernel):
    """A valid convolution by its definition."""
    height, width = kernel.shape[:2]
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    output = np.zeros((len(x), rows, columns, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            seen = x[:, i : i + height, j : j + width]
            output[:, i, j] = np.tensordot(seen, kernel, axes=3)
    return output


def test_a_convolution_is_its_definition(images):
    layer = Conv2D(4, (3, 2), bias_initializer="ones")
    output = layer(images)
    expected = convolved(np.asarray(images, np.float64), np.asarray(layer.kernel)) + 1
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2, (1, 3)])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("size", [1, 3, (2, 4)])
def test_both_ways_to_convolve_agree(padding, strides, dilation, size, images):
    if strides != 1 and dilation != 1:
        return
    layer = Conv2D(4, size, strides, padding, dilation_rate=dilation)
    output = layer(images)
    assert output.shape == layer.compute_output_shape(images.shape)
    for image in (images, images[:, :6]):
        np.testing.assert_allclose(
            layer._by_patches(image), layer._by_xla(image), rtol=0, atol=1e-5
        )


def test_weights_have_the_names_and_shapes_of_keras():
    layer = Conv2D(4, (3, 2), groups=2)
    layer.ensure_built((None, 5, 5, 6))
    assert [(w.name, w.shape) for w in layer.weights] == [("kernel", (3, 2, 3, 4)), ("bias", (4,))]


def test_sizes_that_are_not_known_stay_unknown():
    assert Conv2D(4, 3).compute_output_shape((None, None, 28, 1)) == (None, None, 26, 4)
    assert MaxPooling2D().compute_output_shape((None, None, None, 3)) == (None, None, None, 3)


@every_one
def test_flattened_images_are_refused_with_the_reshape_to_type(layer):
    with pytest.raises(InvalidDataError, match=r"Reshape\(\(28, 28, 1\)\)"):
        type(layer).from_config(layer.get_config())(np.ones((32, 784)))


@every_one
def test_images_without_channels_are_refused_with_the_reshape_to_type(layer):
    with pytest.raises(InvalidDataError, match=r"Reshape\(\(28, 20, 1\)\)"):
        type(layer).from_config(layer.get_config())(np.ones((4, 28, 20)))


@every_one
def test_channels_first_is_refused(layer):
    config = layer.get_config()
    with pytest.raises(InvalidArgumentError, match="channels_last"):
        type(layer).from_config({**config, "data_format": "channels_first"})


@pytest.mark.parametrize("layer", [Conv2D(3, 5), MaxPooling2D(5)], ids=["Conv2D", "MaxPooling2D"])
def test_an_image_smaller_than_the_window_is_refused(layer):
    with pytest.raises(InvalidDataError, match="padding='same'"):
        layer(np.ones((2, 4, 6, 1)))


def test_other_channels_than_it_was_built_for_are_refused(images):
    layer = Conv2D(3, 2)
    layer(images)
    with pytest.raises(InvalidDataError, match="9 channels"):
        layer(images[..., :5])


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"kernel_size": 0}, "kernel_size"),
        ({"kernel_size": (3, 3, 3)}, "kernel_size"),
        ({"strides": 1.5}, "strides"),
        ({"padding": "full"}, "padding"),
        ({"groups": 2}, "groups"),
        ({"strides": 2, "dilation_rate": 2}, "dilation_rate"),
        ({"data_format": "channels_first"}, "data_format"),
    ],
    ids=str,
)
def test_impossible_arguments_are_refused_at_construction(arguments, name):
    with pytest.raises(InvalidArgumentError, match=name):
        Conv2D(**{"filters": 3, "kernel_size": 3, **arguments})


@pytest.mark.parametrize("padding", [-1, (1, 2, 3), ((1, 2, 3), 1), "same"])
def test_impossible_padding_is_refused(padding):
    with pytest.raises(InvalidArgumentError, match="padding"):
        ZeroPadding2D(padding)


def test_averages_at_the_border_are_those_of_the_real_pixels():
    output = AveragePooling2D(3, strides=1, padding="same")(jnp.ones((1, 4, 5, 1)))
    np.testing.assert_allclose(output, 1, rtol=1e-6)


def test_maxima_at_the_border_do_not_see_the_padding():
    output = MaxPooling2D(3, strides=1, padding="same")(-jnp.ones((1, 4, 5, 1)))
    np.testing.assert_array_equal(output, -1)


def test_the_largest_pixels_of_a_window_share_its_gradient():
    gradient = jax.grad(lambda x: jnp.sum(MaxPooling2D()(x)))(jnp.ones((1, 4, 4, 1)))
    np.testing.assert_allclose(gradient.reshape(2, 2, 2, 2).sum((1, 3)), 1)
    np.testing.assert_allclose(gradient, 0.25)


def test_a_convolutional_network_tells_lying_from_standing_bars(random):
    """Two classes: a bar that lies or stands, at any place, so that no single pixel tells."""
    lying = random.integers(0, 2, 300)
    x = 0.1 * random.standard_normal((300, 10, 10, 1)).astype(np.float32)
    for image, flat in zip(x, lying, strict=True):
        i, j = random.integers(0, 7, 2)
        height, width = (1, 4) if flat else (4, 1)
        image[i : i + height, j : j + width] = 1
    model = Sequential(
        [
            Conv2D(
                8,
                3,
                padding="same",
                use_bias=False,
                kernel_constraint=ek.constraints.MaxNorm(1.0, axis=[0, 1, 2]),
            ),
            BatchNormalization(),
            ek.layers.Activation("relu"),
            MaxPooling2D(),
            Conv2D(12, 3, activation="prelu"),
            GlobalAveragePooling2D(),
            Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(ek.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, lying, epochs=10, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    norms = np.sqrt((np.asarray(model.layers[0].kernel) ** 2).sum((0, 1, 2)))
    assert norms.max() <= 1 + 1e-5


def test_flatten_puts_images_into_dense_layers(images):
    assert Sequential([Conv2D(2, 3), Flatten(), Dense(3)])(images).shape == (2, 3)
