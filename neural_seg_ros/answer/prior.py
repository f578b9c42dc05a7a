"""What is presumed about the rest of a frame while a user has named one thing only."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Weight of what is presumed, against 1 for what the user drew.
PRESUMED_WEIGHT = 0.1
# Share of the frame that is presumed to be something else when only background was clicked.
UNLIKE_SHARE = 0.1


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

    Likeness is the CIE Lab distance to the mean colour around the nearest in colour of at most 256 annotated pixels.

    image: (h, w, 3) uint8 RGB; labels: (h, w) int32. Returns (h, w) bool.
    """
    lab = cv2.cvtColor(cv2.blur(image, (3, 3)).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    annotated = labels != nothing
    colours = lab[annotated]
    colours = colours[:: max(1, len(colours) // 256)]
    distance = np.full(labels.shape, np.inf, np.float32)
    for colour in colours:
        distance = np.minimum(distance, np.square(lab - colour).sum(-1))
    distance[annotated] = -1
    return np.asarray(distance > max(0.0, float(np.quantile(distance, 1 - UNLIKE_SHARE))))
