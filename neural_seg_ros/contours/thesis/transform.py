"""From segmentations to contours, whatever the classes are called (thesis 3.3.2, figure 3.2).

All is differentiable, and permuting the classes of a segmentation changes nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Map = NDArray[np.float32]
Window = tuple[float, float, float, float]


def differing(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probability that neighbors are of different classes: 1 - sum_c p_c(x) p_c(y).

    probabilities: (m, ..., H, W) that sum to 1 over the m classes.
    Returns (..., H, W - 1) of each pixel and the one to the right, and (..., H - 1, W) of it and the one below.
    """
    right = (probabilities[..., :, 1:] * probabilities[..., :, :-1]).sum(0)
    down = (probabilities[..., 1:, :] * probabilities[..., :-1, :]).sum(0)
    return 1 - right, 1 - down


def differing_pairs(first: Tensor, second: Tensor) -> Tensor:
    """Return the same of any pairs: of probabilities (m, ..., P) at their two ends, (..., P)."""
    return 1 - (first * second).sum(0)


def contour_loss(contours: Tensor, target: Tensor) -> Tensor:
    """Compute the L1 distance of contours to a target, averaged over all; a scalar.

    target: broadcast over the leading axes of the contours; no gradient goes into it.
    """
    return (contours - target.detach()).abs().mean()


def drawn(right: NDArray[np.float32], down: NDArray[np.float32], window: Window, shape: tuple[int, int]) -> Map:
    """Draw contours between pixels as a map (height, width) = ``shape`` of a window of the image.

    right: (H, W - 1) float32, whose values lie half a pixel right of their pixels; down: (H - 1, W), half below;
    window: left, top, width and height in pixels. Returns the root mean square of both, interpolated where they lie.
    """
    height, width = shape
    left, top, across, along = window
    x = (np.arange(width, dtype=np.float32) + 0.5) * across / width - 0.5 + left
    y = (np.arange(height, dtype=np.float32) + 0.5) * along / height - 0.5 + top
    columns, rows = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    both = [
        cv2.remap(values, columns - dx, rows - dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).clip(0, 1)
        for values, dx, dy in ((right, 0.5, 0.0), (down, 0.0, 0.5))
    ]
    return np.asarray(np.hypot(*both) / np.sqrt(2), np.float32)


def next_center(logits: Tensor, center: Tensor, retention: float) -> Tensor:
    """Update the running mean of logits over the pixels, r c + (1 - r) mean(z) (thesis 3.3.3; Caron et al. 2021).

    logits: (m, ..., H, W); center: broadcast with them, (m, ..., 1, 1). Returns the next center, without a gradient.
    """
    return retention * center + (1 - retention) * logits.detach().mean((-2, -1), keepdim=True)


# Gaussian in pixels over which the direction of a ridge is found.
RIDGE = 2.0
# Normals point to this side, in radians, so that of two equal pixels across a border the same one is kept all along it;
# they turn round at a direction that is rare in images.
SIDE = 1.0


def normals(strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the angle across the contour at each pixel of a map (H, W) float32: (H, W) float32 in SIDE +- pi / 2.

    The eigenvector of the Hessian of the smoothed map with the lower eigenvalue: where it falls most.
    """
    smooth = cv2.GaussianBlur(strength, (0, 0), RIDGE, borderType=cv2.BORDER_REFLECT)
    xx, yy, xy = (
        cv2.Sobel(smooth, cv2.CV_32F, dx, dy, ksize=3, borderType=cv2.BORDER_REFLECT)
        for dx, dy in ((2, 0), (0, 2), (1, 1))
    )
    across = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    return np.asarray((across - SIDE + np.pi / 2) % np.pi + SIDE - np.pi / 2, np.float32)


def suppressed(strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the ridges of a map (H, W) float32 >= 0: maxima across the direction of the contour; 0 elsewhere."""
    angle = normals(strength)
    height, width = strength.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    before, after = (
        cv2.remap(
            strength,
            x + np.float32(step) * np.cos(angle),
            y + np.float32(step) * np.sin(angle),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        for step in (-1, 1)
    )
    return np.where((strength > before) & (strength >= after), strength, 0).astype(np.float32)
