"""Instances in a label image: connected pixels of one class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Instance:
    """The pixels of one class, and the smallest upright rectangle around them.

    class_id       of all pixels
    x, y           leftmost column and topmost row
    width, height  columns and rows
    area           number of pixels
    score          mean confidence of the pixels in [0, 1]; 1 where no confidence is known
    """

    class_id: int
    x: int
    y: int
    width: int
    height: int
    area: int
    score: float


def find_instances(
    labels: NDArray[Any],
    confidence: NDArray[np.uint8] | None,
    classes: Iterable[int] | None,
    min_area: int,
    most: int,
    connected: bool = True,
) -> list[Instance]:
    """Find at most ``most`` instances of (H, W) labels, uint8 or uint16: the largest, by class id, then by area.

    confidence  (H, W) uint8, 255 for 1, or None
    classes     ids of interest, None for all
    min_area    pixels an instance has at least
    connected   pixels that touch, corners included, are one instance; otherwise all pixels of a class are
    """
    present = np.bincount(labels.ravel())
    wanted = np.flatnonzero(present >= max(1, min_area))
    if classes is not None:
        wanted = np.intersect1d(wanted, np.fromiter(classes, np.int64))
    found: list[Instance] = []
    for class_id in wanted.tolist():
        mask = (labels == class_id).view(np.uint8)
        found += _of_class(class_id, mask, confidence, min_area, most, connected)
    largest = sorted(found, key=lambda instance: -instance.area)[:most]
    return sorted(largest, key=lambda instance: (instance.class_id, -instance.area))


def _of_class(
    class_id: int,
    mask: NDArray[np.uint8],
    confidence: NDArray[np.uint8] | None,
    min_area: int,
    most: int,
    connected: bool,
) -> list[Instance]:
    """Return the ``most`` largest instances of a mask (H, W) of 0 and 1."""
    left, top, width, height = cv2.boundingRect(mask)
    window = slice(top, top + height), slice(left, left + width)
    inside = np.ascontiguousarray(mask[window])
    sure = None if confidence is None else confidence[window]
    if not connected:
        area = int(np.count_nonzero(inside))
        score = 1.0 if sure is None else float(sure[inside.view(np.bool_)].mean()) / 255
        return [Instance(class_id, left, top, width, height, area, score)]
    count, parts, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8, ltype=cv2.CV_32S)
    areas = stats[1:, cv2.CC_STAT_AREA]
    order = np.argsort(-areas, kind="stable")[:most]
    order = order[areas[order] >= min_area]
    if not order.size:
        return []
    scores = np.ones(order.size)
    if sure is not None:
        scores = np.bincount(parts.ravel(), sure.ravel(), count)[1 + order] / (255.0 * areas[order])
    return [
        Instance(class_id, left + x, top + y, w, h, area, score)
        for (x, y, w, h, area), score in zip(stats[1 + order].tolist(), scores.tolist(), strict=True)
    ]
