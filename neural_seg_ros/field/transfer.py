"""Copies between main memory and the device of a field, beside the steps that are being made there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Fetched:
    """Tensors on their way to main memory; steps that are made meanwhile do not change them."""

    _tensors: tuple[Tensor, ...]
    _arrived: torch.cuda.Event | None

    def wait(self) -> tuple[Tensor, ...]:
        """The tensors in main memory, once they are there."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._tensors


class Transfer:
    """Copies to and from one device.

    On CUDA each direction has a stream of its own, and pinned memory, which torch keeps for the next copy. Uploads do
    not wait for steps that were asked for before, and nobody waits for a copy but who reads it. On a CPU nothing is
    copied.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._up, self._down = (_stream(device) for _ in range(2))

    def upload(self, tensor: Tensor) -> Tensor:
        """A tensor of main memory on the device, for what is asked of the device from now on."""
        if self._up is None or tensor.is_cuda:
            return tensor
        with torch.cuda.stream(self._up):
            there = tensor.pin_memory().to(self._device, non_blocking=True)
        steps = torch.cuda.current_stream(self._device)
        steps.wait_stream(self._up)
        there.record_stream(steps)
        return there

    def fetch(self, *tensors: Tensor) -> Fetched:
        """Begin to copy tensors of the device, as they will be once what was asked before is done.

        They must not be written to afterwards.
        """
        if self._down is None:
            return Fetched(tensors, None)
        self._down.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._down):
            here = tuple(torch.empty(of.shape, dtype=of.dtype, pin_memory=True) for of in tensors)
            for copy, of in zip(here, tensors, strict=True):
                copy.copy_(of, non_blocking=True)
                of.record_stream(self._down)
            return Fetched(here, self._down.record_event())


def _stream(device: torch.device) -> torch.cuda.Stream | None:
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
