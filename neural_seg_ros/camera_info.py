"""What a ``sensor_msgs/CameraInfo`` says of the images that it belongs to.

It describes the full sensor: K and D the image as the lens makes it, P the rectified one; region of interest and
binning say which part of it is published, at which scale. Which of the two an image is, its topic tells by convention
(REP 104): ``image_rect*`` is rectified, anything else is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_seg_ros.errors import CameraInfoError, short

FISHEYE = "equidistant"
_COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), FISHEYE: (4,)}


def is_rectified(topic: str) -> bool:
    """Whether images of a topic are rectified, by their name: image_rect, image_rect_color, image_rect/compressed."""
    return any(part.startswith("image_rect") for part in topic.split("/"))


def published_size(info: Any) -> tuple[int, int]:
    """(height, width) of the images that a CameraInfo belongs to."""
    # A region of interest of size 0 is the full sensor.
    width, height = info.roi.width or info.width, info.roi.height or info.height
    return height // max(1, info.binning_y), width // max(1, info.binning_x)


def check_calibration(info: Any, frame: tuple[int, int], rectified: bool) -> None:
    """Raise CameraInfoError unless a CameraInfo is the calibration of images of (height, width)."""
    name, focal_lengths = ("p", (info.p[0], info.p[5])) if rectified else ("k", (info.k[0], info.k[4]))
    matrix = np.asarray(info.p if rectified else info.k, np.float64)
    # Not the other way round, as comparisons with NaN are false.
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
