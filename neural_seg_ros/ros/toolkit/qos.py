"""Quality of service of every topic by role; parameters can override all of it.

The parameter ``qos_overrides.<topic>.<subscription or publisher>.<policy>`` overrides a topic's profile, for example
``qos_overrides./camera/image_raw.subscription.reliability: reliable``, if the endpoint is created with ``OVERRIDES`` as
``qos_overriding_options``. rclpy writes the overrides into the profile it is given, so each endpoint needs its own
copy. ``Endpoints`` does both.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

# Only the newest frame counts. Best effort matches both reliable and best-effort cameras.
IMAGE_INPUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
CAMERA_INFO_INPUT = IMAGE_INPUT
# Topics that are matched by stamp: none may be lost while another is processed. Best effort matches every publisher.
STAMPED_INPUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
# No click may be lost, and a drawing tool may send many at once.
ANNOTATION_INPUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.RELIABLE)
# Reliable matches every subscriber; RViz asks for it by default.
OUTPUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)
# Reports have few subscribers, which may be slow to read them.
REPORT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE)
# In lock-step every image counts, in and out, so the camera's publisher must be reliable too.
LOCK_STEP = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
# The last message is also for subscribers that come later.
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
