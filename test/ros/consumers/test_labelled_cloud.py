"""Depth and masks over real DDS: what is paired, what comes out, and what the node survives."""

from __future__ import annotations

import array
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

from consumer_rig import FRAME, HEIGHT, WIDTH, ConsumerRig, calibration, header, labels, millimeters, overrides, seconds
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, RegionOfInterest
from std_msgs.msg import String

from neural_seg_ros.errors import error_text
from neural_seg_ros.ros.consumers.cloud import POINT
from neural_seg_ros.ros.consumers.labelled_cloud import LabelledCloud
from neural_seg_ros.ros.segmenter.diagnostics import resident_bytes
from neural_seg_ros.ros.toolkit.conversion import from_array
from neural_seg_ros.ros.toolkit.distribution import have_vision_msgs

pytestmark = pytest.mark.ros


OUTPUTS = ((PointCloud2, "/labelled_cloud/points"), (RegionOfInterest, "/detections/roi/class_1"))


class Rig(ConsumerRig):
    def __init__(self, probe: Any, **parameters: Any) -> None:
        super().__init__(probe, LabelledCloud(parameter_overrides=overrides(parameters)))
        self.clouds = probe.listen(PointCloud2, "/labelled_cloud/points", qos_profile_sensor_data)
        self.depths = probe.listen(Image, "/labelled_cloud/depth", qos_profile_sensor_data)
        self.infos = probe.listen(CameraInfo, "/labelled_cloud/camera_info", qos_profile_sensor_data)
        self.log: list[str] = []
        # The one log of the node, of its topics, and of what they are for.
        self.node._log.refused, self.node._log.warning = self.refused, self.warning
        self.connect("/segmenter/mask", "/depth", "/camera_info", "/segmenter/labels")
        probe.until(lambda: self.node._points.get_subscription_count() and self.node._depth.get_subscription_count())
        probe.until(self.node._depth_info.get_subscription_count)
        self.info()
        probe.until(lambda: self.node._info is not None)

    def refused(self, source: str, error: BaseException) -> None:
        self.log.append(error_text(error))

    def warning(self, kind: Any, text: str) -> None:
        self.log.append(text)

    def until_cloud(self, second: float) -> Any:
        found: list[Any] = []

        def is_there() -> bool:
            found[:] = [cloud for cloud in self.clouds if seconds(cloud) == second]
            return bool(found)

        self.probe.until(is_there, what=f"points of {second} s")
        return found[-1]


@pytest.fixture
def rig(probe: Any) -> Rig:
    return Rig(probe)


def points(cloud: Any) -> Any:
    """Return the points of a cloud as an array (height, width)."""
    return np.frombuffer(bytes(cloud.data), POINT).reshape(cloud.height, cloud.width)


def test_organized_points_have_the_depths_header(rig: Rig) -> None:
    rig.depth(1.25)
    rig.answer(1.25)
    cloud = rig.until_cloud(1.25)
    assert cloud.header == header(1.25)
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (HEIGHT, WIDTH, 20, 20 * WIDTH)
    assert (cloud.is_dense, cloud.is_bigendian) == (False, False)
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        ("x", 0, 7, 1),
        ("y", 4, 7, 1),
        ("z", 8, 7, 1),
        ("label", 12, 6, 1),
        ("confidence", 16, 7, 1),
    ]
    made, distances = points(cloud), millimeters()
    np.testing.assert_array_equal(made["label"], labels())
    np.testing.assert_allclose(made["confidence"], 0.2, rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(made["z"]), distances == 0)
    v, u = 7, 9
    z = distances[v, u] / 1000
    assert made[v, u].tolist()[:3] == pytest.approx(((u - 15.5) / 40 * z, (v - 11.5) / 40 * z, z))


