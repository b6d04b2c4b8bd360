"""Starting values by measurement: kernels rescaled until every layer's output has variance 1.

Rules such as He's assume a distribution of the inputs and an activation. `calibrate` assumes
nothing: it runs the network on data and looks. It relies on what `network` offers and on the
contract of a layer with a kernel (attributes `kernel` and, if it has one, `activation`).
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from evenkeel.errors import (
    EvenkeelWarning,
    InvalidDataError,
    explain,
    integer_at_least,
    number_in,
    positive_integer,
    require,
)
from evenkeel.initializers.matrices import Orthogonal
from evenkeel.network import Array, Scope, Variable, current_scope, entered
from evenkeel.randomness import generator, next_seed

Status = Literal["calibrated", "frozen", "dead", "out of reach"]

# Float32 sums over a large batch are good for about six digits; finer cannot be told apart.
_FINEST_TOLERANCE = 1e-4
# How far equal numbers may lie apart, relative to their size, after sums in another order.
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class LayerCalibration:
    """What `calibrate` found and did at one layer.

    Attributes:
        path: Where the layer stands: `"sequential/dense_1"`.
        variance_before: The variance of its output, before the activation, in the network as it
            was given; infinite where numbers overflowed.
        variance_after: The same in the network as it is now.
        factor: What the kernel (the orthonormal one, if asked for) was multiplied by; 1 if it
            was left alone.
        iterations: How often it was rescaled.
        status: `"calibrated"`: the variance is within the tolerance of 1. `"frozen"`: the layer
            is not trainable and was left alone. `"dead"`: the output was the same everywhere, or
            not finite, and no factor changes that. `"out of reach"`: no factor was found within
            the iterations, most often because the biases alone vary more; the scale was left
            alone.

    Example:
        >>> print(LayerCalibration(path="mlp/dense", variance_before=4.0, variance_after=1.0,
        ...                        factor=0.5, iterations=1, status="calibrated"))
        mlp/dense: variance 4 before, 1 after; kernel times 0.5 (calibrated)
    """

    path: str
    variance_before: float
    variance_after: float
    factor: float
    iterations: int
    status: Status

    def __str__(self) -> str:
        return (
            f"{self.path}: variance {self.variance_before:.3g} before, "
            f"{self.variance_after:.3g} after; kernel times {self.factor:.3g} ({self.status})"
        )


def calibrate(
    model: Any,
    x: Any,
    *,
    orthogonal: bool = False,
    tolerance: float = 0.1,
    max_iterations: int = 10,
    batch_size: int = 1024,
    seed: int | None = None,
) -> tuple[LayerCalibration, ...]:
    """Rescales a network's kernels, layer by layer, until each output has variance 1 on x.

    What one would want it for: a deep stack whose activations or inputs fit no rule, or whose
    starting values are badly scaled. The layers are taken in the order in which the forward pass
    reaches them, so that each is measured behind layers that are calibrated already:

        while |Var(z) - 1| > tolerance:   W ← W / sqrt(Var(z)),   z = W x + b

    z is the output *before* the layer's own activation, as in the paper, whose convolutions and
    inner products have their activations behind them as layers of their own. The variance is that
    of all numbers in z, over rows, positions and units together. Everything runs as in inference
    (no dropout; batch normalization by its moving averages). Only kernels of trainable layers
    change; biases stay, and so does everything if the call is refused or interrupted. A network
    without an input shape is built from x.

    Shapes:
        x: (rows, ...), or a list or dict of such arrays, as the network takes them.

    Args:
        model: The network: any model or layer, of whatever kind.
        x: Inputs, scaled as in training, without targets; a few hundred rows are enough.
        orthogonal: Whether kernels first become orthonormal ones, as in the paper. False keeps
            the kernels that the layers' initializers drew, and changes their scale alone.
        tolerance: How far from 1 a variance may be, in [0.0001, 1); 0.1 as in the paper. A layer
            that is within it is not touched.
        max_iterations: How often one kernel is rescaled at most, at least 1. One is enough for
            a layer that is linear in its kernel and has no bias.
        batch_size: Rows at a time; fewer need less memory.
        seed: With an integer of at least 0, `orthogonal=True` draws the same kernels each time.

    Returns:
        One record for each layer that has a kernel and took part, in forward order.

    Raises:
        InvalidArgumentError: If a setting is out of range, or `model` is no network with kernels.
        InvalidDataError: If x has no rows, holds NaN or infinity, or does not fit the network.

    Warns:
        EvenkeelWarning: If layers are dead or out of reach, naming them.

    Example:
        >>> import evenkeel as ek
        >>> ek.set_random_seed(1)
        >>> x = np.random.default_rng(0).normal(size=(500, 20))
        >>> model = ek.Sequential(
        ...     [ek.layers.Dense(50, activation="softplus") for _ in range(3)], name="mlp"
        ... )
        >>> for layer in ek.initializers.calibrate(model, x):
        ...     print(layer.path, round(layer.variance_after, 1), layer.status)
        mlp/dense 1.0 calibrated
        mlp/dense_1 1.0 calibrated
        mlp/dense_2 1.0 calibrated

    References:
        Mishkin and Matas, "All you need is a good init", ICLR 2016, algorithm 1.
        https://arxiv.org/abs/1511.06422
    """
    tolerance = number_in("calibrate(tolerance)", tolerance, _FINEST_TOLERANCE, 1, high_open=True)
    max_iterations = positive_integer("calibrate(max_iterations)", max_iterations)
    batch_size = positive_integer("calibrate(batch_size)", batch_size)
    if seed is not None:
        seed = integer_at_least(0, "calibrate(seed)", seed)
    require(
        callable(model) and hasattr(model, "tree") and hasattr(model, "walk"),
        f"calibrate(model): got {model!r}, expected a model or a layer.",
        "Type ek.initializers.calibrate(model, x).",
    )
    batches = _batches(x, batch_size)
    with _left_alone_on_error(model):
        gauge = _Gauge(model, batches)
        require(
            bool(gauge.order),
            f"calibrate(model): the forward pass of {model!r} uses no layer with a kernel.",
            "There is nothing to rescale; give a network with Dense or convolutional layers.",
        )
        before = gauge.variances()
        if orthogonal:
            _make_orthonormal(gauge, next_seed() if seed is None else seed)
        steps = [_settle(gauge, layer, tolerance, max_iterations) for layer in gauge.order]
        after = gauge.variances()
    records = tuple(
        LayerCalibration(
            path=gauge.paths[id(layer)],
            variance_before=before[id(layer)],
            variance_after=after[id(layer)],
            factor=factor,
            iterations=iterations,
            status=status,
        )
        for layer, (factor, iterations, status) in zip(gauge.order, steps, strict=True)
    )
    _warn_of_the_uncalibrated(records)
    return records


def _make_orthonormal(gauge: _Gauge, seed: int) -> None:
    for position, layer in enumerate(gauge.order):
        if gauge.is_trainable(layer):
            random = generator(seed, position)  # layers of one shape get different kernels
            layer.kernel.assign(Orthogonal().draw(layer.kernel.shape, random))
    gauge.forget()


def _settle(
    gauge: _Gauge, layer: Any, tolerance: float, max_iterations: int
) -> tuple[float, int, Status]:
    """Rescales one kernel until all is well behind it; returns factor, steps and status."""
    if not gauge.is_trainable(layer):
        return 1.0, 0, "frozen"
    start, factor = layer.kernel.numpy(), 1.0
    for iteration in range(max_iterations + 1):
        variance = gauge.variances()[id(layer)]
        if abs(variance - 1) <= tolerance:
            return factor, iteration, "calibrated"
        if not 0 < variance < math.inf:
            break
        if iteration < max_iterations:
            factor /= math.sqrt(variance)
            layer.kernel.assign((start * factor).astype(np.float32))
            gauge.forget()
    if factor == 1:
        return 1.0, 0, "dead"
    layer.kernel.assign(start)
    gauge.forget()
    return 1.0, 0, "out of reach"


class _Gauge:
    """Measures the variance before the activation of every layer with a kernel, in one pass.

    Attributes:
        order: The layers with a kernel that the forward pass reaches, in that order.
        paths: Where each stands, by identity.
    """

    def __init__(self, model: Any, batches: list[Any]):
        self._model = model
        self._batches = batches
        self._known: dict[int, float] | None = None
        with entered(Scope(key=jax.random.key(0))):
            model(jax.tree.map(lambda a: a[:1], batches[0]))  # builds what is not built yet
        self._owners: dict[int, Any] = {}
        for layer in model.tree():
            if _has_kernel(layer):
                self._owners.setdefault(id(layer.kernel), layer)
        self._frozen = {id(v) for _, v, is_trained in model.walk() if not is_trained}
        watch = self._watched(batches[0])
        self.order = watch.layers
        self.paths = watch.paths

    def is_trainable(self, layer: Any) -> bool:
        """Whether training may change the layer's kernel."""
        return id(layer.kernel) not in self._frozen

    def forget(self) -> None:
        """Says that a kernel has changed."""
        self._known = None

    def variances(self) -> dict[int, float]:
        """Returns the variance of every layer's output, by the layer's identity."""
        if self._known is None:
            parts: dict[int, list[_Moments]] = {}
            for batch in self._batches:
                for layer, moments in jax.device_get(self._watched(batch).moments).items():
                    parts.setdefault(layer, []).extend(moments)
            self._known = {layer: _variance(moments) for layer, moments in parts.items()}
        return self._known

    def _watched(self, batch: Any) -> _Watch:
        watch = _Watch(self._owners)
        with entered(watch), _activations_heard(self._owners.values()):
            self._model(batch)
        return watch


