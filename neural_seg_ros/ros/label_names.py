"""Keeps the names of classes as the segmenter publishes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from std_msgs.msg import String

from neural_seg_ros.consumers.label_names import label_names
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.ros import qos
from neural_seg_ros.ros.complaints import Complaints

try:
    from vision_msgs.msg import LabelInfo
except ImportError:
    LabelInfo = None


class LabelNames:
    """``names`` is the newest ``{id: name}``; ``changed`` is called after it has become another."""

    def __init__(self, node: Node, changed: Callable[[], None], complaints: Complaints) -> None:
        self.names: dict[int, str] = {}
        self._changed, self._complaints = changed, complaints
        self._subscription: Any = node.create_subscription(
            LabelInfo or String, "segmenter/labels", self._on_labels, qos.LATCHED
        )

    @property
    def topic_name(self) -> str:
        """The topic, remapped."""
        return str(self._subscription.topic_name)

    def _on_labels(self, message: Any) -> None:
        try:
            names = label_names(message)
        except ConfigError as error:
            self._complaints.error(error)
            return
        if names != self.names:
            self.names = names
            self._changed()
