"""The node ``detections``: masks in, regions of interest and boxes of instances out."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header, String

from neural_seg_ros.images.ros_messages import to_pixels
from neural_seg_ros.options import option, validate
from neural_seg_ros.ros.consumers.instances import Instance, find_instances
from neural_seg_ros.ros.consumers.matched_images import (
    CONFIDENCE,
    CONFIDENCES,
    LABELS,
    MASK,
    MASKS,
    BufferConfig,
    LabelNames,
    MatchedImages,
    mask_topics,
    same_size,
)
from neural_seg_ros.ros.consumers.selection import HELP, Selection
from neural_seg_ros.ros.toolkit import qos
from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.interface import Interface, Topic
from neural_seg_ros.ros.toolkit.node_parameters import NodeOptions
from neural_seg_ros.ros.toolkit.process import run_node
from neural_seg_ros.ros.toolkit.throttled_log import ThrottledLog

try:
    from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose
except ImportError:
    Detection2DArray = None

# Each class has its own topic, and the names come from outside.
_MOST_TOPICS = 100
_UNLABELLED = 65535


@dataclass(frozen=True)
class DetectionsConfig:
    """The parameters of the node."""

    classes: str = option("0, unlabelled", HELP)
    keep: bool = option(False, "true: detect the pixels of these classes; false: those of all other classes")
    instances: bool = option(
        True, "true: connected pixels are an instance; false: all pixels of a class are one instance"
    )
    min_area: int = option(64, "smallest number of pixels of an instance", low=1, high=1_000_000_000)
    most: int = option(100, "largest number of instances per mask; the largest instances are taken", low=1, high=10000)
    do_rectify: bool = option(
        False,
        "value of the regions' field do_rectify: true if masks are of raw images that are yet to be rectified",
    )
    use_confidence: bool = option(True, "wait for segmenter/confidence; otherwise every score is 1", fixed=True)
    buffer: BufferConfig = field(default_factory=BufferConfig)

    def __post_init__(self) -> None:
        validate(self)


DETECTED = Topic(
    "~/detections",
    Detection2DArray or String,
    qos.OUTPUT,
    "box, class id and score of every instance; header of the mask; JSON if vision_msgs is not installed",
    kind_text="vision_msgs/msg/Detection2DArray, else std_msgs/msg/String",
)

REGIONS = Topic(
    "~/roi/class_<id>",
    RegionOfInterest,
    qos.OUTPUT,
    "box of the largest instance of each class that `classes` selects, if the class has a name or is listed by id",
)

DETECTIONS = Interface(
    node="detections",
    about="Turns the segmenter's masks into boxes and regions of interest, see [consumers](consumers.md).",
    inputs=(MASKS, CONFIDENCES, LABELS),
    outputs=(DETECTED,),
    dynamic_outputs=(REGIONS,),
    options=(("", DetectionsConfig()),),
)


class Detections(Node):
    """The node that publishes ``~/detections``, and ``~/roi/class_<id>`` for every selected, known class.

    A region is that of the largest instance of its class, and nothing is published while there is none, as a region of
    size 0 means the whole image. Raises ConfigError or rclpy's ParameterException for parameters that are not accepted.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("detections", **node_options)
        self._log = ThrottledLog(self)
        self._options = NodeOptions(self, DetectionsConfig(), ("classes",), self._configure)
        self._regions: dict[int, Any] = {}
        confident = self._options.config.use_confidence
        self._endpoints = Endpoints(
            self, DETECTIONS, self._log, exists=lambda topic: topic.exists({"use_confidence": confident})
        )
        self._labels = LabelNames(self._endpoints, self._name_topics)
        self.matched = MatchedImages(
            self,
            mask_topics(confident),
            self._on_match,
            self._options.config.buffer,
            self._endpoints,
            self._log,
        )
        self._detections = self._endpoints.publisher(DETECTED, matched=self._on_listener)
        self._name_topics()
        if Detection2DArray is None:
            self.get_logger().info("vision_msgs is not installed: ~/detections is a std_msgs/String of JSON")

    @property
    def _selection(self) -> Selection:
        return Selection.parse(self._options.config.classes, self._options.config.keep)

    def _configure(self) -> None:
        self.matched.configure(self._options.config.buffer)
        self._name_topics()

    def _name_topics(self) -> None:
        """Create one topic for each class that may be detected, in advance."""
        wanted = self._selection.named(self._labels.names, _UNLABELLED)
        if len(wanted) > _MOST_TOPICS:
            self._log.warning(
                "topics", f"classes: {len(wanted)} are selected, the first {_MOST_TOPICS} have a topic ~/roi"
            )
        for gone in self._regions.keys() - wanted[:_MOST_TOPICS]:
            self._endpoints.destroy(self._regions.pop(gone))
            self._on_listener(None)
        for class_id in wanted[:_MOST_TOPICS]:
            if class_id not in self._regions:
                topic = replace(REGIONS, name=REGIONS.name.replace("<id>", str(class_id)))
                self._regions[class_id] = self._endpoints.publisher(topic, matched=self._on_listener)

    def _on_listener(self, event: Any) -> None:
        made = (self._detections, *self._regions.values())
        self.matched.listen(any(publisher.get_subscription_count() for publisher in made))

    def _on_match(self, images: Mapping[str, Image]) -> None:
        regions = {id_: publisher for id_, publisher in self._regions.items() if publisher.get_subscription_count()}
        detections_wanted = self._detections.get_subscription_count() > 0
        if not (regions or detections_wanted):
            return
        found = self._find(images)
        if detections_wanted:
            header = images[MASK].header
            if Detection2DArray is None:
                self._detections.publish(String(data=json.dumps(as_json(found, header, self._labels.names))))
            else:
                self._detections.publish(as_message(found, header))
        # By class, then by area: the largest of a class comes first.
        largest = {instance.class_id: instance for instance in reversed(found)}
        for class_id in regions.keys() & largest.keys():
            self._regions[class_id].publish(region(largest[class_id], self._options.config.do_rectify))

    def _find(self, images: Mapping[str, Image]) -> list[Instance]:
        config = self._options.config
        labels = to_pixels(images[MASK], (images[MASK].encoding,))
        confidence = None
        if CONFIDENCE in images:
            confidence = to_pixels(images[CONFIDENCE], (images[CONFIDENCE].encoding,))
            same_size(CONFIDENCE, confidence, labels)
        table = self._selection.table(self._labels.names, int(np.iinfo(labels.dtype).max))
        return find_instances(
            labels, confidence, np.flatnonzero(table), config.min_area, config.most, connected=config.instances
        )


