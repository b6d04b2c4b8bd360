"""Twenty steps of the 784-300-100-10 network against the same steps in Keras and PyTorch."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import evenkeel as ek
from tests.oracles import cases, recipe

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "trajectories.npz")
every_optimizer = pytest.mark.parametrize("name", cases.TRAJECTORY_OPTIMIZERS)
# PyTorch adds Adam's epsilon elsewhere; `torch_matched` is PyTorch with Keras's equation.
TORCH = {"adam": "torch_matched"}


def network():
    """Returns the network with the recipe's start weights."""
    _, wide, narrow, classes = recipe.UNITS
    model = ek.Sequential(
        [
            ek.Input([28, 28]),
            ek.layers.Flatten(),
            ek.layers.Dense(wide, activation="elu"),
            ek.layers.Dense(narrow, activation="elu"),
            ek.layers.Dense(classes, activation="softmax"),
        ]
    )
    model.set_weights(recipe.start_weights())
    return model


def compiled(name):
    case = cases.TRAJECTORY_OPTIMIZERS[name]
    model = network()
    model.compile(
        optimizer=getattr(ek.optimizers, case.kind)(**case.arguments),
        loss="sparse_categorical_crossentropy",
    )
    return model


@cache
def trained(name):
    """Returns the losses before each step, and the weights after the last."""
    model = compiled(name)
    images, labels = recipe.images_and_labels()
    losses = []
    for start in range(0, recipe.STEPS * recipe.BATCH_SIZE, recipe.BATCH_SIZE):
        rows = slice(start, start + recipe.BATCH_SIZE)
        losses.append(model.train_on_batch(images[rows], labels[rows]))
    return np.array(losses), model.get_weights()


def norms(weights):
    return [np.linalg.norm(weight.astype(np.float64)) for weight in weights]


def means(weights):
    return [weight.astype(np.float64).mean() for weight in weights]


def test_the_recipe_still_gives_the_recorded_inputs():
    found = recipe.fingerprint([*recipe.images_and_labels(), *recipe.start_weights()])
    np.testing.assert_allclose(found, RECORDED["fingerprint"], rtol=1e-12)


def test_the_network_has_266610_parameters():
    """784·300 + 300 + 300·100 + 100 + 100·10 + 10."""
    assert network().count_params() == 266_610


def test_weights_come_in_the_order_of_keras():
    for ours, given in zip(network().get_weights(), recipe.start_weights(), strict=True):
        np.testing.assert_array_equal(ours, given)


@every_optimizer
def test_the_loss_before_each_step_is_that_of_keras(name):
    """Float32 sums in another order move a loss near 2 by a few 1e-7, and twenty steps add up."""
    losses, _ = trained(name)
    np.testing.assert_allclose(losses, RECORDED[f"keras/{name}/loss"], rtol=1e-5, atol=1e-5)


@every_optimizer
def test_the_final_weights_have_the_norms_and_means_of_keras(name):
    _, weights = trained(name)
    np.testing.assert_allclose(norms(weights), RECORDED[f"keras/{name}/weight_norms"], rtol=2e-5)
    np.testing.assert_allclose(
        means(weights), RECORDED[f"keras/{name}/weight_means"], rtol=1e-4, atol=1e-6
    )


@every_optimizer
def test_losses_and_final_norms_are_those_of_pytorch(name):
    """PyTorch computes the cross-entropy from logits, as evenkeel does behind a softmax."""
    losses, weights = trained(name)
    library = TORCH.get(name, "torch")
    np.testing.assert_allclose(losses, RECORDED[f"{library}/{name}/loss"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        norms(weights), RECORDED[f"{library}/{name}/weight_norms"], rtol=2e-5
    )


@every_optimizer
def test_one_epoch_of_fit_takes_the_same_steps(name):
    """Unshuffled batches of 32 in order; the epoch's loss is the mean of the twenty."""
    model = compiled(name)
    images, labels = recipe.images_and_labels()
    history = model.fit(images, labels, batch_size=recipe.BATCH_SIZE, shuffle=False, verbose=0)
    expected = RECORDED[f"keras/{name}/loss"].astype(np.float64).mean()
    assert history.history["loss"] == [pytest.approx(expected, rel=1e-5)]
    np.testing.assert_allclose(
        norms(model.get_weights()), RECORDED[f"keras/{name}/weight_norms"], rtol=2e-5
    )
    assert model.optimizer.iterations == recipe.STEPS
