"""Mismatches of QoS or type between two endpoints of a topic, with the parameter that fixes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

from neural_seg_ros.ros.toolkit.qos_parameters import NO_LIMIT, SUBSCRIPTION, parameter_name, parameter_value

_UNKNOWN_NODE_NAME = "_NODE_NAME_UNKNOWN_"
UNKNOWN_NODE = "an unknown node"
# Policies that can be incompatible.
_POLICIES = ("reliability", "durability", "deadline", "liveliness", "liveliness_lease_duration")


@dataclass(frozen=True)
class Mismatch:
    """An endpoint of another node that does not match an endpoint of this node.

    topic   resolved name
    policy  policy of the quality of service that differs, or ``type``
    node    full name of the other node, or UNKNOWN_NODE
    text    one line: the offer, the request and the remedy
    """

    topic: str
    policy: str
    node: str
    text: str


def mismatches(
    topic: str, side: str, kind: str, profile: QoSProfile, others: Iterable[Any], *, fixed: bool = False
) -> list[Mismatch]:
    """List the other side's endpoints that do not match ours; equal ones of a node are listed once.

    topic   resolved name
    side    our side: ``subscription`` or ``publisher``
    kind    our message type as ``package/msg/Name``
    others  rclpy's TopicEndpointInfo of the other side
    fixed   True if no parameter sets our profile, so that none is proposed as the remedy
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
        for policy in _POLICIES:
            if not _compatible(policy, offered, requested):
                text = _policy_text(topic, side, policy, node, offered, requested, fixed)
                found.append(Mismatch(topic, policy, node, text))
    return list(dict.fromkeys(found))


def _compatible(policy: str, offered: QoSProfile, requested: QoSProfile) -> bool:
    """Return whether one policy is compatible, by rclpy's rules.

    rclpy compares whole profiles and names the policies in a sentence, so each policy is compared by itself.
    """
    offer, request = _only(policy, offered), _only(policy, requested)
    return bool(qos_check_compatible(offer, request)[0] != QoSCompatibility.ERROR)


def _only(policy: str, profile: QoSProfile) -> QoSProfile:
    value = getattr(profile, policy)
    if isinstance(value, Duration) and not value.nanoseconds:
        # No limit is 0 in our profiles and NO_LIMIT in the graph's.
        value = Duration(nanoseconds=NO_LIMIT)
    return QoSProfile(depth=1, **{policy: value})


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
    theirs, ours = ("publishes", "expected") if side == SUBSCRIPTION else ("expects", "published")
    return f"{topic}: {node} {theirs} {other}, {kind} is {ours} here; remap one of them"


def _node_name(info: Any) -> str:
    if info.node_name == _UNKNOWN_NODE_NAME:
        return UNKNOWN_NODE
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"