def test_a_mask_is_never_paired_with_another_frames_depth(probe: Any) -> None:
    rig = Rig(probe, **{"buffer.seconds": 1.0})
    for second in (1.0, 1.999999999, 2.000000001, 3.0):
        rig.depth(second)
    rig.answer(2.0)
    probe.until(lambda: rig.node.matched.unmatched, what="an expired mask")
    assert rig.clouds == rig.depths == []
    (warning,) = (line for line in rig.log if "expired" in line)
    assert "mask and confidence of stamp 2.000000000 expired: no message of that stamp on /depth (newest 3.0" in warning
    assert "1 expired, 0 matched" in warning
    rig.depth(4.0)
    rig.answer(4.0)
    rig.until_cloud(4.0)
    assert [seconds(cloud) for cloud in rig.clouds] == [4.0]


def test_a_late_mask_gets_the_depth_of_its_own_frame(rig: Rig) -> None:
    for second in range(1, 21):
        rig.depth(float(second), seed=second)
        rig.probe.until(lambda wanted=second * 10**9: rig.node.matched._newest.get("depth") == wanted)
    rig.answer(3.0)
    z = points(rig.until_cloud(3.0))["z"]
    np.testing.assert_array_equal(np.nan_to_num(z * 1000).round(), millimeters(3))


def test_a_mask_that_comes_before_its_depth_waits(rig: Rig) -> None:
    rig.answer(5.0)
    rig.spin()
    assert not rig.clouds
    rig.depth(5.0)
    rig.until_cloud(5.0)


def test_another_answer_on_the_same_frame_makes_other_points(rig: Rig) -> None:
    rig.depth(1.0)
    rig.answer(1.0)
    rig.until_cloud(1.0)
    rig.mask(1.0, np.full((HEIGHT, WIDTH), 9, np.uint8))
    rig.confidence(1.0)
    rig.probe.until(lambda: len(rig.clouds) == 2, what="the other points")
    assert (points(rig.clouds[1])["label"] == 9).all()


def test_selected_points_dense_or_organized_by_names_and_ids(rig: Rig) -> None:
    if have_vision_msgs():
        pytest.skip("labels are vision_msgs/LabelInfo here")
    rig.names({0: "background", 1: "cup"})
    rig.probe.until(lambda: rig.node._labels.names, what="names")
    there = millimeters() > 0
    for second, (classes, keep, wanted) in enumerate(
        (
            ("cup", True, labels() == 1),
            (2, True, labels() == 2),
            (["cup", "2"], False, ~np.isin(labels(), (1, 2))),
            ("labelled", True, labels() != 255),
        ),
        start=1,
    ):
        given = {"points.classes": classes, "points.keep": keep, "points.organised": False}
        assert rig.set(**given).successful
        rig.depth(float(second))
        rig.answer(float(second))
        cloud = rig.until_cloud(float(second))
        assert (cloud.height, cloud.width, cloud.is_dense) == (1, (wanted & there).sum(), True)
        np.testing.assert_array_equal(points(cloud)["label"][0], labels()[wanted & there])
        assert rig.set(**{"points.organised": True}).successful
        rig.answer(float(second))
        rig.probe.until(lambda: rig.clouds[-1].height == HEIGHT, what="organised points")
        np.testing.assert_array_equal(np.isfinite(points(rig.clouds[-1])["z"]), wanted & there)
    assert rig.set(**{"points.classes": "spoon"}).successful
    rig.answer(4.0)
    rig.probe.until(lambda: rig.log, what="a word about spoons")
    assert "points.classes: got 'spoon', accepted: names on /segmenter/labels (background, cup)" in rig.log[0]


