"""Creates the topics of an interface: quality of service from parameters, and a watch over who does not match."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.serialization import deserialize_message

from neural_seg_ros.errors import AnnotationError, one_line, short
from neural_seg_ros.ros.toolkit import qos_parameters
from neural_seg_ros.ros.toolkit.interface import Interface, Topic, type_name
from neural_seg_ros.ros.toolkit.qos import OVERRIDES
from neural_seg_ros.ros.toolkit.qos_mismatch import Mismatch, mismatches
from neural_seg_ros.ros.toolkit.qos_parameters import PUBLISHER, SUBSCRIPTION
from neural_seg_ros.ros.toolkit.throttled_log import ThrottledLog

_LOOK_SECONDS = 1.0
# Every so many looks all endpoints are looked at: not every middleware tells of types, or tells at all.
_SWEEP = 10
# Looks until a complaint that the graph does not confirm is forgotten.
_PATIENCE = 10


@dataclass(eq=False)
class _Watched:
    """An endpoint of ours, what does not match it, and for how many looks it is under suspicion."""

    topic: Topic
    side: str
    found: tuple[Mismatch, ...] = ()
    suspicion: int = 0

    def suspect(self, _: Any = None) -> None:
        self.suspicion = _PATIENCE


class Endpoints:
    """The publishers and subscriptions of a node.

    Declares the parameters of their quality of service at once, so that what is not accepted is an error before
    anything is created. Once a second those that the middleware complained of are looked up in the graph; a mismatch is
    logged when it is first seen, and is in ``mismatches`` while it lasts.

    lock_step  gives each topic its quality of service in lock-step
    exists     which of the interface's topics there are with the node's parameters
    Raises ConfigError, or rclpy's ParameterException, for a quality of service that is not accepted.
    """

    def __init__(
        self,
        node: Node,
        interface: Interface,
        log: ThrottledLog,
        *,
        lock_step: bool = False,
        exists: Callable[[Topic], bool] = lambda topic: True,
    ) -> None:
        self._node, self._log, self._lock_step = node, log, lock_step
        self._watched: dict[Any, _Watched] = {}
        self._looks = 0
        for side, topics in ((SUBSCRIPTION, interface.inputs), (PUBLISHER, interface.outputs)):
            for topic in topics:
                if topic.fixed or not exists(topic):
                    continue
                resolved = node.resolve_topic_name(topic.name)
                qos_parameters.declare(node, resolved, side, topic.quality(lock_step))
        # Of its own, as with use_sim_time the node's clock stands still until someone publishes the time.
        look = log.guard("endpoints", self._look)
        node.create_timer(_LOOK_SECONDS, look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        """Endpoints of other nodes that do not match ours."""
        return tuple(found for watched in tuple(self._watched.values()) for found in watched.found)

    def subscription(self, topic: Topic, callback: Callable[[Any], None], callback_group: Any = None) -> Any:
        """Subscribe to a topic of the interface; what the callback raises is logged, as is what is too large for it."""
        take = callback if topic.most_bytes is None else _bounded(topic, callback)
        watched = _Watched(topic, SUBSCRIPTION)
        made = self._node.create_subscription(
            topic.kind,
            topic.name,
            self._log.guard(topic.name, take),
            topic.quality(self._lock_step),
            callback_group=callback_group,
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=watched.suspect, incompatible_type=watched.suspect
            ),
            qos_overriding_options=None if topic.fixed else OVERRIDES,
            raw=topic.most_bytes is not None,
        )
        self._watched[made] = watched
        return made

    def publisher(
        self, topic: Topic, create: Callable[..., Any] | None = None, matched: Callable[[Any], None] | None = None
    ) -> Any:
        """Publish on a topic of the interface.

        create   what creates it, if not the node's create_publisher
        matched  called when a subscriber comes or goes
        """
        watched = _Watched(topic, PUBLISHER)
        made = (create or self._node.create_publisher)(
            topic.kind,
            topic.name,
            topic.quality(self._lock_step),
            event_callbacks=PublisherEventCallbacks(
                incompatible_qos=watched.suspect, incompatible_type=watched.suspect, matched=matched
            ),
            qos_overriding_options=None if topic.fixed else OVERRIDES,
        )
        self._watched[made] = watched
        return made

    def destroy(self, endpoint: Any) -> None:
        """Destroy a subscription or a publisher, with a lifecycle or without."""
        self._watched.pop(endpoint, None)
        node: Any = self._node
        if endpoint in node.subscriptions:
            node.destroy_subscription(endpoint)
        elif hasattr(node, "destroy_lifecycle_publisher"):
            node.destroy_lifecycle_publisher(endpoint)
        else:
            node.destroy_publisher(endpoint)

    def _look(self) -> None:
        if not self._node.context.ok():
            return
        sweep = self._looks % _SWEEP == 0
        self._looks += 1
        for endpoint, watched in tuple(self._watched.items()):
            if not (sweep or watched.suspicion):
                continue
            watched.suspicion = max(0, watched.suspicion - 1)
            found = self._mismatches(endpoint, watched)
            for mismatch in found:
                watched.suspect()
                if mismatch not in watched.found:
                    self._log.warning((mismatch.topic, mismatch.policy), mismatch.text)
            watched.found = found

    def _mismatches(self, endpoint: Any, watched: _Watched) -> tuple[Mismatch, ...]:
        node, topic, side = self._node, watched.topic, watched.side
        ask = node.get_publishers_info_by_topic if side == SUBSCRIPTION else node.get_subscriptions_info_by_topic
        resolved = node.resolve_topic_name(topic.name)
        kind, others = type_name(topic.kind), ask(topic.name)
        return tuple(mismatches(resolved, side, kind, endpoint.qos_profile, others, fixed=topic.fixed))


def _bounded(topic: Topic, callback: Callable[[Any], None]) -> Callable[[bytes], None]:
    """Wrap a callback for serialized messages: a few bytes may become many Python objects.

    It raises AnnotationError for those of more than ``topic.most_bytes``, and for those that cannot be read.
    """

    def read(data: bytes) -> None:
        if topic.most_bytes is not None and len(data) > topic.most_bytes:
            raise AnnotationError(
                f"{topic.name}: got a message of {len(data)} bytes, accepted: at most {topic.most_bytes}"
            )
        try:
            message = deserialize_message(data, topic.kind)
        except Exception as error:  # RMWError, with many lines
            raise AnnotationError(
                f"{topic.name}: got {len(data)} bytes that cannot be read, accepted: a {topic.kind.__name__} "
                f"({short(one_line(error))})"
            ) from None
        callback(message)

    return read
