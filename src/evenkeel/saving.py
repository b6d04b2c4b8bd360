"""Model files: one safetensors file with the configuration in its header.

A file holds names and numbers, never code, and none runs when it is opened. A checksum covers
everything in it. What does not match is refused whole, naming the first entry that differs;
nothing is loaded halfway.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from evenkeel import optimizers
from evenkeel.engine.plan import surviving_slots
from evenkeel.errors import (
    EvenkeelError,
    FileRefusedError,
    InvalidArgumentError,
    explain,
    integer_at_least,
)
from evenkeel.layers.base import get as get_layer
from evenkeel.layers.base import registry as layer_registry
from evenkeel.network import is_shape, named_variables
from evenkeel.registry import custom_objects as known_for_a_while
from evenkeel.registry import register, registered_name, serialize

__all__ = [
    "load_model",
    "load_weights",
    "register",
    "register_keras_serializable",
    "save_model",
    "save_weights",
]

FORMAT = 1
_HEADER = "evenkeel"

# Keras's name for the same decorator.
register_keras_serializable = register


def save_model(model: Any, path: Path, *, overwrite: bool, include_compile: bool) -> None:
    """Writes a model to a file, completely or not at all. See `Model.save`.

    Example:
        >>> import evenkeel as ek
        >>> model = ek.Sequential([ek.layers.Dense(1, input_shape=[2])])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "model.safetensors")
        ...     save_model(model, path, overwrite=True, include_compile=True)
        ...     path.exists()
        True
    """
    _refuse_place(path, overwrite)
    _refuse_unregistered(model)
    tensors = weight_tensors(model)
    optimizer = model.optimizer if include_compile else None
    if optimizer is not None:
        tensors |= slot_tensors(optimizer.slots)
    header = {
        "format": FORMAT,
        "model": serialize(model),
        "input_shape": jax.tree.map(_shape_entry, model.build_shape, is_leaf=is_shape),
        "compile": None if optimizer is None else _compile_config(model),
    }
    _refuse_unloadable(model, json.loads(json.dumps(header, sort_keys=True, default=_plain)))
    write_file(path, header, tensors)


def save_weights(model: Any, path: Path, *, overwrite: bool) -> None:
    """Writes a model's weights to a file, completely or not at all. See `Model.save_weights`.

    Example:
        >>> import evenkeel as ek
        >>> model = ek.Sequential([ek.layers.Dense(1, input_shape=[2])])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "weights.safetensors")
        ...     save_weights(model, path, overwrite=True)
        ...     load_weights(model, path)
    """
    _refuse_place(path, overwrite)
    header = {"format": FORMAT, "model": None, "compile": None}
    write_file(path, header, weight_tensors(model))


def load_weights(model: Any, path: Path) -> None:
    """Reads weights into a model of the same structure, all or none. See `Model.load_weights`.

    Example:
        >>> import evenkeel as ek
        >>> model = ek.Sequential([ek.layers.Dense(1, input_shape=[2])])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "model.safetensors")
        ...     model.save(path)
        ...     load_weights(model, path)
    """
    _, tensors = read_file(path)
    fill_weights(path, model, tensors, "the model")


def load_model(path: Path, *, custom_objects: dict[str, type] | None, compile: bool) -> Any:
    """Opens a model file. See `models.load_model`.

    Example:
        >>> import evenkeel as ek
        >>> model = ek.Sequential([ek.layers.Dense(1, input_shape=[2])])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "model.safetensors")
        ...     model.save(path)
        ...     load_model(path, custom_objects=None, compile=False).count_params()
        3
    """
    header, tensors = read_file(path)
    if header["model"] is None:
        raise FileRefusedError(
            explain(
                f"{path} holds weights alone, so the network is not known.",
                "Build the model in code, and type model.load_weights(path).",
            )
        )
    with known_for_a_while(custom_objects or {}):
        model = _rebuild(path, header)
        fill_weights(path, model, tensors, "the network that its header describes")
        if compile and header["compile"] is not None:
            _restore_compile(path, model, header["compile"], tensors)
    return model


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Reads any safetensors file, whoever wrote it: its metadata and its arrays.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        FileRefusedError: If it is damaged, or no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            explain(f"There is no file {path}.", "Give the file that model.save wrote.")
        )
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise FileRefusedError(
            explain(
                f"{path} is no readable safetensors file ({error}).",
                "It is cut off, damaged, or of another kind; nothing was loaded.",
                "Save the model again, or take another copy of the file.",
            )
        ) from None
    return metadata, tensors


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Reads and verifies a model file: its header and its arrays.

    Raises:
        FileNotFoundError: If there is no such file.
        FileRefusedError: If it is not an evenkeel model, or damaged.
    """
    metadata, tensors = read_tensors(path)
    if _HEADER not in metadata:
        raise FileRefusedError(
            explain(
                f"{path} is a safetensors file, but not an evenkeel model: its header has no "
                f"{_HEADER!r} entry.",
                "Build the model in code, and type ek.models.load_weights_from(model, path).",
            )
        )
    if metadata.get("checksum") != _checksum(metadata[_HEADER], tensors):
        raise FileRefusedError(
            explain(
                f"{path} is damaged: its content does not match its checksum.",
                "Nothing was loaded. Save the model again, or take another copy of the file.",
            )
        )
    header = json.loads(metadata[_HEADER])
    if not isinstance(header, dict) or not {"format", "model", "compile"} <= set(header):
        raise FileRefusedError(
            explain(
                f"{path} is a safetensors file whose {_HEADER!r} entry describes no model.",
                "Nothing was loaded. Save the model again, or take another copy of the file.",
            )
        )
    if header["format"] != FORMAT:
        raise FileRefusedError(
            explain(
                f"{path} has the file format {header['format']}, this version reads {FORMAT}.",
                "Open it with the version of evenkeel that wrote it, or a newer one.",
            )
        )
    return header, tensors


