"""Image messages to arrays and back."""

from __future__ import annotations

import array
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from neural_seg_ros.errors import ImageError
from neural_seg_ros.image_message import ENCODINGS, to_rgb

__all__ = ["from_array", "to_rgb"]


def from_array(pixels: NDArray[Any], encoding: str, header: Any) -> Image:
    """A ``sensor_msgs/Image`` of (H, W) or (H, W, C) pixels, rows without padding.

    ``encoding`` names what the pixels are (``mono8``, ``mono16``, ``rgb8``, ...) and must fit their dtype and shape;
    nothing is converted. Raises ImageError.
    """
    known = ENCODINGS.get(encoding)
    if known is None:
        raise ImageError(f"encoding: got {encoding!r}, accepted: {', '.join(ENCODINGS)}")
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.dtype(known.dtype) or pixels.ndim not in (2, 3) or channels != known.channels:
        raise ImageError(
            f"pixels: got {pixels.dtype} of shape {pixels.shape}, "
            f"accepted: {known.dtype} with {known.channels} channels for {encoding}"
        )
    height, width = pixels.shape[:2]
    message = Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=width * channels * pixels.dtype.itemsize,
    )
    # rclpy checks anything but an array.array byte by byte, and copies even that one when it is given to Image().
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
    message.data = data
    return message
