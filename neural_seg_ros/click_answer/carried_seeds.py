"""What the field carried here from earlier frames, as seeds beside what is drawn on this one."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations.implied import AnnotationTargets
from neural_seg_ros.click_answer.estimate import Estimate
from neural_seg_ros.images.arrays import likeliest

# Counts as annotated for the region graph, and stays below the user's own annotations.
REMEMBERED_WEIGHT = 0.5
# Only where the field is at least this sure, and that far inside the class, in pixels.
SURE = 0.8
MARGIN = 3
# A seed every so many pixels: enough to hold a class, few enough to let a new click move its border.
GRID = 6
# Around an annotation that contradicts it the memory is let go, this share of the longer side.
RELEASED = 0.12


def recall(drawn: AnnotationTargets, carried: Estimate) -> AnnotationTargets:
    """``drawn`` with a sparse grid of seeds where ``carried`` is sure and no annotation of this frame is near.

    carried: class probabilities of this frame as the field had them before its first annotation, at any size, in the
    channel order of ``drawn``.
    """
    height, width = drawn.labels.shape
    size = (width, height)
    full = [cv2.resize(channel, size, interpolation=cv2.INTER_LINEAR) for channel in carried.probabilities]
    probabilities = np.stack(full)
    labels, share = likeliest(probabilities)
    grid = np.zeros((height, width), np.bool_)
    grid[GRID // 2 :: GRID, GRID // 2 :: GRID] = True
    keep = grid & (share > SURE) & (drawn.weights == 0)
    for channel in np.unique(labels):
        keep &= (labels != channel) | (_inside(labels == channel) & ~contradicted(drawn, int(channel)))
    for channel, where in drawn.outside.items():
        keep &= (labels != channel) | ~where
    return replace(
        drawn,
        labels=np.where(keep, labels, drawn.labels),
        weights=np.where(keep, np.float32(REMEMBERED_WEIGHT), drawn.weights),
    )


def _inside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask (h, w) at least MARGIN from its outside; the frame's border is no outside."""
    padded = np.pad(mask.astype(np.uint8), 1, constant_values=1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1] >= MARGIN)


def contradicted(drawn: AnnotationTargets, channel: int) -> NDArray[np.bool_]:
    """Pixels (h, w) near an annotation of this frame that is not of ``channel``."""
    other = (drawn.weights == 1) & (drawn.labels != channel)
    if not other.any():
        return np.zeros(other.shape, np.bool_)
    distance = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(distance < RELEASED * max(other.shape))
