"""A stream of bad messages gives only a few log lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from geometry_msgs.msg import PolygonStamped
from rclpy.node import Node
from segmenter_rig import Rig

from neural_seg_ros.errors import AnnotationError
from neural_seg_ros.ros.toolkit.throttled_log import ThrottledLog

pytestmark = pytest.mark.ros

BAD_MESSAGES = 60


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def node(ros: Any) -> Iterator[Node]:
    node = Node("throttled", context=ros)
    yield node
    node.destroy_node()


def logged(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return the texts logged since the last call."""
    return [line.split("[throttled]: ")[1] for line in capfd.readouterr().err.splitlines() if "[throttled]" in line]


def test_one_line_of_a_kind_per_period(node: Node, capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    log = ThrottledLog(node, period=5.0, clock=clock)
    for number in range(10):
        log.refused("~/click", AnnotationError(f"click: got ({number}, 9), accepted: less"))
        log.refused("~/click", AnnotationError(f"class: got {number}, accepted: less"))
        log.refused("~/box", AnnotationError(f"click: got {number}, accepted: less"))
        log.refused("~/click", ValueError(f"click {number}"))
        clock.now += 0.1
    assert logged(capfd) == [
        "click: got (0, 9), accepted: less",
        "class: got 0, accepted: less",
        "click: got 0, accepted: less",
        "ValueError: click 0",
    ]
    clock.now += 5
    log.refused("~/click", AnnotationError("click: got (10, 9), accepted: less"))
    assert logged(capfd) == ["click: got (10, 9), accepted: less (9 more like this before)"]
    clock.now += 5
    log.refused("~/click", AnnotationError("click: got (11, 9), accepted: less"))
    assert logged(capfd) == ["click: got (11, 9), accepted: less"]


def test_the_number_of_kinds_is_bounded(node: Node, capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    log = ThrottledLog(node, period=5.0, clock=clock)
    for number in range(1000):
        log.warning(("notice", number), f"notice {number}")
    assert len(logged(capfd)) == 101
    assert len(log._lines) == 101
    clock.now += 6
    for number in range(1000, 1050):
        log.warning(("notice", number), f"notice {number}")
    assert len(logged(capfd)) == 50, "old kinds do not count"


def test_many_bad_messages_give_few_lines(probe: Any, capfd: pytest.CaptureFixture[str]) -> None:
    rig = Rig(probe).connected()
    boxes = probe.node.create_publisher(PolygonStamped, "/segmenter/box", 100)
    probe.until(boxes.get_subscription_count)
    rig.show(1.0)
    capfd.readouterr()
    for number in range(BAD_MESSAGES):
        boxes.publish(PolygonStamped())
        rig.click(1000 + number, 15)
        rig.click(20, 15, 0.5)
        probe.executor.spin_once(timeout_sec=0)
    rig.click(20, 15)
    rig.until_labeled(1.0)
    lines = [line for line in capfd.readouterr().err.splitlines() if "segmenter" in line]
    kinds = ("box: got 0 points", "click: got (1", "annotation stamp: got 0.5")
    for kind in kinds:
        assert any(kind in line for line in lines), kind
    assert len(lines) <= 3 * len(kinds), "one line of each kind per five seconds"
