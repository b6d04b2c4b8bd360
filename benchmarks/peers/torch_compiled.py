"""PyTorch with the whole step, from picking the rows to the update, as one compiled graph.

The step is written with `torch.func`, because `loss.backward()` breaks the graph: compiled that
way (network alone, or network and optimizer) it was slower here than eager, 970 to 1250 against
790 microseconds at batch 32. `fullgraph=True` proves that nothing breaks.
"""

from typing import Any

from benchmarks.job import LEARNING_RATE, MOMENTUM, Job
from benchmarks.peers import torch_common
from benchmarks.peers.base import TrainingSide


class TorchCompiled(TrainingSide):
    """A Python loop over one compiled function per step.

    Args:
        cpp_wrapper: Whether Inductor writes the code around its kernels in C++ as well.
    """

    packages = ("torch", "numpy")

    def __init__(self, cpp_wrapper: bool) -> None:
        import torch

        self._torch = torch
        self._options: dict[str, Any] = {"cpp_wrapper": cpp_wrapper}
        torch_common.use_threads()
        self.note = f"torch.func, fullgraph, cpp_wrapper={cpp_wrapper}, no accuracy metric"

    def prepare(self, job: Job) -> None:
        """Makes parameters, momentum and the step to compile (in the first epoch)."""
        torch = self._torch
        torch.manual_seed(job.seed)
        torch.compiler.reset()
        self._job = job
        self._images, self._labels = torch_common.tensors(job)
        network = torch_common.network()
        self._parameters = {k: v.detach().clone() for k, v in network.named_parameters()}
        self._momentum = {k: torch.zeros_like(v) for k, v in self._parameters.items()}
        self._step = torch.compile(
            self._make_step(network), fullgraph=True, dynamic=False, options=self._options
        )

    def _make_step(self, network):
        """The step as a function of its tensors; updates parameters and momentum in place."""
        functional, func = self._torch.nn.functional, self._torch.func

        def loss_of(parameters, images, labels):
            return functional.cross_entropy(
                func.functional_call(network, parameters, (images,)), labels
            )

        def step(parameters, momentum, total, rows, images, labels):
            gradients, loss = func.grad_and_value(loss_of)(
                parameters, images.index_select(0, rows), labels.index_select(0, rows)
            )
            for name, gradient in gradients.items():
                momentum[name].mul_(MOMENTUM).add_(gradient)
                direction = gradient + MOMENTUM * momentum[name]
                parameters[name].sub_(LEARNING_RATE * direction)
            total.add_(loss)

        return step

    def epoch(self) -> float:
        """One pass over a fresh permutation."""
        torch, job = self._torch, self._job
        total = torch.zeros(())
        state = (self._parameters, self._momentum, total)
        for rows in torch.randperm(job.samples).split(job.batch_size):
            self._step(*state, rows, self._images, self._labels)
        return float(total) / job.steps
