"""vision_msgs by its definitions, for tests where it is not installed."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

DEFINITIONS = {
    "VisionClass": "uint16 class_id\nstring class_name",
    "LabelInfo": "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold",
    "Point2D": "float64 x\nfloat64 y",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose",
    "Detection2D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox2D bbox\nstring id",
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
}


class VisionMessages:
    """The messages of vision_msgs 4 by their definitions, made with defaults as rclpy makes them."""

    def __init__(self) -> None:
        self.store = get_typestore(Stores.ROS2_JAZZY)
        for name, text in DEFINITIONS.items():
            self.store.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))

    def make(self, name: str, **fields: Any) -> Any:
        _, definition = self.store.fielddefs[name]
        made = types.SimpleNamespace(**{field: self._default(kind) for field, kind in definition})
        assert fields.keys() <= vars(made).keys()
        vars(made).update(fields)
        return made

    def _default(self, kind: Any) -> Any:
        node, what = kind[0].name, kind[1]
        if node == "NAME":
            return self.make(what)
        if node == "BASE":
            return {"string": "", "bool": False}.get(what[0], 0.0 if what[0].startswith("float") else 0)
        return [] if node == "SEQUENCE" else np.zeros(what[1])
