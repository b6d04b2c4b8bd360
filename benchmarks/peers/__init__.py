"""The sides of the training-step comparison: a table of who they are and how each is started.

Ours, one reference, the peers and the sides that measure the floor. Each runs in a process of its
own; a side with several `threads` runs once for each and reports the better.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from benchmarks.job import OPTIMIZERS, OptimizerName

ALL = 0
"""Stands for all the cores of the machine in `Spec.threads`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """How one side is named, started and judged.

    Args:
        name: What `--peers` and the record call it.
        label: What the table calls it.
        kind: Ours, a peer, a reference (shown, not judged) or a part of the floor.
        target: "module:Class" of the `Side`.
        options: Keyword arguments of that class.
        threads: Thread counts to try; `ALL` is every core.
        environment: Variables of the worker's environment.
        optimizers: What it is measured with. A form of a peer that is never its fastest is
            measured once.
        least_ratio: Goal P2: how many times our step time this side should take.
    """

    name: str
    label: str
    kind: Literal["ours", "peer", "reference", "floor"] = "peer"
    target: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    threads: tuple[int, ...] = (ALL,)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    optimizers: tuple[OptimizerName, ...] = OPTIMIZERS
    least_ratio: float = 1.0


def _keras(
    backend: str,
    suffix: str = "",
    /,
    *,
    least_ratio: float,
    optimizers: tuple[OptimizerName, ...] = OPTIMIZERS,
    **options: Any,
) -> Spec:
    """A Keras side: the backend is chosen by the environment, before Keras is imported."""
    shown = "".join(f", {key}={value}" for key, value in options.items())
    return Spec(
        name=f"keras-{backend}{suffix}",
        label=f"Keras on {backend}{shown}",
        target="benchmarks.peers.keras_peer:KerasPeer",
        options=options,
        environment={"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        optimizers=optimizers,
        least_ratio=least_ratio,
    )


_EAGER = "benchmarks.peers.torch_eager:TorchEager"
_COMPILED = "benchmarks.peers.torch_compiled:TorchCompiled"

SPECS = (
    Spec(
        name="evenkeel",
        label="evenkeel",
        kind="ours",
        target="benchmarks.peers.evenkeel_side:EvenkeelSide",
        environment={"TERM": "xterm"},
    ),
    Spec(
        name="jax-scan",
        label="bare jax.lax.scan (reference)",
        kind="reference",
        target="benchmarks.peers.jax_scan:JaxScan",
    ),
    _keras("jax", least_ratio=1.3),
    _keras("jax", "-32-steps", least_ratio=1.3, steps_per_execution=32),
    _keras("tensorflow", least_ratio=5.0, optimizers=("nesterov",)),
    _keras("tensorflow", "-xla", least_ratio=5.0, jit_compile=True),
    _keras("torch", least_ratio=1.0, optimizers=("nesterov",)),
    Spec(
        name="torch-eager-fused",
        label="PyTorch eager, fused optimizer",
        target=_EAGER,
        options={"implementation": "fused"},
        threads=(ALL, 1),
        optimizers=("nesterov", "adam"),
    ),
    Spec(
        name="torch-eager-foreach",
        label="PyTorch eager, foreach optimizer",
        target=_EAGER,
        options={"implementation": "foreach"},
        threads=(ALL, 1),
        optimizers=("nesterov", "nadam"),
    ),
    Spec(
        name="torch-compiled",
        label="PyTorch, torch.compile",
        target=_COMPILED,
        options={"cpp_wrapper": False},
        threads=(ALL, 1),
        least_ratio=1.6,
    ),
    Spec(
        name="torch-compiled-cpp",
        label="PyTorch, torch.compile, cpp_wrapper",
        target=_COMPILED,
        options={"cpp_wrapper": True},
        threads=(ALL, 1),
        optimizers=("nesterov",),
        least_ratio=1.6,
    ),
    Spec(
        name="sklearn",
        label="scikit-learn MLPClassifier (tanh)",
        target="benchmarks.peers.sklearn_mlp:SklearnMLP",
        threads=(ALL, 1),
        optimizers=("nesterov", "adam"),
        least_ratio=2.0,
    ),
    Spec(
        name="floor-numpy",
        label="NumPy's BLAS",
        kind="floor",
        target="benchmarks.floor:NumpyFloor",
        threads=(ALL, 1),
    ),
    Spec(
        name="floor-torch",
        label="PyTorch's BLAS",
        kind="floor",
        target="benchmarks.floor:TorchFloor",
        threads=(ALL, 1),
    ),
)
