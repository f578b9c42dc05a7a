"""Messages of the canvas, from the pure parts: its interactive marker, its annotations, and what feedback says."""

from __future__ import annotations

import array
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import (
    ImageMarker,
    InteractiveMarker,
    InteractiveMarkerControl,
    InteractiveMarkerFeedback,
    Marker,
    MenuEntry,
)

from neural_seg_ros.annotations import Annotation, Box, Click, Region, Stroke
from neural_seg_ros.annotations.ros_messages import BOUNDING
from neural_seg_ros.errors import AnnotationError
from neural_seg_ros.images.files import RgbImage
from neural_seg_ros.ros.canvas import Entry, Event, Plane, cells, texture, triangles

MARKER_NAME = "canvas"
_CONTROL = "frame "
_STATUS = "status"
_WHITE = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
# The text above the picture, in parts of its width.
_TEXT = 0.04
_LINE = 64
# BUTTON_CLICK and MOUSE_UP tell of the same release, and either may be lost.
_EVENTS = {
    InteractiveMarkerFeedback.POSE_UPDATE: Event.MOVE,
    InteractiveMarkerFeedback.MOUSE_DOWN: Event.PRESS,
    InteractiveMarkerFeedback.MOUSE_UP: Event.RELEASE,
    InteractiveMarkerFeedback.BUTTON_CLICK: Event.RELEASE,
}


@dataclass(frozen=True)
class Surface:
    """The way a picture is put onto the plane.

    kind          ``texture``, or ``triangles``: colored ones, ``columns`` pairs of them across
    longer_side   pixels of the texture, at most
    encoding      of the texture: ``png`` or ``jpeg``
    """

    kind: str
    longer_side: int
    encoding: str
    columns: int


def textures_exist() -> bool:
    """Return whether the markers of this distribution can carry a texture."""
    return {"texture_resource", "texture", "uv_coordinates"} <= set(Marker.get_fields_and_field_types())


def interactive_marker(
    frame_id: str, plane: Plane, picture: RgbImage, number: int, menu: Iterable[Entry], text: str, surface: Surface
) -> InteractiveMarker:
    """Return the canvas with a picture on it: one control named by the frame's number, and a line of text above it.

    Its stamp is 0, so that RViz keeps it in its frame and gives points in that frame.
    """
    x, y, z, w = plane.orientation
    across, up, away = plane.position
    marker = InteractiveMarker(
        header=Header(frame_id=frame_id),
        name=MARKER_NAME,
        scale=plane.width,
        pose=Pose(position=Point(x=across, y=up, z=away), orientation=Quaternion(x=x, y=y, z=z, w=w)),
    )
    marker.menu_entries = [
        MenuEntry(id=entry.id, parent_id=entry.parent, title=entry.title, command_type=MenuEntry.FEEDBACK)
        for entry in menu
    ]
    marker.controls = [
        _control(f"{_CONTROL}{number}", InteractiveMarkerControl.BUTTON, _picture(plane, picture, surface)),
        _control(_STATUS, InteractiveMarkerControl.NONE, _caption(plane, text)),
    ]
    return marker


def frame_number(feedback: InteractiveMarkerFeedback) -> int:
    """Return the number of the frame that was touched, by the control's name; -1 where it names none."""
    digits = feedback.control_name.removeprefix(_CONTROL)
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else -1


def event_of(feedback: InteractiveMarkerFeedback) -> Event | None:
    """Convert feedback to a mouse event; None for feedback about something else."""
    return _EVENTS.get(feedback.event_type)


