"""The picture on the canvas: what is drawn into it, and how it becomes a texture or coloured cells."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations import Point
from neural_seg_ros.images.arrays import field_shape, resize_image
from neural_seg_ros.images.files import RgbImage

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
