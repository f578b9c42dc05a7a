"""The subscriptions of the segmenter: camera images, calibration and annotations."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from geometry_msgs.msg import PointStamped
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from visualization_msgs.msg import ImageMarker

from neural_seg_ros.annotations import Annotation, Click, ros_messages
from neural_seg_ros.annotations.ros_messages import Draw, stamp_of
from neural_seg_ros.errors import AnnotationError
from neural_seg_ros.images.camera_model import is_rectified, published_size
from neural_seg_ros.images.ros_messages import check_bounds
from neural_seg_ros.live import LiveSession
from neural_seg_ros.ros.segmenter import interface
from neural_seg_ros.ros.segmenter.parameters import Settings
from neural_seg_ros.ros.segmenter.projection import CameraFrame, click_at
from neural_seg_ros.ros.toolkit.conversion import to_rgb
from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.interface import Topic
from neural_seg_ros.ros.toolkit.throttled_log import ThrottledLog

_MAX_CALLBACK_TIMES = 10_000


class Inputs:
    """The subscriptions of the segmenter, which feed a live session.

    settings     returns the current parameters
    camera_frame transforms points to the camera's frame
    log          logs refused messages
    """

    def __init__(
        self,
        endpoints: Endpoints,
        live: LiveSession,
        settings: Callable[[], Settings],
        camera_frame: CameraFrame,
        log: ThrottledLog,
    ) -> None:
        self._endpoints = endpoints
        self._camera_frame = camera_frame
        self._live = live
        self._settings = settings
        self._log = log
        self._camera_info: CameraInfo | None = None
        self._frame_size: tuple[int, int] | None = None
        self._callback_seconds: deque[float] = deque(maxlen=_MAX_CALLBACK_TIMES)
        self._subscriptions: list[Any] = []
        # An image must not wait for the conversion of an annotation.
        frames, annotations = MutuallyExclusiveCallbackGroup(), MutuallyExclusiveCallbackGroup()
        image = interface.image(settings().start.image_transport)
        self._rectified = is_rectified(self._subscribe(image, self._on_image, frames).topic_name)
        self._subscribe(interface.CAMERA_INFO, self._on_camera_info, annotations)
        for topic, convert in (
            (interface.CLICK, ros_messages.click),
            (interface.BOX, ros_messages.box),
            (interface.STROKE, ros_messages.stroke),
            (interface.REGION, ros_messages.region),
            (interface.MOUSE, ros_messages.click),
        ):
            self._subscribe(topic, partial(self._on_shape, topic, convert), annotations)
        self._subscribe(interface.POINT, self._on_clicked_point, annotations)
        self._subscribe(interface.MARKER, self._on_marker, annotations)

    def callback_seconds(self) -> list[float]:
        """Return the durations of the latest calls of the image callback, oldest first."""
        return list(self._callback_seconds.copy())

    def destroy(self) -> None:
        """Remove all subscriptions."""
        for subscription in self._subscriptions:
            self._endpoints.destroy(subscription)

    def _subscribe(self, topic: Topic, callback: Callable[[Any], None], group: MutuallyExclusiveCallbackGroup) -> Any:
        subscription = self._endpoints.subscription(topic, callback, group)
        self._subscriptions.append(subscription)
        return subscription

    def _on_image(self, message: Image | CompressedImage) -> None:
        began = time.perf_counter()
        header = message.header
        max_pixels = int(self._settings().node.max_megapixels * 1e6)
        check_bounds(message, max_pixels)
        self._live.offer_frame(partial(to_rgb, message, max_pixels), stamp_of(header) or 0.0, header, len(message.data))
        # A compressed image does not state its size; the size in camera_info is used then.
        self._frame_size = (message.height, message.width) if isinstance(message, Image) else None
        self._callback_seconds.append(time.perf_counter() - began)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _on_shape(self, topic: Topic, convert: Callable[[Any, int], Annotation], message: Any) -> None:
        annotation = convert(message, self._settings().node.active_class)
        # image_mouse_left comes without a header.
        header = getattr(message, "header", None)
        stamp = None if header is None else stamp_of(header)
        self._log_failure(topic, self._live.annotate(annotation, stamp))

    def _on_clicked_point(self, message: PointStamped) -> None:
        canvas_frame = self._settings().node.canvas_frame.lstrip("/")
        # A point without a frame is in the camera's.
        if not canvas_frame or message.header.frame_id.lstrip("/") != canvas_frame:
            self._on_shape(interface.POINT, self._project, message)

    def _on_marker(self, message: ImageMarker) -> None:
        settings = self._settings()
        marker = ros_messages.marker(message, settings.class_names, settings.node.active_class)
        annotations = marker.annotations if isinstance(marker, Draw) else ()
        self._log_failure(interface.MARKER, self._live.draw(marker.marker_id, annotations, stamp_of(message.header)))

    def _project(self, message: PointStamped, class_id: int) -> Click:
        info = self._camera_info
        if info is None:
            raise AnnotationError(
                "cannot project clicked_point, because no camera_info has arrived; publish the camera's calibration"
            )
        point = self._camera_frame.point_in(info.header.frame_id, message)
        return click_at(point, info, self._frame_size or published_size(info), self._rectified, class_id)

    def _log_failure(self, topic: Topic, future: Future[Any]) -> None:
        """Log the error of a command, if it fails."""

        def log_error(done: Future[Any]) -> None:
            error = done.exception()
            if error is not None:
                self._log.refused(topic.name, error)

        future.add_done_callback(log_error)
