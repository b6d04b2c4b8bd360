"""The floor: the time below which no training step of this network can be expected to go.

    floor = matrix products of one step, by the best BLAS at hand
          + bytes of parameters and optimizer state, each read and written once / memory bandwidth

Both parts are measured in the same rounds as the sides they are compared with. The products run
on one warm set of buffers, so they are a true lower bound; the second part charges main-memory
speed, although a network this small may stay in a cache, so a step *can* come a little below the
sum where it stays there.
"""

import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from benchmarks.job import SLOTS, Job
from benchmarks.peers import torch_common
from benchmarks.peers.base import Side

LAYOUTS = ("inputs-units", "units-inputs")
BANDWIDTH_BYTES = 256 * 2**20
PRODUCTS = "products_seconds_per_step"
BANDWIDTH = "bandwidth_bytes_per_second"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Product:
    """The shapes of one product `left @ right`, and whether an operand is read transposed."""

    left: tuple[int, int]
    right: tuple[int, int]
    left_transposed: bool = False
    right_transposed: bool = False


def products_of_a_step(job: Job, layout: str) -> list[Product]:
    """The products of a step: for each layer forward, weight gradient and input gradient.

    The first layer has no input gradient. Shapes are of the stored arrays, before transposing.

    Args:
        job: Whose layers and batch.
        layout: How a kernel is stored, "inputs-units" (Keras) or "units-inputs" (PyTorch).
    """
    swapped = layout == "units-inputs"
    products = []
    batch = job.batch_size
    for index, (i, o) in enumerate(job.layers):
        kernel = (o, i) if swapped else (i, o)
        x, d = (batch, i), (batch, o)
        products.append(Product(left=x, right=kernel, right_transposed=swapped))
        gradient = (d, x) if swapped else (x, d)
        products.append(Product(left=gradient[0], right=gradient[1], left_transposed=True))
        if index > 0:
            products.append(Product(left=d, right=kernel, right_transposed=not swapped))
    return products


class _FloorSide(Side):
    """Measures products in both layouts and bandwidth with the kernels of one library."""

    def prepare(self, job: Job) -> None:
        """Allocates all operands and outputs."""
        self._job = job
        self._calls = {
            layout: [self._bind(p) for p in products_of_a_step(job, layout)] for layout in LAYOUTS
        }
        self._kernels = self._bandwidth_kernels()
        self.note = self._library()

    def _library(self) -> str:
        """The library behind the products, and which of its kernels it takes on this processor."""
        raise NotImplementedError

    def _bind(self, product: Product) -> Callable[[], Any]:
        """The product as a call on buffers of its own, output included."""
        left, right = self._random(product.left), self._random(product.right)
        left = left.T if product.left_transposed else left
        right = right.T if product.right_transposed else right
        return self._product(left, right, self._random((left.shape[0], right.shape[1])))

    def _random(self, shape: tuple[int, int]) -> Any:
        raise NotImplementedError

    def _product(self, left: Any, right: Any, out: Any) -> Callable[[], Any]:
        raise NotImplementedError

    def _bandwidth_kernels(self) -> Mapping[str, Callable[[], Any]]:
        """Kernels by name; each reads `BANDWIDTH_BYTES` and writes as many."""
        raise NotImplementedError

    def measure(self, epochs: int) -> dict[str, float]:
        """Times a whole epoch's products in each layout, then each bandwidth kernel."""
        measures = {
            f"{PRODUCTS}/{layout}": _seconds_per_step(calls, self._job.steps)
            for layout, calls in self._calls.items()
        }
        for name, kernel in self._kernels.items():
            measures[f"{BANDWIDTH}/{name}"] = 2 * BANDWIDTH_BYTES / _best_seconds(kernel)
        return measures


def _seconds_per_step(calls: Sequence[Callable[[], Any]], steps: int) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        for call in calls:
            call()
    return (time.perf_counter() - start) / steps


