"""What is presumed about pixels of which a user has said nothing yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

# Weight of what is presumed, against 1 for what the user drew.
PRESUMED_WEIGHT = 0.1
# Share of the frame that is presumed to be something else when only background was clicked.
UNLIKE_SHARE = 0.1
# Share of a bounding box that is presumed to be its object.
BOX_SHARE = 0.25


def border_prior(labels: NDArray[np.int32], nothing: int) -> NDArray[np.bool_]:
    """Where background is presumed beside a single object: the frame's border.

    An object that the camera looks at rarely touches much of the border. A border pixel that is annotated, or lies
    beside an annotation, is left out.

    labels: (h, w) int32, ``nothing`` where not annotated. Returns (h, w) bool.
    """
    ring = np.zeros(labels.shape, np.bool_)
    ring[[0, -1]] = True
    ring[:, [0, -1]] = True
    near = cv2.dilate((labels != nothing).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.asarray(ring & ~near)


def unlike_prior(image: NDArray[np.uint8], labels: NDArray[np.int32], nothing: int) -> NDArray[np.bool_]:
    """Where something else is presumed while only background was clicked: the tenth of the pixels least like it.

    image: (h, w, 3) uint8 RGB; labels: (h, w) int32. Returns (h, w) bool.
    """
    annotated = labels != nothing
    distance = unlikeness(image, annotated)
    distance[annotated] = -1
    return np.asarray(distance > max(0.0, float(np.quantile(distance, 1 - UNLIKE_SHARE))))


def box_prior(
    image: NDArray[np.uint8],
    labels: NDArray[np.int32],
    boxes: Sequence[tuple[int, tuple[slice, slice]]],
    outside: Mapping[int, NDArray[np.bool_]],
    nothing: int,
) -> NDArray[np.int32]:
    """The class presumed inside open bounding boxes: those in which nothing is annotated as their object.

    It is the quarter of the box least like what is outside of it, or annotated as something else; all of a box in which
    nothing differs from that, or that leaves nothing outside. Where boxes overlap the smallest holds.

    image: (h, w, 3) uint8 RGB; labels: (h, w) int32, ``nothing`` where not annotated; boxes: (class id, (rows,
    columns)) of every open box; outside: {class id: (h, w) bool}. Returns (h, w) int32 class ids, ``nothing`` where
    none is presumed.
    """
    presumed = np.full_like(labels, nothing)
    for class_id, pixels in sorted(boxes, key=lambda box: -labels[box[1]].size):
        others = (labels != nothing) & (labels != class_id) & ~outside[class_id]
        distance = unlikeness(image, outside[class_id], others)[pixels]
        unlike = (distance > 0) & (distance >= np.quantile(distance, 1 - BOX_SHARE))
        presumed[pixels][unlike if distance.any() else np.ones_like(unlike)] = class_id
    presumed[labels != nothing] = nothing
    return presumed


def unlikeness(image: NDArray[np.uint8], *known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """CIE Lab distance (h, w) to the mean colour around the nearest in colour of about 256 pixels of each of ``known``.

    0 everywhere where these (h, w) have no pixels.
    """
    lab = cv2.cvtColor(cv2.blur(image, (3, 3)).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    colours = np.concatenate([lab[pixels][:: max(1, int(pixels.sum()) // 256)] for pixels in known])
    if not len(colours):
        return np.zeros(image.shape[:2])
    return np.asarray(cKDTree(colours).query(lab)[0], np.float64)
