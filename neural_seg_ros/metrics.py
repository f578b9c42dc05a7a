"""Figures of merit as pure functions. Labels are (H, W) integer arrays; pixels whose truth is IGNORE never count."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.errors import SourceError
from neural_seg_ros.images.arrays import Labels, fill_from_nearest

# Share of the image's diagonal.
TOLERANCE_SHARE = 0.008


def contour_accuracy(labels: Labels, truth: Labels, class_id: int = 1) -> float:
    """Compute F of one class, 2 p r / (p + r) in [0, 1], of (H, W) labels against a truth with IGNORE.

    p is the share of the contour that lies within .008 of the image's diagonal (rounded up to pixels) of the true one,
    r the share of the true contour within that distance of the contour of the labels: the matching by dilation of the
    official code. 1 when neither has a contour, 0 when one of them has none. Pixels not judged belong to no object.
    """
    found = _contour((labels == class_id) & (truth != IGNORE))
    wanted = _contour(truth == class_id)
    if not found.any() or not wanted.any():
        return float(found.any() == wanted.any())
    tolerance = np.ceil(TOLERANCE_SHARE * np.hypot(*truth.shape))
    precision = float((distance_to(wanted)[found] <= tolerance).mean())
    recall = float((distance_to(found)[wanted] <= tolerance).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _contour(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels unlike the one to the right, below, or diagonally between; the image side is no contour."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    contour: NDArray[np.bool_] = (mask != padded[:-1, 1:]) | (mask != padded[1:, :-1]) | (mask != padded[1:, 1:])
    return contour


IGNORE = 255


def iou(labels: Labels, truth: Labels, class_id: int = 1) -> float:
    """Compute the intersection over union of one class, |P & T| / |P | T|, in [0, 1]; 1 when neither has it."""
    judged = truth != IGNORE
    predicted, wanted = (labels == class_id) & judged, truth == class_id
    union = np.count_nonzero(predicted | wanted)
    return float(np.count_nonzero(predicted & wanted) / union) if union else 1.0


def mean_iou(labels: Labels, truth: Labels) -> float:
    """Average ``iou`` over the classes of the truth, in [0, 1]; 1 when nothing is judged."""
    classes = [int(c) for c in np.unique(truth) if c != IGNORE]
    return float(np.mean([iou(labels, truth, c) for c in classes])) if classes else 1.0


def boundary_f(mask: NDArray[np.bool_], truth: Labels, tolerance: float = 2.0) -> float:
    """Compute the boundary F of an object mask (H, W) bool against a truth of 0, 1 and IGNORE, in [0, 1].

    F = 2 p r / (p + r); p is the share of the mask's boundary within ``tolerance`` pixels of the true boundary, r the
    share of the true boundary within ``tolerance`` of the mask's. Where a band is ignored the true boundary is taken
    in its middle, and the tolerance around a pixel of it grows by its distance to the band's edge; the mask's boundary
    on ignored pixels is not judged. A missing boundary is 1 if both are missing, else 0.
    """
    ignored = truth == IGNORE
    found, wanted = _boundary(mask), _boundary(fill_from_nearest(truth, ignored) == 1)
    if not found.any() or not wanted.any():
        return float(found.any() == wanted.any())
    judged = found & ~ignored
    reach = tolerance + distance_to(~ignored)
    right = distance_to(wanted) <= fill_from_nearest(reach, ~wanted)
    precision = float(right[judged].mean()) if judged.any() else 1.0
    recall = float((distance_to(found) <= reach)[wanted].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def error_rate(labels: Labels, truth: Labels, class_id: int = 1) -> float:
    """Compute the share of judged pixels wrongly labeled as the class or not, in [0, 1]; 0 without judged pixels."""
    judged = truth != IGNORE
    wrong = ((labels == class_id) != (truth == class_id))[judged]
    return float(wrong.mean()) if wrong.size else 0.0


def clicks_needed(ious: Sequence[float], quality: float, most: int = 20) -> int:
    """Compute NoC@quality: the first k <= ``most`` with IoU after k clicks >= ``quality``; ``most`` without one.

    ``ious[k - 1]`` is the IoU after k clicks.
    """
    reached = (k for k, value in enumerate(ious[:most], start=1) if value >= quality)
    return next(reached, most)


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of the mask with a 4-neighbor outside it; the image side is no boundary."""
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def distance_to(pixels: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Compute the Euclidean distance of every pixel to the nearest of ``pixels``; very large without any."""
    distance: NDArray[np.float32] = cv2.distanceTransform(
        (~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    return distance


SUCCESS = 0.5
QUARTERS = 4
Values = NDArray[np.float64]  # of the frames of a sequence, in order


def judged(values: Values) -> Values:
    """Return the values (..., frames) without the first frame, which is given, and the last."""
    return values[..., 1:-1]


def recall(values: Values) -> float:
    """Compute the share of the judged frames with more than .5."""
    return float((values > SUCCESS).mean())


def decay(values: Values) -> float:
    """Subtract the mean of the last quarter from that of the first; neighboring quarters share a frame.

    Negative where a sequence ends better than it begins.
    """
    # Halves are rounded up, as in the official code.
    bounds = np.floor(np.linspace(1, len(values), QUARTERS + 1) + 0.5).astype(int) - 1
    first, last = values[: bounds[1] + 1], values[bounds[-2] : bounds[-1] + 1]
    return float(first.mean() - last.mean())


# Name: figure in [0, 1] of a mask (H, W) uint8 of 0 and 1 against a truth of 0, 1 and IGNORE. ``iou`` is DAVIS' J.
FIGURES: dict[str, Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]] = {"iou": iou, "f": contour_accuracy}


def class_figures(labels: Labels, truth: Labels, classes: Collection[int], index: int) -> dict[str, dict[int, float]]:
    """Return ``{figure: {class id: value}}`` of ``classes`` and those of the truth, without background.

    labels, truth: (H, W); the truth's highest value, 255 or 65535, is where nothing is judged. Raises SourceError,
    naming the frame by ``index``, where they differ in size.
    """
    if truth.shape != labels.shape:
        given, accepted = f"{truth.shape[1]}x{truth.shape[0]}", f"{labels.shape[1]}x{labels.shape[0]}"
        raise SourceError(f"ground truth of frame {index}: got {given}, accepted: the frame's size {accepted}")
    unjudged = np.iinfo(truth.dtype).max
    present = {int(value) for value in np.unique(truth)} - {unjudged}
    figures: dict[str, dict[int, float]] = {name: {} for name in FIGURES}
    for class_id in sorted(present.union(classes) - {0}):
        mask, wanted = (labels == class_id).astype(np.uint8), (truth == class_id).astype(np.uint8)
        wanted[truth == unjudged] = IGNORE
        for name, figure in FIGURES.items():
            figures[name][class_id] = figure(mask, wanted)
    return figures


def class_confidence(labels: Labels, confidence: NDArray[np.float32], classes: Collection[int]) -> dict[int, float]:
    """Average ``confidence`` (H, W) over the pixels of each of ``classes`` that has any."""
    sizes = np.bincount(labels.ravel())
    sums = np.bincount(labels.ravel(), confidence.ravel())
    present = [class_id for class_id in classes if class_id < len(sizes) and sizes[class_id]]
    return {class_id: float(sums[class_id] / sizes[class_id]) for class_id in present}
