"""Quality of service of every topic by role; all can be overridden by parameters.

A topic's profile is overridden with ``qos_overrides.<topic>.<subscription or publisher>.<policy>``, for example
``qos_overrides./camera/image_raw.subscription.reliability: reliable``, when ``OVERRIDES`` is given as
``qos_overriding_options``. rclpy writes what is overridden into the profile it was given: give it a copy, or the next
topic gets the same. ``Endpoints`` does both.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

# Only the newest frame counts, and best effort matches reliable and best-effort cameras alike.
IMAGE_INPUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
CAMERA_INFO_INPUT = IMAGE_INPUT
# Several topics that are joined by stamp: none may be lost while another is worked on. Best effort matches all of them.
STAMPED_INPUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
# No click may be lost, and a drawing tool may send many at once.
ANNOTATION_INPUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.RELIABLE)
# Reliable matches every subscriber; RViz asks for it by default.
OUTPUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)
# What few read, and late.
REPORT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE)
# Every image counts, in and out, in lock-step: who publishes to it must be reliable too.
LOCK_STEP = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
# Kept for subscribers that come later.
LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)

OVERRIDES = QoSOverridingOptions(
    (
        QoSPolicyKind.RELIABILITY,
        QoSPolicyKind.DURABILITY,
        QoSPolicyKind.HISTORY,
        QoSPolicyKind.DEPTH,
        QoSPolicyKind.DEADLINE,
        QoSPolicyKind.LIFESPAN,
        QoSPolicyKind.LIVELINESS,
        QoSPolicyKind.LIVELINESS_LEASE_DURATION,
    )
)
