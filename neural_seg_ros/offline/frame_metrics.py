"""Metrics of every class of a frame: against the ground truth, and confidence."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.errors import SourceError
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.metrics import IGNORE, contour_accuracy, iou

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
