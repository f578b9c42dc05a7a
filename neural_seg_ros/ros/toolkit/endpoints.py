"""Creation of a node's topics, with QoS from parameters and detection of endpoints that do not match."""

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
from neural_seg_ros.ros.toolkit.qos_mismatch import UNKNOWN_NODE, Mismatch, mismatches
from neural_seg_ros.ros.toolkit.qos_parameters import PUBLISHER, SUBSCRIPTION
from neural_seg_ros.ros.toolkit.throttled_log import ThrottledLog

_CHECK_SECONDS = 1.0
# Checks per comparison of all endpoints: some middleware reports no wrong types, or no mismatches at all.
_CHECKS_PER_FULL_CHECK = 10
# Checks after which a report of the middleware is dropped if the graph shows no mismatch.
_SUSPECT_CHECKS = 10
# Checks in a row that wait for the name of a node with a mismatch; the graph has the endpoint before the name.
_CHECKS_FOR_NODE_NAME = 3


@dataclass(eq=False)
class _Endpoint:
    """A publisher or subscription of the node, and its mismatches.

    suspect_checks  checks for which it remains suspect
    unnamed_checks  checks in a row that found a mismatch with an unknown node
    """

    topic: Topic
    side: str
    mismatches: tuple[Mismatch, ...] = ()
    suspect_checks: int = 0
    unnamed_checks: int = 0

    def suspect(self, _: Any = None) -> None:
        self.suspect_checks = _SUSPECT_CHECKS


class Endpoints:
    """The publishers and subscriptions of a node.

    The constructor declares the QoS parameters of all topics, so that an invalid value is an error before anything is
    created. Once a second the endpoints that the middleware reported are compared with the graph. A mismatch is logged
    when it is first found, and is in ``mismatches`` while it lasts.

    lock_step  use the topics' quality of service for lock-step
    exists     returns whether a topic of the interface exists with the node's parameters
    Raises ConfigError, or rclpy's ParameterException, for an invalid quality of service.
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
        self._endpoints: dict[Any, _Endpoint] = {}
        self._checks = 0
        for side, topics in ((SUBSCRIPTION, interface.inputs), (PUBLISHER, interface.outputs)):
            for topic in topics:
                if topic.fixed or not exists(topic):
                    continue
                resolved = node.resolve_topic_name(topic.name)
                qos_parameters.declare(node, resolved, side, topic.quality(lock_step))
        # With use_sim_time the node's clock stands still until a time is published, so the timer has its own clock.
        check = log.guard("endpoints", self._check)
        node.create_timer(_CHECK_SECONDS, check, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        """Endpoints of other nodes that do not match those of this node."""
        return tuple(found for endpoint in tuple(self._endpoints.values()) for found in endpoint.mismatches)

    def subscription(self, topic: Topic, callback: Callable[[Any], None], callback_group: Any = None) -> Any:
        """Subscribe to a topic of the interface; log the callback's exceptions, refuse messages that are too large."""
        endpoint = _Endpoint(topic, SUBSCRIPTION)
        subscription = self._node.create_subscription(
            topic.kind,
            topic.name,
            self._log.guard(topic.name, callback if topic.max_bytes is None else _bounded(topic, callback)),
            topic.quality(self._lock_step),
            callback_group=callback_group,
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=endpoint.suspect, incompatible_type=endpoint.suspect
            ),
            qos_overriding_options=None if topic.fixed else OVERRIDES,
            raw=topic.max_bytes is not None,
        )
        self._endpoints[subscription] = endpoint
        return subscription

    def publisher(
        self, topic: Topic, create: Callable[..., Any] | None = None, matched: Callable[[Any], None] | None = None
    ) -> Any:
        """Publish on a topic of the interface.

        create   creates the publisher; None: the node's create_publisher
        matched  called when a subscriber comes or goes
        """
        endpoint = _Endpoint(topic, PUBLISHER)
        publisher = (create or self._node.create_publisher)(
            topic.kind,
            topic.name,
            topic.quality(self._lock_step),
            event_callbacks=PublisherEventCallbacks(
                incompatible_qos=endpoint.suspect, incompatible_type=endpoint.suspect, matched=matched
            ),
            qos_overriding_options=None if topic.fixed else OVERRIDES,
        )
        self._endpoints[publisher] = endpoint
        return publisher

    def destroy(self, endpoint: Any) -> None:
        """Destroy a subscription, a publisher or a lifecycle publisher."""
        self._endpoints.pop(endpoint, None)
        node: Any = self._node
        if endpoint in node.subscriptions:
            node.destroy_subscription(endpoint)
        elif hasattr(node, "destroy_lifecycle_publisher"):
            node.destroy_lifecycle_publisher(endpoint)
        else:
            node.destroy_publisher(endpoint)

    def _check(self) -> None:
        if not self._node.context.ok():
            return
        check_all = self._checks % _CHECKS_PER_FULL_CHECK == 0
        self._checks += 1
        for ros_endpoint, endpoint in tuple(self._endpoints.items()):
            if not (check_all or endpoint.suspect_checks):
                continue
            endpoint.suspect_checks = max(0, endpoint.suspect_checks - 1)
            found = self._find_mismatches(ros_endpoint, endpoint)
            unnamed = any(mismatch.node == UNKNOWN_NODE for mismatch in found)
            endpoint.unnamed_checks = endpoint.unnamed_checks + 1 if unnamed else 0
            if found:
                endpoint.suspect()
            if endpoint.unnamed_checks <= _CHECKS_FOR_NODE_NAME:
                found = tuple(mismatch for mismatch in found if mismatch.node != UNKNOWN_NODE)
            for mismatch in found:
                if mismatch not in endpoint.mismatches:
                    self._log.warning((mismatch.topic, mismatch.policy), mismatch.text)
            endpoint.mismatches = found

    def _find_mismatches(self, ros_endpoint: Any, endpoint: _Endpoint) -> tuple[Mismatch, ...]:
        node, topic, side = self._node, endpoint.topic, endpoint.side
        query = node.get_publishers_info_by_topic if side == SUBSCRIPTION else node.get_subscriptions_info_by_topic
        resolved = node.resolve_topic_name(topic.name)
        kind, others = type_name(topic.kind), query(topic.name)
        return tuple(mismatches(resolved, side, kind, ros_endpoint.qos_profile, others, fixed=topic.fixed))


def _bounded(topic: Topic, callback: Callable[[Any], None]) -> Callable[[bytes], None]:
    """Return a callback for serialized messages, because a few bytes may become many Python objects.

    It raises AnnotationError for a message of more than ``topic.max_bytes``, and for one that cannot be deserialized.
    """

    def receive(data: bytes) -> None:
        if topic.max_bytes is not None and len(data) > topic.max_bytes:
            raise AnnotationError(
                f"{topic.name}: got a message of {len(data)} bytes, accepted: at most {topic.max_bytes}"
            )
        try:
            message = deserialize_message(data, topic.kind)
        except Exception as error:  # RMWError, with many lines
            raise AnnotationError(
                f"{topic.name}: got {len(data)} bytes that cannot be deserialized, accepted: a {topic.kind.__name__} "
                f"({short(one_line(error))})"
            ) from None
        callback(message)

    return receive
