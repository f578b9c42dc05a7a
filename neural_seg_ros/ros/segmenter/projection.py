"""A point in space to the pixel where a camera sees it: what RViz's Publish Point means in the image."""

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

# Round trip through the lens model in normalised image coordinates. Where the model folds back on itself, far outside
# the calibrated field of view, it brings points into the image that the camera cannot see.
_ROUND_TRIP = 1e-2


def click_at(
    point: NDArray[np.float64], info: CameraInfo, frame: tuple[int, int], rectified: bool, class_id: int
) -> Click:
    """Return the click on a frame of (height, width) where the camera sees ``point``.

    point      (3,) x right, y down, z forward, metres, in the camera's optical frame
    info       of the camera that made the frame
    rectified  project by P; otherwise by K and D

    Raises AnnotationError for a point behind the camera or outside the frame, CameraInfoError for a camera that is not
    calibrated.
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
    """The transformation of points into the camera's frame, by TF where tf2_ros is installed."""

    def __init__(self, node: Node) -> None:
        self._buffer: Any = None
        if tf2_ros is not None:
            self._buffer = tf2_ros.Buffer(node=node)
            self._listener = tf2_ros.TransformListener(self._buffer, node)

    def point_in(self, frame_id: str, message: PointStamped) -> NDArray[np.float64]:
        """Return (3,) the point in ``frame_id``, metres; a message without a frame is taken to be in it already.

        Uses the transform at the message's stamp, or the newest one where that is not known yet. Raises
        AnnotationError when there is no transform.
        """
        point = np.array([message.point.x, message.point.y, message.point.z], np.float64)
        given = message.header.frame_id.lstrip("/")
        wanted = frame_id.lstrip("/")
        if given in ("", wanted):
            return point
        if self._buffer is None:
            raise AnnotationError(
                f"clicked_point frame: got {short(given)}, accepted: {short(wanted)} (any other frame needs tf2_ros, "
                "which is not installed)"
            )
        stamp = Time.from_msg(message.header.stamp)
        try:
            moment = stamp if self._buffer.can_transform(wanted, given, stamp) else Time()
            transform = self._buffer.lookup_transform(wanted, given, moment).transform
        except tf2_ros.TransformException as error:
            reason = one_line(error)
            raise AnnotationError(
                f"clicked_point frame: got {short(given)}, accepted: a frame with a transform to {short(wanted)} "
                f"({reason[:200]})"
            ) from None
        return transform_point(transform, point)


def transform_point(transform: Any, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """``point`` (3,) rotated and moved by a ``geometry_msgs/Transform``."""
    turn, move = transform.rotation, transform.translation
    rotation = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w])
    return np.asarray(rotation.apply(point) + np.array([move.x, move.y, move.z]), np.float64)


def _through_lens(ray: NDArray[np.float64], info: CameraInfo) -> NDArray[np.float64]:
    """Project the ray (x / z, y / z) through the distorting lens to a pixel (2,) of the full sensor."""
    matrix = np.asarray(info.k, np.float64).reshape(3, 3)
    distortion = np.asarray(info.d, np.float64)
    if not distortion.any():
        return np.asarray((matrix @ [*ray, 1.0])[:2], np.float64)
    still = np.zeros(3)
    point = np.array([[[*ray, 1.0]]])
    if info.distortion_model == FISHEYE:
        pixel, _ = cv2.fisheye.projectPoints(point, still, still, matrix, distortion)
        back = cv2.fisheye.undistortPoints(pixel, matrix, distortion)
    else:
        pixel, _ = cv2.projectPoints(point, still, still, matrix, distortion)
        back = cv2.undistortPoints(pixel, matrix, distortion)
    if not np.allclose(back.reshape(2), ray, atol=_ROUND_TRIP):
        raise AnnotationError(
            f"clicked_point: got a point {np.degrees(np.arctan(np.hypot(*ray))):.0f} degrees off the camera's axis, "
            "accepted: a point within the field of view that the lens was calibrated for"
        )
    return np.asarray(pixel.reshape(2), np.float64)
