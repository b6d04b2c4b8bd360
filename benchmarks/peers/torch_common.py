"""What the PyTorch sides share: threads, precision, data as two tensors, network, optimizer."""

import os
from typing import TYPE_CHECKING, Any

from benchmarks.job import BETA_1, BETA_2, EPSILON, MOMENTUM, Job, images_and_labels

if TYPE_CHECKING:
    import torch


def use_threads() -> "tuple[int, int]":
    """Gives PyTorch the threads of this worker; returns (before, now)."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    return before, torch.get_num_threads()


def use(device: str, precision: str) -> None:
    """Sets threads and the precision of float32 products, and checks that the device is there.

    Args:
        device: "cpu" or "cuda".
        precision: "float32" for products in full precision, "tf32" for the GPU's ten-bit ones.

    Raises:
        RuntimeError: If the device is not there.
    """
    import torch

    use_threads()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("PyTorch sees no CUDA device here")


def tensors(job: Job, device: str = "cpu") -> "tuple[torch.Tensor, torch.Tensor]":
    """The data as flat float images (samples, 784) and int64 labels, as PyTorch wants them."""
    import torch

    images, labels = images_and_labels(job)
    return (
        torch.from_numpy(images).flatten(1).to(device),
        torch.from_numpy(labels).long().to(device),
    )


def network(job: Job, device: str = "cpu") -> "torch.nn.Sequential":
    """The network of the job without its softmax, which PyTorch's loss contains."""
    import torch

    activation = {"elu": torch.nn.ELU, "relu": torch.nn.ReLU, "selu": torch.nn.SELU}[job.activation]
    layers: list[torch.nn.Module] = []
    for inputs, units in job.layers:
        linear = torch.nn.Linear(inputs, units)
        torch.nn.init.normal_(linear.weight, std=(job.gain / inputs) ** 0.5)
        torch.nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return torch.nn.Sequential(*layers[:-1]).to(device)


def optimizer(
    job: Job, network: "torch.nn.Module", implementation: str, **options: Any
) -> "torch.optim.Optimizer":
    """The optimizer of the job.

    Args:
        job: The job.
        network: Whose parameters to train.
        implementation: "fused" or "foreach", PyTorch's two fast paths.
        **options: More arguments of the optimizer.

    Raises:
        ValueError: If PyTorch does not have it.
    """
    import torch

    parameters, rate = network.parameters(), job.learning_rate
    path = {implementation: True}
    if job.optimizer == "nesterov":
        return torch.optim.SGD(parameters, rate, momentum=MOMENTUM, nesterov=True, **path)
    betas = {"betas": (BETA_1, BETA_2), "eps": EPSILON}
    if job.optimizer == "adam":
        return torch.optim.Adam(parameters, rate, **betas, **path, **options)
    if implementation == "fused":
        raise ValueError("PyTorch has no fused NAdam")
    # PyTorch's momenta follow 0.96^(ψt); with ψ = 1 they are those of Keras and of ours.
    return torch.optim.NAdam(parameters, rate, **betas, momentum_decay=1.0, **path, **options)