class _Moments(NamedTuple):
    """Size, mean and variance of some numbers, the latter two in units of the largest one."""

    size: int
    peak: Array
    mean: Array
    variance: Array


class _Watch(Scope):
    """A scope that notes, of every layer which reads its own kernel, what it makes of it.

    Attributes:
        layers: The layers that were measured, each once, in the order of their first kernel read.
        paths: Where each stands, by identity.
        moments: What was measured, by the layer's identity; one entry for each of its uses.
    """

    def __init__(self, owners: Mapping[int, Any]):
        super().__init__(key=jax.random.key(0))  # for layers that draw in inference, too
        self._owners = owners
        self._waiting: dict[str, Any] = {}
        self._reached: dict[int, Any] = {}
        self.paths: dict[int, str] = {}
        self.moments: dict[int, list[_Moments]] = {}

    @property
    def layers(self) -> list[Any]:
        return [layer for key, layer in self._reached.items() if key in self.moments]

    def columns(self, variable: Variable) -> tuple[Array, ...]:
        """Reads a variable; from here on its layer's output is waited for."""
        layer = self._owners.get(id(variable))
        # Others may read it, too, such as a layer with tied weights; they stand at other paths.
        if layer is not None and self.path.rpartition("/")[2] == layer.name:
            self._waiting[self.path] = layer
            self._reached.setdefault(id(layer), layer)
            self.paths.setdefault(id(layer), self.path)
        return super().columns(variable)

    def hear(self, layer: Any, value: Any) -> None:
        """Measures what a layer hands to its activation, or puts out, after reading its kernel."""
        # Inside a loop of the layer's own there are no numbers yet; its output will have them.
        is_number = isinstance(value, jax.Array) and not isinstance(value, Tracer)
        if self._waiting.get(self.path) is layer and is_number:
            del self._waiting[self.path]
            self.moments.setdefault(id(layer), []).append(_moments(value))

    def tap(self, value: Array) -> None:
        """Measures the output of a layer that has no activation."""
        if self.path in self._waiting:
            self.hear(self._waiting[self.path], value)
        super().tap(value)


