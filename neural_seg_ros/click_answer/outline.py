"""The boundary of an outlined object, found by a minimum cut of the pixels in a narrow band around the drawn outline.

A user who outlines an object says what is inside, and that the object ends near the line. Within the band the colors of
both sides, the edges of the image and the distance from the line decide (Rother, Kolmogorov, Blake 2004, on a band).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from neural_seg_ros.annotations.implied import AnnotationTargets
from neural_seg_ros.annotations.rasterize import band_width, beyond_band
from neural_seg_ros.click_answer.carried_seeds import CARRIED_SEED_WEIGHT
from neural_seg_ros.regions.cuts import CutGraph
from neural_seg_ros.regions.pixel_features import lab_of
from neural_seg_ros.regions.seeds import HARD


@dataclass(frozen=True)
class OutlineTuning:
    """Constants of the band."""

    # Colors of both sides are averaged with Gaussians of this many band widths.
    color_sigma_widths: float = 1.5
    # Least deviation of a color, in CIE Lab, and the cost of a color that is more like the other side.
    min_deviation: float = 4.0
    color_cost: float = 1.0
    # Cost of the object at the outer end of the band; at the line it is 0.
    distance_cost: float = 2.0
    # Cost of a boundary between two pixels of one color, and the least of one between others.
    boundary_cost: float = 1.5
    min_boundary_cost: float = 0.05


TUNING = OutlineTuning()


def fit_outlines(targets: AnnotationTargets) -> AnnotationTargets:
    """Return ``targets`` with seeds of every outlined class inside of the band, and of the rest where it ends."""
    if not targets.outlines:
        return targets
    labels, weights = targets.labels.copy(), targets.weights.copy()
    for channel, inside in targets.outlines.items():
        fitted = fit_outline(targets.image, inside) & (weights < HARD)
        labels[fitted], weights[fitted] = channel, CARRIED_SEED_WEIGHT
    if targets.rest is not None:
        bands = np.logical_or.reduce([~beyond_band(inside) for inside in targets.outlines.values()])
        beside = bands & (weights < HARD)
        labels[beside], weights[beside] = targets.rest, CARRIED_SEED_WEIGHT
    return replace(targets, labels=labels, weights=weights)


def fit_outline(image: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the object (h, w) bool: the inside of its outline, and the part of the band that belongs to it.

    image: (h, w, 3) uint8 RGB; inside: (h, w) bool.
    """
    width = band_width(inside)
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    band = (distance > 0) & (distance <= width)
    outside = (distance > width) & (distance <= 4 * width)
    if not band.any() or not outside.any():
        return np.asarray(inside | band, np.bool_)
    lab = lab_of(image)
    log_odds = np.clip(_log_likelihood(lab, inside, width) - _log_likelihood(lab, outside, width), -1, 1)
    costs = TUNING.distance_cost * distance / width - TUNING.color_cost * log_odds
    node = np.full(band.shape, -1)
    y, x = np.nonzero(band)
    node[y, x] = np.arange(len(y))
    own = costs[y, x].astype(np.float64)
    contrast = _contrast_scale(lab)
    edges, weights = [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here, there = _pair(band.shape, dy, dx)
        touched = band[here] | band[there]
        difference = np.square(lab[here] - lab[there]).sum(-1)[touched]
        weight = TUNING.boundary_cost * np.exp(-difference * contrast) / np.hypot(dy, dx) + TUNING.min_boundary_cost
        first, second = node[here][touched], node[there][touched]
        inside_first, inside_second = inside[here][touched], inside[there][touched]
        both = (first >= 0) & (second >= 0)
        edges.append(np.stack([first[both], second[both]], 1))
        weights.append(weight[both])
        # A neighbor outside of the band has its class already.
        for one, fixed in ((first, inside_second), (second, inside_first)):
            ends = (one >= 0) & ~both
            np.add.at(own, one[ends], np.where(fixed[ends], -weight[ends], weight[ends]))
    graph = CutGraph(np.concatenate(edges), len(own))
    result = inside.copy()
    result[y, x] = graph.minimum_cut(own, np.concatenate(weights))
    return result


def _log_likelihood(lab: NDArray[np.float32], side: NDArray[np.bool_], width: float) -> NDArray[np.float32]:
    """Compute the log-likelihood (h, w) of every color under a Gaussian fitted to the nearby pixels of one side."""
    sigma = TUNING.color_sigma_widths * width
    weight = cv2.GaussianBlur(side.astype(np.float32), (0, 0), sigma) + np.float32(1e-4)
    mean, square = (
        cv2.GaussianBlur(values * side[..., None], (0, 0), sigma) / weight[..., None] for values in (lab, lab * lab)
    )
    variance = np.maximum(square - mean * mean, TUNING.min_deviation**2)
    return np.asarray(-0.5 * ((lab - mean) ** 2 / variance + np.log(variance)).sum(-1), np.float32)


def _contrast_scale(lab: NDArray[np.float32]) -> float:
    """Return 1 / (2 mean squared difference of neighbors), as GrabCut's beta."""
    squared = [np.square(np.diff(lab, axis=axis)).sum(-1).mean() for axis in (0, 1)]
    return float(1 / (2 * np.mean(squared) + 1e-6))


def _pair(shape: tuple[int, ...], dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    height, width = shape
    left, right = (slice(0, width - dx), slice(dx, width)) if dx >= 0 else (slice(-dx, width), slice(0, width + dx))
    return (slice(0, height - dy), left), (slice(dy, height), right)