def test_pixels_that_are_not_sure_are_not_taken(rig: Rig) -> None:
    assert rig.set(**{"points.min_confidence": 0.4}).successful
    rig.depth(1.0)
    rig.mask(1.0)
    sure = np.tile(np.arange(WIDTH, dtype=np.uint8) * 8, (HEIGHT, 1))
    rig.publishers["/segmenter/confidence"].publish(from_array(sure, "mono8", header(1.0)))
    taken = np.isfinite(points(rig.until_cloud(1.0))["z"])
    np.testing.assert_array_equal(taken, (millimeters() > 0) & (sure >= 102))
    rig.probe.until(lambda: rig.depths, what="masked depth")
    values = np.frombuffer(bytes(rig.depths[0].data), np.uint16).reshape(HEIGHT, WIDTH)
    np.testing.assert_array_equal(values > 0, (millimeters() > 0) & np.isin(labels(), (1, 2)), "that has its own limit")


def test_masked_depth_has_the_objects_and_the_calibration(rig: Rig) -> None:
    rig.depth(1.0)
    rig.answer(1.0)
    rig.probe.until(lambda: rig.depths and rig.infos, what="masked depth")
    depth, info = rig.depths[0], rig.infos[0]
    assert (depth.header, info.header) == (header(1.0), header(1.0))
    assert (depth.encoding, depth.step, list(info.k)) == ("16UC1", 2 * WIDTH, list(calibration().k))
    values = np.frombuffer(bytes(depth.data), np.uint16).reshape(HEIGHT, WIDTH)
    np.testing.assert_array_equal(values, np.where(np.isin(labels(), (1, 2)), millimeters(), 0))
    assert rig.set(**{"depth.classes": [1], "depth.keep": True}).successful
    meters = np.where(millimeters() > 0, millimeters() / 1000, np.nan).astype(np.float32)
    rig.publishers["/depth"].publish(from_array(meters, "32FC1", header(2.0)))
    rig.answer(2.0)
    rig.probe.until(lambda: len(rig.depths) == 2, what="masked depth in metres")
    values = np.frombuffer(bytes(rig.depths[1].data), np.float32).reshape(HEIGHT, WIDTH)
    np.testing.assert_array_equal(values, np.where(labels() == 1, meters, np.nan))


def test_big_endian_depth_and_padded_masks_of_16_bits(probe: Any) -> None:
    rig = Rig(probe, use_confidence=False)
    rows = millimeters().astype(">u2").view(np.uint8).reshape(HEIGHT, -1)
    depth = Image(header=header(1.0), height=HEIGHT, width=WIDTH, encoding="16UC1", is_bigendian=1, step=2 * WIDTH)
    depth.data = array.array("B", rows.tobytes())
    rig.publishers["/depth"].publish(depth)
    ids = np.pad((labels().astype(np.uint16) * 200).view(np.uint8), ((0, 0), (0, 10)), constant_values=7)
    mask = Image(header=header(1.0), height=HEIGHT, width=WIDTH, encoding="mono16", step=2 * WIDTH + 10)
    mask.data = array.array("B", ids.tobytes())
    rig.publishers["/segmenter/mask"].publish(mask)
    made = points(rig.until_cloud(1.0))
    np.testing.assert_array_equal(made["label"], labels().astype(int) * 200)
    np.testing.assert_array_equal(np.nan_to_num(made["z"] * 1000).round(), millimeters())
    assert (made["confidence"] == 1).all()


