"""The figures of merit of DAVIS (Perazzi et al., A benchmark dataset and evaluation methodology, CVPR 2016, section 5).

The region similarity J of a frame is ``metrics.iou``. The official evaluation leaves the first and the last frame of a
sequence out of all figures; so does ``judged``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.evaluate.metrics import IGNORE, distance_to
from neural_seg_ros.evaluate.nearest import Labels

# Share of the image's diagonal.
TOLERANCE = 0.008
SUCCESS = 0.5
QUARTERS = 4

Values = NDArray[np.float64]  # of the frames of a sequence, in order


def contour_accuracy(labels: Labels, truth: Labels, class_id: int = 1) -> float:
    """F of one class, 2 p r / (p + r) in [0, 1], of (H, W) labels against a truth with IGNORE.

    p is the share of the contour that lies within .008 of the image's diagonal (rounded up to pixels) of the true one,
    r the share of the true contour that lies so near to the answer's: the matching by dilation of the official code. 1
    when neither has a contour, 0 when one of them has none. Pixels not judged belong to no object.
    """
    found = _contour((labels == class_id) & (truth != IGNORE))
    wanted = _contour(truth == class_id)
    if not found.any() or not wanted.any():
        return float(found.any() == wanted.any())
    tolerance = np.ceil(TOLERANCE * np.hypot(*truth.shape))
    precision = float((distance_to(wanted)[found] <= tolerance).mean())
    recall = float((distance_to(found)[wanted] <= tolerance).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def judged(values: Values) -> Values:
    """The values (..., frames) without the first frame, which is given, and the last."""
    return values[..., 1:-1]


def recall(values: Values) -> float:
    """The share of the judged frames with more than .5."""
    return float((values > SUCCESS).mean())


def decay(values: Values) -> float:
    """The mean of the first quarter of the judged frames minus that of the last; neighbouring quarters share a frame.

    Negative where a sequence ends better than it begins.
    """
    # Halves are rounded up, as in the official code.
    bounds = np.floor(np.linspace(1, len(values), QUARTERS + 1) + 0.5).astype(int) - 1
    first, last = values[: bounds[1] + 1], values[bounds[-2] : bounds[-1] + 1]
    return float(first.mean() - last.mean())


def _contour(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels unlike the one to the right, the one below or the one between these; the image's side is no contour."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    contour: NDArray[np.bool_] = (mask != padded[:-1, 1:]) | (mask != padded[1:, :-1]) | (mask != padded[1:, 1:])
    return contour
