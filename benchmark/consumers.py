"""From a mask to those who take it: how long the segmenter publishes, how long depth takes to become labeled points.

    OMP_NUM_THREADS=1 python benchmark/consumers.py --core 0

Everything is measured on one core, with subscribers in another process over DDS. Prints a table in milliseconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import cv2
import numpy as np
import rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header, String

from neural_seg_ros.images.camera_model import camera_rays
from neural_seg_ros.live import LiveResult
from neural_seg_ros.ros.consumers import cloud
from neural_seg_ros.ros.consumers import cloud as depth
from neural_seg_ros.ros.consumers.detections import Detections
from neural_seg_ros.ros.consumers.instances import find_instances
from neural_seg_ros.ros.consumers.labelled_cloud import LabelledCloud
from neural_seg_ros.ros.segmenter.interface import SEGMENTER
from neural_seg_ros.ros.segmenter.outputs import Outputs
from neural_seg_ros.ros.toolkit.conversion import cloud_from_array, from_array
from neural_seg_ros.ros.toolkit.distribution import use_large_images
from neural_seg_ros.ros.toolkit.endpoints import Endpoints
from neural_seg_ros.ros.toolkit.throttled_log import ThrottledLog
from neural_seg_ros.session.result import Result

NAME = "benchmark"
HEADERS = ("least", "p50", "p95", "CPU p50", "came")
LISTEN_SECONDS = 60.0
PAUSE = 1 / 30
# As the costmap layer subscribes.
NAV2 = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)


Timing = tuple[float, float, float, float]


class Scene:
    """A frame of objects before a slope, and all that belongs to it."""

    def __init__(self, height: int, width: int) -> None:
        v, u = np.mgrid[:height, :width]
        self.labels = np.zeros((height, width), np.uint8)
        for class_id, (x, y, radius) in enumerate(((0.3, 0.4, 0.15), (0.6, 0.5, 0.2), (0.8, 0.3, 0.1)), start=1):
            self.labels[np.hypot(u - x * width, v - y * height) < radius * height] = class_id
        rng = np.random.default_rng(0)
        self.depth = (4000 - 3 * v + 20 * rng.standard_normal((height, width)) - 300.0 * self.labels).astype(np.uint16)
        self.depth[rng.random((height, width)) < 0.1] = 0
        self.confidence = (200 + 30 * rng.standard_normal((height, width))).clip(0, 255).astype(np.uint8)
        k = [0.8 * width, 0.0, width / 2, 0.0, 0.8 * width, height / 2, 0.0, 0.0, 1.0]
        self.info = CameraInfo(width=width, height=height, k=k)
        self.size = height, width

    def images(self, second: int, encoding: str = "16UC1") -> dict[str, Image]:
        """Messages of one stamp, by the names of the nodes' topics."""
        header = Header(frame_id="camera")
        header.stamp.sec = second
        meters = np.where(self.depth > 0, self.depth / 1000, np.nan).astype(np.float32)
        distances = self.depth if encoding == "16UC1" else meters
        return {
            "mask": from_array(self.labels, "mono8", header),
            "confidence": from_array(self.confidence, "mono8", header),
            "depth": from_array(distances, encoding, header),
        }


def timed(call: Callable[[], Any], runs: int, pause: float = 0.0) -> Timing:
    """Least, median and 95th percentile of the wall time, and median of the process's CPU time, in milliseconds.

    pause  seconds between two runs, as between two frames of a camera
    """
    for _ in range(3):
        call()
    wall, processor = [], []
    for _ in range(runs):
        time.sleep(pause)
        began, spent = time.perf_counter(), time.process_time()
        call()
        wall.append(1e3 * (time.perf_counter() - began))
        processor.append(1e3 * (time.process_time() - spent))
    return min(wall), float(np.median(wall)), float(np.percentile(wall, 95)), float(np.median(processor))


def functions(scene: Scene, runs: int) -> Iterator[tuple[str, Timing]]:
    """Return the pure functions, without messages."""
    rays = camera_rays(scene.info, scene.size, rectified=False)
    lens = CameraInfo(width=scene.info.width, height=scene.info.height, k=scene.info.k, distortion_model="plumb_bob")
    lens.d = [-0.2, 0.05, 0.001, -0.002, 0.0]
    curved = camera_rays(lens, scene.size, rectified=False)
    meters = cloud.meters(scene.depth)
    points = cloud.organized(meters, rays, scene.labels, scene.confidence)
    keep = scene.labels > 0
    for name, call in (
        ("millimeters to metres", partial(depth.meters, scene.depth)),
        (
            "points of metres, labels, confidence",
            partial(cloud.organized, meters, rays, scene.labels, scene.confidence),
        ),
        ("the same through a lens", partial(cloud.organized, meters, curved, scene.labels, scene.confidence)),
        ("dense of organized points", partial(cloud.dense, points)),
        ("masked depth", partial(depth.masked, scene.depth, keep)),
        ("rays of a lens (once a calibration)", partial(camera_rays, lens, scene.size, False)),
        ("message of organized points", partial(cloud_from_array, points, Header())),
        ("instances of three objects", partial(find_instances, scene.labels, scene.confidence, (1, 2, 3), 64, 100)),
    ):
        yield name, timed(call, runs)


