"""What Keras programs ask of `backend`."""

from __future__ import annotations

__all__ = ["clear_session"]


def clear_session() -> None:
    """Does nothing: there is no session, and names are counted in each model from the start.

    Keras programs call it so that the next model's layers are named `dense`, `dense_1`, ... again;
    here they always are.

    Example:
        >>> clear_session()
    """
