"""Whatever else counts as an optimizer: names, classes, configurations, optax transformations."""

from __future__ import annotations

from typing import Any

import jax

from evenkeel.errors import InvalidArgumentError, explain, nearest
from evenkeel.network import Array
from evenkeel.optimizers.base import Optimizer, Params, Same, Slots, registry


class OptaxOptimizer(Optimizer):
    """Any optax gradient transformation as an optimizer.

    The transformation brings its own learning rate; the one here is a factor on its updates.

    Args:
        transformation: What `optax.adam(1e-3)` and the like return: anything with `init` and
            `update`.
        name: The name in messages.

    Example:
        >>> import optax
        >>> OptaxOptimizer(optax.sgd(0.1)).learning_rate
        1.0
    """

    def __init__(self, transformation: Any, name: str | None = None):
        super().__init__(1.0, name or "optax")
        self.transformation = transformation

    def init(self, params: Params) -> Slots:
        """Returns the transformation's state."""
        return self.transformation.init(params)

    def update(
        self, gradients: Params, slots: Slots, params: Params, rate: Array, step: Array
    ) -> tuple[Params, Slots]:
        """Returns the transformation's updates, times the factor."""
        updates, slots = self.transformation.update(gradients, slots, params)
        return jax.tree.map(lambda update: update * rate, updates), slots

    @property
    def fingerprint(self) -> Any:
        """The transformation's identity, and what stands around it."""
        return (type(self), Same(self.transformation), self.surroundings)

    def get_config(self) -> dict[str, Any]:
        """Refuses: a file holds no code."""
        raise InvalidArgumentError(
            explain(
                "An optax transformation cannot be written to a file: files hold no code.",
                "Save without it, model.save(path, include_compile=False), and compile after "
                "loading.",
            )
        )


def get(identifier: Any) -> Optimizer:
    """Returns the optimizer that a string, class, instance or optax transformation stands for.

    Raises:
        InvalidArgumentError: If there is no such optimizer; the nearest name is offered.

    Example:
        >>> get("adam").learning_rate
        0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        return registry.lookup(identifier)()
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()  # pyright: ignore[reportCallIssue]  # named optimizers have a default rate
    if isinstance(identifier, dict):
        return registry.build(identifier)
    if callable(getattr(identifier, "init", None)) and callable(
        getattr(identifier, "update", None)
    ):
        return OptaxOptimizer(identifier)
    raise InvalidArgumentError(
        explain(
            f"An optimizer cannot be {identifier!r}.",
            "Type a name such as 'adam', an instance such as ek.optimizers.Adam(1e-3), or an "
            "optax transformation. " + nearest("", registry.names),
        )
    )
