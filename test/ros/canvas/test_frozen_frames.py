"""Frozen frames: they are labeled later, and nothing is drawn on a frame that the segmenter does not have."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from canvas_rig import SIZE, Rig, parameters, picture, process_of_a_segmenter
from rviz_client import RvizClient
from segmenter_rig import WIDTH, header
from sensor_msgs.msg import Image
from visualization_msgs.msg import ImageMarker

from neural_seg_ros.annotations import Click
from neural_seg_ros.drawing import palette
from neural_seg_ros.ros.canvas.node import Canvas
from neural_seg_ros.ros.toolkit import qos
from neural_seg_ros.ros.toolkit.conversion import from_array

pytestmark = pytest.mark.ros


@pytest.fixture
def rig(probe: Any, tmp_path: Path) -> Rig:
    return Rig(probe, tmp_path)


def test_a_frozen_frame_is_labeled_much_later(rig: Rig) -> None:
    rig.segmenter.set_parameters(parameters(**{"live.ring": 2}))
    rviz = rig.open(1.0)
    rviz.choose("freeze")
    rig.until_text("frozen | click | class 1 square")
    control = rviz.control
    rig.probe.until(lambda: rig.canvas._frame_check._confirmed, what="an answer to the frozen frame")
    for second in range(2, 8):
        rig.frame(float(second), seed=second)
        rig.probe.until(lambda newest=second: rig.masks[-1].header.stamp.sec == newest, what=f"a mask of {second}")
    rviz.drag(SIZE, (20.0, 15.0))
    rig.probe.until(lambda: any(1 in mask.data and mask.header == header(1.0) for mask in rig.masks))
    # The square is tinted with the color of its class.
    tinted = np.asarray(palette(1))
    rig.probe.until(lambda: (abs(rviz.texture()[20, 28] - 0.55 * picture()[20, 28] - 0.45 * tinted) < 2).all())
    assert rviz.control == control
    assert rig.annotations() == (Click(20, 15, 1),)
    rviz.choose("freeze")
    rig.frame(9.0, seed=9)
    rig.until_text("live")
    rig.probe.until(lambda: rviz.control != control, what="a newer frame")


def test_nothing_is_drawn_on_a_frame_the_segmenter_dropped(probe: Any, tmp_path: Path) -> None:
    rig = Rig(probe, tmp_path, patience=0.5)
    rviz = rig.open(1.0)
    rig.segmenter.set_parameters(parameters(**{"live.ring": 1}))
    rig.canvas._next_frame = float("inf")  # the picture that the user still looks at
    rig.frame(2.0, seed=2)
    rig.probe.until(lambda: rig.masks[-1].header.stamp.sec == 2)
    rviz.drag(SIZE, (20.0, 15.0))
    rig.until_text("no answer within 0.5 s; drawings dropped: 1")
    assert rig.annotations() == ()
    rviz.drag(SIZE, (20.0, 15.0))
    rig.until_text("waits for the segmenter")


def test_a_restarted_segmenter_gets_nothing_for_old_frames(probe: Any, tmp_path: Path) -> None:
    rig = Rig(probe, tmp_path, patience=0.5)
    rviz = rig.open(1.0)
    rviz.drag(SIZE, (20.0, 15.0))
    probe.until(lambda: rig.canvas._frame_check._confirmed, what="an answer")
    probe.until(lambda: not rig.canvas._frame_check._unconfirmed, what="a sign of life")
    probe.remove(rig.segmenter)
    assert rig.canvas._annotations.get_subscription_count(), "one still listens, as a recorder would"
    # An overlay that is still in flight would confirm the frame once more, so deliver it before the next drawing.
    for _ in range(50):
        probe.executor.spin_once(timeout_sec=0.002)
    probe.until(lambda: not rig.canvas._frame_check._confirmed, what="a segmenter that is gone")
    rviz.drag(SIZE, (30.0, 20.0))
    rig.until_text("drawings dropped: 1")


def test_a_press_on_a_frame_that_is_gone_is_refused(rig: Rig) -> None:
    rviz = rig.open(1.0)
    old = rviz.control
    rig.frame(2.0, seed=2)
    rig.probe.until(lambda: rviz.control != old, what="another frame")
    rviz.drag(SIZE, (20.0, 15.0), control_name=old)
    rig.until_text(f"drawn on {old} of the canvas")
    rviz.drag(SIZE, (20.0, 15.0), control_name="status")
    rig.until_text("drawn on frame -1 of the canvas")
    assert (rig.annotations(), rig.canvas._board.frozen) == ((), False)


# Last in this file: the killed process stays in the graph for 20 s, and a rig after it would wait for that.
def test_a_restarted_segmenter_gets_only_clicks_it_can_place(probe: Any, tmp_path: Path) -> None:
    canvas = probe.add(Canvas(parameter_overrides=parameters(rate=20.0, patience=2.0)))
    camera = probe.node.create_publisher(Image, "/image", 10)
    masks = probe.listen(Image, "/segmenter/mask")
    drawn: list[ImageMarker] = []
    probe.node.create_subscription(ImageMarker, "/segmenter/annotation", drawn.append, qos.ANNOTATION_INPUT)
    second, due = 0, 0.0

    def masked(pixel: tuple[int, int], class_id: int, newer_than: int = 0) -> bool:
        """Return whether a mask has a pixel of a class, while the camera goes on."""
        nonlocal second, due
        if time.monotonic() >= due:
            second, due = second + 1, time.monotonic() + 0.1
            camera.publish(from_array(picture(second), "rgb8", header(float(second))))
        x, y = pixel
        return any(m.header.stamp.sec > newer_than and m.data[y * WIDTH + x] == class_id for m in masks)

    def freeze() -> None:
        """While the camera stands still, as a press on a frame that goes meanwhile is refused."""
        rviz.choose("freeze")
        probe.until(lambda: rviz.shows("frozen") and rviz.sequence == canvas._server._sequence, what="a frozen frame")

    process = process_of_a_segmenter(tmp_path)
    try:
        rviz = RvizClient(probe).init()

        def shows_what_the_segmenter_has() -> bool:
            """Not a frame of before it lived."""
            return bool(
                masked((0, 0), 255) and rviz.markers and canvas._frame.header.stamp.sec >= masks[0].header.stamp.sec
            )

        probe.until(shows_what_the_segmenter_has, what="a frame that has a mask")
        freeze()
        rviz.drag(SIZE, (20.0, 15.0))
        probe.until(lambda: masked((20, 15), 1), what="an answer to a click")
        probe.until(lambda: not canvas._frame_check._unconfirmed, what="a sign of life")
        control, known, last, killed = rviz.control, len(drawn), second, time.monotonic()
        process.kill()
        process.communicate()
        masks.clear()
        process = process_of_a_segmenter(tmp_path)
        rviz.drag(SIZE, (30.0, 20.0))
        probe.until(lambda: masked((0, 0), 255, last) or rviz.control != control, what="another frame on the canvas")
        probe.until(lambda: rviz.shows("the restarted segmenter does not have it"), what="that it is said")
        assert rviz.shows("drawings dropped: 1")
        assert rviz.control != control
        assert not any(marker.action == ImageMarker.ADD for marker in drawn[known + 1 :]), "but that into the void"
        print(f"noticed {time.monotonic() - killed:.1f} s after the kill")
        assert probe.node.count_publishers("/segmenter/mask") == 2, "the one that was killed is still in the graph"
        rviz.choose("2")
        freeze()
        rviz.drag(SIZE, (48.0, 34.0))
        probe.until(lambda: masked((48, 34), 2, last), what="an answer to a click")
        assert drawn[-1].header.stamp.sec > last
    finally:
        process.kill()
        process.communicate()
