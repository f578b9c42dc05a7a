"""Annotations to label maps of any size, without losing a one-pixel click."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations.shapes import Annotation, Box, Click, Mask, Point, Region, Stroke, bounds_of

NOTHING = -1
# Rows and columns of a rectangle.
Pixels = tuple[slice, slice]
# OpenCV draws with integers of 2^-SHIFT pixels.
SHIFT = 4


def rasterize(
    annotations: Iterable[Annotation], frame: tuple[int, int], size: tuple[int, int], unlabelled: int
) -> NDArray[np.int32]:
    """Draw annotations, made on a frame of (height, width) pixels, at another (height, width) size.

    Every annotation that touches the frame marks at least one pixel; where two overlap the later one holds. Bounding
    boxes mark none, because they tell the class of no pixel. The center of pixel x of the frame lies at
    (x + 1/2) scale - 1/2.

    Returns (height, width) int32: class id, or NOTHING (-1).
    """
    canvas = np.full(size, NOTHING, np.int32)
    scale = _scale(frame, size)
    for annotation in annotations:
        if isinstance(annotation, Mask):
            _draw_mask(canvas, annotation, unlabelled)
        elif not isinstance(annotation, Box):
            _draw_shape(canvas, annotation, scale)
        elif not annotation.bounding:
            canvas[box_pixels(annotation, frame, size)] = annotation.class_id
    return canvas


def bounding_boxes(
    annotations: Iterable[Annotation], frame: tuple[int, int], size: tuple[int, int]
) -> list[tuple[int, Pixels]]:
    """Return (class id, pixels) of every bounding box of a (height, width) frame, at another size."""
    boxes = (each for each in annotations if isinstance(each, Box) and each.bounding)
    return [(box.class_id, box_pixels(box, frame, size)) for box in boxes]


def outside_boxes(boxes: Iterable[tuple[int, Pixels]], labels: NDArray[np.int32]) -> dict[int, NDArray[np.bool_]]:
    """Return {class id: (h, w) bool} where a class with bounding boxes is ruled out: outside of all, unless annotated.

    labels: (h, w) int32 from ``rasterize``.
    """
    outside: dict[int, NDArray[np.bool_]] = {}
    for class_id, pixels in boxes:
        outside.setdefault(class_id, labels != class_id)[pixels] = False
    return outside


# A region closes its class: outside of it there is a band in which the image's edges decide, and beyond it no pixel of
# the class. Width of the band as a share of the square root of the area, and least width in longer sides of the frame.
BAND_SHARE, MIN_BAND_SIDES = 0.06, 0.006


def outlines(
    annotations: Iterable[Annotation], frame: tuple[int, int], size: tuple[int, int], labels: NDArray[np.int32]
) -> dict[int, NDArray[np.bool_]]:
    """Return {class id: (h, w) bool} of the outlined classes: the pixels that are drawn as the class.

    A class is outlined if regions of it were drawn, and everything else of it lies inside of them or in their band.

    labels: (h, w) int32 from ``rasterize``.
    """
    found: dict[int, NDArray[np.bool_]] = {}
    drawn = [each for each in annotations if isinstance(each, Region) and each.class_id]
    for class_id in dict.fromkeys(each.class_id for each in drawn):
        own = [each for each in drawn if each.class_id == class_id]
        filled = rasterize(own, frame, size, NOTHING) == class_id
        inside = labels == class_id
        if inside.any() and not (inside & beyond_band(filled)).any():
            found[class_id] = inside
    return found


def close_outlines(
    outside: Mapping[int, NDArray[np.bool_]], outlined: Mapping[int, NDArray[np.bool_]]
) -> dict[int, NDArray[np.bool_]]:
    """Return ``outside`` of ``outside_boxes`` with the outlined classes ruled out beyond their bands as well."""
    closed = dict(outside)
    for class_id, inside in outlined.items():
        where = beyond_band(inside)
        closed[class_id] = closed[class_id] & where if class_id in closed else where
    return closed


def beyond_band(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where the outlined class cannot be: farther from (h, w) ``inside`` than its band is wide."""
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(distance > band_width(inside))


def band_width(inside: NDArray[np.bool_]) -> float:
    """Return the width in pixels of the band around an outlined object, (h, w) True inside of the outline."""
    return float(max(MIN_BAND_SIDES * max(inside.shape), BAND_SHARE * np.sqrt(inside.sum())))


