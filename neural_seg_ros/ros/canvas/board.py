"""The settings of the canvas, and the requests that gestures and menu entries make. No ROS, no clock.

While live, the canvas follows the camera. The first press freezes the frame under the mouse; the menu freezes and
unfreezes too. Every frame on the canvas has a number, and an event with another number is stale and ignored. A canvas
that is left alone for long rests on its frame; the next touch only makes it follow the camera again.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from neural_seg_ros.annotations import Annotation, Click, Point, Stroke
from neural_seg_ros.annotations.ros_messages import MAX_POINTS
from neural_seg_ros.errors import AnnotationError
from neural_seg_ros.ros.canvas.geometry import Plane
from neural_seg_ros.ros.canvas.gestures import BACKGROUND, Dropped, Event, Gesture, Gestures, Pen, Pointer, Tool

# A stroke that begins within this distance of the last one's end continues it, as a share of the frame's longer side.
_JOIN_SHARE = 0.02
_MIN_JOIN_PX = 4.0


class Command(enum.Enum):
    """A command to the segmenter; the value is the service's name."""

    UNDO = "undo"
    REDO = "redo"
    CLEAR = "clear"
    SAVE = "save_session"
    LOAD = "load_session"


@dataclass(frozen=True)
class Draw:
    """The request to put ``annotation`` on the frozen frame; it replaces the annotation with the same ``key``."""

    key: int
    annotation: Annotation


@dataclass(frozen=True)
class Freeze:
    """The request to freeze the frame on the canvas and to have the segmenter answer it."""


@dataclass(frozen=True)
class Notify:
    """A text for the user, such as why a request was ignored."""

    text: str


Action = Draw | Freeze | Command | Notify


class Board:
    """The settings of the canvas, and the gestures on the frame that it shows.

    tool, class_id  shape and class (from 1) of the next drawing
    negative        draw background (class 0) instead of ``class_id``
    frozen          the canvas holds its frame; else it follows the camera
    resting         the live picture is paused, because the user has not touched the canvas for long
    suggest         show the suggested next click
    """

    def __init__(self, stroke_width: float = 3.0) -> None:
        self.tool = Tool.CLICK
        self.class_id = 1
        self.negative = False
        self.frozen = False
        self.resting = False
        self.suggest = False
        self._stroke_width = stroke_width
        self._gestures = Gestures()
        self._plane: Plane | None = None
        self._frame = 0
        self._keys = 0
        # The newest stroke, with its key; the next one may continue it.
        self._stroke: tuple[int, Stroke] | None = None

    @property
    def frame(self) -> int:
        """The number of the frame on the canvas, 0 before the first."""
        return self._frame

    @property
    def pen(self) -> Pen:
        """The pen of the next gesture."""
        return Pen(self.tool, BACKGROUND if self.negative else self.class_id, self._stroke_width)

    def show(self, plane: Plane) -> int:
        """Show another frame; returns its number. Gestures on the frame before are dropped."""
        self._plane = plane
        self._frame += 1
        self._gestures.clear()
        self._stroke = None
        return self._frame

    def choose(self, tool: Tool) -> None:
        """Select another tool."""
        self.tool, self._stroke = tool, None

    def paint(self, class_id: int) -> None:
        """Select another class; 0 only switches to background."""
        self._stroke = None
        self.negative = class_id == BACKGROUND
        if not self.negative:
            self.class_id = class_id

    def freeze(self) -> list[Action]:
        """Hold the frame on the canvas."""
        if self._plane is None:
            return [Notify("no frame has arrived yet: there is nothing to freeze")]
        if self.resting:
            return self._wake()
        self.frozen = True
        return [Freeze()]

    def follow_camera(self) -> None:
        """Follow the camera again."""
        self.frozen = self.resting = False
        self._stroke = None
        self._gestures.clear()

    def rest(self) -> None:
        """Pause on the frame until a user touches the canvas, unless it is frozen."""
        self.resting = not self.frozen

    def command(self, command: Command) -> list[Action]:
        """Return the request for a command; the next stroke does not continue the last one."""
        self._stroke = None
        return [command]

    def point(self, frame: int, pointer: Pointer) -> list[Action]:
        """Return the requests of a mouse event on a frame."""
        plane = self._plane
        if plane is None or frame != self._frame:
            # A stale press was reported; its moves need no report.
            stale = f"stale: drawn on frame {frame} of the canvas, which shows frame {self._frame}; nothing is drawn"
            return [] if pointer.event is Event.MOVE else [Notify(stale)]
        if self.resting:
            return self._wake() if pointer.event is Event.PRESS else []
        gesture = self._gestures.feed(pointer, plane, self.pen)
        actions: list[Action] = []
        if isinstance(gesture, Dropped):
            actions.append(Notify(gesture.reason))
        elif gesture is not None:
            actions.append(self._draw(gesture, plane))
        pressed = pointer.event is Event.PRESS and pointer.pixel is not None and plane.inside(pointer.pixel)
        return self.freeze() + actions if pressed and not self.frozen else actions

    def click(self, pixel: Point) -> list[Action]:
        """Click on the frame whatever the selected tool, for RViz's Publish Point."""
        if self._plane is None or not self._plane.inside(pixel):
            return [Notify("clicked beside the picture: nothing is drawn")]
        if self.resting:
            return self._wake()
        actions = [] if self.frozen else self.freeze()
        return [*actions, self._new(Click(*pixel, self.pen.class_id))]

    def _wake(self) -> list[Action]:
        self.follow_camera()
        return [Notify("the canvas follows the camera again; this press drew nothing")]

    def _draw(self, gesture: Gesture, plane: Plane) -> Draw | Notify:
        try:
            drawn = gesture.pen.draw(gesture.points)
        except AnnotationError as error:
            return Notify(str(error))
        return self._continued(drawn, plane) if isinstance(drawn, Stroke) else self._new(drawn)

    def _continued(self, stroke: Stroke, plane: Plane) -> Draw:
        """Return the request for a stroke, joined with the previous one if it begins at that one's end."""
        near = max(_MIN_JOIN_PX, _JOIN_SHARE * max(plane.size))
        before = self._stroke
        if (
            before is not None
            and before[1].class_id == stroke.class_id
            and _apart(before[1].points[-1], stroke.points[0]) <= near
            and len(before[1].points) + len(stroke.points) <= MAX_POINTS
        ):
            stroke = Stroke((*before[1].points, *stroke.points), stroke.class_id, stroke.width)
            drawn = Draw(before[0], stroke)
        else:
            drawn = self._new(stroke)
        self._stroke = drawn.key, stroke
        return drawn

    def _new(self, annotation: Annotation) -> Draw:
        self._keys += 1
        self._stroke = None
        return Draw(self._keys, annotation)


def _apart(one: Point, other: Point) -> float:
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]))
