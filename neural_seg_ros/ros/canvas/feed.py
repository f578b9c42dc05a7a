"""The pictures of the canvas: the camera's frames and the segmenter's overlays."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PointStamped
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from neural_seg_ros.annotations import Point
from neural_seg_ros.annotations.ros_messages import stamp_of
from neural_seg_ros.images.files import RgbImage
from neural_seg_ros.ros.canvas import Liveness, Plane
from neural_seg_ros.ros.canvas.topics import CanvasTopics
from neural_seg_ros.ros.consumers.selection import read_label_names
from neural_seg_ros.ros.segmenter.diagnostics import began_at
from neural_seg_ros.ros.toolkit.conversion import to_rgb
from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.interface import Topic

# After this time without an overlay the camera's own picture is shown: the segmenter is off, or publishes none.
_OVERLAY_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class _Arrived:
    message: Any
    at: float


@dataclass(frozen=True, eq=False)
class CanvasFrame:
    """A frame on the canvas.

    shown    the displayed message: the camera's image, or the segmenter's overlay on it
    picture  (H, W, 3) uint8 RGB of that message
    plane    its rectangle in the scene
    """

    shown: Any
    picture: RgbImage
    plane: Plane

    @property
    def header(self) -> Any:
        """The camera's ``std_msgs/Header``, which identifies the frame for the segmenter."""
        return self.shown.header

    def is_same(self, other: CanvasFrame | None) -> bool:
        """Return whether another picture shows the same frame of the camera."""
        return (
            other is not None
            and stamp_of(self.header) is not None
            and self.header.stamp == other.header.stamp
            and self.plane == other.plane
        )


class Feed:
    """The subscriptions to the camera's images and to a segmenter's overlay, suggestions, labels and status.

    on_overlay  called after every overlay
    on_change   called after a new suggestion or new class names
    on_status   called after every status message, with True if it is of another session than the last one
    """

    def __init__(
        self,
        endpoints: Endpoints,
        topics: CanvasTopics,
        image: Topic,
        on_overlay: Callable[[], None],
        on_change: Callable[[], None],
        on_status: Callable[[bool], None],
    ) -> None:
        self.liveness = Liveness()
        self.class_names: Mapping[int, str] = {}
        self._on_overlay_callback = on_overlay
        self._on_change_callback = on_change
        self._on_status_callback = on_status
        self._image: _Arrived | None = None
        self._overlay: _Arrived | None = None
        self._suggestion: PointStamped | None = None
        for topic, callback in (
            (image, self._on_image),
            (topics.overlay, self._on_overlay),
            (topics.suggestion, self._on_suggestion),
            (topics.labels, self._on_labels),
            (topics.status, self._on_status),
        ):
            endpoints.subscription(topic, callback)

    def newest(self, before: CanvasFrame | None, plane_of: Callable[[tuple[int, int]], Plane]) -> CanvasFrame | None:
        """Return the frame to show now; None if it is still ``before``.

        The picture is the segmenter's overlay while these come, else the camera's image. ``plane_of`` returns the plane
        of a (height, width). Raises ImageError for a message that is no picture.
        """
        newest = self._newest()
        if newest is None or (before is not None and newest is before.shown):
            return None
        picture = to_rgb(newest)
        return CanvasFrame(newest, picture, plane_of((picture.shape[0], picture.shape[1])))

    def answer(self, frame: CanvasFrame) -> CanvasFrame | None:
        """Return the frame with the newest overlay; None if that is shown already or of another frame."""
        if self._overlay is None:
            return None
        overlay = self._overlay.message
        if overlay is frame.shown or overlay.header.stamp != frame.header.stamp:
            return None
        picture = to_rgb(overlay)
        return CanvasFrame(overlay, picture, frame.plane) if picture.shape == frame.picture.shape else None

    def suggestion(self, frame: CanvasFrame) -> Point | None:
        """Return (x, y) of the pixel to click next, if the segmenter's newest suggestion is of that frame."""
        message = self._suggestion
        if message is None or message.header.stamp != frame.header.stamp:
            return None
        pixel = (message.point.x, message.point.y)
        return pixel if frame.plane.inside(pixel) else None

    def _newest(self) -> Any:
        image, overlay = self._image, self._overlay
        if image is None or overlay is None:
            return (image or overlay or _Arrived(None, 0.0)).message
        return (overlay if image.at - overlay.at <= _OVERLAY_SECONDS else image).message

    def _on_image(self, message: Image | CompressedImage) -> None:
        self._image = _Arrived(message, time.monotonic())

    def _on_overlay(self, message: Image) -> None:
        self._overlay = _Arrived(message, time.monotonic())
        self._on_overlay_callback()

    def _on_suggestion(self, message: PointStamped) -> None:
        self._suggestion = message
        self._on_change_callback()

    def _on_labels(self, message: Any) -> None:
        self.class_names = read_label_names(message)
        self._on_change_callback()

    def _on_status(self, message: String) -> None:
        self._on_status_callback(self.liveness.note_status(began_at(message.data), time.monotonic()))
