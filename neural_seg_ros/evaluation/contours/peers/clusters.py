"""Segments as connected pixels of one cluster of colors."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from neural_seg_ros.contours.detected import Contours
from neural_seg_ros.evaluation.contours.peers.segmentation import contours_of, pieces_of
from neural_seg_ros.regions.pixel_features import lab_of

Values = NDArray[np.float32]

# Tuned on BSDS500's validation images. Pixels, and units of 8-bit Lab:
SPATIAL, RANGE = 7, 8
# Pieces of fewer pixels are given to those around them.
LEAST = 300
CLUSTERS = 3
# Of colors before they are clustered, in pixels.
SIGMA = 2.0
# What a neighbor of another class costs, where a standard deviation of the color costs .5.
POTTS = 1.5
SWEEPS = 10


def mean_shift(image: NDArray[np.uint8]) -> Contours:
    """Segment by OpenCV's mean shift filter in Lab; neighbors nearer than its range are one segment.

    Comaniciu, Meer: Mean shift: a robust approach toward feature space analysis, PAMI 2002.
    """
    filtered = cv2.pyrMeanShiftFiltering(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), SPATIAL, RANGE).astype(np.float32)
    numbers = np.arange(filtered[..., 0].size).reshape(filtered.shape[:2])
    right = np.linalg.norm(np.diff(filtered, axis=1), axis=-1) < RANGE
    below = np.linalg.norm(np.diff(filtered, axis=0), axis=-1) < RANGE
    first = np.concatenate([numbers[:, :-1][right], numbers[:-1][below]])
    second = np.concatenate([numbers[:, 1:][right], numbers[1:][below]])
    joined = coo_matrix((np.ones(len(first), np.int8), (first, second)), shape=(numbers.size, numbers.size))
    _, ids = connected_components(joined, directed=False)
    return contours_of(pieces_of(ids.reshape(numbers.shape), LEAST))


def kmeans(image: NDArray[np.uint8]) -> Contours:
    """Segment by OpenCV's k-means of three colors in blurred Lab (Lloyd: Least squares quantization in PCM, 1982)."""
    classes, _ = _kmeans(_blurred(image))
    return contours_of(pieces_of(classes, LEAST))


def mrf(image: NDArray[np.uint8]) -> Contours:
    """Segment by a Potts model on the classes of k-means, with iterated conditional modes.

    A class is a normal distribution around its mean, with the standard deviation of all. Besag: On the statistical
    analysis of dirty pictures, 1986.
    """
    lab = _blurred(image)
    classes, means = _kmeans(lab)
    distances = np.square(lab[:, :, None] - means).sum(-1)
    costs = distances / (2 * np.take_along_axis(distances, classes[..., None], -1).mean() / lab.shape[-1])
    rows, columns = np.indices(classes.shape)
    turns = rows % 2 * 2 + columns % 2
    around = np.ones((3, 3), np.float32)
    around[1, 1] = 0
    for sweep in range(4 * SWEEPS):
        members = (classes[..., None] == np.arange(CLUSTERS)).astype(np.float32)
        alike = cv2.filter2D(members, -1, around, borderType=cv2.BORDER_CONSTANT)
        # Pixels of one turn are no neighbors, so that they may change together.
        classes = np.where(turns == sweep % 4, (costs - POTTS * alike).argmin(-1), classes)
    return contours_of(pieces_of(classes, LEAST))


def _blurred(image: NDArray[np.uint8]) -> Values:
    return np.asarray(cv2.GaussianBlur(lab_of(image), (0, 0), SIGMA))


def _kmeans(features: Values) -> tuple[NDArray[np.int64], Values]:
    """Return the class (H, W) of features (H, W, channels), and the mean (classes, channels) of each."""
    stop = cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.1
    cv2.setRNGSeed(0)
    flat = np.ascontiguousarray(features.reshape(-1, features.shape[-1]))
    _, labels, means = cv2.kmeans(flat, CLUSTERS, None, stop, 1, cv2.KMEANS_PP_CENTERS)
    return labels.reshape(features.shape[:2]).astype(np.int64), means
