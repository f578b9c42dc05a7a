"""Annotations as JSON values and back; dense masks are arrays, and have files of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from neural_seg_ros.annotations.shapes import Box, Click, Region, Stroke

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
