"""Finding a learning rate: a short run on a copy in which the rate grows until the loss blows up.

The model, its optimizer and the random state are afterwards what they were, to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evenkeel.engine.epoch import marked
from evenkeel.engine.feed import ArrayFeed
from evenkeel.engine.fit import Programs
from evenkeel.engine.plan import Plan
from evenkeel.errors import (
    InvalidArgumentError,
    NotCompiledError,
    explain,
    integer_at_least,
    number_in,
    optional_package,
)
from evenkeel.models.reading import Reader, rows_at_a_time
from evenkeel.network import copied, random_key
from evenkeel.randomness import undisturbed

__all__ = ["LearningRateSearch", "find_learning_rate"]

# The standard deviation of the window that smooths the losses, in decades of the rate.
_SMOOTHING_DECADES = 0.12
# The running mean that decides about divergence; it looks back about ten steps.
_MEMORY = 0.9
# How far below the lowest point the suggestion lies. Chosen on validation rows of Fashion-MNIST, by
# `python -m benchmarks rates`: 1 is near the rates that fail, 2 falls behind under plain SGD.
_MARGIN = 1.5
# By how much of itself, and by how many standard deviations of its noise, the starting loss must
# fall to count as a fall.
_LEAST_FALL = 0.02
_LEAST_DEVIATIONS = 4.0


@dataclass(frozen=True, kw_only=True)
class LearningRateSearch:
    """What the search saw, and the rates that it suggests.

    Attributes:
        rates: The learning rate of each step, growing exponentially.
        losses: The loss of each step's batch, before the step.
        smoothed: The losses smoothed along the rate.
        diverged: Whether the loss blew up before the highest rate was reached.
        steepest: The rate at which the smoothed loss falls fastest; None if it never fell.
        lowest: The rate at which the smoothed loss is lowest; None if it never fell.
        turning_point: The rate from which the smoothed loss stays clearly above its lowest value;
            the last rate if it never does; None if the loss never fell.

    Example:
        >>> search = LearningRateSearch(
        ...     rates=np.array([0.01, 0.1, 1.0]), losses=np.array([2.0, 1.0, 9.0]),
        ...     smoothed=np.array([2.0, 1.0, 9.0]), diverged=True,
        ...     steepest=0.05, lowest=0.1, turning_point=0.5)
        >>> round(search.suggestion, 4)
        0.0667
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    diverged: bool
    steepest: float | None
    lowest: float | None
    turning_point: float | None

    @property
    def suggestion(self) -> float | None:
        """A third below the lowest point; None if the loss never fell."""
        return None if self.lowest is None else self.lowest / _MARGIN

    @property
    def suggestions(self) -> dict[str, float]:
        """All suggested rates by name, those that there are: the default first."""
        turn = self.turning_point
        found = {
            "a third below the lowest point": self.suggestion,
            "a tenth of the turning point": None if not turn else turn / 10,
            "steepest fall": self.steepest,
        }
        return {name: rate for name, rate in found.items() if rate is not None}

    @property
    def sentence(self) -> str:
        """What came of the search, and what to type."""
        if self.suggestion is None:
            return (
                f"The loss did not fall at any rate from {self.rates[0]:.3g} to "
                f"{self.rates[-1]:.3g}. Look at the data, the loss and the initialization first: "
                "no learning rate will help."
            )
        ending = "the loss blew up" if self.diverged else "the loss had not blown up"
        return (
            f"Learning rate {self.suggestion:.3g}: a third below {self.lowest:.3g}, where the loss "
            f"was lowest; from {self.turning_point:.3g} it rises, at {self.rates[-1]:.3g} {ending}."
            f" Type model.optimizer.learning_rate = {self.suggestion:.3g}."
        )

    def plot(self, ax: Any = None) -> Any:
        """Draws losses, smoothed losses and suggestions with matplotlib.

        Args:
            ax: The axes to draw on; new ones when None.

        Returns:
            The axes.

        Raises:
            MissingPackageError: If matplotlib is not installed.
        """
        pyplot = optional_package("matplotlib.pyplot", "plot")
        axes = pyplot.subplots()[1] if ax is None else ax
        axes.plot(self.rates, self.losses, alpha=0.3, label="loss of the batch")
        axes.plot(self.rates, self.smoothed, label="smoothed")
        for number, (name, rate) in enumerate(self.suggestions.items()):
            axes.axvline(rate, color=f"C{number + 2}", linestyle="--", label=f"{rate:.2g}: {name}")
        start = float(self.smoothed[0])
        lowest = float(np.min(self.smoothed))
        margin = 0.3 * max(start - lowest, 1e-3)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.set_ylim(lowest - margin, start + 2 * margin)
        axes.legend()
        return axes

    def __repr__(self) -> str:
        return f"<LearningRateSearch {self.sentence}>"


