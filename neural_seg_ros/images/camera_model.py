"""The camera model of a ``sensor_msgs/CameraInfo``: image size, rectification, rays.

It describes the full sensor: K and D the image as the lens makes it, P the rectified one; region of interest and
binning give the published part and its scale. The topic tells by convention (REP 104) which of the two an image is:
``image_rect*`` is rectified, any other is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.errors import CameraInfoError, short

FISHEYE = "equidistant"
_COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), FISHEYE: (4,)}


def is_rectified(topic: str) -> bool:
    """Return whether a topic's name marks rectified images: image_rect, image_rect_color, image_rect/compressed."""
    return any(part.startswith("image_rect") for part in topic.split("/"))


def published_size(info: Any) -> tuple[int, int]:
    """Return (height, width) of the images that a CameraInfo belongs to."""
    # A region of interest of size 0 is the full sensor.
    width, height = info.roi.width or info.width, info.roi.height or info.height
    return height // max(1, info.binning_y), width // max(1, info.binning_x)


def check_calibration(info: Any, frame: tuple[int, int], rectified: bool) -> None:
    """Raise CameraInfoError unless a CameraInfo is the calibration of images of (height, width)."""
    name, focal_lengths = ("p", (info.p[0], info.p[5])) if rectified else ("k", (info.k[0], info.k[4]))
    matrix = np.asarray(info.p if rectified else info.k, np.float64)
    # Negated, because comparisons with NaN are false.
    if not (min(focal_lengths) > 0 and np.isfinite(matrix).all()):
        given = "focal lengths {:g} and {:g}".format(*focal_lengths)
        raise CameraInfoError(f"camera_info {name}: got {given}, accepted: those of a calibrated camera, above 0")
    model, coefficients = info.distortion_model, np.asarray(info.d, np.float64)
    known = len(coefficients) in _COEFFICIENTS.get(model, ()) and np.isfinite(coefficients).all()
    if np.any(coefficients) and not rectified and not known:
        accepted = ", ".join(f"{known} with {' or '.join(map(str, counts))}" for known, counts in _COEFFICIENTS.items())
        raise CameraInfoError(
            f"camera_info d: got {short(model)} with {len(info.d)} coefficients, accepted: {accepted}"
        )
    height, width = published_size(info)
    if (height, width) != frame:
        raise CameraInfoError(
            f"camera_info: got the calibration of a {width}x{height} image, accepted: the frame's {frame[1]}x{frame[0]}"
        )


# Lens models are not valid for rays farther from the optical axis than this, relative to their depth.
_MAX_SLOPE = 100.0


@dataclass(frozen=True, eq=False)
class Rays:
    """Points of an H x W image 1 m in front of the camera: x right, y down.

    x, y  float32, (1, W) and (H, 1) without distortion, else (H, W) each; NaN where the lens model gives none
    size  (H, W)
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    size: tuple[int, int]


def camera_rays(info: Any, size: tuple[int, int], rectified: bool) -> Rays:
    """Compute the rays of the (height, width) image that a ``sensor_msgs/CameraInfo`` belongs to.

    rectified  by P; otherwise by K and D

    Raises CameraInfoError for a camera that is not calibrated, and for the calibration of another size.
    """
    check_calibration(info, size, rectified)
    height, width = size
    # Pixels of the full sensor: a binned pixel is at the first of its pixels, as in ros/segmenter/projection.py.
    u = np.arange(width) * max(1, info.binning_x) + float(info.roi.x_offset)
    v = np.arange(height) * max(1, info.binning_y) + float(info.roi.y_offset)
    matrix = np.asarray(info.p, np.float64).reshape(3, 4)[:, :3] if rectified else np.asarray(info.k).reshape(3, 3)
    distortion = np.asarray(info.d, np.float64)
    if rectified or not distortion.any():
        x, y = (u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1]
        return Rays(x.astype(np.float32)[None, :], y.astype(np.float32)[:, None], size)
    pixels = np.stack(np.meshgrid(u, v), -1).reshape(-1, 1, 2)
    undistort = cv2.fisheye.undistortPoints if info.distortion_model == FISHEYE else cv2.undistortPoints
    points = undistort(pixels, matrix, distortion).reshape(height, width, 2)
    points[~(np.abs(points) < _MAX_SLOPE).all(-1)] = np.nan
    return Rays(points[..., 0].astype(np.float32), points[..., 1].astype(np.float32), size)
