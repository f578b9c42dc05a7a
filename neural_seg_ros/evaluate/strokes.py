"""The robot that draws: a stroke along the medial axis of every segment (thesis 2.4.2: up to 18 strokes, under 1 %)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.graph import MCP_Geometric
from skimage.morphology import medial_axis

from neural_seg_ros.annotations import Stroke
from neural_seg_ros.evaluate.metrics import IGNORE
from neural_seg_ros.evaluate.nearest import Labels

Path = NDArray[np.int32]  # (P, 2) pixels as (x, y), each beside the next

# In pixels: how far a stroke may run from the path that it stands for. 0 keeps every bend.
TOLERANCES = (1.0, 0.5, 0.0)


def robot_strokes(truth: Labels, most: int = 18, share: float = 0.01) -> tuple[Stroke, ...]:
    """Strokes of 1 px on the segments of ``truth``, (H, W) uint8 of class ids and IGNORE; the same for the same truth.

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
    """The connected components with their classes: the largest of each class, larger classes first, then the others."""
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
    """The longest path along the medial axis, without the ends that run out into corners."""
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
    """The pixel farthest from ``start`` on the way there, and the ways from ``start``."""
    routes = MCP_Geometric(cost)
    length, _ = routes.find_costs([start])
    length[~np.isfinite(length)] = -1
    y, x = np.unravel_index(int(length.argmax()), length.shape)
    return (int(y), int(x)), routes


def _shortened(paths: list[Path], pixels: int) -> list[Path]:
    """The middle parts of the paths, of ``pixels`` pixels together at most; the first ones if there are more paths."""
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
    """The fewest points, by Douglas and Peucker, whose line stays inside the component."""
    for tolerance in TOLERANCES:
        points = cv2.approxPolyDP(path[:, None], tolerance, False)
        line = np.zeros(component.shape, np.uint8)
        cv2.polylines(line, [points], False, 1)
        if component[line == 1].all():
            break
    # A line needs two ends, also where they are the same pixel.
    ends = points[:, 0] if len(points) > 1 else np.repeat(points[:, 0], 2, axis=0)
    return tuple((float(x), float(y)) for x, y in ends)
