"""Where the pixels of a calibrated camera look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.camera_info import FISHEYE, check_calibration

# More than this many times as far from the axis as deep, a ray is none that a lens model is good for.
_STEEPEST = 100.0


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
    """The rays of the (height, width) image that a ``sensor_msgs/CameraInfo`` belongs to.

    rectified  by P; otherwise by K and D

    Raises CameraInfoError for a camera that is not calibrated, and for the calibration of another size.
    """
    check_calibration(info, size, rectified)
    height, width = size
    # Pixels of the full sensor: a binned pixel stands where projection.py puts it, at the first of those it is made of.
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
    points[~(np.abs(points) < _STEEPEST).all(-1)] = np.nan
    return Rays(points[..., 0].astype(np.float32), points[..., 1].astype(np.float32), size)
