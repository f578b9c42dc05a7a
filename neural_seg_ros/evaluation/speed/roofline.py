"""The roofline of a step: its cost, and the peaks of the device (Williams et al. 2009)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

# Of this many tries the fastest is the peak.
TRIES = 8
# Sides of the matrices that are multiplied, and numbers that are copied: large enough for the peak of such a device.
GEMM_SIDE = {"cpu": 1024, "cuda": 8192}
COPIED = {"cpu": 2**24, "cuda": 2**28}


@dataclass(frozen=True)
class Cost:
    """The cost of one step: floating point operations (a multiply-add is two), and numbers moved by convolutions."""

    flops: int
    numbers: int


@dataclass(frozen=True)
class Peaks:
    """The peaks of a device: operations a second of a matrix product, bytes a second of a copy."""

    flops: float
    bandwidth: float


@dataclass(frozen=True)
class Roofline:
    """The least time of a step, of the network as it is written, beside the measured one.

    numbers       dtype of the computation: float32 or bfloat16
    gflop         10^9 operations a step
    megabytes     10^6 bytes a step that convolutions read or write, as if none stayed in a cache
    tflops, gb_s  peaks of the device: 10^12 operations and 10^9 bytes a second
    roofline_ms   max(operations / peak, bytes / bandwidth), milliseconds
    step_ms       measured, milliseconds
    share         roofline_ms / step_ms; above 1 where caches move the bytes
    """

    numbers: str
    gflop: float
    megabytes: float
    tflops: float
    gb_s: float
    roofline_ms: float
    step_ms: float
    share: float


class _Moved(TorchDispatchMode):
    """A counter of the numbers that convolutions move."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.numbers += _numels(args[0], args[1], out)
        elif func is torch.ops.aten.convolution_backward.default:
            # One pass for each of the two gradients that is wanted.
            self.numbers += _numels(*args[:3]) * sum(gradient is not None for gradient in out[:2])
        return out


def _numels(*tensors: Tensor) -> int:
    return sum(tensor.numel() for tensor in tensors)


def step_cost(step: Callable[[], object]) -> Cost:
    """Count the cost of ``step``, which is made once.

    A convolution reads its input and weights and writes its output; so does each of the gradients, of its weights and
    of its input where that needs one, with the roles exchanged.
    """
    with FlopCounterMode(display=False) as counter, _Moved() as moved:
        step()
    return Cost(counter.get_total_flops(), moved.numbers)


def measure_peaks(device: torch.device, numbers: torch.dtype) -> Peaks:
    """Measure the peaks of ``device`` in float32 or bfloat16, with as many threads as torch has now."""
    side, copied = GEMM_SIDE[device.type], COPIED[device.type]
    left, right, product = (torch.ones((side, side), dtype=numbers, device=device) for _ in range(3))
    source = torch.ones(copied, dtype=numbers, device=device)
    target = torch.empty_like(source)
    with _products_as_convolutions():
        multiply = _fastest(partial(torch.mm, left, right, out=product), device)
    copy = _fastest(partial(target.copy_, source), device)
    return Peaks(2 * side**3 / multiply, 2 * copied * numbers.itemsize / copy)


def roofline(cost: Cost, peaks: Peaks, numbers: torch.dtype, step_ms: float) -> Roofline:
    """Compare a step of ``cost`` in ``numbers`` that took ``step_ms`` milliseconds with the peaks."""
    moved = cost.numbers * numbers.itemsize
    least_ms = 1e3 * max(cost.flops / peaks.flops, moved / peaks.bandwidth)
    return Roofline(
        numbers=str(numbers).removeprefix("torch."),
        gflop=cost.flops / 1e9,
        megabytes=moved / 1e6,
        tflops=peaks.flops / 1e12,
        gb_s=peaks.bandwidth / 1e9,
        roofline_ms=least_ms,
        step_ms=step_ms,
        share=least_ms / step_ms,
    )


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Measure the seconds from the call of ``run`` until the device has finished."""
    wait_for(device)
    started = time.perf_counter()
    run()
    wait_for(device)
    return time.perf_counter() - started


def wait_for(device: torch.device) -> None:
    """Return when the device has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _fastest(run: Callable[[], object], device: torch.device) -> float:
    return min(seconds_of(run, device) for _ in range(TRIES))


@contextmanager
def _products_as_convolutions() -> Iterator[None]:
    """Let matrix products on CUDA round float32 as torch lets convolutions: to TF32, unless told otherwise."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
