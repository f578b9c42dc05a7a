"""Histograms of regions over the image's own palette."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

BINS = 48
SAMPLES = 4000
ITERATIONS = 8


def histograms(channels: NDArray[np.float32], ids: NDArray[np.int32], count: int, spread: float) -> NDArray[np.float32]:
    """Histograms (count, BINS) float32 that sum to 1, over BINS typical values of ``channels``.

    channels (h, w, C) float32; ids (h, w) int32 in [0, count); ``spread`` (units of the channels) is the standard
    deviation by which a value also counts for neighbouring bins.
    """
    pixels = channels.reshape(-1, channels.shape[-1])
    centres = palette(pixels, BINS)
    index = nearest(pixels, centres)
    key = ids.ravel().astype(np.int64) * len(centres) + index
    counted = np.bincount(key, minlength=count * len(centres)).reshape(count, -1)
    kernel = np.exp(-_squared_distances(centres, centres) / (2 * spread**2))
    smooth = counted @ (kernel / kernel.sum(1, keepdims=True))
    return np.asarray(smooth / smooth.sum(1, keepdims=True), np.float32)


def palette(pixels: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """At most ``bins`` centres (bins, C) of k-means on pixels (N, C), the same for the same pixels."""
    generator = np.random.default_rng(0)
    sample = pixels[generator.integers(len(pixels), size=SAMPLES)]
    # Given initial labels, k-means draws no random numbers of OpenCV's global generator.
    labels = nearest(sample, sample[:bins]).astype(np.int32)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER, ITERATIONS, 0.0)
    _, _, centres = cv2.kmeans(sample, bins, labels, criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    return np.asarray(centres, np.float32)


def nearest(values: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    """The nearest (N,) of centres (bins, C) to values (N, C)."""
    # In one array: temporaries of this size take longer than the sums.
    distances = values @ (-2 * centres.T)
    distances += np.square(centres).sum(1)
    return np.asarray(np.argmin(distances, axis=1), np.int64)


def _squared_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.square(a[:, None] - b[None]).sum(-1), np.float32)
