"""Projection of a point in space to a pixel, for clicks with RViz's Publish Point."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from geometry_msgs.msg import PointStamped
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo

from neural_seg_ros.annotations import Click
from neural_seg_ros.errors import AnnotationError, one_line, short
from neural_seg_ros.images.camera_model import FISHEYE, check_calibration

try:
    import tf2_ros
except ImportError:
    tf2_ros = None

# Largest error of projecting and undistorting, in normalized image coordinates. Far outside the calibrated field of
# view a lens model folds back on itself, and projects points into the image that the camera cannot see.
_MAX_ROUND_TRIP_ERROR = 1e-2


def click_at(
    point: NDArray[np.float64], info: CameraInfo, frame: tuple[int, int], rectified: bool, class_id: int
) -> Click:
    """Return the click on a frame of (height, width) at the pixel where the camera sees ``point``.

    point      (3,) x right, y down, z forward, meters, in the camera's optical frame
    info       calibration of the frame's camera
    rectified  project by P; otherwise by K and D

    Raises AnnotationError for a point behind the camera or outside the frame, and CameraInfoError for a camera without
    calibration.
    """
    x, y, z = (float(value) for value in point)
    if not np.isfinite(point).all() or z <= 0:
        raise AnnotationError(f"clicked_point: got ({x:g}, {y:g}, {z:g}), accepted: z > 0, in front of the camera")
    check_calibration(info, frame, rectified)
    ray = np.array([x / z, y / z])
    if rectified:
        projected = np.asarray(info.p, np.float64).reshape(3, 4) @ np.array([x, y, z, 1.0])
        pixel = projected[:2] / projected[2]
    else:
        pixel = _through_lens(ray, info)
    u = (pixel[0] - info.roi.x_offset) / max(1, info.binning_x)
    v = (pixel[1] - info.roi.y_offset) / max(1, info.binning_y)
    height, width = frame
    if not (-0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5):
        raise AnnotationError(
            f"clicked_point: got ({x:g}, {y:g}, {z:g}), seen at pixel ({u:.1f}, {v:.1f}) outside the frame, "
            f"accepted: a point that the camera sees in its {width}x{height} pixels"
        )
    return Click(float(u), float(v), class_id)


class CameraFrame:
    """The transformation of points to the camera's frame, by TF if tf2_ros is installed."""

    def __init__(self, node: Node) -> None:
        self._buffer: Any = None
        if tf2_ros is not None:
            self._buffer = tf2_ros.Buffer(node=node)
            self._listener = tf2_ros.TransformListener(self._buffer, node)

    def point_in(self, frame_id: str, message: PointStamped) -> NDArray[np.float64]:
        """Return (3,) the point in ``frame_id``, meters; the point of a message without a frame is not transformed.

        Uses the transform at the message's stamp, or the latest one while that is unknown. Raises AnnotationError if
        there is no transform.
        """
        point = np.array([message.point.x, message.point.y, message.point.z], np.float64)
        source = message.header.frame_id.lstrip("/")
        target = frame_id.lstrip("/")
        if source in ("", target):
            return point
        if self._buffer is None:
            raise AnnotationError(
                f"clicked_point frame: got {short(source)}, accepted: {short(target)} (any other frame needs tf2_ros, "
                "which is not installed)"
            )
        stamp = Time.from_msg(message.header.stamp)
        try:
            time = stamp if self._buffer.can_transform(target, source, stamp) else Time()
            transform = self._buffer.lookup_transform(target, source, time).transform
        except tf2_ros.TransformException as error:
            reason = one_line(error)
            raise AnnotationError(
                f"clicked_point frame: got {short(source)}, accepted: a frame with a transform to {short(target)} "
                f"({reason[:200]})"
            ) from None
        return transform_point(transform, point)


def transform_point(transform: Any, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotate and translate ``point`` (3,) by a ``geometry_msgs/Transform``."""
    quaternion, shift = transform.rotation, transform.translation
    rotation = Rotation.from_quat([quaternion.x, quaternion.y, quaternion.z, quaternion.w])
    return np.asarray(rotation.apply(point) + np.array([shift.x, shift.y, shift.z]), np.float64)


def _through_lens(ray: NDArray[np.float64], info: CameraInfo) -> NDArray[np.float64]:
    """Project the ray (x / z, y / z) through the distorting lens to a pixel (2,) of the full sensor."""
    matrix = np.asarray(info.k, np.float64).reshape(3, 3)
    distortion = np.asarray(info.d, np.float64)
    if not distortion.any():
        return np.asarray((matrix @ [*ray, 1.0])[:2], np.float64)
    zero = np.zeros(3)
    point = np.array([[[*ray, 1.0]]])
    if info.distortion_model == FISHEYE:
        pixel, _ = cv2.fisheye.projectPoints(point, zero, zero, matrix, distortion)
        undistorted = cv2.fisheye.undistortPoints(pixel, matrix, distortion)
    else:
        pixel, _ = cv2.projectPoints(point, zero, zero, matrix, distortion)
        undistorted = cv2.undistortPoints(pixel, matrix, distortion)
    if not np.allclose(undistorted.reshape(2), ray, atol=_MAX_ROUND_TRIP_ERROR):
        raise AnnotationError(
            f"clicked_point: got a point {np.degrees(np.arctan(np.hypot(*ray))):.0f} degrees off the camera's axis, "
            "accepted: a point within the field of view that the lens was calibrated for"
        )
    return np.asarray(pixel.reshape(2), np.float64)
