"""Affinities of superpixels from pointwise mutual information, and their spectral strengths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import eigsh

from neural_seg_ros.regions.pixel_features import lab_of, nearest, palette


@dataclass(frozen=True)
class AffinityTuning:
    """Constants of the affinities."""

    # Radius of pixel pairs, and the number of offsets in it.
    radius_px: int = 16
    offsets: int = 80
    # Pixel pairs of the co-occurrence, and their distances.
    pairs: int = 400_000
    min_pair_px: float = 2.0
    max_pair_px: float = 16.0
    # Power of the joint probability.
    joint_power: float = 1.25
    # Decay of an affinity with the contour between two pixels.
    contour_decay: float = 0.15
    deviation_sigma_px: float = 2.0
    # More superpixels than this are summed in a sparse matrix, which takes longer and less memory.
    max_dense_superpixels: int = 2048
    # Eigenvectors of the normalized cut, and their least eigenvalue.
    eigenvectors: int = 24
    min_eigenvalue: float = 1e-3


TUNING = AffinityTuning()


@dataclass(frozen=True)
class PixelFeatures:
    """The pixel features that an affinity compares.

    blur       standard deviation in pixels of the blur before
    codes      number of codes that the features are quantized to
    bandwidth  of the kernel density, in standard deviations of the features
    whitened   scale all principal components to the same deviation
    texture    weight of the local deviation beside Lab
    """

    blur: float = 1.0
    codes: int = 128
    bandwidth: float = 0.2
    whitened: bool = True
    texture: float = 1.0


def pixel_features(image: NDArray[np.uint8], features: PixelFeatures) -> NDArray[np.float32]:
    """Compute features (h*w, C) float32 of the pixels of an (h, w, 3) uint8 RGB image: whitened Lab and deviation."""
    lab = lab_of(image)
    smooth = cv2.GaussianBlur(lab, (0, 0), features.blur)
    mean = cv2.GaussianBlur(lab, (0, 0), TUNING.deviation_sigma_px)
    variance = cv2.GaussianBlur(lab * lab, (0, 0), TUNING.deviation_sigma_px) - mean * mean
    parts = [smooth]
    if features.texture:
        parts.append(features.texture * np.sqrt(np.maximum(variance, 0)))
    values = np.concatenate(parts, axis=-1).reshape(-1, 3 * len(parts))
    centered = values - values.mean(0)
    if not features.whitened:
        return np.asarray(centered / np.sqrt(centered.var(0).mean() + 1), np.float32)
    variances, axes = np.linalg.eigh(centered.T @ centered / len(centered))
    return np.asarray(centered @ axes / np.sqrt(np.maximum(variances, 0) + 1), np.float32)


def information(
    codes: NDArray[np.int64], centers: NDArray[np.float32], bandwidth: float, seed: int
) -> NDArray[np.float32]:
    """Compute pointwise mutual information (C, C) float32 of neighboring codes (h, w) in [0, C).

    P(A, B)^joint_power / (P(A) P(B)), the exponential of the pointwise mutual information of Isola et al. 2014
    (equation 2). P is counted over pairs of pixels at the distances of TUNING, and smoothed over the codes' ``centers``
    (C, D) by a Gaussian of ``bandwidth``.
    """
    count = len(centers)
    first, second = _neighbors(*codes.shape, seed)
    pairs = codes.take(first) * count + codes.take(second)
    counted = np.bincount(pairs, minlength=count * count).reshape(count, count).astype(np.float64)
    squared = np.square(centers[:, None].astype(np.float64) - centers[None]).sum(-1)
    kernel = np.exp(-squared / (2 * bandwidth**2))
    kernel /= kernel.sum(0)
    joint = kernel @ (counted + counted.T) @ kernel.T
    joint /= joint.sum()
    single = joint.sum(1)
    return np.asarray(joint**TUNING.joint_power / (single[:, None] * single[None] + 1e-12), np.float32)


@lru_cache(maxsize=2)
def _neighbors(height: int, width: int, seed: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Sample pairs of pixels at the distances of TUNING, as flat indices, the same for all frames."""
    generator = np.random.default_rng(seed)
    angle, distance = (
        generator.uniform(0, 2 * np.pi, TUNING.pairs),
        generator.uniform(TUNING.min_pair_px, TUNING.max_pair_px, TUNING.pairs),
    )
    y, x = generator.integers(height, size=TUNING.pairs), generator.integers(width, size=TUNING.pairs)
    to_y, to_x = y + np.rint(distance * np.sin(angle)).astype(int), x + np.rint(distance * np.cos(angle)).astype(int)
    inside = (to_y >= 0) & (to_x >= 0) & (to_y < height) & (to_x < width)
    first, second = (y * width + x)[inside], (to_y * width + to_x)[inside]
    return first.astype(np.int32), second.astype(np.int32)


@dataclass(frozen=True)
class CodedImage:
    """The codes (h, w) of an image's pixels, and the mutual information (C, C) of two codes, as ``information``."""

    codes: NDArray[np.int64]
    information: NDArray[np.float32]


def encode(image: NDArray[np.uint8], features: PixelFeatures, seed: int = 0) -> CodedImage:
    """Quantize the features of an (h, w, 3) uint8 RGB image to codes."""
    values = pixel_features(image, features)
    centers = palette(values, features.codes)
    codes = nearest(values, centers).reshape(image.shape[:2])
    return CodedImage(codes, information(codes, centers, features.bandwidth, seed))


