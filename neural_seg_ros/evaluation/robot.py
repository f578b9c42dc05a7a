"""The robot user: it clicks where a person who knows the ground truth would click next (protocol of RITM)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.graph import MCP_Geometric
from skimage.morphology import medial_axis

from neural_seg_ros.annotations import Click, Stroke
from neural_seg_ros.images.arrays import Labels
from neural_seg_ros.metrics import IGNORE


def next_object_click(
    labels: Labels, truth: Labels, clicks: Sequence[Click] = (), generator: np.random.Generator | None = None
) -> Click | None:
    """Choose the next click on one object; ``truth`` (H, W) uint8 of 0, 1 and IGNORE, object where ``labels`` is 1.

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
    """Choose the next click among many classes: the center of the largest wrong component, with its true class.

    A component is made of wrong pixels of one true class. ``truth`` (H, W) uint8 of class ids and IGNORE; the center
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
    return _center(region, class_id) if generator is None else _uniform(region, class_id, generator)


def first_region_clicks(truth: Labels) -> tuple[Click, ...]:
    """Choose one click a class of ``truth``, in order of class ids, at the deepest point of that class."""
    return tuple(_center(truth == class_id, int(class_id)) for class_id in np.unique(truth) if class_id != IGNORE)


def _depth(region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Compute the distance of the region's pixels to the nearest pixel outside; beyond the image is outside."""
    padded = np.pad(region.astype(np.uint8), 1)
    depth: NDArray[np.float32] = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return depth[1:-1, 1:-1]


def _not_clicked(shape: tuple[int, ...], clicks: Sequence[Click]) -> NDArray[np.bool_]:
    free = np.ones(shape, bool)
    for click in clicks:
        free[round(click.y), round(click.x)] = False
    return free


def _center(region: NDArray[np.bool_], class_id: int) -> Click:
    y, x = np.unravel_index(int(_depth(region).argmax()), region.shape)
    return Click(float(x), float(y), class_id)


def _uniform(region: NDArray[np.bool_], class_id: int, generator: np.random.Generator) -> Click:
    ys, xs = np.nonzero(region)
    chosen = int(generator.integers(len(xs)))
    return Click(float(xs[chosen]), float(ys[chosen]), class_id)


Path = NDArray[np.int32]  # (P, 2) pixels as (x, y), each beside the next
# Greatest distance of a simplified stroke from its path; 0 keeps every bend.
TOLERANCES = (1.0, 0.5, 0.0)


def robot_strokes(truth: Labels, most: int = 18, share: float = 0.01) -> tuple[Stroke, ...]:
    """Draw strokes of 1 px on the segments of ``truth``, (H, W) uint8 of class ids and IGNORE, deterministically.

    One stroke a class, larger classes first, in its largest connected component; then one in each further component of
    any class, larger ones first. At most ``most`` strokes that cover less than ``share`` of the image's pixels: they
    are shortened evenly until they do, and the last ones are left out where not even a pixel for each is allowed.
    Every pixel of a stroke lies in its component.
    """
    chosen = _components(truth)[:most]
    paths = [_middle_line(component) for component, _ in chosen]
    pixels = max(0, int(np.ceil(share * truth.size)) - 1)
    return tuple(
        Stroke(_simplified(path, component), class_id)
        for path, (component, class_id) in zip(_shortened(paths, pixels), chosen, strict=False)
    )


def _components(truth: Labels) -> list[tuple[NDArray[np.bool_], int]]:
    """List connected components with their classes: the largest of each, larger classes first, then the others."""
    first, further = [], []
    for class_id in np.unique(truth[truth != IGNORE]):
        mask = truth == class_id
        _, index, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        areas = stats[1:, cv2.CC_STAT_AREA]
        by_area = np.argsort(-areas, kind="stable")
        found = [(int(areas[i]), index == i + 1, int(class_id)) for i in by_area]
        first.append((int(mask.sum()), *found[0][1:]))
        further += found[1:]
    ordered = sorted(first, key=_area, reverse=True) + sorted(further, key=_area, reverse=True)
    return [(component, class_id) for _, component, class_id in ordered]


def _area(entry: tuple[int, NDArray[np.bool_], int]) -> int:
    return entry[0]


def _middle_line(component: NDArray[np.bool_]) -> Path:
    """Find the longest path along the medial axis, without the ends that run out into corners."""
    # Beyond the image everything is outside, so that no stroke runs along its border.
    axis, depth = medial_axis(np.pad(component, 1), return_distance=True, rng=0)
    cost = np.where(axis, 1.0, np.inf)
    start, _ = _farthest(cost, tuple(np.argwhere(axis)[0]))
    end, routes = _farthest(cost, start)
    path = np.array(routes.traceback(end))
    depths = depth[path[:, 0], path[:, 1]]
    deep = np.flatnonzero(depths >= np.median(depths) / 2)
    return np.asarray(path[deep[0] : deep[-1] + 1, ::-1] - 1, np.int32)


def _farthest(cost: NDArray[np.float64], start: tuple[int, ...]) -> tuple[tuple[int, int], MCP_Geometric]:
    """Find the pixel farthest from ``start``, and the ways from ``start``."""
    routes = MCP_Geometric(cost)
    length, _ = routes.find_costs([start])
    length[~np.isfinite(length)] = -1
    y, x = np.unravel_index(int(length.argmax()), length.shape)
    return (int(y), int(x)), routes


def _shortened(paths: list[Path], pixels: int) -> list[Path]:
    """Shorten paths to their middle parts, of ``pixels`` pixels together at most; with many paths the first ones."""
    paths = paths[:pixels]
    surplus = sum(len(path) - 1 for path in paths)
    kept_share = min(1.0, (pixels - len(paths)) / max(1, surplus))
    shortened = []
    for path in paths:
        kept = 1 + int((len(path) - 1) * kept_share)
        start = (len(path) - kept) // 2
        shortened.append(path[start : start + kept])
    return shortened


def _simplified(path: Path, component: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Find the fewest points, by Douglas and Peucker, whose line stays inside the component."""
    for tolerance in TOLERANCES:
        points = cv2.approxPolyDP(path[:, None], tolerance, False)
        line = np.zeros(component.shape, np.uint8)
        cv2.polylines(line, [points], False, 1)
        if component[line == 1].all():
            break
    # A line needs two ends, also where they are the same pixel.
    ends = points[:, 0] if len(points) > 1 else np.repeat(points[:, 0], 2, axis=0)
    return tuple((float(x), float(y)) for x, y in ends)
