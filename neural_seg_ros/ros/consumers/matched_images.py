"""Subscriptions of consumers: images joined by exact stamp, and names of classes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Image

from neural_seg_ros.errors import ImageError
from neural_seg_ros.images.ros_messages import check_image
from neural_seg_ros.options import option, validate
from neural_seg_ros.ros.consumers.selection import read_label_names
from neural_seg_ros.ros.consumers.stamp_matcher import StampMatcher, Unmatched
from neural_seg_ros.ros.segmenter import interface as segmenter_interface
from neural_seg_ros.ros.toolkit import qos
from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.interface import Topic
from neural_seg_ros.ros.toolkit.throttled_log import ThrottledLog

MASK, CONFIDENCE = "mask", "confidence"
MASK_ENCODINGS = ("mono8", "8UC1", "mono16", "16UC1")
MASKS = Topic("segmenter/mask", Image, qos.STAMPED_INPUT, "mono8 or mono16; only while this node has subscribers")
CONFIDENCES = Topic(
    "segmenter/confidence", Image, qos.STAMPED_INPUT, "mono8, with the masks' stamps", only_if=("use_confidence", True)
)
_SECOND = 1_000_000_000
_CHECK_SECONDS = 0.1


@dataclass(frozen=True)
class BufferConfig:
    """The time and memory that messages wait for others of the same stamp."""

    seconds: float = option(5.0, "seconds that a message waits for the others of its stamp", low=0.1, high=600.0)
    megabytes: int = option(256, "memory for waiting messages in MiB; beyond it the oldest expire", low=1, high=65536)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class ImageTopic:
    """An image that belongs to a match.

    name       in log lines, and the key of its message
    topic      of the node's interface
    encodings  accepted encodings
    once       True if a message serves one match only, as the segmenter's do; False if it serves all matches of its
               stamp, as the camera's do
    """

    name: str
    topic: Topic
    encodings: tuple[str, ...]
    once: bool


def mask_topics(confidence: bool) -> tuple[ImageTopic, ...]:
    """Return the topics of the segmenter, in its namespace."""
    images = (
        ImageTopic(MASK, MASKS, MASK_ENCODINGS, once=True),
        ImageTopic(CONFIDENCE, CONFIDENCES, ("mono8", "8UC1"), once=True),
    )
    return images[: 1 + confidence]


class MatchedImages:
    """A subscriber that calls ``matched`` with one message of every topic of the same stamp.

    It subscribes at ``listen``. It refuses messages that are malformed or have no stamp, and logs exceptions of
    ``matched``. ``masks`` counts the matches, ``unmatched`` the expired stamps.
    """

    def __init__(
        self,
        node: Node,
        topics: Sequence[ImageTopic],
        matched: Callable[[Mapping[str, Image]], None],
        config: BufferConfig,
        endpoints: Endpoints,
        log: ThrottledLog,
    ) -> None:
        self._node, self._endpoints, self._images = node, endpoints, tuple(topics)
        self._matched_callback, self._log = matched, log
        self._subscriptions: list[Any] = []
        self._newest: dict[str, int] = {}
        self.masks = self.unmatched = 0
        self._matcher = StampMatcher(
            [topic.name for topic in topics if topic.once], [topic.name for topic in topics if not topic.once], 0.0, 0
        )
        self.configure(config)
        # With use_sim_time the node's clock stands still until a time is published, so the timer has its own clock.
        check = log.guard(MASK, self._match_overdue)
        node.create_timer(_CHECK_SECONDS, check, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def configure(self, config: BufferConfig) -> None:
        """Take a new time limit and memory bound."""
        self._matcher.seconds, self._matcher.capacity = config.seconds, config.megabytes << 20

    def listen(self, wanted: bool) -> None:
        """Subscribe, or unsubscribe and drop waiting messages: a segmenter without subscribers has less to do."""
        if wanted and not self._subscriptions:
            self._subscriptions = [
                self._endpoints.subscription(image.topic, partial(self._on_image, image)) for image in self._images
            ]
        elif not wanted:
            for subscription in self._subscriptions:
                self._endpoints.destroy(subscription)
            self._subscriptions = []
            self._matcher.clear()

    def topic_name(self, name: str) -> str:
        """Return the topic of an image, remapped."""
        (topic,) = (image.topic.name for image in self._images if image.name == name)
        return str(self._node.resolve_topic_name(topic))

    def _on_image(self, topic: ImageTopic, message: Image) -> None:
        match = self._put(topic, message)
        self._expire()
        if match is not None:
            self._matched(match)

    def _match_overdue(self) -> None:
        for match in self._matcher.match_overdue(time.monotonic()):
            self._matched(match)
        self._expire()

    def _matched(self, match: dict[str, Any]) -> None:
        self.masks += 1
        self._matched_callback(match)

    def _put(self, topic: ImageTopic, message: Image) -> dict[str, Any] | None:
        try:
            check_image(message, topic.encodings)
        except ImageError as error:
            raise ImageError(f"{topic.name} {error}") from None
        stamp = message.header.stamp.sec * _SECOND + message.header.stamp.nanosec
        if stamp == 0:
            raise ImageError(f"{topic.name} header.stamp: got 0, accepted: the time of the frame, which tells it apart")
        self._newest[topic.name] = stamp
        return self._matcher.put(topic.name, stamp, message, len(message.data), time.monotonic())

    def _expire(self) -> None:
        for stamp in self._matcher.expire(time.monotonic()):
            self.unmatched += 1
            self._log.warning((stamp.came, stamp.missing), self._unmatched_text(stamp))

    def _unmatched_text(self, unmatched: Unmatched) -> str:
        missing = " and ".join(self._newest_of(name) for name in unmatched.missing)
        return (
            f"{' and '.join(unmatched.came)} of stamp {_seconds(unmatched.stamp)} expired: "
            f"no message of that stamp on {missing}; "
            f"{self.unmatched} expired, {self.masks} matched so far (stamps must be equal)"
        )

    def _newest_of(self, name: str) -> str:
        newest = self._newest.get(name)
        return f"{self.topic_name(name)} ({'nothing came' if newest is None else f'newest {_seconds(newest)}'})"


def _seconds(stamp: int) -> str:
    return f"{stamp // _SECOND}.{stamp % _SECOND:09d}"


def same_size(name: str, image: Any, mask: Any) -> None:
    """Raise ImageError unless arrays of an image and of the mask have the same height and width."""
    (height, width), (mask_height, mask_width) = image.shape[:2], mask.shape[:2]
    if (height, width) != (mask_height, mask_width):
        raise ImageError(f"{name} width, height: got {width}x{height}, accepted: the mask's {mask_width}x{mask_height}")


LABELS = Topic(
    "segmenter/labels",
    segmenter_interface.LABELS.kind,
    qos.LATCHED,
    "names of the classes, for parameters that select classes by name",
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
        names = read_label_names(message)
        if names != self.names:
            self.names = names
            self._changed()
