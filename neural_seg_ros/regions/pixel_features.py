"""Features of pixels: CIE Lab color, texture, and histograms of both."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

TEXTURE_SIGMAS_PX = (1.5, 4.0)
BINS = 48
# Pixels that the k-means of the bins is run on, and its iterations.
KMEANS_SAMPLES = 4000
KMEANS_ITERATIONS = 8


def lab_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert an (h, w, 3) uint8 RGB image to CIE Lab, (h, w, 3) float32, L in [0, 100]."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)


def texture_of(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute texture (h, w, 6) float32 in units of L: mean |dx|, |dy| and deviation of L, each at two scales."""
    light = np.ascontiguousarray(lab[..., 0])
    slopes = [np.abs(cv2.Sobel(light, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=0.25)) for dx in (1, 0)]
    channels = []
    for sigma in TEXTURE_SIGMAS_PX:
        channels += [_blurred(slope, sigma) for slope in slopes]
        variance = _blurred(light * light, sigma) - _blurred(light, sigma) ** 2
        channels.append(np.sqrt(np.maximum(variance, 0)))
    return np.stack(channels, axis=-1)


def _blurred(channel: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(channel, (0, 0), sigma), np.float32)


def histograms(channels: NDArray[np.float32], ids: NDArray[np.int32], count: int, spread: float) -> NDArray[np.float32]:
    """Compute histograms (count, BINS) float32 that sum to 1, over BINS typical values of ``channels``.

    channels (h, w, C) float32; ids (h, w) int32 in [0, count); ``spread`` (units of the channels) is the standard
    deviation by which a value also counts for neighboring bins.
    """
    pixels = channels.reshape(-1, channels.shape[-1])
    centers = palette(pixels, BINS)
    index = nearest(pixels, centers)
    key = ids.ravel().astype(np.int64) * len(centers) + index
    counted = np.bincount(key, minlength=count * len(centers)).reshape(count, -1)
    kernel = np.exp(-_squared_distances(centers, centers) / (2 * spread**2))
    smooth = counted @ (kernel / kernel.sum(1, keepdims=True))
    return np.asarray(smooth / smooth.sum(1, keepdims=True), np.float32)


def palette(pixels: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """Find at most ``bins`` centers (bins, C) by k-means on pixels (N, C), deterministically."""
    generator = np.random.default_rng(0)
    sample = pixels[generator.integers(len(pixels), size=KMEANS_SAMPLES)]
    # With initial labels, k-means draws no random numbers from OpenCV's global generator.
    labels = nearest(sample, sample[:bins]).astype(np.int32)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER, KMEANS_ITERATIONS, 0.0)
    _, _, centers = cv2.kmeans(sample, bins, labels, criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    return np.asarray(centers, np.float32)


def nearest(values: NDArray[np.float32], centers: NDArray[np.float32]) -> NDArray[np.int64]:
    """Find the index (N,) of the center (bins, C) nearest to each value (N, C)."""
    # In place: temporaries of this size take longer than the sums.
    distances = values @ (-2 * centers.T)
    distances += np.square(centers).sum(1)
    return np.asarray(np.argmin(distances, axis=1), np.int64)


def _squared_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.square(a[:, None] - b[None]).sum(-1), np.float32)
