"""From segmentations to contours, whatever the classes are called (thesis 3.3.2, figure 3.2).

All is differentiable, and permuting the classes of a segmentation changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def differing(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """The probability that neighbours are of different classes: 1 - sum_c p_c(x) p_c(y).

    probabilities: (m, ..., H, W) that sum to 1 over the m classes.
    Returns (..., H, W - 1) of each pixel and the one to the right, and (..., H - 1, W) of it and the one below.
    """
    right = (probabilities[..., :, 1:] * probabilities[..., :, :-1]).sum(0)
    down = (probabilities[..., 1:, :] * probabilities[..., :-1, :]).sum(0)
    return 1 - right, 1 - down


def contour_loss(contours: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor]) -> Tensor:
    """L1 between contours as ``differing`` gives them and a target, averaged over all; a scalar.

    target: broadcast over the leading axes of the contours; no gradient goes into it.
    """
    return torch.stack(
        [(ours - theirs.detach()).abs().mean() for ours, theirs in zip(contours, target, strict=True)]
    ).sum()


def on_pixels(right: Tensor, down: Tensor) -> Tensor:
    """Contours between pixels as a map of pixels: the strongest of the four around each.

    right: (H, W - 1); down: (H - 1, W). Returns (H, W).
    """
    right, down = functional.pad(right, (1, 1)), functional.pad(down, (0, 0, 1, 1))
    return torch.maximum(torch.maximum(right[:, 1:], right[:, :-1]), torch.maximum(down[1:], down[:-1]))


def next_centre(logits: Tensor, centre: Tensor, retention: float) -> Tensor:
    """The running mean of logits over the pixels, r c + (1 - r) mean(z) (thesis 3.3.3; Caron et al. 2021, eq. 4).

    logits: (m, ..., H, W); centre: broadcast with them, (m, ..., 1, 1). Returns the next centre, without a gradient.
    """
    return retention * centre + (1 - retention) * logits.detach().mean((-2, -1), keepdim=True)
