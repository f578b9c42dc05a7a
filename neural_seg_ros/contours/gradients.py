"""Oriented gradients: how much the distribution of a cue differs between the two sides of a line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.images.arrays import resize_channels
from neural_seg_ros.regions.pixel_features import lab_of, nearest, palette


@dataclass(frozen=True)
class GradientTuning:
    """Constants of the gradients."""

    light_bins: int = 16
    color_bins: int = 24
    textons: int = 32
    # Range of a and b.
    color_range: float = 70.0
    # Windows that are compared, and those of textons.
    window_sigmas_px: tuple[float, ...] = (1.5, 3.0, 6.0)
    texton_sigmas_px: tuple[float, ...] = (3.0, 6.0, 12.0)
    # Filters of the textons.
    angles: int = 6
    filter_sigmas_px: tuple[float, ...] = (1.0, 2.0)
    # In units of L.
    texture_step: float = 0.02
    min_share: float = 1e-3
    # Windows from this size on are compared at half the image size.
    half_size_from_sigma_px: float = 3.0


TUNING = GradientTuning()


Stack = NDArray[np.float32]
Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Gradients:
    """Gradient tensors (G, 3, h, w) float32 xx, xy, yy of lightness, a, b and textons at three scales."""

    tensors: NDArray[np.float32]

    def along(self, first: NDArray[np.int64], second: NDArray[np.int64], normals: NDArray[np.float32]) -> Stack:
        """Compute differences (G, P) in [0, 1] across P pairs of neighboring pixels along normals (P, 2)."""
        x, y = normals.T
        weights = np.stack([x * x, 2 * x * y, y * y])
        flat = self.tensors.reshape(*self.tensors.shape[:2], -1)
        squared = np.zeros((len(flat), len(first)), np.float32)
        for cue, total in zip(flat, squared, strict=True):
            for part, weight in zip(cue, weights, strict=True):
                total += (part.take(first) + part.take(second)) * weight
        return np.asarray(np.sqrt(np.maximum(squared / 2, 0)), np.float32)

    def strongest(self) -> NDArray[np.float32]:
        """Return the mean over cues (h, w) of the difference along the steepest direction of each."""
        xx, xy, yy = self.tensors.transpose(1, 0, 2, 3)
        root = np.sqrt((xx - yy) ** 2 + 4 * xy * xy)
        return np.asarray(np.sqrt(np.maximum(xx + yy + root, 0) / 2).mean(0), np.float32)


def gradients(image: NDArray[np.uint8]) -> Gradients:
    """Return the gradients of an (h, w, 3) uint8 RGB image.

    Martin, Fowlkes & Malik 2004 compare the histograms g and h of two half discs by their chi-square distance
    1/2 sum (g - h)^2 / (g + h). Here the halves are those of a Gaussian window: with its mean m = G * c of a bin c, the
    difference of the halves along the normal n is n . d, d = sigma sqrt(2 pi) grad m, so that sum (n . d)^2 / (4 m) =
    n^T J n needs no more than the tensor J = sum d d^T / (4 m).
    """
    lab = lab_of(image)
    tensors = _tensors(_soft_bins(lab[..., 0], 0, 100, TUNING.light_bins), TUNING.window_sigmas_px)
    for channel in (1, 2):
        tensors += _tensors(
            _soft_bins(lab[..., channel], -TUNING.color_range, TUNING.color_range, TUNING.color_bins),
            TUNING.window_sigmas_px,
        )
    return Gradients(np.stack(tensors + _tensors(_one_hot(texton_ids(lab)), TUNING.texton_sigmas_px)))


def texton_ids(lab: NDArray[np.float32]) -> NDArray[np.int64]:
    """Classify texture (h, w) as textons: k-means on responses of even and odd filters at several angles."""
    light = np.ascontiguousarray(lab[..., 0])
    responses = [cv2.filter2D(light, cv2.CV_32F, kernel) for kernel in _filters()]
    # A change of less than one gray level is rounding, not texture.
    values = np.rint(np.stack(responses, axis=-1).reshape(light.size, -1) / TUNING.texture_step) * np.float32(
        TUNING.texture_step
    )
    return nearest(values, palette(values, TUNING.textons)).reshape(light.shape)


def _filters() -> list[NDArray[np.float32]]:
    """Make derivatives of elongated Gaussians and a center-surround filter, each of sum 0 and norm 1."""
    kernels = []
    for sigma in TUNING.filter_sigmas_px:
        reach = round(6 * sigma)
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
        for angle in np.arange(TUNING.angles) * np.pi / TUNING.angles:
            u, v = (x * np.cos(angle) + y * np.sin(angle)) / sigma, (y * np.cos(angle) - x * np.sin(angle)) / sigma
            window = np.exp(-(u * u + v * v / 4) / 2)
            kernels += [u * window, (u * u - 1) * window]
        squared = (x * x + y * y) / sigma**2
        kernels.append((squared - 2) * np.exp(-squared / 2))
    centered = [kernel - kernel.mean() for kernel in kernels]
    return [np.asarray(kernel / np.abs(kernel).sum(), np.float32) for kernel in centered]


def _soft_bins(values: NDArray[np.float32], low: float, high: float, bins: int) -> Iterator[Plane]:
    """Yield the share (h, w) of each bin; they sum to 1, as a value counts for its two nearest bins."""
    place = np.clip((values - low) / (high - low), 0, 1) * (bins - 1)
    for center in range(math.floor(place.min()), math.ceil(place.max()) + 1):
        yield np.asarray(np.maximum(0, 1 - np.abs(place - np.float32(center))), np.float32)


def _one_hot(ids: NDArray[np.int64]) -> Iterator[Plane]:
    """Yield (h, w) masks of each id."""
    for one in range(int(ids.max()) + 1):
        yield np.asarray(ids == one, np.float32)


def _tensors(shares: Iterable[Plane], sigmas: Sequence[float]) -> list[NDArray[np.float32]]:
    """Compute J (3, h, w) of the shares (h, w) of some bins, at each scale."""
    sums: dict[float, NDArray[np.float32]] = {}
    # Plane by plane, they stay in the processor's cache.
    for share in shares:
        sizes: dict[int, Plane] = {1: share}
        for sigma in sigmas:
            shrink = (
                1 if sigma < TUNING.half_size_from_sigma_px else 2 if sigma < 2 * TUNING.half_size_from_sigma_px else 4
            )
            if shrink not in sizes:
                sizes[shrink] = _shrunk(share, shrink)
            small = sizes[shrink]
            mean = cv2.GaussianBlur(small, (0, 0), sigma / shrink)
            gain = np.float32(sigma / shrink * np.sqrt(2 * np.pi))
            x, y = (cv2.Sobel(mean, cv2.CV_32F, dx, 1 - dx, ksize=1, scale=0.5) * gain for dx in (1, 0))
            weight = 1 / (4 * (mean + TUNING.min_share))
            total = sums.setdefault(sigma, np.zeros((3, *small.shape), np.float32))
            for part, product in zip(total, (x * x, x * y, y * y), strict=True):
                product *= weight
                part += product
    height, width = share.shape
    return [resize_channels(sums[sigma], height, width, cv2.INTER_LINEAR) for sigma in sigmas]


def _shrunk(share: Plane, times: int) -> Plane:
    height, width = (max(2, -(-side // times)) for side in share.shape)
    return np.asarray(cv2.resize(share, (width, height), interpolation=cv2.INTER_AREA), np.float32)
