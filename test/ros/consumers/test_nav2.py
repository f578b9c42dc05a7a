"""Masks, confidences, labels and points as Nav2's semantic segmentation layer takes them, over real DDS.

What the layer does is written out here: sensor-data QoS for images and points, reliable and transient local for labels,
exact stamps, and pixels and points that are walked through side by side.
"""

from __future__ import annotations

import json
import math
import sys
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed", exc_type=ImportError)

from consumer_rig import ConsumerRig, labels, millimeters, overrides, seconds
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from segmenter_rig import Rig as SegmenterRig
from segmenter_rig import header
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import String
from vision_messages import VisionMessages

from neural_seg_ros.ros.consumers.cloud import POINT
from neural_seg_ros.ros.consumers.labelled_cloud import LabelledCloud
from neural_seg_ros.ros.segmenter import outputs
from neural_seg_ros.ros.segmenter.outputs import labels_message
from neural_seg_ros.ros.toolkit.conversion import from_array
from neural_seg_ros.ros.toolkit.distribution import have_vision_msgs

pytestmark = pytest.mark.ros
SENSOR_DATA = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
LABEL_INFO = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=5,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
RESOLUTION = 0.25


class Layer:
    """Listens as the layer does; ``buffered`` are its (mask, confidence, points) of equal stamps."""

    def __init__(self, probe: Any) -> None:
        self.heard = (
            probe.listen(Image, "/segmenter/mask", SENSOR_DATA),
            probe.listen(Image, "/segmenter/confidence", SENSOR_DATA),
            probe.listen(PointCloud2, "/labelled_cloud/points", SENSOR_DATA),
        )

    def buffered(self) -> list[tuple[Any, Any, Any]]:
        masks, confidences, clouds = ({seconds(one): one for one in heard} for heard in self.heard)
        stamps = sorted(masks.keys() & confidences.keys() & clouds.keys())
        return [(masks[stamp], confidences[stamp], clouds[stamp]) for stamp in stamps]


def points_of(cloud: Any) -> Any:
    return np.frombuffer(bytes(cloud.data), POINT)


def tiles(mask: Any, confidence: Any, cloud: Any, known: set[int]) -> dict[tuple[int, int], int]:
    """Return the class of every tile of the ground: that of its most confident point, if the layer knows the class."""
    assert mask.width * mask.height == cloud.width * cloud.height, "other sizes are not buffered"
    assert min(len(mask.data), len(confidence.data)) >= mask.width * mask.height
    points = points_of(cloud)
    best: dict[tuple[int, int], int] = {}
    for v in range(mask.height):
        for u in range(mask.width):
            index = v * mask.width + u
            x, _, z, *_ = points[index].tolist()
            if not math.isfinite(z):
                continue
            tile = math.floor(x / RESOLUTION), math.floor(z / RESOLUTION)
            if tile not in best or confidence.data[index] > confidence.data[best[tile]]:
                best[tile] = index
    return {tile: mask.data[index] for tile, index in best.items() if mask.data[index] in known}


def test_the_segmenters_topics_are_what_the_layer_takes(probe: Any) -> None:
    if have_vision_msgs():
        pytest.skip("labels are vision_msgs/LabelInfo here")
    rig = SegmenterRig(probe).connected()
    # The first answer to a click may take longer than depth waits by default.
    cloud = LabelledCloud(parameter_overrides=overrides({"points.classes": "labelled", "buffer.seconds": 100.0}))
    probe.add(cloud)
    layer = Layer(probe)
    depth = probe.node.create_publisher(Image, "/depth", 10)
    info = probe.node.create_publisher(CameraInfo, "/camera_info", 10)
    probe.until(lambda: depth.get_subscription_count() and info.get_subscription_count())
    probe.until(lambda: cloud._points.get_subscription_count() and cloud._labels.names)
    probe.until(
        lambda: all(rig.node._outputs._images[name].get_subscription_count() >= 2 for name in ("mask", "confidence"))
    )
    height, width = 48, 64
    k = [60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0]
    info.publish(CameraInfo(width=width, height=height, k=k))
    probe.until(lambda: cloud._info is not None)
    ramp = np.linspace(1000, 3000, height * width).astype(np.uint16).reshape(height, width)
    depth.publish(from_array(ramp, "16UC1", header(7.25)))
    rig.show(7.25)
    rig.click(20, 15, 7.25)
    rig.until_labeled(7.25)
    # The frame is answered before the click too; points of that answer go with masks of that answer.
    probe.until(lambda: any(1 in points_of(cloud)["label"] for *_, cloud in layer.buffered()), 60, "labelled points")
    mask, confidence, points = layer.buffered()[-1]
    assert mask.header == confidence.header == points.header == header(7.25)
    for image in (mask, confidence):
        assert (image.encoding, image.height, image.width) == ("mono8", height, width)
        assert (image.step, len(image.data)) == (width, height * width)
    heard = probe.listen(String, "/segmenter/labels", LABEL_INFO)
    probe.until(lambda: heard, what="labels for a layer that comes late")
    names = {int(key): name for key, name in json.loads(heard[-1].data).items()}
    assert names == {0: "background", 1: "1"}, "a class without a name would be passed over"
    distances = points_of(points)["z"].reshape(height, width)
    np.testing.assert_allclose(distances, ramp / 1000, rtol=1e-6)
    found = tiles(mask, confidence, points, set(names))
    assert set(found.values()) == {0, 1}


