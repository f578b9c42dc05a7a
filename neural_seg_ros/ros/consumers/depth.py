"""Depth images: metres of their pixels, and pixels taken out of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# 16UC1 is millimetres and 0 where nothing was measured, 32FC1 is metres (REP 118). Some drivers say mono16 for 16UC1.
ENCODINGS = ("16UC1", "mono16", "32FC1")
_METERS = (np.arange(65536) / 1000).astype(np.float32)
_METERS[0] = np.nan


def meters(depth: NDArray[np.uint16] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (H, W) float32 metres of (H, W) uint16 millimetres or float32 metres; NaN where nothing was measured.

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
