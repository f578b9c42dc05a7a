"""Labeled points and masked depth from depth images and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.images.camera_model import Rays

# Names and types of PCL's PointXYZL, so that pcl::fromROSMsg fills one; confidence in [0, 1] follows.
POINT = np.dtype([("x", "f4"), ("y", "f4"), ("z", "f4"), ("label", "u4"), ("confidence", "f4")])
_SHARES = (np.arange(256) / 255).astype(np.float32)
_SURE = np.float32(1)


def organized(
    meters: NDArray[np.float32],
    rays: Rays,
    labels: NDArray[Any],
    confidence: NDArray[np.uint8] | None = None,
    keep: NDArray[np.bool_] | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return (H, W) points of type ``POINT``, one a pixel: x right, y down, z forward, in meters in the camera's frame.

    meters      (H, W) float32 along the optical axis, NaN where nothing was measured
    labels      (H, W) uint8 or uint16 class ids
    confidence  (H, W) uint8, 255 for 1; without it every point is sure
    keep        (H, W) bool, pixels that become points; None: all
    out         (H, W) of type ``POINT`` to write to

    x, y and z of a pixel without a point are NaN; its label and confidence are those of the pixel all the same.
    """
    points = np.empty(labels.shape, POINT) if out is None else out
    z = meters if keep is None else np.where(keep, meters, np.float32(np.nan))
    points["z"] = z
    np.multiply(rays.x, z, out=points["x"])
    np.multiply(rays.y, z, out=points["y"])
    points["label"] = labels
    points["confidence"] = _SURE if confidence is None else np.take(_SHARES, confidence)
    if rays.x.shape == rays.size:  # the lens model may give no ray where depth was measured
        points["z"][np.isnan(points["x"])] = np.nan
    return points


def dense(points: NDArray[Any]) -> NDArray[Any]:
    """Return the valid points (N,) of organized points (H, W), row by row."""
    # As opaque bytes they are copied as a whole, not field by field.
    whole = points.view(f"V{POINT.itemsize}")
    return np.asarray(whole[~np.isnan(points["z"])].view(POINT))


# 16UC1 is millimeters and 0 where nothing was measured, 32FC1 is meters (REP 118). Some drivers say mono16 for 16UC1.
ENCODINGS = ("16UC1", "mono16", "32FC1")
_METERS = (np.arange(65536) / 1000).astype(np.float32)
_METERS[0] = np.nan


def meters(depth: NDArray[np.uint16] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (H, W) float32 meters of (H, W) uint16 millimeters or float32 meters; NaN where nothing was measured.

    In float32 that is where depth is NaN, infinite, 0 or less.
    """
    if depth.dtype == np.uint16:
        return np.asarray(np.take(_METERS, depth.view(np.uint16)), np.float32)
    # One comparison finds NaN too; infinite depth is no measurement either.
    return np.where((depth > 0) & (depth < np.inf), depth, np.float32(np.nan))


def masked(
    depth: NDArray[np.uint16] | NDArray[np.float32], keep: NDArray[np.bool_] | None
) -> NDArray[np.uint16] | NDArray[np.float32]:
    """Return (H, W) depth with everything but ``keep`` (H, W) marked as not measured: 0 in uint16, NaN in float32.

    The array itself where everything is kept (None).
    """
    if keep is None:
        return depth
    if depth.dtype == np.uint16:
        return np.multiply(depth, keep, dtype=np.uint16)
    return np.where(keep, depth, np.float32(np.nan))
