"""PyTorch's own idiom: a Python loop, autograd, and `torch.optim.SGD`."""

from benchmarks.job import LEARNING_RATE, MOMENTUM, Job
from benchmarks.peers import torch_common
from benchmarks.peers.base import TrainingSide


class TorchEager(TrainingSide):
    """The loop without a DataLoader: batches are rows of one tensor, picked by a permutation.

    It keeps the loss but no accuracy, a small advantage over the sides with a `fit`.

    Args:
        implementation: "fused" or "foreach", the two fast paths of `torch.optim.SGD`.
    """

    packages = ("torch", "numpy")

    def __init__(self, implementation: str) -> None:
        import torch

        self._torch = torch
        self._implementation = implementation
        torch_common.use_threads()
        self.note = f"Python loop, SGD({implementation}=True), no accuracy metric"

    def prepare(self, job: Job) -> None:
        """Makes network and optimizer."""
        self._torch.manual_seed(job.seed)
        self._job = job
        self._images, self._labels = torch_common.tensors(job)
        self._network = torch_common.network()
        self._optimizer = self._torch.optim.SGD(
            self._network.parameters(),
            lr=LEARNING_RATE,
            momentum=MOMENTUM,
            nesterov=True,
            **{self._implementation: True},
        )

    def epoch(self) -> float:
        """One pass over a fresh permutation; the loss leaves the device once, at the end."""
        torch, job = self._torch, self._job
        total = torch.zeros(())
        for rows in torch.randperm(job.samples).split(job.batch_size):
            self._optimizer.zero_grad(set_to_none=True)
            outputs = self._network(self._images.index_select(0, rows))
            labels = self._labels.index_select(0, rows)
            loss = torch.nn.functional.cross_entropy(outputs, labels)
            loss.backward()
            self._optimizer.step()
            total += loss.detach()
        return float(total) / job.steps