def region(instance: Instance, do_rectify: bool) -> RegionOfInterest:
    """Return the rectangle around an instance."""
    return RegionOfInterest(
        x_offset=instance.x,
        y_offset=instance.y,
        height=instance.height,
        width=instance.width,
        do_rectify=do_rectify,
    )


def as_json(found: Sequence[Instance], header: Header, names: Mapping[int, str]) -> dict[str, Any]:
    """Convert a Detection2DArray to JSON, with the area; boxes by their left top corner."""
    stamp = {"sec": header.stamp.sec, "nanosec": header.stamp.nanosec}
    detections = [
        {
            "class_id": str(one.class_id),
            "class_name": names.get(one.class_id, str(one.class_id)),
            "score": round(one.score, 4),
            "x": one.x,
            "y": one.y,
            "width": one.width,
            "height": one.height,
            "area": one.area,
        }
        for one in found
    ]
    return {"header": {"stamp": stamp, "frame_id": header.frame_id}, "detections": detections}


def as_message(found: Sequence[Instance], header: Header) -> Any:
    """Make a ``vision_msgs/Detection2DArray``; ``class_id`` is the id of ``~/labels`` in digits."""
    message = Detection2DArray(header=header)
    for one in found:
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = str(one.class_id), one.score
        detection = Detection2D(header=header, results=[hypothesis])
        detection.bbox.center.position.x = one.x + one.width / 2
        detection.bbox.center.position.y = one.y + one.height / 2
        detection.bbox.size_x, detection.bbox.size_y = float(one.width), float(one.height)
        message.detections.append(detection)
    return message


def main(args: Sequence[str] | None = None) -> int:
    """Run until told to stop; 2 when parameters are not accepted."""
    return run_node("detections", Detections, rclpy.spin, args)


if __name__ == "__main__":
    sys.exit(main())
