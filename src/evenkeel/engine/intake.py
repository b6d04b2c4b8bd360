"""Where data comes in: everything is turned into arrays and checked once, at the edge.

All problems of one call are looked for before anything runs, so that a refused call leaves the
model as it was. What passes here is not checked again inside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from evenkeel.alignment import converted
from evenkeel.errors import InvalidArgumentError, InvalidDataError, explain, number_in
from evenkeel.losses import Loss
from evenkeel.network import is_shape

_ROWS_SHOWN = 5
_LARGEST_INTEGER = np.iinfo(np.int32).max
# How many elements are scanned for NaN at a time: 64 MiB of float32.
_SCAN_ELEMENTS = 1 << 24


def inputs(x: Any, name: str = "x") -> np.ndarray:
    """Turns inputs into an array of numbers with rows first, and refuses what cannot be one.

    Args:
        x: An array, a DataFrame, or nested lists; float64 becomes float32, integers stay.
        name: What the user calls it.

    Raises:
        InvalidDataError: If it has no rows, is no numbers, or contains NaN or infinity.
    """
    array = numbers(x, name)
    if array.ndim == 0:
        raise InvalidDataError(
            explain(
                f"{name}: got a single number, expected rows of data.",
                f"Give an array of shape (rows, features), for example {name}.reshape(1, -1).",
            )
        )
    if array.size == 0:
        raise InvalidDataError(
            explain(
                f"{name}: has shape {array.shape}, which holds no data.",
                "Check how the data was loaded or filtered.",
            )
        )
    _refuse_not_finite(array, name, columns_of(x))
    return array


def arranged(x: Any, names: Any, name: str = "x") -> Any:
    """Turns inputs into checked arrays in the form that a network takes.

    Args:
        x: One array, or several in a list, tuple or dict.
        names: The names of the network's inputs in the form in which it takes them: one name, a
            list, or a dict; None where the network takes what it is given.
        name: What the user calls it.

    Raises:
        InvalidDataError: If the form is another, or the arrays have different numbers of rows.
    """
    if names is None:
        return _as_given(x, name)
    if isinstance(names, str):
        is_named = isinstance(x, dict) and set(x) == {names}
        return inputs(x[names] if is_named else x, name)
    order = list(names)
    if len(order) == 1 and not isinstance(x, dict) and not _holds_arrays(x):
        x = [x]  # the only input of a list of one
    parts = [
        inputs(part, f"{name}[{key!r}]")
        for key, part in zip(order, parts_by_name(x, order, name, "inputs"), strict=True)
    ]
    for key, part in zip(order, parts, strict=True):
        same_rows(len(parts[0]), len(part), f"{name}[{order[0]!r}]", f"{name}[{key!r}]")
    return dict(zip(order, parts, strict=True)) if isinstance(names, dict) else parts


def _as_given(x: Any, name: str) -> Any:
    """Takes a dict, and a list or tuple of arrays, for several inputs; all else for one array."""
    if isinstance(x, dict):
        return arranged(x, {key: key for key in x}, name)
    if _holds_arrays(x):
        parts = arranged(list(x), [str(n) for n in range(len(x))], name)
        return type(x)(parts)
    return inputs(x, name)


def _holds_arrays(x: Any) -> bool:
    """Whether something is a list or tuple of arrays, rather than rows written out as lists."""
    is_list = isinstance(x, list | tuple) and len(x) > 0
    return is_list and all(getattr(part, "ndim", 0) > 0 for part in x)


def parts_by_name(given: Any, names: Sequence[str], name: str, what: str) -> list[Any]:
    """Returns the parts of a list in order, or of a dict by name, of which some may be absent.

    Raises:
        InvalidDataError: If it is neither, or a name or the number is another.
    """
    wanted = ", ".join(map(repr, names))
    advice = f"Give a list in that order, or a dict by name: {{{names[0]!r}: array, ...}}."
    if isinstance(given, dict):
        unknown = [key for key in given if key not in names]
        missing = [key for key in names if key not in given] if what == "inputs" else []
        if unknown or missing:
            found = f"no {missing[0]!r}" if missing else f"{unknown[0]!r}"
            raise InvalidDataError(
                explain(f"{name}: the dict has {found}; the {what} are {wanted}.", advice)
            )
        return [given.get(key) for key in names]
    if not isinstance(given, list | tuple) or len(given) != len(names):
        kind = type(given).__name__
        found = f"{len(given)} parts" if isinstance(given, list | tuple) else f"one {kind}"
        raise InvalidDataError(
            explain(f"{name}: got {found} for the {len(names)} {what} {wanted}.", advice)
        )
    return list(given)


def arranged_targets(
    y: Any, names: Sequence[str], rows: int, name: str = "y", other: str = "x"
) -> Any:
    """Turns targets into a checked array, or into a tuple with one for each of several outputs.

    Args:
        y: One array, or a list or dict of them; an output of which nothing is asked may be absent.
        names: The names of the outputs.
        rows: How many rows there must be.
        name: What the user calls it.
        other: What the user calls the inputs.
    """
    if len(names) == 1:
        is_named = isinstance(y, dict) and set(y) == set(names)
        return targets(y[names[0]] if is_named else y, rows, name, other)
    return tuple(
        None if part is None else targets(part, rows, f"{name}[{key!r}]", other)
        for key, part in zip(names, parts_by_name(y, names, name, "outputs"), strict=True)
    )


def row_count(rows: Any) -> int:
    """Returns the number of rows of checked inputs."""
    return len(jax.tree.leaves(rows)[0])


def targets(y: Any, rows: int, name: str = "y", other: str = "x") -> np.ndarray:
    """Turns targets into an array of numbers with as many rows as the inputs."""
    array = inputs(y, name)
    same_rows(rows, len(array), other, name)
    return array


def same_rows(expected: int, found: int, other: str, name: str) -> None:
    """Raises `InvalidDataError` unless two arrays have equally many rows."""
    if expected != found:
        raise InvalidDataError(
            explain(
                f"{other} has {expected} rows and {name} has {found}; they must belong together "
                "row by row.",
                "Check that both were cut, filtered and shuffled the same way.",
            )
        )


def weights(
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    y: np.ndarray,
    rows: int,
    *,
    is_batch: bool = False,
) -> np.ndarray | None:
    """Combines sample weights and class weights into one weight for each row, or None.

    Args:
        sample_weight: One weight a row, at least 0.
        class_weight: The weight of each class by its number; classes that are not named weigh 1.
        y: The checked targets.
        rows: The number of rows.
        is_batch: Whether y is one batch of many, and may lack classes that others contain.
    """
    weight = None
    if sample_weight is not None:
        weight = inputs(sample_weight, "sample_weight").astype(np.float32)
        same_rows(rows, len(weight), "x", "sample_weight")
        weight = _one_column(weight, "sample_weight")
        if (weight < 0).any():
            row = int(np.argmax(weight < 0))
            raise InvalidDataError(
                explain(
                    f"sample_weight: row {row} is {weight[row]:g}, expected at least 0.",
                    "A negative weight would train the network to be wrong on that row.",
                )
            )
    if class_weight:
        by_class = _weights_by_class(class_weight, y, is_batch)
        weight = by_class if weight is None else weight * by_class
    return weight


def _weights_by_class(
    class_weight: Mapping[int, float], y: np.ndarray, is_batch: bool
) -> np.ndarray:
    labels = np.argmax(y, axis=-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(-1)
    present = set(np.unique(labels).astype(int).tolist())
    absent = sorted(set(class_weight) - present)
    if absent and not is_batch:
        raise InvalidArgumentError(
            explain(
                f"class_weight names the classes {absent}, which y does not contain; it contains "
                f"{sorted(present)[:20]}.",
                "Use the class numbers that stand in y as keys.",
            )
        )
    table = np.ones(max(*present, *class_weight) + 1, np.float32)
    for label, value in class_weight.items():
        table[int(label)] = number_in(f"class_weight[{label!r}]", value, 0, math.inf)
    return table[labels.astype(np.int64)]


def check_inputs(network: Any, x: Any) -> None:
    """Raises `InvalidDataError` when the network was built for another input shape."""
    if not network.built or network.build_shape is None:
        return
    declared = jax.tree.leaves(network.build_shape, is_leaf=is_shape)
    arrays = jax.tree.leaves(x)
    if len(declared) != len(arrays):
        raise InvalidDataError(
            explain(
                f"{type(network).__name__} {network.name!r}: x has {len(arrays)} parts, the "
                f"network was built for {len(declared)}.",
                "Give as many inputs as its call takes.",
            )
        )
    for shape, array in zip(declared, arrays, strict=True):
        _check_input(network, tuple(shape[1:]), array)


def _check_input(network: Any, expected: tuple[Any, ...], x: np.ndarray) -> None:
    found = x.shape[1:]
    fits = len(expected) == len(found) and all(
        a is None or a == b for a, b in zip(expected, found, strict=True)
    )
    if not fits:
        first = network.layers[0] if getattr(network, "layers", None) else network
        raise InvalidDataError(
            explain(
                f"{type(network).__name__} {network.name!r}, layer 0, "
                f"{type(first).__name__}({first.name!r}): x has shape {x.shape}, expected "
                f"{_shape_text(expected)}.",
                _shape_advice(expected, x.shape),
            )
        )


def check_targets(
    loss: Loss | None, y: np.ndarray, output_shape: tuple[Any, ...], name: str = "y"
) -> np.ndarray:
    """Checks targets against the loss and the output, before the first step.

    Args:
        loss: The loss; None where the output is only measured.
        y: The targets.
        output_shape: The shape of the output, the batch first.
        name: What the user calls the targets.

    Returns:
        The targets in the type that the loss computes with.

    Raises:
        InvalidDataError: If they cannot belong together; the message says what to type.
    """
    kind = None if loss is None else loss.target_kind
    if kind == "classes":
        return _class_numbers(y, output_shape, name)
    if loss is not None and kind is not None:
        _same_shape(loss, y, output_shape, name)
    if kind == "binary":
        _within_unit(y, "binary cross-entropy", output_shape, name)
    if kind == "one-hot":
        _within_unit(y, "categorical cross-entropy", output_shape, name)
    return y if y.dtype == np.float32 else converted(y, np.float32)


def _class_numbers(y: np.ndarray, output_shape: tuple[Any, ...], name: str) -> np.ndarray:
    units = output_shape[-1]
    if y.ndim == len(output_shape) and y.shape[-1] == units and units > 1:
        raise InvalidDataError(
            explain(
                f"{name} has shape {y.shape}, one column a class, but the loss "
                "'sparse_categorical_crossentropy' expects class numbers of shape (rows,).",
                f"Type loss='categorical_crossentropy', or {name}.argmax(axis=-1).",
            )
        )
    labels = y[..., 0] if y.ndim == len(output_shape) and y.shape[-1] == 1 else y
    if labels.ndim != len(output_shape) - 1:
        raise InvalidDataError(
            explain(
                f"{name} has shape {y.shape}, expected one class number a row, shape (rows,).",
                f"Type {name}.argmax(axis=-1) if the columns are classes.",
            )
        )
    if units == 1:
        raise InvalidDataError(
            explain(
                "The output has one unit, and 'sparse_categorical_crossentropy' needs one unit "
                "for each class.",
                "For two classes type Dense(1, activation='sigmoid') with "
                "loss='binary_crossentropy', or Dense(2, activation='softmax').",
            )
        )
    numbers = labels.astype(np.int64)
    if labels.dtype.kind == "f" and (labels != numbers).any():
        row = int(np.argmax(labels.reshape(-1) != numbers.reshape(-1)))
        raise InvalidDataError(
            explain(
                f"{name} row {row} is {labels.reshape(-1)[row]:g}, expected a whole class number.",
                "For regression type loss='mse'.",
            )
        )
    wrong = (numbers < 0) | (numbers >= units)
    if wrong.any():
        row = int(np.argmax(wrong.reshape(-1)))
        value, top = int(numbers.reshape(-1)[row]), int(numbers.max())
        raise InvalidDataError(
            explain(
                f"{name} row {row} is {value}, expected a class number from 0 to {units - 1}: the "
                f"output layer has {units} units.",
                f"Type Dense({top + 1}, activation='softmax') as the last layer."
                if top >= units
                else "Number the classes from 0: np.unique(y, return_inverse=True)[1].",
            )
        )
    return numbers.astype(np.int32)


def _same_shape(loss: Loss, y: np.ndarray, output_shape: tuple[Any, ...], name: str) -> None:
    expected = tuple(output_shape[1:])
    found = y.shape[1:]
    if found == expected or (found == () and expected == (1,)):
        return
    raise InvalidDataError(
        explain(
            f"{name} has shape {y.shape} and the network's output {_shape_text(expected)}; "
            f"{type(loss).__name__} compares them element by element.",
            _target_advice(loss, y, expected),
        )
    )


def _target_advice(loss: Loss, y: np.ndarray, expected: tuple[Any, ...]) -> str:
    whole = y.dtype.kind in "iub" or bool((y == np.floor(y)).all())
    if loss.target_kind == "one-hot" and y.ndim == 1 and whole:
        return "For class numbers type loss='sparse_categorical_crossentropy'."
    if loss.target_kind == "binary" and y.ndim == 1 and whole and expected[-1:] != (1,):
        return (
            "For class numbers type loss='sparse_categorical_crossentropy' with softmax; for one "
            "yes-no answer end with Dense(1, activation='sigmoid')."
        )
    if y.ndim <= 2:
        return f"End the network with Dense({y.shape[-1] if y.ndim == 2 else 1})."
    return "Give the output layer as many units as y has columns."


def _within_unit(y: np.ndarray, loss: str, output_shape: tuple[Any, ...], name: str) -> None:
    if y.min() >= 0 and y.max() <= 1:
        return
    wrong = (y < 0) | (y > 1)
    row = int(np.argmax(wrong.reshape(len(y), -1).any(axis=1)))
    value = y.reshape(len(y), -1)[row][wrong.reshape(len(y), -1)[row]][0]
    classes = int(y.max()) + 1
    advice = (
        f"For {classes} classes type Dense({classes}, activation='softmax') with "
        "loss='sparse_categorical_crossentropy'; for regression loss='mse'."
        if output_shape[-1] == 1
        else "Give probabilities, or one-hot rows of zeros and a one."
    )
    raise InvalidDataError(
        explain(f"{name} row {row} is {value:g}, expected values from 0 to 1 for {loss}.", advice)
    )


def numbers(data: Any, name: str) -> np.ndarray:
    """Turns data into an array of numbers, finite or not; refuses text and ragged rows.

    Args:
        data: An array, a DataFrame, or nested lists; float64 becomes float32, integers stay.
        name: What the user calls it.

    Raises:
        InvalidDataError: If it is no array, or holds no numbers.
    """
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise InvalidDataError(
            explain(
                f"{name}: its rows have different lengths, so they are no array ({error}).",
                "Pad or cut the rows to one length.",
            )
        ) from None
    if array.dtype.kind == "O" and _are_all_numbers(data):
        array = np.asarray(data, dtype=np.float32)  # columns of several types, bool among them
    if array.dtype.kind not in "iufb":
        columns = columns_of(data)
        culprits = _text_columns(data, columns)
        raise InvalidDataError(
            explain(
                f"{name}: expected numbers, got {array.dtype} values"
                + (f" in the columns {culprits}." if culprits else "."),
                "Encode text and categories as numbers first, for example with scikit-learn's "
                "OneHotEncoder.",
            )
        )
    if array.dtype.kind in "iu" and array.dtype.itemsize >= 4 and array.dtype != np.int32:
        # The device counts in 32 bits; larger numbers become float32 rather than wrap around.
        largest = max(abs(int(array.max())), abs(int(array.min()))) if array.size else 0
        array = converted(array, np.int32 if largest <= _LARGEST_INTEGER else np.float32)
    if array.dtype.kind == "f" and array.dtype != np.float32:
        array = converted(array, np.float32)  # what overflows is reported as infinity
    return array


def _refuse_not_finite(array: np.ndarray, name: str, columns: Sequence[str] | None) -> None:
    if array.dtype.kind != "f":
        return
    flat = array.reshape(len(array), -1)
    stride = max(1, _SCAN_ELEMENTS // max(1, flat.shape[1]))
    for start in range(0, len(flat), stride):
        # A sum is finite only if its terms are; the slow look is taken where it is not.
        part = flat[start : start + stride]
        with np.errstate(over="ignore", invalid="ignore"):
            suspicious = not np.isfinite(part.sum())
        if suspicious and not np.isfinite(part).all():
            raise _not_finite_error(flat, array.ndim, name, columns)


def _not_finite_error(
    flat: np.ndarray, ndim: int, name: str, columns: Sequence[str] | None
) -> InvalidDataError:
    wrong = ~np.isfinite(flat)
    by_column = wrong.any(axis=0)
    column = int(np.argmax(by_column))
    rows = np.flatnonzero(wrong[:, column])
    label = columns[column] if columns is not None else column
    where = f"column {label!r}" if columns is not None else f"column {label}"
    kind = "NaN" if np.isnan(flat[rows[0], column]) else "infinity"
    others = int(by_column.sum()) - 1
    shown = ", ".join(str(row) for row in rows[:_ROWS_SHOWN])
    return InvalidDataError(
        explain(
            f"{name}: {kind} in "
            + (f"{where}, " if ndim > 1 else "")
            + f"rows {shown}{', ...' if len(rows) > _ROWS_SHOWN else ''} ({len(rows)} rows"
            + (f"; {others} more columns too)." if others else ")."),
            "One such number makes every weight not a number at the first step.",
            "Drop those rows, or fill them, for example with scikit-learn's SimpleImputer.",
        )
    )


def columns_of(data: Any) -> list[str] | None:
    """Returns the names of a DataFrame's columns, or None for anything else."""
    columns = getattr(data, "columns", None)
    return None if columns is None else [str(column) for column in columns]


