"""Depth and labels to labelled points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.images.camera_model import Rays

# Names and types of PCL's PointXYZL, so that pcl::fromROSMsg fills one; confidence in [0, 1] follows.
POINT = np.dtype([("x", "f4"), ("y", "f4"), ("z", "f4"), ("label", "u4"), ("confidence", "f4")])
_SHARES = (np.arange(256) / 255).astype(np.float32)
_SURE = np.float32(1)


def organised(
    meters: NDArray[np.float32],
    rays: Rays,
    labels: NDArray[Any],
    confidence: NDArray[np.uint8] | None = None,
    keep: NDArray[np.bool_] | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return (H, W) points of type ``POINT``, one a pixel: x right, y down, z forward, in metres in the camera's frame.

    metres      (H, W) float32 along the optical axis, NaN where nothing was measured
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
    """Return (N,) those of organised points (H, W) that are points, row by row."""
    # As opaque bytes they are copied as a whole, not field by field.
    whole = points.view(f"V{POINT.itemsize}")
    return np.asarray(whole[~np.isnan(points["z"])].view(POINT))
