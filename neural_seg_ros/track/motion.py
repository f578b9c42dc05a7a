"""How the scene moved between two frames, and an answer moved along with it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def backward_flow(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where every pixel of ``now`` was in ``before``: displacements (h, w, 2) in pixels, x and y.

    before, now: (h, w, 3) uint8 RGB of one size. Dense optical flow by inverse search (DIS, Kroeger et al. 2016).
    """
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (now, before)]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(flow.calc(grey[0], grey[1], None), np.float32)


def warped(
    channels: NDArray[np.float32], flow: NDArray[np.float32], border: int = cv2.BORDER_REPLICATE
) -> NDArray[np.float32]:
    """Channels (C, h, w) of the frame before, at their places in this one; ``border``: an OpenCV border type."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = x + flow[..., 0], y + flow[..., 1]
    return np.stack([cv2.remap(channel, x, y, cv2.INTER_LINEAR, borderMode=border) for channel in channels])


def moved(probabilities: NDArray[np.float32], flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Class probabilities (C, h, w) of the frame before, at their places in this one; they sum to 1 over C."""
    out = warped(probabilities, flow)
    out /= out.sum(0)
    return out
