"""Pretraining as the discriminator of a small generative adversarial network.

Both networks are one model for the engine, and both take their step at once, so that an epoch is
one compiled program. Which loss reaches which weights is a matter of where gradients stop.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.bits import normals
from evenkeel.errors import InvalidDataError, explain, number_in, positive_integer
from evenkeel.layers import Dense, Flatten, Layer, Reshape
from evenkeel.metrics import FunctionMetric
from evenkeel.models import Model, Sequential
from evenkeel.network import Array, Scope, current_scope, entered
from evenkeel.optimizers import Adam
from evenkeel.pretraining.parts import Trunk, copied_layers, layers_of, numbers_of
from evenkeel.pretraining.result import Pretrained, Stage

_WHERE = "pretraining.gan"
# What the model puts out for each row.
_COLUMNS = ("discriminator_loss", "generator_loss", "real_accuracy", "fake_accuracy")


def gan(
    layers: Any,
    x: Any,
    *,
    generator: Any = None,
    latent_size: int = 32,
    gradient_penalty: float = 1.0,
    optimizer: Any = None,
    epochs: int = 10,
    batch_size: int = 128,
    **settings: Any,
) -> Pretrained:
    """Trains layers to tell the rows from made-up ones, while a generator learns to make them up.

        L_D = E[softplus(-D(x))] + E[softplus(D(G(z)))] + γ/2 · E[‖∇D(x)‖²]
        L_G = E[softplus(-D(G(z)))],    z of independent normal numbers

    D is the layers with one unit on top, G the generator. Both step at once. The penalty on D's
    slope at the rows (R1) is what keeps so small a pair from circling.

    Layers in front that have nothing to train stay as they are, and G makes up what they put out.
    The layers given are copied, weights and all, and left untouched. LeakyReLU and the absence of
    batch normalization suit a discriminator.

    Args:
        layers: The discriminator without its last unit: a list of layers, or a `Sequential`.
        x: The rows, without labels.
        generator: The layers from (batch, latent_size) to rows; when None, two dense layers of 128
            and 256 units below one that ends with a sigmoid if all inputs lie between 0 and 1.
        latent_size: How many random numbers a made-up row comes from, at least 1.
        gradient_penalty: The factor γ, at least 0; 0 leaves the penalty out.
        optimizer: Steps both networks; Adam with a rate of 0.0005 and beta_1 = 0.5 when None.
        epochs: How often each row is used.
        batch_size: Rows a step, and made-up rows beside them.
        **settings: Whatever else `fit` takes: `callbacks`, `verbose`.

    Returns:
        The discriminator's layers, ready for `.then(...)`; `.networks` has the `"generator"` and
        the `"discriminator"`. The history tells both losses, and how many real and made-up rows
        the discriminator took for what they are.

    Raises:
        InvalidArgumentError: If an argument is impossible.
        InvalidDataError: If rows, layers and generator do not fit each other.

    Example:
        >>> import evenkeel as ek
        >>> (x, y), _ = ek.datasets.digits.load_data()
        >>> layers = [ek.layers.Rescaling(1 / 16), ek.layers.Dense(30, activation="leaky_relu")]
        >>> pretrained = ek.pretraining.gan(layers, x, epochs=2)
        >>> sorted(pretrained.networks)
        ['discriminator', 'generator']
        >>> model = pretrained.then(ek.layers.Dense(10, activation="softmax"))

    References:
        Goodfellow et al., "Generative Adversarial Nets", NIPS 2014.
        https://arxiv.org/abs/1406.2661
        Mescheder, Geiger and Nowozin, "Which Training Methods for GANs do actually Converge?", ICML
        2018. https://arxiv.org/abs/1801.04406
    """
    latent_size = positive_integer(f"{_WHERE}(latent_size)", latent_size)
    penalty = number_in(f"{_WHERE}(gradient_penalty)", gradient_penalty, 0, math.inf)
    trunk = Trunk(_WHERE, layers, x)
    flat = [Flatten()] if len(trunk.output_shape) > 1 else []
    discriminator = Sequential([*trunk.trained, *flat, Dense(1)])
    discriminator.ensure_built((None, *trunk.input_shape))
    made_up = _generator(generator, trunk, latent_size)
    pair = AdversarialPair(made_up, discriminator, latent_size, penalty)
    metrics = [FunctionMetric(_Column(number), name) for number, name in enumerate(_COLUMNS)]
    optimizer = Adam(5e-4, beta_1=0.5) if optimizer is None else optimizer
    pair.compile(optimizer, loss=_both_losses, metrics=metrics)
    nothing = np.zeros(len(trunk.inputs), np.float32)
    settings = {"verbose": 0, **settings}
    history = pair.fit(trunk.inputs, nothing, epochs=epochs, batch_size=batch_size, **settings)
    return Pretrained(
        method="a generative adversarial network",
        layers=trunk.layers,
        stages=(Stage(name="gan", history=numbers_of(history)),),
        networks={"generator": made_up, "discriminator": discriminator},
    )


def _generator(given: Any, trunk: Trunk, latent_size: int) -> Sequential:
    shape = trunk.input_shape
    layers: list[Layer]
    if given is None:
        ending = "sigmoid" if trunk.inputs_are_fractions else None
        layers = [Dense(n, "relu", kernel_initializer="he_normal") for n in (128, 256)]
        layers.append(Dense(math.prod(shape), ending))
        layers += [] if len(shape) == 1 else [Reshape(shape)]
    else:
        layers = copied_layers(layers_of(f"{_WHERE}, generator", given))
    network = Sequential(layers, name="generator")
    network.ensure_built((None, latent_size))
    found = tuple(network.output_shape[1:])
    if found != shape or tuple(network.input_shape[1:]) != (latent_size,):
        raise InvalidDataError(
            explain(
                f"{_WHERE}: the generator leads from {tuple(network.input_shape[1:])} to {found}, "
                f"expected from {(latent_size,)} to {shape}.",
                "It makes up rows like those that the discriminator sees.",
                f"End it with Dense({math.prod(shape)})"
                + ("" if len(shape) == 1 else f" and Reshape({shape})")
                + ", and give latent_size the number of its inputs.",
            )
        )
    return network


class _Column:
    """Picks a column of what the model puts out, as a metric."""

    def __init__(self, number: int):
        self._number = number

    def __call__(self, _: Array, outputs: Array) -> Array:
        return outputs[:, self._number]


def _both_losses(_: Array, outputs: Array) -> Array:
    return outputs[:, 0] + outputs[:, 1]


class AdversarialPair(Model):
    """A generator and a discriminator as one model, whose loss is the sum of their losses.

    The loss of the discriminator stops at the made-up rows, and that of the generator goes through
    a discriminator whose weights count as given, so that the gradient of the sum is for each its
    own.

    Shapes:
        x: (batch, *features) → (batch, 4): both losses, and whether the real row and a made-up one
        were taken for what they are.

    Args:
        generator: From (batch, latent_size) to rows.
        discriminator: From rows to one number, positive for real.
        latent_size: The number of the generator's inputs.
        gradient_penalty: The factor γ.

    Example:
        >>> maker = Sequential([Dense(3, input_shape=(2,))])
        >>> judge = Sequential([Dense(1, input_shape=(3,))])
        >>> AdversarialPair(maker, judge, 2, 1.0)(np.ones((5, 3))).shape
        (5, 4)
    """

    def __init__(
        self,
        generator: Sequential,
        discriminator: Sequential,
        latent_size: int,
        gradient_penalty: float,
    ):
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.latent_size = latent_size
        self.gradient_penalty = gradient_penalty

    def call(self, inputs: Array) -> Array:
        """Computes both losses, row by row."""
        made_up = self.generator(normals(self.next_key(), (inputs.shape[0], self.latent_size)))
        real = self.discriminator(inputs)[:, 0]
        fake = self.discriminator(jax.lax.stop_gradient(made_up))[:, 0]
        judging = jax.nn.softplus(-real) + jax.nn.softplus(fake)
        if self.gradient_penalty:
            judging = judging + 0.5 * self.gradient_penalty * self._squared_slope(inputs)
        fooling = jax.nn.softplus(-self._judged_as_given(made_up))
        seen_through = [(real > 0).astype(jnp.float32), (fake < 0).astype(jnp.float32)]
        return jnp.stack([judging, fooling, *seen_through], axis=1)

    def _judged_as_given(self, rows: Array) -> Array:
        """Returns the discriminator's numbers, its weights being constants."""
        with entered(self._aside("as given", jax.lax.stop_gradient)):
            return self.discriminator(rows)[:, 0]

    def _squared_slope(self, rows: Array) -> Array:
        """Returns ‖∇D(x)‖² of each row."""

        def total(rows: Array) -> Array:
            with entered(self._aside("slope", lambda value: value)):
                return jnp.sum(self.discriminator(rows))

        slope = jax.grad(total)(rows)
        return jnp.sum(jnp.square(slope), axis=tuple(range(1, slope.ndim)))

    def _aside(self, purpose: str, changed: Any) -> Scope:
        """Returns a scope for the discriminator alone, whose updates are not kept."""
        scope = current_scope()
        assert scope is not None
        variables = self.discriminator.variables
        values = [changed(scope.read(variable)) for variable in variables]

        def address(path: str, draw: int) -> int:
            return zlib.crc32(f"{purpose}:{path}:{draw}".encode())

        return scope.inner(variables, values, address)
