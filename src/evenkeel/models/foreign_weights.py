"""Weights from outside: a safetensors file of another program, entry by entry into a model.

`Model.load_weights` reads what evenkeel wrote, all or none. Here names differ, axes may be in
another order, and a part may be all that is wanted; what was loaded and what not is reported.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evenkeel import saving
from evenkeel.errors import FileRefusedError, InvalidArgumentError, explain, nearest
from evenkeel.layers.base import require_built
from evenkeel.models.model import Model
from evenkeel.network import Variable, named_variables

Layout = Literal["keras", "torch"]
# A path in the model, alone or with the order of the entry's axes there; None leaves it out.
Target = str | tuple[str, tuple[int, ...]] | None

# How the axes of a kernel with so many of them are ordered in PyTorch: (out, in, *window).
_TORCH_KERNELS = {2: (1, 0), 3: (2, 1, 0), 4: (2, 3, 1, 0), 5: (2, 3, 4, 1, 0)}
# How many names a refusal or a report lists.
_NAMES_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class LoadedWeights:
    """What of a file went where.

    Attributes:
        matched: For each entry that was loaded, the path in the model.
        skipped: The entries whose shape did not fit, each with a sentence; only with
            `mismatched="skip"`.
        unused: The entries of the file that stand for nothing in the model.
        missing: The paths in the model that the file has nothing for; they stayed as they were.

    Example:
        >>> report = LoadedWeights(
        ...     matched={"fc1.weight": "dense/kernel"}, skipped={}, unused=("fc2.weight",),
        ...     missing=("dense_1/kernel",))
        >>> print(report)
        1 entry loaded.
        Left as they were: dense_1/kernel.
        Not used: fc2.weight.
    """

    matched: dict[str, str]
    skipped: dict[str, str]
    unused: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every variable of the model was loaded."""
        return not self.missing

    def __str__(self) -> str:
        count = len(self.matched)
        lines = [f"{count} entr{'y' if count == 1 else 'ies'} loaded."]
        lines += [f"Skipped: {sentence}" for sentence in self.skipped.values()]
        if self.missing:
            lines.append(f"Left as they were: {_listed(self.missing)}.")
        if self.unused:
            lines.append(f"Not used: {_listed(self.unused)}.")
        return "\n".join(lines)


def load_weights_from(
    model: Model,
    path: str | Path,
    mapping: Mapping[str, Target] | Callable[[str], Target] | None = None,
    *,
    layout: Layout = "keras",
    mismatched: Literal["refuse", "skip"] = "refuse",
) -> LoadedWeights:
    """Reads weights of another program from a safetensors file into a model.

    No code runs. Everything is checked before the first weight is set. Variables that the file has
    nothing for stay as they are, and the report names them.

    With `layout="torch"` kernels are turned from PyTorch's order of axes, (out, in, height, width),
    into (height, width, in, out). It must be said: a square matrix fits either way. Where a
    convolution is flattened, PyTorch counts channels first and we count them last; the kernel
    behind needs its rows put in order before it is saved.

    Args:
        model: A built model.
        path: The file.
        mapping: For names in the file the paths in the model: a dict, or a function that gets a
            name and returns a path, or None for what is to be left out. A path may come with the
            order of the entry's axes: `("dense/kernel", (1, 0))`. Without a mapping names are
            paths, as in a file that evenkeel wrote. `model.summary()` has the layers' names;
            a layer's variables are `kernel`, `bias`, `gamma`, `beta`, `moving_mean`,
            `moving_variance`.
        layout: The order of a kernel's axes in the file, `"keras"` or `"torch"`.
        mismatched: Whether an entry whose shape does not fit is refused, and with it the file, or
            is skipped: `"refuse"` or `"skip"`.

    Returns:
        What matched, what was skipped, what was not used, and what is missing.

    Raises:
        FileNotFoundError: If there is no such file.
        FileRefusedError: If it is damaged, holds nothing for this model, or holds what does not
            fit; all entries that do not fit are named, and the weights are left as they were.
        InvalidArgumentError: If the mapping names what is not in the file or the model, or one
            variable twice.

    Example:
        >>> import tempfile
        >>> from safetensors.numpy import save_file
        >>> import evenkeel as ek
        >>> model = ek.Sequential([ek.layers.Dense(2, input_shape=[3])])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/other.safetensors"
        ...     save_file({"fc.weight": np.ones((2, 3), np.float32)}, path)
        ...     print(load_weights_from(model, path, {"fc.weight": "dense/kernel"}, layout="torch"))
        1 entry loaded.
        Left as they were: dense/bias.
    """
    _check_arguments(model, layout, mismatched)
    variables = named_variables(model)
    tensors = _tensors_in(Path(path))
    targets = _targets(mapping, tensors, variables)
    fitting: dict[str, tuple[str, np.ndarray]] = {}
    wrong: dict[str, str] = {}
    for name, (target, axes) in targets.items():
        array = _turned(tensors[name], target, axes, layout)
        complaint = _complaint(name, tensors[name], array, target, variables[target], layout)
        if complaint is None:
            fitting[name] = (target, array.astype(variables[target].dtype))
        else:
            wrong[name] = complaint
    _refuse(Path(path), fitting, wrong, mismatched, tensors, variables)
    for target, array in fitting.values():
        variables[target].assign(array)
    matched = {name: target for name, (target, _) in fitting.items()}
    return LoadedWeights(
        matched=matched,
        skipped=wrong,
        unused=tuple(sorted(set(tensors) - set(matched) - set(wrong))),
        missing=tuple(target for target in variables if target not in matched.values()),
    )