def box_pixels(box: Box, frame: tuple[int, int], size: tuple[int, int]) -> Pixels:
    """Return (rows, columns) of a box of a (height, width) frame, at another (height, width) size.

    A box that touches the frame has at least one pixel.
    """
    height, width = size
    x0, y0, x1, y1 = bounds_of(box)
    scale = _scale(frame, size)
    left, top = (np.array([x0, y0]) + 0.5) * scale - 0.5
    right, bottom = (np.array([x1, y1]) + 0.5) * scale - 0.5
    rows = slice(min(height - 1, max(0, round(top))), max(0, min(height - 1, round(bottom))) + 1)
    columns = slice(min(width - 1, max(0, round(left))), max(0, min(width - 1, round(right))) + 1)
    return rows, columns


def _scale(frame: tuple[int, int], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return (2,) pixels of ``size`` in x and in y for one of the frame."""
    return np.array([size[1] / frame[1], size[0] / frame[0]])


def _draw_shape(canvas: NDArray[np.int32], shape: Click | Stroke | Region, scale: NDArray[np.float64]) -> None:
    if isinstance(shape, Click):
        _draw_disc(canvas, shape, scale)
    elif isinstance(shape, Stroke):
        _draw_line(canvas, shape.points, shape.width, shape.class_id, scale)
    else:
        cv2.fillPoly(canvas, [_fixed_point(shape.points, canvas, scale)], shape.class_id, shift=SHIFT)
        # A thin polygon can fall between pixel centers; its outline cannot.
        _draw_line(canvas, (*shape.points, shape.points[0]), 1.0, shape.class_id, scale)


def _draw_disc(canvas: NDArray[np.int32], click: Click, scale: NDArray[np.float64]) -> None:
    height, width = canvas.shape
    x, y = (np.array([click.x, click.y]) + 0.5) * scale - 0.5
    # Radius 1 is the pixel under the cursor alone, so the disc reaches radius - 1/2 from its center.
    reach = (click.radius - 0.5) * scale
    rows = slice(max(0, int(y - reach[1])), min(height, int(y + reach[1]) + 2))
    columns = slice(max(0, int(x - reach[0])), min(width, int(x + reach[0]) + 2))
    dy = (np.arange(rows.start, rows.stop) - y)[:, None] / max(reach[1], 1e-6)
    dx = (np.arange(columns.start, columns.stop) - x)[None] / max(reach[0], 1e-6)
    canvas[rows, columns][dx**2 + dy**2 <= 1] = click.class_id
    canvas[min(height - 1, max(0, round(y))), min(width - 1, max(0, round(x)))] = click.class_id


def _draw_line(
    canvas: NDArray[np.int32], points: tuple[Point, ...], width: float, class_id: int, scale: NDArray[np.float64]
) -> None:
    # OpenCV draws nothing for a line of one point.
    fixed = _fixed_point(points if len(points) > 1 else points * 2, canvas, scale)
    thickness = width * float(scale.mean())
    if thickness <= 1:
        cv2.polylines(canvas, [fixed], False, class_id, shift=SHIFT)
        return
    # All pixels within half the width of the line; OpenCV's own thick lines come out up to two pixels too wide.
    reach = (thickness - 1) / 2
    height, columns = canvas.shape
    x0, y0 = np.floor(fixed.min((0, 1)) / 2**SHIFT - reach).astype(int)
    x1, y1 = np.ceil(fixed.max((0, 1)) / 2**SHIFT + reach).astype(int) + 1
    window = (slice(min(max(0, y0), height), max(0, y1)), slice(min(max(0, x0), columns), max(0, x1)))
    off_line = np.ones(canvas.shape, np.uint8)
    cv2.polylines(off_line, [fixed], False, 0, shift=SHIFT)
    if off_line[window].size:
        distance = cv2.distanceTransform(off_line[window], cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        canvas[window][distance <= reach] = class_id


def _draw_mask(canvas: NDArray[np.int32], mask: Mask, unlabelled: int) -> None:
    height, width = canvas.shape
    labels = mask.labels
    nearest = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.int32)
    canvas[nearest != unlabelled] = nearest[nearest != unlabelled]
    lost = mask.values - set(np.unique(nearest).tolist()) - {unlabelled}
    for class_id in sorted(lost):
        y, x = np.nonzero(labels == class_id)
        canvas[y * height // labels.shape[0], x * width // labels.shape[1]] = class_id


def _fixed_point(points: tuple[Point, ...], canvas: NDArray[np.int32], scale: NDArray[np.float64]) -> NDArray[np.int32]:
    """Convert (P, 1, 2) points of the frame to OpenCV's fixed-point pixels, clipped to its integer range."""
    scaled = (np.asarray(points, np.float64) + 0.5) * scale - 0.5
    far = 8.0 * max(canvas.shape)
    return np.asarray(np.round(np.clip(scaled, -far, far) * 2**SHIFT)[:, None], np.int32)
