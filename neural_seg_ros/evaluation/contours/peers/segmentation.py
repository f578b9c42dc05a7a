"""Helpers of the peers that find segments: their boundaries as contours, and small pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label
from skimage.morphology import thin

from neural_seg_ros.contours.detected import Contours
from neural_seg_ros.evaluation.contours.images import borders_of
from neural_seg_ros.images.arrays import fill_from_nearest


def contours_of(segments: NDArray[Any]) -> Contours:
    """Return the boundaries of segments (H, W), all with strength 1; the segments are the same at every threshold."""
    ids = segments.astype(np.int32)
    borders = thin(borders_of(ids)).astype(np.float32)
    return Contours(borders, lambda: borders, lambda threshold: ids)


def pieces_of(classes: NDArray[Any], least: int) -> NDArray[np.int32]:
    """Return the connected pieces (H, W) of classes (H, W); pieces below ``least`` pixels join their neighbors."""
    pieces = label(classes, background=-1, connectivity=1).astype(np.int32)
    return fill_from_nearest(pieces, np.bincount(pieces.ravel())[pieces] < least)
