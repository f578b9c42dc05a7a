"""The segmenter over real DDS: inputs, outputs, services, lifecycle and errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Point, Point32, PointStamped, PolygonStamped
from lifecycle_msgs.msg import Transition
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from segmenter_rig import HEIGHT, WIDTH, Rig, header, picture, seconds
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import SetBool
from visualization_msgs.msg import ImageMarker

from neural_seg_ros.ros.toolkit.conversion import from_array
from neural_seg_ros.ros.toolkit.distribution import have_vision_msgs

pytestmark = pytest.mark.ros


@pytest.fixture
def rig(probe: Any, tmp_path: Path) -> Rig:
    return Rig(probe, session_directory=str(tmp_path)).connected()


def test_the_mask_of_a_click_has_the_frames_header(rig: Rig) -> None:
    before = rig.show(100.25)
    assert set(before.data) == {255}
    rig.click(20, 15, 100.25)
    mask = rig.until_labeled(100.25)
    assert mask.header == header(100.25)
    assert (mask.encoding, mask.height, mask.width, mask.step) == ("mono8", HEIGHT, WIDTH, WIDTH)
    labels = np.frombuffer(bytes(mask.data), np.uint8).reshape(HEIGHT, WIDTH)
    assert labels[15, 20] == 1


def test_a_click_on_a_past_frame_is_answered_with_its_header(rig: Rig) -> None:
    for second in (1.5, 2.5, 3.5):
        rig.show(second)
    rig.click(20, 15, 2.5)
    assert rig.until_labeled(2.5).header == header(2.5)


def test_a_burst_of_frames_is_not_queued(rig: Rig) -> None:
    rig.show(1.0)
    for second in range(2, 40):
        rig.frame(float(second))
        rig.probe.executor.spin_once(timeout_sec=0)
    rig.until_mask(39.0)
    values = rig.values()
    taken = int(values["frames processed"])
    assert int(values["frames in"]) == taken + int(values["frames dropped"])
    stamps = [seconds(mask) for mask in rig.masks]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("shape", ["box", "stroke", "region"])
def test_a_polygon_labels_its_pixels(rig: Rig, shape: str) -> None:
    publisher = rig.probe.node.create_publisher(PolygonStamped, f"/segmenter/{shape}", 1)
    rig.probe.until(publisher.get_subscription_count)
    rig.show(5.0)
    corners = [(18, 14), (30, 20)] if shape == "box" else [(18, 14), (30, 14), (30, 20)]
    message = PolygonStamped(header=header(5.0))
    message.polygon.points = [Point32(x=float(x), y=float(y)) for x, y in corners]
    publisher.publish(message)
    mask = rig.until_labeled(5.0)
    assert mask.data[14 * WIDTH + 20] == 1


def test_a_marker_may_be_a_bounding_box(rig: Rig) -> None:
    publisher = rig.probe.node.create_publisher(ImageMarker, "/segmenter/annotation", 1)
    rig.probe.until(publisher.get_subscription_count)
    rig.show(5.0)
    message = ImageMarker(header=header(5.0), ns="1:bounding", id=7, type=ImageMarker.POLYGON)
    message.points = [Point(x=12.0, y=8.0), Point(x=36.0, y=28.0)]
    publisher.publish(message)
    labels = np.frombuffer(bytes(rig.until_labeled(5.0).data), np.uint8).reshape(HEIGHT, WIDTH)
    y, x = np.nonzero(labels)
    assert (x.min() >= 12, x.max() <= 36, y.min() >= 8, y.max() <= 28) == (True,) * 4


def test_a_suggestion_comes_with_the_answering_mask(rig: Rig) -> None:
    suggestions = rig.probe.listen(PointStamped, "/segmenter/suggestion")
    rig.probe.until(lambda: rig.node._outputs._suggestion.get_subscription_count())
    rig.show(100.25)
    assert not suggestions, "nothing is clicked yet"
    rig.click(20, 15, 100.25)
    rig.probe.until(lambda: suggestions, what="a suggestion")
    suggestion = suggestions[-1]
    assert suggestion.header == header(100.25)
    assert 0 <= suggestion.point.x < WIDTH
    assert 0 <= suggestion.point.y < HEIGHT
    assert (suggestion.point.x, suggestion.point.y) != (20, 15)
    assert suggestion.point.z == 0
    rig.show(101.25, image=picture(7))
    rig.probe.until(lambda: int(rig.values()["frames processed"]) == 2)
    assert {seconds(message) for message in suggestions} == {100.25}, (
        "a frame without an annotation gives no suggestion"
    )


def test_a_marker_names_its_class_and_is_removed_by_id(rig: Rig) -> None:
    rig.node.set_parameters([Parameter("class_names", value=["3:cup"])])
    publisher = rig.probe.node.create_publisher(ImageMarker, "/segmenter/annotation", 1)
    rig.probe.until(publisher.get_subscription_count)
    rig.show(5.0)
    message = ImageMarker(header=header(5.0), ns="cup", id=7, type=ImageMarker.POINTS)
    message.points = [PointStamped().point]
    message.points[0].x, message.points[0].y = 20.0, 15.0
    publisher.publish(message)
    rig.probe.until(lambda: any(3 in mask.data for mask in rig.masks))
    message.action = ImageMarker.REMOVE
    publisher.publish(message)
    rig.until_empty()


def test_a_point_in_space_is_projected_through_camera_info(rig: Rig) -> None:
    infos = rig.probe.node.create_publisher(CameraInfo, "/camera_info", 1)
    points = rig.probe.node.create_publisher(PointStamped, "/clicked_point", 1)
    rig.probe.until(lambda: infos.get_subscription_count() and points.get_subscription_count())
    rig.show(5.0)
    info = CameraInfo(header=header(5.0), height=HEIGHT, width=WIDTH, distortion_model="plumb_bob")
    info.k = [50.0, 0.0, 32.0, 0.0, 50.0, 24.0, 0.0, 0.0, 1.0]
    infos.publish(info)
    rig.probe.until(lambda: rig.node._inputs._camera_info is not None)
    message = PointStamped(header=header(5.0))
    message.point.x, message.point.y, message.point.z = -0.48, -0.36, 2.0
    points.publish(message)
    assert rig.until_labeled(5.0).data[15 * WIDTH + 20] == 1


def test_compressed_images(probe: Any) -> None:
    import cv2

    rig = Rig(probe, image_transport="compressed")
    camera = probe.node.create_publisher(CompressedImage, "/image/compressed", 1)
    probe.until(lambda: camera.get_subscription_count() and rig.node._outputs.wanted())
    data = cv2.imencode(".png", picture()[..., ::-1])[1].tobytes()
    camera.publish(CompressedImage(header=header(4.5), format="png", data=data))
    assert rig.until_mask(4.5).header == header(4.5)


def test_services(rig: Rig, tmp_path: Path) -> None:
    rig.show(5.0)
    refused = rig.trigger("undo")
    assert not refused.success
    assert refused.message
    rig.click(20, 15)
    rig.until_labeled(5.0)
    assert rig.trigger("save_session").success
    assert [path.name for path in tmp_path.glob("*.*")] == ["session.safetensors"]
    assert rig.trigger("undo").success
    rig.until_empty()
    assert rig.trigger("redo").success
    rig.until_remembered()
    assert rig.trigger("clear").success
    rig.until_empty()
    loaded = rig.trigger("load_session")
    assert loaded.success, loaded.message
    rig.until_remembered()
    assert rig.trigger("reset").success
    rig.until_empty()


def test_a_damaged_session_file_is_refused(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense")
    rig.show(5.0)
    rig.click(20, 15)
    rig.until_labeled(5.0)
    rig.node.set_parameters([Parameter("session_name", value="broken")])
    refused = rig.trigger("load_session")
    assert not refused.success
    assert "broken.safetensors" in refused.message
    assert 255 not in rig.show(6.0).data


def test_loading_a_session_brings_its_parameters(rig: Rig) -> None:
    rig.show(5.0)
    assert rig.node.set_parameters([Parameter("fit.click_steps", value=4)])[0].successful
    assert rig.trigger("save_session").success
    assert rig.node.set_parameters([Parameter("fit.click_steps", value=5)])[0].successful
    assert rig.trigger("load_session").success
    assert rig.node.get_parameter("fit.click_steps").value == 4


def test_enable_stops_and_starts_masks(rig: Rig) -> None:
    rig.show(1.0)
    assert rig.probe.call(SetBool, "/segmenter/enable", SetBool.Request(data=False)).success
    rig.frame(2.0)
    assert rig.values()["enabled"] == "False"
    assert not rig.masks_at(2.0)
    assert rig.probe.call(SetBool, "/segmenter/enable", SetBool.Request(data=True)).success
    rig.show(3.0)


def test_an_unknown_encoding_is_reported_once(rig: Rig) -> None:
    bad = from_array(picture(), "rgb8", header(1.0))
    bad.encoding = "nonsense"
    rig.camera.publish(bad)
    rig.probe.until(lambda: rig.node._live.status().errors)
    error = rig.values()["last error"]
    assert "nonsense" in error
    assert "rgb8" in error
    rig.show(2.0)
    rig.show(3.0, image=picture()[..., 0].copy(), encoding="mono8")


def test_resolution_may_change_and_keeps_the_classes(rig: Rig) -> None:
    rig.show(1.0)
    rig.click(20, 15)
    rig.until_labeled(1.0)
    mask = rig.show(2.0, image=picture(0, 72, 96))
    assert (mask.height, mask.width) == (72, 96)
    mask = rig.show(3.0, image=picture(0, 40, 80))
    assert (mask.height, mask.width) == (40, 80)
    assert set(mask.data) <= {0, 1}


def test_time_can_jump_back(rig: Rig) -> None:
    for second in (10.0, 11.0, 5.0, 6.0):
        rig.show(second)
    rig.masks.clear()
    rig.frame(10.0, image=picture(99))
    assert rig.until_mask(10.0).header == header(10.0)


def test_outputs_without_subscribers_are_not_published(rig: Rig) -> None:
    rig.show(1.0)
    published = []
    publishers = rig.node._outputs._images
    for name in ("confidence", "overlay"):

        def publish(message: Any, name: str = name, publish: Any = publishers[name].publish) -> None:
            published.append(name)
            publish(message)

        publishers[name].publish = publish
    rig.show(2.0)
    assert not published
    overlays = rig.probe.listen(Image, "/segmenter/overlay")
    rig.probe.until(lambda: publishers["overlay"].get_subscription_count())
    rig.show(3.0)
    rig.probe.until(lambda: any(seconds(message) == 3.0 for message in overlays))
    assert overlays[-1].encoding == "rgb8"
    assert set(published) == {"overlay"}


def test_all_images_have_the_frames_header(rig: Rig) -> None:
    topics = {"confidence": "mono8", "mask_color": "rgb8", "overlay": "rgb8"}
    received = {name: rig.probe.listen(Image, f"/segmenter/{name}") for name in topics}
    rig.probe.until(lambda: all(rig.node._outputs._images[name].get_subscription_count() for name in topics))
    rig.show(7.5)
    for name, encoding in topics.items():
        rig.probe.until(lambda name=name: received[name], what=name)
        assert received[name][-1].header == header(7.5)
        assert received[name][-1].encoding == encoding


def test_contours_need_no_annotations_and_keep_the_header(rig: Rig) -> None:
    contours = rig.probe.listen(Image, "/segmenter/contours")
    segments = rig.probe.listen(Image, "/segmenter/segments")
    rig.probe.until(rig.node._outputs.contours_wanted)
    rig.frame(3.0)
    rig.probe.until(lambda: contours and segments, what="contours and segments")
    assert contours[0].header == segments[0].header == header(3.0)
    assert (contours[0].encoding, segments[0].encoding) == ("mono8", "mono16")
    strength = np.frombuffer(bytes(contours[0].data), np.uint8).reshape(HEIGHT, WIDTH)
    ids = np.frombuffer(bytes(segments[0].data), np.uint16).reshape(HEIGHT, WIDTH)
    assert strength[HEIGHT // 4 - 1 : HEIGHT // 4 + 1, WIDTH * 3 // 8].max() > 100
    assert ids[HEIGHT * 3 // 8, WIDTH * 3 // 8] != ids[2, 2]


def test_labels_reach_late_subscribers(rig: Rig) -> None:
    if have_vision_msgs():
        pytest.skip("labels are vision_msgs/LabelInfo here")
    assert rig.node.set_parameters([Parameter("class_names", value=["dog", "5:cat"])])[0].successful
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    received = rig.probe.listen(String, "/segmenter/labels", latched)
    rig.probe.until(lambda: received)
    assert json.loads(received[-1].data) == {"1": "dog", "5": "cat"}


@pytest.mark.parametrize("service", ["reset", "clear", "undo"])
def test_forgotten_classes_are_no_longer_published(rig: Rig, service: str) -> None:
    if have_vision_msgs():
        pytest.skip("labels are vision_msgs/LabelInfo here")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    received = rig.probe.listen(String, "/segmenter/labels", latched)

    def published(names: dict[str, str]) -> bool:
        return bool(received) and json.loads(received[-1].data) == names

    rig.show(1.0)
    rig.click(20, 15, 1.0)
    rig.until_labeled(1.0)
    rig.probe.until(lambda: published({"0": "background", "1": "1"}), what="the clicked class")
    assert rig.trigger(service).success
    rig.show(2.0)
    rig.probe.until(lambda: published({"0": "background"}), 10, "names without it")


def test_lost_classes_are_published_on_change(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: tuple[int, ...] = ()
    monkeypatch.setattr("neural_seg_ros.session.Session.lost", property(lambda session: lost))
    assert rig.node.set_parameters([Parameter("class_names", value=["dog", "5:cat"])])[0].successful
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    received = rig.probe.listen(String, "/segmenter/lost", latched)
    rig.probe.until(lambda: [message.data for message in received] == [""], what="an empty list of lost classes")
    rig.show(1.0)
    assert rig.status().message == "running"
    lost = (1, 3)
    rig.show(2.0)
    rig.show(3.0)
    rig.probe.until(lambda: len(received) > 1, what="the lost classes")
    status = rig.status()
    assert (status.level, status.message) == (DiagnosticStatus.WARN, "lost: dog, 3")
    assert {entry.key: entry.value for entry in status.values}["lost"] == "dog, 3"
    late = rig.probe.listen(String, "/segmenter/lost", latched)
    rig.probe.until(
        lambda: [message.data for message in late] == ["dog, 3"], what="the lost classes for a late subscriber"
    )
    lost = ()
    rig.show(4.0)
    rig.probe.until(lambda: len(received) > 2, what="an empty list again")
    assert [message.data for message in received] == ["", "dog, 3", ""]
    assert rig.status().message == "running"


def test_an_inactive_node_keeps_its_session(rig: Rig) -> None:
    rig.show(1.0)
    rig.click(20, 15)
    rig.until_labeled(1.0)
    assert rig.state() == "active"
    assert rig.change(Transition.TRANSITION_DEACTIVATE)
    assert rig.state() == "inactive"
    rig.frame(2.0)
    assert rig.values()["state"] == "inactive"
    assert not rig.masks_at(2.0)
    assert rig.change(Transition.TRANSITION_ACTIVATE)
    rig.connected()
    assert 255 not in rig.show(3.0).data


def test_clean_up_starts_a_new_session(rig: Rig) -> None:
    rig.show(1.0)
    rig.click(20, 15)
    rig.until_labeled(1.0)
    for transition in (
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
    ):
        assert rig.change(transition)
    rig.connected()
    assert set(rig.show(3.0).data) == {255}


def test_without_autostart_it_stays_unconfigured(probe: Any) -> None:
    rig = Rig(probe, autostart=False)
    assert rig.state() == "unconfigured"
    assert rig.change(Transition.TRANSITION_CONFIGURE)
    assert rig.change(Transition.TRANSITION_ACTIVATE)
    rig.connected().show(1.0)


def test_a_failing_session_leaves_the_node_unconfigured(probe: Any) -> None:
    rig = Rig(probe, device="nonsense")
    assert rig.state() == "unconfigured"


def test_a_failed_start_can_be_retried(
    probe: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> Any:
        raise ModuleNotFoundError("No module named 'torch'")

    with monkeypatch.context() as patch:
        patch.setattr("neural_seg_ros.ros.segmenter.node._session_class", fail)
        rig = Rig(probe)
        assert rig.state() == "unconfigured"
        assert "ModuleNotFoundError: No module named 'torch'" in capfd.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr("neural_seg_ros.ros.segmenter.node.Inputs", fail)
        assert rig.change(Transition.TRANSITION_CONFIGURE)
        assert not rig.change(Transition.TRANSITION_ACTIVATE)
        assert rig.state() == "inactive"
    assert "ModuleNotFoundError: No module named 'torch'" in capfd.readouterr().err
    assert rig.change(Transition.TRANSITION_ACTIVATE)
    rig.connected().show(1.0)


def test_unexpected_errors_do_not_end_the_node(rig: Rig) -> None:
    points = rig.probe.node.create_publisher(PointStamped, "/clicked_point", 1)
    rig.probe.until(points.get_subscription_count)
    rig.node._inputs._camera_info = "no camera info"
    points.publish(PointStamped())
    rig.node._session_path = lambda: Path("~nobody-of-this-name/x").expanduser()
    refused = rig.trigger("save_session")
    assert not refused.success
    assert "RuntimeError" in refused.message
    rig.show(1.0)


def test_subscribers_may_come_and_go(rig: Rig) -> None:
    for second in range(1, 4):
        subscription = rig.probe.node.create_subscription(Image, "/segmenter/overlay", lambda message: None, 1)
        rig.show(float(second))
        rig.probe.node.destroy_subscription(subscription)
    rig.show(9.0)


def test_a_refused_click_does_not_end_the_node(rig: Rig) -> None:
    rig.show(1.0)
    rig.click(1000, 15)
    rig.click(float("nan"), 15)
    rig.click(20, 15)
    rig.until_labeled(1.0)


def test_invalid_arguments_give_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "neural_seg_ros.ros.segmenter.node", "--ros-args", "-p", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])},
    )
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "segmenter: " in ended.stderr
