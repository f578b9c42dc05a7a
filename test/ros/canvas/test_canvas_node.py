"""The canvas over real DDS: a client that does as RViz does, a canvas, and a segmenter."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from canvas_rig import NAMES, SIZE, Rig, parameters, picture
from geometry_msgs.msg import Point, PointStamped
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rviz_client import RvizClient
from segmenter_rig import WIDTH, header, overrides
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger
from visualization_msgs.msg import ImageMarker, InteractiveMarkerFeedback, InteractiveMarkerUpdate, Marker

from neural_seg_ros.annotations import Annotation, Box, Click, Region, Stroke
from neural_seg_ros.errors import ConfigError
from neural_seg_ros.ros.canvas import Tool, marker_server
from neural_seg_ros.ros.canvas.messages import annotation_marker
from neural_seg_ros.ros.canvas.node import Canvas
from neural_seg_ros.ros.segmenter.node import Segmenter
from neural_seg_ros.ros.toolkit import qos
from neural_seg_ros.ros.toolkit.conversion import from_array

pytestmark = pytest.mark.ros

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


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
    probe.until(lambda: rviz.shows("undo: /segmenter/undo is not available"))
    rviz.drag(SIZE, (20.0, 15.0))
    probe.until(lambda: rviz.shows("no answer within 0.3 s; drawings dropped: 1"))
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
