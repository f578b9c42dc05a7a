"""A segmenter with a tiny field, a camera and a subscriber in one DDS domain, for tests of nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PointStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from neural_seg_ros.ros.segmenter.node import Segmenter
from neural_seg_ros.ros.toolkit.conversion import from_array

HEIGHT, WIDTH = 48, 64
TINY = {
    "field.size": 32,
    "field.width": 8,
    "field.levels": 2,
    "fit.first_steps": 3,
    "fit.click_steps": 3,
    "fit.frame_steps": 1,
    "track.first_steps": 4,
    # A test machine may stop the worker for longer than a camera would allow.
    "live.max_age": 10.0,
    "diagnostics.silent_warn": 0.0,
    "diagnostics.silent_error": 0.0,
    "diagnostics.mask_latency_warn_ms": 0.0,
    "diagnostics.mask_latency_error_ms": 0.0,
    "diagnostics.click_latency_warn_ms": 0.0,
    "diagnostics.click_latency_error_ms": 0.0,
}


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Any:
    """Return (H, W, 3) uint8: a bright square on a dark, textured background."""
    image = np.random.default_rng(seed).integers(0, 60, (height, width, 3)).astype(np.uint8)
    image[height // 4 : height // 2, width // 4 : width // 2] += 180
    return image


def header(second: float, frame_id: str = "camera") -> Header:
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = int(second), int(second % 1 * 1e9)
    return header


def seconds(message: Any) -> float:
    return float(message.header.stamp.sec + message.header.stamp.nanosec * 1e-9)


class Rig:
    """A segmenter, a camera and a subscriber in one DDS domain."""

    def __init__(self, probe: Any, **parameters: Any) -> None:
        self.probe = probe
        self.node = probe.add(Segmenter(parameter_overrides=overrides(parameters)))
        self.camera = probe.node.create_publisher(Image, "/image", 1)
        self.clicks = probe.node.create_publisher(PointStamped, "/segmenter/click", 10)
        self.masks = probe.listen(Image, "/segmenter/mask")
        self.diagnostics = probe.listen(DiagnosticArray, "/diagnostics")

    def connected(self) -> Rig:
        self.probe.until(lambda: self.camera.get_subscription_count() and self.clicks.get_subscription_count())
        self.probe.until(lambda: self.node._outputs.wanted())
        return self

    def frame(self, second: float, image: Any = None, encoding: str = "rgb8") -> None:
        self.camera.publish(from_array(picture(int(second)) if image is None else image, encoding, header(second)))

    def masks_at(self, second: float) -> list[Any]:
        return [mask for mask in self.masks if seconds(mask) == second]

    def until_mask(self, second: float) -> Any:
        """Wait for a mask of a frame; return the newest one."""
        self.probe.until(lambda: self.masks_at(second), what=f"a mask of the frame at {second} s")
        return self.masks_at(second)[-1]

    def show(self, second: float, **frame: Any) -> Any:
        self.frame(second, **frame)
        return self.until_mask(second)

    def click(self, x: float, y: float, second: float = 0.0) -> None:
        message = PointStamped(header=header(second))
        message.point.x, message.point.y = float(x), float(y)
        self.clicks.publish(message)

    def until_labeled(self, second: float) -> Any:
        """Wait for a mask of a frame with class 1; return the newest one."""
        self.probe.until(
            lambda: any(1 in mask.data for mask in self.masks_at(second)), what=f"a labeled mask at {second} s"
        )
        return next(mask for mask in reversed(self.masks_at(second)) if 1 in mask.data)

    def until_empty(self) -> None:
        """Wait for a mask of a session without annotations."""
        self.probe.until(lambda: set(self.masks[-1].data) == {255}, what="an empty mask")

    def until_remembered(self) -> None:
        """Wait for a mask of a session with classes; so few steps may track them badly."""
        self.probe.until(lambda: 255 not in self.masks[-1].data, what="a labeled mask")

    def trigger(self, name: str) -> Any:
        return self.probe.call(Trigger, f"/segmenter/{name}")

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self.probe.call(ChangeState, "/segmenter/change_state", request).success)

    def state(self) -> str:
        return str(self.probe.call(GetState, "/segmenter/get_state").current_state.label)

    def status(self) -> DiagnosticStatus:
        """Wait for the next diagnostics; return their status."""
        count = len(self.diagnostics)
        self.probe.until(lambda: len(self.diagnostics) > count, what="diagnostics")
        return self.diagnostics[-1].status[0]

    def values(self) -> dict[str, str]:
        """Wait for the next diagnostics; return their values by key."""
        return {entry.key: entry.value for entry in self.status().values}


def overrides(parameters: dict[str, Any]) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in {**TINY, **parameters}.items()]
