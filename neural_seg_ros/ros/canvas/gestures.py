"""Mouse gestures on the canvas, from single events that may be lost or arrive twice.

RViz reports the press and the release of a drag twice: a move precedes both, and a button's release comes as a click
and as a release. A double click gives a press, three releases and no second press. RViz reports no release when its
window loses the mouse, or when an update removes the pressed control. Therefore:

- A gesture goes from a press to the next release; other events are ignored.
- A gesture belongs to the client (the RViz) that began it; gestures of several clients run side by side. It keeps the
  pen of its begin, whatever another client selects meanwhile.
- A press drops an open gesture, because its release was lost. A gesture also expires after ``TIMEOUT_SECONDS``.
- A press beside the picture begins no gesture. A release at no point of the canvas drops the gesture, so that a user
  can take it back. A release beside the picture, but on its plane, ends it at the border.
- Moves in between, from clients that report them, become points of the gesture.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from neural_seg_ros.annotations import Annotation, Box, Click, Point, Stroke
from neural_seg_ros.ros.canvas.geometry import Plane

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

        A click is at the press, wherever the release; a box goes from the first pixel to the last.
        """
        if self.tool is Tool.CLICK:
            return Click(*points[0], self.class_id)
        if self.tool is Tool.STROKE:
            return Stroke(points, self.class_id, self.width)
        x0, y0, x1, y1 = (float(round(value)) for value in (*points[0], *points[-1]))
        return Box(x0, y0, x1, y1, self.class_id, bounding=self.tool is Tool.BOUNDING)


TIMEOUT_SECONDS = 60.0
MAX_CLIENTS = 16
MAX_POINTS = 5_000
# Least distance of two points of one gesture.
_MIN_STEP_PX = 0.5


class Event(enum.Enum):
    """A mouse event."""

    PRESS = "press"
    MOVE = "move"
    RELEASE = "release"


@dataclass(frozen=True)
class Pointer:
    """One event.

    client  name of the RViz client
    pixel   (x, y) in pixels under the mouse, possibly outside the frame; None beside the canvas
    time    seconds on any clock that does not go back
    """

    client: str
    event: Event
    pixel: Point | None
    time: float


@dataclass(frozen=True)
class Gesture:
    """A drawn gesture: ``points`` (x, y) in pixels of the frame from press to release, at least one."""

    points: tuple[Point, ...]
    pen: Pen


@dataclass(frozen=True)
class Dropped:
    """An ignored gesture or press, and the reason."""

    reason: str


@dataclass(frozen=True)
class _Open:
    began: float
    pen: Pen
    points: list[Point]


class Gestures:
    """The open gestures on one frame."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    def feed(self, pointer: Pointer, plane: Plane, pen: Pen) -> Gesture | Dropped | None:
        """Add an event; return the gesture that it ends, or None. ``pen`` is for a gesture that begins."""
        for client, gesture in list(self._open.items()):
            if pointer.time - gesture.began > TIMEOUT_SECONDS:
                del self._open[client]
        if pointer.event is Event.PRESS:
            return self._press(pointer, plane, pen)
        gesture_open = self._open.get(pointer.client)
        if gesture_open is None:
            return None
        if pointer.pixel is not None and len(gesture_open.points) < MAX_POINTS:
            _extend(gesture_open.points, plane.nearest(pointer.pixel))
        if pointer.event is Event.MOVE:
            return None
        del self._open[pointer.client]
        if pointer.pixel is None:
            return Dropped("released beside the canvas: nothing is drawn")
        return Gesture(tuple(gesture_open.points), gesture_open.pen)

    def clear(self) -> None:
        """Drop all open gestures."""
        self._open.clear()

    def _press(self, pointer: Pointer, plane: Plane, pen: Pen) -> Dropped | None:
        lost = self._open.pop(pointer.client, None)
        if pointer.pixel is None or not plane.inside(pointer.pixel):
            return Dropped("pressed beside the picture: nothing is drawn")
        if len(self._open) >= MAX_CLIENTS:
            del self._open[next(iter(self._open))]
        self._open[pointer.client] = _Open(pointer.time, pen, [plane.nearest(pointer.pixel)])
        return None if lost is None else Dropped("the release of the last drag was lost: it is not drawn")


def _extend(points: list[Point], point: Point) -> None:
    last = points[-1]
    if max(abs(point[0] - last[0]), abs(point[1] - last[1])) >= _MIN_STEP_PX:
        points.append(point)
