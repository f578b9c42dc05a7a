"""Several cameras in one process, over real DDS: each gets its own masks, and none ends or starves another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from geometry_msgs.msg import PointStamped
from lifecycle_msgs.srv import GetState
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from neural_seg_ros.errors import ConfigError
from neural_seg_ros.ros.segmenter.multi_segmenter import MultiSegmenter, ros_arguments, share_cores
from neural_seg_ros.ros.toolkit.conversion import from_array

pytestmark = pytest.mark.ros

HEIGHT, WIDTH = 48, 64
CAMERAS = ("front", "rear")
PARAMETERS = """
/**:
  ros__parameters:
    field: {size: 32, width: 8, levels: 2}
    fit: {first_steps: 3, click_steps: 3, frame_steps: 1}
    track: {first_steps: 4}
    live: {max_age: 10.0, still_threshold: 0.0}
"""


def picture(number: int) -> Any:
    """Return (H, W, 3) uint8: a bright square on a dark, textured ground."""
    image = np.random.default_rng(number).integers(0, 60, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    image[HEIGHT // 4 : HEIGHT // 2, WIDTH // 4 : WIDTH // 2] += 180
    return image


class Camera:
    """A publisher of the images of one camera and of clicks, and a subscriber of its masks."""

    def __init__(self, probe: Any, name: str) -> None:
        self.probe, self.name, self.second = probe, name, 0
        self.images = probe.node.create_publisher(Image, f"/{name}/image", 1)
        self.clicks = probe.node.create_publisher(PointStamped, f"/{name}/segmenter/click", 10)
        self.masks = probe.listen(Image, f"/{name}/segmenter/mask")

    def connected(self) -> bool:
        return bool(self.images.get_subscription_count() and self.clicks.get_subscription_count())

    def frame(self) -> Header:
        """Publish the next image; return its header."""
        self.second += 1
        header = Header(frame_id=self.name)
        header.stamp.sec = self.second
        self.images.publish(from_array(picture(self.second), "rgb8", header))
        return header

    def show(self) -> Any:
        """Publish the next image; wait for its mask and return it."""
        header = self.frame()
        self.probe.until(lambda: self.masks and self.masks[-1].header == header, what=f"a mask of {self.name}")
        return self.masks[-1]

    def click(self, x: float, y: float) -> None:
        message = PointStamped()
        message.point.x, message.point.y = x, y
        self.clicks.publish(message)

    def labels(self) -> set[int]:
        return set(self.masks[-1].data)


class Rig:
    """A multi_segmenter in this process, with its segmenters and cameras."""

    def __init__(self, probe: Any, arguments: Sequence[str], namespace: str = "") -> None:
        self.probe = probe
        self.node = probe.add(
            MultiSegmenter(
                arguments, cli_args=list(arguments), parameter_overrides=[Parameter("cameras", value=list(CAMERAS))]
            )
        )
        for segmenter in self.node.segmenters:
            probe.executor.add_node(segmenter)
        self.cameras = [Camera(probe, f"{namespace}{name}") for name in CAMERAS]

    def names(self) -> list[str]:
        return [segmenter.get_fully_qualified_name() for segmenter in self.node.segmenters]


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a number of threads, because the node would set it in the environment for all later tests."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    return arguments_for(tmp_path)


def arguments_for(folder: Path, *more: str, file: str = "") -> list[str]:
    path = folder / "cameras.yaml"
    path.write_text(PARAMETERS + file)
    return ["--ros-args", "--params-file", str(path), "-p", f"session_directory:={folder}", *more]


def test_each_camera_answers_its_own_clicks(probe: Any, arguments: list[str], tmp_path: Path) -> None:
    rig = Rig(probe, arguments)
    assert rig.names() == ["/front/segmenter", "/rear/segmenter"]
    front, rear = rig.cameras
    probe.until(lambda: front.connected() and rear.connected())
    for camera in rig.cameras:
        assert camera.show().header.frame_id == camera.name
    front.click(20.0, 15.0)
    probe.until(lambda: 1 in front.labels(), what="the answer to the click")
    assert set(rear.show().data) == {255}, "no clicks on this camera"
    rear.click(20.0, 15.0)
    probe.until(lambda: 1 in rear.labels(), what="the answer to the click")
    assert probe.call(Trigger, "/rear/segmenter/clear").success
    probe.until(lambda: rear.labels() == {255}, what="an empty mask")
    assert 255 not in front.show().data
    for camera in rig.cameras:
        assert probe.call(Trigger, f"/{camera.name}/segmenter/save_session").success
    saved = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.safetensors")}
    assert saved == {"front/session.safetensors", "rear/session.safetensors"}


@pytest.mark.parametrize(
    ("parameter", "reason", "names"),
    [
        ("field: {size: 1}", "field.size", ["/rear/segmenter"]),
        ("device: nonsense", "nonsense", ["/front/segmenter", "/rear/segmenter"]),
    ],
)
def test_bad_parameters_of_one_camera_spare_the_other(
    probe: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], parameter: str, reason: str, names: list[str]
) -> None:
    own = f"/front/segmenter:\n  ros__parameters:\n    {parameter}\n"
    rig = Rig(probe, arguments_for(tmp_path, file=own))
    assert rig.names() == names
    (refused,) = (line for line in capfd.readouterr().err.splitlines() if reason in line)
    assert "front" in refused
    if len(names) == 2:
        assert probe.call(GetState, "/front/segmenter/get_state").current_state.label == "unconfigured"
    rear = rig.cameras[1]
    probe.until(rear.connected)
    rear.show()


def test_parameters_of_one_camera_or_of_all(probe: Any, tmp_path: Path) -> None:
    own = "/front/segmenter:\n  ros__parameters:\n    {session_name: kitchen, field: {width: 16}}\n"
    rig = Rig(probe, arguments_for(tmp_path, "-p", "active_class:=3", file=own))
    names = ("session_name", "field.width", "field.size", "active_class")
    front, rear = ([segmenter.get_parameter(name).value for name in names] for segmenter in rig.node.segmenters)
    assert front == ["kitchen", 16, 32, 3]
    assert rear == ["session", 8, 32, 3]


def test_node_and_namespace_can_be_named(probe: Any, tmp_path: Path) -> None:
    named = ("-r", "__node:=cameras", "-r", "__ns:=/robot", "-r", "/robot/rear/image:=/robot/rear/image_raw")
    rig = Rig(probe, arguments_for(tmp_path, *named), "robot/")
    assert rig.node.get_fully_qualified_name() == "/robot/cameras"
    assert rig.names() == ["/robot/front/segmenter", "/robot/rear/segmenter"]
    front, rear = rig.cameras
    rear.images = probe.node.create_publisher(Image, "/robot/rear/image_raw", 1)
    probe.until(lambda: front.connected() and rear.connected())
    rear.show()


def test_a_failing_destroy_keeps_no_other_segmenter_alive(
    probe: Any, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(probe, arguments)
    front, rear = segmenters = rig.node.segmenters
    for segmenter in segmenters:
        probe.executor.remove_node(segmenter)
    destroy = front.destroy_node

    def fail() -> None:
        raise RuntimeError("destroy failed")

    monkeypatch.setattr(front, "destroy_node", fail)
    worker = rear._live._thread
    try:
        with pytest.raises(RuntimeError, match="destroy failed"):
            probe.remove(rig.node)
        assert (rear._live, worker.is_alive()) == (None, False)
        probe.until(lambda: "multi_segmenter" not in probe.node.get_node_names(), 10, "the end of multi_segmenter")
    finally:
        destroy()


@pytest.mark.parametrize("names", [None, ["front", "front"], ["front", "re ar"], [""]])
def test_invalid_camera_names_are_refused(ros: Any, names: list[str] | None) -> None:
    given = [] if names is None else [Parameter("cameras", value=names)]
    with pytest.raises(ConfigError, match=r"cameras: got .*, accepted: a list"):
        MultiSegmenter(parameter_overrides=given)


def test_without_a_valid_camera_it_does_not_start(ros: Any) -> None:
    given = [Parameter("cameras", value=list(CAMERAS))]
    with pytest.raises(ConfigError, match=r"cameras: got .*, accepted: at least one"):
        MultiSegmenter(["--ros-args", "-p", "field.size:=1"], parameter_overrides=given)


def test_node_name_rules_are_not_passed_on() -> None:
    given = ["prog", "x", "--ros-args", "-r", "__ns:=/a", "--remap", "__node:=b", "-r", "image:=c", "-p", "d:=1"]
    assert ros_arguments([*given, "--", "y"]) == ["-r", "image:=c", "-p", "d:=1"]
    assert ros_arguments(["prog"]) == []


def test_cores_are_shared_unless_threads_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    share_cores(2)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    for cameras, threads in ((1, "8"), (3, "2"), (9, "1")):
        monkeypatch.delenv("OMP_NUM_THREADS")
        share_cores(cameras)
        assert os.environ["OMP_NUM_THREADS"] == threads


def test_no_camera_starves_and_sigint_exits_with_0(probe: Any, arguments: list[str]) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "neural_seg_ros.ros.segmenter.multi_segmenter",
            *arguments,
            "-p",
            "cameras:=[front, rear]",
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])},
    )
    try:
        front, rear = cameras = [Camera(probe, name) for name in CAMERAS]
        probe.until(lambda: front.connected() and rear.connected(), 60, "the start of the node")

        def all_answered(masks: int) -> bool:
            # More frames than the segmenters can process.
            for camera in cameras:
                camera.frame()
            return all(len(camera.masks) >= masks for camera in cameras)

        probe.until(lambda: all_answered(1), 60, "the first masks")
        for camera in cameras:
            camera.click(20.0, 15.0)
            camera.masks.clear()
        probe.until(lambda: all_answered(10), 60, "masks of both")
        rates = [len(camera.masks) for camera in cameras]
        assert max(rates) < 4 * min(rates), rates
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
