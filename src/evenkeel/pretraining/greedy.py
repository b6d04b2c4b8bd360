"""Greedy layer-wise pretraining: one layer at a time, each on what those below it put out.

It made deep stacks trainable before good starting values, activations and normalization did, and
still makes use of rows without labels. A layer is an encoder of one layer, or the hidden units of a
restricted Boltzmann machine.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any, Literal, get_args

import numpy as np

from evenkeel.errors import InvalidArgumentError, explain, nearest, require
from evenkeel.layers import Dense, Dropout, GaussianDropout, GaussianNoise
from evenkeel.models import Sequential
from evenkeel.models.advice import activation_of
from evenkeel.pretraining.autoencoder import autoencoder
from evenkeel.pretraining.decoding import dense_groups
from evenkeel.pretraining.parts import Trunk
from evenkeel.pretraining.rbm import RestrictedBoltzmannMachine
from evenkeel.pretraining.result import Pretrained, Stage

Method = Literal["autoencoder", "rbm"]
_WHERE = "pretraining.greedy"


def greedy(
    layers: Any,
    x: Any,
    method: Method = "autoencoder",
    *,
    epochs: int = 10,
    batch_size: int = 64,
    **settings: Any,
) -> Pretrained:
    """Trains layers one at a time, from the bottom, without labels.

    Each layer learns from what the trained ones below it put out, and they stay as they are
    meanwhile. The layers given are copied and left untouched; noise, dropout and activations behind
    a dense layer belong to it.

    Args:
        layers: A list of layers, or a `Sequential`. Layers in front that have nothing to train stay
            as they are; the others are dense ones, with what belongs to them.
        x: The rows, without labels.
        method: `"autoencoder"` trains each layer as an encoder of one layer. `"rbm"` trains it as
            the hidden units of a restricted Boltzmann machine, which are logistic: the layers need
            `activation="sigmoid"`. Its weights start small whatever the layers' are.
        epochs: How often each layer sees each row.
        batch_size: Rows a step.
        **settings: For `"autoencoder"`, `noise`, `tied`, `sparsity`, `sparsity_weight`, `loss` (of
            the first layer), `optimizer`, and whatever `fit` takes. For `"rbm"`, `visible` (of the
            first layer; the others see probabilities), `steps`, `persistent`, `learning_rate`,
            `momentum`, `weight_decay`, as `RestrictedBoltzmannMachine` has them.

    Returns:
        The layers, ready for `.then(...)`, and a stage for each; the machines are
        `.networks["rbm"]`, the autoencoders `.networks["autoencoder"]`, from the bottom.

    Raises:
        InvalidArgumentError: If an argument is impossible, or a layer is not of the kind that the
            method trains.
        InvalidDataError: If the rows do not fit the layers, or the visible units.

    Example:
        >>> import evenkeel as ek
        >>> (x, y), _ = ek.datasets.digits.load_data()
        >>> layers = [ek.layers.Rescaling(1 / 16)]
        >>> layers += [ek.layers.Dense(30, activation="sigmoid") for _ in range(2)]
        >>> pretrained = ek.pretraining.greedy(layers, x, method="rbm", epochs=2)
        >>> [stage.name for stage in pretrained.stages]
        ['dense', 'dense_1']

    References:
        Hinton, Osindero and Teh, "A Fast Learning Algorithm for Deep Belief Nets", Neural
        Computation 2006; Bengio, Lamblin, Popovici and Larochelle, "Greedy Layer-Wise Training of
        Deep Networks", NIPS 2006.
    """
    if method not in get_args(Method):
        raise InvalidArgumentError(
            explain(f"{_WHERE}(method): got {method!r}.", nearest(str(method), get_args(Method)))
        )
    trunk = Trunk(_WHERE, layers, x)
    groups = dense_groups(_WHERE, trunk.trained)
    learn = _boltzmann if method == "rbm" else _encoders
    stages, networks = learn(groups, trunk, epochs, batch_size, settings)
    return Pretrained(
        method=f"greedy layer-wise training ({method})",
        layers=trunk.layers,
        stages=tuple(stages),
        networks={method: networks},
    )


# -- as autoencoders -----------------------------------------------------------------------------


def _encoders(
    groups: list[list[Any]], trunk: Trunk, epochs: int, batch_size: int, settings: dict[str, Any]
) -> tuple[list[Stage], list[Any]]:
    require(
        "decoder" not in settings,
        f"{_WHERE}: got a decoder, but each layer has one of its own.",
        "Leave it out, or train all layers at once with ek.pretraining.autoencoder.",
    )
    rows, stages, networks = trunk.inputs, [], []
    for number, group in enumerate(groups):
        if number:
            settings = {**settings, "loss": _loss_behind(groups[number - 1])}
        # An optimizer trains one network: each layer's gets a copy that took no step yet.
        optimizer = copy.deepcopy(settings.get("optimizer", "adam"))
        own = {**settings, "optimizer": optimizer, "epochs": epochs, "batch_size": batch_size}
        result = autoencoder(group, rows, **own)
        for layer, trained in zip(group, result.layers, strict=True):
            layer.set_weights(trained.get_weights())
        stages.append(Stage(name=group[0].name, history=result.history))
        networks.append(result.networks["autoencoder"])
        rows = _put_out(group, rows, is_last=number == len(groups) - 1)
    return stages, networks


def _loss_behind(group: list[Any]) -> str:
    """Returns what compares rows that a layer put out: only sigmoid's are probabilities."""
    is_sigmoid = len(group) == 1 and activation_of(group[0]) == "sigmoid"
    return "binary_crossentropy" if is_sigmoid else "mse"


