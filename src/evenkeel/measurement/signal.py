"""One forward and backward pass over a sample of rows: how signals and gradients get through."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel import activations, initializers
from evenkeel.description import places_of
from evenkeel.doctor import moments
from evenkeel.doctor.patient import NOISY, NORMALIZING, PASSING, Patient, followers, next_ones
from evenkeel.doctor.signal import HeadSignal, LayerSignal, Signal
from evenkeel.doctor.statistics import Numbers
from evenkeel.engine.compilation import compiled
from evenkeel.engine.objective import losses_of, targets_of
from evenkeel.engine.plan import Plan
from evenkeel.engine.step import Batch
from evenkeel.layers.base import Layer
from evenkeel.measurement.baselines import constant_loss
from evenkeel.measurement.listening import Ear, heard, listening
from evenkeel.network import Array, random_key
from evenkeel.randomness import generator

# How many rows are looked at: enough to tell a unit that is seldom active from one that never is.
ROWS = 1024
# How many numbers are kept at most, of inputs and all sums, and how many rows at least: of images,
# each position of a row shows a unit something else.
_ELEMENTS = 2**25
_FEWEST_ROWS = 32
# How many rows are set beside others to see whether they mix.
_MIXED_ROWS = 16

Values = dict[str, Array]


def signal_of(model: Any, data: Batch, patient: Patient, seed: int = 0) -> Signal:
    """Runs a network forward and backward over a sample of rows.

    Args:
        model: A built and compiled model; its values are read and left alone.
        data: Rows that fit it, as `Reader.batch` makes them.
        patient: Its description.
        seed: The seed of the sample, of dropout, and of the weights that are drawn to compare.

    Example:
        >>> import evenkeel as ek
        >>> from evenkeel.description import describe
        >>> from evenkeel.models.reading import Reader
        >>> model = ek.Sequential([ek.layers.Dense(3, activation="relu", input_shape=(4,)),
        ...                        ek.layers.Dense(1)])
        >>> model.compile("sgd", loss="mse")
        >>> x, y = np.ones((8, 4), np.float32), np.zeros((8, 1), np.float32)
        >>> data = Reader(model).batch(x, y)
        >>> [layer.name for layer in signal_of(model, data, describe(model, x, y)).layers]
        ['dense', 'dense_1']
    """
    heads = tuple(replace(head, metrics=(), weighted=frozenset()) for head in model.heads())
    plan = Plan.of(model, heads=heads, precision=model.precision)
    trained = {path: variable._value for path, variable in plan.trained.items()}
    others = {path: variable._value for path, variable in plan.others.items()}
    sample = _sample(data, _rows_for(plan, data, trained, others), seed)
    examined = _Pass(plan, patient, sample, seed)
    layers, losses = examined.of(trained, others)
    waiting = _waiting(patient)
    if waiting:
        # A kernel that starts at 0 on purpose lets nothing through before its first step.
        filled = examined.drawn(trained, waiting)
        layers, _ = examined.of(filled, others)
    rows = sample.rows
    reference = None
    redrawn = _redrawable(patient) | waiting
    if redrawn:
        fitting, their_losses = examined.of(examined.drawn(trained, redrawn), others)
        reference = Signal(rows=rows, layers=fitting, heads=_heads(plan, sample, their_losses))
    return Signal(
        rows=rows,
        layers=layers,
        heads=_heads(plan, sample, losses),
        reference=reference,
        leak=_leak(plan, patient, sample, trained, others, seed),
    )


def _rows_for(plan: Plan, data: Batch, trained: Values, others: Values) -> int:
    """Returns how many rows can be looked at: fewer where a row makes many numbers."""
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), data.x)

    def sums(x: Any) -> Any:
        with heard(Ear()) as ear:
            plan.evaluate(trained, others, x, training=False, key=random_key(0))
        return ear.sums

    with listening(places_of(plan.network)):
        heard_of = jax.tree.leaves((one, jax.eval_shape(sums, one)))
    width = max(1, sum(int(np.prod(leaf.shape)) for leaf in heard_of))
    return min(ROWS, data.rows, max(_FEWEST_ROWS, _ELEMENTS // width))


def _sample(data: Batch, count: int, seed: int) -> Batch:
    """Returns some of the rows, drawn without replacement."""
    rows: Any = slice(None)
    if data.rows > count:
        rows = np.sort(generator(seed, 1).choice(data.rows, count, replace=False))
    return Batch(
        x=jax.tree.map(lambda a: jnp.asarray(a[rows]), data.x),
        y=jax.tree.map(lambda a: jnp.asarray(a[rows]), data.y),
    )


# -- which kernels are drawn anew ----------------------------------------------------------------


def _waiting(patient: Patient) -> set[str]:
    """Returns the places whose kernel starts at 0 on purpose: outputs, and ends of branches."""
    if patient.layers is None or patient.run.steps_taken:
        return set()
    after = followers(patient.layers)
    hidden = {layer.name for layer in Numbers(patient)["hidden"]}

    def is_end(layer: Any) -> bool:
        behind = next_ones(layer, after, PASSING | NOISY | NORMALIZING)
        return layer.name not in hidden or any(other.is_a("Add") for other in behind)

    return {
        layer.name
        for layer in patient.layers
        if layer.kernel is not None and layer.kernel.is_zero and layer.is_trainable
        if is_end(layer)
    }


def _redrawable(patient: Patient) -> set[str]:
    """Returns the places whose kernel is trained and has not been trained yet."""
    if patient.run.steps_taken:
        return set()
    return {
        layer.name for layer in patient.parts if layer.kernel is not None and layer.is_trainable
    }


def _bearer_of(name: str, patient: Patient) -> str | None:
    """Returns the activation that a place's sums go into."""
    layer = patient.layer(name)
    if layer is None or layer.activation != "linear" or patient.layers is None:
        return None if layer is None else layer.activation
    behind = next_ones(layer, followers(patient.layers), PASSING | NOISY | NORMALIZING)
    is_bare = len(behind) == 1 and behind[0].kernel is None and behind[0].activation is not None
    return behind[0].activation if is_bare else layer.activation