def find_learning_rate(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    batch_size: int | None = None,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 300,
    divergence: float = 4.0,
    sample_weight: Any = None,
    class_weight: Any = None,
    seed: int = 0,
) -> LearningRateSearch:
    """Suggests a learning rate for a compiled model on its data.

    Trains a copy for some hundred steps while the rate grows exponentially from `low` to `high`,
    and stops when the loss blows up. A rate that is good for training lies below the one at which
    the loss begins to rise. The book's rule, a tenth of that turning point, is among the
    suggestions; the default is nearer to it, because the sweep passes every rate quickly, and in
    `python -m benchmarks rates` the book's rule fell behind under plain SGD.

    The model's weights, its optimizer and the random state are untouched. A schedule of the
    optimizer is left out of the search. For an optax transformation the rates are factors on its
    own.

    Args:
        model: A compiled model; it need not be built or trained.
        x: The inputs, as `fit` takes them: arrays, row by row.
        y: The targets.
        batch_size: Rows a step; 32 when None. The best rate depends on it, so give the one that
            you will train with.
        low: The first rate, above 0.
        high: The last rate, above `low`.
        steps: How many steps the rate takes from `low` to `high`, at least 20; rows are used again
            in a new order where there are fewer.
        divergence: By which factor the loss must exceed its lowest value to count as blown up,
            above 1.
        sample_weight: A weight for each row.
        class_weight: The weight of each class by its number.
        seed: The seed of the order of the rows and of dropout.

    Returns:
        The search: `.suggestion`, `.suggestions`, `.sentence`, `.plot()`.

    Raises:
        NotCompiledError: If the model was not compiled.
        InvalidDataError: If the data does not fit the model.
        InvalidArgumentError: If an argument is impossible.

    Example:
        >>> import evenkeel as ek
        >>> (x, y), _ = ek.datasets.digits.load_data()
        >>> model = ek.Sequential([
        ...     ek.layers.Rescaling(1 / 16, input_shape=(64,)),
        ...     ek.layers.Dense(10, activation="softmax"),
        ... ])
        >>> model.compile("sgd", loss="sparse_categorical_crossentropy")
        >>> 0.01 < ek.find_learning_rate(model, x, y).suggestion < 10
        True

    References:
        Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3.
        https://arxiv.org/abs/1506.01186
    """
    if getattr(model, "optimizer", None) is None:
        raise NotCompiledError(
            explain(
                "find_learning_rate: the model was not compiled, so it has no loss.",
                "Call model.compile(optimizer='sgd', loss='mse') first.",
            )
        )
    low = number_in("find_learning_rate(low)", low, 0, math.inf, low_open=True)
    high = number_in("find_learning_rate(high)", high, low, math.inf, low_open=True)
    steps = integer_at_least(20, "find_learning_rate(steps)", steps)
    divergence = number_in("find_learning_rate(divergence)", divergence, 1, math.inf, low_open=True)
    seed = integer_at_least(0, "find_learning_rate(seed)", seed)
    rows_a_step = rows_at_a_time("find_learning_rate(batch_size)", batch_size, 32)
    if y is None:
        raise InvalidArgumentError(
            explain(
                "find_learning_rate: y is missing; x must be arrays, with targets.",
                "Type find_learning_rate(model, x, y); some thousand rows are enough.",
            )
        )
    rates = low * (high / low) ** (np.arange(steps) / (steps - 1))
    with model.left_as_it_was(always=True), undisturbed():
        data = Reader(model).batch(x, y, sample_weight, class_weight)
        feed = ArrayFeed(data, rows_a_step, shuffle_seed=seed)
        return search(Programs(plan_without_schedule(model)), feed, rates, divergence, seed)


