"""The shapes of annotations: clicks, boxes, strokes, regions and dense masks.

Coordinates are pixels of the frame they were made on, x right, y down; the center of the upper left pixel is (0, 0),
so a frame of width W accepts -0.5 <= x < W - 0.5. Class 0 is background (a negative click).
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_seg_ros.errors import AnnotationError

if TYPE_CHECKING:
    from neural_seg_ros.images.arrays import Labels


Point = tuple[float, float]


@dataclass(frozen=True)
class Click:
    """A disc of ``radius`` pixels around (x, y); radius 1 is the one pixel under the cursor."""

    x: float
    y: float
    class_id: int
    radius: float = 1.0

    def __post_init__(self) -> None:
        _coordinates("click", self, "x", "y")
        _class_id("click", self)
        _pixels("click radius", self, "radius")


@dataclass(frozen=True)
class Box:
    """All pixels with x0 <= x <= x1 and y0 <= y <= y1; the corners may come in any order.

    Filled, every one of them is of the class. With ``bounding`` the object of the class is inside, and no pixel outside
    is of it, as in GrabCut (Rother et al. 2004); with several such boxes it is inside their union.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    class_id: int
    bounding: bool = False

    def __post_init__(self) -> None:
        _coordinates("box", self, "x0", "y0", "x1", "y1")
        _class_id("box", self)
        if not isinstance(self.bounding, bool | np.bool_):
            raise AnnotationError(f"box bounding: got {self.bounding!r}, accepted: true or false")
        object.__setattr__(self, "bounding", bool(self.bounding))
        if self.bounding and self.class_id == 0:
            raise AnnotationError("box bounding: got class 0, accepted: an object's class, from 1")
        if self.x0 == self.x1 or self.y0 == self.y1:
            raise AnnotationError(
                f"box: got ({self.x0}, {self.y0}, {self.x1}, {self.y1}) of zero area, accepted: x0 != x1 and y0 != y1"
            )


@dataclass(frozen=True)
class Stroke:
    """A line through ``points`` ((x, y), at least one), ``width`` pixels wide."""

    points: tuple[Point, ...]
    class_id: int
    width: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _points("stroke", self.points, at_least=1))
        _class_id("stroke", self)
        _pixels("stroke width", self, "width")


@dataclass(frozen=True)
class Region:
    """A filled polygon through ``points`` ((x, y), at least three, closed by itself)."""

    points: tuple[Point, ...]
    class_id: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _points("region", self.points, at_least=3))
        _class_id("region", self)
        xy = np.asarray(self.points, np.float64)
        x, y = xy[:, 0], xy[:, 1]
        if abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) < 1e-9:
            raise AnnotationError(
                f"region: got {len(xy)} points of zero area, accepted: a polygon that encloses pixels"
            )


@dataclass(frozen=True, eq=False)
class Mask:
    """Dense labels (H, W) uint8 or uint16 of the whole frame; the unlabelled value (255 or 65535) annotates nothing."""

    labels: Labels

    def __post_init__(self) -> None:
        labels = self.labels
        if not isinstance(labels, np.ndarray) or labels.ndim != 2 or labels.dtype not in (np.uint8, np.uint16):
            given = f"{getattr(labels, 'dtype', type(labels).__name__)} of shape {getattr(labels, 'shape', '?')}"
            raise AnnotationError(f"mask: got {given}, accepted: (H, W) uint8 or uint16 class ids")
        frozen = labels.copy()
        frozen.setflags(write=False)
        object.__setattr__(self, "labels", frozen)

    @cached_property
    def values(self) -> frozenset[int]:
        """The values that occur in ``labels``, the unlabelled one included; cached."""
        return frozenset(np.unique(self.labels).tolist())


Annotation = Click | Box | Stroke | Region | Mask


def classes_of(annotation: Annotation, unlabelled: int) -> set[int]:
    """Return the class ids that an annotation names."""
    if isinstance(annotation, Mask):
        return set(annotation.values - {unlabelled})
    return {annotation.class_id}


