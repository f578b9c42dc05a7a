"""The settings of the canvas, and the requests that gestures and menu entries make. No ROS, no clock.

Live, the canvas follows the camera. The first press freezes the frame that was pressed on, as does the menu; the menu
lets it go on. A frame on the canvas has a number, and whatever refers to another one is stale and counts for nothing.
Left alone for long the canvas rests on its frame, which is old then: the next touch only has it follow again.
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
_JOIN = 0.02
_LEAST_JOIN = 4.0


class Command(enum.Enum):
    """A command to the segmenter; the value is the service's name."""

    UNDO = "undo"
    REDO = "redo"
    CLEAR = "clear"
    SAVE = "save_session"
    LOAD = "load_session"


@dataclass(frozen=True)
class Draw:
    """Put ``annotation`` on the frozen frame, in place of what ``key`` drew before."""

    key: int
    annotation: Annotation


@dataclass(frozen=True)
class Freeze:
    """The frame on the canvas stays, and the segmenter is to answer it."""


@dataclass(frozen=True)
class Say:
    """Tell the user why nothing was done."""

    text: str


Action = Draw | Freeze | Command | Say


class Board:
    """The settings of the canvas, and the gestures on the frame that it shows.

    tool, class_id  what is drawn, and of which class (from 1)
    negative        draw background (class 0) in its place
    frozen          the frame stays; else the canvas follows the camera
    resting         the live picture is paused, because the user has not touched the canvas for long
    suggest         where to click next is shown
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
        # The newest stroke, with its key: the next one may go on with it.
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
        """Draw with another tool."""
        self.tool, self._stroke = tool, None

    def paint(self, class_id: int) -> None:
        """Draw another class; 0 only switches to background."""
        self._stroke = None
        self.negative = class_id == BACKGROUND
        if not self.negative:
            self.class_id = class_id

    def freeze(self) -> list[Action]:
        """Hold the frame on the canvas."""
        if self._plane is None:
            return [Say("no frame has arrived yet: there is nothing to freeze")]
        if self.resting:
            return self._wake()
        self.frozen = True
        return [Freeze()]

    def go_on(self) -> None:
        """Follow the camera again."""
        self.frozen = self.resting = False
        self._stroke = None
        self._gestures.clear()

    def rest(self) -> None:
        """Stay on the frame until a user touches the canvas; not while it is frozen."""
        self.resting = not self.frozen

    def command(self, command: Command) -> list[Action]:
        """Ask the segmenter for something; after it the next stroke begins anew."""
        self._stroke = None
        return [command]

    def point(self, frame: int, pointer: Pointer) -> list[Action]:
        """Return the requests of a mouse event on a frame."""
        plane = self._plane
        if plane is None or frame != self._frame:
            # A move says nothing that the press before it did not say.
            stale = f"stale: drawn on frame {frame} of the canvas, which shows frame {self._frame}; nothing is drawn"
            return [] if pointer.event is Event.MOVE else [Say(stale)]
        if self.resting:
            return self._wake() if pointer.event is Event.PRESS else []
        came = self._gestures.feed(pointer, plane, self.pen)
        actions: list[Action] = []
        if isinstance(came, Dropped):
            actions.append(Say(came.reason))
        elif came is not None:
            actions.append(self._draw(came, plane))
        pressed = pointer.event is Event.PRESS and pointer.pixel is not None and plane.inside(pointer.pixel)
        return self.freeze() + actions if pressed and not self.frozen else actions

    def click(self, pixel: Point) -> list[Action]:
        """Click on the frame, with any tool selected; as RViz's Publish Point does."""
        if self._plane is None or not self._plane.inside(pixel):
            return [Say("clicked beside the picture: nothing is drawn")]
        if self.resting:
            return self._wake()
        actions = [] if self.frozen else self.freeze()
        return [*actions, self._new(Click(*pixel, self.pen.class_id))]

    def _wake(self) -> list[Action]:
        self.go_on()
        return [Say("follows the camera again: this was only to wake it")]

    def _draw(self, gesture: Gesture, plane: Plane) -> Draw | Say:
        try:
            drawn = gesture.pen.draw(gesture.points)
        except AnnotationError as error:
            return Say(str(error))
        return self._continued(drawn, plane) if isinstance(drawn, Stroke) else self._new(drawn)

    def _continued(self, stroke: Stroke, plane: Plane) -> Draw:
        """Return the stroke; where it begins at the end of the one before, both in one, under the key of that one."""
        near = max(_LEAST_JOIN, _JOIN * max(plane.size))
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