def test_malformed_messages_are_refused_by_name(rig: Rig) -> None:
    good = from_array(millimeters(), "16UC1", header(1.0))

    def depth(**fields: Any) -> Image:
        data = fields.pop("data", good.data)
        names = ("header", "height", "width", "encoding", "step")
        made = Image(**{**{name: getattr(good, name) for name in names}, **fields})
        made.data = data
        return made

    small = from_array(np.full((12, 16), 700, np.uint16), "16UC1", header(1.0))
    said = (
        (
            "/depth",
            depth(encoding="rgb8", step=3 * WIDTH),
            "depth encoding: got 'rgb8', accepted: 16UC1, mono16, 32FC1",
        ),
        ("/depth", depth(encoding=""), "depth encoding: got ''"),
        ("/depth", depth(step=3), "depth step: got 3, accepted: at least 64 bytes"),
        ("/depth", depth(data=array.array("B", [1, 2, 3])), "depth data: got 3 bytes, accepted: at least 1536"),
        ("/depth", depth(width=2**31, step=2**32 - 1), "depth width, height: got 2147483648x24"),
        ("/depth", depth(header=header(0.0)), "depth header.stamp: got 0, accepted: the time of the frame"),
        ("/segmenter/mask", from_array(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb8", header(1.0)), "mask encoding"),
        (
            "/segmenter/confidence",
            from_array(millimeters(), "mono16", header(1.0)),
            "confidence encoding: got 'mono16'",
        ),
    )
    for topic, message, line in said:
        known = len(rig.log)
        rig.publishers[topic].publish(message)
        rig.probe.until(lambda known=known: len(rig.log) > known, what=f"a refusal: {line}")
        assert line in rig.log[-1]
        assert "\n" not in rig.log[-1]
    # What is wrong beside the others alone.
    rig.publishers["/depth"].publish(small)
    rig.answer(1.0)
    rig.probe.until(lambda: "depth width, height: got 16x12, accepted: the mask's 32x24" in rig.log, what="a refusal")
    for fields, line in (
        ({"k": [0.0] * 9}, "camera_info k: got focal lengths 0 and 0, accepted: those of a calibrated camera, above 0"),
        ({"d": [0.1]}, "camera_info d: got 'plumb_bob' with 1 coefficients"),
        (
            {"width": 640, "height": 480},
            "camera_info: got the calibration of a 640x480 image, accepted: the frame's 32x24",
        ),
    ):
        rig.node._info = None
        rig.info(**fields)
        rig.probe.until(lambda: rig.node._info is not None)
        rig.depth(2.0)
        rig.answer(2.0)
        rig.probe.until(lambda line=line: any(line in said for said in rig.log), what=f"a refusal: {line}")
    assert not rig.clouds
    rig.info()
    rig.probe.until(lambda: rig.node._info.width == WIDTH and rig.node._info.k[0] > 0 and len(rig.node._info.d) == 5)
    rig.depth(3.0)
    rig.answer(3.0)
    rig.until_cloud(3.0)


def test_a_node_that_nobody_listens_to_listens_to_nobody(probe: Any) -> None:
    rig = ConsumerRig(probe, LabelledCloud())
    rig.connect("/camera_info")
    masks, depth = rig.publishers["/segmenter/mask"], rig.publishers["/depth"]
    assert masks.get_subscription_count() == depth.get_subscription_count() == 0
    for _ in range(2):
        listener = probe.node.create_subscription(PointCloud2, "/labelled_cloud/points", lambda cloud: None, 1)
        probe.until(lambda: masks.get_subscription_count() and depth.get_subscription_count(), what="subscriptions")
        rig.depth(1.0)
        probe.until(lambda: rig.node.matched._matcher.waiting_bytes, what="depth that waits")
        probe.node.destroy_subscription(listener)
        probe.until(lambda: not masks.get_subscription_count(), what="no subscription")
        assert rig.node.matched._matcher.waiting_bytes == 0


def test_depth_of_another_camera_frame_is_pointed_out(rig: Rig) -> None:
    message = from_array(millimeters(), "16UC1", header(1.0, "camera_depth_optical_frame"))
    rig.publishers["/depth"].publish(message)
    rig.answer(1.0)
    assert rig.until_cloud(1.0).header.frame_id == "camera_depth_optical_frame"
    assert f"got 'camera_depth_optical_frame', expected the mask's '{FRAME}'" in rig.log[0]


def test_parameters_that_are_not_accepted_keep_those_before(rig: Rig) -> None:
    refused = rig.set(**{"buffer.seconds": -1.0})
    assert not refused.successful
    assert rig.node._config.buffer.seconds == 5.0
    assert not rig.set(**{"points.classes": 1.5}).successful
    assert rig.set(**{"buffer.seconds": 2.5}).successful
    assert rig.node.matched._matcher.seconds == 2.5


@pytest.mark.parametrize(
    ("name", "more"), [("labelled_cloud", ()), ("detections", ("-p", "classes:=1", "-p", "keep:=true"))]
)
def test_the_process_stops_and_refuses_bad_parameters(probe: Any, name: str, more: tuple[str, ...]) -> None:
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", f"neural_seg_ros.ros.consumers.{name}", "--ros-args", *arguments]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    listened = [probe.listen(kind, topic) for kind, topic in OUTPUTS]
    bad, good = start("-p", "buffer.seconds:=-1.0"), start("-r", "segmenter/mask:=/left/mask", *more)
    _, said = bad.communicate(timeout=60)
    assert bad.returncode == 2
    assert said.startswith(f"{name}: ")
    assert "buffer.seconds" in said
    probe.until(lambda: probe.node.count_subscribers("/left/mask"), 60, "a subscription")
    assert not any(listened)
    good.send_signal(signal.SIGINT)
    good.communicate(timeout=60)
    assert good.returncode == 0


def test_malformed_messages_leave_the_node_working_and_small(probe: Any) -> None:
    rig = Rig(probe, **{"buffer.megabytes": 8})
    rng = np.random.default_rng(0)
    kinds = ("/depth", "/segmenter/mask", "/segmenter/confidence", "/camera_info", "/segmenter/labels")

    def number(*likely: int) -> int:
        return int(rng.choice([*likely, 0, 1, 7, 2**31, 2**32 - 1]))

    def image() -> Image:
        made = Image(header=header(float(rng.choice([0.0, 1.0, 2.5, 2**31 - 1]))), is_bigendian=int(rng.integers(2)))
        made.height, made.width, made.step = number(HEIGHT), number(WIDTH), number(WIDTH, 2 * WIDTH, 4 * WIDTH)
        made.encoding = str(rng.choice(["16UC1", "32FC1", "mono8", "mono16", "rgb8", "nv12", "", "x" * 1000]))
        made.data = array.array("B", rng.bytes(number(HEIGHT * WIDTH, 4 * HEIGHT * WIDTH) % 5000))
        return made

    def info() -> CameraInfo:
        values = rng.choice([0.0, np.nan, np.inf, -1.0, 1e308, 40.0], 9)
        model = str(rng.choice(["plumb_bob", "equidistant", ""]))
        made = calibration(k=values, d=list(values[: rng.integers(9)]), distortion_model=model)
        made.width, made.height, made.binning_x = number(WIDTH), number(HEIGHT), number(0)
        made.roi.width = number(0)
        return made

    def text() -> String:
        return String(data=str(rng.choice(["{", '{"1": 1}', '{"1": "a"}', "[" * 500, "", '{"99999999": "b"}'])))

    make = {"/camera_info": info, "/segmenter/labels": text}
    memory = resident_bytes()
    for _ in range(1000):
        for topic in kinds:
            rig.publishers[topic].publish(make.get(topic, image)())
            probe.executor.spin_once(timeout_sec=0)
    rig.spin()
    assert rig.node.matched._matcher.waiting_bytes <= 8 << 20
    assert resident_bytes() - memory < 60 << 20
    rig.info()
    rig.spin()
    rig.depth(77.0)
    rig.answer(77.0)
    rig.until_cloud(77.0)


def test_640x480_takes_under_15_ms(rig: Rig) -> None:
    height, width = 480, 640
    rng = np.random.default_rng(0)
    distances = rng.integers(300, 5000, (height, width)).astype(np.uint16)
    values = rng.integers(0, 256, (height, width)).astype(np.uint8)
    images = {"mask": from_array(values, "mono8", header(1.0)), "confidence": from_array(values, "mono8", header(1.0))}
    images["depth"] = from_array(distances, "16UC1", header(1.0))
    rig.node._info = calibration(width=width, height=height)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        rig.node._on_match(images)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.015
