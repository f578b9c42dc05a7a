"""Keeps the names of classes as the segmenter publishes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neural_seg_ros.ros.consumers.selection import label_names
from neural_seg_ros.ros.segmenter import interface as segmenter_interface
from neural_seg_ros.ros.toolkit import qos
from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.interface import Topic

LABELS = Topic(
    "segmenter/labels",
    segmenter_interface.LABELS.kind,
    qos.LATCHED,
    "names of classes, for parameters that name some",
    kind_text=segmenter_interface.LABELS.kind_text,
)


class LabelNames:
    """The newest class names ``{id: name}`` of a topic; ``changed`` is called after they change."""

    def __init__(self, endpoints: Endpoints, changed: Callable[[], None]) -> None:
        self.names: dict[int, str] = {}
        self._changed = changed
        self._subscription: Any = endpoints.subscription(LABELS, self._on_labels)

    @property
    def topic_name(self) -> str:
        """The topic, remapped."""
        return str(self._subscription.topic_name)

    def _on_labels(self, message: Any) -> None:
        names = label_names(message)
        if names != self.names:
            self.names = names
            self._changed()
