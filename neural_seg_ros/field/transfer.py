"""Transfers between main memory and device, and the downscaling of frames there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neural_seg_ros.images.arrays import resize_image


@dataclass(frozen=True)
class Fetched:
    """Tensors on their way to main memory; steps made meanwhile do not change them."""

    _tensors: tuple[Tensor, ...]
    _arrived: torch.cuda.Event | None

    def wait(self) -> tuple[Tensor, ...]:
        """Return the tensors in main memory, once they are there."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._tensors


class Transfer:
    """The copies to and from one device.

    On CUDA each direction has a stream of its own, and pinned memory, which torch keeps for the next copy. Uploads do
    not wait for earlier steps, and only the reader waits for a copy. On a CPU nothing is copied.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._up, self._down = (_stream(device) for _ in range(2))

    def upload(self, tensor: Tensor) -> Tensor:
        """Copy a tensor of main memory to the device, before later work there."""
        if self._up is None or tensor.is_cuda:
            return tensor
        with torch.cuda.stream(self._up):
            there = tensor.pin_memory().to(self._device, non_blocking=True)
        steps = torch.cuda.current_stream(self._device)
        steps.wait_stream(self._up)
        there.record_stream(steps)
        return there

    def fetch(self, *tensors: Tensor) -> Fetched:
        """Start to copy tensors of the device, as they are after the work requested before.

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


class FrameDownscaler:
    """A resizer of frames of any size to height x width on a device.

    On CUDA whole frames are uploaded and averaged there; elsewhere, and where a frame has to grow, ``resize_image``
    does it. The two differ by at most one gray level, where an average is half-way between two.
    """

    def __init__(self, height: int, width: int, device: torch.device, transfer: Transfer) -> None:
        self._shape = (height, width)
        self._device = device
        self._transfer = transfer
        # Weights of the rows and columns for frames of the last size.
        self._weights: tuple[Tensor, Tensor] | None = None

    def take(self, frame: Tensor) -> Tensor:
        """Resize a frame (H, W, 3) uint8 in main memory to (height, width, 3) uint8 on the device."""
        shrinks = all(given >= wanted for given, wanted in zip(frame.shape, self._shape, strict=False))
        if self._device.type == "cuda" and shrinks:
            return self.reduced(self._transfer.upload(frame))
        return self._transfer.upload(torch.from_numpy(resize_image(frame.numpy(), *self._shape)))

    def reduced(self, frame: Tensor) -> Tensor:
        """Reduce a frame on the device that is on no side smaller than the target."""
        size = tuple(frame.shape[:2])
        if size == self._shape:
            return frame
        if self._weights is None or size != tuple(of.shape[1] for of in self._weights):
            weights = (area_weights(*pair) for pair in zip(size, self._shape, strict=True))
            rows, columns = (self._transfer.upload(of) for of in weights)
            self._weights = rows, columns
        return averaged(frame, *self._weights)


def area_weights(pixels: int, fewer: int) -> Tensor:
    """Return (fewer, pixels) float32: the share of every pixel in each of the ``fewer`` equal parts of their line."""
    edges = torch.arange(pixels, dtype=torch.float64)
    length = pixels / fewer
    begins = (torch.arange(fewer, dtype=torch.float64) * length)[:, None]
    covered = torch.minimum(begins + length, edges + 1) - torch.maximum(begins, edges)
    return (covered.clamp_min(0) / length).float()


def averaged(frame: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Average areas: frame (H, W, 3) uint8 with ``area_weights`` rows (h, H), columns (w, W), to (h, w, 3) uint8."""
    height, width, channels = frame.shape
    lines = (rows @ frame.reshape(height, width * channels).float()).view(len(rows), width, channels)
    return (columns @ lines).round().clamp(0, 255).to(torch.uint8)
