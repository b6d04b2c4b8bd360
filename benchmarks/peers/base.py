"""What a side of a comparison is: an object the worker prepares once per job and then measures."""

import abc
import time

from benchmarks.job import Job


class Side(abc.ABC):
    """One side of a comparison, living in a worker process.

    Heavy imports belong in the constructor of the subclass, so that a missing package is
    reported as this side's absence.

    Attributes:
        packages: Distributions whose versions the record keeps.
        note: What a reader has to know about this side's settings.
    """

    packages: tuple[str, ...] = ()
    note: str = ""

    @abc.abstractmethod
    def prepare(self, job: Job) -> None:
        """Makes the data and the model; is not timed."""

    @abc.abstractmethod
    def measure(self) -> dict[str, float]:
        """Does one round of work; returns its measurements by name, units in the names."""


class TrainingSide(Side):
    """A side that trains: its one measurement is the wall time of an epoch call."""

    @abc.abstractmethod
    def epoch(self) -> float:
        """Trains for one epoch and waits for the end of it; returns the mean training loss."""

    def measure(self) -> dict[str, float]:
        """Times one epoch."""
        start = time.perf_counter()
        loss = self.epoch()
        return {"epoch_seconds": time.perf_counter() - start, "loss": float(loss)}
