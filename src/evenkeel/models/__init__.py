"""Models: networks with a face. `Sequential`, `Model`, and getting models from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evenkeel import saving
from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.models.foreign_weights import LoadedWeights, load_weights_from
from evenkeel.models.functional import Functional
from evenkeel.models.model import Model
from evenkeel.models.sequential import Sequential

__all__ = [
    "Functional",
    "LoadedWeights",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "load_weights_from",
]


def load_model(
    path: str | Path, custom_objects: dict[str, type] | None = None, compile: bool = True
) -> Any:
    """Opens a model file. No code runs; what does not match is refused whole.

    Args:
        path: The file that `model.save` wrote.
        custom_objects: Your own classes by the names in the file, where they are not registered.
        compile: Whether to restore the loss, metrics and optimizer as well.

    Returns:
        The model, with its weights, and ready to train on if it was compiled.

    Raises:
        FileNotFoundError: If there is no such file.
        FileRefusedError: If it is damaged, foreign, or names what does not exist here.

    Example:
        >>> import tempfile
        >>> from evenkeel.layers import Dense
        >>> model = Sequential([Dense(1, input_shape=[2])])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.safetensors")
        ...     load_model(f"{folder}/model.safetensors").count_params()
        3
    """
    return saving.load_model(Path(path), custom_objects=custom_objects, compile=compile)


def clone_model(model: Any, weights: bool = False) -> Any:
    """Returns a model of the same layers that shares nothing with the original.

    Args:
        model: The model.
        weights: Whether to copy the weights; fresh ones, as in Keras, when False.

    Example:
        >>> from evenkeel.layers import Dense
        >>> model = Sequential([Dense(1, input_shape=[2])])
        >>> clone = clone_model(model, weights=True)
        >>> bool((clone.get_weights()[0] == model.get_weights()[0]).all())
        True
    """
    if not isinstance(model, Model):
        raise InvalidArgumentError(
            explain(f"clone_model: got {model!r}, expected a model.", "Give a Sequential.")
        )
    clone = type(model).from_config(model.get_config())
    if weights:
        clone.set_weights(model.get_weights())
    return clone