# -- the pass ------------------------------------------------------------------------------------


class _Pass:
    """A pass over one sample, compiled once, for several sets of values.

    Args:
        plan: The network and its losses.
        patient: Its description.
        sample: The rows.
        seed: The seed of dropout and of kernels that are drawn.
    """

    def __init__(self, plan: Plan, patient: Patient, sample: Batch, seed: int):
        self._plan, self._patient, self._sample, self._seed = plan, patient, sample, seed
        self._places = places_of(plan.network)
        self._key = random_key(seed)
        self._kernels = {
            name: path for name, layer in self._places if (path := self._path_of(layer)) is not None
        }
        self._program = compiled(self._passed, name="signal")

    def _path_of(self, layer: Layer) -> str | None:
        kernel = getattr(layer, "kernel", None)
        return next((p for p, v in self._plan.trained.items() if v is kernel), None)

    def drawn(self, trained: Values, names: set[str]) -> Values:
        """Returns the values with some kernels drawn by the rule of their activations."""
        drawn = dict(trained)
        for number, (name, path) in enumerate(sorted(self._kernels.items())):
            if name in names:
                rule = moments.initializer_for(_bearer_of(name, self._patient))
                random = generator(self._seed, 2, number)
                values = initializers.get(rule).draw(trained[path].shape, random)
                drawn[path] = jnp.asarray(values, jnp.float32)
        return drawn

    def of(self, trained: Values, others: Values) -> tuple[tuple[LayerSignal, ...], np.ndarray]:
        """Returns what passed each place, and the loss of each head."""
        with listening(self._places):
            by_kernel, by_sum, sums, outputs, losses = self._program(trained, others, self._sample)
        found = []
        for name, layer in self._places:
            if name not in sums:
                continue
            # Place by place: equal layers share a program, and the large one stays small.
            seen = dict(_reduced(sums[name], outputs[name], by_sum[name]))
            slope = _slope(layer, sums[name])
            path = self._kernels.get(name)
            if path is not None:
                seen["kernel_gradient"] = _norm_of(by_kernel[path])
                seen["kernel_norm"] = _norm_of(trained[path])
            numbers = {k: v.item() for k, v in seen.items() if not np.ndim(v)}
            found.append(
                LayerSignal(
                    name=name,
                    silent=np.asarray(seen["silent"]),
                    slope=None if slope is None else np.asarray(slope),
                    **numbers,
                )
            )
        return tuple(found), np.asarray(losses)

    def _passed(self, trained: Values, others: Values, sample: Batch) -> Any:
        """Runs forward and backward; returns gradients, what was heard, and the losses."""

        def run(trained: Values, probes: Values) -> Any:
            with heard(Ear(probes)) as ear:
                output, _, scope = self._plan.evaluate(
                    trained, others, sample.x, training=True, key=self._key
                )
            losses = losses_of(self._plan.heads, output, sample.y, None, scope)
            weights = {h.log_name("loss"): h.loss_weight for h in self._plan.heads}
            total = sum(value * weights[name] for name, value in losses.items())
            return total, (ear.sums, ear.outputs, jnp.stack(list(losses.values())))

        shapes = jax.eval_shape(lambda t: run(t, {})[1][0], trained)
        probes = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        (by_kernel, by_sum), (sums, outputs, losses) = jax.grad(run, argnums=(0, 1), has_aux=True)(
            trained, probes
        )
        return by_kernel, by_sum, sums, outputs, losses


