"""The parameters of the canvas."""

from __future__ import annotations

import re
from dataclasses import dataclass

from neural_seg_ros.errors import ConfigError
from neural_seg_ros.options import option, validate
from neural_seg_ros.ros.canvas import Plane
from neural_seg_ros.ros.canvas.messages import Surface, textures_exist

# A node's name, with its namespace or without.
_NODE = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True)
class CanvasConfig:
    """The place and the appearance of the canvas, fixed once the node runs."""

    segmenter: str = option("segmenter", "name of the segmenter's node, with its namespace if it has one", fixed=True)
    image_transport: str = option(
        "raw", "subscribe to image (raw) or image/compressed", choices=("raw", "compressed"), fixed=True
    )
    frame_id: str = option(
        "canvas", "frame of the canvas: RViz's fixed frame, or one with a transform to it", fixed=True
    )
    width: float = option(
        2.0, "width of the canvas in meters; its height follows from the image", low=0.01, high=1000.0, fixed=True
    )
    x: float = option(0.0, "x of the canvas's center in frame_id, in meters", fixed=True)
    y: float = option(0.0, "y of the canvas's center in frame_id, in meters", fixed=True)
    z: float = option(0.0, "z of the canvas's center in frame_id, in meters", fixed=True)
    roll: float = option(0.0, "rotation of the canvas about the x axis of frame_id, in radians", fixed=True)
    pitch: float = option(0.0, "rotation about the y axis of frame_id, after roll, in radians", fixed=True)
    yaw: float = option(0.0, "rotation about the z axis of frame_id, after pitch, in radians", fixed=True)
    rate: float = option(2.0, "update rate in Hz while the canvas follows the camera", low=0.1, high=30.0, fixed=True)
    idle: float = option(
        120.0,
        "seconds after the last use for which the canvas follows the camera; 0: forever",
        low=0.0,
        high=1e6,
        fixed=True,
    )
    surface: str = option(
        "auto",
        "texture (full resolution), triangles (colored, at a lower resolution) or auto (a texture if the markers of "
        "this ROS distribution support it)",
        choices=("auto", "texture", "triangles"),
        fixed=True,
    )
    texture_side: int = option(
        1280, "largest length of the texture's longer side in pixels", low=32, high=8192, fixed=True
    )
    texture_encoding: str = option(
        "png", "encoding of the texture: png, or jpeg, which is smaller", choices=("png", "jpeg"), fixed=True
    )
    columns: int = option(64, "number of colored cells per row with surface: triangles", low=8, high=512, fixed=True)
    stroke_width: float = option(
        3.0, "width of strokes in pixels of the camera's image", low=1.0, high=1000.0, fixed=True
    )
    patience: float = option(
        10.0, "seconds to wait for the segmenter's answer to a frozen frame", low=0.1, high=600.0, fixed=True
    )

    def __post_init__(self) -> None:
        validate(self)
        if not _NODE.fullmatch(self.segmenter):
            raise ConfigError(f"segmenter: got {self.segmenter!r}, accepted: a node's name such as /front/segmenter")
        if not self.frame_id.strip("/"):
            raise ConfigError("frame_id: got nothing, accepted: a name")
        if self.surface == "texture" and not textures_exist():
            raise ConfigError("surface: got texture, accepted: triangles, as markers of this distribution carry none")

    def make_surface(self) -> Surface:
        """Return the settings of the picture on the plane."""
        textured = textures_exist() if self.surface == "auto" else self.surface == "texture"
        kind = "texture" if textured else "triangles"
        return Surface(kind, self.texture_side, self.texture_encoding, self.columns)

    def plane(self, size: tuple[int, int]) -> Plane:
        """Return the plane of a frame of (height, width) pixels."""
        return Plane(size, self.width, (self.x, self.y, self.z), (self.roll, self.pitch, self.yaw))
