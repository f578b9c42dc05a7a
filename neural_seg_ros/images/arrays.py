"""Images and channels as arrays: the checks of a frame, sizes, and the nearest or most probable label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.errors import ImageError

Labels = NDArray[np.uint8] | NDArray[np.uint16]  # (H, W) class ids
T = TypeVar("T", bound=np.generic)


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
    """Compute the working resolution (height, width) of a frame.

    The longer side is at most ``longer_side`` and never enlarged, but neither side is below ``least``.
    """
    scale = min(1.0, longer_side / max(height, width))
    return max(least, round(height * scale)), max(least, round(width * scale))


def resize_image(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize (H, W, 3) to (height, width, 3): area average when it shrinks, linear when it grows."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def resize_channels(
    channels: Iterable[NDArray[np.float32]], height: int, width: int, method: int
) -> NDArray[np.float32]:
    """Resize every channel of (C, h, w) to (C, height, width); ``method``: an interpolation of OpenCV."""
    return np.stack([cv2.resize(channel, (width, height), interpolation=method) for channel in channels])


def likeliest(probabilities: NDArray[np.floating]) -> tuple[NDArray[np.int16], NDArray[np.floating]]:
    """Find the most probable channel and its probability, (h, w) each, of (C, h, w) without NaN.

    ``argmax(0)`` and ``max(0)``, a class at a time: NumPy goes pixel by pixel, which takes ten times as long.
    """
    best = probabilities[0].copy()
    channels = np.zeros(best.shape, np.int16)
    for number, channel in enumerate(probabilities[1:], start=1):
        np.putmask(channels, channel > best, np.int16(number))
        np.maximum(best, channel, out=best)
    return channels, best


def fill_from_nearest(values: NDArray[T], empty: NDArray[np.bool_]) -> NDArray[T]:
    """Fill each ``empty`` pixel of ``values`` (H, W) with the value of the nearest other pixel.

    Distances are approximate (5x5 mask). Returns a new array; zeros if all pixels are empty.
    """
    if empty.all():
        return np.zeros_like(values)
    _, index = cv2.distanceTransformWithLabels(
        empty.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    value = np.zeros(int(index.max()) + 1, values.dtype)
    value[index[~empty]] = values[~empty]
    return np.asarray(value[index])
