"""Every way a run can end, each with a sentence."""

from __future__ import annotations

import enum


class Outcome(enum.Enum):
    """How a run ended. The value is a sentence that says what to do next."""

    COMPLETED = "All epochs were run."
    STOPPED = "A callback stopped the run before the last epoch."
    NOT_FINITE = (
        "The loss or a weight became infinite or not a number, and a lower learning rate did not "
        "help or was not to be tried; history.breaks says where. The weights are those of the last "
        "epoch that ended well. Lower the learning rate, standardize the inputs, or clip the "
        "gradients before training on."
    )
    INTERRUPTED = "The run was interrupted; the weights are those of the last finished steps."

    FAILED = (
        "An error ended the run; the weights are those of the last finished steps, or of the "
        "epoch before."
    )

    @property
    def sentence(self) -> str:
        """The sentence."""
        return self.value

    @property
    def is_well(self) -> bool:
        """Whether the run ended as it should."""
        return self in (Outcome.COMPLETED, Outcome.STOPPED)