def annotation_marker(annotation: Annotation, key: int, header: Header) -> ImageMarker:
    """Make the ``ImageMarker`` of an annotation under an id: the inverse of ``annotations.ros_messages.marker``.

    A filled box goes as the polygon of its corners. Raises AnnotationError for a mask.
    """
    if isinstance(annotation, Click):
        kind, points, scale = ImageMarker.POINTS, [(annotation.x, annotation.y)], 2 * annotation.radius
    elif isinstance(annotation, Stroke):
        kind, points, scale = ImageMarker.LINE_STRIP, list(annotation.points), annotation.width
    elif isinstance(annotation, Region):
        kind, points, scale = ImageMarker.POLYGON, list(annotation.points), 0.0
    elif isinstance(annotation, Box):
        kind, points, scale = ImageMarker.POLYGON, _corners(annotation), 0.0
    else:
        raise AnnotationError(f"annotation: got {type(annotation).__name__}, accepted: Click | Box | Stroke | Region")
    bounding = f":{BOUNDING}" if isinstance(annotation, Box) and annotation.bounding else ""
    message = ImageMarker(header=header, ns=f"{annotation.class_id}{bounding}", id=key, type=kind, scale=float(scale))
    message.points = [Point(x=float(x), y=float(y)) for x, y in points]
    return message


def reanswer_marker(key: int, header: Header) -> ImageMarker:
    """Make an ``ImageMarker`` that removes an id's drawing; with an unused id the frame is answered again."""
    return ImageMarker(header=header, id=key, action=ImageMarker.REMOVE)


def _control(name: str, mode: int, marker: Marker) -> InteractiveMarkerControl:
    control = InteractiveMarkerControl(name=name, interaction_mode=mode, always_visible=True, markers=[marker])
    control.orientation.w = 1.0
    return control


def _picture(plane: Plane, picture: RgbImage, surface: Surface) -> Marker:
    marker = Marker(type=Marker.TRIANGLE_LIST, scale=Vector3(x=1.0, y=1.0, z=1.0), color=_WHITE)
    if surface.kind == "texture":
        _embed(marker, texture(picture, surface.longer_side, surface.encoding), surface.encoding)
        marker.uv_coordinates = [_uv(u, v) for u, v in triangles(plane.size).textures.tolist()]
        marker.points = _points(plane, 1, 1)
    else:
        colors = cells(picture, surface.columns)
        # One color a triangle, of which a cell has two.
        marker.colors = [
            color
            for red, green, blue in colors.reshape(-1, 3).tolist()
            for color in [ColorRGBA(r=red, g=green, b=blue, a=1.0)] * 2
        ]
        marker.points = _points(plane, colors.shape[1], colors.shape[0])
    return marker


# Tens of thousands of Python objects for colored triangles, and the same for every picture.
@lru_cache(maxsize=2)
def _points(plane: Plane, columns: int, rows: int) -> list[Point]:
    corners = (plane.local((x, y)) for x, y in triangles(plane.size, columns, rows).corners.tolist())
    return [Point(x=across, y=up, z=away) for across, up, away in corners]


def _embed(marker: Marker, data: bytes, encoding: str) -> None:
    # RViz hands the format to its image decoder as it is: a file's suffix, nothing else.
    marker.texture_resource = f"embedded://{MARKER_NAME}"
    marker.texture.format = encoding
    # Anything but an array.array rclpy checks byte by byte.
    marker.texture.data = array.array("B", data)


def _uv(u: float, v: float) -> Any:
    # Not there where markers carry no textures.
    from visualization_msgs.msg import UVCoordinate

    return UVCoordinate(u=u, v=v)


def _caption(plane: Plane, text: str) -> Marker:
    size = _TEXT * plane.width
    lines = textwrap.wrap(text, _LINE)
    text = "\n".join(lines)
    marker = Marker(type=Marker.TEXT_VIEW_FACING, text=text, color=_WHITE, scale=Vector3(x=size, y=size, z=size))
    # The text is centered on its position.
    marker.pose.position.y = plane.height / 2 + size * (0.5 + len(lines) / 2)
    marker.pose.orientation.w = 1.0
    return marker


def _corners(box: Box) -> list[tuple[float, float]]:
    if box.bounding:
        return [(box.x0, box.y0), (box.x1, box.y1)]
    return [(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1)]
