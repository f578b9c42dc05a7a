"""The drawing game: correct annotations in the forms that people use, and a person who draws them in random order.

Unlike the robot, a person does not look for the largest error. Every annotation is correct, so none should make the
answer worse.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from neural_seg_ros.annotations import Annotation, Box, Click, Region, Stroke
from neural_seg_ros.evaluation.clicks.figures import by_labeler, summarize, table_of
from neural_seg_ros.evaluation.clicks.game_report import Report
from neural_seg_ros.evaluation.clicks.games import measure_object
from neural_seg_ros.evaluation.clicks.play import Game, Plan, Run
from neural_seg_ros.evaluation.datasets import Sample
from neural_seg_ros.images.arrays import Labels

Mask = NDArray[np.bool_]

# Annotations inside an object keep this distance from its edge where the object is wide enough.
INSIDE_PX = 4.0
LINE_POINTS = 10
SCRIBBLE_POINTS = 60
# Offset of an inner outline and of a lasso from the true one, as a share of the square root of the area.
OUTLINE_OFFSET = 0.03
# The same for the line around the object, and the margin of a loose box as a share of its longer side.
AROUND_OFFSET, BOX_MARGIN = 0.12, 0.1
LARGE_HARM = 0.05


def _generator(sample: Sample) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(sample.name.encode()))


def _depth(mask: Mask) -> NDArray[np.float32]:
    """Compute the distance (H, W) to the edge of a mask; the image's border is an edge."""
    padded = np.pad(mask.astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1], np.float32)


