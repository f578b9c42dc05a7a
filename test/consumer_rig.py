"""The rig of consumer tests: a camera, and a segmenter in name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header, String

from neural_seg_ros.ros.toolkit.conversion import from_array
from neural_seg_ros.ros.toolkit.qos import LATCHED

HEIGHT, WIDTH = 24, 32
FRAME = "camera_color_optical_frame"
RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)


def header(second: float, frame_id: str = FRAME) -> Header:
    made = Header(frame_id=frame_id)
    made.stamp.sec, made.stamp.nanosec = int(second), round(second % 1 * 1e9)
    return made


def seconds(message: Any) -> float:
    return float(message.header.stamp.sec + message.header.stamp.nanosec * 1e-9)


def labels() -> Any:
    """Return (H, W) uint8: background, a rectangle of class 1, two of class 2, and an unlabelled corner."""
    made = np.zeros((HEIGHT, WIDTH), np.uint8)
    made[4:12, 6:16] = 1
    made[14:20, 2:8] = 2
    made[14:22, 20:30] = 2
    made[-2:, -2:] = 255
    return made


def millimeters(seed: int = 0) -> Any:
    """Return (H, W) uint16 with holes."""
    rng = np.random.default_rng(seed)
    made = rng.integers(300, 5000, (HEIGHT, WIDTH)).astype(np.uint16)
    made[rng.random((HEIGHT, WIDTH)) < 0.1] = 0
    return made


def calibration(**fields: Any) -> CameraInfo:
    k = [40.0, 0.0, 15.5, 0.0, 40.0, 11.5, 0.0, 0.0, 1.0]
    p = [40.0, 0.0, 15.5, 0.0, 0.0, 40.0, 11.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    given = {"width": WIDTH, "height": HEIGHT, "distortion_model": "plumb_bob", "d": [0.0] * 5, "k": k, "p": p}
    return CameraInfo(**{**given, **fields})


def overrides(parameters: Mapping[str, Any]) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in parameters.items()]


class ConsumerRig:
    """Publishes what a camera and the segmenter would, beside a node in the same executor."""

    def __init__(self, probe: Any, node: Any) -> None:
        self.probe, self.node = probe, probe.add(node)
        self.publishers = {
            topic: probe.node.create_publisher(kind, topic, profile)
            for kind, topic, profile in (
                (Image, "/segmenter/mask", RELIABLE),
                (Image, "/segmenter/confidence", RELIABLE),
                (String, "/segmenter/labels", LATCHED),
                (Image, "/depth", RELIABLE),
                (CameraInfo, "/camera_info", RELIABLE),
            )
        }

    def connect(self, *topics: str) -> None:
        """Wait for the node to listen to ``topics``."""
        self.probe.until(lambda: all(self.publishers[topic].get_subscription_count() for topic in topics))

    def mask(self, second: float, image: Any = None, encoding: str = "mono8") -> None:
        values = labels() if image is None else image
        self.publishers["/segmenter/mask"].publish(from_array(values, encoding, header(second)))

    def confidence(self, second: float, value: int = 51) -> None:
        values = np.full((HEIGHT, WIDTH), value, np.uint8)
        self.publishers["/segmenter/confidence"].publish(from_array(values, "mono8", header(second)))

    def answer(self, second: float) -> None:
        self.mask(second)
        self.confidence(second)

    def depth(self, second: float, seed: int = 0) -> None:
        self.publishers["/depth"].publish(from_array(millimeters(seed), "16UC1", header(second)))

    def info(self, **fields: Any) -> None:
        self.publishers["/camera_info"].publish(calibration(**fields))

    def names(self, names: Mapping[int, str]) -> None:
        text = json.dumps({str(key): name for key, name in names.items()})
        self.publishers["/segmenter/labels"].publish(String(data=text))

    def set(self, **parameters: Any) -> Any:
        return self.node.set_parameters(overrides(parameters))[0]

    def spin(self, times: int = 50) -> None:
        """Give everything that is under way its turn."""
        for _ in range(times):
            self.probe.executor.spin_once(timeout_sec=0.002)
