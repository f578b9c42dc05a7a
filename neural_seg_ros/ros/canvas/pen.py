"""The pen of a gesture: the tool and the class that were set when it began."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from neural_seg_ros.annotations import Annotation, Box, Click, Point, Stroke

BACKGROUND = 0


class Tool(enum.Enum):
    """A drawing tool."""

    CLICK = "click"
    BOX = "box"
    BOUNDING = "bounding box"
    STROKE = "stroke"


@dataclass(frozen=True)
class Pen:
    """A tool, a class id from 0, and the width of strokes in pixels."""

    tool: Tool
    class_id: int
    width: float

    def draw(self, points: tuple[Point, ...]) -> Annotation:
        """Convert a gesture through points (x, y), at least one, to an annotation. Raises AnnotationError.

        A click is where it was pressed, however far the mouse went; a box goes from the first pixel to the last.
        """
        if self.tool is Tool.CLICK:
            return Click(*points[0], self.class_id)
        if self.tool is Tool.STROKE:
            return Stroke(points, self.class_id, self.width)
        x0, y0, x1, y1 = (float(round(value)) for value in (*points[0], *points[-1]))
        return Box(x0, y0, x1, y1, self.class_id, bounding=self.tool is Tool.BOUNDING)