def listen(topics: Sequence[tuple[type, str]]) -> int:
    """Run as a process on any core: count messages until told to stop, and print the count."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    node = Node("listener")
    came = dict.fromkeys((topic for _, topic in topics), 0)

    def count(topic: str, message: Any) -> None:
        came[topic] += 1

    for kind, topic in topics:
        node.create_subscription(kind, topic, partial(count, topic), NAV2)
    print("listens", flush=True)
    stop = node.create_subscription(String, "/stop", lambda message: came.update(stopped=1), 1)
    deadline = time.monotonic() + LISTEN_SECONDS
    while "stopped" not in came and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
    print(*(came[topic] for _, topic in topics), flush=True)
    node.destroy_subscription(stop)
    return 0


KINDS = {"points": PointCloud2, "detections": String}


@contextmanager
def listener(node: Node, *topics: str) -> Iterator[Callable[[], int]]:
    """Return a process that listens to ``topics`` of a node; gives a function that ends it and tells how much came."""
    names = [f"{node.get_fully_qualified_name()}/{topic}" for topic in topics]
    command = [sys.executable, __file__, "--listen", *names]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    stop = node.create_publisher(String, "/stop", 1)
    try:
        process.stdout.readline()
        while not all(node.count_subscribers(name) for name in names) or not stop.get_subscription_count():
            rclpy.spin_once(node, timeout_sec=0.05)

        def came() -> int:
            time.sleep(0.5)
            stop.publish(String())
            said, _ = process.communicate(timeout=LISTEN_SECONDS)
            return max(int(word) for word in said.split())

        yield came
    finally:
        process.kill()
        process.wait()
        node.destroy_publisher(stop)


def answers(scene: Scene, runs: int) -> Iterator[tuple[str, Timing, str]]:
    """Time the segmenter from an answer to the return of ``publish``."""
    node = LifecycleNode("segmenter")
    outputs = Outputs(node, Endpoints(node, SEGMENTER, ThrottledLog(node)))
    node.trigger_configure()
    node.trigger_activate()
    confidence = (scene.confidence / np.float32(255)).astype(np.float32)
    result = Result(scene.labels, confidence, (0, 1, 2, 3), 1.0)
    output = LiveResult(result, Header(frame_id="camera"), np.zeros((*scene.size, 3), np.uint8), (), False, ())
    for topics in (("mask",), ("mask", "confidence")):
        with listener(node, *topics) as came:
            timing = timed(lambda: outputs.publish(output, 255, 0.45), runs, PAUSE)
            yield f"answer to publish: {' and '.join(topics)}", timing, f"{came()} of {runs + 3}"
    outputs.destroy()
    node.destroy_node()


def nodes(scene: Scene, runs: int) -> Iterator[tuple[str, Timing, str]]:
    """From messages that match to the return of ``publish``."""
    for name, topics, encoding, parameters in (
        ("depth to organised points", ("points",), "16UC1", {}),
        ("depth in metres to organised points", ("points",), "32FC1", {}),
        ("depth to organised points of classes", ("points",), "16UC1", {"points.classes": "1, 2"}),
        ("depth to dense points", ("points",), "16UC1", {"points.organised": False}),
        ("depth to masked depth", ("depth",), "16UC1", {}),
        ("depth to organised points and masked depth", ("points", "depth"), "16UC1", {}),
        ("mask to detections", ("detections",), "16UC1", {}),
    ):
        given = [Parameter(key, value=value) for key, value in parameters.items()]
        node = (Detections if topics == ("detections",) else LabelledCloud)(parameter_overrides=given)
        node._info = scene.info
        images = scene.images(1, encoding)
        with listener(node, *topics) as came:
            timing = timed(lambda: node._on_match(images), runs, PAUSE)  # noqa: B023  called at once
            yield f"{name}, message to publish", timing, f"{came()} of {runs + 3}"
        node.destroy_node()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="640x480", help="width x height (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=100, help="runs of each (default: %(default)s)")
    parser.add_argument("--core", type=int, help="keep the process that is measured on this core")
    parser.add_argument("--domain", type=int, default=97, help="DDS domain (default: %(default)s)")
    parser.add_argument("--listen", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    use_large_images()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_DOMAIN_ID"] = str(arguments.domain)
    rclpy.init()
    if arguments.listen:
        return listen([(KINDS.get(topic.rsplit("/", 1)[1], Image), topic) for topic in arguments.listen])
    cv2.setNumThreads(1)
    width, height = (int(side) for side in arguments.size.split("x"))
    scene = Scene(height, width)
    cores = os.sched_getaffinity(0)
    print(f"{width}x{height}, {arguments.runs} runs, milliseconds, load {os.getloadavg()[0]:.1f}\n")
    print(f"| | {' | '.join(HEADERS)} |\n| --- | ---: | ---: | ---: | ---: | ---: |")

    def row(name: str, timing: Timing, came: str = "") -> None:
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in timing)} | {came} |", flush=True)

    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    for name, timing in functions(scene, arguments.runs):
        row(name, timing)
    for measure in (answers, nodes):
        for name, timing, came in measure(scene, arguments.runs):
            row(name, timing, came)
    os.sched_setaffinity(0, cores)
    rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