def check_annotation(annotation: Annotation, size: tuple[int, int], unlabelled: int) -> None:
    """Raise AnnotationError unless it touches a (height, width) frame and its classes are below ``unlabelled``.

    A click must lie inside the frame; box, stroke and region must overlap it (the part outside is cut off); a mask must
    have the frame's size.
    """
    height, width = size
    frame = f"a frame of {width}x{height}"
    if isinstance(annotation, Mask):
        if annotation.labels.shape != (height, width):
            given = f"{annotation.labels.shape[1]}x{annotation.labels.shape[0]}"
            raise AnnotationError(f"mask: got {given}, accepted: the frame's size {width}x{height}")
    elif isinstance(annotation, Click):
        if not (-0.5 <= annotation.x < width - 0.5 and -0.5 <= annotation.y < height - 0.5):
            raise AnnotationError(
                f"click: got ({annotation.x:g}, {annotation.y:g}) on {frame}, "
                f"accepted: 0 <= x <= {width - 1}, 0 <= y <= {height - 1}"
            )
    else:
        name = type(annotation).__name__.lower()
        x0, y0, x1, y1 = bounds_of(annotation)
        if x1 < -0.5 or y1 < -0.5 or x0 >= width - 0.5 or y0 >= height - 0.5:
            raise AnnotationError(
                f"{name}: got x {x0:g}..{x1:g}, y {y0:g}..{y1:g}, wholly outside {frame}, "
                f"accepted: some part inside 0 <= x <= {width - 1}, 0 <= y <= {height - 1}"
            )
    for class_id in classes_of(annotation, unlabelled):
        if class_id >= unlabelled:
            raise AnnotationError(f"class: got {class_id}, accepted: 0 (background) to {unlabelled - 1}")


def bounds_of(annotation: Click | Box | Stroke | Region) -> tuple[float, float, float, float]:
    """Return (x0, y0, x1, y1) of an annotation in pixels."""
    if isinstance(annotation, Click):
        return annotation.x, annotation.y, annotation.x, annotation.y
    if isinstance(annotation, Box):
        xs, ys = sorted((annotation.x0, annotation.x1)), sorted((annotation.y0, annotation.y1))
        return xs[0], ys[0], xs[1], ys[1]
    points = np.asarray(annotation.points, np.float64)
    return float(points[:, 0].min()), float(points[:, 1].min()), float(points[:, 0].max()), float(points[:, 1].max())


def _coordinates(name: str, annotation: Click | Box, *fields: str) -> None:
    """Make the fields floats, or raise AnnotationError."""
    values = tuple(getattr(annotation, field) for field in fields)
    if not all(is_number(value) for value in values):
        raise AnnotationError(f"{name}: got {values}, accepted: finite pixel coordinates")
    for field, value in zip(fields, values, strict=True):
        object.__setattr__(annotation, field, float(value))


def _pixels(name: str, annotation: Click | Stroke, field: str) -> None:
    value = getattr(annotation, field)
    if not is_number(value) or value <= 0:
        raise AnnotationError(f"{name}: got {value!r}, accepted: a number of pixels above 0")
    object.__setattr__(annotation, field, float(value))


def is_number(value: object) -> bool:
    """Return whether a value is a finite real number, of Python or NumPy, that a float can hold."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _class_id(name: str, annotation: Click | Box | Stroke | Region) -> None:
    value = annotation.class_id
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise AnnotationError(f"{name} class: got {value!r}, accepted: an integer from 0 (background)")
    object.__setattr__(annotation, "class_id", int(value))


def _points(name: str, points: Sequence[Sequence[float]], at_least: int) -> tuple[Point, ...]:
    try:
        array = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 2 or array.shape[1] != 2 or len(array) < at_least or not np.isfinite(array).all():
        given = f"{len(array)} points" if array.ndim == 2 else repr(points)[:80]
        raise AnnotationError(f"{name}: got {given}, accepted: at least {at_least} finite (x, y) pairs")
    return tuple((float(x), float(y)) for x, y in array)


Shape = Click | Box | Stroke | Region
_SHAPES: dict[str, type[Click] | type[Box] | type[Stroke] | type[Region]] = {
    "click": Click,
    "box": Box,
    "stroke": Stroke,
    "region": Region,
}


def shape_to_json(shape: Shape) -> dict[str, Any]:
    """Return ``{"kind": "click", "x": 1.0, ...}`` for a shape."""
    # Not asdict, which copies every point of a polygon.
    return {"kind": type(shape).__name__.lower()} | {
        field.name: getattr(shape, field.name) for field in dataclasses.fields(shape)
    }


def shape_from_json(values: Mapping[str, Any]) -> Shape:
    """Read the values of ``shape_to_json``. Raises KeyError, TypeError or AnnotationError for others."""
    fields = dict(values)
    return _SHAPES[fields.pop("kind")](**fields)
