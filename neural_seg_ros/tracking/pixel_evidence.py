"""The evidence of color and motion for each class at every pixel, beside the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from neural_seg_ros.images.arrays import likeliest
from neural_seg_ros.tracking.training_samples import TrainingFrame


@dataclass(frozen=True)
class EvidenceTuning:
    """Constants of the color and motion evidence."""

    # 8-bit Lab in bins of 2^bin_shifts steps each, and their number.
    bin_shifts: tuple[int, ...] = (4, 3, 3)
    bins: tuple[int, ...] = (16, 32, 32)
    # Gaussian over the bins.
    smoothing_sigma_bins: float = 1.0
    # Share of a class's colors that were never seen; more for the background, as the camera moves on.
    unseen_share: float = 0.02
    unseen_background_share: float = 0.1
    # Unseen colors are as likely as one bin of this many.
    unseen_bins: int = 1000
    # Share of the newest frame in the background's colors.
    background_update: float = 0.1
    # Least probability of a pixel whose color is learned.
    min_probability: float = 0.8
    # Bound of a class's log-likelihood against the likeliest class.
    min_log_likelihood: float = -3.0
    # Weights beside the network; color is averaged over color_blur_px pixels.
    color_weight: float = 0.5
    color_blur_px: int = 5
    motion_weight: float = 1.0
    # Factor of the evidence where a class was not before.
    growth_weight: float = 0.5
    # Pixels of a class that move with it by more than these log-odds are held to it, by hold_weight times these.
    min_motion_log_odds: float = 2.0
    hold_weight: float = 1.5
    # Deviation of a pixel's motion from its class's, as a share of the longer side.
    motion_sigma_share: float = 0.0025
    # Grid on which motion is fitted, and the fewest points of it.
    motion_stride_px: int = 4
    min_motion_points: int = 30


TUNING = EvidenceTuning()


class Colors:
    """Histograms of Lab colors of every class in the annotated frames; the background channel follows the camera."""

    def __init__(self) -> None:
        self.histograms = np.zeros((0, TUNING.bins[0] * TUNING.bins[1] * TUNING.bins[2]), np.float32)

    def learn(self, annotated: Sequence[TrainingFrame], count: int, background_channel: int) -> None:
        """Collect the colors of ``count`` classes in all annotated frames; half of the followed background stays."""
        followed = self.histograms[background_channel].copy() if background_channel < len(self.histograms) else 0
        self.histograms = np.zeros((count, self.histograms.shape[1]), np.float32)
        bins = np.concatenate([color_bins(known.image).ravel() for known in annotated])
        labels = np.concatenate([known.labels.ravel() for known in annotated])
        weights = np.concatenate([known.weights.ravel() for known in annotated])
        for channel in range(count):
            here = labels == channel
            if here.any():
                self.histograms[channel] = _histogram(bins[here], weights[here])
        if np.any(followed):
            self.histograms[background_channel] = (self.histograms[background_channel] + followed) / 2

    def follow(self, bins: NDArray[np.int64], probabilities: NDArray[np.float32], background_channel: int) -> None:
        """Add the colors of sure background pixels of a new frame (C, h, w)."""
        sure = probabilities[background_channel] > TUNING.min_probability
        if sure.any():
            new = _histogram(bins, sure.astype(np.float32))
            self.histograms[background_channel] += TUNING.background_update * (
                new - self.histograms[background_channel]
            )

    def evidence(self, bins: NDArray[np.int64], background_channel: int) -> NDArray[np.float32]:
        """Compute log-likelihoods (C, h, w) of every class, the likeliest 0, bounded below."""
        unseen = np.full((len(self.histograms), 1), TUNING.unseen_share, np.float32)
        unseen[background_channel] = TUNING.unseen_background_share
        table = np.log((1 - unseen) * self.histograms + unseen / TUNING.unseen_bins)
        return _limited(table)[:, bins]

    def likeness(self, bins: NDArray[np.int64], where: NDArray[np.bool_], channel: int) -> float:
        """Compare colors of some pixels with the class's: Bhattacharyya's coefficient in [0, 1]."""
        here = _histogram(bins, where.astype(np.float32))
        return float(np.sqrt(here * self.histograms[channel]).sum())


def color_bins(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the bin (h, w) of every pixel's color. image: (h, w, 3) uint8 RGB."""
    lightness, a, b = (
        channel.astype(np.int64) >> shift
        for channel, shift in zip(cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2Lab)), TUNING.bin_shifts, strict=True)
    )
    return np.asarray((lightness * TUNING.bins[1] + a) * TUNING.bins[2] + b, np.int64)


