"""How the scene moved between two frames, and an answer moved along with it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


class Motion:
    """Dense optical flow by inverse search (DIS, Kroeger et al. 2016)."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]

    def backward(self, before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Where every pixel of ``now`` was in ``before``: displacements (h, w, 2) in pixels, x and y.

        before, now: (h, w, 3) uint8 RGB of one size.
        """
        grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (now, before)]
        return np.asarray(self._flow.calc(grey[0], grey[1], None), np.float32)


def moved(probabilities: NDArray[np.float32], flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Class probabilities (C, h, w) of the frame before, at their places in this one; they sum to 1 over C."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = x + flow[..., 0], y + flow[..., 1]
    out = np.stack([cv2.remap(p, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for p in probabilities])
    out /= out.sum(0)
    return out
