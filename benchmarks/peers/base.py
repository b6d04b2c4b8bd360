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
    def measure(self, epochs: int) -> dict[str, float]:
        """Does one round of work; returns its measurements by name, units in the names.

        Args:
            epochs: How many epochs a round of training takes.
        """


class TrainingSide(Side):
    """A side that trains: its one measurement is the wall time of an epoch.

    A subclass writes `epoch`, or `train` where its library trains several epochs in one call.
    """

    def epoch(self) -> float:
        """Trains for one epoch and waits for the end of it; returns the mean training loss."""
        raise NotImplementedError

    def train(self, epochs: int) -> float:
        """Trains for some epochs and waits for the end; returns the last mean training loss."""
        return [self.epoch() for _ in range(epochs)][-1]

    def measure(self, epochs: int) -> dict[str, float]:
        """Times a call that trains for some epochs."""
        start = time.perf_counter()
        loss = self.train(epochs)
        return {"epoch_seconds": (time.perf_counter() - start) / epochs, "loss": float(loss)}
