"""Things written as the expressions that make them: layers, optimizers, losses, metrics.

What stands as a constructor's default is left out, so that the line is what a person would type.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np

from evenkeel import (
    activations,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
)
from evenkeel.optimizers import schedules
from evenkeel.registry import registered_name, snake_case

_FAMILIES: dict[str, Any] = {
    "layers": layers,
    "initializers": initializers,
    "regularizers": regularizers,
    "constraints": constraints,
    "losses": losses,
    "metrics": metrics,
    "optimizers": optimizers,
    "optimizers.schedules": schedules,
}
# The argument's ending tells the family of a name in it.
_ENDINGS = {
    "initializer": initializers,
    "regularizer": regularizers,
    "constraint": constraints,
}


def expression(thing: Any, *, without: tuple[str, ...] = ()) -> str:
    """Returns the call that makes a layer, an optimizer, a loss or the like.

    Args:
        thing: What has a `get_config`.
        without: Arguments to leave out.

    Example:
        >>> from evenkeel.layers import Dense
        >>> expression(Dense(3, activation="relu", kernel_initializer="he_normal", name="first"))
        "ek.layers.Dense(3, activation='relu', kernel_initializer='he_normal', name='first')"
    """
    cls, config = type(thing), dict(thing.get_config())
    return _call(path_of(cls), cls, config, without)


def path_of(cls: type) -> str:
    """Returns how a class is typed: by its family, or bare where it is the user's own.

    Example:
        >>> from evenkeel.initializers import HeNormal
        >>> path_of(HeNormal)
        'ek.initializers.HeNormal'
    """
    for family, module in _FAMILIES.items():
        if getattr(module, cls.__name__, None) is cls:
            return f"ek.{family}.{cls.__name__}"
    return cls.__name__


def _call(path: str, cls: type, config: dict[str, Any], without: tuple[str, ...]) -> str:
    usual = _usual(cls, config)
    parameters = _parameters(cls)
    shown: list[str] = []
    for position, (name, value) in enumerate(_in_order(config, parameters).items()):
        is_needed = parameters.get(name, value) is inspect.Parameter.empty
        if name in without or (not is_needed and name in usual and usual[name] == value):
            continue
        written = value_of(value, name)
        shown.append(written if is_needed and position == 0 else f"{name}={written}")
    return f"{path}({', '.join(shown)})"


def _in_order(config: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration in the constructor's order, the name last."""
    order = [name for name in parameters if name in config and name != "name"]
    return {name: config[name] for name in [*order, *(n for n in config if n not in order)]}


def _parameters(cls: type) -> dict[str, Any]:
    """Returns the constructor's arguments with their defaults, `Parameter.empty` without one."""
    found = {}
    for part in reversed(cls.__mro__):
        if "__init__" in vars(part):
            signature = inspect.signature(part.__init__).parameters.values()
            own = {p.name: p.default for p in signature if p.kind is not p.VAR_KEYWORD}
            found = {**own, **{n: d for n, d in found.items() if n not in own}}
    return {n: d for n, d in found.items() if n not in ("self", "args", "unknown")}


def _usual(cls: type, config: dict[str, Any]) -> dict[str, Any]:
    """Returns the configuration of a member with nothing but what must be given."""
    needed = {
        name: config[name]
        for name, default in _parameters(cls).items()
        if default is inspect.Parameter.empty and name in config
    }
    try:
        made: Any = cls.from_config(needed) if hasattr(cls, "from_config") else cls(**needed)  # pyright: ignore[reportAttributeAccessIssue]  # asked for just before
        return dict(made.get_config())
    except (TypeError, ValueError, KeyError):
        return {}


def value_of(value: Any, name: str = "") -> str:
    """Returns an argument's value as an expression.

    Args:
        value: The value, as a configuration has it.
        name: The argument's name, which tells the family of a short name.

    Example:
        >>> value_of({"class_name": "HeNormal", "config": {"seed": None}}, "kernel_initializer")
        "'he_normal'"
        >>> value_of((1, None)), value_of(np.array([1.0, 2.0]))
        ('(1, None)', '[1.0, 2.0]')
    """
    if isinstance(value, dict) and "class_name" in value:
        return _written(value, name)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {value_of(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        parts = ", ".join(value_of(part) for part in value)
        closing = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"[{parts}]" if isinstance(value, list) else f"({parts}{closing})"
    if isinstance(value, np.ndarray | np.generic):
        return repr(value.tolist())
    if hasattr(value, "get_config"):
        return expression(value)
    if callable(value):
        known = activations.name_of(value)
        return repr(known) if known else getattr(value, "__name__", type(value).__name__)
    return repr(value)


def _written(value: dict[str, Any], name: str) -> str:
    """Returns a configuration as a short name, where that means the same, or as a call."""
    class_name, config = value["class_name"], dict(value.get("config") or {})
    preferred = next((m for e, m in _ENDINGS.items() if name.endswith(e)), None)
    modules = [m for m in (preferred, *_FAMILIES.values()) if m is not None]
    cls = next((getattr(m, class_name) for m in modules if hasattr(m, class_name)), None)
    if not isinstance(cls, type):
        return f"{class_name.rpartition('>')[2]}()"
    short = snake_case(class_name)
    if preferred is not None and short_is_same(preferred, short, config):
        return repr(short)
    return _call(path_of(cls), cls, config, ())


def short_is_same(family: Any, short: str, config: dict[str, Any]) -> bool:
    """Whether a family's short name makes the same as a configuration."""
    try:
        return family.get(short).get_config() == config
    except (ValueError, TypeError):
        return False


def loss_of(loss: Any) -> str:
    """Returns a loss, or losses in a list or dict, as what is given to `compile`.

    Example:
        >>> from evenkeel.losses import Huber, MeanSquaredError
        >>> loss_of(MeanSquaredError()), loss_of([Huber(delta=0.5), None])
        ("'mean_squared_error'", '[ek.losses.Huber(delta=0.5), None]')
    """
    return _each(loss, losses)


def metrics_of(measured: Any) -> str:
    """Returns metrics, in lists or dicts, as what is given to `compile`.

    Example:
        >>> from evenkeel import metrics
        >>> metrics_of([metrics.get("accuracy"), metrics.get("mae")])
        "['accuracy', 'mae']"
    """
    return _each(measured, metrics)


def _each(given: Any, family: Any) -> str:
    if given is None or isinstance(given, str):
        return repr(given)
    if isinstance(given, list | tuple):
        return f"[{', '.join(_each(part, family) for part in given)}]"
    if isinstance(given, dict):
        return "{" + ", ".join(f"{k!r}: {_each(v, family)}" for k, v in given.items()) + "}"
    function = getattr(given, "function", None)
    if function is not None:
        return getattr(function, "__name__", "your_function")
    for short in (given.name, snake_case(type(given).__name__)):
        made = _member(family, short)
        if type(made) is type(given) and made.get_config() == given.get_config():
            return repr(short)
    return expression(given)


def _member(family: Any, short: str) -> Any:
    try:
        return family.get(short)
    except (ValueError, TypeError):
        return None


def is_given_out(layer: Any) -> bool:
    """Whether a layer's name is one that its class gives out, such as `dense_1`."""
    return bool(re.fullmatch(rf"{snake_case(type(layer).__name__)}(_\d+)?", layer.name))


def is_own(thing: Any) -> bool:
    """Whether a class is the user's own, which code can name but not import."""
    return "." not in path_of(type(thing)) or ">" in registered_name(type(thing))