@contextlib.contextmanager
def _activations_heard(layers: Iterable[Any]) -> Iterator[None]:
    """Lets the current scope hear, for a while, what layers hand to their activations."""
    own = [(layer, vars(layer).get("activation")) for layer in layers]
    replaced = [(layer, activation) for layer, activation in own if callable(activation)]
    try:
        for layer, activation in replaced:
            layer.activation = _hearing(layer, activation)
        yield
    finally:
        for layer, activation in replaced:
            layer.activation = activation


def _hearing(layer: Any, activation: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def heard(value: Any) -> Any:
        scope = current_scope()
        if isinstance(scope, _Watch):
            scope.hear(layer, value)
        return activation(value)

    return heard


def _has_kernel(layer: Any) -> bool:
    kernel = getattr(layer, "kernel", None)
    return isinstance(kernel, Variable) and len(kernel.shape) >= 2


def _moments(value: Array) -> _Moments:
    # Relative to the largest number, squares neither overflow nor vanish, whatever the scale.
    peak = jnp.max(jnp.abs(value), initial=0.0)
    relative = value / jnp.where(peak > 0, peak, 1.0)
    return _Moments(value.size, peak, jnp.mean(relative), jnp.var(relative))


def _variance(parts: Sequence[_Moments]) -> float:
    """Returns the variance of all numbers of several batches; infinite if one overflowed."""
    counts = np.array([part.size for part in parts], np.float64)
    peaks, means, variances = (np.array([part[i] for part in parts], np.float64) for i in (1, 2, 3))
    if not np.isfinite([peaks, means, variances]).all():
        return math.inf
    means, variances = means * peaks, variances * peaks**2
    mean = np.average(means, weights=counts)
    variance = np.average(variances + (means - mean) ** 2, weights=counts)
    # What is left of a constant is the rounding of float32.
    return 0.0 if variance <= (_ROUNDING * mean) ** 2 else float(variance)


def _batches(x: Any, batch_size: int) -> list[Any]:
    """Checks the inputs and cuts them into batches of rows."""
    is_one = any(isinstance(leaf, int | float | str) for leaf in jax.tree.leaves(x))
    arrays = np.asarray(x) if is_one else jax.tree.map(np.asarray, x)
    leaves = jax.tree.leaves(arrays)
    rows = {len(leaf) if leaf.ndim else 0 for leaf in leaves}
    if len(rows) != 1 or 0 in rows:
        raise InvalidDataError(
            explain(
                f"calibrate(x): got arrays with {sorted(rows)} rows, expected at least one row, "
                "and as many in every array.",
                "Give a few hundred rows of the training inputs.",
            )
        )
    for leaf in leaves:
        _refuse_what_cannot_be_measured(leaf)
    return [
        jax.tree.map(lambda a, s=start: a[s : s + batch_size], arrays)
        for start in range(0, rows.pop(), batch_size)
    ]


def _refuse_what_cannot_be_measured(inputs: np.ndarray) -> None:
    if inputs.dtype.kind not in "iufb":
        raise InvalidDataError(
            explain(
                f"calibrate(x): got values of type {inputs.dtype}, expected numbers.",
                "Encode text and categories as numbers first.",
            )
        )
    is_row_finite = np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1)
    if not is_row_finite.all():
        raise InvalidDataError(
            explain(
                f"calibrate(x): row {int(np.argmin(is_row_finite))} holds NaN or infinity.",
                "No variance can be measured with it.",
                "Replace missing values, or leave the row out.",
            )
        )


@contextlib.contextmanager
def _left_alone_on_error(model: Any) -> Iterator[None]:
    """Puts everything back as it was if what is inside is refused or interrupted."""
    values = [(variable, variable.value) for variable in model.variables]
    states = [(layer, layer._build_state()) for layer in model.tree()]
    try:
        yield
    except BaseException:
        for variable, value in values:
            variable.bind(value)
        for layer, state in states:
            layer._restore_build_state(state)
        raise


def _warn_of_the_uncalibrated(records: Sequence[LayerCalibration]) -> None:
    dead, out_of_reach = (
        ", ".join(repr(record.path) for record in records if record.status == status)
        for status in ("dead", "out of reach")
    )
    if dead or out_of_reach:
        warnings.warn(
            explain(
                "calibrate left layers at the scale that they had.",
                dead
                and f"Dead, with an output that is the same everywhere or not finite: {dead}. "
                "Look at the layers before them, at their kernels, and at x.",
                out_of_reach
                and f"Not brought to variance 1 by scaling the kernel: {out_of_reach}. "
                "Start their biases at zero, or raise max_iterations.",
            ),
            EvenkeelWarning,
            stacklevel=3,
        )
