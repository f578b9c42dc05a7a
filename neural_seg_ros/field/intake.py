"""Frames at the size of the field: reduced on the host, or on the device where that is another one."""

from __future__ import annotations

import torch
from torch import Tensor

from neural_seg_ros.field.transfer import Transfer
from neural_seg_ros.image import resize_image


class Intake:
    """Brings frames of any size to height x width on a device.

    On CUDA whole frames are uploaded and averaged there; elsewhere, and where a frame has to grow, ``resize_image``
    does it. The two differ by at most one grey level, where an average is half-way between two.
    """

    def __init__(self, height: int, width: int, device: torch.device, transfer: Transfer) -> None:
        self._shape = (height, width)
        self._device = device
        self._transfer = transfer
        # Of frames of the last size.
        self._weights: tuple[Tensor, Tensor] | None = None

    def take(self, frame: Tensor) -> Tensor:
        """(H, W, 3) uint8 of main memory to (height, width, 3) uint8 on the device."""
        shrinks = all(given >= wanted for given, wanted in zip(frame.shape, self._shape, strict=False))
        if self._device.type == "cuda" and shrinks:
            return self.reduced(self._transfer.upload(frame))
        return self._transfer.upload(torch.from_numpy(resize_image(frame.numpy(), *self._shape)))

    def reduced(self, frame: Tensor) -> Tensor:
        """Of a frame on the device that is nowhere smaller than what it is reduced to."""
        size = tuple(frame.shape[:2])
        if size == self._shape:
            return frame
        if self._weights is None or size != tuple(of.shape[1] for of in self._weights):
            weights = (area_weights(*pair) for pair in zip(size, self._shape, strict=True))
            rows, columns = (self._transfer.upload(of) for of in weights)
            self._weights = rows, columns
        return averaged(frame, *self._weights)


def area_weights(pixels: int, fewer: int) -> Tensor:
    """(fewer, pixels) float32: the share of every pixel in each of the ``fewer`` equal parts of their line."""
    edges = torch.arange(pixels, dtype=torch.float64)
    length = pixels / fewer
    begins = (torch.arange(fewer, dtype=torch.float64) * length)[:, None]
    covered = torch.minimum(begins + length, edges + 1) - torch.maximum(begins, edges)
    return (covered.clamp_min(0) / length).float()


def averaged(frame: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Means over areas: frame (H, W, 3) uint8, rows (h, H), columns (w, W) of ``area_weights``, to (h, w, 3) uint8."""
    height, width, channels = frame.shape
    lines = (rows @ frame.reshape(height, width * channels).float()).view(len(rows), width, channels)
    return (columns @ lines).round().clamp(0, 255).to(torch.uint8)
