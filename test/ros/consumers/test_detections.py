"""Masks over real DDS to regions of interest and detections."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from consumer_rig import HEIGHT, WIDTH, ConsumerRig, header, labels, overrides
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import String
from vision_messages import VisionMessages

from neural_seg_ros.ros.consumers import detections
from neural_seg_ros.ros.consumers.detections import Detections
from neural_seg_ros.ros.consumers.instances import Instance
from neural_seg_ros.ros.toolkit.distribution import have_vision_msgs

pytestmark = pytest.mark.ros
NAMES = {0: "background", 1: "cup", 2: "spoon", 300: "nobody"}


class Rig(ConsumerRig):
    def __init__(self, probe: Any, **parameters: Any) -> None:
        given = {"min_area": 10, **parameters}
        super().__init__(probe, Detections(parameter_overrides=overrides(given)))
        self.regions = {id_: probe.listen(RegionOfInterest, f"/detections/roi/class_{id_}") for id_ in (0, 1, 2)}
        self.detections = probe.listen(String, "/detections/detections")
        self.connect("/segmenter/mask", "/segmenter/labels")

    def named(self, *ids: int) -> Rig:
        """Wait for the topics of classes to be heard."""
        self.names(NAMES)
        self.probe.until(lambda: all(id_ in self.node._regions for id_ in ids), what="topics")
        self.probe.until(lambda: all(self.node._regions[id_].get_subscription_count() for id_ in ids), what="listeners")
        self.probe.until(self.node._detections.get_subscription_count)
        return self

    def until_detections(self, count: int) -> Any:
        self.probe.until(lambda: len(self.detections) == count, what=f"{count} messages of detections")
        return json.loads(self.detections[-1].data)


@pytest.fixture
def rig(probe: Any) -> Rig:
    if have_vision_msgs():
        pytest.skip("detections are vision_msgs/Detection2DArray here")
    return Rig(probe)


def test_every_class_has_its_region_and_every_instance_its_box(rig: Rig) -> None:
    rig.named(1, 2)
    assert sorted(rig.node._regions) == [1, 2, 300], "background and unlabelled are no objects"
    rig.answer(1.5)
    told = rig.until_detections(1)
    assert told["header"] == {"stamp": {"sec": 1, "nanosec": 500000000}, "frame_id": header(1.5).frame_id}
    cup = {"class_id": "1", "class_name": "cup", "score": 0.2, "x": 6, "y": 4, "width": 10, "height": 8, "area": 80}
    spoons = [
        {"class_id": "2", "class_name": "spoon", "score": 0.2, "x": 20, "y": 14, "width": 10, "height": 8, "area": 80},
        {"class_id": "2", "class_name": "spoon", "score": 0.2, "x": 2, "y": 14, "width": 6, "height": 6, "area": 36},
    ]
    assert told["detections"] == [cup, *spoons]
    rig.probe.until(lambda: rig.regions[1] and rig.regions[2], what="regions")
    assert rig.regions[1] == [RegionOfInterest(x_offset=6, y_offset=4, height=8, width=10)]
    assert rig.regions[2] == [RegionOfInterest(x_offset=20, y_offset=14, height=8, width=10)], "of the largest spoon"


def test_a_class_that_is_not_there_has_no_region(rig: Rig) -> None:
    rig.named(1, 2)
    rig.mask(1.0, np.where(labels() == 1, np.uint8(0), labels()))
    rig.confidence(1.0)
    rig.probe.until(lambda: rig.regions[2], what="a region of the other class")
    rig.until_detections(1)
    assert not rig.regions[1], "a region of size 0 would mean the whole image"


def test_whole_classes_picked_by_id_while_it_runs(rig: Rig) -> None:
    rig.named(2)
    given = {"classes": [0, 2], "keep": True, "instances": False, "do_rectify": True}
    assert rig.node.set_parameters_atomically(overrides(given)).successful
    rig.named(0, 2)
    assert sorted(rig.node._regions) == [0, 2], "listed ones have topics, others have not"
    rig.answer(1.0)
    found = [(one["class_id"], one["x"], one["y"], one["area"]) for one in rig.until_detections(1)["detections"]]
    assert found == [("0", 0, 0, int((labels() == 0).sum())), ("2", 2, 14, 116)]
    rig.probe.until(lambda: rig.regions[0] and rig.regions[2], what="regions")
    assert rig.regions[2] == [RegionOfInterest(x_offset=2, y_offset=14, height=8, width=28, do_rectify=True)]


def test_a_mask_waits_for_its_confidence(rig: Rig) -> None:
    rig.named(1)
    rig.mask(1.0)
    rig.confidence(2.0)
    rig.mask(3.0, labels()[:12])
    rig.confidence(3.0)
    rig.mask(0.0)
    rig.mask(4.0, np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb8")
    rig.publishers["/segmenter/labels"].publish(String(data="no JSON"))
    rig.spin()
    assert not rig.detections
    rig.mask(2.0)
    assert len(rig.until_detections(1)["detections"]) == 3
    assert rig.node._labels.names == NAMES


def test_noise_is_survived_and_bounded(probe: Any) -> None:
    rig = Rig(probe, min_area=1, most=50, use_confidence=False).named(1)
    rig.names({id_: str(id_) for id_ in range(1000)})
    probe.until(lambda: len(rig.node._regions) == 100, what="a hundred topics and no more")
    rig.mask(1.0, np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8))
    told = rig.until_detections(1)["detections"]
    assert len(told) == 50
    assert {one["score"] for one in told} == {1.0}


def test_a_detection_array_as_vision_msgs_defines_it(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = VisionMessages()
    for name in ("Detection2D", "Detection2DArray", "ObjectHypothesisWithPose"):
        monkeypatch.setattr(detections, name, partial(messages.make, f"vision_msgs/msg/{name}"), raising=False)
    made = detections.as_message([Instance(7, 10, 20, 5, 4, 18, 0.75), Instance(300, 0, 0, 1, 1, 1, 1.0)], header(1.25))
    kind = "vision_msgs/msg/Detection2DArray"
    back: Any = messages.store.deserialize_cdr(messages.store.serialize_cdr(made, kind), kind)
    assert (back.header.stamp.nanosec, back.header.frame_id) == (250000000, header(1.25).frame_id)
    first, second = back.detections
    assert (first.header.stamp.sec, first.bbox.size_x, first.bbox.size_y) == (1, 5.0, 4.0)
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (12.5, 22.0)
    (hypothesis,) = first.results
    assert (hypothesis.hypothesis.class_id, hypothesis.hypothesis.score) == ("7", 0.75)
    assert second.results[0].hypothesis.class_id == "300"
