"""The camera node over real DDS: a process that plays a video or a folder, and stops when told."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from rclpy.qos import ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from neural_seg_ros.images.files import write_image
from neural_seg_ros.ros.toolkit.conversion import to_rgb

pytestmark = pytest.mark.ros
FRAMES, HEIGHT, WIDTH = 4, 48, 64
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of one gray value each: 0, 50, 100, 150."""
    path = tmp_path_factory.mktemp("frames")
    for index in range(FRAMES):
        write_image(path / f"{index}.png", np.full((HEIGHT, WIDTH, 3), 50 * index, np.uint8))
    return path


@pytest.fixture
def start(ros_domain: int) -> Iterator[Start]:
    """Start camera processes in the module's domain; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(**parameters: Any) -> subprocess.Popen[str]:
        arguments = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        command = [sys.executable, "-m", "neural_seg_ros.ros.camera", "--ros-args", *arguments]
        process = subprocess.Popen(command, env=os.environ, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def values(images: list[Any]) -> list[int]:
    return [int(np.median(to_rgb(image))) for image in images]


def stamp(message: Any) -> float:
    return float(message.header.stamp.sec + message.header.stamp.nanosec * 1e-9)


def test_plays_in_order_again_and_again_until_sigint(probe: Any, start: Start, folder: Path) -> None:
    images = probe.listen(Image, "image_raw")
    infos = probe.listen(CameraInfo, "camera_info", qos_profile_sensor_data)
    process = start(video=folder, rate=50.0, frame_id="front")
    probe.until(lambda: len(images) >= 3 * FRAMES and infos, what="three rounds of the folder")
    seen = values(images)
    following = {0: 50, 50: 100, 100: 150, 150: 0}
    steps = list(itertools.pairwise(seen))
    assert sum(following[a] == b for a, b in steps) >= 0.8 * len(steps)  # keep last 1: a busy machine may lose some
    first = images[0]
    assert (first.encoding, first.width, first.height, first.step) == ("rgb8", WIDTH, HEIGHT, 3 * WIDTH)
    assert first.header.frame_id == infos[0].header.frame_id == "front"
    assert (infos[0].width, infos[0].height) == (WIDTH, HEIGHT)
    stamps = [stamp(image) for image in images]
    assert stamps == sorted(stamps)
    assert abs(stamps[-1] - probe.node.get_clock().now().nanoseconds * 1e-9) < 5
    assert 0.5 / 50 < (stamps[-1] - stamps[0]) / (len(stamps) - 1) < 3 / 50
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_compressed_and_resized(probe: Any, start: Start, folder: Path) -> None:
    images = probe.listen(CompressedImage, "image_raw/compressed")
    start(video=folder, rate=20.0, width=32)
    probe.until(lambda: len(images) >= FRAMES, what="compressed images")
    assert images[0].format == "rgb8; jpeg compressed bgr8"
    assert to_rgb(images[0]).shape == (24, 32, 3)
    assert all(min(abs(value - 50 * index) for index in range(FRAMES)) <= 2 for value in values(images))


def test_a_best_effort_subscriber_gets_images(probe: Any, start: Start, folder: Path) -> None:
    images = probe.listen(Image, "image_raw", qos_profile_sensor_data)
    start(video=folder, rate=20.0)
    probe.until(lambda: images, what="an image")


def test_quality_of_service_of_one_topic_is_overridden(probe: Any, start: Start, folder: Path) -> None:
    start(video=folder, **{"qos_overrides./image_raw.publisher.reliability": "best_effort"})
    topics = ("image_raw", "image_raw/compressed")
    probe.until(lambda: all(probe.node.get_publishers_info_by_topic(topic) for topic in topics), what="the camera")
    found = [probe.node.get_publishers_info_by_topic(topic)[0].qos_profile.reliability for topic in topics]
    assert found == [ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE]


def test_ends_with_the_video_when_it_does_not_loop(start: Start, folder: Path) -> None:
    process = start(video=folder, rate=200.0, loop="false")
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"video": "/no/such/video.mp4"}, "/no/such/video.mp4: no such file or folder, accepted"),
        ({}, "video: got nothing, accepted"),
        ({"video": "x", "rate": -1.0}, "rate out of range"),
        ({"video": "x", "width": "wide"}, "'width'"),
    ],
)
def test_bad_parameters_give_one_line_and_2(start: Start, parameters: dict[str, Any], says: str) -> None:
    process = start(**parameters)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert says in errors
    assert len(errors.strip().splitlines()) == 1
