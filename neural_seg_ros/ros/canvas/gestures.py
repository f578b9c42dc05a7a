"""Mouse gestures on the canvas, from single events that may be lost or arrive twice.

Of a drag RViz tells the press and the release, and each twice: a move precedes both, and of a button the release is
told as a click and as a release. Of a double click it tells a press, three releases and no second press. No release is
told where the window loses the mouse, or an update takes what was pressed away. Hence:

- A gesture goes from a press to the next release; what comes while none is open counts for nothing.
- A gesture belongs to the client (the RViz) that began it; those of several clients run side by side. It is drawn with
  the pen that held when it began, whatever another client chooses meanwhile.
- A press while one is open drops that one: its release was lost. So does waiting ``PATIENCE`` seconds.
- Pressed beside the picture nothing begins; released where there is no point of the canvas, it is dropped, which is how
  a user takes it back. Released beside the picture, but on its plane, it ends at the border.
- Points of moves in between, of clients that tell them, become points of the gesture.
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

        A click is where it was pressed, however far the mouse went; a box goes from the first pixel to the last.
        """
        if self.tool is Tool.CLICK:
            return Click(*points[0], self.class_id)
        if self.tool is Tool.STROKE:
            return Stroke(points, self.class_id, self.width)
        x0, y0, x1, y1 = (float(round(value)) for value in (*points[0], *points[-1]))
        return Box(x0, y0, x1, y1, self.class_id, bounding=self.tool is Tool.BOUNDING)


PATIENCE = 60.0
MAX_CLIENTS = 16
MAX_POINTS = 5_000
# Least distance of two points of one gesture.
_STEP = 0.5


class Event(enum.Enum):
    """A mouse event."""

    PRESS = "press"
    MOVE = "move"
    RELEASE = "release"


@dataclass(frozen=True)
class Pointer:
    """One event.

    client  name of the RViz client
    pixel   (x, y) in pixels under the mouse, maybe outside of the frame; None where there is no point of the canvas
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
    """A gesture or a press that counts for nothing, and why."""

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
        """Feed an event; returns the gesture that it ends, or None. ``pen`` is that of a gesture that begins."""
        for client, gesture in list(self._open.items()):
            if pointer.time - gesture.began > PATIENCE:
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
        """Drop the open gesture."""
        self._open.clear()

    def _press(self, pointer: Pointer, plane: Plane, pen: Pen) -> Dropped | None:
        lost = self._open.pop(pointer.client, None)
        if pointer.pixel is None or not plane.inside(pointer.pixel):
            return Dropped("pressed beside the picture: nothing is drawn")
        if len(self._open) >= MAX_CLIENTS:
            del self._open[next(iter(self._open))]
        self._open[pointer.client] = _Open(pointer.time, pen, [plane.nearest(pointer.pixel)])
        return None if lost is None else Dropped("the end of a drag did not arrive: it is not drawn")


def _extend(points: list[Point], point: Point) -> None:
    last = points[-1]
    if max(abs(point[0] - last[0]), abs(point[1] - last[1])) >= _STEP:
        points.append(point)
