"""The nodes of ``neural-seg demo``: one that clicks as a user would, and one that records what comes back."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image

from neural_seg_ros.annotations import Click
from neural_seg_ros.annotations.ros_messages import stamp_of
from neural_seg_ros.errors import NeuralSegError
from neural_seg_ros.images.files import RgbImage
from neural_seg_ros.ros.toolkit.conversion import to_rgb

IMAGE_TOPIC = "/camera/image_raw"
INFO_TOPIC = "/camera/camera_info"
_SEGMENTER = "/segmenter"
_UNLABELLED = 255
_WAIT = 0.05
_LISTENERS = 2
# Short enough that the clicked picture is still among the segmenter's recent frames at the last click.
_CLICK_PERIOD = 0.3
# Nothing is lost while the recorder writes a video frame.
_ALL = QoSProfile(depth=100)


class DemoError(NeuralSegError):
    """The demo's processes do not answer."""


# -- the process that clicks -------------------------------------------------------------------------------------------


class Clicker(Node):
    """A node that clicks on ``/segmenter/click``, after it set the class by parameter."""

    def __init__(self) -> None:
        super().__init__("clicker")
        self._click: Any = self.create_publisher(PointStamped, f"{_SEGMENTER}/click", _ALL)
        self._parameters = AsyncParameterClient(self, _SEGMENTER)
        self._shown: Any = None

    def click(self, clicks: Sequence[Click]) -> None:
        """Make the clicks on one picture, once it is shown and the segmenter and the recorder listen."""
        self._parameters.wait_for_services()
        self._spin(lambda: self._click.get_subscription_count() >= _LISTENERS)
        subscription = self.create_subscription(Image, f"{_SEGMENTER}/overlay", self._on_overlay, 1)
        self._spin(lambda: self._shown is not None)
        self.destroy_subscription(subscription)
        for click in clicks:
            answer = self._parameters.set_parameters([Parameter("active_class", value=click.class_id)])
            self._spin(answer.done)
            message = PointStamped(header=self._shown.header)
            message.point.x, message.point.y = float(click.x), float(click.y)
            self._click.publish(message)
            # As a hand would; the class of the next click must not come before this one.
            time.sleep(_CLICK_PERIOD)

    def _on_overlay(self, message: Image) -> None:
        self._shown = message

    def _spin(self, until: Callable[[], bool]) -> None:
        while not until():
            rclpy.spin_once(self, timeout_sec=_WAIT)


def main(args: Sequence[str] | None = None) -> int:
    """Make the clicks given as JSON, a list of ``[x, y, class]``."""
    clicks = [Click(*numbers) for numbers in json.loads((sys.argv[1:] if args is None else args)[0])]
    rclpy.init()
    try:
        node = Clicker()
        node.click(clicks)
        node.destroy_node()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return 0


# -- the recorder ------------------------------------------------------------------------------------------------------


@dataclass
class Recording:
    """The received messages, in order; times are seconds since the epoch, as the stamps are.

    camera       stamps of the camera frames
    clicks       arrival of every click
    masks        stamp, arrival and whether any pixel was labeled, of every mask
    diagnostics  values that the segmenter reported last
    """

    camera: list[float] = field(default_factory=list)
    clicks: list[float] = field(default_factory=list)
    masks: list[tuple[float, float, bool]] = field(default_factory=list)
    diagnostics: dict[str, str] = field(default_factory=dict)

    @property
    def first_labeled(self) -> float | None:
        """Arrival of the first mask with a labeled pixel."""
        return next((arrival for _, arrival, labeled in self.masks if labeled), None)


class Recorder(Node):
    """A node that receives masks, overlays, clicks, camera headers and diagnostics into ``recording``.

    on_overlay  given the arrival in seconds and the (H, W, 3) uint8 RGB picture of every overlay
    """

    def __init__(self, on_overlay: Callable[[float, RgbImage], None], **node_options: Any) -> None:
        super().__init__("recorder", **node_options)
        self.recording = Recording()
        self._on_overlay = on_overlay
        for kind, topic, callback in (
            (CameraInfo, INFO_TOPIC, self._on_camera),
            (PointStamped, f"{_SEGMENTER}/click", self._on_click),
            (Image, f"{_SEGMENTER}/mask", self._on_mask),
            (Image, f"{_SEGMENTER}/overlay", self._on_picture),
            (DiagnosticArray, "/diagnostics", self._on_diagnostics),
        ):
            self.create_subscription(kind, topic, callback, _ALL)

    def _on_camera(self, message: CameraInfo) -> None:
        self.recording.camera.append(stamp_of(message.header) or 0.0)

    def _on_click(self, _: PointStamped) -> None:
        self.recording.clicks.append(time.time())

    def _on_mask(self, message: Image) -> None:
        labeled = bool((np.frombuffer(message.data, np.uint8) != _UNLABELLED).any())
        self.recording.masks.append((stamp_of(message.header) or 0.0, time.time(), labeled))

    def _on_picture(self, message: Image) -> None:
        self._on_overlay(time.time(), to_rgb(message))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.recording.diagnostics = {entry.key: entry.value for entry in message.status[0].values}


def record(
    seconds: float, patience: float, check: Callable[[], None], on_overlay: Callable[[float, RgbImage], None]
) -> Recording:
    """Record until ``seconds`` after the first labeled mask.

    ``check`` is called again and again, to raise when a process ended. Raises DemoError when there is no labeled mask
    for ``patience`` seconds.
    """
    # Signals stay with Python, so that Ctrl-C raises KeyboardInterrupt here and the processes are ended.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        recorder = Recorder(on_overlay)
        executor = SingleThreadedExecutor()
        executor.add_node(recorder)
        recording = recorder.recording
        deadline = time.time() + patience
        while (first := recording.first_labeled) is None or time.time() < first + seconds:
            if first is None and time.time() > deadline:
                raise DemoError(f"mask: got no labelled one within {patience:g} s, {_seen(recording)}")
            check()
            executor.spin_once(timeout_sec=_WAIT)
        executor.shutdown()
        recorder.destroy_node()
    finally:
        rclpy.try_shutdown()
    return recording


def _seen(recording: Recording) -> str:
    frames, clicks, masks = len(recording.camera), len(recording.clicks), len(recording.masks)
    return f"after {frames} camera frames, {clicks} clicks and {masks} masks"


if __name__ == "__main__":
    sys.exit(main())
