"""The subscriptions of the segmenter: the camera, and annotations from wherever they are made."""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from geometry_msgs.msg import Point, PointStamped, PolygonStamped
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from visualization_msgs.msg import ImageMarker

from neural_seg_ros import annotation_message
from neural_seg_ros.annotation_message import Draw, stamp_of
from neural_seg_ros.annotations import Annotation, Click
from neural_seg_ros.errors import AnnotationError, ImageError, short
from neural_seg_ros.image_message import check_bounds
from neural_seg_ros.live import LiveSession
from neural_seg_ros.ros import qos
from neural_seg_ros.ros.conversion import to_rgb
from neural_seg_ros.ros.errors import error_text
from neural_seg_ros.ros.parameters import Settings
from neural_seg_ros.ros.projection import CameraFrame, click_at, is_rectified, published_size

_CALLBACKS_KEPT = 10_000
_LOG_PERIOD = 5.0
MAX_INFO_BYTES = 2**16


class Inputs:
    """Subscribes on a node and hands everything to a live session.

    settings     gives the parameters of the moment
    camera_frame brings points into the camera's frame
    """

    def __init__(
        self, node: Node, live: LiveSession, settings: Callable[[], Settings], camera_frame: CameraFrame
    ) -> None:
        self._node = node
        self._camera_frame = camera_frame
        self._live = live
        self._settings = settings
        self._camera_info: CameraInfo | None = None
        self._frame_size: tuple[int, int] | None = None
        self._callback_seconds: deque[float] = deque(maxlen=_CALLBACKS_KEPT)
        # An annotation that is converted must not make an image wait.
        self._frames, self._annotations = MutuallyExclusiveCallbackGroup(), MutuallyExclusiveCallbackGroup()
        image = self._subscribe_image(settings())
        self._rectified = is_rectified(image.topic_name)
        self._subscriptions = [image, self._subscribe_camera_info()]
        shapes = annotation_message
        for kind, topic, convert in (
            (PointStamped, "~/click", shapes.click),
            (PolygonStamped, "~/box", shapes.box),
            (PolygonStamped, "~/stroke", shapes.stroke),
            (PolygonStamped, "~/region", shapes.region),
            (Point, "image_mouse_left", shapes.click),
            (PointStamped, "/clicked_point", self._project),
        ):
            self._subscribe_annotation(kind, topic, partial(self._on_shape, convert))
        self._subscribe_annotation(ImageMarker, "~/annotation", self._on_marker)

    def callback_seconds(self) -> list[float]:
        """Durations of the newest calls of the image callback, oldest first."""
        return list(self._callback_seconds.copy())

    def destroy(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _subscribe_image(self, settings: Settings) -> Any:
        compressed = settings.start.image_transport == "compressed"
        return self._node.create_subscription(
            CompressedImage if compressed else Image,
            "image/compressed" if compressed else "image",
            self._guarded(self._on_image),
            copy.copy(qos.LOCK_STEP if settings.live.lock_step else qos.IMAGE_INPUT),
            callback_group=self._frames,
            qos_overriding_options=qos.OVERRIDES,
        )

    def _subscribe_camera_info(self) -> Any:
        profile = copy.copy(qos.CAMERA_INFO_INPUT)
        return self._node.create_subscription(
            CameraInfo,
            "camera_info",
            self._bounded(CameraInfo, "camera_info", MAX_INFO_BYTES, self._on_camera_info),
            profile,
            callback_group=self._annotations,
            raw=True,
        )

    def _subscribe_annotation(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        subscription = self._node.create_subscription(
            kind,
            topic,
            self._bounded(kind, topic, annotation_message.MAX_BYTES, callback),
            qos.ANNOTATION_INPUT,
            callback_group=self._annotations,
            raw=True,
        )
        self._subscriptions.append(subscription)

    def _on_image(self, message: Image | CompressedImage) -> None:
        began = time.perf_counter()
        header = message.header
        max_pixels = int(self._settings().node.max_megapixels * 1e6)
        check_bounds(message, max_pixels)
        self._live.offer_frame(partial(to_rgb, message, max_pixels), stamp_of(header) or 0.0, header, len(message.data))
        # A compressed image does not say; its camera_info is taken at its word then.
        self._frame_size = (message.height, message.width) if isinstance(message, Image) else None
        self._callback_seconds.append(time.perf_counter() - began)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _on_shape(self, convert: Callable[[Any, int], Annotation], message: Any) -> None:
        annotation = convert(message, self._settings().node.active_class)
        # image_mouse_left comes without a header.
        header = getattr(message, "header", None)
        stamp = None if header is None else stamp_of(header)
        self._answered(self._live.annotate(annotation, stamp))

    def _on_marker(self, message: ImageMarker) -> None:
        settings = self._settings()
        asked = annotation_message.marker(message, settings.class_names, settings.node.active_class)
        annotations = asked.annotations if isinstance(asked, Draw) else ()
        self._answered(self._live.draw(asked.marker_id, annotations, stamp_of(message.header)))

    def _project(self, message: PointStamped, class_id: int) -> Click:
        info = self._camera_info
        if info is None:
            raise AnnotationError("clicked_point: got a point before any camera_info, accepted: points after the first")
        point = self._camera_frame.point_in(info.header.frame_id, message)
        return click_at(point, info, self._frame_size or published_size(info), self._rectified, class_id)

    def _bounded(self, kind: type, topic: str, most: int, callback: Callable[[Any], None]) -> Callable[[bytes], None]:
        """A guarded callback for bytes, of which a few make many objects of Python."""

        def read(data: bytes) -> None:
            if len(data) > most:
                raise AnnotationError(f"{topic}: got a message of {len(data)} bytes, accepted: at most {most}")
            try:
                message = deserialize_message(data, kind)
            except Exception as error:  # RMWError, with many lines
                raise AnnotationError(
                    f"{topic}: got {len(data)} bytes that cannot be read, accepted: a {kind.__name__} "
                    f"({short(' '.join(str(error).split()))})"
                ) from None
            callback(message)

        return self._guarded(read)

    def _guarded(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        def call(message: Any) -> None:
            try:
                callback(message)
            except Exception as error:  # beyond here it would end the node
                self._refuse(error)

        return call

    def _answered(self, future: Future[Any]) -> None:
        future.add_done_callback(self._log_refusal)

    def _log_refusal(self, future: Future[Any]) -> None:
        error = future.exception()
        if error is not None:
            self._refuse(error)

    def _refuse(self, error: BaseException) -> None:
        if not self._node.context.ok():
            return
        if isinstance(error, ImageError):  # comes as often as images do
            self._node.get_logger().error(str(error), throttle_duration_sec=_LOG_PERIOD)
        else:
            self._node.get_logger().error(error_text(error))
