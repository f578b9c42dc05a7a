"""What a step of the fit reads and writes beside the network and its optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neural_seg_ros.field.losses import consistency_mask

# What is added to the logits of classes that are not in use: they get neither probability nor gradient.
CLOSED = -1e4


@dataclass
class Buffers:
    """Tensors of B fields of one size on one code; an engine's own, with B = 1, are only ever written in place.

    code       (1, C, H, W) network input, in the numbers that the fields are computed in
    rgb        (B, 3, H, W) float32 in [0, 1], what the RGB head must say
    labels     (B, H, W) int64 channel, read where annotated
    annotated  (B, H, W) bool
    mask       (B, H, W) float32, the mask of the temporal consistency loss
    target     (B, H, W) int64 channel, its target
    closed     (B, K, 1, 1) float32: 0 for classes in use, CLOSED for the others
    total, squared_error  (B,) the total and the RGB loss of the last step
    """

    code: Tensor
    rgb: Tensor
    labels: Tensor
    annotated: Tensor
    mask: Tensor
    target: Tensor
    closed: Tensor
    total: Tensor
    squared_error: Tensor

    @staticmethod
    def empty(code: Tensor, classes: int) -> Buffers:
        """For one field with room for so many ``classes``, on the device of ``code`` (1, C, H, W)."""
        device, pixels = code.device, (1, *code.shape[-2:])
        return Buffers(
            code=code.to(memory_format=torch.channels_last),
            rgb=torch.zeros((1, 3, *code.shape[-2:]), device=device).to(memory_format=torch.channels_last),
            labels=torch.zeros(pixels, dtype=torch.int64, device=device),
            annotated=torch.zeros(pixels, dtype=torch.bool, device=device),
            mask=torch.zeros(pixels, device=device),
            target=torch.zeros(pixels, dtype=torch.int64, device=device),
            closed=torch.full((1, classes, 1, 1), CLOSED, device=device),
            total=torch.zeros(1, device=device),
            squared_error=torch.zeros(1, device=device),
        )

    @staticmethod
    def joined(parts: Sequence[Buffers]) -> Buffers:
        """Copies of the buffers of several fields, with room for the classes of each; one alone is itself."""
        if len(parts) == 1:
            return parts[0]
        classes = max(part.closed.shape[1] for part in parts)
        closed = [
            functional.pad(of.closed, (0, 0, 0, 0, 0, classes - of.closed.shape[1]), value=CLOSED) for of in parts
        ]
        names = ("rgb", "labels", "annotated", "mask", "target", "total", "squared_error")
        tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        return Buffers(code=parts[0].code, closed=torch.cat(closed), **tensors)

    def show(self, image: Tensor) -> None:
        """A new frame (H, W, 3) uint8, on the device."""
        self.rgb.copy_(image.permute(2, 0, 1).float()[None] / 255)

    def annotate(self, labels: Tensor, weights: Tensor, consistency: float) -> None:
        """What must be answered: labels (H, W) int64, read where weights (H, W) float32 > 0; lambda elsewhere.

        Both are on the device.
        """
        self.labels.copy_(labels[None])
        self.mask.copy_(weights[None])
        torch.gt(self.mask, 0, out=self.annotated)
        torch.where(self.annotated, self.labels, self.target, out=self.target)
        consistency_mask(self.mask, consistency, out=self.mask)

    def kept(self) -> dict[str, Tensor]:
        """``{name: tensor}`` of what is more than a copy of the frame."""
        names = ("labels", "annotated", "mask", "target", "total", "squared_error")
        return {name: getattr(self, name) for name in names}
