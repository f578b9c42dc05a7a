"""Soft masks, a share in [0, 1] for each object, and how optical flow moves them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.tracking.pixel_evidence import backward_flow, warped

Shares = NDArray[np.float32]  # (objects, H, W) in [0, 1]


def shares_of(labels: Labels, ids: Sequence[int]) -> Shares:
    """Return 1 where the labels (H, W) are the object, else 0."""
    return np.stack([labels == class_id for class_id in ids]).astype(np.float32)


def labels_of(shares: Shares, ids: Sequence[int]) -> Labels:
    """Return (H, W) uint8: the object with the largest share, background where the rest has more."""
    best = shares.argmax(0)
    left_over = 1 - shares.sum(0)
    return np.where(shares.max(0) > left_over, np.asarray(ids, np.uint8)[best], 0).astype(np.uint8)


class Motion:
    """Dense optical flow between two frames (H, W, 3) uint8 RGB: OpenCV DIS, preset medium, on gray."""

    def __init__(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> None:
        self._before, self._after = before, after

    @cached_property
    def forward(self) -> NDArray[np.float32]:
        """(H, W, 2) pixels right and down from each pixel of ``before`` to where it is in ``after``."""
        return backward_flow(self._after, self._before)

    @cached_property
    def back(self) -> NDArray[np.float32]:
        """(H, W, 2) pixels right and down from each pixel of ``after`` to where it was in ``before``."""
        return backward_flow(self._before, self._after)

    def warped(self, shares: Shares) -> Shares:
        """Warp shares of ``before`` to ``after``; 0 where they would come from outside the frame."""
        return warped(shares, self.back, cv2.BORDER_CONSTANT)
