"""The image boundary: what a frame must look like, and its size inside the field."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.errors import ImageError

MIN_SIDE = 8
MAX_SIDE = 32_768
MAX_PIXELS = 100_000_000
ACCEPTED = f"(H, W, 3) uint8 RGB with sides of {MIN_SIDE} to {MAX_SIDE} and at most {MAX_PIXELS:,} pixels"


def check_image(image: Any) -> NDArray[np.uint8]:
    """Return ``image`` unchanged when it is (H, W, 3) uint8 RGB of an accepted size, else raise ImageError."""
    if not isinstance(image, np.ndarray):
        raise ImageError(f"image: got {type(image).__name__}, accepted: {ACCEPTED}")
    if image.dtype != np.uint8:
        raise ImageError(f"image dtype: got {image.dtype}, accepted: {ACCEPTED}")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"image shape: got {image.shape}, accepted: {ACCEPTED}")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE or max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        raise ImageError(f"image size: got {width}x{height}, accepted: {ACCEPTED}")
    return image


def field_shape(height: int, width: int, longer_side: int, least: int) -> tuple[int, int]:
    """(height, width) at which a frame of that size is worked on.

    The longer side is at most ``longer_side`` and never enlarged, but neither side is below ``least``.
    """
    scale = min(1.0, longer_side / max(height, width))
    return max(least, round(height * scale)), max(least, round(width * scale))


def resize_image(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(H, W, 3) to (height, width, 3): area average when it shrinks, linear when it grows."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