def _best_seconds(kernel: Callable[[], Any], repeats: int = 3) -> float:
    """The fastest of a few runs, as is usual for bandwidth: interruptions only ever slow it."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        kernel()
        times.append(time.perf_counter() - start)
    return min(times)


@contextlib.contextmanager
def _printed() -> Iterator[list[str]]:
    """Collects what C code prints in it."""
    lines: list[str] = []
    with tempfile.TemporaryFile("w+") as file:
        kept = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield lines
        finally:
            os.dup2(kept, 1)
            os.close(kept)
            file.seek(0)
            lines.extend(file.read().splitlines())


class NumpyFloor(_FloorSide):
    """NumPy's BLAS (OpenBLAS in its wheels), threads set by the worker's environment."""

    packages = ("numpy", "threadpoolctl")

    def __init__(self) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=0))

    def _random(self, shape: tuple[int, int]) -> np.ndarray:
        return self._generator.random(shape, dtype=np.float32)

    def _product(self, left: Any, right: Any, out: Any) -> Callable[[], Any]:
        return lambda: np.matmul(left, right, out=out)

    def _library(self) -> str:
        import threadpoolctl

        found = [i for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas"]
        return ", ".join(
            f"{i['internal_api']} {i['version']}, kernels for {i.get('architecture', 'unknown')}"
            for i in found
        )

    def _bandwidth_kernels(self) -> Mapping[str, Callable[[], Any]]:
        source = np.ones(BANDWIDTH_BYTES // 4, np.float32)
        target = np.ones_like(source)
        one = np.float32(1.0)
        return {
            "copy": lambda: np.copyto(target, source),
            "multiply in place": lambda: np.multiply(source, one, out=source),
        }


class TorchFloor(_FloorSide):
    """PyTorch's BLAS (MKL in its wheels) and its threaded element-wise kernels."""

    packages = ("torch", "numpy")

    def __init__(self) -> None:
        import torch

        self._torch = torch
        torch_common.use("cpu", "float32")
        torch.manual_seed(0)

    def _random(self, shape: tuple[int, int]) -> Any:
        return self._torch.rand(shape)

    def _product(self, left: Any, right: Any, out: Any) -> Callable[[], Any]:
        return lambda: self._torch.mm(left, right, out=out)

    def _library(self) -> str:
        if not self._torch.backends.mkl.is_available():
            return "PyTorch without MKL"
        with _printed() as lines, self._torch.backends.mkl.verbose(1):
            self._torch.mm(self._torch.ones(8, 8), self._torch.ones(8, 8))
        # The first line names the library and the processors whose kernels it takes.
        return next((line.split(", Lnx")[0] for line in lines if "MKL" in line), "MKL")

    def _bandwidth_kernels(self) -> Mapping[str, Callable[[], Any]]:
        source = self._torch.ones(BANDWIDTH_BYTES // 4)
        target = self._torch.ones_like(source)
        return {
            "copy": lambda: target.copy_(source),
            "multiply in place": lambda: source.mul_(1.0),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Floor:
    """The floor and its parts.

    Args:
        products_microseconds: Matrix products of one step, best candidate.
        products_by: That candidate: library, threads, layout.
        moved_bytes: Bytes of parameters and optimizer slots, read once and written once.
        bandwidth_bytes_per_second: Bytes read plus bytes written per second, best kernel.
        bandwidth_by: That kernel.
        candidates: Every candidate's raw measurements, by name.
    """

    products_microseconds: float
    products_by: str
    moved_bytes: int
    bandwidth_bytes_per_second: float
    bandwidth_by: str
    candidates: Mapping[str, Sequence[float]]

    @property
    def traffic_microseconds(self) -> float:
        """Time to move the state once through memory."""
        return 1e6 * self.moved_bytes / self.bandwidth_bytes_per_second

    @property
    def microseconds(self) -> float:
        """The floor itself."""
        return self.products_microseconds + self.traffic_microseconds

    def record(self) -> dict[str, Any]:
        """The floor as the JSON record keeps it."""
        return {
            "microseconds_per_step": self.microseconds,
            "traffic_microseconds": self.traffic_microseconds,
            **dataclasses.asdict(self),
        }


def assemble(job: Job, candidates: Mapping[str, Sequence[float]]) -> Floor | None:
    """Builds the floor from the raw measurements: medians over rounds, then the best candidate.

    Args:
        job: What they were measured on.
        candidates: "side, threads: measure/variant" → one value per round.

    Returns:
        The floor, or None when nothing measured it.
    """
    products = _medians(candidates, PRODUCTS)
    bandwidths = _medians(candidates, BANDWIDTH)
    if not products or not bandwidths:
        return None
    fastest, widest = (
        min(products, key=products.__getitem__),
        max(bandwidths, key=bandwidths.__getitem__),
    )
    return Floor(
        products_microseconds=1e6 * products[fastest],
        products_by=_without_measure(fastest),
        moved_bytes=job.parameters * (1 + SLOTS[job.optimizer]) * 4 * 2,
        bandwidth_bytes_per_second=bandwidths[widest],
        bandwidth_by=_without_measure(widest),
        candidates={name: list(values) for name, values in candidates.items()},
    )


def _medians(candidates: Mapping[str, Iterable[float]], measure: str) -> dict[str, float]:
    return {name: median(values) for name, values in candidates.items() if measure in name}


def _without_measure(name: str) -> str:
    """'floor-torch, 2 threads: products…/inputs-units' → 'floor-torch, 2 threads, inputs-units'."""
    side, variant = name.split(": ", 1)
    return f"{side}, {variant.split('/', 1)[1]}"
