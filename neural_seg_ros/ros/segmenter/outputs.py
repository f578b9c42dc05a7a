"""The publishers of the segmenter; it computes nothing for a topic without subscribers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PointStamped
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header, String

from neural_seg_ros.drawing import color_mask, overlay
from neural_seg_ros.live import ContourResult, LiveResult
from neural_seg_ros.ros.segmenter.interface import CONTOURS, LABELS, LOST, RESULTS, SUGGESTION
from neural_seg_ros.ros.toolkit.conversion import from_array
from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.interface import Topic


class Outputs:
    """The publishers of a lifecycle node, for results, contours and class names."""

    def __init__(self, node: LifecycleNode, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

        def create(topic: Topic) -> Any:
            return endpoints.publisher(topic, node.create_lifecycle_publisher)

        self._images: dict[str, Any] = {name: create(topic) for name, topic in {**RESULTS, **CONTOURS}.items()}
        self._suggestion, self._labels, self._lost = create(SUGGESTION), create(LABELS), create(LOST)
        self._lost_names: str | None = None
        self._class_names: dict[int, str] = {}
        self._classes: frozenset[int] = frozenset()

    def wanted(self) -> bool:
        """Return whether any topic of results has a subscriber."""
        return any(publisher.get_subscription_count() for publisher in (*self._publishers(RESULTS), self._suggestion))

    def contours_wanted(self) -> bool:
        """Return whether any topic of contours has a subscriber."""
        return any(publisher.get_subscription_count() for publisher in self._publishers(CONTOURS))

    def publish(self, output: LiveResult, unlabelled: int, overlay_alpha: float) -> None:
        """Publish a result on the topics that have subscribers, each with the header of the input frame."""
        labels, header = output.result.labels, output.header
        self._update_classes(output.result.classes, header)
        mask_encoding = "mono8" if labels.dtype == np.uint8 else "mono16"
        self._publish("mask", header, lambda: (labels, mask_encoding))
        self._publish("confidence", header, lambda: ((output.result.confidence * 255 + 0.5).astype(np.uint8), "mono8"))
        self._publish("mask_color", header, lambda: (color_mask(labels, unlabelled), "rgb8"))
        self._publish(
            "overlay",
            header,
            lambda: (overlay(output.image, labels, output.annotations, overlay_alpha, unlabelled), "rgb8"),
        )
        if output.reannotated and self._suggestion.get_subscription_count() and output.result.suggestion is not None:
            x, y = output.result.suggestion
            self._suggestion.publish(PointStamped(header=header, point=Point(x=x, y=y)))

    def publish_contours(self, output: ContourResult) -> None:
        """Publish contours and segments on the topics that have subscribers, with the header of the input frame."""
        strength = output.contours.strength
        self._publish("contours", output.header, lambda: ((strength * 255 + 0.5).astype(np.uint8), "mono8"))
        self._publish("segments", output.header, lambda: (output.segments, "mono16"))

    def publish_labels(self, class_names: Mapping[int, str], header: Header) -> None:
        """Publish the names of the classes, also for subscribers that come later.

        The name of a class in use without a name is its id, because consumers ignore classes that are not published.
        """
        self._class_names = dict(class_names)
        names = {**{key: str(key) for key in sorted(self._classes)}, **class_names}
        self._labels.publish(labels_message(names, header))

    def publish_lost(self, names: str) -> None:
        """Publish the names of the lost classes, unless they are the same as before."""
        if names != self._lost_names and self._lost.is_activated:
            self._lost_names = names
            self._lost.publish(String(data=names))

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher in (*self._images.values(), self._suggestion, self._labels, self._lost):
            self._endpoints.destroy(publisher)

    def _update_classes(self, classes: Iterable[int], header: Header) -> None:
        """Publish the names again if a class without a name came into use or went out of use."""
        previous, self._classes = self._classes, frozenset(classes)
        if not (previous ^ self._classes) <= self._class_names.keys():
            self.publish_labels(self._class_names, header)

    def _publishers(self, names: Iterable[str]) -> list[Any]:
        return [self._images[name] for name in names]

    def _publish(self, name: str, header: Header, draw: Callable[[], tuple[Any, str]]) -> None:
        publisher = self._images[name]
        if publisher.get_subscription_count():
            publisher.publish(from_array(*draw(), header))


def labels_message(names: Mapping[int, str], header: Header) -> Any:
    """Convert ``{id: name}`` to ``vision_msgs/LabelInfo``, or to JSON in a String if vision_msgs is not installed."""
    if LABELS.kind is String:
        return String(data=json.dumps({str(key): name for key, name in names.items()}))
    from vision_msgs.msg import VisionClass

    classes = [VisionClass(class_id=key, class_name=name) for key, name in names.items()]
    return LABELS.kind(header=header, class_map=classes, threshold=0.0)
