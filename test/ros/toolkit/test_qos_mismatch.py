"""Mismatched endpoints are logged once, with the remedy, and are in the diagnostics while the mismatch lasts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy
from segmenter_rig import Rig, overrides
from sensor_msgs.msg import Image

from neural_seg_ros.errors import ConfigError
from neural_seg_ros.ros.segmenter.interface import SEGMENTER
from neural_seg_ros.ros.segmenter.node import Segmenter
from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.qos_mismatch import Mismatch, mismatches
from neural_seg_ros.ros.toolkit.qos_parameters import PUBLISHER, SUBSCRIPTION
from neural_seg_ros.ros.toolkit.throttled_log import ThrottledLog

pytestmark = pytest.mark.ros

KIND = "sensor_msgs/msg/Image"
STRICT = {
    "reliability": ReliabilityPolicy.RELIABLE,
    "durability": DurabilityPolicy.TRANSIENT_LOCAL,
    "liveliness": LivelinessPolicy.MANUAL_BY_TOPIC,
    "deadline": Duration(nanoseconds=100),
    "liveliness_lease_duration": Duration(nanoseconds=100),
}
LOOSE = {
    "reliability": ReliabilityPolicy.BEST_EFFORT,
    "durability": DurabilityPolicy.VOLATILE,
    "liveliness": LivelinessPolicy.AUTOMATIC,
    "deadline": Duration(nanoseconds=200),
    "liveliness_lease_duration": Duration(),
}


def profile(**policies: Any) -> QoSProfile:
    return QoSProfile(depth=1, **policies)


def other(quality: QoSProfile, kind: str = KIND, name: str = "cam", namespace: str = "/front") -> Any:
    return SimpleNamespace(node_name=name, node_namespace=namespace, topic_type=kind, qos_profile=quality)


@pytest.mark.parametrize("policy", STRICT)
def test_each_incompatible_policy_is_found(policy: str) -> None:
    strict, loose = profile(**{policy: STRICT[policy]}), profile(**{policy: LOOSE[policy]})
    ours_requests = mismatches("/image", SUBSCRIPTION, KIND, strict, [other(loose)])
    ours_offers = mismatches("/image", PUBLISHER, KIND, loose, [other(strict)])
    assert [(found.topic, found.policy, found.node) for found in ours_requests] == [("/image", policy, "/front/cam")]
    assert [(found.topic, found.policy, found.node) for found in ours_offers] == [("/image", policy, "/front/cam")]
    assert f"set qos_overrides./image.subscription.{policy}: " in ours_requests[0].text
    assert f"set qos_overrides./image.publisher.{policy}: " in ours_offers[0].text
    for side in (SUBSCRIPTION, PUBLISHER):
        assert not mismatches("/image", side, KIND, strict, [other(strict)])
        assert not mismatches("/image", side, KIND, loose, [other(loose)])
    assert not mismatches("/image", SUBSCRIPTION, KIND, loose, [other(strict)])
    assert not mismatches("/image", PUBLISHER, KIND, strict, [other(loose)])


def test_the_remedy_is_the_other_sides_value() -> None:
    reliable, best_effort = profile(), profile(reliability=ReliabilityPolicy.BEST_EFFORT)
    (found,) = mismatches("/image", SUBSCRIPTION, KIND, reliable, [other(best_effort, namespace="/")] * 2)
    assert found.text == (
        "/image: /cam offers reliability best_effort, reliable is requested here; "
        "set qos_overrides./image.subscription.reliability: best_effort"
    )
    strict = profile(deadline=Duration(nanoseconds=5))
    (found,) = mismatches("/m", PUBLISHER, KIND, profile(), [other(strict)])
    assert found.text.endswith("set qos_overrides./m.publisher.deadline: 5")


def test_both_values_for_no_limit_are_equal() -> None:
    unlimited = profile(
        deadline=Duration(nanoseconds=2**63 - 1), liveliness_lease_duration=Duration(nanoseconds=2**63 - 1)
    )
    for side in (SUBSCRIPTION, PUBLISHER):
        assert not mismatches("/image", side, KIND, profile(), [other(unlimited)])


def test_another_type_is_a_mismatch() -> None:
    others = [other(profile(), kind="std_msgs/msg/String"), other(profile())]
    (found,) = mismatches("/image", SUBSCRIPTION, KIND, profile(), others)
    assert found == Mismatch(
        "/image",
        "type",
        "/front/cam",
        "/image: /front/cam publishes std_msgs/msg/String, sensor_msgs/msg/Image is expected here; remap one of them",
    )
    (found,) = mismatches(
        "/m", PUBLISHER, KIND, profile(), [other(profile(), "std_msgs/msg/String", "_NODE_NAME_UNKNOWN_")]
    )
    assert found.text.startswith("/m: an unknown node expects std_msgs/msg/String")


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Callable[[str], list[str]]:
    """Return a function that returns the log lines so far that contain a text."""
    logged: list[str] = []

    def lines_with(text: str) -> list[str]:
        logged.extend(capfd.readouterr().err.splitlines())
        return [line for line in logged if text in line]

    return lines_with


def test_a_best_effort_camera_in_lock_step(probe: Any, lines: Callable[[str], list[str]]) -> None:
    rig = Rig(probe, **{"live.lock_step": True})
    camera = probe.node.create_publisher(Image, "/image", profile(reliability=ReliabilityPolicy.BEST_EFFORT))
    text = (
        "/image: /probe offers reliability best_effort, reliable is requested here; "
        "set qos_overrides./image.subscription.reliability: best_effort"
    )

    def warned() -> bool:
        return any(text in message.status[0].message for message in rig.diagnostics)

    probe.until(warned, what="a warning of the camera")
    status = rig.status()
    assert status.level == DiagnosticStatus.WARN
    assert {entry.key: entry.value for entry in status.values}["mismatch /image reliability"] == text
    probe.node.destroy_publisher(camera)
    probe.until(lambda: "reliability" not in rig.status().message, what="the end of the warning")
    assert len(lines(text)) == 1
    assert not lines("offering incompatible QoS"), "rclpy logs nothing in addition"


def test_the_proposed_remedy_works(probe: Any) -> None:
    rig = Rig(probe, **{"live.lock_step": True, "qos_overrides./image.subscription.reliability": "best_effort"})
    best_effort = profile(reliability=ReliabilityPolicy.BEST_EFFORT)
    rig.camera = probe.node.create_publisher(Image, "/image", best_effort)
    probe.until(rig.camera.get_subscription_count, what="a match")
    rig.frame(1.0)
    probe.until(lambda: rig.node._live.status().frames_in, what="the frame")


def test_a_transient_local_subscriber(probe: Any, lines: Callable[[str], list[str]]) -> None:
    rig = Rig(probe)
    latched = profile(durability=DurabilityPolicy.TRANSIENT_LOCAL)
    probe.listen(Image, "/segmenter/mask", latched)
    text = (
        "/segmenter/mask: /probe requests durability transient_local, volatile is offered here; "
        "set qos_overrides./segmenter/mask.publisher.durability: transient_local"
    )
    probe.until(lambda: any(text in message.status[0].message for message in rig.diagnostics), what="a warning")
    assert len(lines(text)) == 1


def test_a_publisher_of_another_type(
    probe: Any, monkeypatch: pytest.MonkeyPatch, lines: Callable[[str], list[str]]
) -> None:
    monkeypatch.setattr("neural_seg_ros.ros.toolkit.endpoints._CHECKS_PER_FULL_CHECK", 1)
    rig = Rig(probe)
    text = (
        "/segmenter/box: /drawer publishes geometry_msgs/msg/PointStamped, geometry_msgs/msg/PolygonStamped is "
        "expected here; remap one of them"
    )
    code = """
