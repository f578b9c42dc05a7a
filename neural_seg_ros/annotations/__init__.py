"""Annotations: clicks, boxes, strokes, regions and masks that a user draws on a frame."""

from neural_seg_ros.annotations.shapes import (
    Annotation,
    Box,
    Click,
    Mask,
    Point,
    Region,
    Stroke,
    bounds_of,
    check_annotation,
    classes_of,
    is_number,
)

__all__ = [
    "Annotation",
    "Box",
    "Click",
    "Mask",
    "Point",
    "Region",
    "Stroke",
    "bounds_of",
    "check_annotation",
    "classes_of",
    "is_number",
]