def _put_out(group: list[Any], rows: np.ndarray, is_last: bool) -> np.ndarray:
    return rows if is_last else np.asarray(Sequential(group).predict(rows))


# -- as Boltzmann machines -----------------------------------------------------------------------


def _boltzmann(
    groups: list[list[Any]], trunk: Trunk, epochs: int, batch_size: int, settings: dict[str, Any]
) -> tuple[list[Stage], list[Any]]:
    _refuse_unknown(settings)
    for group in groups:
        _require_logistic(group)
    rows, stages, machines = trunk.inputs, [], []
    for number, (dense, *_) in enumerate(groups):
        if number:
            settings = {**settings, "visible": "bernoulli"}
        machine = RestrictedBoltzmannMachine(dense.units, **settings)
        history = machine.fit(rows, epochs=epochs, batch_size=batch_size)
        kernel, _, hidden_bias = machine.get_weights()
        dense.set_weights([kernel, hidden_bias])
        stages.append(Stage(name=dense.name, history=history))
        machines.append(machine)
        if number < len(groups) - 1:
            rows = machine.hidden(rows)
    return stages, machines


def _refuse_unknown(settings: dict[str, Any]) -> None:
    known = set(inspect.signature(RestrictedBoltzmannMachine).parameters) - {"units"}
    for name in settings:
        if name not in known:
            raise InvalidArgumentError(
                explain(
                    f"{_WHERE}: got the unknown argument {name!r} for method='rbm'.",
                    nearest(name, known),
                )
            )


def _require_logistic(group: list[Any]) -> None:
    dense: Dense = group[0]
    others = [
        layer
        for layer in group[1:]
        if not isinstance(layer, Dropout | GaussianDropout | GaussianNoise)
    ]
    found = activation_of(dense)
    if found == "sigmoid" and dense.use_bias and not others:
        return
    lacks = (
        f"is followed by {type(others[0]).__name__}"
        if others
        else f"has the activation {found}"
        if found != "sigmoid"
        else "has no bias"
    )
    raise InvalidArgumentError(
        explain(
            f"{_WHERE}(layers): the layer {dense.name!r} {lacks}; expected a Dense layer with "
            "activation='sigmoid' and a bias, alone.",
            "The hidden units of a restricted Boltzmann machine are logistic and have a bias.",
            f"Type Dense({dense.units}, activation='sigmoid'), or method='autoencoder', which "
            "takes any activation.",
        )
    )
