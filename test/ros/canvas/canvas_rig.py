"""A camera, a segmenter, a canvas and an RViz for the tests of the canvas."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from rclpy.parameter import Parameter
from rviz_client import RvizClient
from segmenter_rig import HEIGHT, TINY, WIDTH, header, overrides
from sensor_msgs.msg import Image
from visualization_msgs.msg import ImageMarker

from neural_seg_ros.annotations import Annotation
from neural_seg_ros.annotations import ros_messages as annotation_message
from neural_seg_ros.ros.canvas.node import Canvas
from neural_seg_ros.ros.segmenter.node import Segmenter
from neural_seg_ros.ros.toolkit import qos
from neural_seg_ros.ros.toolkit.conversion import from_array

SIZE = HEIGHT, WIDTH
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


def process_of_a_segmenter(folder: Path) -> subprocess.Popen[str]:
    """Return a segmenter as users start it, in the domain of the test."""
    given = {**TINY, "session_directory": folder}
    arguments = [item for name, value in given.items() for item in ("-p", f"{name}:={value}")]
    path = os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-m", "neural_seg_ros.ros.segmenter.node", "--ros-args", *arguments],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