def search(
    programs: Programs, feed: ArrayFeed, rates: np.ndarray, divergence: float = 4.0, seed: int = 0
) -> LearningRateSearch:
    """Takes a step at each rate, on copies, and judges the losses.

    Args:
        programs: Those of `plan_without_schedule`.
        feed: The rows.
        rates: The rate of each step, growing exponentially.
        divergence: By which factor the loss must exceed its lowest value to count as blown up.
        seed: The seed of dropout.
    """
    return _judged(rates, _losses(programs, feed, rates, divergence, seed))


def _losses(
    programs: Programs, feed: ArrayFeed, rates: np.ndarray, divergence: float, seed: int
) -> np.ndarray:
    """Returns the loss before each step, up to where it blows up."""
    # The compiled step uses its state up; these are copies, so that the model keeps its weights.
    state = copied(programs.plan.read_state(random_key(seed)))
    nothing = programs.no_sums(feed.sample())
    losses: list[float] = []
    mean, lowest, epoch = 0.0, math.inf, 0
    while True:
        for segment in feed.epoch(epoch):
            for i in range(segment.steps):
                if len(losses) == len(rates):
                    return np.array(losses)
                rate = np.float32(rates[len(losses)])
                state, _, record, _ = programs.train("off")(
                    state, nothing, segment.data, segment.order, *marked([i, i + 1]), rate
                )
                loss = float(record["loss"])
                mean = _MEMORY * mean + (1 - _MEMORY) * loss
                recent = mean / (1 - _MEMORY ** (len(losses) + 1))
                lowest = min(lowest, recent)
                if not math.isfinite(loss):
                    return np.array(losses)
                losses.append(loss)
                if recent > lowest + (divergence - 1) * abs(lowest):
                    return np.array(losses)
        epoch += 1


def plan_without_schedule(model: Any) -> Plan:
    """Returns the model's plan with a fresh optimizer whose rate is what each step is given."""
    optimizer = model.optimizer.without_schedule()
    heads = tuple(replace(head, metrics=(), weighted=frozenset()) for head in model.heads())
    return Plan.of(model, heads=heads, optimizer=optimizer, precision=model.precision)


def _judged(all_rates: np.ndarray, losses: np.ndarray) -> LearningRateSearch:
    """Smooths the losses and reads the suggestions off them."""
    rates = all_rates[: len(losses)]
    steps_a_decade = (len(all_rates) - 1) / math.log10(all_rates[-1] / all_rates[0])
    smoothed = _smooth(losses, _SMOOTHING_DECADES * steps_a_decade)
    first = losses[: max(3, len(losses) // 20)]
    start = float(np.mean(first)) if len(losses) else math.nan
    found: dict[str, float | None] = {"steepest": None, "lowest": None, "turning_point": None}
    bottom = int(np.argmin(smoothed)) if len(losses) else 0
    noise = _noise(losses[: bottom + 1]) / math.sqrt(len(first)) if len(losses) else math.nan
    least = max(_LEAST_FALL * abs(start), _LEAST_DEVIATIONS * noise)
    if len(losses) >= 5 and start - smoothed[bottom] > least:
        slopes = np.gradient(smoothed, np.log(rates))
        # Behind the lowest point the loss has begun to climb: from where it has climbed back a
        # tenth of its fall, it is past the turning point.
        climbed = smoothed[bottom:] > smoothed[bottom] + 0.1 * (start - smoothed[bottom])
        turn = bottom + int(np.argmax(climbed)) if climbed.any() else len(rates) - 1
        found = {
            "steepest": float(rates[int(np.argmin(slopes[: bottom + 1]))]),
            "lowest": float(rates[bottom]),
            "turning_point": float(rates[turn]),
        }
    return LearningRateSearch(
        rates=rates,
        losses=losses,
        smoothed=smoothed,
        diverged=len(losses) < len(all_rates),
        **found,
    )


def _noise(losses: np.ndarray) -> float:
    """Returns the standard deviation from batch to batch, a trend left out."""
    if len(losses) < 2:
        return 0.0
    return float(np.sqrt(np.mean(np.square(np.diff(losses))) / 2))


def _smooth(values: np.ndarray, deviation: float) -> np.ndarray:
    """Returns the mean around each value under a Gaussian window, which does not lag behind."""
    reach = max(1, math.ceil(3 * deviation))
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(deviation, 0.5)) ** 2)
    weights = np.convolve(np.ones(len(values)), window, mode="full")[reach : reach + len(values)]
    return np.convolve(values, window, mode="full")[reach : reach + len(values)] / weights