def _rebuild(path: Path, header: dict[str, Any]) -> Any:
    try:
        model: Any = get_layer(header["model"])
        shape = jax.tree.map(_entry_shape, header["input_shape"], is_leaf=_is_shape_entry)
        model.ensure_built(shape)
        model.compute_output_shape(shape)  # builds what a `call` of one's own brings in
    except (EvenkeelError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise FileRefusedError(
            explain(
                f"{path}: the network in it cannot be built here: {error}",
                "If a layer of it is your own, decorate its class with @ek.saving.register, or "
                "pass custom_objects={'ClassName': ClassName}.",
            )
        ) from error
    return model


def _shape_entry(shape: tuple[int | None, ...]) -> dict[str, Any]:
    return {"shape": list(shape)}


def _entry_shape(entry: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(entry["shape"])


def _is_shape_entry(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"shape"} and isinstance(value["shape"], list)


def _refuse_place(path: Path, overwrite: bool) -> None:
    """Raises unless a file may be written there."""
    if path.exists() and not overwrite:
        raise FileExistsError(
            explain(f"{path} exists.", "Give another name, or overwrite=True to replace it.")
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            explain(f"The folder {path.parent} does not exist.", f"Make it: mkdir {path.parent}")
        )


def weight_tensors(model: Any) -> dict[str, np.ndarray]:
    """Returns a model's weights by the names that they have in files."""
    return {f"weights/{name}": v.numpy() for name, v in named_variables(model).items()}


def write_file(path: Path, header: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """Writes a file that `read_file` reads, completely or not at all.

    Args:
        path: Where to.
        header: What describes the arrays: plain data, with the entries of a model's header.
        tensors: The arrays by name.
    """
    text = json.dumps(header, sort_keys=True, default=_plain)
    metadata = {_HEADER: text, "checksum": _checksum(text, tensors)}
    # C order is what the format stores; other arrays would be written scrambled.
    contiguous = {name: np.require(array, requirements="C") for name, array in tensors.items()}
    _write_whole(path, save(contiguous, metadata=metadata))


def fill_weights(path: Path, model: Any, tensors: dict[str, np.ndarray], owner: str) -> None:
    """Fills the weights of a model, which messages call the owner, all or none."""
    variables = {f"weights/{name}": v for name, v in named_variables(model).items()}
    found = {name for name in tensors if name.startswith("weights/")}
    for name in sorted(set(variables) ^ found):
        side = "lacks" if name in variables else "has an unexpected"
        raise FileRefusedError(
            explain(
                f"{path} {side} entry {name!r} for {owner}.",
                "Nothing was loaded. Names and shapes must be those of the model that was saved.",
            )
        )
    for name, variable in variables.items():
        if tensors[name].shape != variable.shape:
            raise FileRefusedError(
                explain(
                    f"{path}: {name!r} has shape {tensors[name].shape}, {owner} expects "
                    f"{variable.shape}.",
                    "Nothing was loaded. Names and shapes must be those of the model that was "
                    "saved.",
                )
            )
    for name, variable in variables.items():
        variable.assign(tensors[name])


def _compile_config(model: Any) -> dict[str, Any]:
    return {
        "optimizer": serialize(model.optimizer),
        "iterations": model.optimizer.iterations,
        "rate_factor": model.optimizer.rate_factor,
        "declared": model.declared.get_config(),
    }


def _restore_compile(
    path: Path, model: Any, config: dict[str, Any], tensors: dict[str, np.ndarray]
) -> None:
    try:
        model.compile(optimizer=optimizers.get(config["optimizer"]), **config["declared"])
        model.optimizer.iterations = integer_at_least(0, "iterations", config["iterations"])
        model.optimizer.rate_factor = config["rate_factor"]
    except (EvenkeelError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise FileRefusedError(
            explain(
                f"{path}: its loss, metrics or optimizer cannot be built here: {error}",
                "Type load_model(path, compile=False), and compile the model yourself.",
            )
        ) from error
    model.optimizer.slots = filled_slots(path, model, tensors)


def filled_slots(path: Path, model: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Returns the optimizer's slots: the file's, and fresh ones for what was not yet trained."""
    if not any(name.startswith("slots/") for name in tensors):
        return None
    trained = named_variables(model, wanted={"trainable": True})
    template = surviving_slots(model.optimizer, {p: v._value for p, v in trained.items()})
    keyed, structure = jax.tree_util.tree_flatten_with_path(template)
    leaves = []
    for key, fresh in keyed:
        name = _slot_name(key)
        if name in tensors and tensors[name].shape != np.shape(fresh):
            raise FileRefusedError(
                explain(
                    f"{path}: {name!r} has shape {tensors[name].shape}, the optimizer expects "
                    f"{np.shape(fresh)}.",
                    "Nothing was loaded. The file was changed after it was written; save it again.",
                )
            )
        leaves.append(jax.numpy.asarray(tensors[name]) if name in tensors else fresh)
    return jax.tree.unflatten(structure, leaves)


def _slot_name(key: Any) -> str:
    return "slots/" + jax.tree_util.keystr(key, simple=True, separator="|")


def slot_tensors(slots: Any) -> dict[str, np.ndarray]:
    """Returns an optimizer's slots by the names that they have in files."""
    leaves = jax.tree_util.tree_flatten_with_path(slots)[0]
    return {_slot_name(key): np.asarray(leaf) for key, leaf in leaves}


def _refuse_unregistered(model: Any) -> None:
    for layer in model.tree():
        cls = type(layer)
        name = registered_name(cls)
        if ">" not in name and layer_registry._members.get(name) is not cls:
            raise InvalidArgumentError(
                explain(
                    f"{cls.__name__} is a class of yours that files cannot name yet.",
                    "A file holds no code, so the class must be registered to be found again.",
                    f"Decorate it: @ek.saving.register above class {cls.__name__}, and give it a "
                    "get_config that returns its constructor's arguments.",
                )
            )


def _refuse_unloadable(model: Any, header: dict[str, Any]) -> None:
    """Tries, before anything is written, whether the model could be rebuilt from the file."""
    try:
        get_layer(header["model"])
        if header["compile"] is not None:
            optimizers.get(header["compile"]["optimizer"])
            model.declared.from_config(header["compile"]["declared"])
    except (EvenkeelError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise InvalidArgumentError(
            explain(
                f"{model.name!r} could be written to a file, but not be read again: {error}",
                "Let get_config of your own classes return all arguments of their constructors, "
                "and decorate each class with @ek.saving.register.",
            )
        ) from error


def _checksum(header: str, tensors: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        array = np.require(tensors[name], requirements="C")
        digest.update(f"{name}:{array.dtype}:{array.shape}".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise InvalidArgumentError(
        explain(
            f"A configuration contains {value!r}, and a file holds names and numbers, no code.",
            "For a function of yours, write a Layer that calls it and decorate the class with "
            "@ek.saving.register. Let get_config return numbers, texts, lists and dicts only.",
        )
    )


def _write_whole(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