import rclpy
from geometry_msgs.msg import PointStamped
rclpy.init()
node = rclpy.create_node("drawer")
node.create_publisher(PointStamped, "/segmenter/box", 1)
rclpy.spin(node)
"""
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ, stderr=subprocess.DEVNULL)
    try:
        probe.until(lambda: any(text in message.status[0].message for message in rig.diagnostics), what="a warning")
    finally:
        process.kill()
        process.wait()
    assert len(lines(text)) == 1


@pytest.mark.parametrize(
    ("unnamed_checks", "warned"), [(2, ["/front/drawer"]), (5, ["an unknown node", "/front/drawer"])]
)
def test_a_mismatch_waits_for_the_name_of_its_node(
    probe: Any, monkeypatch: pytest.MonkeyPatch, unnamed_checks: int, warned: list[str]
) -> None:
    names = iter(["_NODE_NAME_UNKNOWN_"] * unnamed_checks)

    def publishers(node: Any, topic: str) -> list[Any]:
        return [other(profile(), "std_msgs/msg/String", next(names, "drawer"))]

    monkeypatch.setattr(type(probe.node), "get_publishers_info_by_topic", publishers)
    logged: list[str] = []
    monkeypatch.setattr(ThrottledLog, "warning", lambda log, key, text: logged.append(text))
    endpoints = Endpoints(probe.node, SEGMENTER, ThrottledLog(probe.node))
    endpoints.subscription(SEGMENTER.inputs[0], lambda message: None)
    for _ in range(10):
        endpoints._check()
    assert [text.split(": ")[1].split(" publishes")[0] for text in logged] == warned


def test_qos_of_every_topic_can_be_overridden(probe: Any) -> None:
    topics = [topic for topic in (*SEGMENTER.inputs, *SEGMENTER.outputs) if topic.name != "image/compressed"]
    given: dict[str, Any] = {}
    for topic in topics:
        side = SUBSCRIPTION if topic in SEGMENTER.inputs else PUBLISHER
        name = (
            f"qos_overrides.{topic.name.replace('~', '/segmenter', 1) if topic.name[0] in '~/' else '/' + topic.name}"
        )
        flipped = _flipped(topic.profile)
        given |= {f"{name}.{side}.{policy}": value for policy, value in flipped.items()}
    node = probe.add(Segmenter(parameter_overrides=overrides(given)))
    for topic in topics:
        is_input = topic in SEGMENTER.inputs
        query = probe.node.get_subscriptions_info_by_topic if is_input else probe.node.get_publishers_info_by_topic
        resolved = node.resolve_topic_name(topic.name)

        def profiles(query: Any = query, resolved: str = resolved) -> list[Any]:
            return [info.qos_profile for info in query(resolved) if info.node_name == "segmenter"]

        probe.until(profiles, what=topic.name)
        (quality,) = profiles()
        flipped = _flipped(topic.profile)
        assert quality.reliability.name.lower() == flipped["reliability"], topic.name
        assert quality.durability.name.lower() == flipped["durability"], topic.name
    # The graph does not have history and depth.
    histories = {(each.qos_profile.history, each.qos_profile.depth) for each in node._endpoints._endpoints}
    assert histories == {(HistoryPolicy.KEEP_LAST, 7)}


def _flipped(quality: QoSProfile) -> dict[str, Any]:
    reliable = quality.reliability == ReliabilityPolicy.RELIABLE
    latched = quality.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return {
        "reliability": "best_effort" if reliable else "reliable",
        "durability": "volatile" if latched else "transient_local",
        "history": "keep_last",
        "depth": 7,
    }


@pytest.mark.parametrize(
    ("policy", "value", "error", "message"),
    [
        ("reliability", "nonsense", ConfigError, "got 'nonsense', accepted: system_default | reliable | best_effort"),
        ("durability", 3, ParameterException, "qos_overrides./segmenter/mask.publisher.durability"),
        ("depth", -1, ParameterException, "qos_overrides./segmenter/mask.publisher.depth"),
    ],
)
def test_invalid_qos_is_refused(ros: Any, policy: str, value: Any, error: type[Exception], message: str) -> None:
    name = f"qos_overrides./segmenter/mask.publisher.{policy}"
    with pytest.raises(error) as raised:
        Segmenter(parameter_overrides=overrides({name: value}))
    assert name in str(raised.value)
    assert message in str(raised.value)
