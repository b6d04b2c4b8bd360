"""PyTorch with steps captured in a CUDA graph: the least that a GPU has to be told per step."""

from benchmarks.job import Job
from benchmarks.peers import torch_common
from benchmarks.peers.base import TrainingSide

WARM_UP_STEPS = 3


class TorchGraphed(TrainingSide):
    """A Python loop over replays; the graph itself counts steps and picks the rows.

    Args:
        steps_per_graph: Steps in one replay; must divide the steps of an epoch.
        precision: "float32" or "tf32".
    """

    packages = ("torch", "numpy")

    def __init__(self, steps_per_graph: int = 1, precision: str = "float32") -> None:
        import torch

        self._torch = torch
        self._steps_per_graph = steps_per_graph
        torch_common.use("cuda", precision)
        self.note = f"autograd, {steps_per_graph} steps in a CUDA graph, no accuracy metric"

    def prepare(self, job: Job) -> None:
        """Makes network and optimizer, and all tensors that the graph reads and writes."""
        torch = self._torch
        if job.steps % self._steps_per_graph:
            raise ValueError(f"{job.steps} steps do not divide into {self._steps_per_graph}")
        torch.manual_seed(job.seed)
        self._job = job
        self._images, self._labels = torch_common.tensors(job, "cuda")
        self._network = torch_common.network(job, "cuda")
        fused = "foreach" if job.optimizer == "nadam" else "fused"
        capturable = {} if job.optimizer == "nesterov" else {"capturable": True}
        self._optimizer = torch_common.optimizer(job, self._network, fused, **capturable)
        self._order = torch.arange(job.samples, device="cuda").view(job.steps, job.batch_size)
        self._done = torch.zeros(1, dtype=torch.long, device="cuda")
        self._total = torch.zeros((), device="cuda")
        self._graph = None

    def _step(self) -> None:
        rows = self._order.index_select(0, self._done).view(-1)
        self._optimizer.zero_grad(set_to_none=True)
        outputs = self._network(self._images.index_select(0, rows))
        labels = self._labels.index_select(0, rows)
        loss = self._torch.nn.functional.cross_entropy(outputs, labels)
        loss.backward()
        self._optimizer.step()
        self._total.add_(loss.detach())
        self._done.add_(1)

    def _captured(self):
        """Steps as a graph; what must not be captured is done before, in steps that count."""
        torch = self._torch
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(min(WARM_UP_STEPS, self._job.steps)):
                self._step()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(self._steps_per_graph):
                self._step()
        return graph

    def epoch(self) -> float:
        """One pass over a fresh permutation."""
        torch, job = self._torch, self._job
        if self._graph is None:
            self._graph = self._captured()
        self._order.copy_(torch.randperm(job.samples, device="cuda").view_as(self._order))
        self._done.zero_()
        self._total.zero_()
        for _ in range(job.steps // self._steps_per_graph):
            self._graph.replay()
        return float(self._total) / job.steps
