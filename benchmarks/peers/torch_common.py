"""What the PyTorch sides share: threads, data as two tensors, and the network."""

import itertools
import os
from typing import TYPE_CHECKING

from benchmarks.job import WIDTHS, Job, images_and_labels

if TYPE_CHECKING:
    import torch


def use_threads() -> "tuple[int, int]":
    """Gives PyTorch the threads of this worker; returns (before, now)."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    return before, torch.get_num_threads()


def tensors(job: Job) -> "tuple[torch.Tensor, torch.Tensor]":
    """The data as flat float images (samples, 784) and int64 labels, as PyTorch wants them."""
    import torch

    images, labels = images_and_labels(job)
    return torch.from_numpy(images).flatten(1), torch.from_numpy(labels).long()


def network() -> "torch.nn.Sequential":
    """The network of the job without its softmax, which PyTorch's loss contains."""
    import torch

    layers: list[torch.nn.Module] = []
    for inputs, units in itertools.pairwise(WIDTHS):
        linear = torch.nn.Linear(inputs, units)
        torch.nn.init.kaiming_normal_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
        layers += [linear, torch.nn.ELU()]
    return torch.nn.Sequential(*layers[:-1])
