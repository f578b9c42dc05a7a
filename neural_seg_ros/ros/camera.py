"""The node ``camera``: a video file or a folder of images as a live camera."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from neural_seg_ros.errors import ConfigError
from neural_seg_ros.images.arrays import resize_image
from neural_seg_ros.images.files import FrameSource, open_frames
from neural_seg_ros.options import option, options_of, validate
from neural_seg_ros.ros.toolkit.conversion import from_array
from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.interface import Interface, Topic
from neural_seg_ros.ros.toolkit.node_parameters import declare
from neural_seg_ros.ros.toolkit.process import run_node
from neural_seg_ros.ros.toolkit.qos import OUTPUT
from neural_seg_ros.ros.toolkit.throttled_log import ThrottledLog

_JPEG_QUALITY = 90


@dataclass(frozen=True)
class CameraConfig:
    """The video and settings of the camera, fixed once the node runs."""

    video: str = option("", "video file, folder of images or image to play", fixed=True)
    rate: float = option(0.0, "frames per second; 0: the rate of the video", low=0.0, high=1000.0, fixed=True)
    loop: bool = option(True, "start again at the end; otherwise the node exits there", fixed=True)
    width: int = option(
        0, "width of the published images in pixels; 0: in proportion to the height", low=0, high=32768, fixed=True
    )
    height: int = option(
        0, "height of the published images in pixels; 0: in proportion to the width", low=0, high=32768, fixed=True
    )
    frame_id: str = option("camera", "frame_id of the published messages", fixed=True)

    def __post_init__(self) -> None:
        validate(self)
        if not self.video:
            raise ConfigError("video: got nothing, accepted: path of a video file or of a folder of images")


IMAGE = Topic("image_raw", Image, OUTPUT, "rgb8, with the time of publication as the stamp")
COMPRESSED = Topic("image_raw/compressed", CompressedImage, OUTPUT, "the same images as JPEG")
CAMERA_INFO = Topic("camera_info", CameraInfo, OUTPUT, "image size, without calibration")

CAMERA = Interface(
    node="camera",
    about="Plays a video file or a folder of images as a live camera.",
    outputs=(IMAGE, COMPRESSED, CAMERA_INFO),
    extra_parameters=tuple(options_of(CameraConfig)),
)


class Camera(Node):
    """The node that publishes ``image_raw``, ``image_raw/compressed`` (jpeg) and ``camera_info`` of a video.

    Only what has a subscriber is made. ``camera_info`` carries the size but no calibration. ``finished`` is done when
    the video has ended and does not loop. Raises ConfigError for parameters that are not accepted and SourceError when
    ``video`` cannot be read.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("camera", **node_options)
        self._config = declare(self, CameraConfig)
        source = open_frames(self._config.video)
        self.finished = Future()
        self._frames = self._play(source)
        endpoints = Endpoints(self, CAMERA, ThrottledLog(self))
        self._image, self._compressed, self._info = (endpoints.publisher(topic) for topic in CAMERA.outputs)
        rate = self._config.rate or source.fps
        self._timer = self.create_timer(1.0 / rate, self._publish_next)
        self.get_logger().info(f"plays {self._config.video} at {rate:g} Hz")

    def _play(self, source: FrameSource) -> Iterator[NDArray[np.uint8]]:
        """Yield images of the source at the configured size, again and again when the camera loops."""
        for _ in itertools.count() if self._config.loop else range(1):
            for frame in source:
                yield resize_image(frame.image, *self._size(*frame.image.shape[:2]))

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) to publish of a frame of (height, width)."""
        wanted_height, wanted_width = self._config.height, self._config.width
        if not wanted_height and not wanted_width:
            return height, width
        return (
            wanted_height or max(1, round(height * wanted_width / width)),
            wanted_width or max(1, round(width * wanted_height / height)),
        )

    def _publish_next(self) -> None:
        image = next(self._frames, None)
        if image is None:
            self._timer.cancel()
            self.finished.set_result(None)
            return
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._config.frame_id)
        if self._image.get_subscription_count():
            self._image.publish(from_array(image, "rgb8", header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(_compress(image, header))
        if self._info.get_subscription_count():
            height, width = image.shape[:2]
            self._info.publish(CameraInfo(header=header, height=height, width=width))


def main(args: Sequence[str] | None = None) -> int:
    """Play until the end or until told to stop; 2 when parameters are not accepted or the video cannot be read."""
    return run_node("camera", Camera, lambda node: rclpy.spin_until_future_complete(node, node.finished), args)


def _compress(image: NDArray[np.uint8], header: Header) -> CompressedImage:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return CompressedImage(header=header, format="rgb8; jpeg compressed bgr8", data=data.tobytes())


if __name__ == "__main__":
    sys.exit(main())