def affinities(ids: NDArray[np.int32], count: int, coded: CodedImage, contour: NDArray[np.float32]) -> csr_matrix:
    """Compute symmetric affinities (R, R) of superpixels (h, w), summed over pixel pairs within a radius.

    Two pixels belong together as their codes do, and less the stronger the contour (h, w) in [0, 1] between them
    (intervening contour; Arbelaez et al. 2011, equation 4).
    """
    height, width = ids.shape
    fitting = [(dy, dx) for dy, dx in _offsets() if dy < height - 1 and abs(dx) < width - 1]
    heads, tails, weights = [], [], []
    rows, together = coded.codes * len(coded.information), coded.information.ravel()
    for turn, (dy, dx) in enumerate(fitting):
        # A quarter of the pixels, another one for every offset, gives as good an estimate.
        phase = slice(turn % 2, None, 2), slice(turn // 2 % 2, None, 2)
        here, there = _shifted(dy, dx)
        passed = np.exp(_strongest_between(contour, dy, dx, phase) / -TUNING.contour_decay)
        weights.append((passed * together.take(rows[here][phase] + coded.codes[there][phase])).ravel())
        heads.append(ids[here][phase].ravel())
        tails.append(ids[there][phase].ravel())
    matrix = _summed(np.concatenate(heads), np.concatenate(tails), np.concatenate(weights), count)
    return matrix + matrix.T


def _summed(heads: NDArray[np.int32], tails: NDArray[np.int32], weights: NDArray[np.float32], count: int) -> csr_matrix:
    """Return the sums (count, count) of weights (N,) that go from one to another."""
    if count > TUNING.max_dense_superpixels:
        return coo_matrix((weights.astype(np.float64), (heads, tails)), shape=(count, count)).tocsr()
    sums = np.bincount(heads.astype(np.int64) * count + tails, weights, minlength=count * count)
    filled = np.flatnonzero(sums != 0)
    starts = np.searchsorted(filled, np.arange(count + 1) * count)
    return csr_matrix((sums[filled], filled % count, starts), shape=(count, count))


@lru_cache(maxsize=1)
def _offsets() -> tuple[tuple[int, int], ...]:
    """Choose different (dy, dx) of a half disc, denser near the center."""
    reach = np.arange(-TUNING.radius_px, TUNING.radius_px + 1)
    everything = [
        (int(y), int(x))
        for y in reach[TUNING.radius_px :]
        for x in reach
        if (y, x) > (0, 0) and np.hypot(y, x) <= TUNING.radius_px
    ]
    generator = np.random.default_rng(0)
    chosen = generator.permutation(len(everything))[: TUNING.offsets]
    return tuple(everything[i] for i in sorted(chosen))


Slices = tuple[slice, slice]


def _shifted(dy: int, dx: int) -> tuple[Slices, Slices]:
    """Return both ends of an offset inside the image, dy >= 0."""
    rows = slice(0, -dy or None), slice(dy, None)
    columns = (slice(0, -dx or None), slice(dx, None)) if dx >= 0 else (slice(-dx, None), slice(0, dx))
    return (rows[0], columns[0]), (rows[1], columns[1])


def _strongest_between(contour: NDArray[np.float32], dy: int, dx: int, phase: Slices) -> NDArray[np.float32]:
    """Return the strongest contour on the way of the pixels of a phase to those at an offset."""
    steps = max(abs(dy), abs(dx))
    height, width = contour.shape[0] - abs(dy), contour.shape[1] - abs(dx)
    strongest = np.zeros_like(contour[:height, :width][phase])
    for step in range(steps + 1):
        y, x = round(dy * step / steps), round(dx * step / steps) + max(0, -dx)
        np.maximum(strongest, contour[y : y + height, x : x + width][phase], out=strongest)
    return strongest


def spectral_strength(affinities: csr_matrix, edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the strength (E,) by which the normalized cuts divide the superpixels of each edge (E, 2).

    sum over k of |v_k(i) - v_k(j)| / sqrt(lambda_k), with v_k the generalized eigenvectors of (D - W) v = lambda D v
    scaled to a range of 1 (sPb of Arbelaez et al. 2011, equation 13, on regions).
    """
    count = affinities.shape[0]
    if count < 3:
        return np.zeros(len(edges))
    root = 1 / np.sqrt(np.asarray(affinities.sum(1)).ravel() + 1e-12)
    normalized = diags(root) @ affinities @ diags(root)
    start = np.random.default_rng(0).normal(size=count)
    number = min(TUNING.eigenvectors + 1, count - 1)
    values, vectors = eigsh(normalized, number, which="LA", v0=start, tol=1e-4)
    # The first is constant.
    order = np.argsort(-values)[1:]
    shown = vectors[:, order] * root[:, None]
    shown /= np.maximum(np.ptp(shown, axis=0), 1e-12)
    weights = 1 / np.sqrt(np.maximum(1 - values[order], TUNING.min_eigenvalue))
    return np.asarray(np.abs(shown[edges[:, 0]] - shown[edges[:, 1]]) @ weights)
