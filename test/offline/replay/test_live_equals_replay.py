"""The same frames and clicks through the segmenter in lock-step and through a replay: the same masks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from geometry_msgs.msg import PointStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import MultiThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from neural_seg_ros.cli.main import run
from neural_seg_ros.ros.segmenter.node import Segmenter
from neural_seg_ros.ros.toolkit.conversion import from_array
from neural_seg_ros.session.scheduler import Scheduler

pytestmark = pytest.mark.ros

HEIGHT, WIDTH, COUNT = 48, 64, 12
SETTINGS = {
    "field.size": 32,
    "field.width": 8,
    "field.levels": 2,
    "fit.first_steps": 6,
    "track.first_steps": 6,
    "fit.click_steps": 4,
    "fit.frame_steps": 2,
    "rest": "none",
}
# A camera that does not wait would lose frames, fits and masks to these.
HASTE = {"live.max_age": 0.001, "live.fit_budget_ms": 1.0, "live.publish_period": 60.0, "live.still_threshold": 255.0}
# Frame, x, y, class.
CLICKS = ((0, 20.0, 24.0, 1), (7, 6.0, 6.0, 2))
EVERYTHING = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
TOPIC, IMAGE = "/image", "sensor_msgs/msg/Image"


def picture(number: int) -> Any:
    """Return (H, W, 3) uint8: a bright square that moves over a dark, textured ground."""
    image = np.random.default_rng(number).integers(0, 60, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    image[12:36, 10 + number : 34 + number] += 180
    return image


def header(number: int) -> Header:
    made = Header(frame_id="camera")
    made.stamp.sec, made.stamp.nanosec = 1_700_000_000, number * 100_000_000
    return made


def replayed_masks(folder: Path) -> list[bytes]:
    """Return the masks that ``neural-seg replay`` makes of the frames in a bag."""
    types = get_typestore(Stores.ROS2_JAZZY)
    with Writer(folder / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(TOPIC, IMAGE, typestore=types)
        for number in range(COUNT):
            stamp = header(number).stamp
            time = types.types["builtin_interfaces/msg/Time"](sec=stamp.sec, nanosec=stamp.nanosec)
            message = types.types[IMAGE](
                header=types.types["std_msgs/msg/Header"](stamp=time, frame_id="camera"),
                height=HEIGHT,
                width=WIDTH,
                encoding="rgb8",
                is_bigendian=0,
                step=3 * WIDTH,
                data=picture(number).ravel(),
            )
            at = stamp.sec * 10**9 + stamp.nanosec
            writer.write(connection, at, types.serialize_cdr(message, IMAGE))
    entries = "".join(f"  - {{frame: {frame}, class: {of}, click: [{x}, {y}]}}\n" for frame, x, y, of in CLICKS)
    (folder / "clicks.yaml").write_text(f"annotations:\n{entries}")
    given = [argument for name, value in SETTINGS.items() for argument in ("--set", f"{name}={value}")]
    fixed = ["--image-topic", TOPIC, "--annotations", str(folder / "clicks.yaml"), "--out", str(folder / "out")]
    assert run(["replay", str(folder / "bag"), *fixed, "--device", "cpu", *given]) == 0
    with AnyReader([folder / "out" / "masks.mcap"]) as reader:
        connections = [connection for connection in reader.connections if connection.topic == "/segmenter/mask"]
        return [reader.deserialize(data, IMAGE).data.tobytes() for _, _, data in reader.messages(connections)]


class Rig:
    """A segmenter in lock-step, and a camera and a user that lose nothing on the way to it."""

    def __init__(self, probe: Any) -> None:
        given = {**SETTINGS, **HASTE, "device": "cpu", "live.lock_step": True}
        self.probe = probe
        self.node = Segmenter(parameter_overrides=[Parameter(name, value=given[name]) for name in given])
        # As in its own process: a frame that is handed over waits in a thread.
        self._executor = MultiThreadedExecutor(3, context=probe.node.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin)
        self._thread.start()
        self.camera = probe.node.create_publisher(Image, TOPIC, EVERYTHING)
        self.clicks = probe.node.create_publisher(PointStamped, "/segmenter/click", EVERYTHING)
        self.masks = probe.listen(Image, "/segmenter/mask", EVERYTHING)
        self.connected()

    def connected(self) -> None:
        self.probe.until(lambda: self.camera.get_subscription_count() and self.clicks.get_subscription_count())
        self.probe.until(lambda: self.node._outputs.wanted())

    def click(self, number: int, x: float, y: float, class_id: int) -> None:
        """Click on a frame that has not come yet, and wait until the segmenter knows."""
        known = self.node._live.status().waiting
        assert self.node.set_parameters([Parameter("active_class", value=class_id)])[0].successful
        message = PointStamped(header=header(number))
        message.point.x, message.point.y = x, y
        self.clicks.publish(message)
        self.probe.until(lambda: self.node._live.status().waiting == known + 1, what="a click")

    def show(self, number: int) -> None:
        self.camera.publish(from_array(picture(number), "rgb8", header(number)))

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self.probe.call(ChangeState, "/segmenter/change_state", request).success)

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()


@pytest.fixture
def rig(probe: Any) -> Iterator[Rig]:
    made = Rig(probe)
    yield made
    made.close()


def test_masks_are_identical_byte_for_byte(rig: Rig, tmp_path: Path) -> None:
    wanted = replayed_masks(tmp_path)
    for click in CLICKS:
        rig.click(*click)
    for number in range(COUNT):
        rig.show(number)
    rig.probe.until(lambda: len(rig.masks) >= COUNT, what="all masks")
    assert [mask.header for mask in rig.masks] == [header(number) for number in range(COUNT)]
    assert [bytes(mask.data) for mask in rig.masks] == wanted
    assert len({*wanted}) > 1
    assert {1, 2} <= {*wanted[-1]}


def test_deactivated_while_a_frame_waits_it_lets_it_go(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    slices, gate = Scheduler.slices, threading.Event()

    def held(scheduler: Scheduler) -> Iterator[None]:
        assert gate.wait(20)
        return slices(scheduler)

    monkeypatch.setattr(Scheduler, "slices", held)
    for number in range(COUNT):
        rig.show(number)
    # One frame is being fitted, one is the next, and the callback waits with the third.
    rig.probe.until(lambda: rig.node._live.status().frames_in == 2, what="that frames wait")
    assert rig.change(Transition.TRANSITION_DEACTIVATE)
    gate.set()
    assert rig.change(Transition.TRANSITION_CLEANUP)
    assert rig.change(Transition.TRANSITION_CONFIGURE)
    assert rig.change(Transition.TRANSITION_ACTIVATE)
    rig.connected()
    rig.masks.clear()
    rig.show(COUNT)
    rig.probe.until(lambda: rig.masks, what="a mask")
    assert rig.masks[0].header == header(COUNT)