@jax.jit
def _reduced(sums: Array, outputs: Array, gradient: Array) -> dict[str, Array]:
    """Returns the numbers of a place; a unit is an element of the last axis."""
    units = outputs.reshape(-1, outputs.shape[-1])
    arriving = gradient.reshape(-1, gradient.shape[-1])
    rows = outputs.shape[0]
    return {
        "output_mean": jnp.mean(units),
        "output_deviation": _deviation(units.reshape(-1, 1)),
        "output_spread": _deviation(outputs.reshape(rows, -1)),
        "sum_size": _norm(sums) / np.sqrt(sums.size),
        "gradient_size": _norm(gradient) * np.sqrt(rows**2 / gradient.size),
        "gradient_norm": _norm(gradient) * np.sqrt(rows),
        "silent": (units == 0).all(axis=0) & (arriving == 0).all(axis=0),
        "is_finite": jnp.isfinite(sums).all() & jnp.isfinite(outputs).all(),
    }


def _norm(array: Array) -> Array:
    """Returns the L2 norm; in units of the largest number, so that no square vanishes."""
    peak = jnp.max(jnp.abs(array), initial=0.0)
    relative = array / jnp.where(peak > 0, peak, 1.0)
    return peak * jnp.sqrt(jnp.sum(jnp.square(relative)))


def _norm_of(array: Array) -> float:
    values = np.asarray(array, np.float64)
    return np.sqrt(np.vdot(values, values))


def _deviation(columns: Array) -> Array:
    """Returns the standard deviation down the columns, as a root mean square over them."""
    centered = columns - jnp.mean(columns, axis=0, keepdims=True)
    return _norm(centered) / np.sqrt(columns.size)


def _slope(layer: Layer, sums: Array) -> Array | None:
    """Returns the mean absolute derivative of a layer's activation, unit by unit."""
    activation = vars(layer).get("activation")
    name = activations.name_of(getattr(activation, "__wrapped__", activation))
    if name not in moments.CURVES or name == "linear":
        return None
    return _mean_slope(name, sums) / moments.steepest(name)


@partial(jax.jit, static_argnums=0)
def _mean_slope(name: str, sums: Array) -> Array:
    _, slope = jax.jvp(activations.get(name), (sums,), (jnp.ones_like(sums),))
    return jnp.mean(jnp.abs(slope).reshape(-1, sums.shape[-1]), axis=0)


# -- losses, and rows that mix -------------------------------------------------------------------


def _heads(plan: Plan, sample: Batch, losses: np.ndarray) -> tuple[HeadSignal, ...]:
    asked = [
        (head, target)
        for head, target in zip(plan.heads, targets_of(sample.y, plan.heads), strict=True)
        if head.loss is not None
    ]
    return tuple(
        HeadSignal(
            name="y" if head.name is None else head.name,
            loss=float(loss),
            constant_loss=constant_loss(head.loss, np.asarray(target)),
        )
        for (head, target), loss in zip(asked, losses, strict=True)
    )


def _leak(
    plan: Plan, patient: Patient, sample: Batch, trained: Values, others: Values, seed: int
) -> float | None:
    """Returns how much a row's output changes, in deviations, when other rows stand beside it.

    In training as well, unless a batch normalization is there, which mixes rows by design.
    """
    if sample.rows < 2 * _MIXED_ROWS:
        return None
    is_normalized = any(part.is_a("BatchNormalization") for part in patient.parts)
    found = [
        _changed(plan, sample, trained, others, training, seed)
        for training in ((False,) if is_normalized else (False, True))
    ]
    return max(found)


def _changed(
    plan: Plan, sample: Batch, trained: Values, others: Values, training: bool, seed: int
) -> float:
    def run(trained: Values, others: Values, x: Any, key: Array) -> Any:
        return plan.evaluate(trained, others, x, training=training, key=key)[0]

    program = compiled(run, name="signal")
    half = _MIXED_ROWS // 2
    one = jax.tree.map(lambda a: a[:_MIXED_ROWS], sample.x)
    two = jax.tree.map(lambda a: jnp.concatenate([a[:half], a[-half:]]), sample.x)
    key = random_key(seed)
    before, after = (
        [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(program(trained, others, x, key))]
        for x in (one, two)
    )
    worst = 0.0
    for a, b in zip(before, after, strict=True):
        size = float(np.sqrt(np.mean(np.square(a - a.mean(axis=0))))) or float(np.abs(a).max())
        difference = float(np.abs(a[:half] - b[:half]).max())
        if size > 0 and np.isfinite(difference):
            worst = max(worst, difference / size)
    return worst
