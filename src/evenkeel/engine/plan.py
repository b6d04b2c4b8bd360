"""Everything that `compile` and the arguments of `fit` say, fixed in one value before a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import numpy as np

from evenkeel.engine.objective import Head
from evenkeel.engine.stacking import StackedSlots, stacks_in
from evenkeel.engine.state import State
from evenkeel.network import Array, Scope, Variable, copied, entered, named_variables
from evenkeel.optimizers.base import Optimizer, Same
from evenkeel.precision import Precision
from evenkeel.stack import Stack, pile_up


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What a run does at every step.

    Attributes:
        network: The network, a layer.
        trained: The variables that the optimizer changes, by path.
        others: The variables that it leaves alone, by path.
        heads: What is asked of each output, in order; none in a plan that only predicts.
        stacks: The runs of equal layers whose values programs hold one upon another, under the
            path of the first.
        optimizer: The optimizer; None in a plan that only evaluates or predicts.
        precision: How exactly products are carried out.
    """

    network: Any
    trained: dict[str, Variable]
    others: dict[str, Variable]
    heads: tuple[Head, ...] = ()
    optimizer: Optimizer | None = None
    precision: Precision = "float32"
    stacks: tuple[Stack, ...] = ()
    # The slots that the optimizer was given last, as it holds them and as programs take them.
    _handed_over: list[Any] = field(default_factory=list, init=False, repr=False)

    @classmethod
    def of(cls, network: Any, **settings: Any) -> Plan:
        """Returns the plan for a network as it stands now, frozen layers included."""
        trained = named_variables(network, wanted={"trainable": True})
        others = named_variables(network, wanted={"trainable": False})
        stacks = stacks_in(network, trained, others, settings.get("optimizer"))
        return cls(network=network, trained=trained, others=others, stacks=stacks, **settings)

    @cached_property
    def piles(self) -> dict[str, tuple[str, ...]]:
        """For each path that stands for the variables of a run, the paths of them all."""
        paths = {id(v): path for side in (self.trained, self.others) for path, v in side.items()}
        return {
            paths[id(members[0])]: tuple(paths[id(member)] for member in members)
            for stack in self.stacks
            for members in stack.variables
        }

    def piled(self, values: Mapping[str, Any]) -> frozenset[str]:
        """Returns which paths in a dict by path stand for the variables of a run."""
        return frozenset(
            path
            for path, members in self.piles.items()
            if path in values and members[1] not in values
        )

    @property
    def fingerprint(self) -> Any:
        """What compiled programs depend on: equal plans may share them."""
        return (
            json.dumps(self.network.get_config(), sort_keys=True, default=repr),
            tuple(Same(layer) for layer in self.network.tree()),
            tuple((path, Same(v)) for path, v in self.trained.items()),
            tuple((path, Same(v)) for path, v in self.others.items()),
            tuple(
                (
                    head.name,
                    _settings_of(head.loss),
                    head.loss_weight,
                    tuple(_settings_of(metric) for metric in head.metrics),
                    head.weighted,
                )
                for head in self.heads
            ),
            None if self.optimizer is None else self.optimizer.fingerprint,
            self.precision,
        )

    def evaluate(
        self,
        trained: dict[str, Array],
        others: dict[str, Array],
        x: Any,
        *,
        training: bool,
        key: Array | None,
        record: bool = False,
    ) -> tuple[Any, dict[str, Array], Scope]:
        """Runs the network as a pure function.

        Returns:
            The output, the other variables' values afterwards, and the scope, which knows the
            logits behind the output, the penalties, and what the taps recorded.
        """
        asked = [self.others[path] for path in others]
        scope = Scope(
            [*(self.trained[path] for path in trained), *asked],
            [*trained.values(), *others.values()],
            training=training,
            key=key,
            record=record,
            complete=True,
            stacks=self.stacks if self.piled({**trained, **others}) else (),
            precision=self.precision,
        )
        with entered(scope):
            output = self.network(x, training=training)
        return output, dict(zip(others, scope.updates(asked), strict=True)), scope

    def read_state(self, key: Array) -> State:
        """Gathers the state of the run from the variables and the optimizer."""
        assert self.optimizer is not None
        trained, others = self.read_values()
        return State(
            trained=trained,
            others=others,
            slots=self._read_slots(trained),
            step=copied(np.asarray(self.optimizer.iterations, np.int32)),
            key=key,
        )

    def write_state(self, state: State, steps: int) -> None:
        """Hands a state back to the variables and the optimizer, without copies."""
        assert self.optimizer is not None
        self._bind(self.trained, state.trained)
        self._bind(self.others, state.others)
        held = StackedSlots(state.slots, self.piles) if self.piles else state.slots
        self.optimizer.held_slots = held
        self._handed_over[:] = [held, state.slots]
        self.optimizer.iterations = steps

    def read_values(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """Returns the values as programs take them: trained ones, and the others."""
        return self._read(self.trained), self._read(self.others)

    def _read(self, side: dict[str, Variable]) -> dict[str, Array]:
        followers = {path for members in self.piles.values() for path in members[1:]}
        return {
            path: pile_up([side[member] for member in self.piles[path]]).array
            if path in self.piles
            else variable._value
            for path, variable in side.items()
            if path not in followers
        }

    def _bind(self, side: dict[str, Variable], values: Mapping[str, Array]) -> None:
        for path, value in values.items():
            if path in self.piles:
                pile_up([side[member] for member in self.piles[path]], value)
            else:
                side[path].bind(value)

    def _read_slots(self, trained: dict[str, Array]) -> Any:
        assert self.optimizer is not None
        held = self.optimizer.held_slots
        if self._handed_over and held is self._handed_over[0]:
            return self._handed_over[1]
        if not self.piles:
            return surviving_slots(self.optimizer, trained)
        if held is None:
            return self.optimizer.start(trained)
        if isinstance(held, StackedSlots) and held.paths == self.piles:
            fresh = jax.eval_shape(self.optimizer.start, trained)
            if jax.tree.structure(fresh) == jax.tree.structure(held.slots):
                return held.slots
        alone = {path: variable._value for path, variable in self.trained.items()}
        return StackedSlots.of(surviving_slots(self.optimizer, alone), self.piles).slots

    def finish(self) -> None:
        """Puts what the optimizer hands over at the end of a run, its averages, in their place."""
        assert self.optimizer is not None
        if self.optimizer.held_slots is not None:
            trained, _ = self.read_values()
            handed = self.optimizer.finished(trained, self._read_slots(trained))
            self._bind(self.trained, self.constrained(handed))

    def constrained(self, trained: dict[str, Any]) -> dict[str, Any]:
        """Puts the values of variables that have a constraint back into it."""
        piled = self.piled(trained)

        def within(path: str, value: Any) -> Any:
            limit = self.trained[path].constraint
            if limit is None:
                return value
            return jax.vmap(limit)(value) if path in piled else limit(value)

        return {path: within(path, value) for path, value in trained.items()}


def surviving_slots(optimizer: Optimizer, trained: dict[str, Array]) -> Any:
    """Returns the optimizer's slots for these parameters.

    Slots of variables that are still trained are kept; those of newly trained ones start fresh.
    A transformation whose slots are no dicts by path starts fresh when the parameters change.
    """
    old = optimizer.slots
    fresh = optimizer.start(trained)
    if old is None:
        return fresh
    return _graft(old, fresh)


def _graft(old: Any, fresh: Any) -> Any:
    if isinstance(fresh, dict) and isinstance(old, dict):
        return {name: _graft(old[name], new) if name in old else new for name, new in fresh.items()}
    if isinstance(fresh, tuple) and type(old) is type(fresh) and len(old) == len(fresh):
        parts = [_graft(a, b) for a, b in zip(old, fresh, strict=True)]
        return type(fresh)(*parts) if hasattr(fresh, "_fields") else type(fresh)(parts)
    return old if getattr(old, "shape", ()) == getattr(fresh, "shape", ()) else fresh


def _settings_of(thing: Any) -> Any:
    if thing is None:
        return None
    function = getattr(thing, "function", None)
    if function is not None:
        return (type(thing), Same(function))
    return (type(thing), json.dumps(thing.get_config(), sort_keys=True, default=repr))