@pytest.mark.parametrize("classes", ["labelled", "all"])
def test_unlabeled_pixels_take_no_tile_from_labeled_ones(probe: Any, classes: str) -> None:
    given = {"points.classes": classes}
    rig = ConsumerRig(probe, LabelledCloud(parameter_overrides=overrides(given)))
    layer = Layer(probe)
    rig.connect("/segmenter/mask", "/segmenter/confidence", "/depth", "/camera_info")
    probe.until(lambda: rig.node._points.get_subscription_count())
    rig.info()
    probe.until(lambda: rig.node._info is not None)
    rig.depth(1.0)
    made = labels()
    made[::2, ::2] = 255
    rig.mask(1.0, made)
    rig.confidence(1.0)
    probe.until(layer.buffered, what="mask, confidence and points")
    found = tiles(*layer.buffered()[0], {0, 1, 2})
    x = (np.arange(32) - 15.5) / 40
    z = millimeters() / 1000
    labeled = (made != 255) & (z > 0)
    ground = np.stack([np.floor(x * z / RESOLUTION), np.floor(z / RESOLUTION)], -1)[labeled].astype(int)
    everywhere = {(int(a), int(b)) for a, b in ground}
    if classes == "labelled":
        assert found.keys() == everywhere
    else:
        assert found.keys() < everywhere, "this is why the documentation says labelled"


def test_label_info_as_vision_msgs_defines_it(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = VisionMessages()
    makers = {name: partial(messages.make, f"vision_msgs/msg/{name}") for name in ("LabelInfo", "VisionClass")}
    monkeypatch.setattr(outputs, "LABELS", SimpleNamespace(kind=makers["LabelInfo"]))
    monkeypatch.setitem(sys.modules, "vision_msgs", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", SimpleNamespace(**makers))
    made = labels_message({0: "background", 3: "cup"}, header(2.5))
    kind = "vision_msgs/msg/LabelInfo"
    back: Any = messages.store.deserialize_cdr(messages.store.serialize_cdr(made, kind), kind)
    assert [(entry.class_id, entry.class_name) for entry in back.class_map] == [(0, "background"), (3, "cup")]
    assert (back.threshold, back.header.stamp.sec) == (0.0, 2)


def test_a_new_class_is_named_at_once_and_names_win(probe: Any) -> None:
    if have_vision_msgs():
        pytest.skip("labels are vision_msgs/LabelInfo here")
    rig = SegmenterRig(probe, active_class=3).connected()
    heard = probe.listen(String, "/segmenter/labels", LABEL_INFO)
    probe.until(lambda: heard)
    assert json.loads(heard[-1].data) == {"0": "background"}
    rig.show(1.0)
    rig.click(20, 15, 1.0)
    probe.until(lambda: json.loads(heard[-1].data) == {"0": "background", "3": "3"}, what="the id of the class")
    assert rig.node.set_parameters([Parameter("class_names", value=["3:cup"])])[0].successful
    probe.until(lambda: json.loads(heard[-1].data) == {"0": "0", "3": "cup"}, what="the name of the class")
