"""Contours a pixel wide: oriented non-maximum suppression (Canny 1986), along the normal of the ridges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

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
    """Return the ridges of a map (H, W) float32 >= 0: what is highest among its neighbours across; 0 elsewhere."""
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
