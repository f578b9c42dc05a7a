"""What a step of the fit reads and writes beside the network and its optimiser."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neural_seg_ros.field.losses import consistency_mask

# What is added to the logits of classes that are not in use: they get neither probability nor gradient.
CLOSED = -1e4


@dataclass
class Buffers:
    """Tensors of B fields of one size on one code, allocated once and only ever written in place.

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
    def empty(code: Tensor, count: int, classes: int) -> Buffers:
        """For ``count`` fields with room for so many ``classes``, on the device of ``code`` (1, C, H, W)."""
        device, pixels = code.device, (count, *code.shape[-2:])
        return Buffers(
            code=code.to(memory_format=torch.channels_last),
            rgb=torch.zeros((count, 3, *code.shape[-2:]), device=device).to(memory_format=torch.channels_last),
            labels=torch.zeros(pixels, dtype=torch.int64, device=device),
            annotated=torch.zeros(pixels, dtype=torch.bool, device=device),
            mask=torch.zeros(pixels, device=device),
            target=torch.zeros(pixels, dtype=torch.int64, device=device),
            closed=torch.full((count, classes, 1, 1), CLOSED, device=device),
            total=torch.zeros(count, device=device),
            squared_error=torch.zeros(count, device=device),
        )

    def show(self, index: int, image: Tensor) -> None:
        """A new frame (H, W, 3) uint8 for a field."""
        self.rgb[index].copy_(_uploaded(image, self.rgb.device).permute(2, 0, 1).float() / 255)

    def annotate(self, index: int, labels: Tensor, weights: Tensor, consistency: float) -> None:
        """What a field must answer: labels (H, W) int64, read where weights (H, W) float32 > 0; lambda elsewhere."""
        annotated, mask, target = self.annotated[index], self.mask[index], self.target[index]
        self.labels[index].copy_(_uploaded(labels, mask.device))
        mask.copy_(_uploaded(weights, mask.device))
        torch.gt(mask, 0, out=annotated)
        torch.where(annotated, self.labels[index], target, out=target)
        consistency_mask(mask, consistency, out=mask)

    def kept(self) -> dict[str, Tensor]:
        """``{name: tensor}`` of what is more than a copy of the frame."""
        names = ("labels", "annotated", "mask", "target", "total", "squared_error")
        return {name: getattr(self, name) for name in names}


def _uploaded(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of main memory on the device, without waiting for the steps before it."""
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
