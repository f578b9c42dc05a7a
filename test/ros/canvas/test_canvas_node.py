"""The canvas over real DDS: a client that does as RViz does, a canvas, and a segmenter."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from geometry_msgs.msg import Point, PointStamped
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rviz_client import RvizClient
from segmenter_rig import HEIGHT, TINY, WIDTH, header, overrides
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger
from visualization_msgs.msg import ImageMarker, InteractiveMarkerFeedback, InteractiveMarkerUpdate, Marker

from neural_seg_ros.annotations import Annotation, Box, Click, Region, Stroke
from neural_seg_ros.annotations import ros_messages as annotation_message
from neural_seg_ros.drawing import palette
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.ros.canvas import Tool, marker_server
from neural_seg_ros.ros.canvas.messages import annotation_marker
from neural_seg_ros.ros.canvas.node import Canvas
from neural_seg_ros.ros.segmenter.node import Segmenter
from neural_seg_ros.ros.toolkit import qos
from neural_seg_ros.ros.toolkit.conversion import from_array

pytestmark = pytest.mark.ros

SIZE = HEIGHT, WIDTH
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
NAMES = {"class_names": ["0:background", "1:square", "2:disc"]}


def picture(seed: int = 0) -> Any:
    """Return (H, W, 3) uint8: a bright square and a disc on a dark, textured ground; no two corners alike."""
    import cv2

    image = np.random.default_rng(seed).integers(0, 60, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    image[12:24, 16:32] += 180
    cv2.circle(image, (48, 34), 8, (220, 160, 40), cv2.FILLED)
    image[:6, :6] = 255, 0, 0
    return image


def parameters(**given: Any) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in given.items()]


class Rig:
    """A camera, a segmenter, a canvas and an RViz."""

    def __init__(self, probe: Any, folder: Path, lock_step: bool = False, **canvas: Any) -> None:
        self.probe = probe
        options = {**NAMES, "session_directory": str(folder), "live.lock_step": lock_step}
        self.segmenter = probe.add(Segmenter(parameter_overrides=overrides(options)))
        self.canvas = probe.add(Canvas(parameter_overrides=parameters(**{"rate": 20.0, **canvas})))
        self.camera = probe.node.create_publisher(Image, "/image", 10)
        self.masks = probe.listen(Image, "/segmenter/mask")
        self.asked: list[ImageMarker] = []
        probe.node.create_subscription(ImageMarker, "/segmenter/annotation", self.asked.append, qos.ANNOTATION_INPUT)
        probe.until(lambda: self.camera.get_subscription_count() == 2, what="segmenter and canvas at the camera")
        probe.until(lambda: probe.node.count_subscribers("/segmenter/overlay") == 1)
        probe.until(lambda: self.segmenter._outputs._images["overlay"].get_subscription_count() == 1)
        probe.until(lambda: self.canvas._annotations.get_subscription_count() == 2)
        self.rviz = RvizClient(probe)

    def frame(self, second: float, seed: int = 0) -> None:
        self.camera.publish(from_array(picture(seed), "rgb8", header(second)))

    def open(self, second: float = 1.0) -> RvizClient:
        """Show a frame, and wait until the canvas has it as the segmenter draws it."""
        self.frame(second)
        self.probe.until(lambda: self.canvas._feed._overlay is not None, what="an overlay")
        self.probe.until(lambda: self.canvas._feed.class_names, what="names of classes")
        self.rviz.init()
        self.probe.until(lambda: self.rviz.markers, what="the marker")
        self.probe.until(lambda: self.canvas._frame.shown is self.canvas._feed._overlay.message)
        self.settle()
        return self.rviz

    def settle(self) -> None:
        """Until RViz shows what the canvas has."""
        canvas, rviz = self.canvas, self.rviz
        self.probe.until(lambda: not canvas._dirty and rviz.sequence == canvas._server._sequence, what="all in RViz")

    def until_text(self, text: str) -> None:
        self.probe.until(lambda: self.rviz.shows(text), what=f"{text!r} above the canvas")

    def until_ticked(self, title: str) -> None:
        self.probe.until(lambda: f"[x] {title}" in self.rviz.menu, what=f"a tick before {title!r}")

    def labels(self) -> Any:
        return np.frombuffer(bytes(self.masks[-1].data), np.uint8).reshape(SIZE)

    def annotations(self) -> tuple[Annotation, ...]:
        """Return all that the canvas has asked the segmenter to draw, in order."""
        drawn = (annotation_message.marker(each, {}, 1) for each in self.asked if each.action == ImageMarker.ADD)
        return tuple(annotation for each in drawn for annotation in each.annotations)


@pytest.fixture
def rig(probe: Any, tmp_path: Path) -> Rig:
    return Rig(probe, tmp_path)


# -- the marker --------------------------------------------------------------------------------------------------------


def test_the_marker_is_the_frame_the_right_way_round(rig: Rig) -> None:
    rviz = rig.open()
    marker = rviz.marker
    assert (marker.header.frame_id, marker.header.stamp.sec, marker.header.stamp.nanosec) == ("canvas", 0, 0)
    assert rviz.picture.type == Marker.TRIANGLE_LIST
    assert rviz.picture.texture_resource.startswith("embedded://")
    assert rviz.picture.texture.format == "png"
    assert len(rviz.picture.points) == len(rviz.picture.uv_coordinates) == 6
    np.testing.assert_array_equal(rviz.texture(), picture())
    np.testing.assert_array_equal(rviz.seen_from_above(WIDTH), picture())
    assert rviz.point((-0.5, -0.5), SIZE).tolist() == [-1.0, 0.75, 0.0]
    assert rviz.text == "live | click | class 1 square"


def test_colored_triangles_where_textures_are_not_shown(probe: Any, tmp_path: Path) -> None:
    rig = Rig(probe, tmp_path, surface="triangles", columns=16)
    rviz = rig.open()
    assert (rviz.picture.texture_resource, len(rviz.picture.uv_coordinates)) == ("", 0)
    assert len(rviz.picture.points) == 3 * len(rviz.picture.colors) == 6 * 16 * 12
    first = rviz.picture.colors[0]
    assert (first.r, first.g, first.b, first.a) == (1.0, 0.0, 0.0, 1.0), "the red corner"
    corner = rviz.picture.points[0]
    assert (corner.x, corner.y, corner.z) == (-1.0, 0.75, 0.0)


def test_a_late_client_gets_the_marker_and_only_what_follows(rig: Rig) -> None:
    rig.open()
    late = RvizClient(rig.probe, name="late").init()
    assert late.control == rig.rviz.control
    rig.rviz.choose("box")
    rig.until_ticked("box")
    rig.probe.until(lambda: "[x] box" in late.menu)
    assert (late.gaps, rig.rviz.gaps) == (0, 0)
    rig.probe.remove(rig.canvas)
    rig.probe.until(lambda: not late.markers and not rig.rviz.markers, what="an erased marker")


# -- the same masks ----------------------------------------------------------------------------------------------------


def test_what_the_mouse_draws_gives_the_masks_that_pixels_give(probe: Any, tmp_path: Path) -> None:
    rig = Rig(probe, tmp_path, lock_step=True, x=1.0, y=-2.0, z=0.5, roll=1.2, yaw=0.4, width=0.8)
    twin = probe.add(
        Segmenter(
            namespace="twin",
            cli_args=["--ros-args", "-r", "image:=/image"],
            parameter_overrides=overrides({**NAMES, "live.lock_step": True}),
        )
    )
    masks = probe.listen(Image, "/twin/segmenter/mask")
    pixels = probe.node.create_publisher(ImageMarker, "/twin/segmenter/annotation", qos.ANNOTATION_INPUT)
    probe.until(lambda: pixels.get_subscription_count() and twin._outputs.wanted())
    probe.until(lambda: rig.camera.get_subscription_count() == 3)
    rviz = rig.open()
    probe.until(lambda: masks, what="a mask of the twin")

    def same(what: str, before: bytes) -> bytes:
        probe.until(lambda: bytes(masks[-1].data) != before, what=f"{what}: another mask")
        expected = bytes(masks[-1].data)
        probe.until(lambda: bytes(rig.masks[-1].data) == expected, what=f"{what}: the same masks")
        return expected

    def pixel(annotation: Annotation, key: int) -> None:
        pixels.publish(annotation_marker(annotation, key, header(1.0)))

    mask = bytes(masks[-1].data)
    rviz.drag(SIZE, (20.0, 15.0))
    pixel(Click(20, 15, 1), 1)
    mask = same("a click", mask)
    assert rig.labels()[15, 20] == 1

    rviz.choose("negative (class 0 background)")
    rviz.drag(SIZE, (60.0, 4.0))
    pixel(Click(60, 4, 0), 2)
    rviz.choose("2 disc")
    rviz.choose("bounding box")
    rviz.drag(SIZE, (38.0, 25.0), (58.2, 43.9))
    pixel(Box(38, 25, 58, 44, 2, bounding=True), 3)
    mask = same("a bounding box", mask)

    rviz.choose("box")
    rviz.drag(SIZE, (50.0, 36.0), (46.0, 32.0))
    pixel(Region(((46, 32), (50, 32), (50, 36), (46, 36)), 2), 4)
    rviz.choose("stroke")
    rviz.choose("3")
    rviz.drag(SIZE, (8.0, 30.0), (8.0, 40.0))
    rviz.drag(SIZE, (9.0, 40.0), (28.0, 42.0))
    pixel(Stroke(((8, 30), (8, 40), (9, 40), (28, 42)), 3, 3), 5)
    mask = same("strokes", mask)
    assert {0, 1, 2, 3} == set(mask)

    rviz.choose("undo")
    assert probe.call(Trigger, "/twin/segmenter/undo").success
    undone = same("undo", mask)
    assert 3 not in undone
    rviz.choose("redo")
    assert probe.call(Trigger, "/twin/segmenter/redo").success
    assert same("redo", undone) == mask
    assert rviz.gaps == 0
    rig.until_text("made the annotation again")
    assert {seconds for each in rig.asked if (seconds := each.header.stamp.sec)} == {1}
    assert all(each.header.frame_id == "camera" for each in rig.asked)


# -- freezing ----------------------------------------------------------------------------------------------------------


def test_a_frozen_frame_is_labeled_much_later(rig: Rig) -> None:
    rig.segmenter.set_parameters(parameters(**{"live.ring": 2}))
    rviz = rig.open(1.0)
    rviz.choose("freeze")
    rig.until_text("frozen | click | class 1 square")
    control = rviz.control
    rig.probe.until(lambda: rig.canvas._frame_check._known, what="an answer to the frozen frame")
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
    rig.until_text("no answer within 0.5 s; 1 drawn on it are not sent")
    assert rig.annotations() == ()
    rviz.drag(SIZE, (20.0, 15.0))
    rig.until_text("waits for the segmenter")


def test_a_restarted_segmenter_gets_nothing_for_old_frames(probe: Any, tmp_path: Path) -> None:
    rig = Rig(probe, tmp_path, patience=0.5)
    rviz = rig.open(1.0)
    rviz.drag(SIZE, (20.0, 15.0))
    probe.until(lambda: rig.canvas._frame_check._known, what="an answer")
    probe.until(lambda: not rig.canvas._frame_check._unconfirmed, what="a sign of life")
    probe.remove(rig.segmenter)
    assert rig.canvas._annotations.get_subscription_count(), "one still listens, as a recorder would"
    # An overlay that is still in flight would confirm the frame once more, so deliver it before the next drawing.
    for _ in range(50):
        probe.executor.spin_once(timeout_sec=0.002)
    probe.until(lambda: not rig.canvas._frame_check._known, what="a segmenter that is gone")
    rviz.drag(SIZE, (30.0, 20.0))
    rig.until_text("1 drawn on it are not sent")


def process_of_a_segmenter(folder: Path) -> subprocess.Popen[str]:
    """Return a segmenter as users start it, in the domain of the test."""
    given = {**TINY, "session_directory": folder}
    arguments = [item for name, value in given.items() for item in ("-p", f"{name}:={value}")]
    path = os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-m", "neural_seg_ros.ros.segmenter.node", "--ros-args", *arguments],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )


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
        assert rviz.shows("1 drawn on it are not sent")
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


def test_senseless_feedback_is_refused(rig: Rig) -> None:
    rviz = rig.open()
    point = rviz.point((20.0, 15.0), SIZE)
    header_of_map = Header(frame_id="map")
    rviz.press(point, header=header_of_map)
    rig.until_text("feedback frame: got 'map', accepted: 'canvas'")
    rviz.press([np.nan, 0.0, 0.0])
    rig.until_text("pressed beside the picture")
    rviz.press(None)
    rviz.press(point + np.array([0.0, 0.0, 1.0]))
    rviz.send(InteractiveMarkerFeedback.MENU_SELECT, menu_entry_id=4_000_000_000)
    rig.until_text("menu entry: got 4000000000")
    rviz.send(77, point)
    rviz.send(InteractiveMarkerFeedback.KEEP_ALIVE, point)
    rviz.press(point, marker_name="another")
    rviz.release(point)
    rviz.drag(SIZE, (30.0, 20.0), client_id="x" * 100_000)
    rig.probe.until(lambda: rig.annotations() == (Click(30, 20, 1),), what="a click")


def test_a_thousand_random_messages_and_the_next_click_counts(rig: Rig) -> None:
    random = np.random.default_rng(0)
    odd = (math.nan, math.inf, -math.inf, 1e308, -1e308, 0.0, 0.3)
    points = rig.probe.node.create_publisher(PointStamped, "/clicked_point", 10)
    rig.probe.until(lambda: points.get_subscription_count() == 2)
    rviz = rig.open()
    for number in range(1000):
        point = Point(**{axis: float(random.choice(odd)) for axis in "xyz"})
        fields = {
            "marker_name": str(random.choice(["canvas", "", "canvas\n", "x" * 1000])),
            "control_name": str(
                random.choice(["", "frame ", "frame 99999999999999999999", "frame -1", "frame ²", "ä"])
            ),
            "client_id": str(number),
            "mouse_point_valid": bool(random.integers(2)),
            "menu_entry_id": int(random.integers(70_000, 2**32)),
            "header": Header(frame_id=str(random.choice(["canvas", "", "/canvas", "map"]))),
            "mouse_point": point,
        }
        rviz.send(int(random.integers(256)), None, **fields)
        if number % 10 == 0:
            points.publish(PointStamped(header=header(1.0, "canvas"), point=Point(x=math.nan, y=point.y, z=point.z)))
        rig.probe.executor.spin_once(timeout_sec=0)
    rviz.send(InteractiveMarkerFeedback.MENU_SELECT, menu_entry_id=4_000_000_000)
    rig.until_text("menu entry: got 4000000000")
    assert rig.annotations() == ()
    rviz.drag(SIZE, (30.0, 20.0))
    rig.probe.until(lambda: rig.annotations() == (Click(30, 20, 1),), what="a click")


def test_two_rviz_draw_on_one_canvas(rig: Rig) -> None:
    rviz, other = rig.open(), RvizClient(rig.probe, name="other").init()
    rviz.choose("box")
    rig.until_ticked("box")
    rviz.press(rviz.point((4.0, 8.0), SIZE))
    rig.until_text("frozen")
    other.drag(SIZE, (18.0, 14.0), (30.0, 22.0))
    rviz.release(rviz.point((10.0, 12.0), SIZE))
    rig.probe.until(lambda: len(rig.annotations()) == 2, what="two boxes")
    boxes = [annotation.points for annotation in rig.annotations() if isinstance(annotation, Region)]
    assert [(box[0], box[2]) for box in boxes] == [((18, 14), (30, 22)), ((4, 8), (10, 12))]


def test_an_idle_canvas_does_not_fill_the_memory_of_rviz(rig: Rig) -> None:
    rviz = rig.open()
    rig.canvas._touched_at -= 1000.0
    rig.until_text("resting: press to wake")
    control = rviz.control
    rig.frame(2.0, seed=2)
    rviz.drag(SIZE, (20.0, 15.0))
    rig.until_text("follows the camera again")
    rig.probe.until(lambda: rviz.control != control, what="the newer frame")
    assert rig.annotations() == ()


def test_frames_without_a_stamp_cannot_be_drawn_on(rig: Rig) -> None:
    rviz = rig.open(0.0)
    rviz.drag(SIZE, (20.0, 15.0))
    rig.until_text("the camera's images have no stamp")
    assert rig.annotations() == ()


# -- beside the mouse --------------------------------------------------------------------------------------------------


def test_publish_point_on_the_canvas_is_one_click(rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    points = rig.probe.node.create_publisher(PointStamped, "/clicked_point", 10)
    rig.probe.until(lambda: points.get_subscription_count() == 2)
    rviz = rig.open()
    x, y, z = rviz.point((20.0, 15.0), SIZE)
    on_canvas = PointStamped(header=header(77.0, "canvas"), point=Point(x=x, y=y, z=z))
    points.publish(on_canvas)
    rig.probe.until(lambda: rig.annotations(), what="a click")
    rig.probe.until(lambda: 1 in rig.masks[-1].data, what="a mask")
    assert rig.annotations() == (Click(20, 15, 1),)
    points.publish(PointStamped(header=header(77.0, "canvas"), point=Point(x=x, y=y, z=9.0)))
    assert "clicked_point" not in capfd.readouterr().err
    points.publish(PointStamped(header=header(77.0, "map"), point=Point(x=x, y=y, z=z)))
    rig.probe.until(lambda: "clicked_point" in capfd.readouterr().err, what="the segmenter's answer")
    assert rig.annotations() == (Click(20, 15, 1),)


def test_the_suggestion_ring_and_the_menu_commands(rig: Rig) -> None:
    rviz = rig.open()
    rviz.choose("suggest")
    rig.until_text("no suggestion for this frame")
    rviz.drag(SIZE, (20.0, 15.0))
    rig.probe.until(lambda: rig.canvas._feed.suggestion(rig.canvas._frame), what="a suggestion")
    plain = rig.canvas._frame.picture
    rig.probe.until(lambda: (rviz.texture() != rig.canvas._frame.picture).any(), what="a ring")
    assert plain.shape == rviz.texture().shape
    rviz.choose("save")
    rig.until_text("saved")
    rviz.choose("all annotations")
    rig.until_text("forgot all annotations")
    rig.probe.until(lambda: set(rig.masks[-1].data) == {255}, what="an empty mask")
    rviz.choose("undo")
    rig.until_text("undo: nothing to undo")
    rviz.choose("load")
    rig.until_text("loaded")
    rig.probe.until(lambda: 1 in rig.masks[-1].data, what="a mask of what was loaded")


def test_names_of_classes_come_and_nonsense_leaves_them(rig: Rig) -> None:
    rviz = rig.open()
    assert {"[x] 1 square", "[ ] 2 disc", "[ ] 3", "[ ] negative (class 0 background)"} <= set(rviz.menu)
    rig.segmenter.set_parameters(parameters(class_names=["7:cup"]))
    rig.probe.until(lambda: "[ ] 7 cup" in rviz.menu, what="the new name")
    assert "[ ] 8" in rviz.menu
    with pytest.raises(ConfigError, match="labels: got"):
        rig.canvas._feed._on_labels(String(data="[1]"))
    assert rig.canvas._feed.class_names == {7: "cup"}


def test_without_a_segmenter_the_camera_is_shown(probe: Any) -> None:
    canvas = probe.add(Canvas(parameter_overrides=parameters(patience=0.3)))
    camera = probe.node.create_publisher(Image, "/image", 10)
    probe.until(camera.get_subscription_count)
    rviz = RvizClient(probe).init()
    assert not rviz.markers, "no frame yet"
    camera.publish(Image(header=header(0.5), encoding="nonsense", width=64, height=48))
    probe.until(lambda: canvas._feed._image is not None)
    camera.publish(from_array(picture(), "rgb8", header(1.0)))
    probe.until(lambda: rviz.markers, what="the marker")
    np.testing.assert_array_equal(rviz.texture(), picture())
    rviz.choose("undo")
    probe.until(lambda: rviz.shows("undo: /segmenter/undo is not there"))
    rviz.drag(SIZE, (20.0, 15.0))
    probe.until(lambda: rviz.shows("no answer within 0.3 s; 1 drawn on it are not sent"))
    assert canvas._board.frozen


def test_where_the_package_is_installed_its_server_is_used(probe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Any]] = []

    class Package:
        """A stand-in for the used part of ``interactive_markers.InteractiveMarkerServer``."""

        def __init__(self, node: Any, namespace: str) -> None:
            self.update_pub = node.create_publisher(InteractiveMarkerUpdate, f"{namespace}/update", 100)

        def insert(self, marker: Any, *, feedback_callback: Any) -> None:
            self.feedback_callback = feedback_callback
            calls.append(("insert", marker))

        def applyChanges(self) -> None:  # noqa: N802  the name is the package's
            calls.append(("applyChanges", None))

        def shutdown(self) -> None:
            calls.append(("shutdown", None))

    monkeypatch.setattr(marker_server, "PackageServer", Package)
    canvas = Canvas()
    try:
        server = canvas._server
        assert isinstance(server, marker_server.InstalledServer)
        assert not server.watched()
        probe.listen(InteractiveMarkerUpdate, "/canvas/update")
        probe.until(server.watched)
        canvas._feed._on_image(from_array(picture(), "rgb8", header(1.0)))
        canvas._tick()
        assert [name for name, _ in calls] == ["insert", "applyChanges"]
        assert calls[0][1].controls[0].name == "frame 1"
        server._server.feedback_callback(
            InteractiveMarkerFeedback(
                marker_name="canvas", event_type=InteractiveMarkerFeedback.MENU_SELECT, menu_entry_id=12
            )
        )
        assert canvas._board.tool is Tool.BOX
    finally:
        canvas.destroy_node()
    assert calls[-1][0] == "shutdown"


def test_the_remedy_of_a_mismatched_overlay_helps(probe: Any, capfd: pytest.CaptureFixture[str]) -> None:
    overlay = probe.node.create_publisher(Image, "/segmenter/overlay", BEST_EFFORT)
    probe.listen(InteractiveMarkerUpdate, "/canvas/update", qos.LATCHED)
    canvas = probe.add(Canvas())
    said = ""

    def logged() -> str:
        nonlocal said
        said += capfd.readouterr().err
        return said

    remedy = "qos_overrides./segmenter/overlay.subscription.reliability"
    probe.until(lambda: f"reliable is requested here; set {remedy}: best_effort\n" in logged(), what="the remedy")
    probe.until(lambda: "requests durability transient_local, volatile is offered here\n" in logged(), what="no remedy")
    probe.remove(canvas)
    probe.add(Canvas(parameter_overrides=[Parameter(remedy, value="best_effort")]))
    probe.until(overlay.get_subscription_count, what="a canvas that matches")


# -- as a process ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("width:=0.0", "width"),
        ("surface:=paper", "surface: got 'paper', accepted: auto | texture | triangles"),
        ("frame_id:=/", "frame_id: got nothing, accepted: a name"),
        ("segmenter:=/front//segmenter", "segmenter: got '/front//segmenter', accepted: a node's name"),
    ],
)
def test_a_bad_parameter_is_one_line_and_status_2(ros_domain: int, given: str, words: str) -> None:
    command = [sys.executable, "-m", "neural_seg_ros.ros.canvas.node", "--ros-args", "-p", given]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("canvas: ")
    assert words in ended.stderr.splitlines()[-1]


def test_the_process_serves_a_marker_and_stops_when_told(probe: Any) -> None:
    command = [sys.executable, "-m", "neural_seg_ros.ros.canvas.node", "--ros-args", "-r", "image:=/camera/image_raw"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        camera = probe.node.create_publisher(Image, "/camera/image_raw", 10)
        probe.until(camera.get_subscription_count, 60)
        rviz = RvizClient(probe).init()
        camera.publish(from_array(picture(), "rgb8", header(1.0)))
        probe.until(lambda: rviz.markers, what="the marker")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
