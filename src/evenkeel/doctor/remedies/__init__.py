"""All remedies: of data, of the network, of the training. Importing this makes them known."""

from evenkeel.doctor.remedies import data, network, training

__all__ = ["data", "network", "training"]
