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
from neural_seg_ros.ros.consumers.selection import label_names
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
class KeyFrame:
    """A frame on the canvas.

    shown    the message that shows it: the camera's image, or the segmenter's overlay on it
    picture  (H, W, 3) uint8 RGB of that message
    plane    where it lies
    """

    shown: Any
    picture: RgbImage
    plane: Plane

    @property
    def header(self) -> Any:
        """The camera's ``std_msgs/Header``, by which the segmenter knows the frame."""
        return self.shown.header

    def is_same(self, other: KeyFrame | None) -> bool:
        """Return whether another picture shows the same frame of the camera."""
        return (
            other is not None
            and stamp_of(self.header) is not None
            and self.header.stamp == other.header.stamp
            and self.plane == other.plane
        )


class Feed:
    """The subscriptions to the camera's images and to a segmenter's overlay, suggestions, labels and status.

    on_overlay  called with every overlay
    on_change   called when there is another suggestion, or other names
    on_sign     called with every sign of life, and whether it is another session's than the last
    """

    def __init__(
        self,
        endpoints: Endpoints,
        topics: CanvasTopics,
        image: Topic,
        on_overlay: Callable[[], None],
        on_change: Callable[[], None],
        on_sign: Callable[[bool], None],
    ) -> None:
        self.pulse = Liveness()
        self.class_names: Mapping[int, str] = {}
        self._told_overlay = on_overlay
        self._told_change = on_change
        self._told_sign = on_sign
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

    def newest(self, before: KeyFrame | None, plane_of: Callable[[tuple[int, int]], Plane]) -> KeyFrame | None:
        """Return the frame to show now, None while that is the one before.

        It is shown by the segmenter's overlay while these come, else by the camera's image. ``plane_of`` gives the
        plane of a (height, width). Raises ImageError for a message that is no picture.
        """
        newest = self._newest()
        if newest is None or (before is not None and newest is before.shown):
            return None
        picture = to_rgb(newest)
        return KeyFrame(newest, picture, plane_of((picture.shape[0], picture.shape[1])))

    def answer(self, frame: KeyFrame) -> KeyFrame | None:
        """Return the frame as the segmenter's newest overlay shows it; None where that is not news of this frame."""
        if self._overlay is None:
            return None
        overlay = self._overlay.message
        if overlay is frame.shown or overlay.header.stamp != frame.header.stamp:
            return None
        picture = to_rgb(overlay)
        return KeyFrame(overlay, picture, frame.plane) if picture.shape == frame.picture.shape else None

    def suggestion(self, frame: KeyFrame) -> Point | None:
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
        self._told_overlay()

    def _on_suggestion(self, message: PointStamped) -> None:
        self._suggestion = message
        self._told_change()

    def _on_labels(self, message: Any) -> None:
        self.class_names = label_names(message)
        self._told_change()

    def _on_status(self, message: String) -> None:
        self._told_sign(self.pulse.beat(began_at(message.data), time.monotonic()))
