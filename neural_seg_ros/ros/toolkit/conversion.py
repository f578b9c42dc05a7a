"""Conversions between arrays and messages of images and points."""

from __future__ import annotations

import array
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image, PointCloud2, PointField

from neural_seg_ros.errors import ImageError
from neural_seg_ros.images.ros_messages import ENCODINGS, to_rgb

__all__ = ["cloud_from_array", "from_array", "to_rgb"]

_BIG_ENDIAN = sys.byteorder == "big"
_POINT_TYPES = {"f4": PointField.FLOAT32, "u4": PointField.UINT32}


def from_array(pixels: NDArray[Any], encoding: str, header: Any) -> Image:
    """Make a ``sensor_msgs/Image`` of (H, W) or (H, W, C) pixels, rows without padding.

    ``encoding`` (``mono8``, ``mono16``, ``rgb8``, ...) must match the dtype and shape of the pixels; nothing is
    converted. Raises ImageError.
    """
    layout = ENCODINGS.get(encoding)
    if layout is None:
        raise ImageError(f"encoding: got {encoding!r}, accepted: {', '.join(ENCODINGS)}")
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.dtype(layout.dtype) or pixels.ndim not in (2, 3) or channels != layout.channels:
        raise ImageError(
            f"pixels: got {pixels.dtype} of shape {pixels.shape}, "
            f"accepted: {layout.dtype} with {layout.channels} channels for {encoding}"
        )
    height, width = pixels.shape[:2]
    message = Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(_BIG_ENDIAN),
        step=width * channels * pixels.dtype.itemsize,
    )
    message.data = _bytes(pixels)
    return message


def cloud_from_array(points: NDArray[Any], header: Any) -> PointCloud2:
    """Make a ``sensor_msgs/PointCloud2`` of a structured array of float32 and uint32 fields.

    An array (H, W) gives an organized cloud, with NaN in pixels without a point. An array (N,) gives a dense cloud of
    one row.
    """
    height, width = points.shape if points.ndim == 2 else (1, len(points))
    fields: Mapping[str, Any] = points.dtype.fields or {}
    size = points.dtype.itemsize
    message = PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=[
            PointField(name=name, offset=offset, datatype=_POINT_TYPES[kind.str[1:]], count=1)
            for name, (kind, offset, *_) in fields.items()
        ],
        is_bigendian=_BIG_ENDIAN,
        point_step=size,
        row_step=size * width,
        is_dense=points.ndim == 1,
    )
    message.data = _bytes(points)
    return message


def _bytes(values: NDArray[Any]) -> array.array[int]:
    # rclpy checks every other type byte by byte. A message's constructor would copy the array; an assignment does not.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(values).view(np.uint8).data)
    return data
