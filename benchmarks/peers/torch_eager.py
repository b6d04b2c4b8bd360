"""PyTorch's own idiom: a Python loop, autograd, and an optimizer of `torch.optim`."""

from benchmarks.job import Job
from benchmarks.peers import torch_common
from benchmarks.peers.base import TrainingSide


class TorchEager(TrainingSide):
    """The loop without a DataLoader: batches are rows of one tensor, picked by a permutation.

    It keeps the loss but no accuracy, a small advantage over the sides with a `fit`.

    Args:
        implementation: "fused" or "foreach", the two fast paths of `torch.optim`.
        device: "cpu" or "cuda".
        precision: "float32" or "tf32".
    """

    packages = ("torch", "numpy")

    def __init__(
        self, implementation: str, device: str = "cpu", precision: str = "float32"
    ) -> None:
        import torch

        self._torch = torch
        self._implementation = implementation
        self._device = device
        torch_common.use(device, precision)
        self.note = f"Python loop, {implementation} optimizer, no accuracy metric"

    def prepare(self, job: Job) -> None:
        """Makes network and optimizer."""
        self._torch.manual_seed(job.seed)
        self._job = job
        self._images, self._labels = torch_common.tensors(job, self._device)
        self._network = torch_common.network(job, self._device)
        self._optimizer = torch_common.optimizer(job, self._network, self._implementation)

    def epoch(self) -> float:
        """One pass over a fresh permutation; the loss leaves the device once, at the end."""
        torch, job, device = self._torch, self._job, self._device
        total = torch.zeros((), device=device)
        for rows in torch.randperm(job.samples, device=device).split(job.batch_size):
            self._optimizer.zero_grad(set_to_none=True)
            outputs = self._network(self._images.index_select(0, rows))
            labels = self._labels.index_select(0, rows)
            loss = torch.nn.functional.cross_entropy(outputs, labels)
            loss.backward()
            self._optimizer.step()
            total += loss.detach()
        return float(total) / job.steps