def _histogram(bins: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    counts = np.bincount(bins.ravel(), weights.ravel(), minlength=TUNING.bins[0] * TUNING.bins[1] * TUNING.bins[2])
    smooth = gaussian_filter(counts.reshape(TUNING.bins), TUNING.smoothing_sigma_bins, mode="constant").ravel()
    return np.asarray(smooth / max(float(smooth.sum()), 1e-9), np.float32)


def motion_evidence(
    flow: NDArray[np.float32], probabilities: NDArray[np.float32], background_channel: int
) -> NDArray[np.float32]:
    """Compute log-likelihoods (C, h, w) that a pixel moves as each class does; the likeliest 0, bounded below.

    flow (h, w, 2): where every pixel came from; probabilities (C, h, w): the answer moved along it. Around the objects
    the camera's motion, a homography; each of them an affine motion; both by RANSAC. A pixel's distance to it has a
    Cauchy distribution. Where everything moves alike this says nothing.
    """
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    here = np.stack([x, y], -1)
    labels, _ = likeliest(probabilities)
    spread = TUNING.motion_sigma_share * max(height, width)
    camera = _camera(here, flow, labels == background_channel, spread)
    if camera is None:
        return np.zeros(probabilities.shape, np.float32)
    out = np.empty(probabilities.shape, np.float32)
    for channel in range(len(probabilities)):
        own = None if channel == background_channel else _affine(here, flow, labels == channel, spread)
        distance = flow - (camera if own is None else own)
        x_off, y_off = distance[..., 0], distance[..., 1]
        out[channel] = -np.log1p((x_off**2 + y_off**2) / np.float32(spread**2))
    return _limited(out)


def _camera(
    here: NDArray[np.float32], flow: NDArray[np.float32], where: NDArray[np.bool_], spread: float
) -> NDArray[np.float32] | None:
    """Return the flow (h, w, 2) of a homography through that of some pixels; None where there are too few."""
    start, end = _pairs(here, flow, where)
    if len(start) < TUNING.min_motion_points:
        return None
    matrix, _ = cv2.findHomography(start, end, cv2.RANSAC, 2 * spread)
    if matrix is None:
        return None
    return np.asarray(cv2.perspectiveTransform(here.reshape(1, -1, 2), matrix).reshape(here.shape) - here, np.float32)


def _affine(
    here: NDArray[np.float32], flow: NDArray[np.float32], where: NDArray[np.bool_], spread: float
) -> NDArray[np.float32] | None:
    start, end = _pairs(here, flow, where)
    if len(start) < TUNING.min_motion_points:
        return None
    matrix, _ = cv2.estimateAffine2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=2 * spread)
    if matrix is None:
        return None
    return np.asarray(here @ matrix[:, :2].T.astype(np.float32) + matrix[:, 2].astype(np.float32) - here, np.float32)


def _pairs(
    here: NDArray[np.float32], flow: NDArray[np.float32], where: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sample points (N, 2) and their origins: on a grid, or all of a small object."""
    sparse = np.zeros_like(where)
    sparse[:: TUNING.motion_stride_px, :: TUNING.motion_stride_px] = where[
        :: TUNING.motion_stride_px, :: TUNING.motion_stride_px
    ]
    chosen = sparse if sparse.sum() >= TUNING.min_motion_points else where
    return here[chosen], (here + flow)[chosen]


def _limited(log: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.maximum(log - log.max(0), TUNING.min_log_likelihood), np.float32)


def combine_evidence(
    color: NDArray[np.float32], motion: NDArray[np.float32], before: NDArray[np.float32], background_channel: int
) -> NDArray[np.float32]:
    """Combine color and motion evidence (C, h, w) of every class against the background, for the network's odds.

    color, motion: log-likelihoods (C, h, w); before (C, h, w): the answer moved here. Either may speak against a
    class. For it they speak where it was before; elsewhere half as loud, and only in its colors: flow leaks out of
    objects, and shadows and reflections move with them. A class that goes into the sun has colors of which nothing was
    known: where motion is sure of it, color does not speak against it.
    """
    size = (TUNING.color_blur_px, TUNING.color_blur_px)
    by_color = np.stack([cv2.blur(channel, size) for channel in color - color[background_channel]]) * np.float32(
        TUNING.color_weight
    )
    by_motion = (motion - motion[background_channel]) * np.float32(TUNING.motion_weight)
    was = before > 0.5
    both = by_color + by_motion
    grown = np.where(was, both, np.minimum(both, np.float32(TUNING.growth_weight) * both))
    against = np.minimum(by_color, 0) + np.minimum(by_motion, 0)
    held = was & (by_motion > TUNING.min_motion_log_odds)
    held[background_channel] = False
    free = np.where(was | (by_color > 0), grown, against)
    return np.asarray(np.where(held, TUNING.hold_weight * by_motion + np.maximum(by_color, 0), free), np.float32)


def backward_flow(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute displacements (h, w, 2) in pixels, x and y, from ``now`` back to ``before``.

    before, now: (h, w, 3) uint8 RGB of one size. Dense optical flow by inverse search (DIS, Kroeger et al. 2016).
    """
    gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (now, before)]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(flow.calc(gray[0], gray[1], None), np.float32)


def warped(
    channels: NDArray[np.float32], flow: NDArray[np.float32], border: int = cv2.BORDER_REPLICATE
) -> NDArray[np.float32]:
    """Warp channels (C, h, w) of the previous frame to this one; ``border``: an OpenCV border type."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = x + flow[..., 0], y + flow[..., 1]
    return np.stack([cv2.remap(channel, x, y, cv2.INTER_LINEAR, borderMode=border) for channel in channels])


def moved(probabilities: NDArray[np.float32], flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Warp class probabilities (C, h, w) of the previous frame to this one; they sum to 1 over C."""
    out = warped(probabilities, flow)
    out /= out.sum(0)
    return out
