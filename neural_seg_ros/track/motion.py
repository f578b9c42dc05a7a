"""How the scene moved between two frames, and an answer moved along with it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# There and back again may end so far off: a share of the frame's longer side, and one of the way.
OFF, OFF_SHARE = 0.0035, 0.05


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


def doubt(flow: NDArray[np.float32], forward: NDArray[np.float32]) -> NDArray[np.float32]:
    """How little a backward flow (h, w, 2) is to be relied on, (h, w) in [0, 1]: the share of pixels around each from
    which there and back again, by the forward flow from frame to frame, leads elsewhere. What was hidden is among them.
    """
    there = np.moveaxis(warped(np.moveaxis(forward, -1, 0), flow), 0, -1)
    off, long = (np.hypot(vectors[..., 0], vectors[..., 1]) for vectors in (flow + there, flow))
    lost = off > OFF * max(flow.shape[:2]) + OFF_SHARE * long
    return np.asarray(cv2.blur(lost.astype(np.float32), (3, 3)), np.float32)


def moved(
    probabilities: NDArray[np.float32], flow: NDArray[np.float32], doubted: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Class probabilities (C, h, w) of the frame before, at their places in this one; they sum to 1 over C.

    doubted: (h, w), how far any class is as likely there as any other.
    """
    out = warped(probabilities, flow)
    out /= out.sum(0)
    out += doubted * (np.float32(1 / len(out)) - out)
    return out
