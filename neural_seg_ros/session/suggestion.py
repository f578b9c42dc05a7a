"""The suggested next click: the deepest point of the most uncertain large part of a frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.images.arrays import Labels

# Longer side of the frame for the search.
SUGGEST_SIDE_PX = 300
# A pixel with at least this confidence is never suggested.
MAX_CONFIDENCE = 0.99


def suggest(
    confidence: NDArray[np.float32], labels: Labels, annotated: NDArray[np.bool_] | None = None
) -> tuple[float, float] | None:
    """Find the pixel (x, y) of a frame whose click would help most, or None where nothing is uncertain.

    Pixels with less confidence than the frame's mean are uncertain. Each connected part of them with one label weighs
    the sum of (1 - confidence) x depth over its pixels; the depth is the distance to its edge. So a compact part comes
    before a thin band along a boundary, however long that is. The suggestion is the deepest point of the heaviest part.

    confidence: (H, W) float32 in [0, 1]; labels: (H, W) uint8 or uint16; annotated: (H, W) bool, True where the user
    annotated; these pixels are never suggested.
    """
    height, width = confidence.shape
    scale = min(1.0, SUGGEST_SIDE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    doubt = 1 - cv2.resize(confidence, size, interpolation=cv2.INTER_AREA)
    uncertain = (doubt > max(float(doubt.mean()), 1 - MAX_CONFIDENCE)).astype(np.uint8)
    small = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    uncertain[:, :-1][small[:, :-1] != small[:, 1:]] = 0
    uncertain[:-1][small[:-1] != small[1:]] = 0
    if annotated is not None:
        uncertain[cv2.resize(annotated.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0] = 0
    if not uncertain.any():
        return None
    # Beyond the frame everything is outside.
    depth = cv2.distanceTransform(np.pad(uncertain, 1), cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    _, regions = cv2.connectedComponents(uncertain, connectivity=4)
    heaviest = np.bincount(regions.ravel(), (doubt * depth).ravel()).argmax()
    y, x = np.unravel_index(int(np.where(regions == heaviest, depth, 0).argmax()), depth.shape)
    return float((2 * x + 1) * width // (2 * size[0])), float((2 * y + 1) * height // (2 * size[1]))