def _check_arguments(model: Any, layout: str, mismatched: str) -> None:
    if not isinstance(model, Model):
        raise InvalidArgumentError(
            explain(f"load_weights_from: got {model!r}, expected a model.", "Give a Sequential.")
        )
    require_built(model, "The set of weights")
    for name, value, valid in (
        ("layout", layout, ("keras", "torch")),
        ("mismatched", mismatched, ("refuse", "skip")),
    ):
        if value not in valid:
            raise InvalidArgumentError(
                explain(
                    f"load_weights_from({name}): got {value!r}.",
                    nearest(str(value), valid),
                )
            )


def _tensors_in(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a file; one that evenkeel wrote is held to its checksum."""
    metadata, tensors = saving.read_tensors(path)
    return saving.read_file(path)[1] if "evenkeel" in metadata else tensors


def _targets(
    mapping: Any, tensors: Mapping[str, np.ndarray], variables: Mapping[str, Variable]
) -> dict[str, tuple[str, tuple[int, ...] | None]]:
    """Returns for names in the file the path in the model, and the order of the axes if given."""
    where = "load_weights_from(mapping)"
    if mapping is None:
        # evenkeel's own files have their weights under "weights/".
        paths = {name: name.removeprefix("weights/") for name in tensors}
        given: dict[str, Any] = {n: path for n, path in paths.items() if path in variables}
    elif callable(mapping):
        given = {name: mapping(name) for name in tensors}
    else:
        given = dict(mapping)
    found: dict[str, tuple[str, tuple[int, ...] | None]] = {}
    for name, target in given.items():
        if target is None:
            continue
        path, axes = (target, None) if isinstance(target, str) else target
        if name not in tensors:
            raise InvalidArgumentError(
                explain(f"{where}: the file has no entry {name!r}.", nearest(name, tensors))
            )
        if path not in variables:
            raise InvalidArgumentError(
                explain(
                    f"{where}: {name!r} is to go to {path!r}, which the model does not have.",
                    nearest(path, variables),
                )
            )
        twice = next((other for other, (taken, _) in found.items() if taken == path), None)
        if twice is not None:
            raise InvalidArgumentError(
                explain(
                    f"{where}: {twice!r} and {name!r} are both to go to {path!r}.",
                    "Give each variable one entry.",
                )
            )
        found[name] = (path, None if axes is None else tuple(axes))
    return found


def _turned(
    array: np.ndarray, target: str, axes: tuple[int, ...] | None, layout: Layout
) -> np.ndarray:
    """Returns an entry with its axes in our order, as far as that can be done."""
    if axes is None and layout == "torch" and target.rpartition("/")[2] == "kernel":
        axes = _TORCH_KERNELS.get(array.ndim)
    if axes is None or sorted(axes) != list(range(array.ndim)):
        return array
    return array.transpose(axes)


def _complaint(
    name: str,
    given: np.ndarray,
    turned: np.ndarray,
    target: str,
    variable: Variable,
    layout: Layout,
) -> str | None:
    """Returns what is wrong with an entry as a sentence; None if it fits."""
    if turned.shape != variable.shape:
        as_turned = f", turned {turned.shape}" if turned.shape != given.shape else ""
        found = (
            f"{name!r} has shape {given.shape}{as_turned}, and {target!r} expects {variable.shape}"
        )
        orders = itertools.permutations(range(given.ndim)) if given.ndim <= 5 else ()
        fits = [o for o in orders if tuple(given.shape[a] for a in o) == variable.shape]
        if fits and layout == "keras":
            found += f"; it fits as ({target!r}, {fits[0]})"
        return found + "."
    # A dtype of two bytes that NumPy does not know, bfloat16, has the kind "V".
    if given.dtype.kind not in "fV":
        return f"{name!r} holds {given.dtype}, and {target!r} expects floating-point numbers."
    if not np.isfinite(given.astype(np.float32)).all():
        return f"{name!r} holds values that are not finite."
    return None


def _refuse(
    path: Path,
    fitting: Mapping[str, Any],
    wrong: Mapping[str, str],
    mismatched: str,
    tensors: Mapping[str, Any],
    variables: Mapping[str, Any],
) -> None:
    if wrong and mismatched == "refuse":
        raise FileRefusedError(
            explain(
                f"{path} does not fit the model; nothing was loaded.",
                *wrong.values(),
                "Map the entries elsewhere or to None, give layout='torch' if PyTorch wrote the "
                "file, or type mismatched='skip'.",
            )
        )
    if not fitting:
        raise FileRefusedError(
            explain(
                f"{path} has no entry for this model; nothing was loaded.",
                f"The file has {_listed(tuple(sorted(tensors)))}; the model has "
                f"{_listed(tuple(variables))}.",
                "Give a mapping: {'name in the file': 'path in the model'}.",
            )
        )


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    rest = len(names) - _NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown or "none"
