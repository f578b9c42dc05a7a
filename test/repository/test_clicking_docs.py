"""Every ``ros2 topic pub`` of the documentation, as written, is an annotation that the segmenter takes."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

import numpy as np
from rcl_interfaces.msg import Log
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from visualization_msgs.msg import ImageMarker

from neural_seg_ros import Box, Click, Region, Session, Stroke
from neural_seg_ros.ros.segmenter.node import Segmenter
from neural_seg_ros.ros.toolkit.conversion import from_array

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "annotate.md")
PUBLISHED = re.compile(r"ros2 topic pub --once (\S+) (\w+)/msg/(\w+)\s+'(.*?)'")
# No smaller than the pixels that are clicked.
HEIGHT, WIDTH = 248, 328
TINY = {"field.size": 32, "field.width": 8, "field.levels": 2, "fit.first_steps": 1, "fit.click_steps": 1}
REMAPPED = ["--ros-args", "-r", "image_mouse_left:=/camera/image_raw_mouse_left"]


def messages() -> dict[str, tuple[str, Any]]:
    """Topic and message of every line, by its text, which is the same in several documents now and then."""
    found: dict[str, tuple[str, Any]] = {}
    for document in DOCUMENTS:
        text = document.read_text().replace("\\\n", " ")
        assert len(PUBLISHED.findall(text)) == text.count("ros2 topic pub ")
        for topic, package, kind, content in PUBLISHED.findall(text):
            message = getattr(importlib.import_module(f"{package}.msg"), kind)()
            fill(message, yaml.safe_load(content))
            found[f"{topic} {content}"] = topic, message
    return found


def fill(message: Any, content: dict[str, Any]) -> None:
    """Set the fields of a message as ros2 topic pub does."""
    kinds = message.get_fields_and_field_types()
    for name, value in content.items():
        if isinstance(value, dict):
            fill(getattr(message, name), value)
        elif isinstance(value, list):
            package, kind = re.sub(r"sequence<(.+)>", r"\1", kinds[name]).split("/")
            items = [getattr(importlib.import_module(f"{package}.msg"), kind)() for _ in value]
            for item, part in zip(items, value, strict=True):
                fill(item, part)
            setattr(message, name, items)
        else:
            setattr(message, name, float(value) if kinds[name] in ("double", "float") else value)


def test_every_line_is_an_annotation(probe: Any, tmp_path: Path) -> None:
    given = {**TINY, "live.max_age": 60.0, "session_directory": str(tmp_path)}
    parameters = [Parameter(name, value=value) for name, value in given.items()]
    probe.add(Segmenter(parameter_overrides=parameters, cli_args=REMAPPED))
    camera = probe.node.create_publisher(Image, "/image", 1)
    calibration = probe.node.create_publisher(CameraInfo, "/camera_info", 1)
    masks, logged = probe.listen(Image, "/segmenter/mask"), probe.listen(Log, "/rosout")
    lines = messages()
    publishers = {
        topic: probe.node.create_publisher(type(message), topic, 100) for topic, message in dict(lines.values()).items()
    }
    everybody = (camera, calibration, *publishers.values())
    probe.until(lambda: all(each.get_subscription_count() for each in everybody), what="a subscriber of every topic")
    probe.until(lambda: probe.node.count_publishers("/segmenter/mask"))
    header = Header(frame_id="camera")
    header.stamp.sec = 1
    focal = [200.0, 0.0, WIDTH / 2, 0.0, 200.0, HEIGHT / 2, 0.0, 0.0, 1.0]
    calibration.publish(CameraInfo(header=header, height=HEIGHT, width=WIDTH, k=focal, distortion_model="plumb_bob"))
    camera.publish(from_array(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), "rgb8", header))
    probe.until(lambda: masks, seconds=60, what="a mask")

    for topic, message in lines.values():
        publishers[topic].publish(message)
    probe.until(lambda: 255 not in masks[-1].data, seconds=60, what="a labelled mask")
    assert probe.call(Trigger, "/segmenter/save_session", seconds=60).success
    saved = Session.load(tmp_path / "session.safetensors").annotations
    assert not [entry.msg for entry in logged if entry.level >= Log.ERROR[0]]
    assert len(saved) == expected(message for _, message in lines.values())
    assert {type(each.annotation) for each in saved} == {Click, Box, Stroke, Region}


def expected(published: Iterable[Any]) -> int:
    """Return how many annotations are left of all, as a marker replaces what its id drew before, or takes it back."""
    others, markers = 0, {}
    for message in published:
        if isinstance(message, ImageMarker):
            markers[message.id] = message.action == ImageMarker.ADD
        else:
            others += 1
    return others + sum(markers.values())
