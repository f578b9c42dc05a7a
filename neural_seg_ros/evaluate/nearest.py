"""Values spread to the pixels that have none."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
T = TypeVar("T", bound=np.generic)


def fill_from_nearest(values: NDArray[T], empty: NDArray[np.bool_]) -> NDArray[T]:
    """``values`` (H, W) with each ``empty`` pixel given the nearest other one's value; 0 if all are empty."""
    if empty.all():
        return np.zeros_like(values)
    _, index = cv2.distanceTransformWithLabels(
        empty.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    value = np.zeros(int(index.max()) + 1, values.dtype)
    value[index[~empty]] = values[~empty]
    return np.asarray(value[index])
