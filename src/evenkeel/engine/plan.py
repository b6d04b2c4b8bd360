"""Everything that `compile` and the arguments of `fit` say, fixed in one value before a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from evenkeel.engine.objective import Head
from evenkeel.engine.state import State
from evenkeel.network import Array, Scope, Variable, entered, named_variables
from evenkeel.optimizers.base import Optimizer, Same
from evenkeel.precision import Precision


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What a run does at every step.

    Attributes:
        network: The network, a layer.
        trained: The variables that the optimizer changes, by path.
        others: The variables that it leaves alone, by path.
        heads: What is asked of each output, in order; none in a plan that only predicts.
        optimizer: The optimizer; None in a plan that only evaluates or predicts.
        precision: How exactly products are carried out.
    """

    network: Any
    trained: dict[str, Variable]
    others: dict[str, Variable]
    heads: tuple[Head, ...] = ()
    optimizer: Optimizer | None = None
    precision: Precision = "float32"

    @classmethod
    def of(cls, network: Any, **settings: Any) -> Plan:
        """Returns the plan for a network as it stands now, frozen layers included."""
        return cls(
            network=network,
            trained=named_variables(network, wanted={"trainable": True}),
            others=named_variables(network, wanted={"trainable": False}),
            **settings,
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
        variables = [*self.trained.values(), *self.others.values()]
        values = [trained[path] for path in self.trained] + [others[path] for path in self.others]
        scope = Scope(
            variables,
            values,
            training=training,
            key=key,
            record=record,
            complete=True,
            precision=self.precision,
        )
        with entered(scope):
            output = self.network(x, training=training)
        after = scope.updates(list(self.others.values()))
        return output, dict(zip(self.others, after, strict=True)), scope

    def read_state(self, key: Array) -> State:
        """Gathers the state of the run from the variables and the optimizer."""
        assert self.optimizer is not None
        trained = {path: variable._value for path, variable in self.trained.items()}
        return State(
            trained=trained,
            others={path: variable._value for path, variable in self.others.items()},
            slots=surviving_slots(self.optimizer, trained),
            step=jnp.asarray(self.optimizer.iterations, jnp.int32),
            key=key,
        )

    def write_state(self, state: State, steps: int) -> None:
        """Hands a state back to the variables and the optimizer, without copies."""
        assert self.optimizer is not None
        for path, variable in self.trained.items():
            variable.bind(state.trained[path])
        for path, variable in self.others.items():
            variable.bind(state.others[path])
        self.optimizer.slots = state.slots
        self.optimizer.iterations = steps

    def finish(self) -> None:
        """Puts what the optimizer hands over at the end of a run, its averages, in their place."""
        assert self.optimizer is not None
        trained = {path: variable._value for path, variable in self.trained.items()}
        if self.optimizer.slots is not None:
            handed = self.optimizer.finished(trained, self.optimizer.slots)
            for path, value in self.constrained(handed).items():
                self.trained[path].bind(value)

    def constrained(self, trained: dict[str, Any]) -> dict[str, Any]:
        """Puts the values of variables that have a constraint back into it."""
        limits = {path: variable.constraint for path, variable in self.trained.items()}
        return {
            path: value if (limit := limits[path]) is None else limit(value)
            for path, value in trained.items()
        }


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
