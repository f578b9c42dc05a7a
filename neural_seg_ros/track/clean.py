"""The pieces of a class's mask that cannot be: far from where it was, specks, or more than one."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# A piece of a class is dropped when it is this share of the class's window away from where the class was, or smaller
# than this share of its largest piece.
FAR, SPECK = 0.15, 0.01


def all_but_one(mask: NDArray[np.bool_], probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The pieces (h, w) of a class's mask but the one with the largest sum of its probability (h, w)."""
    count, ids = cv2.connectedComponents(mask.astype(np.uint8))
    if count <= 2:
        return np.zeros(mask.shape, np.bool_)
    sums = np.bincount(ids.ravel(), (probability * mask).ravel(), minlength=count)
    return np.asarray(mask & (ids != int(sums.argmax())), np.bool_)


def far_or_specks(mask: NDArray[np.bool_], before: NDArray[np.bool_], side: float) -> NDArray[np.bool_]:
    """The pieces (h, w) of a class's mask that are specks, or far from where it was ``before``."""
    count, ids, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count <= 1:
        return np.zeros(mask.shape, np.bool_)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    drop = areas < SPECK * areas.max()
    if before.any():
        away = cv2.distanceTransform((~before).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        near = np.unique(ids[away <= FAR * side])
        far = np.ones(count, np.bool_)
        far[near] = False
        drop |= far
    drop[0] = False
    return np.asarray(drop[ids], np.bool_)
