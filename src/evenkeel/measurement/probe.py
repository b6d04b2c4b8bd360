"""Short trainings of copies: can the network learn, from what, and at which rate.

All take their steps with the programs that `fit` would use, compiled once; what differs is handed
in as numbers. The model keeps its values: each training begins from a copy of them, with fresh
slots.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evenkeel.doctor.patient import Patient, RunRecord
from evenkeel.doctor.probe import OneBatch, Probe, RateSearch, Trial
from evenkeel.engine.compilation import compiled
from evenkeel.engine.epoch import marked
from evenkeel.engine.feed import ArrayFeed
from evenkeel.engine.fit import Programs
from evenkeel.engine.objective import PENALTY, losses_of, targets_of, total_of
from evenkeel.engine.plan import Plan
from evenkeel.engine.state import State
from evenkeel.engine.step import Batch
from evenkeel.learning_rate import plan_without_schedule, search
from evenkeel.measurement import baselines
from evenkeel.network import copied, random_key
from evenkeel.randomness import generator

# Some hundred steps show whether a loss falls; a network of 784-300-100-10 takes them in a second.
STEPS = 300
# The losses are read so often: often enough for a curve, rarely enough not to be noise.
_STRETCH = 10
# By how much slower and how much faster is tried beside the rate that is declared.
_SLOWER = (3.0, 10.0)
# How many rows are held out at most: an accuracy from 2000 is known to 1 point.
_HELD_OUT_ROWS = 2000
_HELD_OUT_PART = 0.2
# So few rows any network can learn by heart.
FEW_ROWS = 8
_LOWEST, _HIGHEST = 1e-6, 10.0


def probe_of(
    model: Any, data: Batch, held_out: Batch | None, patient: Patient, seed: int = 0
) -> Probe:
    """Trains copies of a network for a few hundred steps each.

    Args:
        model: A built and compiled model; it keeps its values.
        data: The training rows, as `Reader.batch` makes them.
        held_out: Rows to judge by; a part of the training rows when None.
        patient: The description.
        seed: The seed of the order of the rows, of dropout, and of what is held out.
    """
    train, judged = _split(data, held_out, patient.run, seed)
    bench = _Bench(model, train, judged, patient.run.batch_size, seed)
    declared_rates = _rates_of(patient)
    peak = float(declared_rates.max())
    declared = bench.run(declared_rates, watched=True)
    others = [bench.run(declared_rates / factor) for factor in _SLOWER]
    swept = bench.searched()
    if swept.suggestion is not None and not 0.67 < swept.suggestion / peak < 1.5:
        others.append(bench.run(np.full(STEPS, swept.suggestion)))
    best = min((declared, *others), key=lambda run: run.trial.held_out)
    blind = bench.run(best.rates, blind=True)
    return Probe(
        steps=STEPS,
        batch_size=bench.feed.batch_size,
        rows=train.rows,
        held_out_rows=judged.rows,
        start=bench.start,
        constant_loss=_constant_loss(bench.plan, judged),
        declared=declared.trial,
        others=tuple(sorted((run.trial for run in others), key=lambda trial: trial.rate)),
        blind=blind.trial,
        one_batch=_one_batch(bench, declared, best),
        search=swept,
        relations=baselines.relations(bench.plan.heads, train, judged, best.answers),
        update_ratios=declared.ratios,
    )


def _split(data: Batch, held_out: Batch | None, run: RunRecord, seed: int) -> tuple[Batch, Batch]:
    """Returns rows to train on, whole batches of them, and rows to judge by."""
    order = generator(seed, 3).permutation(data.rows)
    if held_out is None:
        count = max(1, min(_HELD_OUT_ROWS, int(_HELD_OUT_PART * data.rows)))
        order, kept = (order[count:], order[:count]) if data.rows > 1 else (order, order)
        held_out = _rows(data, kept)
    elif held_out.rows > _HELD_OUT_ROWS:
        chosen = generator(seed, 4).permutation(held_out.rows)[:_HELD_OUT_ROWS]
        held_out = _rows(held_out, chosen)
    size = min(run.batch_size, len(order))
    whole = min(len(order) // size, STEPS) * size
    return _rows(data, order[:whole]), replace(held_out, weight=None)


def _rows(data: Batch, rows: np.ndarray) -> Batch:
    chosen = np.sort(rows)
    return jax.tree.map(lambda a: np.asarray(a)[chosen], replace(data, weight=None))


def _rates_of(patient: Patient) -> np.ndarray:
    """Returns the rate of each step: that which is declared, a schedule drawn together."""
    optimizer = patient.optimizer
    if optimizer is None or optimizer.rate is None:
        return np.ones(STEPS)  # as a factor on the rate of an optimizer that keeps its own
    if optimizer.schedule is None:
        return np.full(STEPS, optimizer.rate)
    length = patient.run.steps(patient.rows) or int(optimizer.schedule.steps[-1])
    curve = optimizer.schedule.within(length)
    return np.interp(np.linspace(0, 1, STEPS), np.linspace(0, 1, len(curve)), curve)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """A trial, and what only the next trials need of it."""

    trial: Trial
    rates: np.ndarray
    answers: list[np.ndarray] | None
    ratios: dict[str, float]


class _Bench:
    """Where copies are trained: the rows, the programs, and the values to begin from.

    Attributes:
        plan: What a step does, the rate being handed in.
        train: The training rows.
        feed: The same, in batches.
        start: The loss of the held-out rows before.
    """

    def __init__(self, model: Any, train: Batch, held_out: Batch, batch_size: int, seed: int):
        self._programs = Programs(plan_without_schedule(model))
        self.plan = self._programs.plan
        self.train = train
        self.feed = ArrayFeed(train, batch_size, shuffle_seed=seed)
        self._seed = seed
        self._held_out = jax.device_put(held_out)
        self._judge = compiled(self._judged, name="evaluation")
        self._nothing = self._programs.no_sums(self.feed.sample())
        self.start = self._held_out_loss(self._beginning())[0]

    def _beginning(self) -> State:
        """Returns a copy of the state to begin from, which a program may use up."""
        return copied(self.plan.read_state(random_key(self._seed)))

    def searched(self) -> RateSearch:
        """Sweeps over the learning rates."""
        rates = _LOWEST * (_HIGHEST / _LOWEST) ** (np.arange(STEPS) / (STEPS - 1))
        found = search(self._programs, self.feed, rates, seed=self._seed)
        return RateSearch(
            suggestion=found.suggestion,
            lowest=found.lowest,
            turning_point=found.turning_point,
            lowest_rate=_LOWEST,
            highest_rate=_HIGHEST,
        )

    def run(self, rates: np.ndarray, *, blind: bool = False, watched: bool = False) -> _Run:
        """Trains a copy, a step at each rate; blind, with all inputs 0."""
        state, losses, ratios = self._trained(rates, blind=blind, watched=watched)
        held_out, answers = self._held_out_loss(state, blind=blind)
        is_whole = len(losses) * _STRETCH >= len(rates)
        trial = Trial(
            rate=float(rates.max()),
            losses=losses,
            held_out=held_out if is_whole and math.isfinite(held_out) else math.inf,
        )
        return _Run(
            trial=trial,
            rates=rates,
            answers=answers if math.isfinite(trial.held_out) else None,
            ratios=ratios,
        )

    def on_few_rows(self, rates: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Trains a copy on a few rows again and again; returns the loss of each stretch."""
        return self._trained(rates, rows=rows)[1]

    def _trained(
        self,
        rates: np.ndarray,
        *,
        blind: bool = False,
        watched: bool = False,
        rows: np.ndarray | None = None,
    ) -> tuple[State, np.ndarray, dict[str, float]]:
        """Returns the state at the end, the loss of each stretch, and what a step changes."""
        state, losses, ratios = self._beginning(), [], []
        train = self._programs.train("off")
        looks = {len(rates) // 4, len(rates) // 2} if watched else set()
        for done, at, count, data, order in self._stretches(len(rates), looks, blind, rows):
            before = self._kernels(state) if done in looks else None
            state, _, record, _ = train(
                state,
                self._nothing,
                data,
                order,
                *marked([at, at + count]),
                np.float32(rates[done]),
            )
            # Without what regularizers add: constant answers and linear models have none of it.
            loss = float(record["loss"]) - float(record.get(PENALTY, 0.0))
            if not math.isfinite(loss):
                return state, _by_stretch(losses), {}
            losses += [loss] * count
            if before is not None:
                ratios.append(_ratios(before, self._kernels(state)))
        return state, _by_stretch(losses), _middle(ratios)

    def _stretches(
        self, total: int, looks: set[int], blind: bool, rows: np.ndarray | None
    ) -> Iterator[tuple[int, int, int, Batch, Any]]:
        """Yields the steps taken before, where to go on, how many steps, and on which rows."""
        done, epoch = 0, 0
        while done < total:
            (segment,) = self.feed.epoch(epoch)
            data = _blinded(segment.data) if blind else segment.data
            order = segment.order
            if rows is not None:
                order = jax.device_put(np.resize(rows.astype(np.int32), order.shape))
            at = 0
            while at < segment.steps and done < total:
                count = min(_STRETCH - done % _STRETCH, segment.steps - at, total - done)
                count = 1 if done in looks else count
                yield done, at, count, data, order
                at, done = at + count, done + count
            epoch += 1

    def _kernels(self, state: State) -> dict[str, np.ndarray]:
        """Returns the kernels by path; biases and normalizations are no kernels."""
        return {
            path: np.array(value, np.float64)
            for path, value in state.trained.items()
            if path.endswith("kernel")
        }

    def _held_out_loss(
        self, state: State, *, blind: bool = False
    ) -> tuple[float, list[np.ndarray]]:
        data = _blinded(self._held_out) if blind else self._held_out
        loss, outputs = self._judge(state.trained, state.others, data)
        return float(loss), [np.asarray(output) for output in outputs]

    def _judged(self, trained: Any, others: Any, data: Batch) -> Any:
        output, _, scope = self.plan.evaluate(
            trained, others, data.x, training=False, key=random_key(0)
        )
        losses = losses_of(self.plan.heads, output, data.y, None, scope)
        return total_of(self.plan.heads, losses, None), jax.tree.leaves(output)


def _blinded(data: Batch) -> Batch:
    """Returns the rows with all inputs 0."""
    return replace(data, x=jax.tree.map(jnp.zeros_like, data.x))


def _middle(ratios: list[dict[str, float]]) -> dict[str, float]:
    """Returns the median of each kernel's ratios."""
    paths = ratios[0] if ratios else {}
    return {path: float(np.median([ratio[path] for ratio in ratios])) for path in paths}


def _by_stretch(losses: list[float]) -> np.ndarray:
    """Returns the mean loss of each stretch; an unfinished one counts as one."""
    starts = range(0, len(losses), _STRETCH)
    return np.array([np.mean(losses[s : s + _STRETCH]) for s in starts])


def _ratios(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> dict[str, float]:
    return {
        path: float(np.linalg.norm(after[path] - old) / max(np.linalg.norm(old), 1e-30))
        for path, old in before.items()
    }


def _constant_loss(plan: Plan, data: Batch) -> float | None:
    """Returns the loss of the best constant answers to all outputs."""
    total = 0.0
    for head, target in zip(plan.heads, targets_of(data.y, plan.heads), strict=True):
        if head.loss is None:
            continue
        found = baselines.constant_loss(head.loss, np.asarray(target))
        if found is None:
            return None
        total += found * head.loss_weight
    return total


def _one_batch(bench: _Bench, declared: _Run, best: _Run) -> OneBatch | None:
    """Trains on a few rows at the declared rate and at the best one; keeps the better."""
    data, heads = bench.train, bench.plan.heads
    if len(heads) != 1 or heads[0].loss is None or heads[0].loss.target_kind is None:
        return None
    target = np.asarray(data.y)
    rows = baselines.few_rows(target, FEW_ROWS, heads[0].loss.target_kind)
    chosen = target[rows]
    fitted = baselines.linear_loss(heads[0].loss, baselines.features_of(data)[rows], chosen)
    constant = baselines.constant_loss(heads[0].loss, chosen)
    if fitted is None or constant is None:
        return None
    curves = [
        bench.on_few_rows(run.rates, rows) for run in {id(r): r for r in (declared, best)}.values()
    ]
    tries = [
        OneBatch(rows=len(rows), losses=losses, constant_loss=constant, linear_loss=fitted)
        for losses in curves
    ]
    return min(tries, key=lambda one: one.end if math.isfinite(one.end) else math.inf)
