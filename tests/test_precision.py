"""The precision policy: what is rounded, what is not, and where the policy goes with a model."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import evenkeel as ek
from evenkeel import layers
from evenkeel.datasets import digits
from evenkeel.engine.plan import Plan
from evenkeel.engine.step import loss_of
from evenkeel.errors import InvalidArgumentError
from evenkeel.models.reading import Reader
from evenkeel.precision import PRECISIONS, convolution, product

SPACING = 2.0**-8  # the relative error of rounding to 8 significant bits is at most half of this


def rounded(array):
    """What is left of numbers in bfloat16, as NumPy rounds them."""
    return np.asarray(array).astype(ml_dtypes.bfloat16).astype(np.float64)


@pytest.fixture
def factors():
    draw = np.random.default_rng(0).normal
    return [draw(size=s).astype(np.float32) for s in [(3, 5, 40), (40, 7), (3, 5, 7)]]


def test_a_bfloat16_product_is_that_of_rounded_factors_summed_in_float32(factors):
    """Expected: the same product of rounded factors in float64."""
    left, right, gradient = factors
    out, backward = jax.vjp(lambda a, b: product(a, b, "bfloat16"), left, right)
    by_left, by_right = backward(jnp.asarray(gradient))
    left, right, gradient = map(rounded, factors)
    np.testing.assert_allclose(out, left @ right, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(by_left, gradient @ right.T, rtol=1e-5, atol=1e-5)
    expected = left.reshape(-1, 40).T @ gradient.reshape(-1, 7)
    np.testing.assert_allclose(by_right, expected, rtol=1e-5, atol=1e-5)
    assert {a.dtype for a in (out, by_left, by_right)} == {jnp.dtype("float32")}


def test_a_bfloat16_convolution_is_that_of_rounded_factors():
    """Expected: the float32 convolution of rounded factors; its gradients are rounded once more."""
    draw = np.random.default_rng(1).normal
    images, kernel = (draw(size=s).astype(np.float32) for s in [(2, 9, 8, 3), (3, 3, 3, 4)])
    settings = {
        "window_strides": (2, 1),
        "padding": "SAME",
        "dimension_numbers": ("NHWC", "HWIO", "NHWC"),
    }

    def run(precision, *arrays):
        out, backward = jax.vjp(lambda a, b: convolution(a, b, precision, **settings), *arrays)
        return out, *backward(jnp.asarray(rounded(out), jnp.float32))

    short = run("bfloat16", images, kernel)
    full = run("float32", *(rounded(a).astype(np.float32) for a in (images, kernel)))
    np.testing.assert_allclose(short[0], full[0], rtol=1e-5, atol=1e-5)
    for a, b in zip(short[1:], full[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=SPACING, atol=1e-4)
    assert {a.dtype for a in short} == {jnp.dtype("float32")}


def everything(precision):
    """A network with one of each that the policy must leave alone or pass through."""
    ek.utils.set_random_seed(3)
    words = layers.Input((4,), dtype="int32", name="words")
    images = layers.Input((8, 8, 1), name="images")
    frozen = layers.Dense(6, activation="elu", trainable=False)
    seen = layers.Conv2D(4, 3, activation="silu")(images)
    seen = layers.Conv2D(8, 3)(layers.Conv2D(8, 1)(seen))
    seen = layers.Flatten()(layers.BatchNormalization()(seen))
    read = layers.Flatten()(layers.Embedding(10, 3)(words))
    both = layers.Concatenate()([layers.Dropout(0.2)(seen), frozen(read)])
    out = layers.Dense(3, activation="softmax")(layers.Dense(12, activation="silu")(both))
    model = ek.Model([words, images], out)
    model.compile(
        "nadam",
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        precision=precision,
    )
    return model


@pytest.fixture
def rows():
    random = np.random.default_rng(5)
    x = [
        random.integers(0, 10, (48, 4)).astype(np.int32),
        random.normal(size=(48, 8, 8, 1)).astype(np.float32),
    ]
    return x, random.integers(0, 3, 48)


def products_of(model, rows):
    """Returns the products and convolutions of a training step: their types and precisions."""
    data = Reader(model).batch(*rows)
    plan = Plan.of(model, heads=model.heads(), precision=model.precision)
    trained, others = ({p: v.value for p, v in s.items()} for s in (plan.trained, plan.others))

    def gradients(trained, data):
        return jax.grad(lambda t: loss_of(plan, t, others, data, jax.random.key(0))[0])(trained)

    found = []

    def collect(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name in ("dot_general", "conv_general_dilated"):
                types = {str(v.aval.dtype) for v in equation.invars}
                found.append((types, equation.params["precision"]))
            for value in jax.tree.leaves(list(equation.params.values())):
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    collect(inner)

    collect(jax.make_jaxpr(gradients)(trained, jax.tree.map(jnp.asarray, data)).jaxpr)
    return found


def test_every_product_of_a_step_follows_the_policy(rows):
    """Forward and backward; "float32" is asked for in full, since JAX's default is TF32 on GPUs."""
    found = {precision: products_of(everything(precision), rows) for precision in PRECISIONS}
    for precision, asked in (("float32", "HIGHEST"), ("tensorfloat32", "HIGH")):
        assert all(types == {"float32"} for types, _ in found[precision])
        assert {part.name for _, both in found[precision] for part in both} == {asked}
    assert found["bfloat16"]
    assert all(types == {"bfloat16"} for types, _ in found["bfloat16"])


