"""Annotation messages of rclpy and of rosbags to annotations; pixels of the frame that the message's stamp names.

Every function checks its message. An AnnotationError names the field, its value and the accepted values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_seg_ros.annotations.shapes import Annotation, Box, Click, Region, Stroke
from neural_seg_ros.errors import AnnotationError, short

MAX_POINTS = 10_000
# Bytes of a message with that many points and their colors, which are ignored.
MAX_BYTES = 2**20
# Characters of the text that names a class.
MAX_TEXT = 256
# Suffix after the class of a POLYGON that makes it a bounding box.
BOUNDING = "bounding"
# Every point of a POINTS marker is a click, and undo keeps a snapshot for each click.
MAX_CLICKS = 100
ClassNames = Mapping[int, str]
# Constants of visualization_msgs/msg/ImageMarker: types and actions.
CIRCLE, LINE_STRIP, POLYGON, POINTS = 0, 1, 3, 4
ADD, REMOVE = 0, 1


@dataclass(frozen=True)
class Draw:
    """A command to put the annotations of a marker on the frame, in place of the earlier ones of its id."""

    marker_id: int
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True)
class Remove:
    """A command to take back the annotations of a marker id."""

    marker_id: int


def stamp_of(header: Any) -> float | None:
    """Return the seconds of a header's stamp, or None if it is zero, which means the latest frame."""
    nanoseconds = int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)
    return nanoseconds * 1e-9 if nanoseconds else None


def click(message: Any, class_id: int) -> Click:
    """Convert a ``geometry_msgs`` PointStamped or Point to a click."""
    point = message.point if hasattr(message, "point") else message
    return Click(point.x, point.y, class_id)


def box(message: Any, class_id: int) -> Box:
    """Convert a ``geometry_msgs/msg/PolygonStamped`` of two opposite or four corners to a box."""
    points = _pixels("box", message.polygon.points)
    if len(points) not in (2, 4):
        raise AnnotationError(f"box: got {len(points)} points, accepted: 2 opposite or 4 corners")
    xs, ys = zip(*points, strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys), class_id)


def stroke(message: Any, class_id: int, width: float = 1.0) -> Stroke:
    """Convert points to a stroke ``width`` pixels wide."""
    return Stroke(_pixels("stroke", message.polygon.points), class_id, width)


def region(message: Any, class_id: int) -> Region:
    """Convert a polygon to a filled region."""
    return Region(_pixels("region", message.polygon.points), class_id)


def marker(message: Any, class_names: ClassNames, active_class: int) -> Draw | Remove:
    """Convert a ``visualization_msgs/msg/ImageMarker`` to the annotations it asks for.

    ``ns`` is the name or the id of a class, empty for ``active_class``. ``scale`` is the diameter of POINTS and CIRCLE
    and the width of LINE_STRIP in pixels, 0 for one pixel. POINTS are clicks, a POLYGON is a filled region; with
    ``:bounding`` after the class it is the bounding box of its points.
    """
    if message.action == REMOVE:
        return Remove(message.id)
    if message.action != ADD:
        raise AnnotationError(f"annotation action: got {message.action}, accepted: 0 (ADD) | 1 (REMOVE)")
    if len(message.ns) > MAX_TEXT:
        raise AnnotationError(f"annotation ns: got {len(message.ns)} characters, accepted: at most {MAX_TEXT}")
    text, bounding = split_bounding(message.ns, class_names)
    class_id = class_of(text, class_names, active_class)
    if bounding and message.type != POLYGON:
        raise AnnotationError(
            f"annotation ns: got {short(message.ns)} on type {message.type}, accepted: :{BOUNDING} on type 3 (POLYGON)"
        )
    if not (math.isfinite(message.scale) and message.scale >= 0):
        raise AnnotationError(f"annotation scale: got {message.scale}, accepted: a number of pixels from 0")
    width = max(1.0, float(message.scale))
    if message.type == CIRCLE:
        ((x, y),) = _pixels("annotation", [message.position])
        return Draw(message.id, (Click(x, y, class_id, max(1.0, width / 2)),))
    points = _pixels("annotation", message.points)
    if not points:
        raise AnnotationError(f"annotation points: got none, accepted: 1 to {MAX_POINTS} points")
    if message.type == POINTS:
        if len(points) > MAX_CLICKS:
            raise AnnotationError(f"annotation points: got {len(points)}, accepted: 1 to {MAX_CLICKS} for POINTS")
        return Draw(message.id, tuple(Click(x, y, class_id, max(1.0, width / 2)) for x, y in points))
    if message.type == LINE_STRIP:
        return Draw(message.id, (Stroke(points, class_id, width),))
    if bounding:
        xs, ys = zip(*points, strict=True)
        return Draw(message.id, (Box(min(xs), min(ys), max(xs), max(ys), class_id, bounding=True),))
    if message.type == POLYGON:
        return Draw(message.id, (Region(points, class_id),))
    raise AnnotationError(
        f"annotation type: got {message.type}, accepted: 0 (CIRCLE) | 1 (LINE_STRIP) | 3 (POLYGON) | 4 (POINTS)"
    )


def split_bounding(text: str, class_names: ClassNames) -> tuple[str, bool]:
    """Split a text into its class and whether ``:bounding`` follows; a declared name may contain colons."""
    name, colon, suffix = text.rpartition(":")
    if colon and suffix.strip() == BOUNDING and text.strip() not in class_names.values():
        return name, True
    return text, False


def class_of(text: str, class_names: ClassNames, active_class: int) -> int:
    """Return the class id that a text names: a declared name, a number from 0, or ``active_class`` for none."""
    wanted = text.strip()
    if not wanted:
        return active_class
    for class_id, name in class_names.items():
        if name == wanted:
            return class_id
    if wanted.isascii() and wanted.isdecimal() and len(wanted) <= 5:  # ids end at 65534
        return int(wanted)
    declared = ", ".join(f"{name} ({class_id})" for class_id, name in sorted(class_names.items())) or "none declared"
    raise AnnotationError(
        f"annotation class: got {short(text)}, accepted: a class id, or a name of class_names: {declared}; "
        f"then :{BOUNDING} for a bounding box"
    )


def _pixels(name: str, points: Iterable[Any]) -> tuple[tuple[float, float], ...]:
    """Return (x, y) of points; z is ignored."""
    listed = list(points)
    if len(listed) > MAX_POINTS:
        raise AnnotationError(f"{name}: got {len(listed)} points, accepted: at most {MAX_POINTS}")
    pixels = np.array([(point.x, point.y) for point in listed], np.float64).reshape(-1, 2)
    if not np.isfinite(pixels).all():
        raise AnnotationError(
            f"{name}: got a point that is not a number or infinite, accepted: finite pixel coordinates"
        )
    return tuple((float(x), float(y)) for x, y in pixels)
