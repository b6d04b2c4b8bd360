"""PyTorch with the whole step, from picking the rows to the update, as one compiled graph.

The step is written with `torch.func`, because `loss.backward()` breaks the graph: compiled that
way (network alone, or network and optimizer) it was slower here than eager, 970 to 1250 against
790 microseconds at batch 32. `fullgraph=True` proves that nothing breaks.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.job import BETA_1, BETA_2, EPSILON, MOMENTUM, NADAM_DECAY, SLOTS, Job
from benchmarks.peers import torch_common
from benchmarks.peers.base import TrainingSide


class TorchCompiled(TrainingSide):
    """A Python loop over one compiled function per step.

    On a GPU it is compiled with mode "reduce-overhead", which captures CUDA graphs.

    Args:
        cpp_wrapper: Whether Inductor writes the code around its kernels in C++ as well.
        device: "cpu" or "cuda".
        precision: "float32" or "tf32".
    """

    packages = ("torch", "numpy")

    def __init__(
        self, cpp_wrapper: bool = False, device: str = "cpu", precision: str = "float32"
    ) -> None:
        import torch

        self._torch = torch
        self._device = device
        self._options: dict[str, Any] = (
            {"mode": "reduce-overhead"}
            if device == "cuda"
            else {"options": {"cpp_wrapper": cpp_wrapper}}
        )
        torch_common.use(device, precision)
        told = ", ".join(f"{k}={v}" for k, v in self._options.items())
        self.note = f"torch.func, fullgraph, {told}, no accuracy metric"

    def prepare(self, job: Job) -> None:
        """Makes parameters, slots and the step to compile (in the first epoch)."""
        torch, device = self._torch, self._device
        torch.manual_seed(job.seed)
        self._job = job
        self._images, self._labels = torch_common.tensors(job, device)
        network = torch_common.network(job, device)
        parameters = {k: v.detach().clone() for k, v in network.named_parameters()}
        slots = [
            {k: torch.zeros_like(v) for k, v in parameters.items()}
            for _ in range(SLOTS[job.optimizer])
        ]
        # Numbers of all parameters together: steps so far, and the product of Nadam's momenta.
        counts = [torch.zeros((), device=device), torch.ones((), device=device)]
        self._total = torch.zeros((), device=device)
        self._state = (parameters, slots, counts)
        if device == "cuda":
            self._pin()
        self._step = torch.compile(
            _step_function(torch, network, job), fullgraph=True, dynamic=False, **self._options
        )

    def _pin(self) -> None:
        """Promises that no tensor moves: a CUDA graph then needs no copies of its inputs."""
        import torch._dynamo

        parameters, slots, counts = self._state
        values = [tensor for group in (parameters, *slots) for tensor in group.values()]
        for tensor in (*values, *counts, self._total, self._images, self._labels):
            torch._dynamo.mark_static_address(tensor)

    def epoch(self) -> float:
        """One pass over a fresh permutation."""
        torch, job = self._torch, self._job
        self._total.zero_()
        for rows in torch.randperm(job.samples, device=self._device).split(job.batch_size):
            self._step(*self._state, self._total, rows, self._images, self._labels)
        return float(self._total) / job.steps


def _step_function(torch: Any, network: Any, job: Job) -> Callable[..., None]:
    """The step as a function of its tensors; updates all of them in place but the data."""
    functional, func = torch.nn.functional, torch.func
    updated = _update_rule(torch, job)

    def loss_of(parameters, images, labels):
        return functional.cross_entropy(
            func.functional_call(network, parameters, (images,)), labels
        )

    def step(parameters, slots, counts, total, rows, images, labels):
        gradients, loss = func.grad_and_value(loss_of)(
            parameters, images.index_select(0, rows), labels.index_select(0, rows)
        )
        names = list(parameters)
        updated(
            [parameters[n] for n in names],
            [gradients[n] for n in names],
            [[slot[n] for n in names] for slot in slots],
            *counts,
        )
        total.add_(loss)

    return step


def _update_rule(torch: Any, job: Job) -> Callable[..., None]:
    """The optimizer on lists of tensors, in place; foreach calls become few kernels on a GPU."""
    rate = job.learning_rate

    def nesterov(p, g, slots, t, product):
        (m,) = slots
        torch._foreach_mul_(m, MOMENTUM)
        torch._foreach_add_(m, g)
        torch._foreach_add_(p, torch._foreach_add(g, m, alpha=MOMENTUM), alpha=-rate)

    def learn_moments(g, m, v, t):
        t.add_(1)
        torch._foreach_lerp_(m, g, 1 - BETA_1)
        torch._foreach_mul_(v, BETA_2)
        torch._foreach_addcmul_(v, g, g, value=1 - BETA_2)

    def move(p, direction, divisor, eta):
        torch._foreach_add_(divisor, EPSILON)
        change = torch._foreach_div(direction, divisor)
        torch._foreach_mul_(change, eta)
        torch._foreach_sub_(p, change)

    def adam(p, g, slots, t, product):
        m, v = slots
        learn_moments(g, m, v, t)
        eta = rate * torch.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        move(p, m, torch._foreach_sqrt(v), eta)

    def nadam(p, g, slots, t, product):
        m, v = slots
        learn_moments(g, m, v, t)
        now, following = (BETA_1 * (1 - 0.5 * NADAM_DECAY**s) for s in (t, t + 1))
        product.mul_(now)
        of_m, of_g = following / (1 - product * following), (1 - now) / (1 - product)
        direction = torch._foreach_add(torch._foreach_mul(m, of_m), torch._foreach_mul(g, of_g))
        divisor = torch._foreach_sqrt(v)
        torch._foreach_mul_(divisor, torch.rsqrt(1 - BETA_2**t))
        move(p, direction, divisor, torch.full_like(t, rate))

    return {"nesterov": nesterov, "adam": adam, "nadam": nadam}[job.optimizer]
