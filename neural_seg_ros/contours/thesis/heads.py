"""Segmentation heads on the features of a field: many hypotheses, and the contours that they agree on (thesis 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Heads(nn.Module):
    """N linear heads of m classes, computed as one 1x1 convolution; f_H in the thesis, f_H' with N = 1."""

    def __init__(self, features: int, heads: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, heads, features) / features**0.5)
        self.bias = nn.Parameter(torch.zeros(classes, heads))

    def forward(self, features: Tensor) -> Tensor:
        """Return (F, H, W) to logits (m, N, H, W), in the numbers of the features."""
        weight, bias = self.weight.to(features.dtype), self.bias.to(features.dtype)
        logits = functional.conv2d(features[None], weight.flatten(0, 1)[..., None, None], bias.flatten())
        return logits.view(*self.bias.shape, *features.shape[1:])


def random_pins(heads: int, classes: int, pixels: int) -> Tensor:
    """Return (m, N) int64: for each head m different pixels, one a class (thesis 3.3.2)."""
    return torch.stack([torch.randperm(pixels)[:classes] for _ in range(heads)], dim=1)


def pin_loss(heads: Heads, features: Tensor, pins: Tensor) -> Tensor:
    """Compute the cross-entropy of every head at its own pins, averaged; a scalar.

    features: (F, H, W); pins: (m, N), the pixel of class c of head n.
    """
    seen = features.flatten(1)[:, pins]
    # The logit of class d of head n at the pin of class c.
    logits = torch.einsum("dnf,fcn->ncd", heads.weight, seen) + heads.bias.T[:, None]
    count, classes = logits.shape[:2]
    wanted = torch.arange(classes, device=logits.device).repeat(count)
    return functional.cross_entropy(logits.flatten(0, 1), wanted)
