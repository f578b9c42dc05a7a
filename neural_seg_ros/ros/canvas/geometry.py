"""The geometry of the canvas: frame pixels on a rectangle in the plane z = 0 of a pose, seen from above.

The frame's center is the origin of the pose, x points to the right of the picture and y to its top, so that from +z
it looks as the camera shows it. One pixel is ``width / W`` meters in both directions; the center of the upper left
pixel is (0, 0), as everywhere (``annotations``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from neural_seg_ros.annotations import Point
from neural_seg_ros.images.arrays import field_shape, resize_image
from neural_seg_ros.images.files import RgbImage

Vector = tuple[float, float, float]
# RViz reads the point under the mouse from a depth buffer. A point farther off the plane than this share of the
# canvas's width belongs to another display.
_MAX_OFF_PLANE_SHARE = 0.05
_DECIMALS = 3


@dataclass(frozen=True)
class Plane:
    """A frame on the canvas.

    size            (height, width) of the frame in pixels
    width           of the canvas in meters; its height follows
    position        of the frame's center, meters
    roll_pitch_yaw  about the fixed axes x, y, z in this order, radians
    """

    size: tuple[int, int]
    width: float
    position: Vector = (0.0, 0.0, 0.0)
    roll_pitch_yaw: Vector = (0.0, 0.0, 0.0)

    @property
    def height(self) -> float:
        """The height of the canvas in meters."""
        return self.width * self.size[0] / self.size[1]

    @cached_property
    def orientation(self) -> tuple[float, float, float, float]:
        """The pose's orientation as a unit quaternion (x, y, z, w)."""
        x, y, z, w = (float(value) for value in self._rotation.as_quat())
        return x, y, z, w

    def pixel(self, point: Vector) -> Point | None:
        """Return (x, y) in pixels, maybe outside of the frame, of a point of the plane; None for other points."""
        off = np.asarray(point, np.float64) - self.position
        if not np.isfinite(off).all():
            return None
        x, y, z = self._rotation.inv().apply(off)
        if abs(z) > _MAX_OFF_PLANE_SHARE * self.width:
            return None
        height, width = self.size
        across, down = (x / self.width + 0.5) * width - 0.5, (0.5 - y / self.height) * height - 0.5
        # Rounding in meters must not decide on which side of a pixel's border a click lies.
        return round(float(across), _DECIMALS), round(float(down), _DECIMALS)

    def point(self, pixel: Point) -> Vector:
        """Return the point in meters of (x, y) in pixels."""
        x, y, z = self._rotation.apply(self.local(pixel)) + self.position
        return float(x), float(y), float(z)

    def local(self, pixel: Point) -> Vector:
        """Return the point of (x, y) in pixels, in meters relative to the pose."""
        height, width = self.size
        across, down = (pixel[0] + 0.5) / width, (pixel[1] + 0.5) / height
        return (across - 0.5) * self.width, (0.5 - down) * self.height, 0.0

    def inside(self, pixel: Point) -> bool:
        """Return whether (x, y) lies in the frame."""
        height, width = self.size
        return -0.5 <= pixel[0] < width - 0.5 and -0.5 <= pixel[1] < height - 0.5

    def nearest(self, pixel: Point) -> Point:
        """Return (x, y), moved to the frame's border if it lies outside."""
        height, width = self.size
        return min(max(pixel[0], 0.0), width - 1.0), min(max(pixel[1], 0.0), height - 1.0)

    @cached_property
    def _rotation(self) -> Rotation:
        """The rotation from the pose's axes to those of its frame."""
        return Rotation.from_euler("xyz", self.roll_pitch_yaw)


@dataclass(frozen=True)
class Triangles:
    """A rectangle as triangles that turn counter-clockwise when seen from +z, so that their normals point there.

    corners   (3 T, 2) pixels (x, y) of the triangles' corners
    textures  (3 T, 2) (u, v) of the same corners: (0, 0) is the texture's upper left corner, as Ogre has it
    """

    corners: NDArray[np.float64]
    textures: NDArray[np.float64]


def triangles(size: tuple[int, int], columns: int = 1, rows: int = 1) -> Triangles:
    """Return two triangles for each of ``rows`` x ``columns`` cells of a (height, width) frame, row by row."""
    left, top = (part.ravel() for part in np.meshgrid(np.arange(columns), np.arange(rows)))
    # Upper left, lower left, lower right; upper left, lower right, upper right.
    u = (left[:, None] + np.array([0, 0, 1, 0, 1, 1])) / columns
    v = (top[:, None] + np.array([0, 1, 1, 0, 1, 0])) / rows
    textures = np.stack((u.ravel(), v.ravel()), 1)
    return Triangles(textures * size[::-1] - 0.5, textures)


# Fast: a picture is encoded for every look that is new.
_PNG_COMPRESSION = 1
_JPEG_QUALITY = 92
_LEAST_SIDE = 8
_RING, _RIM = (255, 255, 255), (0, 0, 0)


def with_suggestion(picture: RgbImage, pixel: Point) -> RgbImage:
    """Draw a white ring around (x, y), the suggested click, on a copy of an (H, W, 3) uint8 picture."""
    drawn = picture.copy()
    side = min(picture.shape[:2])
    radius, thickness = max(4, side // 24), max(1, side // 160)
    center = round(pixel[0]), round(pixel[1])
    for color, width in ((_RIM, thickness + 2), (_RING, thickness)):
        cv2.circle(drawn, center, radius, color, width, cv2.LINE_AA)
    return drawn


def texture(picture: RgbImage, longer_side: int, kind: str) -> bytes:
    """Encode an (H, W, 3) uint8 RGB picture as ``png`` or ``jpeg``, its longer side at most that long."""
    small = resize_image(picture, *field_shape(picture.shape[0], picture.shape[1], longer_side, _LEAST_SIDE))
    png = [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION]
    _, data = cv2.imencode(
        f".{kind}",
        cv2.cvtColor(small, cv2.COLOR_RGB2BGR),
        png if kind == "png" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY],
    )
    return bytes(data.tobytes())


def cells(picture: RgbImage, columns: int) -> NDArray[np.float32]:
    """Average colors of nearly square cells of an (H, W, 3) uint8 RGB picture: (rows, columns, 3) float32 in [0, 1]."""
    height, width = picture.shape[:2]
    columns = min(columns, width)
    rows = min(height, max(1, round(columns * height / width)))
    return np.asarray(resize_image(picture, rows, columns) / 255, np.float32)
