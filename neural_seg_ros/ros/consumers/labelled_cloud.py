"""The node ``labelled_cloud``: depth and masks of the same frames in, labeled points and masked depth out."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from neural_seg_ros.errors import CameraInfoError
from neural_seg_ros.images.camera_model import Rays, camera_rays, is_rectified
from neural_seg_ros.images.ros_messages import to_pixels
from neural_seg_ros.options import option, validate
from neural_seg_ros.ros.consumers import cloud
from neural_seg_ros.ros.consumers import cloud as depth
from neural_seg_ros.ros.consumers.matched_images import (
    CONFIDENCE,
    CONFIDENCES,
    LABELS,
    MASK,
    MASKS,
    BufferConfig,
    ImageTopic,
    LabelNames,
    MatchedImages,
    mask_topics,
    same_size,
)
from neural_seg_ros.ros.consumers.selection import HELP, Selection
from neural_seg_ros.ros.toolkit import qos
from neural_seg_ros.ros.toolkit.conversion import cloud_from_array, from_array
from neural_seg_ros.ros.toolkit.distribution import use_large_images
from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.interface import Interface, Topic
from neural_seg_ros.ros.toolkit.node_parameters import NodeOptions
from neural_seg_ros.ros.toolkit.process import run_node
from neural_seg_ros.ros.toolkit.throttled_log import ThrottledLog

_DEPTH = "depth"
_KEEP_HELP = "true: select the pixels of these classes; false: those of all other classes"
_SURE_HELP = "pixels with less confidence are left out, for example mask borders that lie on the background"


@dataclass(frozen=True)
class PointsConfig:
    """The settings of ``~/points``."""

    classes: str = option("all", HELP)
    keep: bool = option(True, _KEEP_HELP)
    min_confidence: float = option(0.0, _SURE_HELP, low=0.0, high=1.0)
    organised: bool = option(
        True, "true: one point per pixel, NaN if it has none; false: only valid points, in one row"
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class DepthConfig:
    """The settings of ``~/depth``."""

    classes: str = option("0, unlabelled", HELP)
    keep: bool = option(False, _KEEP_HELP)
    min_confidence: float = option(0.0, _SURE_HELP, low=0.0, high=1.0)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class CloudConfig:
    """The parameters of the node."""

    points: PointsConfig = field(default_factory=PointsConfig)
    depth: DepthConfig = field(default_factory=DepthConfig)
    buffer: BufferConfig = field(default_factory=BufferConfig)
    use_confidence: bool = option(
        True, "wait for segmenter/confidence; otherwise every point has confidence 1", fixed=True
    )

    def __post_init__(self) -> None:
        validate(self)


DEPTHS = Topic(
    "depth",
    Image,
    qos.STAMPED_INPUT,
    "16UC1 in mm or 32FC1 in m, aligned to the labeled camera, with the masks' stamps",
)
CAMERA_INFO = Topic("camera_info", CameraInfo, qos.CAMERA_INFO_INPUT, "calibration of the labeled camera")
POINTS = Topic(
    "~/points",
    PointCloud2,
    qos.OUTPUT,
    "x, y, z float32 in m, label uint32, confidence float32 in [0, 1]; header of the depth",
)
DEPTH = Topic(
    "~/depth",
    Image,
    qos.OUTPUT,
    "depth of the pixels selected by `depth.*`, in its own encoding; all others are 0 or NaN",
)
DEPTH_INFO = Topic("~/camera_info", CameraInfo, qos.OUTPUT, "calibration of `~/depth`, with its header")

LABELLED_CLOUD = Interface(
    node="labelled_cloud",
    about="Turns depth and masks of exactly equal stamps into labeled points and masked depth, see "
    "[consumers](consumers.md).",
    inputs=(MASKS, CONFIDENCES, LABELS, DEPTHS, CAMERA_INFO),
    outputs=(POINTS, DEPTH, DEPTH_INFO),
    options=(("", CloudConfig()),),
)


class LabelledCloud(Node):
    """The node that publishes ``~/points``, ``~/depth`` and ``~/camera_info`` of masks with depth of one stamp.

    Raises ConfigError or rclpy's ParameterException for parameters that are not accepted.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("labelled_cloud", **node_options)
        self._log = ThrottledLog(self)
        self._options = NodeOptions(self, CloudConfig(), ("points.classes", "depth.classes"), self._configure)
        self._info: CameraInfo | None = None
        self._rays: tuple[Any, Rays] | None = None
        self._tables: dict[tuple[int, str, bool], NDArray[np.bool_]] = {}
        confident = self._config.use_confidence
        endpoints = Endpoints(
            self, LABELLED_CLOUD, self._log, exists=lambda topic: topic.exists({"use_confidence": confident})
        )
        self._labels = LabelNames(endpoints, self._tables.clear)
        self._info_subscription = endpoints.subscription(CAMERA_INFO, self._on_camera_info)
        self.matched = MatchedImages(
            self,
            (*mask_topics(confident), ImageTopic(_DEPTH, DEPTHS, depth.ENCODINGS, once=False)),
            self._on_match,
            self._config.buffer,
            endpoints,
            self._log,
        )
        self._points, self._depth, self._depth_info = (
            endpoints.publisher(topic, matched=self._on_listener) for topic in (POINTS, DEPTH, DEPTH_INFO)
        )

    def _on_listener(self, event: Any) -> None:
        self.matched.listen(any(made.get_subscription_count() for made in (self._points, self._depth)))

    @property
    def _config(self) -> CloudConfig:
        return self._options.config

    def _configure(self) -> None:
        self._tables.clear()
        self.matched.configure(self._config.buffer)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._info = message

    def _on_match(self, images: Mapping[str, Image]) -> None:
        points_wanted = self._points.get_subscription_count() > 0
        depth_wanted = self._depth.get_subscription_count() > 0
        if not (points_wanted or depth_wanted):
            return
        message = images[_DEPTH]
        pixels = {name: to_pixels(image, (image.encoding,)) for name, image in images.items()}
        labels, distances, confidence = pixels[MASK], pixels[_DEPTH], pixels.get(CONFIDENCE)
        for name, values in pixels.items():
            same_size(name, values, labels)
        self._compare_frames(message, images[MASK])
        if depth_wanted:
            taken = self._taken("depth.classes", self._config.depth, labels, confidence)
            self._depth.publish(from_array(cloud.masked(distances, taken), message.encoding, message.header))
        if self._info is not None and self._depth_info.get_subscription_count():
            info = copy.copy(self._info)
            info.header = message.header
            self._depth_info.publish(info)
        if points_wanted:
            rays = self._rays_of(labels.shape)
            taken = self._taken("points.classes", self._config.points, labels, confidence)
            points = cloud.organized(cloud.meters(distances), rays, labels, confidence, taken)
            points = points if self._config.points.organised else cloud.dense(points)
            self._points.publish(cloud_from_array(points, message.header))

    def _taken(
        self,
        name: str,
        config: PointsConfig | DepthConfig,
        labels: NDArray[Any],
        confidence: NDArray[np.uint8] | None,
    ) -> NDArray[np.bool_] | None:
        """Return (H, W) bool of the selected pixels; None for all. ``name`` is the parameter of the classes."""
        unlabelled = int(np.iinfo(labels.dtype).max)
        key = unlabelled, config.classes, config.keep
        table = self._tables.get(key)
        if table is None:
            names = self._labels.names
            selection = Selection.parse(config.classes, config.keep)
            table = self._tables[key] = selection.table(names, unlabelled)
            for entry in selection.unknown(names):
                told = ", ".join(sorted(names.values())) or "none so far"
                self._log.warning(
                    (name, entry), f"{name}: got {entry!r}, accepted: names on {self._labels.topic_name} ({told})"
                )
        selected = None if table.all() else np.asarray(np.take(table, labels), np.bool_)
        if confidence is None or config.min_confidence == 0:
            return selected
        sure = confidence >= math.ceil(255 * config.min_confidence)
        return sure if selected is None else sure & selected

    def _rays_of(self, size: tuple[int, ...]) -> Rays:
        info, topic = self._info, self._info_subscription.topic_name
        if info is None:
            raise CameraInfoError(f"camera_info: got none on {topic} so far, accepted: the depth camera's calibration")
        rectified = is_rectified(self.matched.topic_name(_DEPTH))
        known = (
            *(tuple(values) for values in (info.d, info.k, info.p)),
            (info.width, info.height, info.distortion_model, info.binning_x, info.binning_y),
            (info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height),
            (size, rectified),
        )
        if self._rays is None or self._rays[0] != known:
            self._rays = known, camera_rays(info, (size[0], size[1]), rectified)
        return self._rays[1]

    def _compare_frames(self, message: Image, mask: Image) -> None:
        given, wanted = message.header.frame_id, mask.header.frame_id
        if given != wanted:
            self._log.warning(
                "frame_id",
                f"depth header.frame_id: got {given!r}, expected the mask's {wanted!r}: depth must be aligned to it",
            )


def main(args: Sequence[str] | None = None) -> int:
    """Run until told to stop; 2 when parameters are not accepted."""
    # Points of 640x480 pixels are 6 MB.
    use_large_images()
    return run_node("labelled_cloud", LabelledCloud, rclpy.spin, args)


if __name__ == "__main__":
    sys.exit(main())
