"""Superpixels: the nodes of the region graph."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import slic

from neural_seg_ros.regions.channels import lab_of

COUNT = 2000
COMPACTNESS = 0.1
ITERATIONS = 5


def superpixels(image: NDArray[np.uint8]) -> NDArray[np.int32]:
    """SLIC superpixels of an (h, w, 3) uint8 RGB image: ids (h, w) int32, 0, 1, ... without gaps, each connected."""
    smooth = cv2.bilateralFilter(image, 7, 25, 5)
    count = min(COUNT, max(1, image.shape[0] * image.shape[1] // 4))
    ids = slic(
        lab_of(smooth) / 10,
        n_segments=count,
        compactness=COMPACTNESS,
        max_num_iter=ITERATIONS,
        convert2lab=False,
        start_label=0,
    )
    return np.unique(ids, return_inverse=True)[1].reshape(ids.shape).astype(np.int32)
