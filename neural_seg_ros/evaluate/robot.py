"""The robot user: where a person who wants the truth would click next (the protocol of RITM)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Click
from neural_seg_ros.evaluate.metrics import IGNORE
from neural_seg_ros.evaluate.nearest import Labels


def next_object_click(
    labels: Labels, truth: Labels, clicks: Sequence[Click] = (), generator: np.random.Generator | None = None
) -> Click | None:
    """The next click on one object: ``truth`` (H, W) uint8 of 0, 1 and IGNORE, object where ``labels`` is 1.

    The click falls on the deepest point of all missed object (class 1) and of all false object (class 0) by Euclidean
    distance to the error's edge, never on a pixel of ``clicks``; with a ``generator`` uniformly inside the connected
    error region around that point. None when nothing is wrong.
    """
    found, judged = labels == 1, truth != IGNORE
    missed, false = judged & (truth == 1) & ~found, judged & (truth == 0) & found
    free = _not_clicked(truth.shape, clicks)
    depths = [(_depth(missed) * free, missed, 1), (_depth(false) * free, false, 0)]
    depth, region, class_id = max(depths, key=lambda entry: float(entry[0].max()))
    if depth.max() == 0:
        return None
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    if generator is None:
        return Click(float(x), float(y), class_id)
    _, components = cv2.connectedComponents(region.astype(np.uint8))
    return _uniform((components == components[y, x]) & free, class_id, generator)


def next_region_click(
    labels: Labels, truth: Labels, clicks: Sequence[Click] = (), generator: np.random.Generator | None = None
) -> Click | None:
    """The next click among many classes: at the centre of the largest wrong connected component, with its true class.

    A component is made of wrong pixels of one true class. ``truth`` (H, W) uint8 of class ids and IGNORE; the centre
    is the deepest point that is not in ``clicks``; with a ``generator`` a uniform point. None when nothing is wrong.
    """
    free = _not_clicked(truth.shape, clicks)
    wrong = (labels != truth) & (truth != IGNORE) & free
    best: tuple[int, NDArray[np.bool_], int] | None = None
    for class_id in np.unique(truth[wrong]):
        _, components, stats, _ = cv2.connectedComponentsWithStats((wrong & (truth == class_id)).astype(np.uint8))
        largest = int(stats[1:, cv2.CC_STAT_AREA].argmax()) + 1
        area = int(stats[largest, cv2.CC_STAT_AREA])
        if best is None or area > best[0]:
            best = area, components == largest, int(class_id)
    if best is None:
        return None
    _, region, class_id = best
    return _centre(region, class_id) if generator is None else _uniform(region, class_id, generator)


def first_region_clicks(truth: Labels) -> tuple[Click, ...]:
    """One click a class of ``truth``, in order of class ids, at the deepest point of that class."""
    return tuple(_centre(truth == class_id, int(class_id)) for class_id in np.unique(truth) if class_id != IGNORE)


def _depth(region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance of the region's pixels to the nearest pixel outside; beyond the image everything is outside."""
    padded = np.pad(region.astype(np.uint8), 1)
    depth: NDArray[np.float32] = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return depth[1:-1, 1:-1]


def _not_clicked(shape: tuple[int, ...], clicks: Sequence[Click]) -> NDArray[np.bool_]:
    free = np.ones(shape, bool)
    for click in clicks:
        free[round(click.y), round(click.x)] = False
    return free


def _centre(region: NDArray[np.bool_], class_id: int) -> Click:
    y, x = np.unravel_index(int(_depth(region).argmax()), region.shape)
    return Click(float(x), float(y), class_id)


def _uniform(region: NDArray[np.bool_], class_id: int, generator: np.random.Generator) -> Click:
    ys, xs = np.nonzero(region)
    chosen = int(generator.integers(len(xs)))
    return Click(float(xs[chosen]), float(ys[chosen]), class_id)
