"""Mismatches of QoS or type between two endpoints of a topic, with the parameter that fixes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    LivelinessPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from neural_seg_ros.ros.toolkit.qos_parameters import NO_LIMIT, SUBSCRIPTION, parameter_name, parameter_value

_UNKNOWN_NODE = "_NODE_NAME_UNKNOWN_"


@dataclass(frozen=True)
class Mismatch:
    """An endpoint of another node that does not match ours.

    topic   resolved name
    policy  what they differ in: a policy of the quality of service, or ``type``
    node    full name of the other node
    text    one line: what is offered, what is requested, and the remedy
    """

    topic: str
    policy: str
    node: str
    text: str


def mismatches(
    topic: str, side: str, kind: str, profile: QoSProfile, others: Iterable[Any], *, fixed: bool = False
) -> list[Mismatch]:
    """List the other side's endpoints that do not match ours, several of a node once.

    topic   resolved name
    side    ours: ``subscription`` or ``publisher``
    kind    our message type as ``package/msg/Name``
    others  rclpy's TopicEndpointInfo of the other side
    fixed   our profile is no parameter's: that is no remedy
    """
    found = []
    for other in others:
        node = _node_name(other)
        if other.topic_type != kind:
            found.append(Mismatch(topic, "type", node, _type_text(topic, side, kind, node, other.topic_type)))
            continue
        offered, requested = profile, other.qos_profile
        if side == SUBSCRIPTION:
            offered, requested = requested, offered
        # rclpy judges; the rules say which policy it is, as rclpy's reason is a sentence.
        if qos_check_compatible(offered, requested)[0] != QoSCompatibility.ERROR:
            continue
        for policy, falls_short in _RULES.items():
            if falls_short(getattr(offered, policy), getattr(requested, policy)):
                text = _policy_text(topic, side, policy, node, offered, requested, fixed)
                found.append(Mismatch(topic, policy, node, text))
    return list(dict.fromkeys(found))


def _falls_short(weak: Any, strong: Any) -> Callable[[Any, Any], bool]:
    return lambda offered, requested: bool(offered == weak and requested == strong)


def _is_longer(offered: Duration, requested: Duration) -> bool:
    return _limit(requested) < _limit(offered)


def _limit(duration: Duration) -> int:
    """Return nanoseconds; no limit is 0 in a request and NO_LIMIT in the middleware's answer."""
    return int(duration.nanoseconds) or NO_LIMIT


# By policy: whether an offer falls short of a request.
_RULES: dict[str, Callable[[Any, Any], bool]] = {
    "reliability": _falls_short(ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE),
    "durability": _falls_short(DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL),
    "deadline": _is_longer,
    "liveliness": _falls_short(LivelinessPolicy.AUTOMATIC, LivelinessPolicy.MANUAL_BY_TOPIC),
    "liveliness_lease_duration": _is_longer,
}


def _policy_text(
    topic: str, side: str, policy: str, node: str, offered: QoSProfile, requested: QoSProfile, fixed: bool
) -> str:
    offer, request = parameter_value(policy, offered), parameter_value(policy, requested)
    if side == SUBSCRIPTION:
        difference, theirs = f"{node} offers {policy} {offer}, {request} is requested here", offer
    else:
        difference, theirs = f"{node} requests {policy} {request}, {offer} is offered here", request
    remedy = "" if fixed else f"; set {parameter_name(topic, side, policy)}: {theirs}"
    return f"{topic}: {difference}{remedy}"


def _type_text(topic: str, side: str, kind: str, node: str, other: str) -> str:
    does, ours = ("publishes", "expected") if side == SUBSCRIPTION else ("expects", "published")
    return f"{topic}: {node} {does} {other}, {kind} is {ours} here; remap one of them"


def _node_name(info: Any) -> str:
    if info.node_name == _UNKNOWN_NODE:
        return "an unknown node"
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"