def _text_columns(data: Any, columns: list[str] | None) -> list[str]:
    types = getattr(data, "dtypes", None)
    if columns is None or types is None:
        return []
    return [
        c for c, t in zip(columns, types, strict=True) if np.dtype(object) == t or "str" in str(t)
    ]


def _are_all_numbers(data: Any) -> bool:
    """Whether every column of a DataFrame holds numbers or truth values."""
    kinds = [getattr(kind, "kind", "O") for kind in getattr(data, "dtypes", [])]
    return bool(kinds) and all(kind in "iufb" for kind in kinds)


def _one_column(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim != 1:
        raise InvalidDataError(
            explain(
                f"{name}: has shape {array.shape}, expected one number a row, shape (rows,).",
                f"Give {name}[:, 0], or one column of it.",
            )
        )
    return array


def _shape_text(sizes: Sequence[Any]) -> str:
    return "(batch" + "".join(f", {n}" for n in sizes) + ")"


def _shape_advice(expected: tuple[Any, ...], shape: tuple[int, ...]) -> str:
    found = shape[1:]
    known = [n for n in expected if n is not None]
    size, wanted = int(np.prod(found, dtype=np.int64)), int(np.prod(known, dtype=np.int64))
    if expected == (*found, 1) or (size == wanted and found != expected):
        return f"The number of elements fits: type x.reshape(-1, {', '.join(map(str, expected))})."
    if shape == expected:
        return "One row without the batch axis? Type x[None]."
    if found == ():
        return "Type x.reshape(-1, 1) for one feature, or x.reshape(1, -1) for one row."
    return "Give inputs of that shape, or build a new network for this input."