def test_state_and_outputs_stay_float32_and_every_kind_of_layer_works(rows):
    model = everything("bfloat16")
    history = model.fit(*rows, epochs=3, batch_size=20, validation_split=0.25, verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()
    slots = jax.tree.leaves(model.optimizer.slots)
    assert {v.dtype.name for v in model.weights} | {s.dtype.name for s in slots} == {"float32"}
    assert model.predict(rows[0]).dtype == np.float32


def test_evaluate_says_what_predict_amounts_to(rows):
    model = everything("bfloat16")
    model.fit(*rows, epochs=1, verbose=0)
    predicted = model.predict(rows[0])
    loss, accuracy = model.evaluate(*rows, verbose=0)
    picked = predicted[np.arange(48), rows[1]]
    assert loss == pytest.approx(-np.log(picked).mean(), rel=1e-5)
    assert accuracy == pytest.approx((predicted.argmax(axis=1) == rows[1]).mean())


def test_predictions_differ_by_the_rounding_and_no_more(rows):
    """Rounding moves each factor by a relative 2⁻⁹ at most; five layers by some times that."""
    outputs = {p: everything(p).predict(rows[0]) for p in ("float32", "bfloat16")}
    difference = np.abs(outputs["float32"] - outputs["bfloat16"]).max()
    assert 0 < difference < 10 * SPACING


def test_gradients_agree_with_float32_up_to_rounding(rows):
    """As a whole: the cosine between both differs from 1 by half the squared relative error."""
    flat = {}
    for precision in ("float32", "bfloat16"):
        model = everything(precision)
        data = jax.tree.map(jnp.asarray, Reader(model).batch(*rows))
        plan = Plan.of(model, heads=model.heads(), precision=model.precision)
        trained, others = ({p: v.value for p, v in s.items()} for s in (plan.trained, plan.others))
        gradients = jax.grad(
            lambda t, plan=plan, others=others, data=data: loss_of(
                plan, t, others, data, jax.random.key(0)
            )[0]
        )(trained)
        flat[precision] = np.concatenate([np.ravel(g) for g in gradients.values()])
    a, b = flat["float32"], flat["bfloat16"]
    assert a @ b / np.sqrt((a @ a) * (b @ b)) > 0.999
    assert np.linalg.norm(a) == pytest.approx(np.linalg.norm(b), rel=0.02)


def test_digits_are_learned_as_well_in_bfloat16():
    """Both classify the same 360 test rows; a standard error of such an accuracy is 0.01."""
    (x, y), (x_test, y_test) = digits.load_data()
    accuracy = {}
    for precision in ("float32", "bfloat16"):
        ek.utils.set_random_seed(1)
        model = ek.Sequential(
            [
                layers.Rescaling(1 / 16),
                layers.Dense(64, activation="relu", kernel_initializer="he_normal"),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(
            "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], precision=precision
        )
        model.fit(x, y, epochs=12, verbose=0)
        accuracy[precision] = model.evaluate(x_test, y_test, verbose=0)[1]
    assert accuracy["float32"] > 0.9
    assert abs(accuracy["float32"] - accuracy["bfloat16"]) < 0.03


@pytest.mark.slow
def test_a_file_keeps_the_policy(tmp_path, rows):
    model = everything("bfloat16")
    model.fit(*rows, epochs=1, verbose=0)
    model.save(tmp_path / "model")
    loaded = ek.models.load_model(tmp_path / "model")
    assert loaded.precision == "bfloat16"
    np.testing.assert_array_equal(loaded.predict(rows[0]), model.predict(rows[0]))


def test_compiling_anew_takes_another_policy_at_once(rows):
    model = everything("float32")
    full = model.predict(rows[0])
    model.compile("sgd", "sparse_categorical_crossentropy", precision="bfloat16")
    assert (model.predict(rows[0]) != full).any()
    model.compile("sgd", "sparse_categorical_crossentropy")
    np.testing.assert_array_equal(model.predict(rows[0]), full)


@pytest.mark.parametrize(
    ("name", "fix"),
    [("bfloat61", "'bfloat16'"), ("mixed_bfloat16", "Type 'bfloat16'"), (None, "'float32'")],
)
def test_an_unknown_policy_is_refused_with_the_nearest(name, fix):
    with pytest.raises(InvalidArgumentError, match=fix):
        ek.Sequential([layers.Dense(1)]).compile("sgd", "mse", precision=name)


def test_a_layer_asked_for_another_type_names_the_policy():
    with pytest.raises(InvalidArgumentError, match=r"precision='bfloat16'"):
        layers.Dense(3, dtype="mixed_bfloat16")
