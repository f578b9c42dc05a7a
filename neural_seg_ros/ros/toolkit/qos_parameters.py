"""Parameters for the QoS of a topic: ``qos_overrides.<topic>.<subscription or publisher>.<policy>``.

rclpy defines the names, and reads the parameters when it creates an endpoint. They are declared here first, to give
each a range or choices, and an error of one line for an invalid value.
"""

from __future__ import annotations

from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy

from neural_seg_ros.options import Option
from neural_seg_ros.ros.toolkit.node_parameters import descriptor
from neural_seg_ros.ros.toolkit.qos import OVERRIDES

SUBSCRIPTION, PUBLISHER = "subscription", "publisher"
# Nanoseconds that the middleware uses for no limit; a parameter says 0.
NO_LIMIT = 2**63 - 1
_ENUMS: dict[QoSPolicyKind, Any] = {
    QoSPolicyKind.RELIABILITY: ReliabilityPolicy,
    QoSPolicyKind.DURABILITY: DurabilityPolicy,
    QoSPolicyKind.HISTORY: HistoryPolicy,
    QoSPolicyKind.LIVELINESS: LivelinessPolicy,
}
_NUMBER_HELP = {
    QoSPolicyKind.DEPTH: "number of messages kept with history keep_last",
    QoSPolicyKind.DEADLINE: "longest time between messages in nanoseconds, 0 for no limit",
    QoSPolicyKind.LIFESPAN: "age in nanoseconds above which a message is no longer delivered, 0 for no limit",
    QoSPolicyKind.LIVELINESS_LEASE_DURATION: (
        "longest time in nanoseconds between signs of life of a publisher, 0 for no limit"
    ),
}


def parameter_name(topic: str, side: str, policy: str) -> str:
    """Return the name of the parameter; ``topic`` is the resolved name."""
    return f"qos_overrides.{topic}.{side}.{policy}"


def policies(side: str) -> list[QoSPolicyKind]:
    """Return the policies of a side that can be overridden."""
    return [kind for kind in OVERRIDES.policy_kinds if side == PUBLISHER or kind != QoSPolicyKind.LIFESPAN]


def declare(node: Node, topic: str, side: str, profile: QoSProfile) -> None:
    """Declare the parameters of one endpoint, with the values of a profile as defaults.

    topic  resolved name
    Raises ConfigError, or rclpy's ParameterException, for an invalid value.
    """
    for kind in policies(side):
        entry = _option(topic, side, kind, profile)
        # Two topics may be remapped to the same name.
        if not node.has_parameter(entry.name):
            entry.check(node.declare_parameter(entry.name, entry.default, descriptor(entry)).value)


def parameter_value(policy: str, profile: QoSProfile) -> str | int:
    """Convert a policy of a profile to the value of its parameter: a word or a number."""
    value = getattr(profile, policy)
    if isinstance(value, Duration):
        return int(value.nanoseconds) if value.nanoseconds < NO_LIMIT else 0
    return int(value) if policy == "depth" else str(value.name.lower())


def _option(topic: str, side: str, kind: QoSPolicyKind, profile: QoSProfile) -> Option:
    policy = kind.name.lower()
    name, default = parameter_name(topic, side, policy), parameter_value(policy, profile)
    about = f"{policy.replace('_', ' ')} of the {side} of {topic}"
    if kind in _ENUMS:
        choices = tuple(word.lower() for word in _ENUMS[kind].__members__ if word != "UNKNOWN")
        return Option(name, str, default, about, choices=choices, fixed=True)
    return Option(name, int, default, f"{about}: {_NUMBER_HELP[kind]}", low=0, high=NO_LIMIT, fixed=True)
