"""All nodes of the package, ready to start, for tests that compare the graph with the documentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.parameter import Parameter
from segmenter_rig import TINY, overrides

from neural_seg_ros.images.files import write_image
from neural_seg_ros.ros.camera import CAMERA, Camera
from neural_seg_ros.ros.canvas.node import Canvas
from neural_seg_ros.ros.canvas.topics import CANVAS, CanvasTopics
from neural_seg_ros.ros.consumers.detections import DETECTIONS, Detections
from neural_seg_ros.ros.consumers.labelled_cloud import LABELLED_CLOUD, LabelledCloud
from neural_seg_ros.ros.segmenter.interface import SEGMENTER
from neural_seg_ros.ros.segmenter.multi_segmenter import MULTI_SEGMENTER, MultiSegmenter
from neural_seg_ros.ros.segmenter.node import Segmenter

# Creates a node; takes a folder for its files, and rclpy's options.
Start = Callable[..., Any]
CAMERAS = ("front", "rear")


def _with(options: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    """Return the options of a node with further parameters."""
    given = [Parameter(name, value=value) for name, value in parameters.items()]
    return {**options, "parameter_overrides": [*given, *options.get("parameter_overrides", [])]}


def segmenter(_: Path, **options: Any) -> Segmenter:
    return Segmenter(**{**options, "parameter_overrides": overrides({}) + options.get("parameter_overrides", [])})


def compressed(folder: Path, **options: Any) -> Segmenter:
    return segmenter(folder, **_with(options, image_transport="compressed"))


def camera(folder: Path, **options: Any) -> Camera:
    write_image(folder / "0.png", np.zeros((48, 64, 3), np.uint8))
    return Camera(**_with(options, video=str(folder)))


def canvas(_: Path, **options: Any) -> Canvas:
    return Canvas(**options)


def canvas_of_another_segmenter(_: Path, **options: Any) -> Canvas:
    return Canvas(**_with(options, segmenter="/arm/segmenter", image_transport="compressed"))


def multi_segmenter(_: Path, **options: Any) -> MultiSegmenter:
    tiny = [item for name, value in TINY.items() for item in ("-p", f"{name}:={value}")]
    return MultiSegmenter(["--ros-args", *tiny], **_with(options, cameras=list(CAMERAS)))


def labelled_cloud(_: Path, **options: Any) -> LabelledCloud:
    node = LabelledCloud(**options)
    node.matched.listen(True)
    return node


def detections(_: Path, **options: Any) -> Detections:
    node = Detections(**options)
    node.matched.listen(True)
    return node


def detections_without_confidence(folder: Path, **options: Any) -> Detections:
    return detections(folder, **_with(options, use_confidence=False))


RUNNING = [
    (SEGMENTER, segmenter),
    (SEGMENTER, compressed),
    (MULTI_SEGMENTER, multi_segmenter),
    (CANVAS, canvas),
    (CanvasTopics("/arm/segmenter").interface, canvas_of_another_segmenter),
    (LABELLED_CLOUD, labelled_cloud),
    (DETECTIONS, detections_without_confidence),
    (CAMERA, camera),
]
