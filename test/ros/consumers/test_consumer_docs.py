"""docs/consumers.md says topics that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from neural_seg_ros.ros.consumers.detections import Detections
from neural_seg_ros.ros.consumers.labelled_cloud import LabelledCloud

pytestmark = pytest.mark.ros
PAGE = (Path(__file__).parents[3] / "docs" / "consumers.md").read_text()


@pytest.mark.parametrize("make", [LabelledCloud, Detections])
def test_topics_are_those_of_the_nodes(probe: Any, make: Any) -> None:
    node = probe.add(make())
    node.matched.listen(True)
    name, ours = node.get_name(), {"/rosout", "/parameter_events"}
    section = PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (sub|pub) \| (.*?) \|", section, re.MULTILINE)
    for direction, listed in (
        ("sub", node.get_subscriber_names_and_types_by_node(name, "/")),
        ("pub", node.get_publisher_names_and_types_by_node(name, "/")),
    ):
        told = {topic for way, cell in rows if way == direction for topic in re.findall(r"`(.*?)`", cell)}
        topics = {topic.replace("~", f"/{name}") if topic.startswith("~") else f"/{topic}" for topic in told}
        assert {topic for topic in topics if "<id>" not in topic} == {topic for topic, _ in listed} - ours


def test_the_costmap_listens_to_topics_that_exist() -> None:
    text = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
    layer = yaml.safe_load(text)["local_costmap"]["local_costmap"]["ros__parameters"]["semantic_layer"]
    camera = layer[layer["observation_sources"]]
    assert {key: camera[key] for key in camera if key.endswith("_topic")} == {
        "segmentation_topic": "/segmenter/mask",
        "confidence_topic": "/segmenter/confidence",
        "labels_topic": "/segmenter/labels",
        "pointcloud_topic": "/labelled_cloud/points",
    }
    named = re.findall(r"'\d+:(\w+)'", PAGE.split("```yaml")[0])
    assert sorted(name for kind in camera["class_types"] for name in camera[kind]["classes"]) == sorted(named)