def _inner(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (y, x) of the pixels well inside of a mask."""
    depth = _depth(mask)
    y, x = np.nonzero(depth > min(INSIDE_PX, 0.5 * float(depth.max())))
    return y, x


def center_click(sample: Sample) -> tuple[Click]:
    """Click on the deepest point of the object."""
    depth = _depth(sample.truth == 1)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return (Click(int(x), int(y), 1),)


def clicks_inside(sample: Sample, count: int) -> tuple[Click, ...]:
    """Click ``count`` times anywhere well inside of the object."""
    y, x = _inner(sample.truth == 1)
    chosen = _generator(sample).integers(len(y), size=max(count, 10))[:count]
    return tuple(Click(int(x[i]), int(y[i]), 1) for i in chosen)


def line(sample: Sample) -> tuple[Stroke]:
    """Draw a line along the object's longer axis, through its deepest points."""
    return (Stroke(_axis(sample.truth == 1), 1, 5.0),)


def _axis(mask: Mask) -> tuple[tuple[float, float], ...]:
    y, x = _inner(mask)
    depth = _depth(mask)
    points = np.stack([x, y], axis=1).astype(np.float64)
    centered = points - points.mean(0)
    along = centered @ np.linalg.svd(centered, full_matrices=False)[2][0]
    path: list[tuple[float, float]] = []
    for position in np.linspace(np.percentile(along, 8), np.percentile(along, 92), LINE_POINTS):
        near = np.abs(along - position).argsort()[:60]
        best = near[int(depth[y[near], x[near]].argmax())]
        path.append((float(x[best]), float(y[best])))
    # A piece that would leave the object is left out, with all after it.
    for number, (a, b) in enumerate(pairwise(path), start=1):
        steps = np.linspace(a, b, 30).astype(int)
        if not mask[steps[:, 1], steps[:, 0]].all():
            return tuple(path[:number])
    return tuple(path)


def scribble(sample: Sample) -> tuple[Stroke, ...]:
    """Draw dabs on random points of the object's skeleton."""
    mask = sample.truth == 1
    eroded = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    y, x = np.nonzero(skeletonize(eroded if eroded.any() else mask))
    chosen = _generator(sample).permutation(len(y))[:SCRIBBLE_POINTS]
    return tuple(Stroke(((float(x[i]), float(y[i])),), 1, 3.0) for i in chosen)


def outline(sample: Sample, offset: float = 0.0) -> tuple[Region, ...]:
    """Draw the outline of every part of the object, ``offset`` (in square roots of the area) outwards."""
    return tuple(Region(points, 1) for points in _contours(_shifted(sample.truth == 1, offset)))


def _shifted(mask: Mask, offset: float) -> NDArray[np.uint8]:
    pixels = round(max(3.0, abs(offset) * float(np.sqrt(mask.sum())))) if offset else 0
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    moved = cv2.dilate(mask.astype(np.uint8), kernel) if offset > 0 else cv2.erode(mask.astype(np.uint8), kernel)
    return np.asarray(moved if moved.any() else mask.astype(np.uint8), np.uint8)


def _contours(mask: NDArray[np.uint8]) -> list[tuple[tuple[float, float], ...]]:
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = [cv2.approxPolyDP(contour, 1.5, True)[:, 0] for contour in sorted(found, key=cv2.contourArea)[::-1]]
    kept = [polygon for polygon in polygons if len(polygon) >= 3 and cv2.contourArea(polygon) > 40]
    return [tuple((float(x), float(y)) for x, y in polygon) for polygon in kept or polygons[:1]]


def box(sample: Sample, margin: float = 0.0) -> tuple[Box]:
    """Draw the bounding box, ``margin`` (in longer sides) larger on every side."""
    y, x = np.nonzero(sample.truth == 1)
    height, width = sample.truth.shape
    more = margin * max(np.ptp(x), np.ptp(y))
    x0, y0 = max(0.0, x.min() - more), max(0.0, y.min() - more)
    x1, y1 = min(width - 1.0, x.max() + more), min(height - 1.0, y.max() + more)
    return (Box(x0, y0, x1, y1, 1, bounding=True),)


def scribble_and_line_around(sample: Sample) -> tuple[Stroke, ...]:
    """Draw dabs on the object and a line of background around it."""
    around = _contours(_shifted(sample.truth == 1, AROUND_OFFSET))
    return scribble(sample) + tuple(Stroke((*points, points[0]), 0, 3.0) for points in around)


def _nothing(_: Sample) -> tuple[()]:
    return ()


def _no_more(
    labels: Labels, truth: Labels, clicks: Sequence[Click], generator: np.random.Generator | None
) -> Annotation | None:
    return None


def person_mark(
    labels: Labels, truth: Labels, clicks: Sequence[Click], generator: np.random.Generator | None
) -> Annotation | None:
    """Draw a random correct annotation: a click or a stroke, on the object or, from the second on, on the ground.

    Clicks fall between the middle and anywhere inside, as those of people do (RClicks: Antonov et al., NeurIPS 2024).
    """
    random = generator if generator is not None else np.random.default_rng(0)
    ground = bool(clicks) and random.random() < 0.3 and bool((truth == 0).any())
    mask = truth == (0 if ground else 1)
    y, x = _inner(mask)
    depth = _depth(mask)[y, x].astype(np.float64)
    chances = 0.5 * depth / depth.sum() + 0.5 / len(depth)
    at = int(random.choice(len(y), p=chances))
    if not clicks or random.random() < 0.6:
        return Click(int(x[at]), int(y[at]), int(not ground))
    reach = np.hypot(x - x[at], y - y[at]) < 0.2 * max(truth.shape)
    to = int(random.choice(np.flatnonzero(reach)))
    steps = np.linspace((x[at], y[at]), (x[to], y[to]), 50).astype(int)
    inside = mask[steps[:, 1], steps[:, 0]]
    last = len(inside) if inside.all() else int(np.argmin(inside))
    end = steps[max(0, last - 1)]
    return Stroke(((float(x[at]), float(y[at])), (float(end[0]), float(end[1]))), int(not ground), 3.0)


_Forms = Mapping[str, Callable[[Sample], tuple[Annotation, ...]]]
FORMS: _Forms = {
    "center": center_click,
    "3 clicks": partial(clicks_inside, count=3),
    "5 clicks": partial(clicks_inside, count=5),
    "10 clicks": partial(clicks_inside, count=10),
    "line": line,
    "scribble": scribble,
    "outline": outline,
    "inner outline": partial(outline, offset=-OUTLINE_OFFSET),
    "loose outline": partial(outline, offset=OUTLINE_OFFSET),
    "box": box,
    "loose box": partial(box, margin=BOX_MARGIN),
    "scribble and line around": scribble_and_line_around,
}
PERSON = "person"
GAMES = (
    *(Game(name, first, _no_more, measure_object, (0,), show_first=True) for name, first in FORMS.items()),
    Game(PERSON, _nothing, person_mark, measure_object, (1, 3, 5, 10)),
)


def drawing_report(plan: Plan, runs: Sequence[Run]) -> Report:
    """Report the IoU by form and labeler, and how often a person's correct annotation lowers it."""
    groups = by_labeler(runs)
    figures = {name: summarize(own, plan) for name, own in groups.items()}
    labelers = list(dict.fromkeys(run.labeler for run in runs))
    cells = {
        labeler: {
            **{form: f"{figures[f'{labeler}, {form}']['iou'][0]:.3f}" for form in FORMS},
            **_person_cells(groups[f"{labeler}, {PERSON}"], figures[f"{labeler}, {PERSON}"]),
        }
        for labeler in labelers
    }
    return Report("One object in the forms that people draw", figures, (table_of(cells),), "iou")


def _person_cells(runs: Sequence[Run], figures: Mapping[str, Any]) -> dict[str, str]:
    changes = np.concatenate([np.diff(run.merits) for run in runs])
    return {
        "person, last": f"{figures['iou'][-1]:.3f}",
        "lowered by > .02": f"{100 * figures['harmful'] / max(1, len(changes)):.1f} %",
        "by > .05": f"{100 * float((changes < -LARGE_HARM).mean()) if len(changes) else 0:.1f} %",
    }
